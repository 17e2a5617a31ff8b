//! Frames changed at random: whatever comes, the decoder says so and goes on.
//!
//! 10,000 of them are tried, or as many as `HIGHTOWER_MUTATIONS` says: for a long run,
//! `HIGHTOWER_MUTATIONS=10000000 cargo test --release --test viewer mutations`. The same are tried
//! each time; `HIGHTOWER_MUTATIONS_SEED` gives others.

use crate::allocator::most_held;
use crate::fake_agent::{
    Image, crc32, delta_info, key_info, moved, on_canvas, rgb_delta, rgb_frame, tile,
};
use hightower::viewer::Canvas;
use hightower_proto::htfr::{Move, Tile};
use hightower_proto::{FrameInfo, Limits};
use std::time::Instant;

const WIDTH: u32 = 48;
const HEIGHT: u32 = 40;

/// The most pixels a picture may have here, and the most memory that may be taken for one frame:
/// its pixels as the decoder gives them, as they are worked on and as they were, and what the
/// decoder itself needs.
const MAX_PIXELS: u64 = 1 << 17;
const MEMORY: usize = 3 * 4 * MAX_PIXELS as usize + (1 << 20);

fn pattern(x: u32, y: u32) -> u32 {
    (x * 5 << 16) | (y * 6 << 8) | (x ^ y)
}

/// Numbers at random; a wrong one is found again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number that is mostly small, often at an edge, and sometimes anything.
    fn number(&mut self) -> u32 {
        match self.below(8) {
            0 => 0,
            1 => u32::MAX - self.below(3) as u32,
            2 => self.next() as u32,
            3 => WIDTH - self.below(3) as u32,
            4 => HEIGHT + self.below(3) as u32,
            _ => self.below(WIDTH as usize) as u32,
        }
    }

    fn pair(&mut self) -> (u32, u32) {
        (self.number(), self.number())
    }
}

fn delta(version: u64, moves: &[Move], tiles: &[Tile]) -> FrameInfo {
    let (moves, tiles) = (moves.to_vec(), tiles.to_vec());
    FrameInfo { moves, tiles, ..delta_info(WIDTH, HEIGHT, version) }
}

fn image(info: FrameInfo, color: u8, depth: u8, interlaced: bool) -> Vec<u8> {
    let palette: Vec<u8> = (0..=255).flat_map(|i: u8| [i, i ^ 0x55, 255 - i]).collect();
    let places = info.clone();
    let samples = |x, y| {
        let (x, y) = on_canvas(&places, x, y).unwrap_or_default();
        let count = [1, 0, 3, 1, 2, 0, 4][usize::from(color)];
        vec![((x * 3 + y) % (1 << depth.min(8))) as u16; count]
    };
    let palette = if color == 3 { &palette[..3 << depth] } else { &[] };
    let (size, info) = (info.image_size(), Some(info));
    Image { size, color, depth, interlaced, palette, info, samples: &samples }.png()
}

/// Good frames to begin with, all of which go on from version 1.
fn seeds() -> Vec<Vec<u8>> {
    let tiles = [tile(1, 2, 30, 5), tile(40, 30, 8, 10), tile(0, 0, 1, 1)];
    let moves = [moved((0, 5), (48, 30), (0, 2)), moved((3, 3), (20, 20), (9, 3))];
    let mut seeds = vec![
        rgb_frame(WIDTH, HEIGHT, 2, &pattern),
        rgb_delta(delta(2, &moves, &tiles), &pattern),
        rgb_delta(delta(2, &moves, &[]), &pattern),
        rgb_delta(FrameInfo { last: false, ..delta(2, &[], &tiles) }, &pattern),
    ];
    for (color, depth) in [(3, 1), (3, 2), (3, 4), (3, 8), (0, 1), (0, 8), (0, 16), (2, 16), (6, 8)]
    {
        seeds.push(image(delta(2, &[], &tiles), color, depth, false));
        seeds.push(image(key_info(WIDTH, HEIGHT, 2), color, depth, color == 3 || depth == 16));
    }
    seeds
}

/// Where a PNG's chunks begin.
fn chunks(png: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 8);
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let end = at.saturating_add(12).saturating_add(length);
        if end > png.len() {
            break;
        }
        found.push((at, end));
        at = end;
    }
    found
}

/// Makes the chunks' checksums right, so that what was changed is looked at.
fn mend(png: &mut [u8]) {
    for (at, end) in chunks(png) {
        let crc = crc32(&png[at + 4..end - 4]);
        png[end - 4..end].copy_from_slice(&crc.to_be_bytes());
    }
}

