//! An operator's end of files: sends them to an agent, fetches them from one, and goes on by itself
//! where the connection broke.

mod fetch;
mod journey;
mod parcel;
mod pour;
mod send;

pub use fetch::{Wanted, fetch};
pub use parcel::Parcel;
pub use send::send;

use crate::files::FileError;
use crate::viewer::Cause;
use std::time::Duration;

/// Is told how it goes.
pub trait Watcher {
    /// A file is begun, or goes on: its name, its length, and how much of it is there already.
    fn begins(&self, name: &str, size: u64, held: u64);
    /// So many of its first bytes are there.
    fn moved(&self, held: u64);
    /// The connection broke, and is made anew.
    fn waits(&self, why: &str);
}

/// Nobody wants to know.
impl Watcher for () {
    fn begins(&self, _: &str, _: u64, _: u64) {}
    fn moved(&self, _: u64) {}
    fn waits(&self, _: &str) {}
}

/// What was carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// How many files.
    pub files: usize,
    /// Their length together.
    pub bytes: u64,
    /// How much of it was on the network, and some perhaps twice.
    pub moved: u64,
    /// How often the connection was made anew.
    pub reconnects: u32,
    /// What they are called where they are now: files and folders that were named.
    pub names: Vec<String>,
    /// How much in folders was left out, being no file.
    pub left_out: usize,
}

/// Why it ended without being done.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is no connection, or no longer.
    #[error(transparent)]
    Cause(#[from] Cause),
    /// It broke too often, or for too long.
    #[error("the connection could not be made anew for {:.0?}: {last}", .patience)]
    Lost {
        /// How long it was tried.
        patience: Duration,
        /// What went wrong last.
        last: Cause,
    },
    /// The agent does not take it, or does not give it.
    #[error("'{name}': {why}")]
    Refused {
        /// What.
        name: String,
        /// In the agent's words.
        why: String,
    },
    /// Something is wrong with a file here.
    #[error("'{name}': {why}")]
    File {
        /// Which.
        name: String,
        /// What.
        why: FileError,
    },
    /// The agent does something else than it should.
    #[error("the agent {0}")]
    Odd(&'static str),
    /// A thread has failed.
    #[error("a part of this program has failed")]
    Died,
}
