//! Spool: where files wait that go through a hub, to a machine or from one.
//!
//! A file is sent on once it is whole here, as an agent is told its hash before its first byte; and
//! given once it is whole, as it is verified then. What was fetched stays for a while, so that whoever
//! was cut off goes on where they were.

use super::problem::Problem;
use super::turns::{Turn, Turns};
use crate::files::{free, size};
use actix_web::http::StatusCode;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest file, and the most that one request may bring, in bytes.
pub(super) const LONGEST: u64 = 64 << 30;

/// What stays free on the disk, in bytes.
const SPARED: u64 = 256 << 20;

/// How long what was fetched stays after it was last asked for, and how much of it.
const KEPT: Duration = Duration::from_secs(600);
const MOST: usize = 32;

/// Who brings files, or has them fetched, at a time, and who waits.
const AT_ONCE: (usize, usize) = (32, 128);

/// A file that was fetched, and verified.
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    /// What tells it from any other.
    pub(super) mark: String,
    /// Where it is, until nobody has it any more.
    pub(super) _folder: TempDir,
}

/// What was fetched, from which machine, and by what path there.
type Key = (String, String);

/// The folder.
pub(super) struct Spool {
    folder: PathBuf,
    turns: Turns,
    fetched: Mutex<HashMap<Key, (Arc<Fetched>, Instant)>>,
}

impl Spool {
    /// This folder, of which nobody has anything: what is there is of a hub that was killed. It is made
    /// once it is needed.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let turns = Turns::new(AT_ONCE.0, AT_ONCE.1);
        Ok(Self { folder, turns, fetched: Mutex::default() })
    }

    /// A turn, and a folder for what comes in it. It blocks for a moment.
    pub(super) async fn turn(&self) -> Result<(Turn, TempDir), Problem> {
        let turn = self.turns.turn().await?;
        let folder = self.folder.clone();
        let made = actix_web::web::block(move || {
            crate::files::make(&folder)?;
            TempDir::new_in(&folder)
        });
        let made = made.await.map_err(Problem::own)?;
        let folder = made.map_err(|e| Problem::own(format!("the hub can't keep files: {e}")))?;
        Ok((turn, folder))
    }

    /// Whether so many bytes more may come.
    pub(super) fn has_room(folder: &Path, bytes: u64) -> Result<(), Problem> {
        match free(folder) {
            Some(free) if free < bytes.saturating_add(SPARED) => {
                let (bytes, free) = (size(bytes), size(free));
                let words = format!("{bytes} are too much for the hub's disk, which has {free}");
                Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, words))
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Arc<Fetched>, Instant)>> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.retain(|_, (_, used)| used.elapsed() < KEPT);
        fetched
    }

    /// What was fetched of this machine by this path, if it is still here.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<Arc<Fetched>> {
        let key = (host.to_owned(), path.to_owned());
        let mut fetched = self.lock();
        let (found, used) = fetched.get_mut(&key)?;
        *used = Instant::now();
        Some(Arc::clone(found))
    }

    /// Keeps it for a while.
    pub(super) fn keep(&self, host: &str, path: &str, found: Arc<Fetched>) {
        let mut fetched = self.lock();
        if fetched.len() >= MOST {
            let oldest = fetched.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                fetched.remove(&oldest);
            }
        }
        fetched.insert((host.to_owned(), path.to_owned()), (found, Instant::now()));
    }

    /// Lets go of what nobody has asked for in a while. It blocks for a moment.
    pub(super) fn tidy(&self) {
        drop(self.lock());
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.fetched.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // Who still gets something from it has it open.
        drop(fs::remove_dir_all(&self.folder));
    }
}
