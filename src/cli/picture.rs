//! `hightower picture`: what an agent runs to show a picture to the person at its machine. Not for
//! people.

use crate::picture;
use crate::text::printable;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show a picture, in a window.
#[derive(Debug, Args)]
pub(super) struct PictureArgs {
    /// Who sent it.
    #[arg(long)]
    from: String,
    /// The picture.
    file: PathBuf,
}

pub(super) fn run(args: PictureArgs) -> anyhow::Result<ExitCode> {
    // The agent waits for one line; where it does not, nobody reads it.
    let mut is_told = false;
    let tell = |line: &str| {
        let mut out = std::io::stdout();
        drop(writeln!(out, "{line}").and_then(|()| out.flush()));
    };
    let shown = picture::show(&printable(&args.from), &args.file, || {
        is_told = true;
        tell(picture::SHOWN);
    });
    if let Err(why) = &shown
        && !is_told
    {
        tell(&format!("{why:#}"));
    }
    shown.map(|()| ExitCode::SUCCESS)
}
