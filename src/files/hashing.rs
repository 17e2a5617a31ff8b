//! Hashes on a thread of its own while more is read or written.

use bytes::Bytes;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// So many bytes are hashed before it is worth a thread.
const APART: u64 = 1 << 20;

/// Pieces that may wait to be hashed.
const WAITING: usize = 2;

/// A hash that is being made.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    /// Where it is made, as long as it is made here.
    hasher: blake3::Hasher,
    length: u64,
    apart: Option<Apart>,
}

/// It is made on a thread, which ends when nothing more can come.
#[derive(Debug)]
struct Apart {
    pieces: SyncSender<Bytes>,
    thread: JoinHandle<blake3::Hasher>,
}

impl Hashing {
    /// The next bytes. Waits only when several pieces do already.
    pub(super) fn update(&mut self, data: Bytes) {
        self.length += data.len() as u64;
        if self.length > APART && self.apart.is_none() {
            self.apart = Apart::new(&self.hasher);
        }
        match &self.apart {
            // It takes all that comes, as its thread ends only after this.
            Some(apart) => drop(apart.pieces.send(data)),
            None => {
                self.hasher.update(&data);
            }
        }
    }

    /// How many bytes there were.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The hash of all of them.
    pub(super) fn finish(self) -> blake3::Hash {
        match self.apart {
            Some(Apart { pieces, thread }) => {
                drop(pieces);
                // Hashing does not fail; if it did, this is the hash of something else.
                thread.join().unwrap_or_default().finalize()
            }
            None => self.hasher.finalize(),
        }
    }
}

impl Apart {
    /// Goes on from there; `None` where no thread can be had.
    fn new(from: &blake3::Hasher) -> Option<Self> {
        let (pieces, waiting) = sync_channel::<Bytes>(WAITING);
        let mut hasher = from.clone();
        let hashing = move || {
            for piece in waiting {
                hasher.update(&piece);
            }
            hasher
        };
        let thread = Builder::new().name("hash".into()).spawn(hashing).ok()?;
        Some(Self { pieces, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_hash_on_a_thread() {
        for pieces in [0, 1, 4, 50] {
            let (mut hashing, mut hasher) = (Hashing::default(), blake3::Hasher::new());
            for number in 0..pieces {
                let piece = vec![number; (1 << 18) + usize::from(number)];
                hasher.update(&piece);
                hashing.update(piece.into());
            }
            assert_eq!(hashing.length(), hasher.count());
            assert_eq!(hashing.finish(), hasher.finalize(), "{pieces} pieces");
        }
    }
}
