//! The picture of a cursor, and how it is drawn over grabbed pixels.

use super::monitors::Monitor;
use crate::rect::Rect;

/// A cursor larger than this, in pixels, is not drawn; nobody has one.
const LARGEST: usize = 512 * 512;

/// A cursor as it looks, without a place.
#[derive(Debug, Default)]
pub(super) struct Picture {
    width: u16,
    height: u16,
    /// The pixel that is where the pointer points.
    hot: (u16, u16),
    /// Alpha, red, green and blue, these multiplied with alpha.
    pixels: Vec<u32>,
}

impl Picture {
    /// `None` where the pixels are not as many as they should be, or too many.
    pub(super) fn new(
        (width, height): (u16, u16),
        hot: (u16, u16),
        pixels: Vec<u32>,
    ) -> Option<Self> {
        let area = usize::from(width) * usize::from(height);
        (area == pixels.len() && area <= LARGEST).then_some(Self { width, height, hot, pixels })
    }

    /// The left upper corner on the root window when the pointer is there.
    fn corner(&self, (x, y): (i16, i16)) -> (i32, i32) {
        (i32::from(x) - i32::from(self.hot.0), i32::from(y) - i32::from(self.hot.1))
    }

    /// What it covers of a monitor when the pointer is there on the root window.
    pub(super) fn covers(&self, pointer: (i16, i16), monitor: &Monitor) -> Rect {
        let (x, y) = self.corner(pointer);
        monitor.own(x, y, self.width, self.height)
    }

    /// Draws it over the pixels of a part of the monitor, as far as it covers that.
    pub(super) fn draw(
        &self,
        pointer: (i16, i16),
        monitor: &Monitor,
        part: &Rect,
        pixels: &mut [u32],
    ) {
        let common = self.covers(pointer, monitor).intersection(part);
        if common.is_empty() {
            return;
        }
        let (x, y) = self.corner(pointer);
        // What is covered lies right of and below the corner.
        let left = (monitor.place.x + common.x) as i32 - x;
        let top = (monitor.place.y + common.y) as i32 - y;
        for row in 0..common.height {
            let from = (top as usize + row) * usize::from(self.width) + left as usize;
            let to = (common.y - part.y + row) * part.width + (common.x - part.x);
            let from = &self.pixels[from..from + common.width];
            let to = &mut pixels[to..to + common.width];
            for (under, over) in to.iter_mut().zip(from) {
                *under = blend(*over, *under);
            }
        }
    }
}

/// A pixel over another one.
fn blend(over: u32, under: u32) -> u32 {
    let through = 255 - (over >> 24);
    let channel = |shift: u32| {
        let of = |pixel: u32| pixel >> shift & 0xff;
        let product = of(under) * through + 128;
        // Divided by 255, and rounded.
        let rest = (product + (product >> 8)) >> 8;
        (of(over) + rest).min(255) << shift
    };
    channel(16) | channel(8) | channel(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn monitor(place: Rect) -> Monitor {
        Monitor { number: 0, name: "one".into(), place }
    }

    #[test]
    fn what_is_opaque_covers_and_what_is_clear_does_not() {
        assert_eq!(blend(0xff_12_34_56, 0xaa_bb_cc), 0x12_34_56);
        assert_eq!(blend(0, 0xaa_bb_cc), 0xaa_bb_cc);
        assert_eq!(blend(0x80_80_00_00, 0x00_00_ff), 0x80_00_7f);
        // Brighter than its alpha allows, from a careless program.
        assert_eq!(blend(0x01_ff_ff_ff, 0xff_ff_ff), 0xff_ff_ff);
        for value in 0..=255 {
            assert_eq!(blend(0, value), value);
        }
    }

    #[test]
    fn it_is_clipped_at_every_edge_of_the_monitor() {
        let monitor = monitor(Rect::new(100, 50, 20, 10));
        let picture = Picture::new((4, 4), (1, 1), vec![0xff_00_00_ff; 16]).unwrap();
        let drawn = |pointer| {
            let mut pixels = vec![0; 200];
            picture.draw(pointer, &monitor, &monitor.bounds(), &mut pixels);
            let seen = picture.covers(pointer, &monitor);
            for (i, pixel) in pixels.iter().enumerate() {
                let inside = seen.contains(&Rect::new(i % 20, i / 20, 1, 1));
                assert_eq!(*pixel == 0xff, inside, "{pointer:?} {i}");
            }
            seen
        };
        assert_eq!(drawn((105, 55)), Rect::new(4, 4, 4, 4));
        assert_eq!(drawn((99, 49)), Rect::new(0, 0, 2, 2));
        assert_eq!(drawn((119, 59)), Rect::new(18, 8, 2, 2));
        assert!(drawn((0, 0)).is_empty());
    }

    #[test]
    fn a_part_of_the_monitor_gets_its_part_of_the_cursor() {
        let monitor = monitor(Rect::new(0, 0, 20, 10));
        let picture = Picture::new((2, 2), (0, 0), vec![0xff_00_00_01; 4]).unwrap();
        let mut pixels = vec![0; 4];
        picture.draw((4, 4), &monitor, &Rect::new(5, 5, 2, 2), &mut pixels);
        assert_eq!(pixels, [1, 0, 0, 0]);
    }

    #[test]
    fn what_the_server_gives_is_held_against_its_size() {
        assert!(Picture::new((2, 2), (0, 0), vec![0; 3]).is_none());
        assert!(Picture::new((u16::MAX, u16::MAX), (0, 0), Vec::new()).is_none());
    }
}
