//! What the encoder makes is what it was given, by every decoder at hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use hightower::canvas::{BAND_ROWS, Band, Bands, Move, Tile, Update, move_pixels};
use hightower::png::{Effort, EncodeError, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower_proto::htfr::FrameInfo;
use hightower_proto::png::Header;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits};
use proptest::prelude::*;

/// The frames of a stream.
fn frames(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut decoder = Decoder::new(Options::viewer());
    pieces.iter().for_each(|piece| decoder.feed(piece));
    let mut frames = Vec::new();
    while let Some(item) = decoder.next_item().unwrap() {
        let Item::Frame(frame) = item else { panic!("{item:?}") };
        frames.push(frame);
    }
    decoder.finish().unwrap();
    frames
}

/// Holds the data of the `IDAT` chunks against what zlib demands, byte for byte, with a decoder
/// that is not the `png` crate's.
fn check_zlib(png: &[u8]) {
    let (mut at, mut data, mut ended) = (8, Vec::new(), false);
    while at < png.len() {
        assert!(!ended, "nothing follows IEND");
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        let (kind, body) = (&png[at + 4..at + 8], &png[at + 8..at + 8 + length]);
        let sum = u32::from_be_bytes(png[at + 8 + length..][..4].try_into().unwrap());
        assert_eq!(sum, crc32fast::hash(&png[at + 4..at + 8 + length]));
        if kind == b"IDAT" {
            data.extend_from_slice(body);
        }
        ended = kind == b"IEND";
        at += 12 + length;
    }
    assert!(ended);
    let mut inflate = Decompress::new(true);
    let mut out = Vec::new();
    loop {
        out.reserve(1 << 16);
        let from = inflate.total_in() as usize;
        let status = inflate.decompress_vec(&data[from..], &mut out, FlushDecompress::None);
        match status.unwrap() {
            Status::StreamEnd => break,
            Status::Ok => {}
            Status::BufError => panic!("the stream is cut off"),
        }
    }
    assert_eq!(inflate.total_in() as usize, data.len(), "nothing follows the stream");
}

/// The pixels of a PNG.
fn decode(png: &[u8]) -> Vec<u32> {
    check_zlib(png);
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut samples).unwrap();
    reader.finish().unwrap();
    let word = |r: u8, g: u8, b: u8| u32::from_be_bytes([0, r, g, b]);
    match info.color_type {
        png::ColorType::Grayscale => samples.iter().map(|&g| word(g, g, g)).collect(),
        png::ColorType::Rgb => samples.chunks(3).map(|p| word(p[0], p[1], p[2])).collect(),
        other => panic!("{other:?}"),
    }
}

/// A picture that frames are put on.
#[derive(Debug, Clone, PartialEq)]
struct Screen {
    size: (usize, usize),
    pixels: Vec<u32>,
}

impl Screen {
    fn new(size: (usize, usize)) -> Self {
        Self { size, pixels: (0..size.0 * size.1).map(|i| i as u32 & 0xff_ffff).collect() }
    }

    fn copy(&mut self, moved: &Move) {
        move_pixels(&mut self.pixels, self.size.0, moved);
    }

    fn place(&mut self, rect: &Rect, pixels: &[u32], stride: usize) {
        for y in 0..rect.height {
            self.pixels[(rect.y + y) * self.size.0 + rect.x..][..rect.width]
                .copy_from_slice(&pixels[y * stride..][..rect.width]);
        }
    }

    /// As the update says.
    fn update(&mut self, update: &Update) {
        update.moves.iter().for_each(|m| self.copy(m));
        for tile in &update.tiles {
            self.place(&tile.rect, &tile.pixels, tile.rect.width);
        }
    }

    /// As a frame says.
    fn frame(&mut self, png: &[u8]) -> FrameInfo {
        let header = Header::parse(png, &Limits::default()).unwrap();
        let info = header.frame.unwrap();
        for m in &info.moves {
            let size = (m.size.0 as usize, m.size.1 as usize);
            let from = Rect::new(m.from.0 as usize, m.from.1 as usize, size.0, size.1);
            self.copy(&Move { from, to: (m.to.0 as usize, m.to.1 as usize) });
        }
        let pixels = decode(png);
        assert_eq!(pixels.len(), (header.width * header.height) as usize);
        let (mut y, stride) = (0, header.width as usize);
        for t in &info.tiles {
            let rect = Rect::new(
                t.position.0 as usize,
                t.position.1 as usize,
                t.size.0 as usize,
                t.size.1 as usize,
            );
            self.place(&rect, &pixels[y * stride..], stride);
            y += rect.height;
        }
        info
    }
}

