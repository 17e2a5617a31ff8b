//! PNG for the wire: the agent's encoder of frames.
//!
//! | file | what |
//! |---|---|
//! | `delta` | an update becomes frames: [`encode_delta`] |
//! | `key` | the whole picture becomes one frame, band by band: [`KeyEncoder`] |
//! | `group` | which tiles share a frame |
//! | `lane` | a thread's workplace: an image becomes a stream of deflate |
//! | `pair` | two threads for one frame |
//! | `palette`, `filter` | samples: few colours, many colours |
//! | `lz` | what repeats |
//! | `token` | a byte, a pixel, or a copy of what was before |
//! | `block`, `header`, `huffman` | a block of deflate, what it says of its codes, and these |
//! | `chunk`, `sink` | PNG's chunks behind a frame's header; the memory they are written in |
//! | `adler` | checksums of parts put together |

mod adler;
mod block;
mod chunk;
mod delta;
mod error;
mod filter;
mod group;
mod header;
mod huffman;
mod key;
mod lane;
mod lz;
mod pair;
mod palette;
mod sink;
mod token;

pub use delta::{Scratch, encode_delta};
pub use error::EncodeError;
pub use key::KeyEncoder;

/// How much work a smaller frame is worth; each is more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Effort {
    /// Half of what compresses badly is not compressed at all: for links that carry it, and viewers
    /// that decode it, in less time than that takes, from about 200 MB/s on.
    Least,
    /// What takes the least time on most links.
    #[default]
    Fast,
    /// A search for all that repeats, at about four times the time, for a sixth fewer bytes where
    /// there is text: for links below about 5 MB/s.
    Small,
}

impl Effort {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Least, Self::Fast, Self::Small];
}
