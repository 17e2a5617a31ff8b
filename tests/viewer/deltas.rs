//! Delta frames: what they do to a picture, and what follows when they can't be applied.

use crate::fake_agent::{
    FakeAgent, Image, LONG, Viewer, delta_info, key_info, moved, on_canvas, rgb, rgb_delta,
    rgb_frame, tile,
};
use hightower::viewer::{Canvas, Client, ClientOptions, Link, Picture, PictureError, View};
use hightower_proto::htfr::{Move, Tile};
use hightower_proto::message::Acknowledge;
use hightower_proto::{FrameInfo, Limits, Message};
use std::sync::Arc;
use std::time::Instant;

const WIDTH: u32 = 61;
const HEIGHT: u32 = 53;

/// No two places near each other have the same pixel.
fn pattern(x: u32, y: u32) -> u32 {
    ((x * 4) << 16) | ((y * 4) << 8) | (x ^ y)
}

fn delta(version: u64, moves: &[Move], tiles: &[Tile]) -> FrameInfo {
    let (moves, tiles) = (moves.to_vec(), tiles.to_vec());
    FrameInfo { moves, tiles, ..delta_info(WIDTH, HEIGHT, version) }
}

fn key(version: u64) -> Vec<u8> {
    rgb_frame(WIDTH, HEIGHT, version, &pattern)
}

/// A canvas that has version 1.
fn canvas() -> Canvas {
    let mut canvas = Canvas::new(Limits::default());
    canvas.apply(&key(1), Instant::now()).unwrap().unwrap();
    canvas
}

fn apply(canvas: &mut Canvas, frame: &[u8]) -> Result<Option<Picture>, PictureError> {
    canvas.apply(frame, Instant::now())
}

fn same(picture: &Picture, expected: impl Fn(u32, u32) -> u32) {
    for (y, row) in (0..).zip(picture.rows()) {
        for (x, &pixel) in (0..).zip(row) {
            assert_eq!(pixel, expected(x, y), "at {x},{y}");
        }
    }
}

#[test]
fn moves_that_overlap_themselves_carry_what_was_there() {
    for (dx, dy) in [(0, 3), (0, -3), (3, 0), (-3, 0), (5, 2), (-5, 2), (5, -2), (-5, -17)] {
        let (from, size) = ((20u32, 22u32), (30u32, 25u32));
        let to = (from.0.saturating_add_signed(dx), from.1.saturating_add_signed(dy));
        let mut canvas = canvas();
        let frame = rgb_delta(delta(2, &[moved(from, size, to)], &[]), &pattern);
        let picture = apply(&mut canvas, &frame).unwrap().unwrap();
        let inside = |x: u32, y: u32| {
            (to.0..to.0 + size.0).contains(&x) && (to.1..to.1 + size.1).contains(&y)
        };
        same(&picture, |x, y| match inside(x, y) {
            true => pattern(x.saturating_add_signed(-dx), y.saturating_add_signed(-dy)),
            false => pattern(x, y),
        });
    }
}

#[test]
fn moves_come_one_after_the_other_and_before_the_tiles() {
    let mut canvas = canvas();
    let moves = [moved((0, 0), (10, 10), (20, 0)), moved((20, 0), (10, 10), (40, 30))];
    let tiles = [tile(42, 32, 2, 2), tile(43, 33, 2, 2)];
    let color = std::cell::Cell::new(0);
    let frame = rgb_delta(delta(2, &moves, &tiles), &|_, _| {
        color.set(color.get() + 1);
        color.get()
    });
    let picture = apply(&mut canvas, &frame).unwrap().unwrap();
    same(&picture, |x, y| match (x, y) {
        // The later tile lies over the earlier one.
        (43 | 44, 33 | 34) => 5 + (x - 43) + 2 * (y - 33),
        (42 | 43, 32 | 33) => 1 + (x - 42) + 2 * (y - 32),
        (20..30, 0..10) => pattern(x - 20, y),
        (40..50, 30..40) => pattern(x - 40, y - 30),
        _ => pattern(x, y),
    });
    assert_eq!((picture.version, picture.sequence), (Some(2), 2));
}

