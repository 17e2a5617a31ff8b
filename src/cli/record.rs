//! `hightower record`: the streams of machines into files.

mod many;

use super::machines::{Machines, Whom};
use super::signal::interruption;
use super::trust::TrustArgs;
use crate::address::Target;
use crate::recording::{Existing, Progress, Writer, clock, size};
use crate::text::printable;
use crate::viewer::save;
use crate::viewer::{Client, ClientOptions, Event, View};
use anyhow::{Context, bail, ensure};
use indicatif::ProgressBar;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to wait before looking whether the user has had enough.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How long a recording that is to end by itself waits for its first picture.
const FIRST_PICTURE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  hightower record lab-7                        until Ctrl-C, into a file named by host and time
  hightower record lab-7 -o lesson.ht --for 45m
  hightower record lab-7 -o lesson.ht --append  go on in the same file
  hightower record @room2 -o lessons --for 45m  a file for each machine in the folder lessons
  hightower play lesson.ht
  hightower export lesson.ht lesson.mp4

Exit code: 0 when something was recorded of every machine and nothing went wrong, 1 when not, 130 when Ctrl-C came before the first picture.";

/// Record machines' screens, a file each
///
/// Connects as `view` does, and writes what comes as it comes, losslessly: what does not change
/// costs nothing. A lost connection is made again, and the recording goes on in the same file. What
/// is written can be played at any moment, even after a crash or on a full disk.
///
/// Several machines are recorded at once. A line a machine says what came of it when its recording
/// ends: after --for, or all by Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    machines: Machines,

    /// The file; named by host and time when left out. With several machines, @GROUP or --all, or
    /// when it ends in / or is a folder: the folder for files that are named so, made when it is not
    /// there
    #[arg(short, long, value_name = "FILE.ht|DIR")]
    out: Option<PathBuf>,

    /// End after this time, counted from the first picture, which has 30 s to come
    #[arg(long = "for", value_name = "TIME", value_parser = super::duration)]
    time: Option<Duration>,

    /// Go on in a recording that is there, of one machine; half a frame at its end is cut off
    #[arg(long, conflicts_with = "force")]
    append: bool,

    /// Replace a file that is there, of one machine
    #[arg(long)]
    force: bool,

    /// Leave the monitoring as it is: never start it on connecting
    #[arg(long)]
    no_start: bool,

    /// End when the connection is lost or can't be made
    #[arg(long)]
    no_reconnect: bool,

    /// Ask for 1/N of the screen's width and height, N from 1 to 16
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    scale: u32,

    /// Ask for so many pictures a second at most; the agent has a limit of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_fps: Option<u32>,

    /// One JSON object a line on standard output, and nothing else there; with several machines, @GROUP
    /// or --all one line a machine
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    trust: TrustArgs,
}

/// Why it ended.
enum End {
    /// The time is over.
    Done,
    Interrupted,
    NoPicture,
    /// The connection is lost and not made again.
    Lost(String),
    /// The file can't be written.
    Failed,
}

/// Runs `hightower record`.
///
/// # Errors
/// When nothing was recorded, or not all of it.
pub(super) fn run(args: RecordArgs) -> anyhow::Result<ExitCode> {
    ensure!(
        args.out.as_deref() != Some(Path::new("-")),
        "a recording is a file, which its readers go back and forth in, and can't go to standard \
         output: give -o a name (./- for a file that is called so)"
    );
    let targets = args.machines.targets()?;
    let options = ClientOptions {
        security: args.trust.security(&targets)?,
        start: !args.no_start,
        reconnect: !args.no_reconnect,
        scale: args.scale,
        max_fps: args.max_fps.unwrap_or(0),
        ..ClientOptions::default()
    };
    let interrupted = interruption().context("can't listen for Ctrl-C")?;
    match (&args.machines.hosts[..], &targets[..]) {
        ([Whom::Machine(_)], [target]) => one(&args, target, options, &interrupted),
        _ => many::run(&args, &targets, &options, &interrupted),
    }
}

