//! Many machines recorded at once, each into a file of its own.

use super::{End, LOOK_UP, RecordArgs, count, ending, print, why_none};
use crate::address::Target;
use crate::cli::machines::{Outcome, summary};
use crate::recording::{Existing, Progress, Writer, clock, size};
use crate::viewer::save;
use crate::viewer::{Client, ClientOptions, Event};
use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A machine that is recorded.
struct Take {
    name: String,
    client: Client,
    progress: Arc<Progress>,
    /// The next event to be told of.
    next: u64,
    /// That it is away was said.
    away: bool,
    start: Instant,
    first: Option<Instant>,
    /// Why it ends, and why it would have no picture; what has come is still written then.
    end: Option<(End, String)>,
}

/// Records them until the time is over, or Ctrl-C; prints a line for each as it ends.
///
/// # Errors
/// When none can be begun, or nobody hears what came of them.
pub(super) fn run(
    args: &RecordArgs,
    targets: &[Target],
    options: &ClientOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    ensure!(
        !args.append && !args.force,
        "several machines are recorded into new files: --append and --force are for one"
    );
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("."));
    let is_file = folder.extension().is_some_and(|ext| ext == "ht") && !folder.is_dir();
    ensure!(
        !is_file,
        "{} looks like a file: for several machines, -o names the folder of their files",
        folder.display()
    );
    make(&folder)?;
    let mut takes = Vec::new();
    // All files are there before anybody is connected to.
    for (target, writer) in targets.iter().zip(writers(targets, &folder)?) {
        let client = Client::start(target.clone(), options.clone())?;
        let progress = client.record(writer)?;
        let (name, start) = (target.to_string(), Instant::now());
        let (next, away, first, end) = (0, false, None, None);
        takes.push(Take { name, client, progress, next, away, start, first, end });
    }
    let line = crate::cli::progress("{spinner} {msg}", None);
    let width = takes.iter().map(|take| take.name.chars().count()).max().unwrap_or(0);
    let all = takes.len();
    let (mut done, mut pictures, mut leaving) = (0, 0, Vec::new());
    while !takes.is_empty() {
        let stop = interrupted.load(Ordering::Relaxed);
        let mut at = 0;
        while let Some(take) = takes.get_mut(at) {
            take.look(args.time, stop);
            take.tell(&line);
            let Some(outcome) = take.outcome() else {
                at += 1;
                continue;
            };
            done += usize::from(outcome.result.is_ok());
            pictures += take.progress.pictures();
            let words = outcome.line(&take.name, width, args.json);
            line.suspend(|| print(&words))?;
            leaving.extend(leave(takes.swap_remove(at)));
        }
        if !line.is_hidden() && !takes.is_empty() {
            line.set_message(state(&takes, all));
            line.tick();
        }
        if !takes.is_empty() {
            std::thread::sleep(LOOK_UP);
        }
    }
    line.finish_and_clear();
    for thread in leaving {
        // What it could have said is said.
        drop(thread.join());
    }
    if !args.json {
        summary(all, done);
    }
    Ok(match done == all {
        true => ExitCode::SUCCESS,
        false if pictures == 0 && interrupted.load(Ordering::Relaxed) => ExitCode::from(130),
        false => ExitCode::FAILURE,
    })
}

/// Makes a folder for recordings, when it is not there.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} can't be made", folder.display()))
}

/// A new file for each machine, or none at all.
fn writers(targets: &[Target], folder: &Path) -> anyhow::Result<Vec<Writer>> {
    let mut writers = Vec::new();
    for target in targets {
        let path = save::free_path(folder, &target.to_string(), "ht");
        match Writer::open(&path, Existing::Refuse) {
            Ok(writer) => writers.push(writer),
            Err(error) => {
                for writer in writers {
                    // It removes an empty file; the first error is the one to tell.
                    drop(writer.finish());
                }
                return Err(error.into());
            }
        }
    }
    Ok(writers)
}

/// Says goodbye to a machine while others are recorded.
fn leave(take: Take) -> Option<JoinHandle<()>> {
    // Without a thread to spare it is done here and now.
    std::thread::Builder::new().name("leave".into()).spawn(move || drop(take)).ok()
}

/// How it goes, in a line.
fn state(takes: &[Take], all: usize) -> String {
    let first = takes.iter().filter_map(|take| take.first).min();
    let time = first.map_or(0, |first| first.elapsed().as_secs());
    let time = clock(Duration::from_secs(time));
    let time = time.split('.').next().unwrap_or_default();
    let live = takes.iter().filter(|take| take.first.is_some() && !take.away).count();
    let pictures = takes.iter().map(|take| take.progress.pictures()).sum();
    let bytes = takes.iter().map(|take| take.progress.bytes()).sum();
    format!("{time}  {live} of {all} machines  {}  {}", count(pictures), size(bytes))
}

impl Take {
    /// Ends it when it is time to.
    fn look(&mut self, time: Option<Duration>, interrupted: bool) {
        if self.end.is_some() {
            return;
        }
        if self.first.is_none() && self.progress.pictures() > 0 {
            self.first = Some(Instant::now());
        }
        let view = self.client.view();
        let times = (self.start, self.first);
        if let Some(end) = ending(&view, &self.progress, time, times, interrupted) {
            self.end = Some((end, why_none(&view)));
            self.client.end_recording();
        }
    }

    /// Says what has happened on standard error, and of a machine that is away only that it is.
    fn tell(&mut self, line: &ProgressBar) {
        let (events, next) = self.client.events(self.next);
        self.next = next;
        for event in events {
            let words = match event {
                Event::Connected(peer) => {
                    self.away = false;
                    format!("{}: connected ({peer})", self.name)
                }
                Event::Disconnected { cause, retry: Some(_) } if !self.away => {
                    self.away = true;
                    format!("{}: disconnected: {cause}; trying again", self.name)
                }
                // How it has ended is said in its line.
                Event::Notice(text) if self.end.is_none() => format!("{}: {text}", self.name),
                _ => continue,
            };
            line.suspend(|| crate::cli::remark(words));
        }
    }

    /// What came of it, once all is written.
    fn outcome(&self) -> Option<Outcome> {
        let ((end, none), written) = (self.end.as_ref()?, self.progress.outcome()?);
        let (pictures, bytes) = (self.progress.pictures(), self.progress.bytes());
        let (gaps, path) = (self.progress.gaps(), self.progress.path().display());
        let rest = match bytes {
            0 => String::new(),
            _ => format!("; {} of it, {}, are in {path}", count(pictures), size(bytes)),
        };
        let outcome = match (written, end) {
            (Err(error), _) => Outcome::failed(format!("{error}{rest}")),
            (_, End::Lost(cause)) => Outcome::failed(format!("{cause}{rest}")),
            _ if pictures == 0 => Outcome::failed(format!("no picture came: {none}")),
            _ if gaps > 0 => Outcome::failed(format!(
                "pictures are missing: the disk was slower than the stream{rest}"
            )),
            _ => Outcome::done(format!("{}, {}  {path}", count(pictures), size(bytes))),
        };
        let path = (bytes > 0).then(|| self.progress.path().to_string_lossy());
        let outcome = outcome.with("path", path).with("pictures", pictures);
        Some(outcome.with("bytes", bytes).with("gaps", gaps))
    }
}
