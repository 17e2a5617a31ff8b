//! Anchors: short pieces of the new picture with some texture, and where the old one has them.

use super::super::RGB;
use super::Offset;
use super::scene::Scene;

/// The length of an anchor, in pixels: a few letters.
pub(super) const ANCHOR: usize = 32;

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

/// The multiplier of the rolling hash: any odd number with well mixed bits.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Slots of the anchors' table: some times as many as a screen has anchors.
const SLOTS: usize = 1 << 15;

#[derive(Debug, Clone, Copy, Default)]
struct Anchor {
    hash: u64,
    x: u32,
    y: u32,
}

/// The table of anchors, and what was found with them. Scratch space.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// For each slot, a few bits of the hash of its anchor; 0 where it has none.
    tags: Vec<u16>,
    anchors: Vec<Anchor>,
    votes: Vec<Offset>,
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
pub(super) fn is_textured(piece: &[u32]) -> bool {
    piece.windows(2).fold(0, |edges, p| edges + usize::from((p[0] ^ p[1]) & RGB != 0)) >= TEXTURE
}

impl Anchors {
    /// The offsets that most anchors say, the likeliest first.
    pub(super) fn offsets(&mut self, scene: &Scene<'_>) -> Vec<Offset> {
        self.take(scene);
        self.vote(scene);
        self.elected()
    }

    /// Fills the table with pieces of the new picture.
    fn take(&mut self, scene: &Scene<'_>) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
