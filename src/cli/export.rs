//! `hightower export`: a recording as pictures or a video.

use super::signal::interruption;
use crate::recording::export::{Exported, Job, Output, Part, Progress};
use crate::recording::{Recording, Tail, size};
use crate::text::printable;
use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hightower export lesson.ht lesson.apng        an animated PNG, lossless, for browsers
  hightower export lesson.ht lesson.mp4         a video, by ffmpeg
  hightower export lesson.ht lesson.gif --fps 5 --from 1:00 --to 1:20
  hightower export lesson.ht first.png          the first picture; with --from, that of a time
  hightower export lesson.ht frames/            a folder with a PNG for each picture

PNG, APNG and folders are written by itself, and lossless. All other kinds are left to ffmpeg, which
has to be installed.

What a recording has at its end of half a frame is left out, as is half a change of the screen; both are no
error. Frames anywhere that are damaged, or build on what is missing, are one: what can be shown is
written, standard error says how many are left out and from where on, --json as \"left_out\".

Exit code: 0 when all of it was written, 1 when not (standard error says why), 130 after Ctrl-C.";

/// Make pictures or a video of a recording
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The recording
    #[arg(value_name = "FILE.ht")]
    file: PathBuf,

    /// What to write: NAME.png, NAME.apng, FOLDER/, or NAME.gif, NAME.mp4 and others by ffmpeg
    #[arg(value_name = "OUT")]
    out: PathBuf,

    /// Begin at this time: seconds, 1m30s or 1:30
    #[arg(long, value_name = "TIME", value_parser = super::place)]
    from: Option<Duration>,

    /// End at this time
    #[arg(long, value_name = "TIME", value_parser = super::place)]
    to: Option<Duration>,

    /// So many pictures a second; without it a video or GIF has 25, and an APNG or folder each picture
    /// as long as it was shown
    #[arg(long, value_name = "N", value_parser = fps)]
    fps: Option<f64>,

    /// Replace what is there
    #[arg(long)]
    force: bool,

    /// One line of JSON on standard output
    #[arg(long)]
    json: bool,
}

fn fps(text: &str) -> Result<f64, String> {
    let fps = text.parse::<f64>().map_err(|e| e.to_string())?;
    if (0.001..=1000.0).contains(&fps) { Ok(fps) } else { Err("from 0.001 to 1000".into()) }
}

/// Progress as a line on a terminal.
#[derive(Debug)]
struct Line(ProgressBar);

impl Progress for Line {
    fn done(&self, pictures: usize, of: usize) {
        self.0.set_length(of as u64);
        self.0.set_position(pictures as u64);
    }
}

/// Runs `hightower export`.
///
/// # Errors
/// When not all of it was written, in words for the user.
pub(super) fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    let output = Output::of(&args.out)?;
    if let (Some(from), Some(to)) = (args.from, args.to) {
        ensure!(from <= to, "--from is after --to");
    }
    let mut recording = Recording::open_some(&args.file)?;
    if let Some(from) = args.from {
        let length = recording.index().length();
        ensure!(
            from <= length,
            "{} is {} long: there is nothing at that time",
            args.file.display(),
            crate::recording::clock(length)
        );
    }
    let line = Line(super::progress("{bar:30} {pos}/{len} pictures, {eta} left", Some(0)));
    let part = Part { from: args.from, to: args.to, fps: args.fps };
    let job = Job { part, replace: args.force, progress: &line, interrupted: &interrupted };
    let exported = output.write(&mut recording, &job);
    line.0.finish_and_clear();
    let exported = match exported {
        Err(error) if interrupted.load(Ordering::Relaxed) => {
            super::remark(format_args!("hightower: {error:#}"));
            return Ok(ExitCode::from(130));
        }
        other => other?,
    };
    say(&args, &output, &exported, &recording)?;
    verdict(&recording)
}

fn say(
    args: &ExportArgs,
    output: &Output,
    exported: &Exported,
    recording: &Recording,
) -> anyhow::Result<()> {
    let Exported { pictures, size: extent, mixed } = exported;
    let path = output.path();
    let bytes = std::fs::metadata(path).ok().filter(|file| file.is_file()).map(|file| file.len());
    let mut out = io::stdout().lock();
    if args.json {
        let ((width, height), index) = (extent.unzip(), recording.index());
        let line = json!({
            "path": path, "pictures": pictures, "width": width, "height": height, "bytes": bytes,
            "mixed_sizes": mixed, "broken": recording.broken().0,
            "left_out": index.left_out.frames,
            "whole": index.tail == Tail::Whole && !index.is_damaged(),
        });
        return writeln!(out, "{line}").context("standard output");
    }
    let extent = extent.map_or_else(String::new, |(w, h)| format!(", {w}x{h}"));
    let bytes = bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
    let count = if *pictures == 1 { "1 picture".into() } else { format!("{pictures} pictures") };
    writeln!(out, "{}: {count}{extent}{bytes}", path.display()).context("standard output")?;
    if *mixed {
        let what = match output {
            Output::Folder(_) => "each picture has its own",
            _ => "smaller pictures are at the left upper corner, on black",
        };
        super::remark(format_args!("hightower: the screen changed its size: {what}"));
    }
    Ok(())
}

/// What is cut off is nobody's fault, and was promised; what is damaged or can't be decoded is a
/// failure.
fn verdict(recording: &Recording) -> anyhow::Result<ExitCode> {
    let shortfall = recording.shortfall().map(|words| printable(&words));
    if let (broken @ 1.., fault) = recording.broken() {
        let (fault, rest) = (fault.unwrap_or_default(), shortfall.unwrap_or_default());
        let rest = if rest.is_empty() { rest } else { format!("; {rest}") };
        bail!(
            "{broken} pictures could not be decoded, and the ones before are shown: {fault}{rest}"
        );
    }
    match shortfall {
        Some(words) if recording.index().is_damaged() => bail!("{words}"),
        Some(words) => super::remark(format_args!("hightower: {words}")),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}