/// Encodes and decodes; gives the number of frames.
fn round_trip(update: &Update, scratch: &mut Scratch) -> usize {
    let mut expected = Screen::new(update.size);
    expected.update(update);
    let mut count = 0;
    for effort in Effort::ALL {
        let frames = frames(&encode_delta(update, scratch, effort).unwrap());
        let mut screen = Screen::new(update.size);
        count = frames.len();
        for (i, frame) in frames.iter().enumerate() {
            let info = screen.frame(frame);
            assert_eq!((info.version, info.base), (update.version, update.base));
            assert_eq!(info.captured_us, update.captured_us);
            assert_eq!(info.last, i + 1 == count);
        }
        assert!(screen == expected, "{effort:?}");
    }
    count
}

fn update(size: (usize, usize), tiles: Vec<Tile>) -> Update {
    Update { version: 7, base: 5, captured_us: 1_780_000_000_000_000, size, moves: vec![], tiles }
}

/// What a tile shows.
#[derive(Debug, Clone, Copy)]
enum Look {
    Colours(u32),
    Greys(u32),
    Noise,
    Smooth,
    Mixed,
}

fn paint(rect: Rect, look: Look, seed: u32) -> Tile {
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut pixels = Vec::with_capacity(rect.area());
    for y in 0..rect.height as u32 {
        for x in 0..rect.width as u32 {
            let random = next();
            pixels.push(match look {
                Look::Colours(n) => (random % n + 1).wrapping_mul(0x9e_3779) & 0xff_ffff,
                Look::Greys(n) => random % n * (255 / (n - 1).max(1)) * 0x01_0101,
                Look::Noise => random & 0xff_ffff,
                Look::Smooth => ((x * 2 + y + (random & 3)) % 256 * 0x01_0100) | (random >> 8 & 7),
                Look::Mixed if x / 16 % 2 == 0 => 0x30_3030,
                Look::Mixed => ((x + y) % 256 * 0x01_0201) & 0xff_ffff,
            });
        }
    }
    Tile { rect, pixels }
}

const SIZE: (usize, usize) = (300, 200);

fn rect() -> impl Strategy<Value = Rect> {
    let side = |most: usize| prop_oneof![1..4usize, 1..40usize, 1..=most];
    (0..SIZE.0, 0..SIZE.1, side(SIZE.0), side(SIZE.1)).prop_map(|(x, y, w, h)| {
        Rect::new(x, y, w, h).intersection(&Rect::new(0, 0, SIZE.0, SIZE.1))
    })
}

fn tile() -> impl Strategy<Value = Tile> {
    let look = prop_oneof![
        (1..300u32).prop_map(Look::Colours),
        (1..18u32).prop_map(Look::Colours),
        prop_oneof![1..4u32, Just(16), Just(256)].prop_map(Look::Greys),
        Just(Look::Noise),
        Just(Look::Smooth),
        Just(Look::Mixed),
    ];
    (rect(), look, any::<u32>()).prop_map(|(rect, look, seed)| paint(rect, look, seed))
}

