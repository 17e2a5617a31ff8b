//! Frames as they are made and decoded: each form of a delta, and key frames from bands.
//! `cargo bench --bench png`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

mod pictures;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use hightower::canvas::Tile;
use hightower::png::{Effort, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower::source::Card;
use pictures::{SIZE, STEPS, forms, frames, screen, texture, update, whole};
use std::hint::black_box;
use std::time::Duration;

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
    for (name, update) in STEPS.map(|(name, make)| (name, make())) {
        let pixels: usize = update.tiles.iter().map(|tile| tile.pixels.len()).sum();
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(pixels as u64));
        for effort in Effort::ALL {
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

/// Few colours: the same picture in each form.
fn palettes(c: &mut Criterion) {
    let mut scratch = Scratch::default();
    let mut group = c.benchmark_group("forms 600x400");
    group.throughput(Throughput::Elements(600 * 400));
    group.sample_size(20).measurement_time(Duration::from_secs(1));
    group.warm_up_time(Duration::from_millis(300));
    for (name, update) in forms() {
        group.bench_function(format!("{name}, encode"), |b| {
            b.iter(|| encode_delta(black_box(&update), &mut scratch, Effort::Fast).unwrap());
        });
        let pieces = encode_delta(&update, &mut scratch, Effort::Fast).unwrap();
        pair(&mut group, &name, &pieces);
    }
    group.finish();
}

fn framed(png: Vec<u8>) -> Bytes {
    let mut out = hightower_proto::stream::frame_header(png.len() as u64).to_vec();
    out.extend_from_slice(&png);
    out.into()
}

/// The same picture by the `png` crate, for scale.
fn by_the_crate(whole: &hightower::canvas::Bands, rgb: &mut Vec<u8>) -> Vec<u8> {
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

criterion_group!(benches, deltas, palettes, keys);
criterion_main!(benches);
