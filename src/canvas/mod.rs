//! The canvas: the agent's copy of the screen, with a version for every change.
//!
//! A source hands over what it grabbed ([`Canvas::update`]); the canvas compares it with what it
//! holds, finds out what moved and what is new, and keeps a log of both. A viewer that has an
//! earlier version is brought up to date by what the log says since then ([`Canvas::since`]).
//!
//! The pixels lie in one flat piece and are changed in place, behind a lock that is held for as
//! long as memory is copied and never for a grab or an encoding: an encoder takes out just the
//! pixels that it needs. (Copy-on-write bands cost a copy of every row that scrolls.)

mod compare;
mod log;
mod moves;
mod region;
mod shared;
#[cfg(test)]
mod tests;
mod update;

pub use log::Change;
pub use region::Region;
pub use shared::Shared;
pub use update::{Band, Bands, Tile, Update};

use crate::rect::Rect;
use log::Log;

/// Which state of the screen: 1 is the first, 0 stands for none.
pub type Version = u64;

/// The rows of a band: a part of the canvas that knows when it last changed.
pub const BAND_ROWS: usize = 32;

/// The bits of a pixel that count: `0x00RRGGBB`.
pub const RGB: u32 = 0x00ff_ffff;

/// Grabbed pixels of a part of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Patch<'a> {
    /// Where they lie on the screen.
    pub rect: Rect,
    /// Rows of `0x??RRGGBB`, the first byte without meaning; the last row may end with the
    /// rectangle.
    pub pixels: &'a [u32],
    /// From one row's beginning to the next one's, in pixels; at least the rectangle's width.
    pub stride: usize,
}

impl<'a> Patch<'a> {
    /// A part of it, which must lie within.
    fn part(&self, rect: Rect) -> Self {
        let at = (rect.y - self.rect.y) * self.stride + (rect.x - self.rect.x);
        Self { rect, pixels: &self.pixels[at..], ..*self }
    }

    /// What of it lies in a rectangle.
    fn within(&self, rect: &Rect) -> Option<Patch<'a>> {
        let common = self.rect.intersection(rect);
        (!common.is_empty()).then(|| self.part(common))
    }
    /// The pixels of row `y` of the screen, from column `x` on, `width` of them.
    fn row(&self, y: usize, x: usize, width: usize) -> &[u32] {
        let at = (y - self.rect.y) * self.stride + (x - self.rect.x);
        &self.pixels[at..at + width]
    }
}

/// Pixels that moved: what lay in `from` lies at `to` now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where they lay.
    pub from: Rect,
    /// The left upper corner of where they lie, x and y.
    pub to: (usize, usize),
}

impl Move {
    /// Where the pixels lie now.
    #[must_use]
    pub fn target(&self) -> Rect {
        Rect { x: self.to.0, y: self.to.1, ..self.from }
    }

    /// Where a part of the picture lies after the move, as far as it was moved.
    fn carry(&self, part: &Rect) -> Rect {
        let part = part.intersection(&self.from);
        Rect {
            x: part.x.saturating_sub(self.from.x) + self.to.0,
            y: part.y.saturating_sub(self.from.y) + self.to.1,
            ..part
        }
    }
}

/// The pixels of the canvas, for those who compare with them.
#[derive(Debug, Clone, Copy)]
struct Picture<'a> {
    pixels: &'a [u32],
    /// Its width.
    stride: usize,
}

impl<'a> Picture<'a> {
    /// The pixels of row `y` from column `x` on, `width` of them.
    fn row(&self, y: usize, x: usize, width: usize) -> &'a [u32] {
        &self.pixels[y * self.stride + x..][..width]
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.stride, self.pixels.len() / self.stride.max(1))
    }
}

/// The agent's copy of the screen.
#[derive(Debug)]
pub struct Canvas {
    width: usize,
    height: usize,
    version: Version,
    captured_us: u64,
    pixels: Vec<u32>,
    /// The version in which each band changed last.
    bands: Vec<Version>,
    log: Log,
    /// What changed since the last commit.
    pending: Change,
    finder: moves::Finder,
    grid: compare::Grid,
}

impl Default for Canvas {
    fn default() -> Self {
        Self::new()
    }
}

