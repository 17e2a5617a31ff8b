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

use super::compare::{CELL, differ, mark};
use super::{Move, Patch, Picture, RGB, Region};
use crate::rect::Rect;

/// As many moves are looked for in one update.
pub(super) const ROUNDS: usize = 4;

/// A move saves at least so many pixels: less is encoded faster than it is found.
const WORTH: usize = 64 * 64;

/// The length of an anchor, in pixels: a few letters.
const ANCHOR: usize = 32;

/// An anchor has so many places where neighbours differ, at least: plain ground is everywhere.
const TEXTURE: usize = 6;

/// Anchors taken of a row, and of each row of many.
const PER_ROW: usize = 6;
const PER_ROW_OF_MANY: usize = 3;
const MANY_ROWS: usize = 256;

/// Rows of the old picture that are searched.
const SEARCHED: usize = 48;

/// Offsets tried, by their votes; and how many votes it takes.
const TRIED: usize = 3;
const VOTES: usize = 3;

/// No more votes than this are counted.
const MAX_VOTES: usize = 8192;

/// Samples that tell whether a patch moved as the one before; how many of them must say so.
const SAMPLES: usize = 64;
const SAY_SO: usize = 4;

/// The multiplier of the rolling hash: any odd number with well mixed bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Slots of the anchors' table: some times as many as a screen has anchors.
const SLOTS: usize = 1 << 15;

/// An offset: how far to the right and how far down.
type Offset = (isize, isize);

/// Finds moves; keeps its scratch space, and the offset that was found last.
#[derive(Debug, Default)]
pub(super) struct Finder {
    /// For each slot, a few bits of the hash of its anchor; 0 where it has none.
    tags: Vec<u16>,
    anchors: Vec<Anchor>,
    votes: Vec<Offset>,
    /// The cells of one row that do not match.
    differs: Vec<bool>,
    matches: Vec<bool>,
    /// For each corner of cells, the pixels of worth above and left of it.
    worth: Vec<u32>,
    heights: Vec<usize>,
    last: Option<Offset>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Anchor {
    hash: u64,
    x: u32,
    y: u32,
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

/// A row piece's hash by Horner's rule, so that it can be rolled along the row.
fn hash(piece: &[u32]) -> u64 {
    piece.iter().fold(0u64, |hash, p| hash.wrapping_mul(FACTOR).wrapping_add(mix(*p)))
}

/// A pixel's part of a hash.
fn mix(pixel: u32) -> u64 {
    u64::from(pixel & RGB) + 1
}

/// The slot of a hash, and what it is tagged with.
fn slot(hash: u64) -> (usize, u16) {
    let mixed = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((mixed >> 49) as usize % SLOTS, (mixed >> 32) as u16 | 1)
}

/// Whether a piece of a row is worth comparing.
fn is_textured(piece: &[u32]) -> bool {
    piece.windows(2).fold(0, |edges, p| edges + usize::from((p[0] ^ p[1]) & RGB != 0)) >= TEXTURE
}

/// What is searched: the old picture, and the new one where it differs.
struct Scene<'a> {
    old: Picture<'a>,
    patch: Patch<'a>,
    /// The part of the patch that changed.
    area: Rect,
    /// Where it changed; `None` where that is not known yet.
    damage: Option<&'a Region>,
}

impl Scene<'_> {
    fn is_damaged(&self, cell: &Rect) -> bool {
        match self.damage {
            Some(damage) => damage.rects().iter().any(|rect| !rect.intersection(cell).is_empty()),
            None => (cell.y..cell.bottom()).any(|y| {
                let new = self.patch.row(y, cell.x, cell.width);
                differ(self.old.row(y, cell.x, cell.width), new)
            }),
        }
    }

