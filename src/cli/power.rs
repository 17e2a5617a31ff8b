//! `hightower power`: machines restarted, switched off, their sessions ended or locked.

use super::machines::{Machines, Outcome, each};
use super::trust::{TrustArgs, runtime};
use crate::address::Target;
use crate::call::Call;
use crate::text::printable;
use crate::viewer::Security;
use anyhow::Result;
use clap::{Args, ValueEnum};
use hightower_proto::message::{Act, Power, Reply};
use hightower_proto::{Command, Message};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How many machines are called at a time.
const AT_ONCE: usize = 64;

/// How long an agent may take to answer: it asks its system first.
const PATIENCE: Duration = Duration::from_secs(30);

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
/// it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PowerArgs {
    /// What is to be done.
    #[arg(value_enum)]
    act: Wanted,
    #[command(flatten)]
    machines: Machines,
    /// How long is counted down there, from 5 seconds to an hour. [default: 1m]
    #[arg(long = "in", value_name = "TIME", value_parser = super::duration)]
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

pub(super) fn run(args: PowerArgs) -> Result<ExitCode> {
    let targets = args.machines.targets()?;
    let security = &args.trust.security(&targets)?;
    let delay_ms = args.delay.map(|delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX));
    let power = Power { act: args.act.into(), delay_ms };
    let work = async |target: Target| order(&target, security, power, args.no_wait).await;
    runtime()?.block_on(each(&targets, AT_ONCE, args.json, work))
}

async fn order(target: &Target, security: &Security, power: Power, no_wait: bool) -> Outcome {
    let mut call = match Call::to(target, security).await {
        Ok(call) => call,
        Err(cause) => return Outcome::failed(cause),
    };
    let first = async {
        call.say(&Message::Power(power)).await?;
        answer(&mut call).await
    };
    let reply = match timeout(PATIENCE, first).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(cause)) => return Outcome::failed(cause),
        Err(_) => return Outcome::failed("no answer: is its agent of an older version?"),
    };
    let Some(due_ms) = reply.due_ms.filter(|_| reply.ok) else {
        let outcome = outcome(power.act, reply);
        drop(call.close("that was all").await);
        return outcome;
    };
    let due = Duration::from_millis(due_ms.into());
    if no_wait {
        drop(call.close("that was all").await);
        let words = format!("{} in {} s", power.act.name(), due.as_secs());
        return Outcome::done(words).with("due_ms", due_ms);
    }
    let when = Instant::now() + due;
    match timeout(due + PATIENCE, answer(&mut call)).await {
        Ok(Ok(reply)) => outcome(power.act, reply),
        // A machine that goes down takes its connections with it.
        Ok(Err(_)) if Instant::now() >= when => {
            Outcome::done(format!("{}: it was due, and the connection has ended", power.act.name()))
        }
        Ok(Err(cause)) => Outcome::failed(format!(
            "it is counted down there, and nobody knows what came of it: {cause}"
        )),
        Err(_) => Outcome::failed("it was due, and the agent has not said what came of it"),
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
