//! The `htFr` PNG chunk: which version of which canvas a frame is.
//!
//! The four case bits of the name say: ancillary (decoders that don't know it skip it), private,
//! reserved bit as PNG demands, safe to copy. It stands between `IHDR` and the first `IDAT`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The chunk's type.
pub const CHUNK: [u8; 4] = *b"htFr";

/// The chunk layout described here; the first byte of its data.
pub const LAYOUT: u8 = 1;

/// The length of the chunk's data in layout 1.
pub const LENGTH: usize = 42;

const FLAG_LAST: u8 = 1;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// The version of the canvas that this frame brings its viewer to, from 1.
    pub version: u64,
    /// The version this frame builds on; 0 when it builds on none (a key frame).
    pub base: u64,
    /// When the screen was captured: microseconds since 1970, by the agent's clock.
    pub captured_us: u64,
    /// Width and height of the whole canvas, in pixels.
    pub canvas: (u32, u32),
    /// Where the image's left upper corner lies on the canvas, in pixels.
    pub position: (u32, u32),
    /// Whether this is the last rectangle of its update: from here on the version is whole.
    pub last: bool,
}

/// Why a chunk's data are not a [`FrameInfo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameInfoError {
    /// The data have another length than their layout.
    #[error("an htFr chunk has {LENGTH} bytes, not {0}")]
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
}

impl FrameInfo {
    /// Whether the frame stands alone.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.base == 0
    }

    /// The chunk's data, without length, type and checksum.
    #[must_use]
    pub fn data(&self) -> [u8; LENGTH] {
        let mut out = [0u8; LENGTH];
        let mut b = &mut out[..];
        b.put_u8(LAYOUT);
        b.put_u8(if self.last { FLAG_LAST } else { 0 });
        b.put_u64(self.version);
        b.put_u64(self.base);
        b.put_u64(self.captured_us);
        b.put_u32(self.canvas.0);
        b.put_u32(self.canvas.1);
        b.put_u32(self.position.0);
        b.put_u32(self.position.1);
        out
    }

    /// The whole chunk as it stands in a PNG: length, type, data, checksum.
    #[must_use]
    pub fn chunk(&self) -> Bytes {
        let data = self.data();
        let mut out = BytesMut::with_capacity(12 + LENGTH);
        out.put_u32(LENGTH as u32);
        out.put_slice(&CHUNK);
        out.put_slice(&data);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&CHUNK);
        crc.update(&data);
        out.put_u32(crc.finalize());
        out.freeze()
    }

    /// Parses a chunk's data.
    ///
    /// # Errors
    /// When they are not exactly layout 1.
    pub fn parse(data: &[u8]) -> Result<Self, FrameInfoError> {
        if let Some(&layout) = data.first()
            && layout != LAYOUT
        {
            return Err(FrameInfoError::Layout(layout));
        }
        if data.len() != LENGTH {
            return Err(FrameInfoError::Length(data.len()));
        }
        let mut b = &data[1..];
        let flags = b.get_u8();
        if flags & !FLAG_LAST != 0 {
            return Err(FrameInfoError::Flags(flags));
        }
        let info = Self {
            last: flags & FLAG_LAST != 0,
            version: b.get_u64(),
            base: b.get_u64(),
            captured_us: b.get_u64(),
            canvas: (b.get_u32(), b.get_u32()),
            position: (b.get_u32(), b.get_u32()),
        };
        if info.version <= info.base {
            return Err(FrameInfoError::Version { version: info.version, base: info.base });
        }
        Ok(info)
    }
}
