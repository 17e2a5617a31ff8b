//! `hightower agent --install` and `--uninstall`: an agent that starts when its user logs in.
//!
//! `start` is what it is started with: the options that were given beside `--install`, and those of
//! the environment. `systemd` has it started, on Linux.

mod start;
mod systemd;

use anyhow::{Context, Result};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Has an agent start at log-in, and now, as this one was told to.
///
/// # Errors
/// When it is not installed so; then all is as it was before.
pub(super) fn install(listen: Option<SocketAddr>) -> Result<ExitCode> {
    say(&systemd::install(listen)?)
}

/// Has it start no more, and ends it.
///
/// # Errors
/// When it was not installed so, or may run on.
pub(super) fn uninstall() -> Result<ExitCode> {
    systemd::uninstall()?;
    say("the agent has ended, and does not start any more; its keys and files are left as they are")
}

fn say(words: &str) -> Result<ExitCode> {
    writeln!(std::io::stdout(), "{words}").context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
