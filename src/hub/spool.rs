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
use tokio::runtime::Handle;
use tokio::time::timeout;

/// The longest file, and the most that one request may bring, in bytes.
pub(super) const LONGEST: u64 = 64 << 30;

/// What stays free on the disk, in bytes.
const SPARED: u64 = 256 << 20;

/// How long what was fetched stays after it was last asked for, and in all, and how many files.
const KEPT: Duration = Duration::from_secs(600);
const OLDEST: Duration = Duration::from_secs(3600);
const MOST: usize = 32;

/// How long somebody waits for a turn.
const WAIT: Duration = Duration::from_secs(30);

/// Who brings files, or has them fetched, at a time, and who waits.
const AT_ONCE: (usize, usize) = (32, 128);

/// A file that was fetched, and verified.
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    /// What tells it from any other.
    pub(super) mark: String,
    pub(super) fetched: Instant,
    /// Where it is, until nobody has it any more.
    pub(super) _folder: Folder,
}

/// A folder, until nobody has it any more.
pub(super) struct Folder(Option<TempDir>);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Some(folder) = self.0.take() else { return };
        // What is large takes its time to go, and others are served here.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(folder))),
            Err(_) => drop(folder),
        }
    }
}

/// For whom something was fetched, from which machine, and by what path there.
pub(super) type Key = (String, String, String);

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
    pub(super) async fn turn(&self) -> Result<(Turn, Folder), Problem> {
        let turn = timeout(WAIT, self.turns.turn()).await;
        let turn =
            turn.map_err(|_| Problem::often("too many send or fetch files: try it again"))??;
        let folder = self.folder.clone();
        let made = actix_web::web::block(move || {
            crate::files::make(&folder)?;
            TempDir::new_in(&folder)
        });
        let made = made.await.map_err(Problem::own)?;
        let folder = made.map_err(|e| Problem::own(format!("the hub can't keep files: {e}")))?;
        Ok((turn, Folder(Some(folder))))
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
        let is_kept =
            |one: &Fetched, used: &Instant| used.elapsed() < KEPT && one.fetched.elapsed() < OLDEST;
        fetched.retain(|_, (one, used)| is_kept(one, used));
        fetched
    }

    /// What was fetched so, if it is still here.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Fetched>> {
        let mut fetched = self.lock();
        let (found, used) = fetched.get_mut(key)?;
        *used = Instant::now();
        Some(Arc::clone(found))
    }

    /// Keeps it for a while.
    pub(super) fn keep(&self, key: Key, found: Arc<Fetched>) {
        let mut fetched = self.lock();
        if fetched.len() >= MOST {
            let oldest = fetched.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                fetched.remove(&oldest);
            }
        }
        fetched.insert(key, (found, Instant::now()));
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