fn one(
    args: &RecordArgs,
    target: &Target,
    options: ClientOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    let path = match &args.out {
        Some(path) if names_folder(path) => {
            ensure!(
                !args.append && !args.force,
                "{} is a folder: --append and --force want the name of a file",
                path.display()
            );
            many::make(path)?;
            save::free_path(path, &target.to_string(), "ht")
        }
        Some(path) => path.clone(),
        None => save::free_path(Path::new("."), &target.to_string(), "ht"),
    };
    let existing = match (args.append, args.force) {
        (true, _) => Existing::Append,
        (_, true) => Existing::Replace,
        _ => Existing::Refuse,
    };
    // Before anybody is connected to.
    let writer = Writer::open(&path, existing)?;
    let mut output = Output { json: args.json, line: super::progress("{spinner} {msg}", None) };
    if let bytes @ 1.. = writer.cut() {
        let file = path.display();
        let words = format!("the last {bytes} bytes of {file} were half a frame, and are gone");
        output.event(&Event::Notice(words), target)?;
    }
    let client = Client::start(target.clone(), options)?;
    let progress = client.record(writer)?;
    let end = follow(&client, args, target, &progress, interrupted, &mut output)?;
    finish(&client, &progress, &mut output)?;
    output.line.finish_and_clear();
    // The last words may be of the disk.
    if let Some(Err(error)) = progress.outcome() {
        if progress.bytes() > 0 {
            bail!("{error}. What is in it can be played");
        }
        bail!("{error}");
    }
    if progress.pictures() > 0 {
        output.recorded(&progress)?;
    }
    if matches!(end, End::NoPicture) {
        let why = why_none(&client.view());
        bail!("nothing was recorded: no picture within {} s: {why}", FIRST_PICTURE.as_secs());
    }
    verdict(&end, progress.pictures(), progress.gaps())
}

/// Whether a name is that of a folder, be it there or not.
fn names_folder(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(std::path::MAIN_SEPARATOR) || name.ends_with('/') || path.is_dir()
}

/// Why there is no picture.
fn why_none(view: &View) -> String {
    let why = view.cause.as_ref().map(|cause| printable(&cause.to_string()));
    why.unwrap_or_else(|| crate::viewer::waiting_for(view))
}

/// How it went, when so many pictures were recorded, and the disk was too slow so many times.
fn verdict(end: &End, pictures: u64, gaps: u64) -> anyhow::Result<ExitCode> {
    match end {
        End::Lost(cause) => bail!("{cause}"),
        _ if gaps > 0 => bail!("pictures are missing: the disk was slower than the stream"),
        End::Interrupted if pictures == 0 => {
            super::remark("hightower: nothing was recorded: no picture came");
            Ok(ExitCode::from(130))
        }
        End::Done | End::Interrupted | End::NoPicture | End::Failed => Ok(ExitCode::SUCCESS),
    }
}

/// Follows the client until it is over, and tells how it goes.
fn follow(
    client: &Client,
    args: &RecordArgs,
    target: &Target,
    progress: &Arc<Progress>,
    interrupted: &AtomicBool,
    output: &mut Output,
) -> anyhow::Result<End> {
    let start = Instant::now();
    let mut first = None;
    let (mut seen, mut next) = (0, 0);
    loop {
        let (view, changes) = client.wait(seen, LOOK_UP);
        seen = changes;
        let (events, upto) = client.events(next);
        next = upto;
        for event in &events {
            output.event(event, target)?;
        }
        if first.is_none() && progress.pictures() > 0 {
            first = Some(Instant::now());
        }
        output.progress(&view, progress, first);
        let stop = interrupted.load(Ordering::Relaxed);
        if let Some(end) = ending(&view, progress, args.time, (start, first), stop) {
            return Ok(end);
        }
    }
}

