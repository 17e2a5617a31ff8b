//! What the data of an `htFr` chunk make their reader hold.

use crate::allocator::most_held;
use hightower_proto::htfr::{LAYOUT_DELTA, MAX_LENGTH};
use hightower_proto::limits::{MAX_MOVES, MAX_TILES};
use hightower_proto::{FrameInfo, Limits, Move, Tile};

/// A chunk that announces more moves and tiles than it has holds nothing for them, and the greatest
/// there may be is within the factor.
#[test]
fn what_a_chunk_announces_is_not_held() {
    // Versions 2 and 1, no time, a canvas of 1 by 1; then how many.
    let head = [LAYOUT_DELTA, 1, 2, 1, 0, 1, 1];
    for counts in [&[64][..], &[65], &[0, 0x80, 8], &[0, 0x81, 8], &[0, 0xff, 0xff, 0xff, 0xff, 15]]
    {
        let data = [&head, counts].concat();
        let (result, most) = most_held(|| FrameInfo::parse(&data, (1, 1)));
        assert!(result.is_err());
        assert_eq!(most, 0, "{counts:?}");
    }
    let (far, size) = ((u32::MAX, u32::MAX), (u32::MAX, u32::MAX));
    let greatest = FrameInfo {
        version: u64::MAX,
        base: 1,
        captured_us: u64::MAX,
        canvas: size,
        last: true,
        moves: vec![Move { from: far, size, to: (0, 0) }; MAX_MOVES],
        tiles: vec![Tile { position: far, size }; MAX_TILES],
    };
    let data = greatest.data();
    assert_eq!(data.len(), MAX_LENGTH);
    let (result, most) = most_held(|| FrameInfo::parse(&data, (1, 1)));
    assert_eq!(result, Ok(greatest.clone()));
    assert_eq!(most, MAX_MOVES * size_of::<Move>() + MAX_TILES * size_of::<Tile>());
    assert_eq!(greatest.image_size(), size);
    assert!(greatest.check(size, &Limits::default()).is_err());
}
