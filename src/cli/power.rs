//! `hightower power`: machines restarted, switched off, their sessions ended or locked.

use super::machines::{Machines, Outcome, each};
use super::signal::Signals;
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::call::Call;
use crate::text::printable;
use crate::viewer::Security;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use hightower_proto::message::{Act, Power, Reply};
use hightower_proto::{Command, Message};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// How many machines are called at a time. While they count down others are called.
const AT_ONCE: usize = 64;

/// How long an agent may take to answer: it asks its system first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be counted down: what an agent would make of less or more is not what was typed.
const DELAYS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(3600);

/// Who was heard so shortly before it was due was there then: it is asked every two seconds.
const SHORTLY: Duration = Duration::from_secs(4);

const EXAMPLES: &str = "\
Examples:
  hightower power reboot lab-07               in a minute, unless it is cancelled there
  hightower power shutdown @room2 --in 5m     the machines of a group
  hightower power cancel @room2               not, after all
  hightower power lock-screen --all           at once; it takes a password to go on

The agent's list has to give you the role power, which `all` does not: `all,power`.";

/// Restart machines, switch them off, end the sessions there, or lock the screens.
///
/// Who sits there sees a window that counts down, and can stop it. A line a machine says what came of
/// it; that it is counted down, and where no window could be shown, is said on standard error before.
/// Ctrl-C ends the waiting alone: what stops the countdown is `hightower power cancel HOST`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PowerArgs {
    /// What is to be done.
    #[arg(value_enum)]
    act: Wanted,
    #[command(flatten)]
    machines: Machines,
    /// How long is counted down there, from 5 seconds to an hour. [default: 1m]
    #[arg(long = "in", value_name = "TIME", value_parser = delay)]
    delay: Option<Duration>,
    /// End once it is counted down: do not wait for what comes of it.
    #[arg(long)]
    no_wait: bool,
    /// Print one line of JSON a machine.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// Restart the machine.
    Reboot,
    /// Switch it off.
    Shutdown,
    /// End the session of who sits there.
    Logoff,
    /// Lock the screen, at once.
    LockScreen,
    /// Stop what is counted down there.
    Cancel,
}

impl From<Wanted> for Act {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Reboot => Self::Reboot,
            Wanted::Shutdown => Self::Shutdown,
            Wanted::Logoff => Self::Logoff,
            Wanted::LockScreen => Self::LockScreen,
            Wanted::Cancel => Self::Cancel,
        }
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let delay = super::duration(text)?;
    if DELAYS.contains(&delay) { Ok(delay) } else { Err("from 5s to 1h".into()) }
}

/// How an order is given.
#[derive(Clone, Copy)]
struct Manner<'a> {
    power: Power,
    security: &'a Security,
    no_wait: bool,
    json: bool,
    calling: &'a Semaphore,
    /// Whether the user has had enough.
    stopped: &'a watch::Receiver<bool>,
}

pub(super) fn run(args: PowerArgs) -> Result<ExitCode> {
    let act = Act::from(args.act);
    if args.delay.is_some() && matches!(act, Act::LockScreen | Act::Cancel) {
        bail!("{} is done at once, and takes no --in", act.name());
    }
    let targets = args.machines.targets()?;
    let security = &args.trust.security(&targets)?;
    let delay_ms = args.delay.map(|delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX));
    let calling = &Semaphore::new(AT_ONCE);
    let power = Power { act, delay_ms };
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::hear() }).context("can't hear Ctrl-C")?;
    let (stop, stopped) = watch::channel(false);
    let stopped = &stopped;
    let manner =
        Manner { power, security, no_wait: args.no_wait, json: args.json, calling, stopped };
    let work = async |target: Target| order(&target, manner).await;
    let all = async {
        let all = each(&targets, targets.len(), args.json, work);
        tokio::pin!(all);
        tokio::select! {
            done = &mut all => return done,
            _ = signals.next() => {}
        }
        stop.send_replace(true);
        all.await.map(|_| ExitCode::from(130))
    };
    runtime.block_on(all)
}

