//! Grabbed pixels held against the canvas.

use super::{Patch, Picture, RGB, Region};
use crate::rect::Rect;

/// The side of a cell, in pixels: what differs is looked for cell by cell.
pub(super) const CELL: usize = 16;

/// Scratch space of a comparison: one row of cells.
#[derive(Debug, Default)]
pub(super) struct Grid {
    differs: Vec<bool>,
    /// Rectangles that reach down to the last row of cells.
    open: Vec<Rect>,
}

/// Whether two rows of the same length differ in a bit that counts.
pub(super) fn differ(old: &[u32], new: &[u32]) -> bool {
    // Whole pieces are looked at without a way out in between: that is what vectorises.
    let (old_pieces, old_rest) = old.as_chunks::<32>();
    let (new_pieces, new_rest) = new.as_chunks::<32>();
    let differ_in = |old: &[u32], new: &[u32]| {
        old.iter().zip(new).fold(0, |bits, (a, b)| bits | (a ^ b)) & RGB != 0
    };
    old_pieces.iter().zip(new_pieces).any(|(a, b)| differ_in(a, b)) || differ_in(old_rest, new_rest)
}

/// Marks the cells in which two rows of pixels differ, of those that are not marked; the first
/// cell begins `x % CELL` pixels before the rows.
pub(super) fn mark(differs: &mut [bool], x: usize, old: &[u32], new: &[u32]) {
    if !differ(old, new) {
        return;
    }
    let first = (CELL - x % CELL).min(old.len());
    let ((old_first, old), (new_first, new)) = (old.split_at(first), new.split_at(first));
    let Some((begin, cells)) = differs.split_first_mut() else { return };
    *begin = *begin || differ(old_first, new_first);
    let ((old, old_rest), (new, new_rest)) = (old.as_chunks::<CELL>(), new.as_chunks::<CELL>());
    for ((cell, old), new) in cells.iter_mut().zip(old).zip(new) {
        if !*cell {
            *cell = old.iter().zip(new).fold(0, |bits, (a, b)| bits | (a ^ b)) & RGB != 0;
        }
    }
    if let Some(cell) = cells.get_mut(old.len()) {
        *cell = *cell || differ(old_rest, new_rest);
    }
}

impl Grid {
    /// Adds to `damage` where a patch differs from a picture: rectangles of changed cells, cut
    /// down to the pixels that differ.
    pub(super) fn compare(&mut self, old: &Picture<'_>, patch: &Patch<'_>, damage: &mut Region) {
        let rect = patch.rect;
        let first = rect.x / CELL;
        let mut rough = Region::default();
        self.open.clear();
        let mut top = rect.y;
        while top < rect.bottom() {
            let bottom = ((top / CELL + 1) * CELL).min(rect.bottom());
            self.differs.clear();
            self.differs.resize(rect.right().div_ceil(CELL) - first, false);
            for y in top..bottom {
                let new = patch.row(y, rect.x, rect.width);
                mark(&mut self.differs, rect.x, old.row(y, rect.x, rect.width), new);
            }
            self.close_row(first, &rect, top, bottom, &mut rough);
            top = bottom;
        }
        for rect in self.open.drain(..) {
            rough.add(rect);
        }
        rough.simplify();
        for rect in rough.rects() {
            damage.add(tighten(old, patch, *rect));
        }
    }

    /// Makes rectangles of a row of cells: a run of cells goes on from the row above where it is
    /// as wide.
    fn close_row(
        &mut self,
        first: usize,
        patch: &Rect,
        top: usize,
        bottom: usize,
        rough: &mut Region,
    ) {
        let mut still_open = Vec::with_capacity(self.open.len());
        let mut cells = self.differs.iter().copied().enumerate().peekable();
        while let Some((i, differs)) = cells.next() {
            if !differs {
                continue;
            }
            let mut end = i + 1;
            while cells.next_if(|&(_, differs)| differs).is_some() {
                end += 1;
            }
            let left = ((first + i) * CELL).max(patch.x);
            let right = ((first + end) * CELL).min(patch.right());
            let mut run = Rect::between(left, top, right, bottom);
            if let Some(at) = self.open.iter().position(|r| r.x == left && r.right() == right) {
                run = self.open.swap_remove(at).union(&run);
            }
            still_open.push(run);
        }
        for rect in self.open.drain(..) {
            rough.add(rect);
        }
        self.open = still_open;
    }
}

/// Cuts a rectangle down to the pixels that differ; empty when none does.
fn tighten(old: &Picture<'_>, patch: &Patch<'_>, rect: Rect) -> Rect {
    let row_differs =
        |y: &usize| differ(old.row(*y, rect.x, rect.width), patch.row(*y, rect.x, rect.width));
    let mut rows = rect.y..rect.bottom();
    let Some(top) = rows.by_ref().find(row_differs) else {
        return Rect::default();
    };
    let bottom = rows.rev().find(row_differs).unwrap_or(top) + 1;
    let (mut left, mut right) = (rect.right(), rect.x);
    for y in top..bottom {
        // Only what lies beyond what is known already is looked at.
        let (before, after) = (left - rect.x, rect.right() - right);
        let differs = |(old, new): (&u32, &u32)| (old ^ new) & RGB != 0;
        let mut sides = old.row(y, rect.x, before).iter().zip(patch.row(y, rect.x, before));
        if let Some(i) = sides.position(differs) {
            left = rect.x + i;
        }
        let mut sides = old.row(y, right, after).iter().zip(patch.row(y, right, after));
        if let Some(i) = sides.rposition(differs) {
            right += i + 1;
        }
    }
    Rect::between(left, top, right, bottom)
}
