//! The chunks of a PNG, written one after another behind a frame's header.

use bytes::Bytes;
use hightower_proto::htfr::FrameInfo;
use hightower_proto::png::SIGNATURE;
use hightower_proto::stream::{FRAME_HEADER, frame_header};

/// The two bytes a zlib stream begins with: deflate, a window of 32 KiB, no dictionary.
pub(super) const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];

/// How the samples of an image stand: PNG's colour types, as far as frames are written in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Samples {
    /// Grey of 1, 2, 4 or 8 bits.
    Grey(u8),
    /// An index of 1, 2, 4 or 8 bits.
    Index(u8),
    /// Red, green and blue, a byte each.
    Rgb,
}

impl Samples {
    /// The depth and colour type that `IHDR` has for it.
    fn codes(self) -> [u8; 2] {
        match self {
            Self::Grey(bits) => [bits, 0],
            Self::Index(bits) => [bits, 3],
            Self::Rgb => [8, 2],
        }
    }
}

/// Writes chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) out: Vec<u8>,
    /// Where the open chunk's length stands.
    open: usize,
}

impl Chunks {
    /// Begins with nothing before the first chunk; `room` is how many bytes may come.
    pub(super) fn new(room: usize) -> Self {
        Self { out: Vec::with_capacity(room), open: 0 }
    }

    /// Begins a whole frame: room for the frame's header, PNG's signature, `IHDR`, `htFr`.
    pub(super) fn frame(info: &FrameInfo, samples: Samples, room: usize) -> Self {
        let mut chunks = Self::new(room + 128);
        chunks.out.extend_from_slice(&frame_header(0));
        chunks.out.extend_from_slice(&SIGNATURE);
        let (width, height) = info.image_size();
        chunks.begin(*b"IHDR");
        chunks.out.extend_from_slice(&width.to_be_bytes());
        chunks.out.extend_from_slice(&height.to_be_bytes());
        chunks.out.extend_from_slice(&samples.codes());
        chunks.out.extend_from_slice(&[0, 0, 0]);
        chunks.end();
        chunks.out.extend_from_slice(&info.chunk());
        chunks
    }

    /// Opens a chunk; what is put in `out` from here on is its data.
    pub(super) fn begin(&mut self, kind: [u8; 4]) {
        self.open = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&kind);
    }

    /// Closes the open chunk: its length and its checksum.
    pub(super) fn end(&mut self) {
        let body = self.open + 4;
        let length = (self.out.len() - body - 4) as u32;
        self.out[self.open..body].copy_from_slice(&length.to_be_bytes());
        let sum = crc32fast::hash(&self.out[body..]);
        self.out.extend_from_slice(&sum.to_be_bytes());
    }

    /// Ends the PNG with `IEND`.
    pub(super) fn finish(&mut self) {
        self.begin(*b"IEND");
        self.end();
    }

    /// Fills in the header of a frame that is `more` bytes longer than what stands here.
    pub(super) fn into_frame(mut self, more: usize) -> Bytes {
        let length = (self.out.len() - FRAME_HEADER + more) as u64;
        self.out[..FRAME_HEADER].copy_from_slice(&frame_header(length));
        self.out.into()
    }
}