async fn order(target: &Target, manner: Manner<'_>) -> Outcome {
    let act = manner.power.act;
    let begun = tokio::select! {
        begun = begin(target, manner) => begun,
        () = interrupted(manner) => {
            Err("interrupted: nobody knows whether the order has arrived".to_owned())
        }
    };
    let (mut call, reply) = match begun {
        Ok(begun) => begun,
        Err(why) => return Outcome::failed(why),
    };
    let note = reply.note.as_deref().map(printable);
    let with_note = |outcome: Outcome| match &note {
        Some(note) => outcome.with("note", note.as_str()),
        None => outcome,
    };
    let Some(due_ms) = reply.due_ms.filter(|_| reply.ok) else {
        let outcome = outcome(act, reply);
        drop(call.close("that was all").await);
        return with_note(outcome);
    };
    let due = Duration::from_millis(due_ms.into());
    let mut words = format!("{} in {} s", act.name(), due.as_secs_f64().round());
    words.extend(note.iter().flat_map(|note| ["; ", note]));
    if manner.no_wait {
        drop(call.close("that was all").await);
        return with_note(Outcome::done(words).with("due_ms", due_ms));
    }
    if !manner.json {
        // Standard error may be closed.
        drop(writeln!(std::io::stderr(), "{target}: {words}"));
    }
    let when = Instant::now() + due;
    let answered = tokio::select! {
        answered = timeout(due + PATIENCE, answer(&mut call)) => answered,
        () = interrupted(manner) => {
            drop(call.close("interrupted").await);
            return with_note(Outcome::failed(format!(
                "interrupted, and it is counted down there all the same: `hightower power cancel \
                 {target}` stops it"
            )));
        }
    };
    with_note(match answered {
        Ok(Ok(reply)) => outcome(act, reply),
        // A machine that goes down takes its connections with it.
        Ok(Err(_)) if Instant::now() >= when && call.heard() + SHORTLY >= when => {
            Outcome::done(format!("{}: it was due, and the connection has ended", act.name()))
        }
        Ok(Err(cause)) => Outcome::failed(format!(
            "it is counted down there, and nobody knows what came of it: {cause}"
        )),
        Err(_) => Outcome::failed("it was due, and the agent has not said what came of it"),
    })
}

/// Completes when the user has had enough.
async fn interrupted(manner: Manner<'_>) {
    // It is told for as long as anybody waits here.
    drop(manner.stopped.clone().wait_for(|stopped| *stopped).await);
}

/// Calls the machine, gives the order, and waits for the first answer: so many at a time.
async fn begin(target: &Target, manner: Manner<'_>) -> Result<(Call, Reply), String> {
    let _turn = manner.calling.acquire().await.map_err(|e| e.to_string())?;
    let mut call = Call::to(target, manner.security).await.map_err(|cause| cause.to_string())?;
    let first = async {
        call.say(&Message::Power(manner.power)).await?;
        answer(&mut call).await
    };
    match timeout(PATIENCE, first).await {
        Ok(Ok(reply)) => Ok((call, reply)),
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(_) => Err("no answer: is its agent of an older version?".into()),
    }
}

/// The next answer to an order of this kind.
async fn answer(call: &mut Call) -> Result<Reply, crate::viewer::Cause> {
    loop {
        match call.hear().await? {
            Message::Reply(reply) if reply.of == Command::Power.code() => return Ok(reply),
            _ => {}
        }
    }
}

fn outcome(act: Act, reply: Reply) -> Outcome {
    match reply.error.filter(|_| !reply.ok) {
        Some(why) => Outcome::failed(printable(&why)),
        None if reply.ok => Outcome::done(format!("{}: done", act.name())),
        None => Outcome::failed("refused"),
    }
}
