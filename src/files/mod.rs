//! Files that are sent: names, the folders that they go to and come from, and what is there already.
//!
//! | module | what |
//! |---|---|
//! | `name` | what a file that comes from elsewhere may be called |
//! | `inbox` | the folder that receives, and the only one that is written to |
//! | `incoming` | a file that arrives |
//! | `partial` | files that have not arrived yet |
//! | `space` | what is free on the disk, and promised to what is under way |
//! | `outbox` | the folder that gives |
//! | `source` | a file that is sent |
//! | `folder` | all that is in a folder, without following links |
//! | `hashing` | the hash of what is read or written meanwhile |
//! | `beneath` | opens what is below a folder, and nothing else |
//! | `place` | where the folders are |
//!
//! Everything here blocks: it is for threads that may.

mod beneath;
mod buffers;
mod error;
mod folder;
mod hashing;
mod inbox;
mod incoming;
mod name;
mod outbox;
mod partial;
mod place;
mod source;
mod space;

pub use error::FileError;
pub use folder::{Entry, MAX_FILES, Survey, Walk};
pub(crate) use inbox::free;
pub use inbox::{Arrived, Begun, Inbox, check};
pub use incoming::Incoming;
pub use name::{MAX_NAME, NameError, clean, clean_path, numbered};
pub use outbox::{Found, Outbox};
pub use partial::KEPT;
pub(crate) use place::make;
pub use place::{inbox, outbox};
pub use source::{Known, Source};
pub use space::Space;

use hightower_proto::message::Digest;

/// How much is read at once to be hashed, in bytes.
const PIECE: usize = 256 * 1024;

/// The hash of nothing, as that of a folder that is complete.
#[must_use]
pub fn of_nothing() -> Digest {
    Digest(*blake3::hash(&[]).as_bytes())
}

/// A length in bytes, for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
