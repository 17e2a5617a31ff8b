//! Pictures fitted into a place, filtered.

use super::picture::Picture;
use crate::rect::Rect;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// A scaled picture is made in squares of so many pixels a side, each by itself from what it shows
/// of the picture. So one that is made anew, because something in it has changed, is what it would
/// be in a picture that is all made anew.
const SIDE: usize = 128;

/// How far the filter reaches, in pixels of the larger of both pictures.
const REACH: f64 = 2.0;

/// Where a picture lies in a place of `width` × `height` pixels when it is as large as fits, in the
/// middle, its aspect kept. At least one pixel each way, where the place has any.
#[must_use]
pub fn fit(picture: (usize, usize), place: (usize, usize)) -> Rect {
    let ((pw, ph), (width, height)) = (picture, place);
    if pw == 0 || ph == 0 || width == 0 || height == 0 {
        return Rect::default();
    }
    let wide = pw as u64 * height as u64 >= ph as u64 * width as u64;
    let rounded = |a: usize, b: usize, c: usize| {
        usize::try_from((a as u64 * b as u64 + c as u64 / 2) / c as u64).unwrap_or(a)
    };
    let (w, h) =
        if wide { (width, rounded(ph, width, pw)) } else { (rounded(pw, height, ph), height) };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    Rect { x: (width - w) / 2, y: (height - h) / 2, width: w, height: h }
}

/// Scales pictures, and keeps the last result: what has not changed since is not made again.
#[derive(Debug, Default)]
pub struct Scaler {
    resizer: Resizer,
    kept: Option<Kept>,
    pixels: Vec<u32>,
    changed: Vec<Rect>,
    /// What a square shows of the picture, and the square, kept between them.
    source: Vec<u32>,
    square: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    sequence: u64,
    from: (usize, usize),
    to: (usize, usize),
}

impl Scaler {
    /// The picture in `width` × `height` pixels of `0x00RRGGBB`; pictures of one viewer are told
    /// from each other by [`Picture::sequence`]. Smaller is averaged, larger is smoothed.
    pub fn scale(&mut self, picture: &Picture, width: usize, height: usize) -> &[u32] {
        let (from, to) = ((picture.width, picture.height), (width, height));
        let whole = [Rect::new(0, 0, width, height)];
        let kept = self.kept.take().filter(|kept| (kept.from, kept.to) == (from, to));
        let damage = kept.and_then(|kept| picture.damage_since(kept.sequence));
        self.pixels.resize(width * height, 0);
        self.changed.clear();
        match damage {
            Some(damage) if from == to => self.changed.extend(damage),
            Some(damage) => squares(from, to, &damage, &mut self.changed),
            None if from == to => self.changed.extend(whole),
            None => squares(from, to, &[Rect::new(0, 0, from.0, from.1)], &mut self.changed),
        }
        for i in 0..self.changed.len() {
            self.make(picture, to, self.changed[i]);
        }
        self.kept = Some(Kept { sequence: picture.sequence, from, to });
        &self.pixels
    }

    /// The last result.
    #[must_use]
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// What the last [`Scaler::scale`] has made anew, in its result.
    #[must_use]
    pub fn changed(&self) -> &[Rect] {
        &self.changed
    }

    /// Makes a part of the result.
    fn make(&mut self, picture: &Picture, to: (usize, usize), part: Rect) {
        let source = if (picture.width, picture.height) == to {
            None
        } else if let Err(error) = self.resize(picture, to, part) {
            // Sizes of nothing and sizes beyond 32 bits: there is nothing to show then.
            tracing::debug!(%error, ?part, "not scaled");
            self.square.clear();
            self.square.resize(part.area(), 0);
            Some(&self.square)
        } else {
            Some(&self.square)
        };
        for y in 0..part.height {
            let row = match source {
                Some(square) => &square[y * part.width..][..part.width],
                None => &picture.row(part.y + y)[part.x..part.right()],
            };
            self.pixels[(part.y + y) * to.0 + part.x..][..part.width].copy_from_slice(row);
        }
    }

    /// Makes a square of the result from what it shows of the picture.
    fn resize(&mut self, picture: &Picture, to: (usize, usize), part: Rect) -> anyhow::Result<()> {
        let across = Side::new(picture.width, to.0, part.x, part.width);
        let down = Side::new(picture.height, to.1, part.y, part.height);
        self.source.clear();
        for y in down.first..down.last {
            self.source.extend_from_slice(&picture.row(y)[across.first..across.last]);
        }
        let from = ImageRef::new(
            u32::try_from(across.last - across.first)?,
            u32::try_from(down.last - down.first)?,
            bytemuck::cast_slice(&self.source),
            PixelType::U8x4,
        )?;
        self.square.resize(part.area(), 0);
        let mut square = Image::from_slice_u8(
            u32::try_from(part.width)?,
            u32::try_from(part.height)?,
            bytemuck::cast_slice_mut(&mut self.square),
            PixelType::U8x4,
        )?;
        // The fourth channel is no alpha, but always 0.
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .crop(across.begin, down.begin, across.length, down.length)
            .use_alpha(false);
        self.resizer.resize(&from, &mut square, &options)?;
        Ok(())
    }
}

/// What a square shows of the picture, in one direction.
struct Side {
    /// The pixels that the filter reaches.
    first: usize,
    last: usize,
    /// What the square shows, from the first of these on.
    begin: f64,
    length: f64,
}

impl Side {
    /// Of `from` pixels that become `to`, those for `length` pixels from `at` on.
    fn new(from: usize, to: usize, at: usize, length: usize) -> Self {
        let scale = from as f64 / to as f64;
        let reach = REACH * scale.max(1.0) + 1.0;
        let (begin, end) = (at as f64 * scale, (at + length) as f64 * scale);
        let first = (begin - reach).floor().max(0.0) as usize;
        let last = ((end + reach).ceil() as usize).min(from);
        let begin = begin - first as f64;
        let length = (end - first as f64).min((last - first) as f64) - begin;
        Self { first, last, begin, length }
    }
}

/// The squares of a scaled picture in which damage of the picture shows.
fn squares(from: (usize, usize), to: (usize, usize), damage: &[Rect], squares: &mut Vec<Rect>) {
    let (columns, rows) = (to.0.div_ceil(SIDE), to.1.div_ceil(SIDE));
    // From the first square to the one behind the last, in one direction.
    let range = |from: usize, to: usize, first: usize, last: usize| {
        let scale = from as f64 / to as f64;
        let reach = REACH * scale.max(1.0) + 2.0;
        let first = ((first as f64 - reach) / scale).max(0.0) as usize;
        let last = (((last as f64 + reach) / scale).ceil() as usize).min(to);
        first / SIDE..last.div_ceil(SIDE)
    };
    let mut marked = vec![false; columns * rows];
    for rect in damage {
        for y in range(from.1, to.1, rect.y, rect.bottom()) {
            for x in range(from.0, to.0, rect.x, rect.right()) {
                marked[y * columns + x] = true;
            }
        }
    }
    let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (x * SIDE, y * SIDE)));
    squares.extend(
        marked
            .iter()
            .zip(places)
            .filter(|(marked, _)| **marked)
            .map(|(_, (x, y))| Rect::between(x, y, (x + SIDE).min(to.0), (y + SIDE).min(to.1))),
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::bands::Working;
    use super::*;
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
                part_made += usize::from(
                    scaler.changed().iter().map(Rect::area).sum::<usize>() < made.len(),
                );
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
            let from =
                ImageRef::new(700, 500, bytemuck::cast_slice(&pixels), PixelType::U8x4).unwrap();
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
}