impl Canvas {
    /// An empty canvas, at version 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            width: 0,
            height: 0,
            version: 0,
            captured_us: 0,
            pixels: Vec::new(),
            bands: Vec::new(),
            log: Log::default(),
            pending: Change::default(),
            finder: moves::Finder::default(),
            grid: compare::Grid::default(),
        }
    }

    /// The version last committed.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// When the version last committed was captured, in microseconds since 1970.
    #[must_use]
    pub fn captured_us(&self) -> u64 {
        self.captured_us
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The whole canvas as a rectangle.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width, self.height)
    }

    /// A row of `0x00RRGGBB`.
    #[must_use]
    pub fn row(&self, y: usize) -> &[u32] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// The version in which each band of [`BAND_ROWS`] rows changed last, from the top.
    #[must_use]
    pub fn bands(&self) -> &[Version] {
        &self.bands
    }

    /// Takes over what was grabbed of a screen of this size; true when it differs from what the
    /// canvas held. Parts of patches beyond the screen are ignored. Nothing is to be taken out
    /// before the [`Canvas::commit`] that belongs to it.
    pub fn update(&mut self, size: (usize, usize), patches: &[Patch<'_>]) -> bool {
        let fresh = size != self.size();
        if fresh {
            self.resize(size);
        }
        let patches: Vec<Patch<'_>> = patches
            .iter()
            .filter_map(|patch| {
                let rect = patch.rect.intersection(&self.bounds());
                // Only the right and lower edge can be cut: a patch begins on the screen.
                (!rect.is_empty()).then_some(Patch { rect, ..*patch })
            })
            .collect();
        let old = Picture { pixels: &self.pixels, stride: self.width };
        // What scrolled once goes on scrolling: that is tried before all is compared.
        let (again, mut damage) = match self.finder.again(&old, &patches) {
            Some(found) if !fresh => {
                self.apply_move(found.moved);
                (Some(found), self.compare(&found.without(patches.iter().copied().enumerate())))
            }
            _ => (None, self.compare(&patches)),
        };
        if damage.is_empty() && again.is_none() {
            return fresh;
        }
        let mut last = again;
        let rounds = if fresh { 0 } else { moves::ROUNDS };
        for _ in 0..rounds {
            // Beside what moved, most of what is left is new.
            if last.is_some_and(|found| damage.area() * 8 < found.moved.from.area()) {
                break;
            }
            let old = Picture { pixels: &self.pixels, stride: self.width };
            let Some(found) = self.finder.find(&old, &patches, &damage) else { break };
            self.apply_move(found.moved);
            let rects = damage.rects();
            let damaged = patches.iter().enumerate().flat_map(|(number, patch)| {
                rects.iter().filter_map(move |rect| Some((number, patch.within(rect)?)))
            });
            damage = self.compare(&found.without(damaged));
            last = Some(found);
        }
        for patch in &patches {
            for rect in damage.rects() {
                self.write(patch, &rect.intersection(&patch.rect));
            }
        }
        self.pending.damage(damage);
        true
    }

    /// Makes what the canvas holds its next version.
    pub fn commit(&mut self, captured_us: u64) -> Version {
        self.version += 1;
        self.captured_us = captured_us;
        self.log.push(self.version, std::mem::take(&mut self.pending));
        self.version
    }

    /// What turns `base` into the newest version; `None` where the log does not go back so far,
    /// or knows of no such version.
    #[must_use]
    pub fn since(&self, base: Version) -> Option<Change> {
        self.log.since(base, self.version)
    }

    /// Forgets the picture, not the version: the next update is of everything.
    pub fn clear(&mut self) {
        self.resize((0, 0));
    }

    fn resize(&mut self, (width, height): (usize, usize)) {
        (self.width, self.height) = (width, height);
        self.pixels.clear();
        self.pixels.resize(width * height, 0);
        self.bands.clear();
        self.bands.resize(height.div_ceil(BAND_ROWS), self.version + 1);
        self.log.clear(self.version + 1);
        self.pending = Change::default();
        self.pending.damage(Region::from(self.bounds()));
    }

    /// Where the patches differ from the canvas.
    fn compare(&mut self, patches: &[Patch<'_>]) -> Region {
        let mut damage = Region::default();
        for patch in patches {
            let old = Picture { pixels: &self.pixels, stride: self.width };
            self.grid.compare(&old, patch, &mut damage);
        }
        damage.simplify();
        damage
    }

    /// Copies a part of a patch.
    fn write(&mut self, patch: &Patch<'_>, rect: &Rect) {
        if rect.is_empty() {
            return;
        }
        for y in rect.y..rect.bottom() {
            let to = &mut self.pixels[y * self.width + rect.x..][..rect.width];
            for (to, from) in to.iter_mut().zip(patch.row(y, rect.x, rect.width)) {
                *to = from & RGB;
            }
        }
        self.touch(rect);
    }

    /// Notes that the bands of these rows have changed.
    fn touch(&mut self, rect: &Rect) {
        let bands = rect.y / BAND_ROWS..rect.bottom().div_ceil(BAND_ROWS);
        self.bands[bands].fill(self.version + 1);
    }

    fn apply_move(&mut self, moved: Move) {
        move_pixels(&mut self.pixels, self.width, &moved);
        self.touch(&moved.target());
        self.pending.moved(moved);
    }
}

/// Moves pixels within a picture of rows of `stride` pixels; from and to may overlap.
pub fn move_pixels(pixels: &mut [u32], stride: usize, moved: &Move) {
    let Move { from, to } = *moved;
    let mut row = |i: usize| {
        let at = (from.y + i) * stride + from.x;
        pixels.copy_within(at..at + from.width, (to.1 + i) * stride + to.0);
    };
    // Downward, the last row goes first: it lies where an earlier one goes.
    if to.1 > from.y {
        (0..from.height).rev().for_each(&mut row);
    } else {
        (0..from.height).for_each(&mut row);
    }
}
