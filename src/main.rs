//! The `hightower` command.

use clap::Parser;
use hightower::cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::View(args) => hightower::cli::view::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("hightower: {error:#}");
        ExitCode::FAILURE
    })
}
