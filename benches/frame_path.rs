//! The frame path on one machine: hold a grab against the canvas, find what moved, take out what
//! changed, encode a key frame, decode the stream. `cargo bench --bench frame_path`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hightower::canvas::{Canvas, Patch};
use hightower::png::KeyEncoder;
use hightower::rect::Rect;
use hightower::source::Card;
use hightower_proto::Decoder;
use hightower_proto::stream::Options;
use std::hint::black_box;

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const SIZE: (usize, usize) = (WIDTH, HEIGHT);

/// The test card.
fn card(frame: u64) -> Vec<u32> {
    Card::new(WIDTH, HEIGHT, 30.0).draw(frame).to_vec()
}

fn whole(pixels: &[u32]) -> Patch<'_> {
    Patch { rect: Rect::new(0, 0, WIDTH, HEIGHT), pixels, stride: WIDTH }
}

fn mixed(n: usize) -> u32 {
    let n = (n as u64 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (n >> 29) as u32
}

/// A region of 900x700 on the card: text that begins at this line, or noise.
fn region(pixel: impl Fn(usize, usize) -> u32) -> Vec<u32> {
    let mut pixels = card(1);
    for y in 0..700 {
        for x in 0..900 {
            pixels[(y + 100) * WIDTH + x + 200] = pixel(x, y) & 0xff_ffff;
        }
    }
    pixels
}

fn text(first_line: usize) -> Vec<u32> {
    region(|x, y| {
        let (line, row) = (y / 15 + first_line, y % 15);
        if row < 10 && mixed(line * 7919 + x / 2 + row * 31) & 3 == 0 { 0xe0_e0e0 } else { 0 }
    })
}

/// Measures updates that go to and fro between two pictures.
fn to_and_fro(b: &mut criterion::Bencher<'_>, one: &[u32], other: &[u32]) {
    let mut canvas = Canvas::new();
    canvas.update(SIZE, &[whole(one)]);
    canvas.commit(0);
    let mut turn = false;
    b.iter(|| {
        turn = !turn;
        assert!(canvas.update(SIZE, &[whole(if turn { other } else { one })]));
        canvas.commit(0)
    });
}

fn frame_path(c: &mut Criterion) {
    let (one, other) = (card(1), card(2));
    let mut group = c.benchmark_group("1080p");
    group.throughput(Throughput::Bytes((WIDTH * HEIGHT * 4) as u64));

    let mut copy = one.clone();
    group.bench_function("memcpy, for scale", |b| {
        b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&one)));
    });
    let mut canvas = Canvas::new();
    canvas.update(SIZE, &[whole(&one)]);
    canvas.commit(0);
    group.bench_function("compare, equal", |b| {
        b.iter(|| canvas.update(SIZE, &[whole(black_box(&one))]));
    });
    group.bench_function("update, a card", |b| to_and_fro(b, &one, &other));
    let (up, down) = (text(3), text(0));
    group.bench_function("update, scrolled text", |b| to_and_fro(b, &down, &up));
    let noise = |seed: usize| region(|x, y| mixed(seed + y * 900 + x));
    let (still, moving) = (noise(0), noise(5_000_000));
    group.bench_function("update, noise", |b| to_and_fro(b, &still, &moving));

    canvas.update(SIZE, &[whole(&other)]);
    canvas.commit(0);
    let base = canvas.version() - 1;
    group.bench_function("take out a delta", |b| b.iter(|| canvas.delta(black_box(base), 1)));
    group.bench_function("take out a delta at a quarter", |b| {
        b.iter(|| canvas.delta(black_box(base), 4));
    });
    group.bench_function("take out everything", |b| b.iter(|| canvas.whole(1, &[])));

    let all = canvas.whole(1, &[]);
    group.bench_function("encode a key frame", |b| {
        b.iter(|| KeyEncoder::default().encode(black_box(&all)).unwrap());
    });
    let frame = KeyEncoder::default().encode(&all).unwrap().concat();
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function("decode the stream, in pieces of 16 KiB", |b| {
        b.iter(|| {
            let mut decoder = Decoder::new(Options::viewer());
            let mut items = 0;
            for piece in frame.chunks(16 << 10) {
                decoder.feed(piece);
                while decoder.next_item().unwrap().is_some() {
                    items += 1;
                }
            }
            assert_eq!(items, 1);
        });
    });
    group.finish();
}

criterion_group!(benches, frame_path);
criterion_main!(benches);
