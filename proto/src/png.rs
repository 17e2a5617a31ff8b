//! The little of PNG that the wire needs: the header held against the limits, and the chunks
//! before the pixels. Pixels are decoded elsewhere.

use crate::htfr::{self, CanvasError, FrameInfo, FrameInfoError};
use crate::limits::Limits;

/// The eight bytes every PNG begins with.
pub const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];

/// What stands in a PNG before its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits a sample: 1, 2, 4, 8 or 16.
    pub depth: u8,
    /// PNG's colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
    pub color: u8,
    /// The `htFr` chunk, where there is one in a layout this revision knows.
    pub frame: Option<FrameInfo>,
}

/// What is wrong with a PNG; every offset counts from the PNG's first byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PngError {
    /// It does not begin like a PNG.
    #[error("not a PNG: it begins with {0:02x?}")]
    Signature(Vec<u8>),
    /// It ends in the middle of a chunk, or before its pixels.
    #[error("the PNG is cut off at byte {0}")]
    Truncated(usize),
    /// The first chunk is not a header of 13 bytes.
    #[error("the PNG's first chunk is not IHDR")]
    NoHeader,
    /// A chunk's checksum does not match.
    #[error("the checksum of the chunk at byte {0} is wrong")]
    Checksum(usize),
    /// A chunk type with a byte that is not a letter.
    #[error("the chunk at byte {0} has no valid type")]
    ChunkType(usize),
    /// A colour type and depth that PNG does not have.
    #[error("the PNG's colour type {color} with {depth} bits does not exist")]
    Color {
        /// The colour type.
        color: u8,
        /// Bits a sample.
        depth: u8,
    },
    /// More pixels than allowed, or none.
    #[error("an image of {width}x{height} is outside the limits")]
    Dimensions {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A second `htFr` chunk.
    #[error("the PNG has more than one htFr chunk")]
    SecondFrameInfo,
    /// The `htFr` chunk does not fit the image, its own canvas, or the limits.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
    /// A broken `htFr` chunk.
    #[error(transparent)]
    FrameInfo(#[from] FrameInfoError),
}

impl Header {
    /// Reads a PNG up to its pixels, without allocating anything for it but the lists of an `htFr`
    /// chunk, which are at most four times as long as the chunk.
    ///
    /// An `htFr` chunk of a later layout is left out, as other unknown chunks are. One that is
    /// there fits the image and the limits: a canvas may be made of what it says.
    ///
    /// # Errors
    /// When the PNG is broken up to there, or larger than the limits.
    pub fn parse(png: &[u8], limits: &Limits) -> Result<Self, PngError> {
        if SIGNATURE.starts_with(png) && png.len() < SIGNATURE.len() {
            return Err(PngError::Truncated(png.len()));
        }
        if !png.starts_with(&SIGNATURE) {
            return Err(PngError::Signature(png[..png.len().min(8)].to_vec()));
        }
        let mut chunks = Chunks { png, at: SIGNATURE.len() };
        let (kind, ihdr) = chunks.read()?;
        if kind != *b"IHDR" {
            return Err(PngError::NoHeader);
        }
        let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, _, _, _] = ihdr else {
            return Err(PngError::NoHeader);
        };
        let (width, height) =
            (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
        if !limits.allow_image(width, height) {
            return Err(PngError::Dimensions { width, height });
        }
        match (color, depth) {
            (0, 1 | 2 | 4 | 8 | 16) | (3, 1 | 2 | 4 | 8) | (2 | 4 | 6, 8 | 16) => {}
            _ => return Err(PngError::Color { color, depth }),
        }
        let mut header = Self { width, height, depth, color, frame: None };
        loop {
            let (kind, data) = chunks.read()?;
            match &kind {
                b"IDAT" => return Ok(header),
                b"IEND" => return Err(PngError::Truncated(chunks.at)),
                &htfr::CHUNK => match FrameInfo::parse(data, (width, height)) {
                    Ok(_) if header.frame.is_some() => return Err(PngError::SecondFrameInfo),
                    Ok(info) => {
                        info.check((width, height), limits)?;
                        header.frame = Some(info);
                    }
                    Err(FrameInfoError::Layout(_)) => {}
                    Err(e) => return Err(e.into()),
                },
                _ => {}
            }
        }
    }
}

/// Walks over a PNG's chunks.
struct Chunks<'a> {
    png: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    fn read(&mut self) -> Result<([u8; 4], &'a [u8]), PngError> {
        let cut = || PngError::Truncated(self.png.len());
        let rest = self.png.get(self.at..).ok_or_else(cut)?;
        let (&length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_be_bytes(length) as usize;
        let (&kind, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(PngError::ChunkType(self.at));
        }
        // The pixels' checksums are their decoder's business: a frame is walked over once here
        // only up to them.
        if kind == *b"IDAT" {
            return Ok((kind, &[]));
        }
        let data = rest.get(..length).ok_or_else(cut)?;
        let (&sum, _) = rest[length..].split_first_chunk::<4>().ok_or_else(cut)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&kind);
        crc.update(data);
        if crc.finalize() != u32::from_be_bytes(sum) {
            return Err(PngError::Checksum(self.at));
        }
        self.at += 12 + length;
        Ok((kind, data))
    }
}