/// What a frame says of itself, changed.
fn other_info(random: &mut Random, info: &mut FrameInfo) {
    for _ in 0..1 + random.below(3) {
        match random.below(9) {
            0 => info.version = random.number().into(),
            1 => info.base = random.number().into(),
            2 => info.canvas = random.pair(),
            3 => info.last = !info.last,
            4 | 5 => {
                let (from, size, to) = (random.pair(), random.pair(), random.pair());
                info.moves.insert(random.below(info.moves.len() + 1), Move { from, size, to });
            }
            6 | 7 => {
                let (position, size) = (random.pair(), random.pair());
                info.tiles.insert(random.below(info.tiles.len() + 1), Tile { position, size });
            }
            _ => {
                info.tiles.pop();
            }
        }
    }
}

/// A frame, changed in some way.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut png = seeds[random.below(seeds.len())].clone();
    match random.below(6) {
        // What the chunk says is wrong in itself, or only does not fit the image.
        0 | 1 => {
            let tiles = [tile(1, 2, 30, 5), tile(40, 30, 8, 10)];
            let mut info = delta(2, &[moved((0, 5), (48, 30), (0, 2))], &tiles);
            other_info(random, &mut info);
            if let Some(&(at, end)) = chunks(&png).get(1) {
                png.splice(at..end, info.chunk());
            }
            let (width, height) = info.image_size();
            if random.below(2) == 0 && width.saturating_mul(height) < 1 << 14 {
                png = rgb_delta(info, &pattern);
            }
        }
        // Chunks in another order, twice, or not at all.
        2 => {
            let all = chunks(&png);
            let (a, b) = (all[random.below(all.len())], all[random.below(all.len())]);
            let chunk = png[a.0..a.1].to_vec();
            if random.below(2) == 0 {
                png.drain(a.0..a.1);
            }
            let at = b.0.min(png.len());
            png.splice(at..at, chunk);
        }
        3 => {
            png.truncate(random.below(png.len()));
        }
        _ => {}
    }
    for _ in 0..random.below(6) {
        if png.is_empty() {
            break;
        }
        let at = match random.below(3) {
            // The header and the chunk are short, and most of what can be wrong is in them.
            0 => random.below(png.len().min(100)),
            _ => random.below(png.len()),
        };
        png[at] = match random.below(3) {
            0 => random.next() as u8,
            1 => png[at] ^ (1 << random.below(8)),
            _ => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        };
    }
    if random.below(4) > 0 {
        mend(&mut png);
    }
    png
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn whatever_comes_is_a_picture_or_an_error_and_takes_bounded_memory() {
    let count = number("HIGHTOWER_MUTATIONS", 10_000);
    let mut random = Random(number("HIGHTOWER_MUTATIONS_SEED", 1));
    let seeds = seeds();
    let good = rgb_frame(WIDTH, HEIGHT, 1, &pattern);
    let expected: Vec<u32> = (0..WIDTH * HEIGHT).map(|i| pattern(i % WIDTH, i / WIDTH)).collect();
    let limits = Limits { max_pixels: MAX_PIXELS, max_dimension: 2000, ..Limits::default() };
    let mut canvas = Canvas::new(limits);
    let (mut shown, mut pictures, mut whole, mut held) = (None, 0, 0, true);
    for n in 0..count {
        if held {
            let picture = canvas.apply(&good, Instant::now()).unwrap().unwrap();
            assert!(picture.pixels() == expected, "input {n}: a good frame after it");
            whole += 1;
            held = false;
        }
        let seed = random.0;
        let frame = mutate(&mut random, &seeds);
        let (applied, memory) = most_held(|| canvas.apply(&frame, Instant::now()));
        assert!(memory <= MEMORY, "input {n}, seed {seed}: {memory} bytes for {}", frame.len());
        match applied {
            Ok(Some(picture)) => {
                pictures += 1;
                assert!(limits.allow_image(picture.width as u32, picture.height as u32));
                assert_eq!(picture.pixels().len(), picture.width * picture.height);
                // One is kept for a while, as a slow consumer does.
                if random.below(3) == 0 {
                    shown = Some(picture);
                }
                held = true;
            }
            Ok(None) => held = random.below(2) == 0,
            Err(_) => held = random.below(8) > 0,
        }
        if random.below(2) == 0 {
            canvas.settle();
        }
    }
    drop(shown);
    // The changes are neither all harmless nor all found at the first byte.
    assert!(pictures > count / 50 && pictures < count / 2, "{pictures} pictures of {count}");
    assert!(whole > count / 3);
}
