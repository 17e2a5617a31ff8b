//! The damage log: what changed from version to version.

use super::region::Region;
use super::{Move, Version};
use crate::rect::Rect;
use std::collections::VecDeque;
use std::sync::Arc;

/// Versions the log goes back: a second at sixty steps a second, of up to three versions each. A
/// viewer that is further behind gets a key frame.
const LENGTH: usize = 192;

/// Moves worth telling; a change with more is told as damage.
pub(super) const MAX_MOVES: usize = 32;

/// What turns one version into a later one: first the moves, in their order, then the damage, with
/// the pixels of the later version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    moves: Vec<Move>,
    damage: Region,
}

impl Change {
    /// What moved.
    #[must_use]
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// What is new.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        self.damage.rects()
    }

    /// Adds damage.
    pub(super) fn damage(&mut self, damage: Region) {
        if self.damage.is_empty() {
            self.damage = damage;
        } else {
            self.damage.add_all(&damage);
        }
    }

    /// Adds a move. What was damaged before it and is moved by it is damaged where it arrives: the
    /// viewer moves pixels that it has not been given yet.
    pub(super) fn moved(&mut self, moved: Move) {
        if self.moves.len() == MAX_MOVES {
            return self.give_up_moves(&moved);
        }
        let carried: Vec<Rect> = self.damage.rects().iter().map(|r| moved.carry(r)).collect();
        self.moves.push(moved);
        if carried.iter().any(|rect| !rect.is_empty()) {
            for rect in carried {
                self.damage.add(rect);
            }
            self.damage.simplify();
        }
    }

    /// Tells all moves as damage.
    fn give_up_moves(&mut self, last: &Move) {
        for moved in self.moves.drain(..) {
            self.damage.add(moved.target());
        }
        self.damage.add(last.target());
        self.damage.simplify();
    }

    /// The same without moves: for whom they are of no use.
    #[must_use]
    pub fn without_moves(mut self) -> Self {
        for moved in self.moves.drain(..) {
            self.damage.add(moved.target());
        }
        self.damage.simplify();
        self
    }

    /// Adds what came after.
    fn then(&mut self, next: &Self) {
        for moved in &next.moves {
            self.moved(*moved);
        }
        self.damage.add_all(&next.damage);
    }
}

/// The changes that led to the newest versions.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Nothing builds on versions before this one.
    first: Version,
    steps: VecDeque<(Version, Arc<Change>)>,
}

impl Log {
    pub(super) fn push(&mut self, version: Version, change: Change) {
        if self.steps.len() == LENGTH {
            self.steps.pop_front();
        }
        self.steps.push_back((version, Arc::new(change)));
    }

    /// Forgets everything: nothing can be built on what was before version `first`.
    pub(super) fn clear(&mut self, first: Version) {
        self.first = first;
        self.steps.clear();
    }

    pub(super) fn since(&self, base: Version, now: Version) -> Option<Change> {
        if base < self.first || base == 0 || base > now {
            return None;
        }
        if base == now {
            return Some(Change::default());
        }
        let first = self.steps.front()?.0;
        // Every version has a step, so they are counted.
        let skip = usize::try_from((base + 1).checked_sub(first)?).ok()?;
        let mut change = Change::default();
        for (_, step) in self.steps.iter().skip(skip) {
            change.then(step);
        }
        Some(change)
    }
}
