//! Rectangles of whole pixels.

/// A rectangle of whole pixels; empty when either side is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl Rect {
    /// A rectangle by its left upper corner and its size.
    #[must_use]
    pub const fn new(x: usize, y: usize, width: usize, height: usize) -> Self {
        Self { x, y, width, height }
    }

    /// The rectangle between two corners; empty where the second does not lie beyond the first.
    #[must_use]
    pub const fn between(left: usize, top: usize, right: usize, bottom: usize) -> Self {
        Self::new(left, top, right.saturating_sub(left), bottom.saturating_sub(top))
    }

    /// The first column beyond it.
    #[must_use]
    pub const fn right(&self) -> usize {
        self.x + self.width
    }

    /// The first row beyond it.
    #[must_use]
    pub const fn bottom(&self) -> usize {
        self.y + self.height
    }

    /// How many pixels it has.
    #[must_use]
    pub const fn area(&self) -> usize {
        self.width * self.height
    }

    /// Whether it has no pixel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// What both have; empty when they do not meet.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::between(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// The smallest rectangle around both; an empty one adds nothing.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self::between(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// Whether every pixel of the other is in this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.is_empty()
            || (self.x <= other.x
                && self.y <= other.y
                && other.right() <= self.right()
                && other.bottom() <= self.bottom())
    }

    /// What it has beside the other: up to four rectangles that do not overlap.
    pub fn without(&self, other: &Self) -> impl Iterator<Item = Self> + use<> {
        let common = self.intersection(other);
        let (left, top, right, bottom) = (self.x, self.y, self.right(), self.bottom());
        let pieces = if common.is_empty() {
            [*self, Self::default(), Self::default(), Self::default()]
        } else {
            [
                Self::between(left, top, right, common.y),
                Self::between(left, common.y, common.x, common.bottom()),
                Self::between(common.right(), common.y, right, common.bottom()),
                Self::between(left, common.bottom(), right, bottom),
            ]
        };
        pieces.into_iter().filter(|piece| !piece.is_empty())
    }

    /// The same rectangle elsewhere; `None` where that would be left of or above 0.
    #[must_use]
    pub fn moved(&self, dx: isize, dy: isize) -> Option<Self> {
        let (x, y) = (self.x.checked_add_signed(dx)?, self.y.checked_add_signed(dy)?);
        Some(Self { x, y, ..*self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_beside_another_is_all_and_does_not_overlap() {
        let whole = Rect::new(2, 3, 8, 7);
        for other in [
            Rect::new(4, 5, 2, 2),
            Rect::new(0, 0, 5, 5),
            Rect::new(9, 9, 5, 5),
            Rect::new(0, 4, 20, 2),
            Rect::new(2, 3, 8, 7),
            Rect::new(20, 20, 3, 3),
            Rect::default(),
        ] {
            let pieces: Vec<Rect> = whole.without(&other).collect();
            for y in 0..12 {
                for x in 0..12 {
                    let pixel = Rect::new(x, y, 1, 1);
                    let times = pieces.iter().filter(|piece| piece.contains(&pixel)).count();
                    let left = whole.contains(&pixel) && !other.contains(&pixel);
                    assert_eq!(times, usize::from(left), "{x} {y} beside {other:?}");
                }
            }
        }
    }
}
