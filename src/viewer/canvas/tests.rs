//! Whatever comes in whatever order: the pictures are those of a flat model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::canvas::move_pixels;
use proptest::prelude::*;

const SIZES: [(u32, u32); 3] = [(40, 50), (33, 17), (64, 32)];

/// What an agent sends next.
#[derive(Debug, Clone)]
enum Step {
    /// A key frame, of one of the sizes.
    Key(usize, u32),
    /// A delta in so many frames; numbers that moves and tiles are made of.
    Delta(usize, Vec<[u32; 6]>),
    /// A delta of a base that is not here.
    Stray,
    /// A delta whose image breaks off.
    Broken,
    /// An update that a key frame cuts short.
    CutShort(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let numbers = prop::collection::vec(any::<[u32; 6]>(), 0..7);
    let step = prop_oneof![
        2 => (0..3usize, any::<u32>()).prop_map(|(size, seed)| Step::Key(size, seed)),
        12 => (1..4usize, numbers).prop_map(|(frames, numbers)| Step::Delta(frames, numbers)),
        1 => Just(Step::Stray),
        1 => Just(Step::Broken),
        1 => (0..3usize).prop_map(Step::CutShort),
    ];
    prop::collection::vec(step, 1..25)
}

/// A place and size on the canvas, from any numbers.
fn part(size: (u32, u32), [x, y, w, h, ..]: [u32; 6]) -> ((u32, u32), (u32, u32)) {
    let at = (x % size.0, y % size.1);
    (at, (1 + w % (size.0 - at.0), 1 + h % (size.1 - at.1)))
}

fn color(seed: u32, x: u32, y: u32) -> u32 {
    (seed ^ x.wrapping_mul(0x01_0305) ^ y.wrapping_mul(0x07_1113)) & 0xff_ffff
}

/// A PNG of these pixels with what it says of itself.
fn png(info: &FrameInfo, (width, height): (u32, u32), pixels: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::ChunkType(htfr::CHUNK), &info.data()).unwrap();
    let bytes: Vec<u8> = pixels.iter().flat_map(|p| p.to_be_bytes()[1..].to_vec()).collect();
    writer.write_image_data(&bytes).unwrap();
    writer.finish().unwrap();
    out
}

/// The agent and what its viewer must see.
struct Model {
    version: u64,
    size: (u32, u32),
    pixels: Vec<u32>,
    /// Whether the viewer has that version.
    whole: bool,
}

impl Model {
    fn key(&mut self, size: (u32, u32), seed: u32) -> Vec<u8> {
        self.version += 1;
        self.size = size;
        let places = (0..size.1).flat_map(|y| (0..size.0).map(move |x| (x, y)));
        self.pixels = places.map(|(x, y)| color(seed, x, y)).collect();
        self.whole = true;
        png(&FrameInfo::key(self.version, 7, size), size, &self.pixels)
    }

    /// One frame of an update to the version after this one.
    fn frame(&mut self, numbers: &[[u32; 6]], last: bool) -> Vec<u8> {
        let version = self.version + 1;
        let mut info = FrameInfo::key(version, u64::from(u32::MAX) + version, self.size);
        (info.base, info.last) = (self.version, last);
        info.tiles.clear();
        let width = self.size.0 as usize;
        for &n in numbers.iter().filter(|n| n[5] % 2 == 0) {
            let (from, size) = part(self.size, n);
            let to = (n[4] % (self.size.0 - size.0 + 1), n[5] / 2 % (self.size.1 - size.1 + 1));
            if to != from {
                info.moves.push(htfr::Move { from, size, to });
                move_pixels(&mut self.pixels, width, &move_of(&info.moves[info.moves.len() - 1]));
            }
        }
        for &n in numbers.iter().filter(|n| n[5] % 2 == 1) {
            let (position, size) = part(self.size, n);
            info.tiles.push(htfr::Tile { position, size });
            // Small enough together to be allowed.
            if info.check(info.image_size(), &Limits::default()).is_err() {
                info.tiles.pop();
            }
        }
        let size = info.image_size();
        let mut image = vec![0xff_00ff; size.0 as usize * size.1 as usize];
        let mut above = 0;
        for (tile, seed) in info.tiles.iter().zip(self.version as u32..) {
            for (y, x) in (0..tile.size.1).flat_map(|y| (0..tile.size.0).map(move |x| (y, x))) {
                let pixel = color(seed.wrapping_mul(0x9e37_79b9), x, y);
                image[((above + y) * size.0 + x) as usize] = pixel;
                let (x, y) = (tile.position.0 + x, tile.position.1 + y);
                self.pixels[(y * self.size.0 + x) as usize] = pixel;
            }
            above += tile.size.1;
        }
        png(&info, size, &image)
    }
}

