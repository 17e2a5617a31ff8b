//! Videos, by ffmpeg: it gets plain pixels by its standard input, at a fixed rate.

use super::{Exported, Job, canvas, picture, rgb, whole};
use crate::recording::{Recording, RecordingError};
use crate::text::printable;
use anyhow::{Context, bail, ensure};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Pictures a second, where nothing else is asked for.
const FPS: f64 = 25.0;

/// How long to wait before looking whether the user has had enough, and whether ffmpeg has ended.
const LOOK_UP: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_millis(10);

/// How much of what ffmpeg says is kept, in lines and in bytes a line.
const LINES: usize = 8;
const LINE: u64 = 4096;

pub(super) fn write(path: &Path, from: &mut Recording, job: &Job<'_>) -> anyhow::Result<Exported> {
    let fps = job.part.fps.unwrap_or(FPS);
    let pictures = job.part.pictures(from.index());
    ensure!(!pictures.is_empty(), "there is no picture in that part");
    let (size, mixed) = canvas(pictures.map(|number| from.index().size_of(number)))?;
    job.part.check(from.index(), fps)?;
    let count = job.part.ticks(from.index(), fps);
    whole(path, |beside| {
        let mut ffmpeg = Ffmpeg::start(path, beside, size, fps)?;
        let (over, child) = (AtomicBool::new(false), &ffmpeg.child.clone());
        std::thread::scope(|scope| {
            // It may take no pictures for long, or take long for the last ones.
            let watch = || {
                while !over.load(Ordering::Relaxed) {
                    if job.interrupted.load(Ordering::Relaxed) {
                        return end(child);
                    }
                    std::thread::park_timeout(LOOK_UP);
                }
            };
            let watcher = std::thread::Builder::new().spawn_scoped(scope, watch)?;
            // However this ends: the scope waits for the watcher.
            let done = Done(&over, watcher.thread().clone());
            let written = feed(&mut ffmpeg, from, job, (fps, count, size))
                .and_then(|fed| ffmpeg.finish(path, (fed, count)));
            drop(done);
            job.go_on().and(written)
        })?;
        let length = std::fs::metadata(beside).map_err(RecordingError::writing(path))?.len();
        ensure!(length > 0, "{} was not written: ffmpeg has made an empty file", path.display());
        Ok(Exported { pictures: count, size: Some(size), mixed })
    })
}

/// Gives it so many pictures of a size; says how many it has taken.
fn feed(
    ffmpeg: &mut Ffmpeg,
    from: &mut Recording,
    job: &Job<'_>,
    (fps, count, size): (f64, usize, (u32, u32)),
) -> anyhow::Result<usize> {
    let mut last = None;
    for done in 0..count {
        let number = job.part.tick(from.index(), fps, done);
        if last.as_ref().is_none_or(|&(shown, _)| shown != number) {
            let picture = picture(from, number)?;
            last = Some((number, rgb(&picture, (0, 0), (size.0 as usize, size.1 as usize))));
        }
        let Some((_, pixels)) = &last else { return Ok(done) };
        if ffmpeg.feed(pixels).is_err() {
            // What it has said of it tells more than a broken pipe.
            return Ok(done);
        }
        job.done(done + 1, count)?;
    }
    Ok(count)
}

/// Tells a thread that it may end when this is dropped.
struct Done<'a>(&'a AtomicBool, Thread);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

/// A running ffmpeg; it ends with this.
struct Ffmpeg {
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    said: Option<JoinHandle<VecDeque<String>>>,
}

impl Ffmpeg {
    fn start(path: &Path, to: &Path, size: (u32, u32), fps: f64) -> anyhow::Result<Self> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-nostats", "-y"]);
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24"]);
        command.args(["-s", &format!("{}x{}", size.0, size.1), "-r", &fps.to_string()]);
        command.args(["-i", "pipe:0"]);
        let extension = path.extension().map(OsStr::to_ascii_lowercase).unwrap_or_default();
        match extension.to_str() {
            // A palette of its own for each picture, so that not all of them have to be kept.
            Some("gif") => command.args([
                "-filter_complex",
                "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1",
            ]),
            // Players want whole pairs of pixels, and a colour format that is no screen's.
            Some("mp4" | "m4v" | "mov" | "mkv") => {
                command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"])
            }
            _ => &mut command,
        };
        // A path that begins with a dash is no option.
        let to = if to.is_absolute() { to.to_owned() } else { Path::new(".").join(to) };
        command.arg(to).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Ctrl-C is for this program, which ends that one.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) if e.kind() == io::ErrorKind::NotFound => bail!(
                "{} needs ffmpeg, which is not installed (on Debian and Ubuntu: apt install \
                 ffmpeg); .png, .apng and folders need nothing else",
                path.display()
            ),
            Err(e) => return Err(e).context("ffmpeg can't be started"),
        };
        let said = child.stderr.take().map(|stderr| std::thread::spawn(move || listen(stderr)));
        let stdin = child.stdin.take();
        Ok(Self { child: Arc::new(Mutex::new(child)), stdin, said })
    }

    fn feed(&mut self, pixels: &[u8]) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(pixels),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until it has ended, when it has taken so many pictures of so many.
    fn finish(&mut self, path: &Path, (fed, count): (usize, usize)) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let status = loop {
            let ended = lock(&self.child).try_wait().map_err(RecordingError::writing(path))?;
            match ended {
                Some(status) => break status,
                // Not locked meanwhile: whoever interrupts it has to reach it.
                None => std::thread::sleep(SOON),
            }
        };
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        if status.success() && fed == count {
            return Ok(());
        }
        let last = said.iter().rev().find(|line| !line.trim().is_empty());
        let words = printable(last.map_or("it said nothing", |line| line.trim()));
        let path = path.display();
        ensure!(
            !status.success(),
            "{path} was not written: ffmpeg has ended after {fed} of {count} pictures: {words}"
        );
        bail!("{path} was not written: ffmpeg failed ({status}): {words}")
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // It has ended, or is not to go on.
        end(&self.child);
        let _ = lock(&self.child).wait();
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(child: &Mutex<Child>) {
    // It may have ended by itself.
    let _ = lock(child).kill();
}

/// The last lines of what it says.
fn listen(stderr: ChildStderr) -> VecDeque<String> {
    let (mut reader, mut lines) = (BufReader::new(stderr), VecDeque::new());
    let mut line = Vec::new();
    while matches!(reader.by_ref().take(LINE).read_until(b'\n', &mut line), Ok(1..)) {
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).into_owned());
        line.clear();
    }
    lines
}
