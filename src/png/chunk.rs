//! The chunks of a PNG, written one after another behind a frame's header.

use super::sink::Sink;
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

/// Begins a frame: its header, to be filled in at the end, PNG's signature, `IHDR`, `htFr`.
pub(super) fn begin_frame(sink: &mut Sink, info: &FrameInfo, samples: Samples) {
    sink.clear();
    sink.put(&frame_header(0));
    sink.put(&SIGNATURE);
    let (width, height) = info.image_size();
    chunk(sink, *b"IHDR", |sink| {
        sink.put(&width.to_be_bytes());
        sink.put(&height.to_be_bytes());
        sink.put(&samples.codes());
        sink.put(&[0, 0, 0]);
    });
    sink.put(&info.chunk());
}

/// Writes a chunk around the data that `work` writes.
pub(super) fn chunk<T>(sink: &mut Sink, kind: [u8; 4], work: impl FnOnce(&mut Sink) -> T) -> T {
    let open = begin(sink, kind);
    let result = work(sink);
    end(sink, open);
    result
}

/// Opens a chunk: what is written from here on is its data. The place is for [`end`].
pub(super) fn begin(sink: &mut Sink, kind: [u8; 4]) -> usize {
    let open = sink.len();
    sink.put(&[0; 4]);
    sink.put(&kind);
    open
}

/// Closes a chunk: its length and its checksum.
pub(super) fn end(sink: &mut Sink, open: usize) {
    let body = open + 4;
    let length = (sink.len() - body - 4) as u32;
    sink.patch(open, &length.to_be_bytes());
    let sum = crc32fast::hash(sink.written(body));
    sink.put(&sum.to_be_bytes());
}

/// Ends the PNG.
pub(super) fn end_png(sink: &mut Sink) {
    chunk(sink, *b"IEND", |_| ());
}

/// Takes out the frame, which has `more` bytes beyond what was written.
pub(super) fn take_frame(sink: &mut Sink, more: usize) -> Bytes {
    let length = (sink.len() - FRAME_HEADER + more) as u64;
    sink.patch(0, &frame_header(length));
    Bytes::copy_from_slice(sink.written(0))
}
