//! What is to be grabbed: few rectangles, those that lie close together made one.

use crate::rect::Rect;

/// The most rectangles. Each costs a request and an answer: about as much as grabbing 5,000
/// pixels more.
const MOST: usize = 16;

/// How many pixels may be grabbed for nothing to save a rectangle, beyond half of those wanted.
const SLACK: usize = 4096;

/// Few rectangles that may overlap.
#[derive(Debug, Default)]
pub(super) struct Rects(Vec<Rect>);

impl Rects {
    /// Adds a rectangle; one that lies close to another makes it larger. That what belongs
    /// together stays in one piece also lets the canvas find moves within it.
    pub(super) fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.0.iter().any(|have| have.contains(&rect)) {
            return;
        }
        let mut rect = rect;
        // A rectangle that has grown may have come close to others.
        while let Some(at) = self.0.iter().position(|have| is_close(have, &rect)) {
            rect = rect.union(&self.0.swap_remove(at));
        }
        self.0.push(rect);
        while self.0.len() > MOST {
            self.merge_closest();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many pixels they have together.
    pub(super) fn area(&self) -> usize {
        self.0.iter().map(Rect::area).sum()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The rectangles; the whole screen where they come to as much.
    pub(super) fn take(&mut self, screen: Rect) -> Vec<Rect> {
        let rects = std::mem::take(&mut self.0);
        let area: usize = rects.iter().map(Rect::area).sum();
        if area >= screen.area() { vec![screen] } else { rects }
    }

    /// Makes one of the two that waste the fewest pixels by it.
    fn merge_closest(&mut self) {
        let pairs = (0..self.0.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let closest = pairs.min_by_key(|&(a, b)| waste(&self.0[a], &self.0[b]));
        if let Some((a, b)) = closest {
            // The later one goes first, so that the earlier stays where it is.
            let merged = self.0.swap_remove(b).union(&self.0[a]);
            self.0.swap_remove(a);
            self.add(merged);
        }
    }
}

/// Pixels in the rectangle around both that neither wants.
fn waste(a: &Rect, b: &Rect) -> usize {
    a.union(b).area().saturating_sub(a.area() + b.area())
}

fn is_close(a: &Rect, b: &Rect) -> bool {
    waste(a, b) <= (a.area() + b.area()) / 2 + SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Rect = Rect::new(0, 0, 1920, 1080);

    fn merged(rects: &[Rect]) -> Vec<Rect> {
        let mut all = Rects::default();
        rects.iter().for_each(|rect| all.add(*rect));
        all.take(SCREEN)
    }

    #[test]
    fn letters_of_a_line_become_one() {
        let letters: Vec<Rect> = (0..80).map(|i| Rect::new(i * 9, 100, 8, 16)).collect();
        assert_eq!(merged(&letters), [Rect::new(0, 100, 719, 16)]);
    }

    #[test]
    fn far_apart_they_stay_apart() {
        let (clock, cursor) = (Rect::new(1800, 0, 100, 20), Rect::new(10, 1000, 8, 16));
        assert_eq!(merged(&[clock, cursor]), [clock, cursor]);
    }

    #[test]
    fn what_is_contained_adds_nothing() {
        let large = Rect::new(100, 100, 600, 600);
        assert_eq!(merged(&[large, Rect::new(200, 200, 10, 10), Rect::default()]), [large]);
        assert_eq!(merged(&[Rect::new(200, 200, 10, 10), large]), [large]);
    }

    #[test]
    fn there_are_never_many_and_nothing_is_lost() {
        let spots: Vec<Rect> =
            (0..300).map(|i| Rect::new(i * 577 % 1900, i * 331 % 1060, 20, 20)).collect();
        let few = merged(&spots);
        assert!(few.len() <= MOST, "{}", few.len());
        for spot in spots {
            assert!(few.iter().any(|rect| rect.contains(&spot)), "{spot:?}");
        }
    }

    #[test]
    fn as_much_as_the_screen_is_the_screen() {
        let mut all = Rects(vec![SCREEN, Rect::new(0, 0, 10, 10)]);
        assert_eq!(all.take(SCREEN), [SCREEN]);
    }
}
