//! The best of a field of cells.

use crate::rect::Rect;

/// The rectangle of true cells, in rows of `columns` cells, with the most worth, and how much that
/// is. `worth` has a row and a column more: for each corner, the sum above and left of it.
/// `heights` is scratch space.
pub(super) fn most_worth(
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
}
