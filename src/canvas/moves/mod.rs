//! Moved content found: scrolling and dragged windows are most of what screens do.
//!
//! Short pieces of rows with some texture are taken from what is new (*anchors*); rows of the old
//! picture, some way apart, are searched for them at every column. Each find votes for an offset.
//! The offsets with the most votes are then tried on all of the changed pixels, and the largest
//! rectangle that really moved is grown to its last pixel. Noise and pictures that are simply new
//! cost the search and no more: a small part of what comparing them costs.
//!
//! What moved before is tried first, on a few samples ([`Finder::again`]): while something scrolls,
//! the search is spared, and the comparison of all that moved with what lay there before.

mod anchors;
mod scene;
mod worth;

use super::compare::{CELL, mark};
use super::{Move, Patch, Picture, Region};
use crate::rect::Rect;
use anchors::Anchors;
use scene::{Moved, Scene};
use worth::most_worth;

/// As many moves are looked for in one update.
pub(super) const ROUNDS: usize = 4;

/// A move saves at least so many pixels: less is encoded faster than it is found.
const WORTH: usize = 64 * 64;

/// An offset: how far to the right and how far down.
type Offset = (isize, isize);

/// Finds moves; keeps its scratch space, and the offset that was found last.
#[derive(Debug, Default)]
pub(super) struct Finder {
    anchors: Anchors,
    /// The cells of one row that do not match.
    differs: Vec<bool>,
    matches: Vec<bool>,
    /// For each corner of cells, the pixels of worth above and left of it.
    worth: Vec<u32>,
    heights: Vec<usize>,
    last: Option<Offset>,
}

/// A move, and the patch that shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) moved: Move,
    /// Which patch.
    patch: usize,
}

impl Found {
    /// Patches or parts of them, each with its patch's number, less what moved in the patch that
    /// shows it: that is what the canvas holds now.
    pub(super) fn without<'a>(
        &self,
        parts: impl IntoIterator<Item = (usize, Patch<'a>)>,
    ) -> Vec<Patch<'a>> {
        let target = self.moved.target();
        let mut left = Vec::new();
        for (patch, part) in parts {
            if patch == self.patch {
                left.extend(part.rect.without(&target).map(|rect| part.part(rect)));
            } else {
                left.push(part);
            }
        }
        left
    }
}

impl Finder {
    /// The best move in a picture that turns some of the damage into what the patches have; `None`
    /// when there is none that is worth it.
    pub(super) fn find(
        &mut self,
        old: &Picture<'_>,
        patches: &[Patch<'_>],
        damage: &Region,
    ) -> Option<Found> {
        if damage.area() < WORTH {
            return None;
        }
        let bounds = damage.bounds();
        let by_area = |(_, p): &(usize, &Patch<'_>)| p.rect.intersection(&bounds).area();
        let (number, patch) = patches.iter().enumerate().max_by_key(by_area)?;
        let patch = *patch;
        let rects = damage.rects().iter().map(|rect| rect.intersection(&patch.rect));
        let area = rects.fold(Rect::default(), |area, rect| area.union(&rect));
        let scene = Scene { old: *old, patch, area, damage: Some(damage) };
        let mut best = None;
        for offset in self.anchors.offsets(&scene) {
            let Some((moved, gain)) = self.try_offset(&scene, offset) else { continue };
            if best.is_none_or(|(_, most, _)| gain > most) {
                best = Some((moved, gain, offset));
            }
        }
        let (moved, _, offset) = best?;
        self.last = Some(offset);
        Some(Found { moved, patch: number })
    }

    /// The move that was found last, once more, where it is clear that most of a patch moved.
    pub(super) fn again(&mut self, old: &Picture<'_>, patches: &[Patch<'_>]) -> Option<Found> {
        let offset = self.last?;
        let (number, patch) = patches.iter().enumerate().max_by_key(|(_, p)| p.rect.area())?;
        let patch = *patch;
        let scene = Scene { old: *old, patch, area: patch.rect, damage: None };
        if patch.rect.area() < WORTH || !scene.seems_moved(offset) {
            return None;
        }
        let (moved, gain) = self.try_offset(&scene, offset)?;
        let to = Rect::new(moved.to.0, moved.to.1, moved.from.width, moved.from.height);
        // Else it is ground that repeats itself, and was there before.
        (gain * 8 >= patch.rect.area() && scene.has_changed(&to))
            .then_some(Found { moved, patch: number })
    }

    /// The largest rectangle that moved by this offset, and how many pixels it accounts for that
    /// are damaged, as far as that is known.
    fn try_offset(&mut self, scene: &Scene<'_>, (dx, dy): Offset) -> Option<(Move, usize)> {
        // Where the pixels arrive that come from the picture.
        let bounds = scene.old.bounds();
        let arrivals = Rect::between(
            dx.max(0) as usize,
            dy.max(0) as usize,
            bounds.width.checked_add_signed(dx.min(0))?,
            bounds.height.checked_add_signed(dy.min(0))?,
        );
        let area = scene.area.intersection(&arrivals);
        if area.area() < WORTH {
            return None;
        }
        let moved = Moved { scene, dx, dy };
        let columns = area.width.div_ceil(CELL);
        self.matches.clear();
        self.worth.clear();
        self.worth.resize(columns + 1, 0);
        for y in (area.y..area.bottom()).step_by(CELL) {
            let bottom = (y + CELL).min(area.bottom());
            self.differs.clear();
            self.differs.resize(columns, false);
            for y in y..bottom {
                let new = scene.patch.row(y, area.x, area.width);
                mark(&mut self.differs, 0, moved.old(y, area.x, area.width), new);
            }
            let mut left = 0;
            self.worth.push(0);
            for (i, differs) in self.differs.iter().enumerate() {
                let x = area.x + i * CELL;
                let cell = Rect::between(x, y, (x + CELL).min(area.right()), bottom);
                self.matches.push(!differs);
                // Plain ground is encoded for less than a move: it may come along, no more.
                if !differs && !scene.is_plain(&cell) && scene.is_damaged(&cell) {
                    left += cell.area() as u32;
                }
                self.worth.push(left + self.worth[self.worth.len() - columns - 1]);
            }
        }
        let (cells, gain) = most_worth(&self.matches, &self.worth, columns, &mut self.heights)?;
        let rect = Rect::new(
            area.x + cells.x * CELL,
            area.y + cells.y * CELL,
            cells.width * CELL,
            cells.height * CELL,
        );
        let rect = rect.intersection(&area);
        if gain < WORTH || gain * 8 < rect.area() {
            return None;
        }
        let rect = moved.grown(rect, &area);
        let from = rect.moved(-dx, -dy)?;
        Some((Move { from, to: (rect.x, rect.y) }, gain))
    }
}
