//! `hightower question`: what an agent runs to ask the person at its machine. Not for people.

use crate::agent::person::NO;
use crate::question::{self, Question};
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
    let yes = question::ask(question, Duration::from_secs(args.seconds))?;
    Ok(if yes { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}
