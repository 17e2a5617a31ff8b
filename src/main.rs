//! The `hightower` program.

use hightower::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::read().and_then(Cli::run).unwrap_or_else(|error| {
        eprintln!("hightower: {error:#}");
        ExitCode::FAILURE
    })
}
