//! `hightower question`: what an agent runs to ask the person at its machine. Not for people.

use crate::agent::person::NO;
use clap::Args;
use std::process::ExitCode;
use std::time::Duration;

/// Ask whether somebody may watch, in a window.
#[derive(Debug, Args)]
pub(super) struct QuestionArgs {
    /// How long the question is shown.
    #[arg(long)]
    seconds: u64,
    /// Where they come from.
    #[arg(long)]
    from: String,
    /// Who wants to watch.
    who: String,
}

pub(super) fn run(args: QuestionArgs) -> anyhow::Result<ExitCode> {
    let who = crate::text::printable(&args.who);
    let from = crate::text::printable(&args.from);
    let yes = crate::question::ask(&who, &from, Duration::from_secs(args.seconds))?;
    Ok(if yes { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