    /// Whether the new pixels are all of one colour.
    fn is_plain(&self, cell: &Rect) -> bool {
        let color = self.patch.row(cell.y, cell.x, 1)[0];
        (cell.y..cell.bottom()).all(|y| {
            let row = self.patch.row(y, cell.x, cell.width);
            row.iter().fold(0, |bits, pixel| bits | (pixel ^ color)) & RGB == 0
        })
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
        self.take_anchors(&scene);
        self.vote(&scene);
        let mut best = None;
        for offset in self.elected() {
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
        (gain * 8 >= patch.rect.area()).then_some(Found { moved, patch: number })
    }

    /// Fills the table with pieces of the new picture.
    fn take_anchors(&mut self, scene: &Scene<'_>) {
        self.tags.clear();
        self.tags.resize(SLOTS, 0);
        self.anchors.resize(SLOTS, Anchor::default());
        let area = scene.area;
        if area.width < ANCHOR {
            return;
        }
        let room = area.width - ANCHOR + 1;
        let per_row = if area.height >= MANY_ROWS { PER_ROW_OF_MANY } else { PER_ROW };
        for y in area.y..area.bottom() {
            let row = scene.patch.row(y, area.x, area.width);
            for i in 0..per_row {
                // Other columns in every row: text is not everywhere.
                let at = (i * room / per_row + y * 29) % room;
                let piece = &row[at..at + ANCHOR];
                if !is_textured(piece) {
                    continue;
                }
                let hash = hash(piece);
                let (slot, tag) = slot(hash);
                // The newest wins its slot: a repeated pattern is a weak anchor in any case.
                self.tags[slot] = tag;
                self.anchors[slot] = Anchor { hash, x: (area.x + at) as u32, y: y as u32 };
            }
        }
    }

    /// Searches rows of the old picture for the anchors.
    fn vote(&mut self, scene: &Scene<'_>) {
        self.votes.clear();
        let area = scene.area;
        if area.width < ANCHOR {
            return;
        }
        let drop = (1..ANCHOR).fold(FACTOR, |power, _| power.wrapping_mul(FACTOR));
        let step = area.height.div_ceil(SEARCHED).max(1);
        for y in (area.y..area.bottom()).step_by(step) {
            let row = scene.old.row(y, area.x, area.width);
            let mut rolling = hash(&row[..ANCHOR]);
            for at in 0.. {
                let (slot, tag) = slot(rolling);
                if self.tags[slot] == tag && self.anchors[slot].hash == rolling {
                    let anchor = self.anchors[slot];
                    let dx = anchor.x as isize - (area.x + at) as isize;
                    let dy = anchor.y as isize - y as isize;
                    if (dx, dy) != (0, 0) && self.votes.len() < MAX_VOTES {
                        self.votes.push((dx, dy));
                    }
                }
                let Some(next) = row.get(at + ANCHOR) else { break };
                rolling = rolling
                    .wrapping_mul(FACTOR)
                    .wrapping_add(mix(*next))
                    .wrapping_sub(mix(row[at]).wrapping_mul(drop));
            }
        }
    }

    /// The offsets with the most votes.
    fn elected(&mut self) -> Vec<Offset> {
        self.votes.sort_unstable();
        let mut counted: Vec<(usize, Offset)> = self
            .votes
            .chunk_by(|a, b| a == b)
            .filter(|same| same.len() >= VOTES)
            .map(|same| (same.len(), same[0]))
            .collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        counted.iter().take(TRIED).map(|&(_, offset)| offset).collect()
    }

    /// The largest rectangle that moved by this offset, and how many damaged pixels it accounts
    /// for.
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
        let rect = moved.grown(rect.intersection(&area), &area);
        if gain < WORTH || gain * 8 < rect.area() {
            return None;
        }
        let from = rect.moved(-dx, -dy)?;
        Some((Move { from, to: (rect.x, rect.y) }, gain))
    }
}

