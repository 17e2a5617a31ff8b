//! What the benches encode: pictures and steps of 1920x1080, the same on every machine.

#![allow(dead_code, reason = "each bench uses its part")]

use bytes::Bytes;
use hightower::canvas::{BAND_ROWS, Band, Bands, Tile, Update};
use hightower::rect::Rect;
use hightower::source::Card;
use hightower::text::Surface;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item};

pub(crate) const SIZE: (usize, usize) = (1920, 1080);

/// An update of these places.
pub(crate) fn update(rects: &[Rect], mut pixel: impl FnMut(usize, usize) -> u32) -> Update {
    let tiles = rects.iter().map(|&rect| {
        let places =
            (rect.y..rect.bottom()).flat_map(|y| (rect.x..rect.right()).map(move |x| (x, y)));
        Tile { rect, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
    });
    let tiles = tiles.collect();
    let (version, base, captured_us) = (20_001, 20_000, 1_780_000_000_000_000);
    Update { version, base, captured_us, size: SIZE, moves: Vec::new(), tiles }
}

/// Numbers that look random.
fn random() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A smooth texture with noise of this deviation in each sample.
pub(crate) fn texture(deviation: f64) -> impl FnMut(usize, usize) -> u32 {
    let mut next = random();
    move |x, y| {
        let (x, y) = (x as f64 / 200.0, y as f64 / 240.0);
        let base = [(x + y).sin(), (y * 1.7 - x * 0.4).cos(), ((x + y) * 0.7).sin()];
        base.iter().fold(0, |pixel, base| {
            let r = next();
            let sum: f64 = (0..4).map(|i| (r >> (16 * i) & 0xffff) as f64 / 65_536.0 - 0.5).sum();
            let sample = 127.0 + 90.0 * base + sum * deviation * 3f64.sqrt();
            pixel << 8 | sample.round().clamp(0.0, 255.0) as u32
        })
    }
}

/// Lines of smooth text.
pub(crate) fn screen() -> Vec<u32> {
    let mut pixels = Card::new(SIZE.0, SIZE.1, 30.0).draw(77).to_vec();
    let mut surface = Surface::new(&mut pixels, SIZE.0, SIZE.1);
    for line in 0..50 {
        let text = format!(
            "{line:3} fn encode(pixels: &[u32], width: usize) -> Result<Vec<u8>> {{ // {}",
            line * 7919
        );
        surface.text(40, 20 + line * 20, 16, 0xe0_e3e6, &text);
    }
    pixels
}

/// Text of a terminal, which has two colours.
fn glyphs() -> impl FnMut(usize, usize) -> u32 {
    let mut next = random();
    let mut word = 0;
    move |x, y| {
        if x.is_multiple_of(9) {
            word = next();
        }
        let ink = word >> (x % 9 + y % 15 / 4 * 9) & 1 == 1 && y % 15 < 11 && word % 5 > 0;
        if ink { 0xd0_d0d0 } else { 0x10_1418 }
    }
}

/// A part of the screen.
fn of_screen(rect: Rect) -> Update {
    let screen = screen();
    update(&[rect], |x, y| screen[y * SIZE.0 + x])
}

/// A step's name, and what makes it.
type Step = (&'static str, fn() -> Update);

/// One step of each kind.
pub(crate) const STEPS: [Step; 8] = [
    ("keystroke 12x20", || {
        update(&[Rect::new(1204, 715, 12, 20)], |x, y| {
            if (x / 2 + y / 3) % 3 == 0 && y % 20 > 3 { 0xd0_d0d0 } else { 0x10_1418 }
        })
    }),
    ("text strip 900x45", || update(&[Rect::new(100, 600, 900, 45)], glyphs())),
    ("smooth text 900x400", || of_screen(Rect::new(30, 100, 900, 400))),
    ("terminal 1920x1080", || update(&[Rect::new(0, 0, 1920, 1080)], glyphs())),
    ("photo 600x400", || update(&[Rect::new(100, 100, 600, 400)], texture(1.2))),
    ("video 1280x720", || update(&[Rect::new(320, 180, 1280, 720)], texture(3.0))),
    ("screen 1920x1080", || of_screen(Rect::new(0, 0, 1920, 1080))),
    ("40 tiles of 30x20", || {
        let mut next = random();
        let rects: Vec<Rect> = (0..40).map(|i| Rect::new(i % 8 * 40, i / 8 * 30, 30, 20)).collect();
        update(&rects, |x, _| {
            if next().is_multiple_of(4) { 0x10_1010 * (x as u32 % 5) } else { 0xff_ffff }
        })
    }),
];

/// A tile in each form that a delta's image can have, but RGB: the colours or greys it has.
pub(crate) fn forms() -> Vec<(String, Update)> {
    let rect = [Rect::new(100, 100, 600, 400)];
    let mut forms = Vec::new();
    for n in [2, 4, 16, 256] {
        let shade = |x: usize, y: usize| (x / 3 * (y / 5)) as u32 % n;
        let colours = update(&rect, |x, y| (shade(x, y) + 1).wrapping_mul(0x3e_3779) & 0xff_ffff);
        forms.push((format!("{n} colours"), colours));
        let greys = update(&rect, |x, y| shade(x, y) * (255 / (n - 1)) * 0x01_0101);
        forms.push((format!("{n} greys"), greys));
    }
    forms
}

/// The whole picture in bands; those that are known are left out.
pub(crate) fn whole(pixels: &[u32], version: impl Fn(usize) -> u64, known: &[u64]) -> Bands {
    let bands = pixels.chunks(SIZE.0 * BAND_ROWS).enumerate().map(|(i, band)| {
        let version = version(i);
        let pixels = (known.get(i) != Some(&version)).then(|| band.to_vec());
        Band { version, pixels }
    });
    Bands { version: 9, captured_us: 1, size: SIZE, bands: bands.collect() }
}

/// The payloads of a stream.
pub(crate) fn frames(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut decoder = Decoder::new(Options::viewer());
    pieces.iter().for_each(|piece| decoder.feed(piece));
    std::iter::from_fn(|| decoder.next_item().unwrap())
        .map(|item| match item {
            Item::Frame(frame) => frame,
            Item::Packet(packet) => panic!("{packet:?}"),
        })
        .collect()
}