/// Why a recording ends now that began then, and had its first picture then; if it does.
fn ending(
    view: &View,
    progress: &Progress,
    time: Option<Duration>,
    (start, first): (Instant, Option<Instant>),
    interrupted: bool,
) -> Option<End> {
    if progress.outcome().is_some() {
        return Some(End::Failed);
    }
    if interrupted {
        return Some(End::Interrupted);
    }
    match (time, first) {
        (Some(time), Some(first)) if first.elapsed() >= time => return Some(End::Done),
        (Some(_), None) if start.elapsed() >= FIRST_PICTURE => return Some(End::NoPicture),
        _ => {}
    }
    let cause = view.cause.as_ref().map(|cause| printable(&cause.to_string()));
    view.ended().then(|| End::Lost(cause.unwrap_or_default()))
}

/// Waits until all is written; a second Ctrl-C ends that, too.
fn finish(client: &Client, progress: &Progress, output: &mut Output) -> anyhow::Result<()> {
    client.end_recording();
    let mut seen = 0;
    while progress.outcome().is_none() {
        (_, seen) = client.wait(seen, LOOK_UP);
        output.line.set_message("writing what has come");
    }
    Ok(())
}

/// What is said: results on standard output, the rest on standard error.
struct Output {
    json: bool,
    line: ProgressBar,
}

impl Output {
    fn event(&mut self, event: &Event, target: &Target) -> anyhow::Result<()> {
        let (json, words) = match event {
            Event::Connected(peer) => (
                json!({"event": "connected", "peer": peer}),
                format!("connected to {target} ({peer})"),
            ),
            Event::Disconnected { cause, retry: Some(retry) } => (
                json!({"event": "disconnected", "cause": cause, "retry_ms": retry.as_millis()}),
                format!("disconnected: {cause}; trying again in {:.1} s", retry.as_secs_f64()),
            ),
            Event::Disconnected { cause, retry: None } => (
                json!({"event": "disconnected", "cause": cause, "retry_ms": null}),
                format!("disconnected: {cause}"),
            ),
            Event::Notice(text) => (json!({"event": "notice", "text": text}), text.clone()),
            _ => return Ok(()),
        };
        if self.json {
            return print(&json.to_string());
        }
        if self.line.is_hidden() {
            super::remark(words);
        } else {
            self.line.println(words);
        }
        Ok(())
    }

    fn progress(&self, view: &View, progress: &Progress, first: Option<Instant>) {
        if self.line.is_hidden() {
            return;
        }
        let time =
            first.map_or(Duration::ZERO, |first| Duration::from_secs(first.elapsed().as_secs()));
        let (pictures, bytes) = (progress.pictures(), size(progress.bytes()));
        let link = view.link.words();
        let at = &clock(time);
        let at = at.split('.').next().unwrap_or_default();
        self.line.set_message(format!("{at}  {pictures} pictures  {bytes}  {link}"));
        self.line.tick();
    }

    fn recorded(&self, progress: &Progress) -> anyhow::Result<()> {
        let (path, pictures, bytes) = (progress.path(), progress.pictures(), progress.bytes());
        let gaps = progress.gaps();
        if self.json {
            let line = json!({
                "event": "recorded", "path": path, "pictures": pictures, "bytes": bytes,
                "gaps": gaps,
            });
            return print(&line.to_string());
        }
        let gaps = match gaps {
            0 => String::new(),
            _ => format!("; the disk was too slow {gaps} times, and pictures are missing"),
        };
        print(&format!("{}: {}, {}{gaps}", path.display(), count(pictures), size(bytes)))
    }
}

fn count(pictures: u64) -> String {
    if pictures == 1 { "1 picture".into() } else { format!("{pictures} pictures") }
}

fn print(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is too slow is hard to come by, so this is tried without one.
    #[test]
    fn a_recording_that_lacks_pictures_is_a_failure() {
        let fails = |end, pictures, gaps| verdict(&end, pictures, gaps).is_err();
        assert!(fails(End::Done, 5, 1) && fails(End::Interrupted, 5, 2));
        assert!(fails(End::Lost("gone".into()), 5, 0));
        assert!(!fails(End::Done, 5, 0) && !fails(End::Interrupted, 5, 0));
    }
}
