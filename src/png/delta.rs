//! Delta frames: an update becomes one frame or more.

use super::chunk::{Samples, ZLIB_HEAD, begin, begin_frame, chunk, end, end_png, take_frame};
use super::group::{Group, group};
use super::lane::Lane;
use super::pair::both;
use super::palette::Palette;
use super::{Effort, EncodeError};
use crate::canvas::Update;
use crate::rect::Rect;
use bytes::Bytes;
use hightower_proto::htfr::{self, FrameInfo};
use hightower_proto::limits::{MAX_MOVED, MAX_MOVES, MAX_TILED};

/// Pixels of all groups from which on a second thread is worth waking, with a palette's pixels
/// counted as a quarter.
const TWO_THREADS: usize = 100_000;

/// What an encoder keeps from update to update: memory, no pixels.
#[derive(Debug, Default)]
pub struct Scratch {
    lanes: [Space; 2],
}

/// A thread's share of it.
#[derive(Debug, Default)]
struct Space {
    lane: Lane,
    /// Pixels of tiles of several widths, put together.
    atlas: Vec<u32>,
    /// Packed samples.
    samples: Vec<u8>,
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
    check(update)?;
    let frames = frames(update);
    let [first, second] = &mut scratch.lanes;
    let work = |(_, group): &(FrameInfo, Option<Group<'_>>)| {
        group.as_ref().map_or(0, |g| if g.palette.is_some() { g.area / 4 } else { g.area })
    };
    let total: usize = frames.iter().map(work).sum();
    if frames.len() < 2 || total < TWO_THREADS {
        return Ok(frames.iter().map(|frame| encode(frame, first, effort)).collect());
    }
    // Each thread takes about half of the work, in order.
    let mut sum = 0;
    let half = frames.iter().take_while(|frame| {
        let before = sum;
        sum += work(frame);
        before + work(frame) / 2 < total / 2
    });
    let (mine, others) = frames.split_at(half.count());
    let (mut done, rest) = both(
        || mine.iter().map(|frame| encode(frame, first, effort)).collect::<Vec<Bytes>>(),
        || others.iter().map(|frame| encode(frame, second, effort)).collect::<Vec<Bytes>>(),
    );
    done.extend(rest);
    Ok(done)
}

/// Whether an update can be encoded.
fn check(update: &Update) -> Result<(), EncodeError> {
    let (width, height) = update.size;
    let bad = |side| side == 0 || side > i32::MAX as usize;
    if bad(width) || bad(height) {
        return Err(EncodeError::Size(update.size));
    }
    let whole = Rect::new(0, 0, width, height);
    let inside = |m: &crate::canvas::Move| whole.contains(&m.from) && whole.contains(&m.target());
    if !update.moves.iter().all(inside) {
        return Err(EncodeError::Outside(update.size));
    }
    for tile in &update.tiles {
        if !whole.contains(&tile.rect) {
            return Err(EncodeError::Outside(update.size));
        }
        let (pixels, expected) = (tile.pixels.len(), tile.rect.area());
        if pixels != expected {
            return Err(EncodeError::Pixels { pixels, expected });
        }
    }
    Ok(())
}

