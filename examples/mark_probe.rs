//! A viewer that measures: it reads a number, the MARK, from each picture, and notes when.
//!
//! ```text
//! mark_probe HOST[:PORT] SECONDS LOG
//! ```
//!
//! The MARK is 24 cells of 8x8 pixels in the upper left corner, the highest bit first; a cell whose
//! middle has a green of 128 or more is a 1. Whoever draws it on the screen and notes when it did
//! knows from the log how long each picture took to get here.
//!
//! The log's lines, times in nanoseconds of the system's monotonic clock, and bytes as many as were
//! received by then:
//!
//! - `ready NS BYTES` at the first picture,
//! - `MARK NS BYTES ARRIVED` when a new MARK is in a decoded picture, whose last byte came at ARRIVED,
//! - `end NS BYTES` after SECONDS or at SIGTERM,
//! - `hash H`: FNV-1a of the last picture's pixels, 0xRRGGBB each, in hexadecimal digits.

fn main() -> anyhow::Result<()> {
    probe::main()
}

#[cfg(not(unix))]
mod probe {
    pub(super) fn main() -> anyhow::Result<()> {
        anyhow::bail!("there is no clock here that other programs share")
    }
}

#[cfg(unix)]
mod probe {
    use anyhow::Context;
    use hightower::address::Target;
    use hightower::viewer::{Client, ClientOptions, Picture, View};
    use rustix::time::{ClockId, clock_gettime};
    use std::fs::File;
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::PoisonError;
    use std::time::Duration;
    use tokio::signal::unix::{SignalKind, signal};

    /// How long the connection may take to end well: whoever measures does not wait.
    const TRIES: Duration = Duration::from_millis(100);

    pub(super) fn main() -> anyhow::Result<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [target, seconds, log] = &arguments[..] else {
            anyhow::bail!("usage: mark_probe HOST[:PORT] SECONDS LOG");
        };
        let target: Target = target.parse()?;
        let limit = Duration::try_from_secs_f64(seconds.parse().context("SECONDS")?)?;
        let log = File::create(log).with_context(|| format!("can't write {log}"))?;
        let log = Arc::new(Mutex::new(Log { file: log, mark: None }));

        let seen = log.clone();
        let watcher = move |view: &View| {
            let mut log = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = log.picture(view) {
                eprintln!("mark_probe: the log can't be written: {error}");
            }
        };
        let client = Client::start_watched(target, ClientOptions::default(), watcher)?;
        let ended = || client.view().ended();
        wait(limit, ended)?;
        let view = client.view();
        client.stop();
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.line(&format!("end {} {}", now_ns(), view.counters.bytes))?;
        if let Some(picture) = &view.picture {
            log.line(&format!("hash {:016x}", hash(picture)))?;
        }
        Ok(())
    }

    /// Waits for the end of the time, for SIGTERM, or until there is nothing more to come.
    fn wait(limit: Duration, ended: impl Fn() -> bool) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            let nothing_more = async {
                while !ended() {
                    tokio::time::sleep(TRIES).await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(limit) => {}
                _ = terminated.recv() => {}
                () = nothing_more => {}
            }
            Ok(())
        })
    }

    struct Log {
        file: File,
        /// The last MARK that was seen; `None` before the first picture.
        mark: Option<u32>,
    }

    impl Log {
        fn picture(&mut self, view: &View) -> io::Result<()> {
            let Some(picture) = &view.picture else { return Ok(()) };
            let mark = mark(picture);
            let now = now_ns();
            if self.mark == mark && mark.is_some() {
                return Ok(());
            }
            let bytes = view.counters.bytes;
            if self.mark.is_none() {
                self.line(&format!("ready {now} {bytes}"))?;
            }
            // What is too small to have a MARK shows 0.
            self.mark = mark.or(Some(0));
            let arrived = now - picture.received.elapsed().as_nanos() as i64;
            self.line(&format!("{} {now} {bytes} {arrived}", self.mark.unwrap_or(0)))
        }

        fn line(&mut self, line: &str) -> io::Result<()> {
            // At once, and in one piece: others read the log as it grows.
            self.file.write_all(format!("{line}\n").as_bytes())
        }
    }

    fn now_ns() -> i64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    /// The number in the picture's corner.
    fn mark(picture: &Picture) -> Option<u32> {
        let row = (picture.height > 4).then(|| picture.row(4))?;
        (0..24).try_fold(0, |mark, i| {
            let [_, _, green, _] = row.get(i * 8 + 4)?.to_be_bytes();
            Some(mark << 1 | u32::from(green >= 128))
        })
    }

    fn hash(picture: &Picture) -> u64 {
        picture.rows().flatten().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &pixel| {
            (hash ^ u64::from(pixel & 0xff_ffff)).wrapping_mul(0x100_0000_01b3)
        })
    }
}
