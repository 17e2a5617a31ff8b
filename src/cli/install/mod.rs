//! `hightower agent --install` and `--uninstall`: an agent that starts when its user logs in.
//!
//! `start` is what it is started with: the options that were given beside `--install`, and those of
//! the environment. `systemd` has it started on Linux, `launchd` on macOS, and the `registry` on
//! Windows; each says in words of its own what to do, so that all of it can be tested everywhere.

mod launchd;
mod registry;
mod start;
mod systemd;

use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// An agent that can't work ends before this is over.
const LOOK: Duration = Duration::from_secs(2);

/// Has an agent start at log-in, and now, as this one was told to.
///
/// # Errors
/// When it is not installed so.
pub(super) fn install(listen: Option<SocketAddr>) -> Result<ExitCode> {
    let place = listen.unwrap_or(crate::agent::Config::default().listen).to_string();
    say(&if cfg!(target_os = "macos") {
        launchd::install(&place)?
    } else if cfg!(windows) {
        registry::install(&place)?
    } else {
        systemd::install(&place)?
    })
}

/// Has it start no more, and ends it.
///
/// # Errors
/// When it was not installed so, or may run on.
pub(super) fn uninstall() -> Result<ExitCode> {
    let end = "the agent has ended, and does not start any more";
    let end = if cfg!(target_os = "macos") {
        launchd::uninstall().map(|()| end)?
    } else if cfg!(windows) {
        registry::uninstall()
            .map(|()| "no agent starts any more; one that runs ends when you log out")?
    } else {
        systemd::uninstall().map(|()| end)?
    };
    say(&format!("{end}; its keys and files are left as they are"))
}

/// Tells the system something.
fn tell(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("there is nothing to run")?;
    let said = Command::new(program).args(arguments).output();
    let said = said.with_context(|| format!("{program} can't be run"))?;
    let error = crate::text::printable(String::from_utf8_lossy(&said.stderr).trim());
    ensure!(said.status.success(), "`{}` failed: {error}", words.join(" "));
    Ok(())
}

fn say(words: &str) -> Result<ExitCode> {
    writeln!(std::io::stdout(), "{words}").context("can't write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
