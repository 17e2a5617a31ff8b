//! Words in pixels: read by drawing them with the program's own letters, and looking for that.

#![allow(dead_code, reason = "each test file uses its part")]

use hightower::text::{Surface, line_height, text_width};

/// What is free on both sides of words, in pixels: less than any gap, more than lies between two
/// letters.
const FREE: usize = 4;

/// Words as they are drawn: in one colour, on one ground.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) text: &'a str,
    /// How high, in pixels.
    pub(crate) px: u32,
    pub(crate) color: u32,
    pub(crate) ground: u32,
}

impl Words<'_> {
    /// Whether they stand somewhere in a part (left, upper, width, height) of pixels in rows of
    /// `columns`: pixel for pixel, and not as a part of a longer word.
    pub(crate) fn stand_in(
        &self,
        pixels: &[u32],
        columns: usize,
        (x, y, width, height): (usize, usize, usize, usize),
    ) -> bool {
        let wide = text_width(self.px, self.text) as usize + 2 * FREE;
        let high = line_height(self.px) as usize;
        let mut drawn = vec![self.ground; wide * high];
        Surface::new(&mut drawn, wide, high).text(FREE as i32, 0, self.px, self.color, self.text);
        let row = |left: usize, y: usize| &pixels[y * columns + left..][..wide];
        (y..(y + height + 1).saturating_sub(high)).any(|top| {
            (x..(x + width + 1).saturating_sub(wide))
                .any(|left| drawn.chunks(wide).zip(top..).all(|(drawn, y)| drawn == row(left, y)))
        })
    }
}
