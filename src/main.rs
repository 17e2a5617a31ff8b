//! The `hightower` program.

use clap::Parser;
use hightower::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("hightower: {error:#}");
        ExitCode::FAILURE
    })
}
