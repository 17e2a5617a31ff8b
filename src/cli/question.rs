//! `hightower question`: what an agent runs to ask the person at its machine. Not for people.

use crate::agent::person::NO;
use crate::question::{self, Question};
use clap::Args;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ask whether somebody may watch, in a window.
#[derive(Debug, Args)]
pub(super) struct QuestionArgs {
    /// How long the question is shown.
    #[arg(long, required_unless_present = "until_ms")]
    seconds: Option<u64>,
    /// Until when it is shown, in milliseconds since 1970.
    #[arg(long)]
    until_ms: Option<u64>,
    /// Where they come from.
    #[arg(long, required_unless_present = "countdown")]
    from: Option<String>,
    /// What is about to happen, instead of that somebody wants to watch.
    #[arg(long)]
    countdown: Option<String>,
    /// Who wants it.
    who: String,
}

pub(super) fn run(args: QuestionArgs) -> anyhow::Result<ExitCode> {
    let who = crate::text::printable(&args.who);
    let from = crate::text::printable(args.from.as_deref().unwrap_or_default());
    let question = match &args.countdown {
        Some(what) => Question::Stop { what, who: &who },
        None => Question::Watch { who: &who, from: &from },
    };
    let limit = match args.until_ms {
        Some(until) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Duration::from_millis(until).saturating_sub(now)
        }
        None => Duration::from_secs(args.seconds.unwrap_or_default()),
    };
    follow_agent()?;
    let yes = question::ask(question, limit, || {
        // The agent waits for it; where it does not, it is gone, and this goes too.
        let mut out = std::io::stdout();
        drop(out.write_all(b"\n").and_then(|()| out.flush()));
    })?;
    Ok(if yes { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Ends this when the agent has: it holds the other end of standard input, even when it is killed. A
/// display that does not answer keeps nobody from that.
fn follow_agent() -> std::io::Result<()> {
    let follow = || {
        drop(std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()));
        std::process::exit(NO.into());
    };
    std::thread::Builder::new().name("agent".into()).spawn(follow).map(drop)
}
