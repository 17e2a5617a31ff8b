//! The old picture and the new one, held against each other at an offset.

use super::super::compare::differ;
use super::super::{Patch, Picture, RGB, Region};
use super::Offset;
use super::anchors::{ANCHOR, is_textured};
use crate::rect::Rect;

/// Samples that tell whether a patch moved as the one before; how many of them must say so.
const SAMPLES: usize = 64;
const SAY_SO: usize = 4;

/// What is searched: the old picture, and the new one where it differs.
pub(super) struct Scene<'a> {
    pub(super) old: Picture<'a>,
    pub(super) patch: Patch<'a>,
    /// The part of the patch that changed.
    pub(super) area: Rect,
    /// Where it changed; `None` where that is not known yet.
    pub(super) damage: Option<&'a Region>,
}

impl Scene<'_> {
    pub(super) fn is_damaged(&self, cell: &Rect) -> bool {
        match self.damage {
            Some(damage) => damage.rects().iter().any(|rect| !rect.intersection(cell).is_empty()),
            // What did not change and is as if it had moved repeats itself: it may come along.
            None => true,
        }
    }

    /// Whether a good part of the rectangle changed, seen from pieces of rows here and there.
    pub(super) fn has_changed(&self, rect: &Rect) -> bool {
        let width = rect.width.min(ANCHOR);
        let changed = (0..SAMPLES).filter(|i| {
            let (x, y) = spread(*i, rect);
            differ(self.old.row(y, x, width), self.patch.row(y, x, width))
        });
        changed.count() * 8 >= SAMPLES
    }

    /// Whether the new pixels are all of one colour.
    pub(super) fn is_plain(&self, cell: &Rect) -> bool {
        let color = self.patch.row(cell.y, cell.x, 1)[0];
        (cell.y..cell.bottom()).all(|y| {
            let row = self.patch.row(y, cell.x, cell.width);
            row.iter().fold(0, |bits, pixel| bits | (pixel ^ color)) & RGB == 0
        })
    }

    /// Whether pieces of rows here and there are what they would be after this move, and were not
    /// before it.
    pub(super) fn seems_moved(&self, (dx, dy): Offset) -> bool {
        let area = self.area;
        let (mut yes, mut no) = (0, 0);
        for i in 0..SAMPLES {
            let (x, y) = spread(i, &area);
            let new = self.patch.row(y, x, ANCHOR.min(area.width));
            if !is_textured(new) || !differ(self.old.row(y, x, new.len()), new) {
                continue;
            }
            let from = Rect::new(x, y, new.len(), 1).moved(-dx, -dy);
            let from = from.filter(|from| self.old.bounds().contains(from));
            if from.is_some_and(|from| !differ(self.old.row(from.y, from.x, new.len()), new)) {
                yes += 1;
            } else {
                no += 1;
            }
        }
        yes >= SAY_SO && yes >= no
    }
}

/// Where sample `i` of a rectangle is: spread by two numbers that have nothing to do with each
/// other.
fn spread(i: usize, rect: &Rect) -> (usize, usize) {
    let x = rect.x + i * 7919 % (rect.width.saturating_sub(ANCHOR) + 1);
    let y = rect.y + (i * rect.height / SAMPLES + i * 31 % 16) % rect.height;
    (x, y)
}

/// The new picture held against the old one at an offset.
pub(super) struct Moved<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) dx: isize,
    pub(super) dy: isize,
}

impl Moved<'_> {
    /// The old pixels that would arrive in this part of a row.
    pub(super) fn old(&self, y: usize, x: usize, width: usize) -> &[u32] {
        let (x, y) = (x as isize - self.dx, y as isize - self.dy);
        self.scene.old.row(y as usize, x as usize, width)
    }

    /// Whether all of these pixels are the old ones of before the move.
    fn is(&self, rect: &Rect) -> bool {
        (rect.y..rect.bottom()).all(|y| {
            !differ(self.old(y, rect.x, rect.width), self.scene.patch.row(y, rect.x, rect.width))
        })
    }

    /// The rectangle as far as it goes on within `area`.
    pub(super) fn grown(&self, rect: Rect, area: &Rect) -> Rect {
        let (mut left, mut top, mut right, mut bottom) =
            (rect.x, rect.y, rect.right(), rect.bottom());
        while top > area.y && self.is(&Rect::between(left, top - 1, right, top)) {
            top -= 1;
        }
        while bottom < area.bottom() && self.is(&Rect::between(left, bottom, right, bottom + 1)) {
            bottom += 1;
        }
        while left > area.x && self.is(&Rect::between(left - 1, top, left, bottom)) {
            left -= 1;
        }
        while right < area.right() && self.is(&Rect::between(right, top, right + 1, bottom)) {
            right += 1;
        }
        Rect::between(left, top, right, bottom)
    }
}
