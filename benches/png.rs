//! Frames as they are made and decoded: each form of a delta, and key frames from bands.
//! `cargo bench --bench png`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use hightower::canvas::{BAND_ROWS, Band, Bands, Tile, Update};
use hightower::png::{Effort, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower::source::Card;
use hightower::text::Surface;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item};
use std::hint::black_box;

const SIZE: (usize, usize) = (1920, 1080);

fn update(rects: &[Rect], mut pixel: impl FnMut(usize, usize) -> u32) -> Update {
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
fn texture(deviation: f64) -> impl FnMut(usize, usize) -> u32 {
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
fn screen() -> Vec<u32> {
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

/// One step of each kind.
fn steps() -> Vec<(&'static str, Update)> {
    let mut next = random();
    let mut word = 0;
    let mut glyphs = move |x: usize, y: usize| {
        if x.is_multiple_of(9) {
            word = next();
        }
        let ink = word >> (x % 9 + y % 15 / 4 * 9) & 1 == 1 && y % 15 < 11 && word % 5 > 0;
        if ink { 0xd0_d0d0 } else { 0x10_1418 }
    };
    let screen = screen();
    let mut next = random();
    vec![
        (
            "keystroke 12x20",
            update(&[Rect::new(1204, 715, 12, 20)], |x, y| {
                if (x / 2 + y / 3) % 3 == 0 && y % 20 > 3 { 0xd0_d0d0 } else { 0x10_1418 }
            }),
        ),
        ("text strip 900x45", update(&[Rect::new(100, 600, 900, 45)], &mut glyphs)),
        (
            "smooth text 900x400",
            update(&[Rect::new(30, 100, 900, 400)], |x, y| screen[y * SIZE.0 + x]),
        ),
        ("terminal 1920x1080", update(&[Rect::new(0, 0, 1920, 1080)], &mut glyphs)),
        ("photo 600x400", update(&[Rect::new(100, 100, 600, 400)], texture(1.2))),
        ("video 1280x720", update(&[Rect::new(320, 180, 1280, 720)], texture(3.0))),
        ("screen 1920x1080", update(&[Rect::new(0, 0, 1920, 1080)], |x, y| screen[y * SIZE.0 + x])),
        (
            "40 tiles of 30x20",
            update(
                &(0..40).map(|i| Rect::new(i % 8 * 40, i / 8 * 30, 30, 20)).collect::<Vec<_>>(),
                |x, _| {
                    if next().is_multiple_of(4) { 0x10_1010 * (x as u32 % 5) } else { 0xff_ffff }
                },
            ),
        ),
    ]
}

fn whole(pixels: &[u32], version: impl Fn(usize) -> u64, known: &[u64]) -> Bands {
    let bands = pixels.chunks(SIZE.0 * BAND_ROWS).enumerate().map(|(i, band)| {
        let version = version(i);
        let pixels = (known.get(i) != Some(&version)).then(|| band.to_vec());
        Band { version, pixels }
    });
    Bands { version: 9, captured_us: 1, size: SIZE, bands: bands.collect() }
}

fn frames(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut decoder = Decoder::new(Options::viewer());
    pieces.iter().for_each(|piece| decoder.feed(piece));
    std::iter::from_fn(|| decoder.next_item().unwrap())
        .map(|item| match item {
            Item::Frame(frame) => frame,
            Item::Packet(packet) => panic!("{packet:?}"),
        })
        .collect()
}

fn decode(png: &[u8], out: &mut Vec<u8>) {
    let decoder = png::Decoder::new(std::io::Cursor::new(png));
    let mut reader = decoder.read_info().unwrap();
    out.resize(reader.output_buffer_size().unwrap(), 0);
    reader.next_frame(out).unwrap();
}

fn decode_all(frames: &[Bytes], out: &mut [Vec<u8>; 2]) {
    let [first, second] = out;
    let (mine, others) = frames.split_at(frames.len().div_ceil(2));
    std::thread::scope(|scope| {
        if !others.is_empty() {
            scope.spawn(|| others.iter().for_each(|png| decode(png, second)));
        }
        mine.iter().for_each(|png| decode(png, first));
    });
}

/// As the `png` crate does it alone, for scale.
fn by_crate(tile: &Tile) -> Vec<u8> {
    let rgb: Vec<u8> =
        tile.pixels.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, tile.rect.width as u32, tile.rect.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&rgb).unwrap();
    writer.finish().unwrap();
    out
}

fn pair(
    group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    pieces: &[Bytes],
) {
    let frames = frames(pieces);
    let length: usize = pieces.iter().map(Bytes::len).sum();
    println!("{name}: {length} bytes in {} frames", frames.len());
    let mut out = [Vec::new(), Vec::new()];
    group.bench_function(format!("{name}, decode"), |b| b.iter(|| decode_all(&frames, &mut out)));
}

fn deltas(c: &mut Criterion) {
    let mut scratch = Scratch::default();
    for (name, update) in steps() {
        let pixels: usize = update.tiles.iter().map(|tile| tile.pixels.len()).sum();
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(pixels as u64));
        for effort in [Effort::Fast, Effort::Small] {
            group.bench_function(format!("{effort:?}, encode"), |b| {
                b.iter(|| encode_delta(black_box(&update), &mut scratch, effort).unwrap());
            });
            let pieces = encode_delta(&update, &mut scratch, effort).unwrap();
            pair(&mut group, &format!("{effort:?}"), &pieces);
        }
        if update.tiles.len() == 1 {
            group.bench_function("png crate, encode", |b| b.iter(|| by_crate(&update.tiles[0])));
            pair(&mut group, "png crate", &[framed(by_crate(&update.tiles[0]))]);
        }
        group.finish();
    }
}

fn framed(png: Vec<u8>) -> Bytes {
    let mut out = hightower_proto::stream::frame_header(png.len() as u64).to_vec();
    out.extend_from_slice(&png);
    out.into()
}

/// The same picture by the `png` crate, for scale.
fn by_the_crate(whole: &Bands, rgb: &mut Vec<u8>) -> Vec<u8> {
    rgb.clear();
    for pixel in whole.bands.iter().flat_map(|b| b.pixels.iter().flatten()) {
        rgb.extend_from_slice(&pixel.to_be_bytes()[1..]);
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, whole.size.0 as u32, whole.size.1 as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rgb).unwrap();
    writer.finish().unwrap();
    out
}

fn keys(c: &mut Criterion) {
    let noise = update(&[Rect::new(0, 0, SIZE.0, SIZE.1)], texture(3.0)).tiles.remove(0).pixels;
    let card = Card::new(SIZE.0, SIZE.1, 30.0).draw(77).to_vec();
    for (name, pixels) in [("key: card", card), ("key: screen", screen()), ("key: noise", noise)] {
        let mut group = c.benchmark_group(name);
        let all = whole(&pixels, |_| 1, &[]);
        group.bench_function("all bands, encode", |b| {
            b.iter(|| KeyEncoder::new().encode(black_box(&all)).unwrap());
        });
        let mut encoder = KeyEncoder::new();
        let pieces = encoder.encode(&all).unwrap();
        let one = whole(&pixels, |i| if i == 12 { 2 } else { 1 }, encoder.known());
        group.bench_function("one band, encode", |b| {
            b.iter(|| encoder.encode(black_box(&one)).unwrap());
        });
        pair(&mut group, "all bands", &pieces);
        let mut rgb = Vec::new();
        group.bench_function("png crate, encode", |b| {
            b.iter(|| by_the_crate(black_box(&all), &mut rgb));
        });
        pair(&mut group, "png crate", &[framed(by_the_crate(&all, &mut rgb))]);
        group.finish();
    }
}

criterion_group!(benches, deltas, keys);
criterion_main!(benches);
