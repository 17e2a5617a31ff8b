//! A region: what changed, as few and tight rectangles.

use crate::rect::Rect;

/// As many rectangles as a simple region has at most.
pub(super) const MAX_RECTS: usize = 32;

/// What a rectangle costs on its own, in pixels: two that waste fewer when merged are merged.
const OVERHEAD: usize = 96;

/// Pixels, as rectangles; they may overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Region {
    rects: Vec<Rect>,
}

impl From<Rect> for Region {
    fn from(rect: Rect) -> Self {
        let mut region = Self::default();
        region.add(rect);
        region
    }
}

impl Region {
    /// The rectangles.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Whether there are no pixels in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// How many pixels its rectangles have together.
    #[must_use]
    pub fn area(&self) -> usize {
        self.rects.iter().map(Rect::area).sum()
    }

    /// The smallest rectangle around it.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        self.rects.iter().fold(Rect::default(), |bounds, rect| bounds.union(rect))
    }

    /// Adds a rectangle as it is.
    pub fn add(&mut self, rect: Rect) {
        if !rect.is_empty() {
            self.rects.push(rect);
        }
    }

    /// Adds another region, and keeps both simple.
    pub fn add_all(&mut self, other: &Self) {
        self.rects.extend_from_slice(&other.rects);
        self.simplify();
    }

    /// Merges rectangles where that costs little, and then until they are few.
    pub fn simplify(&mut self) {
        self.coarsen();
        let mut slack = OVERHEAD;
        loop {
            self.merge(slack);
            if self.rects.len() <= MAX_RECTS {
                return;
            }
            slack *= 4;
        }
    }

    /// Merges whatever wastes at most so many pixels, or a sixteenth.
    fn merge(&mut self, slack: usize) {
        let mut i = 0;
        while i < self.rects.len() {
            let mut rect = self.rects[i];
            let mut grew = false;
            let mut j = i + 1;
            while j < self.rects.len() {
                let other = self.rects[j];
                let (apart, union) = (rect.area() + other.area(), rect.union(&other));
                if union.area() <= apart + slack.max(apart / 16) {
                    rect = union;
                    grew = true;
                    self.rects.swap_remove(j);
                } else {
                    j += 1;
                }
            }
            self.rects[i] = rect;
            // What did not fit before may fit the larger one.
            if !grew {
                i += 1;
            }
        }
    }

    /// Bounds the work of merging: hundreds of rectangles are put together by where they lie.
    fn coarsen(&mut self) {
        const MANY: usize = 256;
        const SIDE: usize = 256;
        if self.rects.len() <= MANY {
            return;
        }
        self.rects.sort_unstable_by_key(|r| (r.y / SIDE, r.x / SIDE));
        let mut merged: Vec<Rect> = Vec::new();
        let mut place = None;
        for rect in &self.rects {
            let here = Some((rect.y / SIDE, rect.x / SIDE));
            match merged.last_mut() {
                Some(last) if here == place => *last = last.union(rect),
                _ => merged.push(*rect),
            }
            place = here;
        }
        self.rects = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_and_far_ones_stay_apart() {
        let mut region = Region::default();
        region.add(Rect::new(0, 0, 16, 16));
        region.add(Rect::new(16, 0, 16, 16));
        region.add(Rect::new(500, 500, 16, 16));
        region.simplify();
        assert_eq!(region.rects(), [Rect::new(0, 0, 32, 16), Rect::new(500, 500, 16, 16)]);
    }

    #[test]
    fn a_thousand_rectangles_become_few_that_cover_them() {
        let mut region = Region::default();
        let all: Vec<Rect> =
            (0..1000).map(|i| Rect::new(i * 37 % 1900, i * 61 % 1060, 7, 5)).collect();
        for rect in &all {
            region.add(*rect);
        }
        region.simplify();
        assert!(region.rects().len() <= MAX_RECTS);
        for rect in all {
            assert!(region.rects().iter().any(|r| r.contains(&rect)), "{rect:?} is lost");
        }
    }
}