#[test]
fn tiles_of_several_widths_in_every_kind_of_image() {
    let tiles = [tile(3, 4, 17, 5), tile(0, 50, 61, 3), tile(60, 0, 1, 9), tile(30, 20, 8, 13)];
    let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, i / 2]).collect();
    let entry = |i: u32| u32::from_be_bytes([0, i as u8, 255 - i as u8, i as u8 / 2]);
    for (color, depth) in [(3, 1), (3, 2), (3, 4), (3, 8), (0, 1), (0, 2), (0, 4), (0, 8), (2, 8)] {
        let most = (1u32 << depth) - 1;
        let at = |x: u32, y: u32| (x * 5 + y * 3) % (most + 1);
        let expected = |x: u32, y: u32| match color {
            3 => entry(at(x, y)),
            0 => at(x, y) * 255 / most * 0x01_0101,
            _ => pattern(x, y) ^ 0xff_ffff,
        };
        let info = delta(2, &[], &tiles);
        let samples = |x: u32, y: u32| {
            let place = on_canvas(&info, x, y);
            let [_, r, g, b] = place.map_or(0xff_00ff, |(x, y)| expected(x, y)).to_be_bytes();
            match color {
                2 => vec![r.into(), g.into(), b.into()],
                _ => vec![place.map_or(most, |(x, y)| at(x, y)) as u16],
            }
        };
        let image = Image {
            size: info.image_size(),
            color,
            depth,
            interlaced: false,
            palette: if color == 3 { &palette[..3 << depth] } else { &[] },
            info: Some(info.clone()),
            samples: &samples,
        };
        let mut canvas = canvas();
        let picture = apply(&mut canvas, &image.png()).unwrap().unwrap();
        let changed = |x: u32, y: u32| {
            tiles.iter().any(|t| {
                let (right, lower) = (t.position.0 + t.size.0, t.position.1 + t.size.1);
                (t.position.0..right).contains(&x) && (t.position.1..lower).contains(&y)
            })
        };
        same(&picture, |x, y| if changed(x, y) { expected(x, y) } else { pattern(x, y) });
        let damaged: usize = picture.damage().iter().map(|rect| rect.area()).sum();
        assert!(damaged < (WIDTH * HEIGHT / 2) as usize, "{:?}", picture.damage());
    }
}

#[test]
fn what_does_not_go_on_from_here_is_out_of_step_and_what_does_not_fit_is_bad() {
    let black = |_, _| 0;
    let one = [tile(0, 0, 2, 2)];
    // Of another base, of another size, and in the midst of another update.
    let mut canvas = self::canvas();
    let base = apply(&mut canvas, &rgb_delta(delta(3, &[], &one), &black)).unwrap_err();
    assert!(matches!(base, PictureError::Base { base: 2 }) && base.is_out_of_step(), "{base}");
    let late = apply(&mut canvas, &rgb_delta(delta(2, &[], &one), &black)).unwrap_err();
    assert!(late.is_out_of_step(), "nothing is here until the next key frame: {late}");

    let mut canvas = self::canvas();
    let wide = FrameInfo { canvas: (WIDTH + 1, HEIGHT), ..delta(2, &[], &one) };
    let size = apply(&mut canvas, &rgb_delta(wide, &black)).unwrap_err();
    assert!(matches!(size, PictureError::Size { .. }) && size.is_out_of_step(), "{size}");

    let mut canvas = self::canvas();
    let first = FrameInfo { last: false, ..delta(2, &[], &one) };
    assert!(apply(&mut canvas, &rgb_delta(first.clone(), &black)).unwrap().is_none());
    let other = FrameInfo { captured_us: first.captured_us + 1, ..first };
    let midst = apply(&mut canvas, &rgb_delta(other, &black)).unwrap_err();
    assert!(matches!(midst, PictureError::Update { .. }) && midst.is_out_of_step(), "{midst}");

    for (moves, tiles) in [
        (&[moved((50, 0), (12, 1), (0, 0))][..], &[][..]),
        (&[moved((0, 0), (12, 1), (50, 0))], &[]),
        (&[moved((0, 40), (1, 12), (0, 42))], &[]),
        (&[], &[tile(60, 0, 2, 1)]),
        (&[], &[tile(0, 52, 1, 2)]),
    ] {
        let mut canvas = self::canvas();
        let frame = rgb_delta(delta(2, moves, tiles), &black);
        let error = apply(&mut canvas, &frame).unwrap_err();
        assert!(!error.is_out_of_step() && error.to_string().contains("do"), "{error}");
        assert!(apply(&mut canvas, &key(1)).unwrap().is_some(), "a key frame mends it");
    }
}

#[test]
fn a_key_frame_ends_an_update_whatever_its_size() {
    let mut canvas = canvas();
    let first = FrameInfo { last: false, ..delta(2, &[], &[tile(0, 0, 9, 9)]) };
    assert!(apply(&mut canvas, &rgb_delta(first, &|_, _| 7)).unwrap().is_none());
    let picture = apply(&mut canvas, &rgb_frame(20, 90, 3, &pattern)).unwrap().unwrap();
    assert_eq!((picture.width, picture.height, picture.version), (20, 90, Some(3)));
    same(&picture, pattern);
    let next = FrameInfo { tiles: vec![tile(1, 88, 2, 2)], ..delta_info(20, 90, 4) };
    let picture = apply(&mut canvas, &rgb_delta(next, &|_, _| 9)).unwrap().unwrap();
    same(&picture, |x, y| if (1..3).contains(&x) && y >= 88 { 9 } else { pattern(x, y) });
}

