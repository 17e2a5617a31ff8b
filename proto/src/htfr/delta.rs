//! Layout 2: moves and tiles, with numbers of variable length. Delta frames are written in it.

use super::number::{Numbers, longest, put, unzigzag, zigzag};
use super::{FrameInfo, FrameInfoError, LAYOUT_DELTA, Move, Tile, flags, parse_flags};
use crate::limits::{MAX_MOVES, MAX_TILES};
use bytes::{BufMut, Bytes, BytesMut};

/// The layout and the flags, before the numbers.
const HEAD: usize = 2;

/// How many numbers a move and a tile have; none has less than a byte.
const MOVE_NUMBERS: usize = 6;
const TILE_NUMBERS: usize = 4;

/// The longest data of layout 2: every number the greatest, and as many moves and tiles as there
/// may be.
pub const MAX_LENGTH: usize = HEAD
    + 3 * longest(64)
    + 2 * longest(32)
    + longest(bits(MAX_MOVES))
    // A distance has a bit more, for its sign.
    + MAX_MOVES * (4 * longest(32) + 2 * longest(33))
    + longest(bits(MAX_TILES))
    + MAX_TILES * TILE_NUMBERS * longest(32);

const fn bits(n: usize) -> usize {
    (usize::BITS - n.leading_zeros()) as usize
}

pub(super) fn write(info: &FrameInfo) -> Bytes {
    // Few numbers of a usual screen have more than two bytes.
    let (moves, tiles) = (info.moves.len() * MOVE_NUMBERS, info.tiles.len() * TILE_NUMBERS);
    let mut out = BytesMut::with_capacity(HEAD + 40 + 2 * (moves + tiles));
    out.put_u8(LAYOUT_DELTA);
    out.put_u8(flags(info));
    put(&mut out, info.version);
    put(&mut out, info.version.saturating_sub(info.base));
    put(&mut out, info.captured_us);
    put_pair(&mut out, info.canvas);
    put(&mut out, info.moves.len() as u64);
    for m in &info.moves {
        put_pair(&mut out, m.from);
        put_pair(&mut out, m.size);
        put(&mut out, zigzag(i64::from(m.to.0) - i64::from(m.from.0)));
        put(&mut out, zigzag(i64::from(m.to.1) - i64::from(m.from.1)));
    }
    put(&mut out, info.tiles.len() as u64);
    for t in &info.tiles {
        put_pair(&mut out, t.position);
        put_pair(&mut out, t.size);
    }
    out.freeze()
}

fn put_pair(out: &mut BytesMut, pair: (u32, u32)) {
    put(out, pair.0.into());
    put(out, pair.1.into());
}

/// Parses data whose first byte says layout 2.
pub(super) fn parse(data: &[u8]) -> Result<FrameInfo, FrameInfoError> {
    if data.len() > MAX_LENGTH {
        return Err(FrameInfoError::Length(data.len()));
    }
    let last = parse_flags(*data.get(1).ok_or(FrameInfoError::Truncated(data.len()))?)?;
    let mut numbers = Numbers::new(data, HEAD);
    let (version, back, captured_us) = (numbers.u64()?, numbers.u64()?, numbers.u64()?);
    if back == 0 || back >= version {
        return Err(FrameInfoError::Base { version, back });
    }
    let base = version - back;
    let canvas = numbers.pair()?;

    let n = count(&mut numbers, MAX_MOVES, MOVE_NUMBERS, FrameInfoError::TooManyMoves)?;
    let mut moves = Vec::with_capacity(n);
    for _ in 0..n {
        moves.push(parse_move(&mut numbers)?);
    }
    let n = count(&mut numbers, MAX_TILES, TILE_NUMBERS, FrameInfoError::TooManyTiles)?;
    let mut tiles = Vec::with_capacity(n);
    for _ in 0..n {
        let begin = numbers.at();
        let (position, size) = (numbers.pair()?, numbers.pair()?);
        not_empty(size, begin)?;
        tiles.push(Tile { position, size });
    }
    if numbers.left() > 0 {
        return Err(FrameInfoError::Trailing(numbers.at()));
    }
    Ok(FrameInfo { version, base, captured_us, canvas, last, moves, tiles })
}

/// Reads how many of something follow. It is held against its bound, and against the bytes that are
/// left, before anything is allocated for it.
fn count(
    numbers: &mut Numbers<'_>,
    most: usize,
    least_bytes: usize,
    too_many: fn(u32) -> FrameInfoError,
) -> Result<usize, FrameInfoError> {
    let n = numbers.u32()?;
    let count = usize::try_from(n).unwrap_or(usize::MAX);
    if count > most {
        return Err(too_many(n));
    }
    if count * least_bytes > numbers.left() {
        return Err(FrameInfoError::Truncated(numbers.at() + numbers.left()));
    }
    Ok(count)
}

fn parse_move(numbers: &mut Numbers<'_>) -> Result<Move, FrameInfoError> {
    let begin = numbers.at();
    let (from, size) = (numbers.pair()?, numbers.pair()?);
    let (dx, dy) = (unzigzag(numbers.u64()?), unzigzag(numbers.u64()?));
    not_empty(size, begin)?;
    if (dx, dy) == (0, 0) {
        return Err(FrameInfoError::Nowhere(begin));
    }
    let target = |from: u32, by: i64| {
        let to = i64::from(from).checked_add(by).and_then(|to| u32::try_from(to).ok());
        to.ok_or(FrameInfoError::Target(begin))
    };
    Ok(Move { from, size, to: (target(from.0, dx)?, target(from.1, dy)?) })
}

fn not_empty(size: (u32, u32), begin: usize) -> Result<(), FrameInfoError> {
    if size.0 == 0 || size.1 == 0 { Err(FrameInfoError::Empty(begin)) } else { Ok(()) }
}
