//! The `hightower` program.

use hightower::cli::Cli;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::read().and_then(Cli::run).unwrap_or_else(|error| {
        // It may be closed: then the exit code says it all.
        drop(writeln!(std::io::stderr(), "hightower: {error:#}"));
        ExitCode::FAILURE
    })
}