/// A viewer that has version 1.
fn connected(agent: &FakeAgent) -> (Client, Viewer, View) {
    let options = ClientOptions { reconnect: false, ..ClientOptions::default() };
    let client = Client::start(agent.target(), options).unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&key(1));
    acknowledged(&mut viewer, 1);
    let view = client.wait_until(LONG, |v| v.sequence == 1).unwrap();
    (client, viewer, view)
}

/// Expects this to be the next that is acknowledged or asked for.
fn acknowledged(viewer: &mut Viewer, version: u64) {
    let said = viewer.expect(|m| matches!(m, Message::Acknowledge(_) | Message::Refresh));
    assert_eq!(said, Message::Acknowledge(Acknowledge { version }));
}

fn refreshed(viewer: &mut Viewer) {
    let said = viewer.expect(|m| matches!(m, Message::Acknowledge(_) | Message::Refresh));
    assert_eq!(said, Message::Refresh);
}

#[test]
fn hello_asks_for_what_the_options_say() {
    let agent = FakeAgent::new();
    let hello = |options| {
        let client = Client::start(agent.target(), options).unwrap();
        let Some(Message::Hello(hello)) = agent.accept().hear() else { panic!("no hello") };
        client.stop();
        (hello.delta, hello.scale, hello.max_fps)
    };
    assert_eq!(hello(ClientOptions::default()), (true, 1, 0));
    let options = ClientOptions { delta: false, scale: 4, max_fps: 10, ..Default::default() };
    assert_eq!(hello(options), (false, 4, 10));
}

#[test]
fn an_update_of_several_frames_is_shown_when_it_is_whole() {
    let agent = FakeAgent::new();
    let (client, mut viewer, before) = connected(&agent);
    let info = delta(2, &[], &[tile(1, 1, 3, 3)]);
    let first = FrameInfo { last: false, ..info.clone() };
    viewer.frame(&rgb_delta(first.clone(), &|_, _| 1));
    // A packet may come in between. Its answer tells that the frame before it has arrived.
    viewer.say(&Message::Ping(hightower_proto::message::Ping { clock_us: 5 }));
    viewer.expect(|m| matches!(m, Message::Pong(_)));
    viewer.frame(&rgb_delta(FrameInfo { tiles: vec![tile(10, 1, 3, 3)], ..first }, &|_, _| 2));
    let view = client.view();
    assert_eq!(view.sequence, 1, "not yet");
    assert!(Arc::ptr_eq(&view.picture.unwrap(), before.picture.as_ref().unwrap()));
    viewer.frame(&rgb_delta(FrameInfo { tiles: vec![tile(20, 1, 3, 3)], ..info }, &|_, _| 3));
    acknowledged(&mut viewer, 2);
    let view = client.wait_until(LONG, |v| v.sequence == 2).unwrap();
    let picture = view.picture.unwrap();
    same(&picture, |x, y| match (x, y) {
        (1..4, 1..4) => 1,
        (10..13, 1..4) => 2,
        (20..23, 1..4) => 3,
        _ => pattern(x, y),
    });
    assert_eq!(picture.damage_since(1).unwrap(), picture.damage());
    // Who has kept the old picture still has it.
    same(&before.picture.unwrap(), pattern);
    assert_eq!((view.counters.frames, view.counters.out_of_step), (2, 0));
}

#[test]
fn a_gap_is_mended_by_asking_once() {
    let agent = FakeAgent::new();
    let (client, mut viewer, _) = connected(&agent);
    let mark = |version| rgb_delta(delta(version, &[], &[tile(0, 0, 1, 1)]), &|_, _| 0xabc);
    // Version 2 is lost.
    for version in [3, 4, 5] {
        viewer.frame(&mark(version));
    }
    refreshed(&mut viewer);
    viewer.frame(&rgb_frame(WIDTH, HEIGHT, 5, &pattern));
    acknowledged(&mut viewer, 5);
    viewer.frame(&mark(6));
    acknowledged(&mut viewer, 6);
    let view = client.wait_until(LONG, |v| v.sequence == 3).unwrap();
    same(view.picture.as_ref().unwrap(), |x, y| if x + y == 0 { 0xabc } else { pattern(x, y) });
    let counters = view.counters;
    assert_eq!((counters.out_of_step, counters.refreshes, counters.bad), (3, 1, 0));
    assert_eq!((view.link, view.notice.is_none()), (Link::Connected, true));
    // And it is asked for again when it is needed again.
    viewer.frame(&mark(8));
    refreshed(&mut viewer);
}