/// What each frame says of itself, and shows. Moves come first, with the first tiles where one
/// frame takes both.
fn frames(update: &Update) -> Vec<(FrameInfo, Option<Group<'_>>)> {
    let canvas = (update.size.0 as u32, update.size.1 as u32);
    let area = update.size.0 as u128 * update.size.1 as u128;
    let blank = FrameInfo {
        version: update.version,
        base: update.base,
        captured_us: update.captured_us,
        canvas,
        last: false,
        moves: Vec::new(),
        tiles: Vec::new(),
    };
    let mut frames = vec![(blank.clone(), None)];
    let mut moved = 0;
    for m in update.moves.iter().filter(|m| !m.from.is_empty() && m.from != m.target()) {
        moved += m.from.area() as u128;
        let full = frames.last().is_some_and(|(info, _)| info.moves.len() == MAX_MOVES);
        if full || moved > MAX_MOVED * area {
            frames.push((blank.clone(), None));
            moved = m.from.area() as u128;
        }
        if let Some((info, _)) = frames.last_mut() {
            info.moves.push(htfr::Move {
                from: (m.from.x as u32, m.from.y as u32),
                size: (m.from.width as u32, m.from.height as u32),
                to: (m.to.0 as u32, m.to.1 as u32),
            });
        }
    }
    let most = usize::try_from(MAX_TILED * area).unwrap_or(usize::MAX);
    for group in group(&update.tiles, most) {
        let tiles = group.pieces.iter().map(|piece| htfr::Tile {
            position: (piece.x as u32, piece.y as u32),
            size: (piece.width as u32, piece.height as u32),
        });
        let tiles = tiles.collect();
        match frames.last_mut() {
            Some((info, here @ None)) => {
                info.tiles = tiles;
                *here = Some(group);
            }
            _ => frames.push((FrameInfo { tiles, ..blank.clone() }, Some(group))),
        }
    }
    if let Some((info, _)) = frames.last_mut() {
        info.last = true;
    }
    frames
}

/// Encodes one frame.
fn encode(
    (info, group): &(FrameInfo, Option<Group<'_>>),
    space: &mut Space,
    effort: Effort,
) -> Bytes {
    match group {
        Some(Group { palette: Some(palette), .. }) => {
            few(info, group.as_ref(), palette, space, effort)
        }
        Some(group) => many(info, group, space, effort),
        None => few(info, None, &Palette::default(), space, effort),
    }
}

/// Encodes tiles of few colours; without tiles, one black pixel.
fn few(
    info: &FrameInfo,
    group: Option<&Group<'_>>,
    palette: &Palette,
    space: &mut Space,
    effort: Effort,
) -> Bytes {
    let Space { lane, samples, .. } = space;
    let grey = palette.grey_bits();
    let bits = grey.unwrap_or(palette.index_bits());
    let width = info.image_size().0 as usize;
    let stride = (width * usize::from(bits)).div_ceil(8);
    samples.clear();
    match group {
        None => samples.push(0),
        Some(group) => {
            for piece in &group.pieces {
                for row in piece.pixels.chunks_exact(piece.width) {
                    palette.pack(row, bits, grey.is_some(), stride, samples);
                }
            }
        }
    }
    if grey.is_some() {
        begin_frame(&mut lane.sink, info, Samples::Grey(bits));
    } else {
        begin_frame(&mut lane.sink, info, Samples::Index(bits));
        chunk(&mut lane.sink, *b"PLTE", |sink| {
            for colour in palette.colours() {
                sink.put(&colour.to_be_bytes()[1..]);
            }
        });
    }
    image(lane, |lane| lane.packed(samples, stride, effort))
}

/// Encodes tiles of many colours.
fn many(info: &FrameInfo, group: &Group<'_>, space: &mut Space, effort: Effort) -> Bytes {
    let Space { lane, atlas, .. } = space;
    begin_frame(&mut lane.sink, info, Samples::Rgb);
    let pixels = match group.pieces[..] {
        [piece] => piece.pixels,
        _ => {
            atlas.clear();
            for piece in &group.pieces {
                for row in piece.pixels.chunks_exact(piece.width) {
                    atlas.extend_from_slice(row);
                    atlas.resize(atlas.len() + group.width - piece.width, 0);
                }
            }
            &atlas[..]
        }
    };
    image(lane, |lane| lane.rgb(pixels, group.width, effort))
}

/// Writes the `IDAT` chunk around what `work` writes, and ends the frame. `work` gives the
/// checksum of what was compressed.
fn image(lane: &mut Lane, work: impl FnOnce(&mut Lane) -> u32) -> Bytes {
    let open = begin(&mut lane.sink, *b"IDAT");
    lane.sink.put(&ZLIB_HEAD);
    let sum = work(lane);
    lane.sink.align();
    lane.sink.put(&sum.to_be_bytes());
    end(&mut lane.sink, open);
    end_png(&mut lane.sink);
    take_frame(&mut lane.sink, 0)
}