fn a_move() -> impl Strategy<Value = Move> {
    (rect(), any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(from, x, y)| {
        let to = (x.index(SIZE.0 - from.width + 1), y.index(SIZE.1 - from.height + 1));
        Move { from, to }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn updates_arrive_as_they_were(
        moves in prop::collection::vec(a_move(), 0..6),
        tiles in prop::collection::vec(tile(), 0..8),
    ) {
        // Tiles of an update do not overlap.
        let mut apart: Vec<Tile> = Vec::new();
        for tile in tiles {
            if apart.iter().all(|other| other.rect.intersection(&tile.rect).is_empty()) {
                apart.push(tile);
            }
        }
        round_trip(&Update { moves, ..update(SIZE, apart) }, &mut Scratch::default());
    }

    #[test]
    fn key_frames_arrive_as_they_were(
        tiles in prop::collection::vec(tile(), 1..6),
        later in prop::collection::vec(tile(), 1..3),
        height in 1..SIZE.1,
    ) {
        let mut screen = Screen::new(SIZE);
        for tile in &tiles {
            screen.place(&tile.rect, &tile.pixels, tile.rect.width);
        }
        screen.size.1 = height;
        screen.pixels.truncate(SIZE.0 * height);
        let mut encoder = KeyEncoder::new();
        for version in 1..3 {
            let before = screen.clone();
            if version > 1 {
                for tile in &later {
                    let rect = tile.rect.intersection(&Rect::new(0, 0, SIZE.0, height));
                    screen.place(&rect, &tile.pixels, tile.rect.width);
                }
            }
            let bands = bands(&screen, &before, version, encoder.known());
            let frames = frames(&encoder.encode(&bands).unwrap());
            prop_assert_eq!(frames.len(), 1);
            let mut shown = Screen::new(screen.size);
            let info = shown.frame(&frames[0]);
            prop_assert!(info.is_key());
            prop_assert!(shown == screen);
        }
    }
}

/// What [`hightower::canvas::Canvas::whole`] would give.
fn bands(screen: &Screen, before: &Screen, version: u64, known: &[u64]) -> Bands {
    let length = screen.size.0 * BAND_ROWS;
    let pairs = screen.pixels.chunks(length).zip(before.pixels.chunks(length));
    let bands = pairs.enumerate().map(|(i, (now, before))| {
        let version = if now == before { 1 } else { version };
        let pixels = (known.get(i) != Some(&version)).then(|| now.to_vec());
        Band { version, pixels }
    });
    Bands { version, captured_us: 1, size: screen.size, bands: bands.collect() }
}

#[test]
fn an_update_of_nothing_is_a_frame() {
    assert_eq!(round_trip(&update((5, 5), vec![]), &mut Scratch::default()), 1);
}

#[test]
fn odd_sizes_are_frames() {
    let mut scratch = Scratch::default();
    for size in [(32_768, 1), (1, 32_768), (1, 1), (32_768, 3), (3, 32_768), (11_000, 9)] {
        for look in [Look::Noise, Look::Smooth, Look::Mixed, Look::Colours(2), Look::Colours(99)] {
            let tile = paint(Rect::new(0, 0, size.0, size.1), look, 3);
            round_trip(&update(size, vec![tile.clone()]), &mut scratch);
            let screen = Screen { size, pixels: tile.pixels };
            let bands = bands(&screen, &screen, 1, &[]);
            let frames = frames(&KeyEncoder::new().encode(&bands).unwrap());
            let mut shown = Screen::new(size);
            shown.frame(&frames[0]);
            assert!(shown == screen, "{size:?} {look:?}");
        }
    }
}

/// Letters in a few weights on paper, in lines: each is one of so many shapes.
fn text(rect: Rect) -> Tile {
    let mut state = 0x9e37_79b9_u32;
    let letters: Vec<u32> = (0..rect.area() / 64)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 27
        })
        .collect();
    let shapes: Vec<Vec<u32>> = (0..32)
        .map(|n| paint(Rect::new(0, 0, 8, 16), Look::Noise, n * 77 + 1).pixels)
        .map(|noise| {
            noise.iter().map(|p| if p % 3 == 0 { p | 0x30_3030 } else { 0xf8_f8f0 }).collect()
        })
        .collect();
    let pixels = (0..rect.area()).map(|i| {
        let (x, y) = (i % rect.width, i / rect.width);
        shapes[letters[y / 16 * (rect.width / 8) + x / 8] as usize][y % 16 * 8 + x % 8]
    });
    Tile { rect, pixels: pixels.collect() }
}

#[test]
fn efforts_are_different_work() {
    let length = |tile: &Tile, effort| {
        let update =
            update((640, 480), vec![Tile { rect: tile.rect, pixels: tile.pixels.clone() }]);
        let pieces = encode_delta(&update, &mut Scratch::default(), effort).unwrap();
        pieces.iter().map(Bytes::len).sum::<usize>() as f64
    };
    let written = text(Rect::new(0, 0, 640, 480));
    let (fast, small) = (length(&written, Effort::Fast), length(&written, Effort::Small));
    assert!(small < fast * 0.95, "{small} bytes and {fast}");
    assert!(length(&written, Effort::Least) == fast, "what repeats is always found");
    // Four bits of noise a sample: half of it is stored as it is, whatever the size.
    for (width, height) in [(640, 480), (300, 200), (640, 101)] {
        let mut tile = paint(Rect::new(0, 0, width, height), Look::Noise, 5);
        tile.pixels.iter_mut().for_each(|pixel| *pixel &= 0x0f_0f0f);
        let all = (width * height * 3) as f64;
        let (least, fast) = (length(&tile, Effort::Least), length(&tile, Effort::Fast));
        let stored = (least - fast) / (all - fast);
        assert!((0.45..0.55).contains(&stored), "{width} x {height}: {stored}");
    }
}

#[test]
fn large_updates_are_cut() {
    let mut scratch = Scratch::default();
    for look in [Look::Smooth, Look::Mixed, Look::Noise] {
        let tile = paint(Rect::new(0, 0, 1001, 801), look, 5);
        assert_eq!(round_trip(&update((1001, 801), vec![tile]), &mut scratch), 2);
    }
    let tile = paint(Rect::new(9, 9, 1001, 801), Look::Colours(2), 5);
    assert_eq!(round_trip(&update((1010, 810), vec![tile]), &mut scratch), 2);
}

