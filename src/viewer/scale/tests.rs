//! Scaled pictures: as they should look, and the same however they were made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::viewer::bands::Working;
use std::sync::Arc;
use std::time::Instant;

fn picture(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u32) -> Picture {
    let pixels: Vec<u32> = (0..width * height).map(|i| pixel(i % width, i / width)).collect();
    Picture::from_pixels(width, height, &pixels)
}

#[test]
fn the_aspect_is_kept_both_ways() {
    let rect = |x, y, width, height| Rect { x, y, width, height };
    assert_eq!(fit((1920, 1080), (1280, 800)), rect(0, 40, 1280, 720));
    assert_eq!(fit((1080, 1920), (1280, 800)), rect(415, 0, 450, 800));
    assert_eq!(fit((320, 200), (640, 400)), rect(0, 0, 640, 400));
    assert_eq!(fit((100, 100), (7, 3)), rect(2, 0, 3, 3));
}

#[test]
fn no_place_is_too_small_and_no_picture_too_thin() {
    assert_eq!(fit((1, 1), (1, 1)), Rect { x: 0, y: 0, width: 1, height: 1 });
    assert_eq!(fit((32_768, 1), (100, 100)), Rect { x: 0, y: 49, width: 100, height: 1 });
    assert_eq!(fit((1, 32_768), (100, 100)), Rect { x: 49, y: 0, width: 1, height: 100 });
    assert_eq!(fit((5, 5), (0, 9)), Rect::default());
    let mut scaler = Scaler::default();
    for (w, h) in [(1, 1), (1, 900), (900, 1), (3, 2)] {
        let flat = picture(w, h, |_, _| 0x12_3456);
        for to in [(1, 1), (2, 1), (640, 400), (1, 333), (0, 0)] {
            let scaled = scaler.scale(&flat, to.0, to.1);
            assert_eq!(scaled.len(), to.0 * to.1);
            assert!(scaled.iter().all(|&p| p == 0x12_3456), "{w}x{h} to {to:?}");
        }
    }
}

#[test]
fn half_the_size_is_the_average() {
    // Single-pixel checks become an even grey: nothing is simply left out.
    let checks = picture(64, 64, |x, y| if (x + y) % 2 == 0 { 0xff_ffff } else { 0 });
    let mut scaler = Scaler::default();
    let scaled = scaler.scale(&checks, 32, 32);
    for pixel in scaled {
        let [_, r, g, b] = pixel.to_be_bytes();
        assert!(r == g && g == b && (118..=138).contains(&r), "{pixel:06x}");
    }
}

#[test]
fn twice_the_size_is_smooth_and_keeps_its_corners() {
    let halves = picture(16, 16, |x, _| if x < 8 { 0xff_0000 } else { 0x00_00ff });
    let mut scaler = Scaler::default();
    let scaled = scaler.scale(&halves, 32, 32).to_vec();
    assert_eq!((scaled[0], scaled[31], scaled[32 * 31]), (0xff_0000, 0x00_00ff, 0xff_0000));
    let middle = scaled[16 * 32 + 15];
    assert!(middle != 0xff_0000 && middle != 0x00_00ff, "{middle:06x} is filtered");
}

#[test]
fn the_result_is_kept_until_something_else_is_asked_for() {
    let (red, mut blue) = (picture(4, 4, |_, _| 0xff_0000), picture(4, 4, |_, _| 0x00_00ff));
    let mut scaler = Scaler::default();
    assert_eq!(scaler.scale(&red, 8, 8)[0], 0xff_0000);
    assert_eq!(scaler.scale(&blue, 8, 8)[0], 0xff_0000, "the same number: kept");
    assert!(scaler.changed().is_empty());
    blue.sequence = 90;
    assert_eq!(scaler.scale(&blue, 8, 8)[0], 0x00_00ff);
    assert_eq!(scaler.changed(), [Rect::new(0, 0, 8, 8)]);
    assert_eq!(scaler.scale(&blue, 2, 2), [0x00_00ff; 4]);
}

fn noise(n: usize) -> u32 {
    (n as u32).wrapping_mul(0x9e37_79b9).rotate_left(7).wrapping_mul(0x85eb_ca6b) >> 8
}

#[test]
fn what_is_made_anew_in_part_is_as_if_made_whole() {
    let (width, height) = (500, 300);
    for to in [(500, 300), (333, 200), (1000, 600), (499, 301), (40, 24), (1300, 7)] {
        let mut pixels: Vec<u32> = (0..width * height).map(noise).collect();
        let mut working = Working::default();
        let (mut scaler, mut part_made) = (Scaler::default(), 0);
        working.begin(width, height);
        for (y, row) in pixels.chunks(width).enumerate() {
            working.row(0, y, width).copy_from_slice(row);
        }
        for n in 1..20 {
            let (x, y) = (noise(n) as usize % 480, noise(n + 50) as usize % 290);
            let (w, h) = (1 + noise(n + 90) as usize % 20, 1 + noise(n + 99) as usize % 10);
            for y in y..y + h {
                for x in x..x + w {
                    pixels[y * width + x] = noise(n * 7 + x * y);
                    working.row(x, y, 1)[0] = pixels[y * width + x];
                }
            }
            let damages = vec![Arc::from([Rect::new(x, y, w, h)])];
            let shown = Picture::new(&working, n as u64, damages, Instant::now(), 0);
            let made = scaler.scale(&shown, to.0, to.1).to_vec();
            part_made +=
                usize::from(scaler.changed().iter().map(Rect::area).sum::<usize>() < made.len());
            let whole = Picture::from_pixels(width, height, &pixels);
            assert!(made == Scaler::default().scale(&whole, to.0, to.1), "{n} in {to:?}");
        }
        assert!(part_made > 10 || to.0 < SIDE, "{part_made} in {to:?}");
    }
}

#[test]
fn squares_leave_no_seams() {
    // Against the whole picture scaled at once: the weights are rounded in other ways.
    let (width, height) = (700, 500);
    let pixels: Vec<u32> = (0..width * height).map(noise).collect();
    let shown = Picture::from_pixels(width, height, &pixels);
    for (w, h) in [(431, 307), (1024, 731)] {
        let mut whole = vec![0u32; w * h];
        let from = ImageRef::new(700, 500, bytemuck::cast_slice(&pixels), PixelType::U8x4).unwrap();
        let bytes = bytemuck::cast_slice_mut(&mut whole);
        let mut to = Image::from_slice_u8(w as u32, h as u32, bytes, PixelType::U8x4).unwrap();
        let filter = ResizeAlg::Convolution(FilterType::CatmullRom);
        let options = ResizeOptions::new().resize_alg(filter).use_alpha(false);
        Resizer::new().resize(&from, &mut to, &options).unwrap();
        let mut scaler = Scaler::default();
        for (at, (a, b)) in scaler.scale(&shown, w, h).iter().zip(&whole).enumerate() {
            let near = |(a, b): (u8, u8)| a.abs_diff(b) <= 3;
            let pairs = a.to_be_bytes().into_iter().zip(b.to_be_bytes());
            assert!(pairs.into_iter().all(near), "{a:06x} {b:06x} at {},{}", at % w, at / w);
        }
    }
}
