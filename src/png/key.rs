//! Key frames: the whole picture as one PNG, put together from bands.
//!
//! Each band is compressed without a look at the bands before it and ends on a whole byte, so its
//! bytes are kept until the band changes. A key frame after a small change costs one band.

use super::chunk::{Samples, ZLIB_HEAD, begin, begin_frame, chunk, end, end_png, take_frame};
use super::lane::Lane;
use super::pair::both;
use super::sink::Sink;
use super::{EncodeError, adler, block};
use crate::canvas::{BAND_ROWS, Bands, Version};
use bytes::Bytes;
use hightower_proto::htfr::FrameInfo;

/// An empty last block of deflate.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// Changed pixels from which on a second thread is worth waking.
const TWO_THREADS: usize = 200_000;

/// Encodes key frames of one picture, one after another.
#[derive(Debug, Default)]
pub struct KeyEncoder {
    size: (usize, usize),
    /// The version of each band in `kept`.
    versions: Vec<Version>,
    kept: Vec<Kept>,
    lanes: [Lane; 2],
    /// For the pieces that are not kept.
    sink: Sink,
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
        let [first, second] = &mut self.lanes;
        let compress = |lane: &mut Lane, bands: &[(usize, &Vec<u32>)]| {
            let one = |&(i, pixels): &(usize, &Vec<u32>)| (i, compress(lane, pixels, width));
            bands.iter().map(one).collect::<Vec<_>>()
        };
        let work: usize = changed.iter().map(|(_, pixels)| pixels.len()).sum();
        let half = if work < TWO_THREADS { changed.len() } else { changed.len() / 2 };
        let (mine, others) = changed.split_at(half);
        let (mut done, rest) = if others.is_empty() {
            (compress(first, mine), Vec::new())
        } else {
            both(|| compress(first, mine), || compress(second, others))
        };
        done.extend(rest);
        for (i, band) in done {
            self.kept[i] = band;
        }
        self.versions.clear();
        self.versions.extend(whole.bands.iter().map(|band| band.version));
        Ok(())
    }

    /// Puts the frame together.
    fn assemble(&mut self, whole: &Bands) -> Vec<Bytes> {
        let size = (whole.size.0 as u32, whole.size.1 as u32);
        let info = FrameInfo::key(whole.version, whole.captured_us, size);
        let sum = |sum, band: &Kept| adler::combine(sum, band.adler, band.length);
        let sum = self.kept.iter().fold(adler::EMPTY, sum);

        self.sink.clear();
        chunk(&mut self.sink, *b"IDAT", |sink| {
            sink.put(&LAST_BLOCK);
            sink.put(&sum.to_be_bytes());
        });
        end_png(&mut self.sink);
        let tail = Bytes::copy_from_slice(self.sink.written(0));

        begin_frame(&mut self.sink, &info, Samples::Rgb);
        chunk(&mut self.sink, *b"IDAT", |sink| sink.put(&ZLIB_HEAD));
        let bands: usize = self.kept.iter().map(|band| band.chunk.len()).sum();
        let head = take_frame(&mut self.sink, bands + tail.len());

        let mut pieces = Vec::with_capacity(self.kept.len() + 2);
        pieces.push(head);
        pieces.extend(self.kept.iter().map(|band| band.chunk.clone()));
        pieces.push(tail);
        pieces
    }
}

/// Compresses a band.
fn compress(lane: &mut Lane, pixels: &[u32], width: usize) -> Kept {
    lane.sink.clear();
    let open = begin(&mut lane.sink, *b"IDAT");
    let (adler, length) = lane.band(pixels, width);
    block::sync(&mut lane.sink);
    end(&mut lane.sink, open);
    Kept { chunk: Bytes::copy_from_slice(lane.sink.written(0)), adler, length }
}
