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
//! | `block`, `huffman` | a block of deflate, and its codes |
//! | `chunk`, `sink` | PNG's chunks behind a frame's header; the memory they are written in |
//! | `adler` | checksums of parts put together |

mod adler;
mod block;
mod chunk;
mod delta;
mod error;
mod filter;
mod group;
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

/// How much work a smaller frame is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// The least time on both sides: for links that carry a frame faster than it is made, from
    /// about 200 Mbit/s on.
    #[default]
    Fast,
    /// Fewer bytes, at several times the time: for slower links.
    Small,
}