/// Makes the chunks' checksums right, so that what was changed is looked at.
fn mend(png: &mut [u8]) {
    let mut at = 8;
    while let Some(&[a, b, c, d]) = png.get(at..).and_then(|rest| rest.first_chunk()) {
        let end = (at + 8).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        let Some(body) = png.get(at + 4..end) else { return };
        let sum = crc32fast::hash(body).to_be_bytes();
        let Some(place) = png.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

/// Applies a frame, with its pixels decoded ahead where it is a delta.
fn apply_ahead(
    canvas: &mut Canvas,
    frame: &[u8],
    now: Instant,
) -> Result<Option<Picture>, PictureError> {
    let Ok(header) = Header::parse(frame, &Limits::default()) else {
        return canvas.apply(frame, now);
    };
    // What was in the memory before does not matter.
    let mut ahead = Pixels { pixels: vec![0xee_eeee; 77], result: Ok(()) };
    ahead.decode(frame, &header, &mut Vec::new());
    canvas.apply_parsed(frame, Some(&header), Some(&mut ahead), now)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn pictures_are_those_of_a_flat_model(steps in steps(), ahead in any::<u64>()) {
        let mut canvas = Canvas::new(Limits::default());
        let mut model = Model { version: 0, size: SIZES[0], pixels: Vec::new(), whole: false };
        let mut shown: Vec<(Picture, Vec<u32>)> = Vec::new();
        let now = Instant::now();
        for (n, step) in steps.into_iter().enumerate() {
            let mut made = None;
            match step {
                Step::Key(size, seed) => {
                    made = canvas.apply(&model.key(SIZES[size], seed), now).unwrap();
                    prop_assert!(made.is_some());
                }
                Step::Delta(frames, numbers) if model.version > 0 => {
                    let pieces = numbers.len().div_ceil(frames).max(1);
                    let mut pieces: Vec<_> = numbers.chunks(pieces).collect();
                    pieces.resize(frames, &[]);
                    for (i, piece) in pieces.iter().enumerate() {
                        let frame = model.frame(piece, i + 1 == frames);
                        let applied = if ahead >> (n % 64) & 1 == 0 {
                            canvas.apply(&frame, now)
                        } else {
                            apply_ahead(&mut canvas, &frame, now)
                        };
                        if !model.whole {
                            prop_assert!(applied.unwrap_err().is_out_of_step());
                            continue;
                        }
                        made = applied.unwrap();
                        prop_assert_eq!(made.is_some(), i + 1 == frames);
                    }
                    model.version += 1;
                }
                Step::Stray => {
                    let mut info = FrameInfo::key(model.version + 9, 7, model.size);
                    (info.base, info.tiles) = (model.version + 3, Vec::new());
                    let error = canvas.apply(&png(&info, (1, 1), &[0]), now).unwrap_err();
                    prop_assert!(error.is_out_of_step());
                    model.whole = false;
                }
                Step::Broken if model.version > 0 => {
                    let before = model.pixels.clone();
                    let frame = model.frame(&[[3, 3, 30, 30, 0, 0], [1, 1, 9, 14, 0, 1]], true);
                    prop_assert!(canvas.apply(&frame[..frame.len() - 20], now).is_err());
                    (model.pixels, model.whole) = (before, false);
                }
                Step::CutShort(size) if model.version > 0 => {
                    let frame = model.frame(&[[3, 3, 5, 5, 0, 0], [1, 1, 9, 9, 0, 1]], false);
                    prop_assert_eq!(canvas.apply(&frame, now).is_ok(), model.whole);
                    made = canvas.apply(&model.key(SIZES[size], n as u32), now).unwrap();
                }
                Step::Delta(..) | Step::Broken | Step::CutShort(_) => {}
            }
            if let Some(picture) = made {
                prop_assert_eq!(picture.pixels(), model.pixels.clone());
                prop_assert_eq!(picture.version, Some(model.version));
                // What the damage does not name is as it was.
                if let Some((last, _)) = shown.last()
                    && (last.width, last.height) == (picture.width, picture.height)
                {
                    let damage = picture.damage_since(last.sequence).unwrap();
                    for (y, (old, new)) in last.rows().zip(picture.rows()).enumerate() {
                        for (x, _) in old.iter().zip(new).enumerate().filter(|(_, (a, b))| a != b) {
                            let here = Rect::new(x, y, 1, 1);
                            prop_assert!(damage.iter().any(|r| r.contains(&here)), "{x},{y}");
                        }
                    }
                }
                shown.push((picture, model.pixels.clone()));
            }
            // Consumers let go of their pictures at any time.
            if n % 3 == 1 && shown.len() > 2 {
                shown.remove(n % (shown.len() - 1));
            }
            if n % 2 == 0 {
                canvas.settle();
            }
            for (picture, pixels) in &shown {
                prop_assert_eq!(&picture.pixels(), pixels);
            }
        }
    }

    #[test]
    fn what_is_broken_is_as_broken_when_it_is_decoded_ahead(
        numbers in prop::collection::vec(any::<[u32; 6]>(), 1..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut model = Model { version: 0, size: SIZES[0], pixels: Vec::new(), whole: false };
        let key = model.key(SIZES[0], 7);
        let mut frame = model.frame(&numbers, true);
        for (at, value) in &changes {
            *at.get_mut(&mut frame) = *value;
        }
        if changes.len() == 3 {
            frame.truncate(length.index(frame.len()));
        }
        mend(&mut frame);
        let now = Instant::now();
        let apply = |ahead: bool| {
            let mut canvas = Canvas::new(Limits::default());
            canvas.apply(&key, now).unwrap();
            let applied = match ahead {
                true => apply_ahead(&mut canvas, &frame, now),
                false => canvas.apply(&frame, now),
            };
            (applied.map(|made| made.map(|p| p.pixels())).map_err(|e| e.to_string()), canvas.version)
        };
        prop_assert_eq!(apply(true), apply(false));
    }
}
