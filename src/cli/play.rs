//! `hightower play`: a recording in a window.

use super::signal::interruption;
use super::view::Size;
use crate::recording::Recording;
use crate::viewer::play::{self, PlayOptions};
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hightower play lesson.ht                  play it; H shows the keys
  hightower play lesson.ht --from 1:30 --paused
                                            begin there, and wait for a key
  hightower play lesson.ht --speed 4        four times as fast

Space pauses, the arrows go 5 seconds back and forward, comma and period one picture, [ and ] change
the speed, and so on: H shows all keys.";

/// Play a recording in a window
///
/// A recording that was cut off is played up to its last whole picture, and one that is damaged
/// without what is lost of it; that is said.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PlayArgs {
    /// The recording
    #[arg(value_name = "FILE.ht")]
    file: PathBuf,

    /// Begin at this time: seconds, 1m30s or 1:30
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = super::place)]
    from: Duration,

    /// Show the first picture, and wait
    #[arg(long)]
    paused: bool,

    /// How many times as fast: from 1/8 to 32, in halves and doubles
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: i32,

    /// The window's size at first, in pixels
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,

    /// Where the key P puts its screenshots
    #[arg(long, value_name = "DIR", default_value = ".")]
    screenshots: PathBuf,
}

/// The power of two that a speed is.
fn speed(text: &str) -> Result<i32, String> {
    let powers = -3..=5;
    let names = |power: i32| match power {
        0.. => [2f64.powi(power).to_string(), String::new()],
        _ => [2f64.powi(power).to_string(), format!("1/{}", 1 << -power)],
    };
    let all = || powers.clone().map(|power| names(power)[0].clone()).collect::<Vec<_>>();
    powers
        .clone()
        .find(|&power| names(power).iter().any(|name| name == text))
        .ok_or_else(|| format!("there is {}", all().join(", ")))
}

/// Runs `hightower play`. The window belongs to the calling thread, which should be the main one.
///
/// # Errors
/// When the file is no recording, has no picture, or there is no display.
pub(super) fn run(args: PlayArgs) -> anyhow::Result<ExitCode> {
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    let recording = Recording::open_some(&args.file)?;
    if let Some(words) = recording.shortfall() {
        super::remark(format_args!("hightower: {}", crate::text::printable(&words)));
    }
    let options = PlayOptions {
        size: args.size.map(|size| (size.width, size.height)),
        screenshots: args.screenshots,
        from: args.from,
        paused: args.paused,
        faster: args.speed,
    };
    play::run(recording, options, &interrupted)
}
