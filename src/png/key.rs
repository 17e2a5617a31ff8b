//! Key frames: the whole picture as one PNG, put together from bands.
//!
//! Each band is compressed without a look at the bands before it and ends on a whole byte, so its
//! bytes are kept until the band changes. A key frame after a small change costs one band.

use super::EncodeError;
use super::adler::{self, adler32};
use super::chunk::{Chunks, Samples, ZLIB_HEAD};
use super::delta::deflate;
use crate::canvas::{BAND_ROWS, Bands, Version};
use bytes::Bytes;
use flate2::FlushCompress;
use hightower_proto::htfr::FrameInfo;

/// An empty last block of deflate.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Encodes key frames of one picture, one after another.
#[derive(Debug, Default)]
pub struct KeyEncoder {
    size: (usize, usize),
    /// The version of each band in `kept`.
    versions: Vec<Version>,
    kept: Vec<Kept>,
}

/// A band as it was compressed.
#[derive(Debug, Clone)]
struct Kept {
    /// An `IDAT` chunk, whole.
    chunk: Bytes,
    /// The checksum of what was compressed.
    adler: u32,
    /// How long that was, in bytes.
    length: usize,
}

impl KeyEncoder {
    /// An encoder that knows no bands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The versions of the bands that are kept, from the top: what
    /// [`Canvas::whole`](crate::canvas::Canvas::whole) need not copy.
    #[must_use]
    pub fn known(&self) -> &[Version] {
        &self.versions
    }

    /// Forgets all bands.
    pub fn clear(&mut self) {
        self.versions.clear();
        self.kept.clear();
    }

    /// Makes a key frame of the picture, "HT" and length included. Each item is a piece of it, to
    /// be written one after another; those of bands that have not changed are shared with the
    /// frames before.
    ///
    /// # Errors
    /// When the bands are not sound: see [`EncodeError`]. The encoder knows nothing then.
    pub fn encode(&mut self, whole: &Bands) -> Result<Vec<Bytes>, EncodeError> {
        let result = self.renew(whole);
        if result.is_err() {
            self.clear();
        }
        result?;
        Ok(self.assemble(whole))
    }

    /// Brings the kept bands up to date.
    fn renew(&mut self, whole: &Bands) -> Result<(), EncodeError> {
        let (width, height) = whole.size;
        let bad = |side| side == 0 || side > i32::MAX as usize;
        if bad(width) || bad(height) || whole.bands.len() != height.div_ceil(BAND_ROWS) {
            return Err(EncodeError::Size(whole.size));
        }
        if self.size != whole.size {
            self.clear();
            self.size = whole.size;
        }
        let mut changed = Vec::new();
        for (i, band) in whole.bands.iter().enumerate() {
            let rows = (height - i * BAND_ROWS).min(BAND_ROWS);
            match &band.pixels {
                Some(pixels) if pixels.len() == rows * width => changed.push((i, pixels)),
                Some(pixels) => {
                    let expected = rows * width;
                    return Err(EncodeError::Pixels { pixels: pixels.len(), expected });
                }
                None if self.versions.get(i) == Some(&band.version) => {}
                None => return Err(EncodeError::UnknownBand(i)),
            }
        }
        let blank = Kept { chunk: Bytes::new(), adler: adler::EMPTY, length: 0 };
        self.kept.resize(whole.bands.len(), blank);
        for (i, pixels) in changed {
            self.kept[i] = compress(pixels, width);
        }
        self.versions.clear();
        self.versions.extend(whole.bands.iter().map(|band| band.version));
        Ok(())
    }

    /// Puts the frame together.
    fn assemble(&self, whole: &Bands) -> Vec<Bytes> {
        let size = (whole.size.0 as u32, whole.size.1 as u32);
        let info = FrameInfo::key(whole.version, whole.captured_us, size);
        let mut head = Chunks::frame(&info, Samples::Rgb, 0);
        head.begin(*b"IDAT");
        head.out.extend_from_slice(&ZLIB_HEAD);
        head.end();

        let sum = |sum, band: &Kept| adler::combine(sum, band.adler, band.length);
        let mut tail = Chunks::new(32);
        tail.begin(*b"IDAT");
        tail.out.extend_from_slice(&LAST_BLOCK);
        tail.out.extend_from_slice(&self.kept.iter().fold(adler::EMPTY, sum).to_be_bytes());
        tail.end();
        tail.finish();

        let bands: usize = self.kept.iter().map(|band| band.chunk.len()).sum();
        let mut pieces = Vec::with_capacity(self.kept.len() + 2);
        pieces.push(head.into_frame(bands + tail.out.len()));
        pieces.extend(self.kept.iter().map(|band| band.chunk.clone()));
        pieces.push(tail.out.into());
        pieces
    }
}

/// Compresses a band.
fn compress(pixels: &[u32], width: usize) -> Kept {
    let mut raw = Vec::with_capacity(pixels.len() * 3 + BAND_ROWS);
    for row in pixels.chunks(width) {
        raw.push(0);
        raw.extend(row.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]));
    }
    let mut chunks = Chunks::new(raw.len() / 4);
    chunks.begin(*b"IDAT");
    deflate(&raw, 1, FlushCompress::Sync, &mut chunks.out);
    chunks.end();
    Kept { chunk: chunks.out.into(), adler: adler32(&raw), length: raw.len() }
}
