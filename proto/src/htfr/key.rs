//! Layout 1: one rectangle, with numbers of fixed length. Key frames are written in it.

use super::{FrameInfo, FrameInfoError, LAYOUT_KEY, Tile, flags, parse_flags};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The length of the chunk's data in layout 1.
pub const KEY_LENGTH: usize = 42;

pub(super) fn write(info: &FrameInfo) -> Bytes {
    let position = info.tiles.first().map_or((0, 0), |tile| tile.position);
    let mut out = BytesMut::with_capacity(KEY_LENGTH);
    out.put_u8(LAYOUT_KEY);
    out.put_u8(flags(info));
    out.put_u64(info.version);
    out.put_u64(info.base);
    out.put_u64(info.captured_us);
    out.put_u32(info.canvas.0);
    out.put_u32(info.canvas.1);
    out.put_u32(position.0);
    out.put_u32(position.1);
    out.freeze()
}

/// Parses data whose first byte says layout 1; `image` is what the PNG's header says.
pub(super) fn parse(data: &[u8], image: (u32, u32)) -> Result<FrameInfo, FrameInfoError> {
    if data.len() != KEY_LENGTH {
        return Err(FrameInfoError::Length(data.len()));
    }
    let mut b = &data[1..];
    let last = parse_flags(b.get_u8())?;
    let (version, base, captured_us) = (b.get_u64(), b.get_u64(), b.get_u64());
    if version <= base {
        return Err(FrameInfoError::Version { version, base });
    }
    let canvas = (b.get_u32(), b.get_u32());
    let tile = Tile { position: (b.get_u32(), b.get_u32()), size: image };
    let (moves, tiles) = (Vec::new(), vec![tile]);
    Ok(FrameInfo { version, base, captured_us, canvas, last, moves, tiles })
}
