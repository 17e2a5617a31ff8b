//! Delta frames put on the picture: moves first, then tiles, shown when the update is whole.

use crate::fake_agent::{delta_info, key_info, moved, rgb, rgb_delta, rgb_frame, tile};
use hightower::viewer::Canvas;
use hightower_proto::htfr::Move;
use hightower_proto::{FrameInfo, Limits};
use std::time::Instant;

const SIDE: u32 = 40;

/// Every pixel another.
fn old(x: u32, y: u32) -> u32 {
    y * 251 + x * 65_537
}

fn new(x: u32, y: u32) -> u32 {
    0x80_0000 | (y * 40 + x)
}

/// What a picture of `old` is after this, pixel by pixel.
fn expected(info: &FrameInfo) -> Vec<u32> {
    let mut pixels: Vec<u32> =
        (0..SIDE * SIDE).map(|i| old(i % SIDE, i / SIDE) & 0xff_ffff).collect();
    let at = |x: u32, y: u32| (y * SIDE + x) as usize;
    for Move { from, size, to } in &info.moves {
        let before = pixels.clone();
        for y in 0..size.1 {
            for x in 0..size.0 {
                pixels[at(to.0 + x, to.1 + y)] = before[at(from.0 + x, from.1 + y)];
            }
        }
    }
    for tile in &info.tiles {
        for y in tile.position.1..tile.position.1 + tile.size.1 {
            for x in tile.position.0..tile.position.0 + tile.size.0 {
                pixels[at(x, y)] = new(x, y);
            }
        }
    }
    pixels
}

/// A canvas that has version 1.
fn begun() -> Canvas {
    let mut canvas = Canvas::new(Limits::default());
    canvas.apply(&rgb_frame(SIDE, SIDE, 1, &old), Instant::now()).unwrap().unwrap();
    canvas
}

#[test]
fn moves_come_before_tiles_and_may_overlap_themselves_any_way() {
    for to in [(9, 8), (11, 12), (7, 10), (13, 10), (10, 7), (10, 13), (0, 0), (30, 30)] {
        let info = FrameInfo {
            moves: vec![moved((10, 10), (10, 10), to), moved((2, 3), (30, 30), (3, 2))],
            tiles: vec![tile(12, 12, 5, 3), tile(0, 39, 40, 1), tile(39, 0, 1, 1)],
            ..delta_info(SIDE, SIDE, 2)
        };
        let mut canvas = begun();
        let frame = rgb_delta(info.clone(), &new);
        let picture = canvas.apply(&frame, Instant::now()).unwrap().unwrap();
        assert_eq!((picture.version, picture.pixels()), (Some(2), expected(&info)), "to {to:?}");
    }
}

#[test]
fn an_update_of_several_frames_is_shown_with_the_last() {
    let mut canvas = begun();
    let before = canvas.apply(&rgb_frame(SIDE, SIDE, 1, &old), Instant::now()).unwrap().unwrap();
    let first =
        FrameInfo { last: false, tiles: vec![tile(0, 0, 20, 20)], ..delta_info(SIDE, SIDE, 2) };
    let second = FrameInfo { tiles: vec![tile(20, 20, 20, 20)], ..delta_info(SIDE, SIDE, 2) };
    assert!(canvas.apply(&rgb_delta(first.clone(), &new), Instant::now()).unwrap().is_none());
    let after = canvas.apply(&rgb_delta(second.clone(), &new), Instant::now()).unwrap().unwrap();
    let both = FrameInfo { tiles: [first.tiles, second.tiles].concat(), ..second };
    assert_eq!(after.pixels(), expected(&both));
    let untouched = FrameInfo { tiles: Vec::new(), ..both };
    assert_eq!(before.pixels(), expected(&untouched), "a picture that was given stays as it is");
}

#[test]
fn a_delta_of_another_version_is_out_of_step_until_a_key_frame_comes() {
    let mut canvas = begun();
    let missing = delta_info(SIDE, SIDE, 3);
    let error = canvas.apply(&rgb_delta(missing, &new), Instant::now()).unwrap_err();
    assert!(error.is_out_of_step(), "{error}");
    let next = FrameInfo { tiles: vec![tile(5, 5, 5, 5)], ..delta_info(SIDE, SIDE, 2) };
    let error = canvas.apply(&rgb_delta(next.clone(), &new), Instant::now()).unwrap_err();
    assert!(error.is_out_of_step(), "only a key frame will do: {error}");
    canvas.apply(&rgb_frame(SIDE, SIDE, 1, &old), Instant::now()).unwrap().unwrap();
    let picture = canvas.apply(&rgb_delta(next.clone(), &new), Instant::now()).unwrap().unwrap();
    assert_eq!(picture.pixels(), expected(&next));
}

#[test]
fn a_key_frame_of_another_size_breaks_off_an_update() {
    let mut canvas = begun();
    let first =
        FrameInfo { last: false, tiles: vec![tile(0, 0, 9, 9)], ..delta_info(SIDE, SIDE, 2) };
    assert!(canvas.apply(&rgb_delta(first, &new), Instant::now()).unwrap().is_none());
    let key = rgb(7, 5, Some(key_info(7, 5, 3)), &new);
    let picture = canvas.apply(&key, Instant::now()).unwrap().unwrap();
    assert_eq!((picture.width, picture.height, picture.version), (7, 5, Some(3)));
}
