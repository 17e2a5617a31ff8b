//! The pixels that frames are decoded into, in bands of rows which the pictures share.
//!
//! What has been shown must not change, so a band that a picture holds is not written to: its spare
//! is. The spare is the band's last but one version, which nobody shows any more; what the last
//! update has changed is copied into it after that update was shown, when there is time. So an
//! update that follows writes to where it finds everything in place, and copies nothing. A consumer
//! that keeps an old picture costs a new copy of the bands that change.

use crate::canvas::Move;
use crate::rect::Rect;
use std::sync::Arc;

/// The rows of a band.
pub(super) const ROWS: usize = 16;

/// A band's pixels, `0x00RRGGBB`, row by row.
pub(super) type Band = Arc<[u32]>;

/// The band that a row of the picture is in, and the row's place in that.
pub(super) fn band_of(y: usize) -> (usize, usize) {
    (y / ROWS, y % ROWS)
}

#[derive(Debug)]
struct Slot {
    pixels: Band,
    /// An earlier version of the band, to write to once nobody shows it.
    spare: Option<Band>,
    /// Where the spare differs, in the band's own rows.
    stale: Rect,
}

impl Slot {
    fn new(length: usize) -> Self {
        let pixels = std::iter::repeat_n(0, length).collect();
        Self { pixels, spare: None, stale: Rect::default() }
    }

    /// The band's pixels, to change this part of them.
    fn write(&mut self, width: usize, part: Rect) -> &mut [u32] {
        if Arc::get_mut(&mut self.pixels).is_none() {
            if !self.catch_up(width) {
                self.spare = Some(self.pixels.clone());
                self.stale = Rect::default();
            } else if let Some(spare) = &mut self.spare {
                std::mem::swap(&mut self.pixels, spare);
            }
        }
        self.stale = self.stale.union(&part);
        // Held by nobody, unless the spare was still shown: then this is the copy.
        Arc::make_mut(&mut self.pixels)
    }

    /// Brings the spare up to date; false when there is none, or somebody holds it.
    fn catch_up(&mut self, width: usize) -> bool {
        let Some(spare) = self.spare.as_mut().and_then(Arc::get_mut) else { return false };
        let Rect { x, width: columns, .. } = self.stale;
        for y in self.stale.y..self.stale.bottom() {
            let row = y * width + x..y * width + x + columns;
            spare[row.clone()].copy_from_slice(&self.pixels[row]);
        }
        self.stale = Rect::default();
        true
    }

    /// Makes room for pixels that are all to be written.
    fn overwrite(&mut self, width: usize) {
        let free = self.spare.as_mut().and_then(Arc::get_mut).is_some();
        if Arc::get_mut(&mut self.pixels).is_none() {
            if let Some(spare) = self.spare.as_mut().filter(|_| free) {
                std::mem::swap(&mut self.pixels, spare);
            } else {
                let fresh = std::iter::repeat_n(0, self.pixels.len()).collect();
                self.spare = Some(std::mem::replace(&mut self.pixels, fresh));
            }
        }
        self.stale = Rect::new(0, 0, width, self.pixels.len() / width.max(1));
    }
}

/// The picture that is worked on. Nobody sees it but in copies.
#[derive(Debug, Default)]
pub(super) struct Working {
    width: usize,
    height: usize,
    slots: Vec<Slot>,
}

impl Working {
    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Begins a picture of this size, of which every row is to be written.
    pub(super) fn begin(&mut self, width: usize, height: usize) {
        if (width, height) == (self.width, self.height) {
            self.slots.iter_mut().for_each(|slot| slot.overwrite(width));
            return;
        }
        (self.width, self.height) = (width, height);
        let rows = |band: usize| ROWS.min(height - band * ROWS);
        // The old bands go first: two pictures at the limits need not be held at once.
        self.slots.clear();
        self.slots.extend((0..height.div_ceil(ROWS)).map(|band| Slot::new(width * rows(band))));
    }

