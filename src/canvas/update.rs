//! Pixels taken out of the canvas: what an encoder turns into frames.

use super::{BAND_ROWS, Canvas, Change, Move, Version};
use crate::rect::Rect;

/// The changes of so many versions are put together in no time worth mentioning.
const FEW_VERSIONS: Version = 8;

/// A part of the picture with its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Where it lies.
    pub rect: Rect,
    /// `rect.area()` pixels `0x00RRGGBB`, row by row.
    pub pixels: Vec<u32>,
}

/// What turns one version into a later one, with the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The version it brings a viewer to.
    pub version: Version,
    /// The version it builds on.
    pub base: Version,
    /// When that was captured, in microseconds since 1970.
    pub captured_us: u64,
    /// Width and height of the whole picture.
    pub size: (usize, usize),
    /// What moved, in order; before the tiles.
    pub moves: Vec<Move>,
    /// What is new.
    pub tiles: Vec<Tile>,
}

/// The whole picture in bands of [`BAND_ROWS`] rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bands {
    /// Which version.
    pub version: Version,
    /// When it was captured, in microseconds since 1970.
    pub captured_us: u64,
    /// Width and height of the whole picture.
    pub size: (usize, usize),
    /// The bands from the top.
    pub bands: Vec<Band>,
}

/// A band of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// The version in which it changed last.
    pub version: Version,
    /// Its pixels `0x00RRGGBB`; left out where the asker knows this version.
    pub pixels: Option<Vec<u32>>,
}

impl Canvas {
    /// Width and height at one part in `scale`.
    #[must_use]
    pub fn scaled_size(&self, scale: usize) -> (usize, usize) {
        (self.width.div_ceil(scale), self.height.div_ceil(scale))
    }

    /// The step from `base` to the newest version at one part in `scale` of the width and height;
    /// `None` where it takes a key frame.
    #[must_use]
    pub fn delta(&self, base: Version, scale: usize) -> Option<Update> {
        Some(self.take_out(self.step(base, scale)?, base, scale))
    }

    /// The same, but only where that is little work: no more than so many pixels of the canvas are
    /// new, and it is a matter of a few versions.
    #[must_use]
    pub fn small_delta(&self, base: Version, scale: usize, pixels: usize) -> Option<Update> {
        if self.version.checked_sub(base)? > FEW_VERSIONS {
            return None;
        }
        let change = self.step(base, scale)?;
        let area: usize = change.rects().iter().map(Rect::area).sum();
        (area <= pixels).then(|| self.take_out(change, base, scale))
    }

    /// What turns `base` into the newest version at one part in `scale`.
    fn step(&self, base: Version, scale: usize) -> Option<Change> {
        let change = self.since(base)?;
        // Moved by whole pixels, but seldom by whole blocks of them.
        Some(if scale > 1 { change.without_moves() } else { change })
    }

    fn take_out(&self, change: Change, base: Version, scale: usize) -> Update {
        let tiles = change.rects().iter().map(|rect| self.tile(rect, scale)).collect();
        Update {
            version: self.version,
            base,
            captured_us: self.captured_us,
            size: self.scaled_size(scale),
            moves: change.moves().to_vec(),
            tiles,
        }
    }

    /// The whole picture at one part in `scale`. The pixels of bands are left out whose version is
    /// the one that `known` has, from the top.
    #[must_use]
    pub fn whole(&self, scale: usize, known: &[Version]) -> Bands {
        let size = self.scaled_size(scale);
        let bands = (0..size.1.div_ceil(BAND_ROWS)).map(|i| {
            let rows = i * BAND_ROWS..((i + 1) * BAND_ROWS).min(size.1);
            let from = rows.start * scale / BAND_ROWS;
            let to = (rows.end * scale).min(self.height).div_ceil(BAND_ROWS);
            let version = self.bands[from..to].iter().copied().max().unwrap_or(0);
            let pixels = (known.get(i) != Some(&version))
                .then(|| self.scaled(&Rect::between(0, rows.start, size.0, rows.end), scale));
            Band { version, pixels }
        });
        let bands = bands.collect();
        Bands { version: self.version, captured_us: self.captured_us, size, bands }
    }

    /// The pixels that a damaged part of the canvas becomes.
    fn tile(&self, rect: &Rect, scale: usize) -> Tile {
        let rect = Rect::between(
            rect.x / scale,
            rect.y / scale,
            rect.right().div_ceil(scale),
            rect.bottom().div_ceil(scale),
        );
        Tile { rect, pixels: self.scaled(&rect, scale) }
    }

    /// A part of the scaled picture.
    fn scaled(&self, rect: &Rect, scale: usize) -> Vec<u32> {
        let mut pixels = Vec::with_capacity(rect.area());
        for y in rect.y..rect.bottom() {
            if scale == 1 {
                pixels.extend_from_slice(&self.row(y)[rect.x..rect.right()]);
            } else {
                pixels.extend((rect.x..rect.right()).map(|x| self.block(x, y, scale)));
            }
        }
        pixels
    }

    /// The mean of a block of `scale` × `scale` pixels, cut off at the edges; halves are rounded
    /// up.
    fn block(&self, x: usize, y: usize, scale: usize) -> u32 {
        let columns = x * scale..((x + 1) * scale).min(self.width);
        let rows = y * scale..((y + 1) * scale).min(self.height);
        let count = (columns.len() * rows.len()) as u32;
        let (mut r, mut g, mut b) = (0, 0, 0);
        for y in rows {
            for pixel in &self.row(y)[columns.clone()] {
                r += pixel >> 16 & 0xff;
                g += pixel >> 8 & 0xff;
                b += pixel & 0xff;
            }
        }
        let mean = |sum: u32| (sum + count / 2) / count;
        mean(r) << 16 | mean(g) << 8 | mean(b)
    }
}
