//! The frame path on one machine: compare a grab with the canvas, encode a key frame, decode the
//! stream. `cargo bench --bench frame_path`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hightower::canvas::{Canvas, PIXEL, Picture, PixelFormat};
use hightower::png::encode_key;
use hightower::source::Card;
use hightower_proto::Decoder;
use hightower_proto::stream::Options;
use std::hint::black_box;

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

/// The test card as bytes.
fn card(frame: u64) -> Vec<u8> {
    let mut card = Card::new(WIDTH, HEIGHT, 30.0);
    card.draw(frame).iter().flat_map(|p| p.to_le_bytes()).collect()
}

fn picture(pixels: &[u8]) -> Picture<'_> {
    Picture { width: WIDTH, height: HEIGHT, format: PixelFormat::Bgrx, pixels }
}

fn frame_path(c: &mut Criterion) {
    let (one, other) = (card(1), card(2));
    let mut group = c.benchmark_group("1080p");
    group.throughput(Throughput::Bytes((WIDTH * HEIGHT * PIXEL) as u64));

    let mut copy = one.clone();
    group.bench_function("memcpy, for scale", |b| {
        b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&one)));
    });

    let mut canvas = Canvas::new();
    canvas.replace(&picture(&one));
    group.bench_function("compare, equal", |b| b.iter(|| canvas.replace(&picture(&one))));
    let mut turn = false;
    group.bench_function("compare and take over, changed", |b| {
        b.iter(|| {
            turn = !turn;
            canvas.replace(&picture(if turn { &other } else { &one }))
        });
    });

    let snapshot = canvas.commit(0);
    let mut rgb = Vec::new();
    group.bench_function("encode a key frame", |b| {
        b.iter(|| encode_key(black_box(&snapshot), &mut rgb).unwrap());
    });

    let frame = encode_key(&snapshot, &mut rgb).unwrap().bytes;
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
