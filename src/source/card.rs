//! The test card: an animated picture that needs no display, the same on every machine.
//!
//! A card is a function of its size, rate and frame number alone. The number and a clock that
//! counts with it are drawn in, so that lost, late and repeated frames show.

use super::{Grab, GrabError, Source};
use crate::canvas::Patch;
use crate::rect::Rect;
use crate::text::{Surface, line_height, text_width};

/// The colour bars: white, yellow, cyan, green, magenta, red, blue, black, at three quarters.
const BARS: [u32; 8] =
    [0xbf_bfbf, 0xbf_bf00, 0x00_bfbf, 0x00_bf00, 0xbf_00bf, 0xbf_0000, 0x00_00bf, 0x10_1010];

const GROUND: u32 = 0x1c_2128;
const GRID: u32 = 0x2f_3742;
const INK: u32 = 0xf0_f3f6;
const FAINT: u32 = 0x9a_a4b0;
const MARK: u32 = 0xff_a028;

/// Pixels between two lines of the grid.
const GRID_STEP: i32 = 40;

/// An animated test card.
pub struct Card {
    width: usize,
    height: usize,
    fps: f64,
    /// The number of the card last drawn.
    frame: u64,
    background: Vec<u32>,
    pixels: Vec<u32>,
}

impl Card {
    /// A card of this size in pixels, whose clock counts so many frames a second.
    #[must_use]
    pub fn new(width: usize, height: usize, fps: f64) -> Self {
        let background = background(width, height);
        let pixels = background.clone();
        Self { width, height, fps, frame: 0, background, pixels }
    }

    /// The pixels of card number `frame`, as `0x00RRGGBB`.
    pub fn draw(&mut self, frame: u64) -> &[u32] {
        self.pixels.copy_from_slice(&self.background);
        let (w, h) = (self.width as i32, self.height as i32);
        let mut surface = Surface::new(&mut self.pixels, self.width, self.height);

        let big = (h / 8).clamp(8, 200) as u32;
        let number = format!("{frame:06}");
        let x = (w - text_width(big, &number)) / 2;
        surface.text(x, h / 2 - line_height(big) / 2, big, INK, &number);

        let small = big / 2;
        let clock = clock(frame as f64 / self.fps);
        let x = (w - text_width(small, &clock)) / 2;
        surface.text(x, h / 2 + line_height(big) / 2, small, FAINT, &clock);

        // A mark that crosses the card in a hundred frames, so that every frame differs far from
        // the number too.
        let side = (h / 18).max(2);
        let x = (frame % 100) as i32 * (w - side).max(0) / 99;
        surface.fill_rect(x, h * 7 / 8 - side / 2, side, side, MARK);
        &self.pixels
    }
}

/// Everything that does not move.
fn background(width: usize, height: usize) -> Vec<u32> {
    let mut pixels = vec![GROUND; width * height];
    let (w, h) = (width as i32, height as i32);
    let mut surface = Surface::new(&mut pixels, width, height);
    for x in (0..w).step_by(GRID_STEP as usize) {
        surface.fill_rect(x, 0, 1, h, GRID);
    }
    for y in (0..h).step_by(GRID_STEP as usize) {
        surface.fill_rect(0, y, w, 1, GRID);
    }
    let bar = |i: i32| i * w / BARS.len() as i32;
    for (i, color) in (0..).zip(BARS) {
        surface.fill_rect(bar(i), 0, bar(i + 1) - bar(i), h / 5, color);
    }
    // A ramp of grey: banding and lost low bits show here.
    for x in 0..w {
        let grey = (x * 255 / (w - 1).max(1)) as u32;
        surface.fill_rect(x, h / 5, 1, (h / 20).max(1), grey * 0x01_0101);
    }
    let px = (h / 24).clamp(6, 60) as u32;
    let title = format!("Hightower test card  {width}x{height}");
    let x = (w - text_width(px, &title)) / 2;
    surface.text(x, h * 3 / 10, px, FAINT, &title);
    pixels
}

/// Hours, minutes, seconds and hundredths.
fn clock(seconds: f64) -> String {
    let hundredths = (seconds * 100.0) as u64;
    let (s, f) = (hundredths / 100, hundredths % 100);
    format!("{:02}:{:02}:{:02}.{f:02}", s / 3600, s / 60 % 60, s % 60)
}

impl Source for Card {
    fn describe(&self) -> String {
        format!("test card, {}x{}", self.width, self.height)
    }

    fn grab(&mut self, _whole: bool) -> Result<Grab<'_>, GrabError> {
        self.frame += 1;
        self.draw(self.frame);
        let rect = Rect::new(0, 0, self.width, self.height);
        let patch = Patch { rect, pixels: &self.pixels, stride: self.width };
        Ok(Grab { size: (self.width, self.height), patches: vec![patch] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_depends_on_its_number_alone() {
        let mut one = Card::new(320, 200, 10.0);
        let mut other = Card::new(320, 200, 10.0);
        other.draw(1);
        let second = one.draw(2).to_vec();
        assert_eq!(second, other.draw(2));
        assert_ne!(second, one.draw(3));
    }

    #[test]
    fn the_clock_counts_with_the_frames() {
        assert_eq!(clock(0.0), "00:00:00.00");
        assert_eq!(clock(3_725.25), "01:02:05.25");
    }

    #[test]
    fn a_card_of_any_size_can_be_drawn() {
        for (width, height) in [(1, 1), (2, 1000), (1000, 2), (40, 40)] {
            assert_eq!(Card::new(width, height, 1.0).draw(u64::MAX).len(), width * height);
        }
    }
}
