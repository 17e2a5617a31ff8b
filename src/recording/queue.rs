//! The bytes on their way to the disk, and the thread that writes them.

use super::writer::Writer;
use super::{Listener, RecordingError};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// One item for the file, or some that belong together; in pieces, so that a large frame needs no
/// copy.
pub(super) type Piece = [Bytes; 3];

/// How far a recording has come.
#[derive(Debug)]
pub struct Progress {
    path: PathBuf,
    since: Instant,
    pub(super) pictures: AtomicU64,
    pub(super) gaps: AtomicU64,
    bytes: AtomicU64,
    outcome: OnceLock<Result<(), String>>,
}

impl Progress {
    pub(super) fn new(path: &Path) -> Self {
        let (pictures, gaps, bytes) = Default::default();
        let (path, since) = (path.to_owned(), Instant::now());
        Self { path, since, pictures, gaps, bytes, outcome: OnceLock::new() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Pictures that were taken for it.
    #[must_use]
    pub fn pictures(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }

    /// How often the disk was too slow, and frames are missing.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Bytes that were written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How it has ended, once it has: well, or with the reason.
    #[must_use]
    pub fn outcome(&self) -> Option<&Result<(), String>> {
        self.outcome.get()
    }
}

/// What waits for the disk. It never holds more than its room, but for one item.
#[derive(Debug)]
pub(super) struct Queue {
    held: Mutex<Waiting>,
    filled: Condvar,
    room: usize,
    pub(super) progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    bytes: usize,
    closed: bool,
    failed: bool,
    /// Something found no room: a key frame is wanted once there is some.
    missed: bool,
}

impl Queue {
    pub(super) fn new(room: usize, progress: Arc<Progress>) -> Self {
        Self { held: Mutex::default(), filled: Condvar::new(), room, progress }
    }

    /// Puts a piece in, if there is room for it; what is `small` always has some. False when there
    /// is none: then a key frame is asked for as soon as most of what waits is written.
    pub(super) fn push(&self, piece: Piece, small: bool) -> bool {
        let mut held = self.lock();
        if held.failed || held.closed {
            return true;
        }
        let length = length(&piece);
        if !small && held.bytes > 0 && held.bytes + length > self.room {
            held.missed = true;
            return false;
        }
        held.missed &= small;
        held.bytes += length;
        held.pieces.push_back(piece);
        drop(held);
        self.filled.notify_one();
        true
    }

    /// Whether a key frame will be asked for when there is room.
    pub(super) fn waits_for_room(&self) -> bool {
        self.lock().missed
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// The writer's thread: writes until the queue is closed and empty, or writing fails.
    pub(super) fn drain(&self, mut writer: Writer, listener: &dyn Listener) {
        let outcome = self.write_all(&mut writer, listener).and_then(|()| writer.finish());
        let mut held = self.lock();
        held.failed = outcome.is_err();
        held.pieces.clear();
        held.bytes = 0;
        drop(held);
        let outcome = outcome.map_err(|e| e.to_string());
        // It is set here and nowhere else.
        let _ = self.progress.outcome.set(outcome);
        listener.ended(&self.progress);
    }

    fn write_all(
        &self,
        writer: &mut Writer,
        listener: &dyn Listener,
    ) -> Result<(), RecordingError> {
        while let Some(piece) = self.next() {
            writer.write(&piece)?;
            let length = length(&piece);
            self.progress.bytes.fetch_add(length as u64, Ordering::Relaxed);
            let mut held = self.lock();
            held.bytes -= length;
            let again = held.missed && held.bytes <= self.room / 4;
            held.missed &= !again;
            drop(held);
            if again {
                listener.want_key();
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<Piece> {
        let mut held = self
            .filled
            .wait_while(self.lock(), |held| held.pieces.is_empty() && !held.closed)
            .unwrap_or_else(PoisonError::into_inner);
        held.pieces.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn length(piece: &Piece) -> usize {
    piece.iter().map(Bytes::len).sum()
}
