//! `hightower picture`: what an agent runs to show a picture to the person at its machine. Not for
//! people.

use clap::Args;
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
    crate::picture::show(&crate::text::printable(&args.from), &args.file)?;
    Ok(ExitCode::SUCCESS)
}
