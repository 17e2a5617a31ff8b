//! Delta frames: an update becomes one frame or more.

use super::adler::adler32;
use super::chunk::{Chunks, Samples, ZLIB_HEAD};
use super::{Effort, EncodeError};
use crate::canvas::{Tile, Update};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use hightower_proto::htfr::{self, FrameInfo};
use hightower_proto::limits::{MAX_MOVES, MAX_TILES};

/// What an encoder keeps from update to update: memory, no pixels.
#[derive(Debug, Default)]
pub struct Scratch {
    raw: Vec<u8>,
}

/// Turns an update into frames, "HT" and length included.
///
/// Each item is a piece of bytes; written one after another they are all frames of the update, in
/// the order in which a viewer must take them. A frame may consist of several pieces.
///
/// # Errors
/// When the update is not sound: see [`EncodeError`].
pub fn encode_delta(
    update: &Update,
    scratch: &mut Scratch,
    effort: Effort,
) -> Result<Vec<Bytes>, EncodeError> {
    let canvas = (update.size.0 as u32, update.size.1 as u32);
    let moves: Vec<_> = update
        .moves
        .iter()
        .map(|m| htfr::Move {
            from: (m.from.x as u32, m.from.y as u32),
            size: (m.from.width as u32, m.from.height as u32),
            to: (m.to.0 as u32, m.to.1 as u32),
        })
        .collect();
    let blank = FrameInfo {
        version: update.version,
        base: update.base,
        captured_us: update.captured_us,
        canvas,
        last: false,
        moves: Vec::new(),
        tiles: Vec::new(),
    };
    let mut infos: Vec<(FrameInfo, &[Tile])> = moves
        .chunks(MAX_MOVES)
        .map(|moves| (FrameInfo { moves: moves.to_vec(), ..blank.clone() }, &[][..]))
        .collect();
    for tiles in update.tiles.chunks(MAX_TILES) {
        let places = tiles
            .iter()
            .map(|t| htfr::Tile {
                position: (t.rect.x as u32, t.rect.y as u32),
                size: (t.rect.width as u32, t.rect.height as u32),
            })
            .collect();
        infos.push((FrameInfo { tiles: places, ..blank.clone() }, tiles));
    }
    if infos.is_empty() {
        infos.push((blank, &[]));
    }
    if let Some((info, _)) = infos.last_mut() {
        info.last = true;
    }
    Ok(infos.iter().map(|(info, tiles)| frame(info, tiles, scratch, effort)).collect())
}

fn frame(info: &FrameInfo, tiles: &[Tile], scratch: &mut Scratch, effort: Effort) -> Bytes {
    let width = info.image_size().0 as usize;
    let raw = &mut scratch.raw;
    raw.clear();
    for tile in tiles {
        for row in tile.pixels.chunks(tile.rect.width) {
            raw.push(0);
            raw.extend(row.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]));
            raw.resize(raw.len() + (width - row.len()) * 3, 0);
        }
    }
    if tiles.is_empty() {
        raw.extend_from_slice(&[0; 4]);
    }
    let mut chunks = Chunks::frame(info, Samples::Rgb, raw.len() / 4);
    chunks.begin(*b"IDAT");
    chunks.out.extend_from_slice(&ZLIB_HEAD);
    let level = if effort == Effort::Small { 6 } else { 1 };
    deflate(raw, level, FlushCompress::Finish, &mut chunks.out);
    chunks.out.extend_from_slice(&adler32(raw).to_be_bytes());
    chunks.end();
    chunks.finish();
    chunks.into_frame(0)
}

/// Adds the bytes as raw deflate.
pub(super) fn deflate(raw: &[u8], level: u32, flush: FlushCompress, out: &mut Vec<u8>) {
    let mut compress = Compress::new(Compression::new(level), false);
    loop {
        out.reserve(raw.len() / 4 + 64);
        let room = out.capacity() - out.len();
        let at = compress.total_in() as usize;
        let before = compress.total_out();
        if compress.compress_vec(&raw[at..], out, flush).is_err() {
            return;
        }
        if (compress.total_out() - before) < room as u64 {
            return;
        }
    }
}
