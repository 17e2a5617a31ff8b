//! The `htFr` PNG chunk: which version of which canvas a frame is, and where its pixels go.
//!
//! The four case bits of the name say: ancillary (decoders that don't know it skip it), private,
//! reserved bit as PNG demands, safe to copy. It stands between `IHDR` and the first `IDAT`.
//!
//! A key frame is the whole canvas, and is written in layout 1. A delta frame is what has changed
//! since a version that its viewer has: [`Move`]s, then [`Tile`]s. It is written in layout 2. All
//! tiles stand in the one image, one below the other at its left edge.

mod canvas;
mod delta;
mod error;
mod key;
mod number;

pub use canvas::CanvasError;
pub use delta::MAX_LENGTH;
pub use error::FrameInfoError;
pub use key::KEY_LENGTH;

use bytes::{BufMut, Bytes, BytesMut};

/// The chunk's type.
pub const CHUNK: [u8; 4] = *b"htFr";

/// The layout of key frames; the first byte of the chunk's data.
pub const LAYOUT_KEY: u8 = 1;

/// The layout of delta frames; the first byte of the chunk's data.
pub const LAYOUT_DELTA: u8 = 2;

const FLAG_LAST: u8 = 1;

/// What a frame says of itself. All places and sizes are x and y, or width and height, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameInfo {
    /// The version of the canvas that this frame brings its viewer to, from 1.
    pub version: u64,
    /// The version this frame builds on, less than `version`; 0 when it builds on none (a key
    /// frame).
    pub base: u64,
    /// When the screen was captured: microseconds since 1970, by the agent's clock.
    pub captured_us: u64,
    /// Width and height of the whole canvas.
    pub canvas: (u32, u32),
    /// Whether this is the last frame of its update: from here on the version is whole.
    pub last: bool,
    /// What is moved within the canvas, in order, before the tiles are placed. At most
    /// [`MAX_MOVES`](crate::limits::MAX_MOVES); none in a key frame.
    pub moves: Vec<Move>,
    /// Where the pieces of the image go, in the order in which they stand in it. At most
    /// [`MAX_TILES`](crate::limits::MAX_TILES); the whole canvas alone in a key frame.
    pub tiles: Vec<Tile>,
}

/// A rectangle of the canvas that is copied to another place, as it is after the moves before.
///
/// The two places may overlap; what arrives is what was there before, as with `memmove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Move {
    /// The left upper corner of what is copied, on the canvas.
    pub from: (u32, u32),
    /// Its width and height, neither 0.
    pub size: (u32, u32),
    /// The left upper corner of where it goes, on the canvas; not `from`.
    pub to: (u32, u32),
}

/// Where on the canvas a piece of the image goes.
///
/// In the image it is at the left edge, below the tiles before it; what is right of it there, where
/// another tile is wider, is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Its left upper corner on the canvas.
    pub position: (u32, u32),
    /// Its width and height, neither 0.
    pub size: (u32, u32),
}

impl FrameInfo {
    /// What a key frame of this canvas says, `captured_us` microseconds since 1970.
    #[must_use]
    pub fn key(version: u64, captured_us: u64, canvas: (u32, u32)) -> Self {
        let tiles = vec![Tile { position: (0, 0), size: canvas }];
        Self { version, base: 0, captured_us, canvas, last: true, moves: Vec::new(), tiles }
    }

    /// Whether the frame stands alone.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.base == 0
    }

    /// What the PNG's image must measure: as wide as the widest tile, as high as all of them
    /// together; 1 by 1 where there are none. A height beyond 32 bits is the greatest of them, which
    /// no limits allow.
    #[must_use]
    pub fn image_size(&self) -> (u32, u32) {
        let width = self.tiles.iter().map(|t| t.size.0).max();
        let height = self.tiles.iter().fold(0u32, |sum, t| sum.saturating_add(t.size.1));
        width.map_or((1, 1), |width| (width, height))
    }

    /// The chunk's data, without length, type and checksum: layout 1 of a key frame, layout 2 of a
    /// delta. Only what keeps to the bounds of the fields can be parsed again.
    #[must_use]
    pub fn data(&self) -> Bytes {
        if self.is_key() { key::write(self) } else { delta::write(self) }
    }

    /// The whole chunk as it stands in a PNG: length, type, data, checksum.
    #[must_use]
    pub fn chunk(&self) -> Bytes {
        let data = self.data();
        let mut out = BytesMut::with_capacity(12 + data.len());
        out.put_u32(data.len() as u32);
        out.put_slice(&CHUNK);
        out.put_slice(&data);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&CHUNK);
        crc.update(&data);
        out.put_u32(crc.finalize());
        out.freeze()
    }

    /// Parses a chunk's data. `image` is the width and height of the image it stands in: layout 1
    /// does not repeat them, so its one tile has that size.
    ///
    /// A delta frame in layout 1, which no agent sends, is read like any other. Whether all this
    /// fits the canvas and the image is for [`FrameInfo::check`] to say.
    ///
    /// # Errors
    /// When the data are not exactly what their layout says.
    pub fn parse(data: &[u8], image: (u32, u32)) -> Result<Self, FrameInfoError> {
        match data.first() {
            None => Err(FrameInfoError::Length(0)),
            Some(&LAYOUT_KEY) => key::parse(data, image),
            Some(&LAYOUT_DELTA) => delta::parse(data),
            Some(&layout) => Err(FrameInfoError::Layout(layout)),
        }
    }
}

/// Whether the flags say that the frame is the last of its update.
fn parse_flags(flags: u8) -> Result<bool, FrameInfoError> {
    if flags & !FLAG_LAST != 0 {
        return Err(FrameInfoError::Flags(flags));
    }
    Ok(flags & FLAG_LAST != 0)
}

fn flags(info: &FrameInfo) -> u8 {
    if info.last { FLAG_LAST } else { 0 }
}