impl Scene<'_> {
    /// Whether pieces of rows here and there are what they would be after this move, and were not
    /// before it.
    fn seems_moved(&self, (dx, dy): Offset) -> bool {
        let area = self.area;
        let room = (area.width.saturating_sub(ANCHOR), area.height);
        let (mut yes, mut no) = (0, 0);
        for i in 0..SAMPLES {
            // Spread by two numbers that have nothing to do with each other.
            let x = area.x + i * 7919 % (room.0 + 1);
            let y = area.y + (i * area.height / SAMPLES + i * 31 % 16) % room.1;
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

/// The new picture held against the old one at an offset.
struct Moved<'a> {
    scene: &'a Scene<'a>,
    dx: isize,
    dy: isize,
}

impl Moved<'_> {
    /// The old pixels that would arrive in this part of a row.
    fn old(&self, y: usize, x: usize, width: usize) -> &[u32] {
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
    fn grown(&self, rect: Rect, area: &Rect) -> Rect {
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

/// The rectangle of true cells, in rows of `columns` cells, with the most worth, and how much that
/// is. `worth` has a row and a column more: for each corner, the sum above and left of it.
/// `heights` is scratch space.
fn most_worth(
    cells: &[bool],
    worth: &[u32],
    columns: usize,
    heights: &mut Vec<usize>,
) -> Option<(Rect, usize)> {
    heights.clear();
    heights.resize(columns, 0);
    let at = |x: usize, y: usize| worth[y * (columns + 1) + x] as usize;
    let within = |r: &Rect| {
        at(r.right(), r.bottom()) + at(r.x, r.y) - at(r.x, r.bottom()) - at(r.right(), r.y)
    };
    let mut best = (0, Rect::default());
    let mut stack: Vec<usize> = Vec::with_capacity(columns);
    for (y, row) in cells.chunks(columns).enumerate() {
        for (height, &cell) in heights.iter_mut().zip(row) {
            *height = if cell { *height + 1 } else { 0 };
        }
        stack.clear();
        // One column more, of no height, closes all that is open.
        for x in 0..=columns {
            let height = heights.get(x).copied().unwrap_or(0);
            while let Some(&top) = stack.last() {
                if heights[top] <= height {
                    break;
                }
                stack.pop();
                let left = stack.last().map_or(0, |&l| l + 1);
                let rect = Rect::new(left, y + 1 - heights[top], x - left, heights[top]);
                let worth = within(&rect);
                if worth > best.0 {
                    best = (worth, rect);
                }
            }
            stack.push(x);
        }
    }
    (best.0 > 0).then_some((best.1, best.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `most_worth` finds where each marked cell is worth 1, or 0 with a '-'.
    fn found(picture: &[&str]) -> Option<(Rect, usize)> {
        let columns = picture[0].len();
        let cells: Vec<bool> = picture.concat().chars().map(|c| c != '.').collect();
        let mut worth = vec![0; columns + 1];
        for row in picture {
            let mut left = 0;
            worth.push(0);
            for c in row.chars() {
                left += u32::from(c == '#');
                worth.push(left + worth[worth.len() - columns - 1]);
            }
        }
        most_worth(&cells, &worth, columns, &mut Vec::new())
    }

    #[test]
    fn the_rectangle_of_most_worth_is_found() {
        let largest = found(&["#..#.", ".###.", ".####", ".###.", "#...."]);
        assert_eq!(largest, Some((Rect::new(1, 1, 3, 3), 9)));
        assert_eq!(found(&["....."]), None);
        assert_eq!(found(&["-----"]), None, "plain ground alone is worth nothing");
        assert_eq!(found(&["#####"]), Some((Rect::new(0, 0, 5, 1), 5)));
        assert_eq!(found(&["#", "#", "#"]), Some((Rect::new(0, 0, 1, 3), 3)));
        let textured = found(&["---------", "---------", ".##......", ".##......"]);
        assert_eq!(textured.map(|(_, worth)| worth), Some(4), "not the largest, but worth it");
    }

    #[test]
    fn a_hash_rolls_along_a_row() {
        let row: Vec<u32> = (0..100u32).map(|i| i.wrapping_mul(2_654_435_761) >> 9).collect();
        let drop = (1..ANCHOR).fold(FACTOR, |power, _| power.wrapping_mul(FACTOR));
        let mut rolling = hash(&row[..ANCHOR]);
        for at in 0..row.len() - ANCHOR {
            rolling = rolling
                .wrapping_mul(FACTOR)
                .wrapping_add(mix(row[at + ANCHOR]))
                .wrapping_sub(mix(row[at]).wrapping_mul(drop));
            assert_eq!(rolling, hash(&row[at + 1..][..ANCHOR]));
        }
    }
}
