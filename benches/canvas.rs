//! The screen's way into the canvas, part by part: grab, compare, merge, and the bands of a key
//! frame that are kept. `cargo bench --bench canvas`.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
#[path = "../tests/common/desk.rs"]
mod desk;
mod pictures;
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
#[path = "../tests/common/xvfb.rs"]
mod xvfb;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hightower::canvas::{Canvas, Patch, Region};
use hightower::png::KeyEncoder;
use hightower::rect::Rect;
use pictures::{SIZE, screen};
use std::hint::black_box;

const WHOLE: Rect = Rect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 };

/// Where a letter is typed.
const LETTER: Rect = Rect { x: 1204, y: 715, width: 12, height: 20 };

/// The same pixels with a letter typed.
fn typed(pixels: &[u32]) -> Vec<u32> {
    let mut pixels = pixels.to_vec();
    for y in LETTER.y + 4..LETTER.bottom() {
        for x in LETTER.x..LETTER.right() {
            pixels[y * SIZE.0 + x] ^= if (x / 2 + y / 3) % 3 == 0 { 0xff_ffff } else { 0 };
        }
    }
    pixels
}

/// A part of a whole picture.
fn patch(pixels: &[u32], rect: Rect) -> Patch<'_> {
    Patch { rect, pixels: &pixels[rect.y * SIZE.0 + rect.x..], stride: SIZE.0 }
}

/// What an X server takes to hand over its screen, beside a copy of as many bytes.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
mod grab {
    use super::{Criterion, LETTER, SIZE, Throughput, black_box, desk, screen, xvfb};
    use hightower::source::{Cursor, Source as _, X11};
    use std::time::{Duration, Instant};

    pub(super) fn grab(c: &mut Criterion) {
        let pixels = screen();
        let mut group = c.benchmark_group("grab 1080p");
        group.throughput(Throughput::Bytes((pixels.len() * 4) as u64));
        let mut copy = pixels.clone();
        group.bench_function("memcpy, for scale", |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&pixels)));
        });
        // Says itself where there is none.
        let Some(xvfb) = xvfb::Xvfb::start(SIZE.0 as u16, SIZE.1 as u16) else { return };
        let desk = desk::Desk::cover(&xvfb.display);
        desk.draw((0, 0), (SIZE.0 as u16, SIZE.1 as u16), &pixels);
        let mut source = X11::open(&xvfb.display, 0, Cursor::None).unwrap();
        group.bench_function("whole", |b| {
            b.iter(|| assert_eq!(source.grab(true).unwrap().size, SIZE));
        });
        group.throughput(Throughput::Bytes((LETTER.area() * 4) as u64));
        group.bench_function("a letter that was typed", |b| {
            b.iter_custom(|times| {
                let mut sum = Duration::ZERO;
                for i in 0..times {
                    let (x, y) = (LETTER.x as i16, LETTER.y as i16);
                    let pixels = vec![i as u32 & 0xff_ffff; LETTER.area()];
                    desk.draw((x, y), (LETTER.width as u16, LETTER.height as u16), &pixels);
                    while !source.changed().unwrap() {}
                    let start = Instant::now();
                    black_box(source.grab(false).unwrap().patches.len());
                    sum += start.elapsed();
                }
                sum
            });
        });
        group.finish();
    }
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
mod grab {
    pub(super) fn grab(_: &mut super::Criterion) {
        eprintln!("SKIPPED: there is no X11 here to grab from");
    }
}

fn compare(c: &mut Criterion) {
    let before = screen();
    let after = typed(&before);
    let mut group = c.benchmark_group("compare 1080p");
    group.throughput(Throughput::Bytes((before.len() * 4) as u64));
    let mut canvas = Canvas::new();
    canvas.update(SIZE, &[patch(&before, WHOLE)]);
    canvas.commit(0);
    group.bench_function("equal", |b| {
        b.iter(|| assert!(!canvas.update(SIZE, &[patch(black_box(&before), WHOLE)])));
    });
    for (name, rect) in [("a letter in all of it", WHOLE), ("a letter that was told", LETTER)] {
        group.throughput(Throughput::Bytes((rect.area() * 4) as u64));
        let mut turn = false;
        group.bench_function(name, |b| {
            b.iter(|| {
                turn = !turn;
                let pixels = if turn { &after } else { &before };
                assert!(canvas.update(SIZE, &[patch(pixels, rect)]));
                canvas.commit(0)
            });
        });
        canvas.update(SIZE, &[patch(&before, WHOLE)]);
    }
    group.finish();
}

/// Many rectangles become few.
fn merge(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    for count in [10, 100, 250, 1000, 10_000] {
        group.throughput(Throughput::Elements(count as u64));
        let mut region = Region::default();
        for i in 0..count {
            // Letters all over the screen.
            region.add(Rect::new(i * 7919 % 159 * 12, i * 104_729 % 53 * 20, 10, 16));
        }
        group.bench_function(format!("{count} letters"), |b| {
            let simplify = |mut region: Region| {
                region.simplify();
                region
            };
            b.iter_batched(|| region.clone(), simplify, BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A key frame of everything, and one after a keystroke, from the canvas to the pieces.
fn bands(c: &mut Criterion) {
    let before = screen();
    let after = typed(&before);
    let mut group = c.benchmark_group("key frame 1080p");
    group.throughput(Throughput::Elements(before.len() as u64));
    let mut canvas = Canvas::new();
    canvas.update(SIZE, &[patch(&before, WHOLE)]);
    canvas.commit(0);
    let mut encoder = KeyEncoder::new();
    group.bench_function("of everything", |b| {
        b.iter(|| {
            encoder.clear();
            encoder.encode(&canvas.whole(1, encoder.known())).unwrap()
        });
    });
    let mut turn = false;
    group.bench_function("after a keystroke", |b| {
        b.iter_custom(|times| {
            let mut sum = std::time::Duration::ZERO;
            for _ in 0..times {
                turn = !turn;
                let pixels = if turn { &after } else { &before };
                canvas.update(SIZE, &[patch(pixels, LETTER)]);
                canvas.commit(0);
                let start = std::time::Instant::now();
                black_box(encoder.encode(&canvas.whole(1, encoder.known())).unwrap());
                sum += start.elapsed();
            }
            sum
        });
    });
    group.bench_function("after nothing", |b| {
        b.iter(|| encoder.encode(&canvas.whole(1, encoder.known())).unwrap());
    });
    group.finish();
}

criterion_group!(benches, grab::grab, compare, merge, bands);
criterion_main!(benches);
