//! What can be wrong with a chunk's data.

use crate::limits::{MAX_MOVES, MAX_TILES};

/// Why a chunk's data are not a [`FrameInfo`](super::FrameInfo). Every offset counts from the data's
/// first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameInfoError {
    /// The data have a length that their layout does not.
    #[error("an htFr chunk of {0} bytes is too long or too short for its layout")]
    Length(usize),
    /// A layout this revision does not know.
    #[error("htFr layout {0} is not known")]
    Layout(u8),
    /// A reserved flag is set.
    #[error("htFr flags {0:#04x} have a reserved bit")]
    Flags(u8),
    /// The version is 0, or does not come after its base.
    #[error("htFr version {version} does not follow base {base}")]
    Version {
        /// The version.
        version: u64,
        /// What it builds on.
        base: u64,
    },
    /// A delta frame builds on no version: its base would be itself, or less than 1.
    #[error("htFr version {version} has no base {back} before it")]
    Base {
        /// The version.
        version: u64,
        /// How far before it the base should be.
        back: u64,
    },
    /// The data of a delta frame end too early, at their end.
    #[error("the htFr chunk is cut off at byte {0}")]
    Truncated(usize),
    /// Something follows the last tile.
    #[error("the htFr chunk goes on at byte {0}, behind its end")]
    Trailing(usize),
    /// A number is not in its shortest form.
    #[error("the number at byte {0} of the htFr chunk has a shorter form")]
    NotShortest(usize),
    /// A number has more bits than its place takes.
    #[error("the number at byte {0} of the htFr chunk is too great")]
    TooGreat(usize),
    /// More moves than one frame may have.
    #[error("an htFr chunk has {0} moves, more than {MAX_MOVES}")]
    TooManyMoves(u32),
    /// More tiles than one frame may have.
    #[error("an htFr chunk has {0} tiles, more than {MAX_TILES}")]
    TooManyTiles(u32),
    /// A move or tile has a width or height of 0.
    #[error("the move or tile at byte {0} of the htFr chunk has no pixels")]
    Empty(usize),
    /// A move ends where it begins.
    #[error("the move at byte {0} of the htFr chunk goes nowhere")]
    Nowhere(usize),
    /// A move goes to a place that is negative, or has no 32 bits.
    #[error("the move at byte {0} of the htFr chunk goes to no place")]
    Target(usize),
}