    /// A part of a row, to be written.
    pub(super) fn row(&mut self, x: usize, y: usize, width: usize) -> &mut [u32] {
        let (band, row) = band_of(y);
        let pixels = self.slots[band].write(self.width, Rect::new(x, row, width, 1));
        &mut pixels[row * self.width + x..][..width]
    }

    /// Copies pixels from one place to another; the two may overlap.
    pub(super) fn move_pixels(&mut self, moved: &Move) {
        let down = moved.to.1 > moved.from.y;
        for i in 0..moved.from.height {
            // Downward, the last row goes first: it lies where an earlier one goes.
            let i = if down { moved.from.height - 1 - i } else { i };
            self.move_row(moved, moved.from.y + i, moved.to.1 + i);
        }
    }

    fn move_row(&mut self, moved: &Move, from_y: usize, to_y: usize) {
        let (width, length) = (self.width, moved.from.width);
        let ((from, from_row), (to, to_row)) = (band_of(from_y), band_of(to_y));
        let part = Rect::new(moved.to.0, to_row, length, 1);
        let from_at = from_row * width + moved.from.x;
        let to_at = to_row * width + moved.to.0;
        if let Ok([from, to]) = self.slots.get_disjoint_mut([from, to]) {
            let source = &from.pixels[from_at..from_at + length];
            to.write(width, part)[to_at..to_at + length].copy_from_slice(source);
        } else {
            self.slots[to].write(width, part).copy_within(from_at..from_at + length, to_at);
        }
    }

    /// What there is now, for a picture.
    pub(super) fn bands(&self) -> Vec<Band> {
        self.slots.iter().map(|slot| slot.pixels.clone()).collect()
    }

    /// Does what there is time for now, so that the next update need not: brings up to date what
    /// nobody shows any more.
    pub(super) fn settle(&mut self) {
        let width = self.width;
        self.slots.iter_mut().filter(|s| !s.stale.is_empty()).for_each(|slot| {
            // What is still shown is tried again when it is needed.
            slot.catch_up(width);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(working: &mut Working, color: u32) {
        let (width, height) = working.size();
        (0..height).for_each(|y| working.row(0, y, width).fill(color));
    }

    fn working(width: usize, height: usize) -> Working {
        let mut working = Working::default();
        working.begin(width, height);
        fill(&mut working, 1);
        working
    }

    #[test]
    fn what_is_held_does_not_change_and_what_is_not_written_is_shared() {
        let mut working = working(10, 40);
        let first = working.bands();
        working.row(3, 17, 4).fill(2);
        let second = working.bands();
        assert!(first.iter().all(|band| band.iter().all(|&p| p == 1)));
        assert!(Arc::ptr_eq(&first[0], &second[0]) && Arc::ptr_eq(&first[2], &second[2]));
        assert_eq!(second[1][13..17], [2; 4]);
        assert_eq!(second[1].iter().filter(|&&p| p == 2).count(), 4);
    }

    #[test]
    fn two_buffers_take_turns_while_nobody_keeps_old_pictures() {
        let mut working = working(10, 16);
        let mut shown = working.bands();
        let mut places = std::collections::BTreeSet::new();
        for n in 2..12 {
            working.row(n % 7, n % 16, 3).fill(n as u32);
            shown = working.bands();
            places.insert(shown[0].as_ptr());
            if n % 3 == 0 {
                working.settle();
            }
            let expected = shown[0].clone();
            working.settle();
            assert_eq!(working.bands()[0], expected);
        }
        assert_eq!(places.len(), 2, "no other was made");
        drop(shown);
    }

    #[test]
    fn a_kept_picture_costs_a_copy_and_nothing_else() {
        let mut working = working(4, 16);
        let mut kept = Vec::new();
        let mut flat = vec![1; 64];
        for n in 0..20 {
            let (x, y) = (n % 3, n % 16);
            working.row(x, y, 2).fill(n as u32);
            flat[y * 4 + x..][..2].fill(n as u32);
            kept.push((working.bands(), flat.clone()));
            if n % 4 == 1 {
                working.settle();
            }
        }
        for (bands, flat) in kept {
            assert_eq!(bands[0][..], flat[..]);
        }
    }
}
