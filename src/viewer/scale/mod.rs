//! Pictures fitted into a place, filtered.

#[cfg(test)]
mod tests;

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
