//! `hightower wall`: many machines in one window.

use super::machines::Machines;
use super::signal::interruption;
use super::trust::TrustArgs;
use super::view::Size;
use crate::viewer::wall::{self, WallOptions};
use crate::viewer::{ClientOptions, Folders};
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  hightower wall lab-07 lab-08 lab-09       three machines
  hightower wall @room2                     the machines of a group
  hightower wall --all                      every machine that you know
  hightower wall @room2 --fps 1             once a second is enough

Enter or a click shows a machine large, and the wall again. Space marks machines, A all of them: S
and X start and stop the monitoring, L and U lock and unlock the pointer, P saves screenshots, T
says something. H shows all keys.";

/// Watch many machines in one window
///
/// Starts the monitoring on all of them. Each is asked for a picture as small as it is shown, so
/// that many cost little. What is the matter with a machine stands in its tile; a connection that
/// is lost is made again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct WallArgs {
    #[command(flatten)]
    machines: Machines,

    /// Leave the monitoring as it is: never start it on connecting
    #[arg(long)]
    no_start: bool,

    /// Ask for so many pictures a second of machines that are shown small
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,

    /// The window's size at first, in pixels
    #[arg(long, value_name = "WxH", default_value = "1280x746")]
    size: Size,

    /// Where the key P puts its screenshots
    #[arg(long, value_name = "DIR", default_value = ".")]
    screenshots: PathBuf,

    /// Where the key R puts its recordings
    #[arg(long, value_name = "DIR", default_value = ".")]
    recordings: PathBuf,

    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs `hightower wall`. The window belongs to the calling thread, which should be the main one.
///
/// # Errors
/// When no machine is known by what was typed, or there is no display.
pub(super) fn run(args: WallArgs) -> anyhow::Result<ExitCode> {
    let targets = args.machines.targets()?;
    let security = args.trust.security(&targets)?;
    let client_options =
        ClientOptions { security, start: !args.no_start, ..ClientOptions::default() };
    let options = WallOptions {
        size: (args.size.width, args.size.height),
        max_fps: args.fps,
        folders: Folders { screenshots: args.screenshots, recordings: args.recordings },
    };
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    wall::run(targets, client_options, options, &interrupted)
}