#[test]
fn a_broken_delta_is_a_bad_frame_and_asks_for_a_key() {
    let agent = FakeAgent::new();
    let (client, mut viewer, before) = connected(&agent);
    let good = rgb_delta(delta(2, &[moved((0, 0), (9, 9), (4, 4))], &[tile(0, 0, 9, 9)]), &pattern);
    viewer.frame(&good[..good.len() - 30]);
    refreshed(&mut viewer);
    let view = client.wait_until(LONG, |v| v.counters.bad == 1).unwrap();
    assert_eq!((view.sequence, view.link), (1, Link::Connected));
    same(&before.picture.unwrap(), pattern);
    viewer.frame(&key(2));
    acknowledged(&mut viewer, 2);
    viewer.frame(&rgb_delta(delta(3, &[moved((50, 0), (20, 9), (0, 0))], &[]), &pattern));
    refreshed(&mut viewer);
    let view = client.wait_until(LONG, |v| v.counters.bad == 2).unwrap();
    assert!(view.notice.unwrap().text.contains("do not fit a canvas of 61x53"));
}

#[test]
fn nothing_of_one_connection_is_built_on_by_the_next() {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&key(1));
    viewer.frame(&rgb_delta(FrameInfo { last: false, ..delta(2, &[], &[]) }, &pattern));
    acknowledged(&mut viewer, 1);
    drop(viewer);
    let mut viewer = agent.accept_speaking();
    // The very frame that the old connection waited for.
    viewer.frame(&rgb_delta(delta(2, &[], &[tile(0, 0, 5, 5)]), &|_, _| 0));
    refreshed(&mut viewer);
    viewer.frame(&rgb_frame(8, 8, 1, &pattern));
    acknowledged(&mut viewer, 1);
    let view = client.wait_until(LONG, |v| v.sequence == 2).unwrap();
    assert_eq!(view.picture.map(|p| (p.width, p.height)), Some((8, 8)));
    assert_eq!(view.counters.connections, 2);
}

#[test]
fn deltas_that_come_faster_than_they_are_decoded_are_all_applied() {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let mut viewer = agent.accept_speaking();
    let size = (700, 500);
    viewer.frame(&rgb_frame(size.0, size.1, 1, &|_, _| 0));
    let mut frames = Vec::new();
    for version in 2..=60u64 {
        // Large and small ones in turns: they are decoded in different places.
        let large = if version % 3 == 0 { 400 } else { 3 };
        let tiles = vec![tile(version as u32, version as u32, large, large)];
        let info = FrameInfo { tiles, ..delta_info(size.0, size.1, version) };
        let png = rgb_delta(info, &|_, _| version as u32);
        frames.extend_from_slice(&hightower_proto::stream::frame_header(png.len() as u64));
        frames.extend_from_slice(&png);
    }
    viewer.raw(&frames);
    let view = client.wait_until(LONG, |v| v.sequence == 60).unwrap();
    assert_eq!((view.counters.skipped, view.counters.out_of_step), (0, 0));
    let mut expected = vec![0; 700 * 500];
    for version in 2..=60usize {
        let large = if version % 3 == 0 { 400 } else { 3 };
        for y in version..version + large {
            expected[y * 700 + version..][..large].fill(version as u32);
        }
    }
    assert!(view.picture.unwrap().pixels() == expected);
    viewer.expect(|m| *m == Message::Acknowledge(Acknowledge { version: 60 }));
}

#[test]
fn a_watcher_hears_of_each_picture_at_once() {
    let agent = FakeAgent::new();
    let (heard, told) = std::sync::mpsc::sync_channel(64);
    let options = ClientOptions::default();
    let client = Client::start_watched(agent.target(), options, move |view: &View| {
        let version = view.picture.as_ref().and_then(|picture| picture.version);
        heard.send((view.sequence, version)).unwrap();
    });
    let client = client.unwrap();
    let mut viewer = agent.accept();
    viewer.frame(&rgb(4, 4, None, &pattern));
    assert_eq!(told.recv_timeout(LONG).unwrap(), (1, None));
    viewer.frame(&rgb(4, 4, Some(key_info(4, 4, 7)), &pattern));
    assert_eq!(told.recv_timeout(LONG).unwrap(), (2, Some(7)));
    client.stop();
    assert!(told.recv().is_err());
}
