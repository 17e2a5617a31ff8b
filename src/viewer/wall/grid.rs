//! Where the tiles of a wall are.

use crate::rect::Rect;

/// The room between tiles, in pixels: a tile's frame is drawn in it.
pub(super) const GAP: usize = 6;

/// The height of the line below a picture, in pixels.
pub(super) const CAPTION: usize = 20;

/// The least width of a picture, in pixels; where more machines than fit are on the wall, it is
/// scrolled.
const LEAST: usize = 150;

/// The shape that screens are expected to have: width by height.
const SHAPE: (usize, usize) = (16, 9);

/// So many tiles laid into a place, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    count: usize,
    pub(super) columns: usize,
    /// A tile with the gap to the right of it and below.
    cell: (usize, usize),
    /// How many rows are seen at a time.
    shown: usize,
}

impl Grid {
    /// As large as `count` tiles can be in a place of this size, in pixels.
    pub(super) fn new(count: usize, size: (usize, usize)) -> Self {
        let count = count.max(1);
        let (width, height) = (size.0.saturating_sub(GAP), size.1.saturating_sub(GAP));
        let cell = |columns: usize| (width / columns, height / count.div_ceil(columns));
        // The width of a picture in such a cell.
        let picture = |(width, height): (usize, usize)| {
            let height = height.saturating_sub(GAP + CAPTION);
            width.saturating_sub(GAP).min(height * SHAPE.0 / SHAPE.1)
        };
        // Of the same size, the one with fewer columns leaves fewer places empty.
        let best = (1..=count).rev().max_by_key(|&columns| picture(cell(columns))).unwrap_or(1);
        if picture(cell(best)) >= LEAST {
            return Self { count, columns: best, cell: cell(best), shown: count.div_ceil(best) };
        }
        let columns = (width / (LEAST + GAP)).clamp(1, count);
        let wide = width / columns;
        let high = wide.saturating_sub(GAP) * SHAPE.1 / SHAPE.0 + CAPTION + GAP;
        // A row that is higher than the window is cut to it.
        let high = high.min(height).max(1);
        Self { count, columns, cell: (wide, high), shown: (height / high).max(1) }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.count.div_ceil(self.columns)
    }

    /// How many rows are seen at a time.
    pub(super) fn shown(&self) -> usize {
        self.shown
    }

    /// The last row that may be the uppermost.
    pub(super) fn last_top(&self) -> usize {
        self.rows().saturating_sub(self.shown)
    }

    /// The uppermost row that is nearest to `top` and shows a tile.
    pub(super) fn top_for(&self, tile: usize, top: usize) -> usize {
        let row = tile / self.columns;
        top.clamp((row + 1).saturating_sub(self.shown), row).min(self.last_top())
    }

    /// Where a tile is, when `top` is the uppermost row; `None` when it is not seen.
    pub(super) fn place(&self, tile: usize, top: usize) -> Option<Rect> {
        let row = (tile / self.columns).checked_sub(top)?;
        let (width, height) = (self.cell.0.checked_sub(GAP)?, self.cell.1.checked_sub(GAP)?);
        (row < self.shown && tile < self.count && height > CAPTION).then(|| Rect {
            x: GAP + tile % self.columns * self.cell.0,
            y: GAP + row * self.cell.1,
            width,
            height,
        })
    }

    /// The tile at a place.
    pub(super) fn at(&self, (x, y): (f32, f32), top: usize) -> Option<usize> {
        let within = |rect: &Rect| {
            let across = rect.x as f32..rect.right() as f32;
            across.contains(&x) && (rect.y as f32..rect.bottom() as f32).contains(&y)
        };
        (top * self.columns..self.count.min((top + self.shown) * self.columns))
            .find(|&tile| self.place(tile, top).is_some_and(|rect| within(&rect)))
    }
}

/// Where a tile's picture goes, and the line below it.
pub(super) fn parts(tile: Rect) -> (Rect, Rect) {
    let high = tile.height.saturating_sub(CAPTION);
    let caption = Rect { y: tile.y + high, height: tile.height - high, ..tile };
    (Rect { height: high, ..tile }, caption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_apart_and_inside() {
        for count in [1, 2, 3, 7, 16, 30, 31, 200, 1000] {
            for size in [
                (480, 320),
                (1024, 640),
                (1920, 1054),
                (640, 1200),
                (3000, 200),
                (640, 94),
                (1280, 114),
                (600, 40),
                (60, 300),
                (20, 20),
                (1, 1),
                (0, 0),
            ] {
                let grid = Grid::new(count, size);
                let mut seen = 0;
                for top in 0..=grid.last_top() {
                    let places: Vec<_> = (0..count).filter_map(|t| grid.place(t, top)).collect();
                    seen = seen.max(places.len());
                    for (i, a) in places.iter().enumerate() {
                        let inside = a.right() + GAP <= size.0.max(GAP);
                        assert!(inside || size.0 < LEAST, "{count} {size:?} {a:?}");
                        assert!(a.bottom() <= size.1, "{count} {size:?} {a:?}");
                        assert!(places[..i].iter().all(|b| a.intersection(b).is_empty()));
                    }
                }
                assert!(seen > 0 || size.1 < CAPTION + 3 * GAP, "{count} in {size:?}");
            }
        }
    }

    #[test]
    fn as_many_columns_as_make_the_pictures_largest() {
        let columns = |count, size| Grid::new(count, size).columns;
        assert_eq!(columns(1, (1024, 640)), 1);
        assert_eq!(columns(2, (1600, 640)), 2);
        assert_eq!(columns(2, (640, 1024)), 1);
        assert_eq!(columns(4, (1024, 640)), 2);
        assert_eq!(columns(30, (1280, 760)), 6);
        let wall = Grid::new(30, (1280, 760));
        assert_eq!((wall.rows(), wall.shown(), wall.last_top()), (5, 5, 0));
    }

    #[test]
    fn more_than_fit_are_scrolled_to() {
        let grid = Grid::new(200, (1024, 640));
        assert!(grid.last_top() > 0, "{grid:?}");
        let last = grid.top_for(199, 0);
        assert_eq!(last, grid.last_top());
        assert!(grid.place(199, last).is_some() && grid.place(199, 0).is_none());
        assert_eq!(grid.top_for(0, last), 0);
        assert_eq!(grid.top_for(grid.columns * last, last), last, "what is seen stays where it is");
        for tile in [0, 1, grid.columns, 199] {
            let top = grid.top_for(tile, 0);
            let place = grid.place(tile, top).map(|r| (r.x as f32 + 1.0, r.bottom() as f32 - 1.0));
            assert_eq!(place.and_then(|at| grid.at(at, top)), Some(tile));
        }
        assert_eq!(grid.at((1.0, 1.0), 0), None, "between the tiles");
    }
}