#[test]
fn more_than_a_frame_takes_is_several() {
    let mut scratch = Scratch::default();
    let size = (300, 300);
    let tiles = |looks: &[Look]| {
        (0..3000usize)
            .map(|i| {
                let rect = Rect::new(i % 100 * 3, i / 100 * 4, 1 + i % 2, 1 + i % 3);
                paint(rect, looks[i % looks.len()], i as u32)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(round_trip(&update(size, tiles(&[Look::Colours(2)])), &mut scratch), 3);
    assert!(round_trip(&update(size, tiles(&[Look::Noise])), &mut scratch) < 20);
    let moves: Vec<_> =
        (0..150).map(|i| Move { from: Rect::new(i, 0, 150, 290), to: (i, 1 + i % 9) }).collect();
    let many = Update { moves, ..update(size, tiles(&[Look::Colours(3), Look::Noise])) };
    round_trip(&many, &mut scratch);
}

#[test]
fn tall_tiles_stay_within_the_limits() {
    let mut scratch = Scratch::default();
    let tiles =
        (0..5).map(|i| paint(Rect::new(i * 3, 0, 2, 20_000), Look::Colours(2), i as u32)).collect();
    assert_eq!(round_trip(&update((20, 20_000), tiles), &mut scratch), 5);
}

#[test]
fn a_keystroke_fits_in_200_bytes() {
    let glyph: [u32; 20] = [
        0, 0, 0, 0x060, 0x0f0, 0x198, 0x30c, 0x30c, 0x606, 0x606, 0x606, 0x7fe, 0x7fe, 0x606,
        0x606, 0x606, 0x606, 0, 0, 0,
    ];
    for (ink, paper) in [(0xd0_d0d0, 0x10_1418), (0, 0xff_ffff)] {
        let bit = |row: u32, x: u32| if row >> (11 - x) & 1 == 1 { ink } else { paper };
        let pixels = glyph.iter().flat_map(|&row| (0..12).map(move |x| bit(row, x))).collect();
        let tile = Tile { rect: Rect::new(1204, 715, 12, 20), pixels };
        let update = Update { version: 20_001, base: 20_000, ..update((1920, 1080), vec![tile]) };
        let mut scratch = Scratch::default();
        round_trip(&Update { size: (1300, 800), ..update.clone() }, &mut scratch);
        let pieces = encode_delta(&update, &mut scratch, Effort::Fast).unwrap();
        let length: usize = pieces.iter().map(Bytes::len).sum();
        println!("a keystroke takes {length} bytes");
        assert!(length <= 200, "{length}");
    }
}

#[test]
fn what_is_not_sound_is_refused() {
    let mut scratch = Scratch::default();
    let mut refused = |update: &Update| {
        encode_delta(update, &mut scratch, Effort::Fast).map(|pieces| pieces.len())
    };
    let tile = paint(Rect::new(5, 5, 10, 10), Look::Noise, 1);
    let good = update((20, 20), vec![tile.clone()]);
    assert_eq!(refused(&good), Ok(1));
    let size = (14, 20);
    assert_eq!(refused(&Update { size, ..good.clone() }), Err(EncodeError::Outside(size)));
    assert_eq!(refused(&update((0, 20), vec![])), Err(EncodeError::Size((0, 20))));
    let short = Tile { pixels: vec![0; 99], ..tile };
    let error = EncodeError::Pixels { pixels: 99, expected: 100 };
    assert_eq!(refused(&update((20, 20), vec![short])), Err(error));
    let moves = vec![Move { from: Rect::new(0, 0, 5, 5), to: (16, 0) }];
    let outside = Err(EncodeError::Outside((20, 20)));
    assert_eq!(refused(&Update { moves, ..update((20, 20), vec![]) }), outside);
}

#[test]
fn bands_that_are_not_known_are_asked_for() {
    let screen = Screen::new((50, 70));
    let mut encoder = KeyEncoder::new();
    let known = bands(&screen, &screen, 1, &[1, 1, 1]);
    assert_eq!(encoder.encode(&known), Err(EncodeError::UnknownBand(0)));
    encoder.encode(&bands(&screen, &screen, 1, encoder.known())).unwrap();
    assert_eq!(encoder.known(), [1, 1, 1]);
    let first = encoder.encode(&known).unwrap();
    let again = encoder.encode(&known).unwrap();
    assert!(first == again);
    // What has not changed is not even copied.
    assert_eq!(first[2].as_ptr(), again[2].as_ptr());
    // Another size knows nothing of the first.
    let wide = Screen::new((51, 70));
    let known = bands(&wide, &wide, 1, &[1, 1, 1]);
    assert_eq!(encoder.encode(&known), Err(EncodeError::UnknownBand(0)));
    assert!(encoder.known().is_empty());
}
