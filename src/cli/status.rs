//! `hightower status`, and what `hightower agent` asks of an agent that runs already.

use super::pair::show;
use crate::console::{self, Answer, Ask, ConsoleError, Counting, Status, Watcher};
use crate::text::printable;
use crate::trust::Place;
use anyhow::{Context, Result, bail};
use clap::Args;
use hightower_proto::message::Capture;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Who watches this machine now.
///
/// Asks the agents that you have started here. Where an agent allows it, `hightower agent --pause`
/// ends the watching.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print one line of JSON an agent.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: StatusArgs) -> Result<ExitCode> {
    let place = Place::find()?;
    let sockets = console::all(&place)
        .with_context(|| format!("can't look for agents in {}", place.runtime().display()))?;
    let (mut found, mut all_answered) = (false, true);
    let mut out = std::io::stdout().lock();
    for socket in sockets {
        let status = match ask(&socket, &Ask::Status) {
            Ok(Answer::Status(status)) => status,
            // Its agent was killed.
            Err(ConsoleError::Absent { .. }) => continue,
            Ok(other) => {
                all_answered = false;
                eprintln!("hightower: {}: {}", socket.display(), words(other));
                continue;
            }
            Err(e) => {
                all_answered = false;
                eprintln!("hightower: {e}");
                continue;
            }
        };
        found = true;
        let text = if args.json { serde_json::to_string(&status)? } else { lines(&status) };
        writeln!(out, "{text}").context("can't write to standard output")?;
    }
    if !found && all_answered {
        bail!("no agent of yours runs on this machine");
    }
    Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The status for people.
fn lines(status: &Status) -> String {
    let Status { address, source, state, viewers, .. } = status;
    let mut lines = vec![format!("{address}  {}", printable(source))];
    let mut line = |name: &str, words: String| lines.push(format!("  {name:<10}{words}"));
    if status.paused {
        line("watching", "paused; `hightower agent --resume` lets it go on".into());
    } else if viewers.is_empty() {
        line("watching", "nobody".into());
    }
    let verb = if state.monitoring { "watching" } else { "connected" };
    for viewer in viewers {
        line(verb, words_of(viewer));
    }
    if !viewers.is_empty() && !state.monitoring {
        line("monitoring", "stopped: nothing is captured".into());
    }
    if let Capture::Failed { cause } = &state.capture {
        line("screen", format!("can't be captured: {}", printable(cause)));
    }
    if let Some(ms) = state.lock_ms {
        line("pointer", format!("locked for {} s", ms.div_ceil(1000)));
    }
    if let Some(Counting { act, who, seconds }) = &status.counting {
        let (act, who) = (act.name(), printable(who));
        let stop = "`hightower agent --cancel-power` stops it";
        line("power", format!("{act} in {seconds} s, by {who}; {stop}"));
    }
    if status.pairing {
        line("pairing", "a code is shown".into());
    }
    if state.insecure {
        line("insecure", "anybody who can reach it may watch".into());
    }
    if let Some(fingerprint) = &status.fingerprint {
        line("key", printable(fingerprint));
    }
    lines.join("\n")
}

fn words_of(viewer: &Watcher) -> String {
    let time = humantime::format_duration(Duration::from_secs(viewer.seconds));
    match &viewer.name {
        Some(name) if viewer.by_hub => {
            format!("{} (by the hub at {}) for {time}", printable(name), viewer.address)
        }
        Some(name) => format!("{} ({}) for {time}", printable(name), viewer.address),
        None => format!("{} for {time}", viewer.address),
    }
}

/// What an answer that was not expected says.
fn words(answer: Answer) -> String {
    match answer {
        Answer::Refused { why } => printable(&why),
        _ => "it answers something else".into(),
    }
}

fn ask(socket: &std::path::Path, question: &Ask) -> Result<Answer, ConsoleError> {
    console::ask(socket, question)?.answer()
}

/// The socket of the agent that listens there; without an address of the only one that runs, and
/// `None` where none does.
pub(super) fn socket(listen: Option<SocketAddr>) -> Result<Option<PathBuf>> {
    let place = Place::find()?;
    if let Some(listen) = listen {
        return Ok(Some(console::path(&place, listen)));
    }
    let mut running = console::all(&place)
        .with_context(|| format!("can't look for agents in {}", place.runtime().display()))?;
    running.retain(|socket| ask(socket, &Ask::Status).is_ok());
    match running.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => bail!("several agents of yours run here: say which by --listen ADDR:PORT"),
    }
}

/// Lets nobody watch, or those again who may.
pub(super) fn pause(listen: Option<SocketAddr>, pause: bool) -> Result<ExitCode> {
    let question = if pause { Ask::Pause } else { Ask::Resume };
    let Some(socket) = socket(listen)? else {
        bail!("no agent of yours runs on this machine");
    };
    match ask(&socket, &question)? {
        Answer::Done => {
            let words = if pause { "nobody watches" } else { "those may watch who could before" };
            writeln!(std::io::stdout(), "{words}").context("can't write to standard output")?;
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("{}", words(other)),
    }
}

/// Stops what is counted down for this machine.
pub(super) fn cancel_power(listen: Option<SocketAddr>) -> Result<ExitCode> {
    let Some(socket) = socket(listen)? else {
        bail!("no agent of yours runs on this machine");
    };
    match ask(&socket, &Ask::CancelPower)? {
        Answer::Done => {
            writeln!(std::io::stdout(), "cancelled").context("can't write to standard output")?;
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("{}", words(other)),
    }
}

/// Pairs by the agent that runs there; `None` when none does.
pub(super) fn pair(
    listen: Option<SocketAddr>,
    roles: &str,
    json: bool,
) -> Result<Option<ExitCode>> {
    let Some(socket) = socket(listen)? else { return Ok(None) };
    let roles = roles.to_owned();
    let mut asked = match console::ask(&socket, &Ask::Pair { roles }) {
        Ok(asked) => asked,
        Err(ConsoleError::Absent { .. }) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut answer = asked.answer()?;
    if let Answer::Pairing { seconds, .. } = answer {
        show(&answer, json)?;
        asked.wait(Duration::from_secs(seconds))?;
        answer = asked.answer()?;
    }
    Ok(Some(show(&answer, json)?))
}
