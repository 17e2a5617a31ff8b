//! The parts of a monitor that are grabbed, and their pixels in the buffer, one behind the other.

use super::buffer::{Asked, Buffer};
use super::display::Display;
use super::monitors::Monitor;
use crate::canvas::Patch;
use crate::rect::Rect;
use x11rb::errors::{ConnectionError, ReplyError};

/// What was grabbed of a monitor.
pub(super) struct Parts {
    buffer: Buffer,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    rect: Rect,
    /// Where its pixels begin in the buffer.
    at: usize,
}

impl Parts {
    pub(super) fn new(display: &Display) -> Result<Self, ReplyError> {
        Ok(Self { buffer: Buffer::new(display)?, parts: Vec::new() })
    }

    /// Forgets what was grabbed, and makes room for so many pixels.
    pub(super) fn begin(&mut self, display: &Display, pixels: usize) -> Result<(), ReplyError> {
        self.parts.clear();
        self.buffer.reserve(display, pixels)
    }

    /// Asks for rectangles of a monitor, in addition to what was grabbed.
    pub(super) fn ask<'c>(
        &mut self,
        display: &'c Display,
        monitor: &Monitor,
        rects: &[Rect],
    ) -> Result<Vec<Asked<'c>>, ConnectionError> {
        let mut asked = Vec::with_capacity(rects.len());
        for &rect in rects {
            let at = self.parts.last().map_or(0, |part| part.at + part.rect.area());
            let (x, y) = (monitor.place.x + rect.x, monitor.place.y + rect.y);
            asked.push(self.buffer.ask(display, &Rect { x, y, ..rect }, at)?);
            self.parts.push(Part { rect, at });
        }
        Ok(asked)
    }

    /// Waits for all that was asked for, even if one answer is an error: the buffer is the
    /// server's until then.
    pub(super) fn take(&mut self, asked: Vec<Asked<'_>>) -> Result<(), ReplyError> {
        let mut all = Ok(());
        for one in asked {
            let taken = self.buffer.take(one);
            if all.is_ok() {
                all = taken;
            }
        }
        all
    }

    /// Whether a rectangle was grabbed, in one part.
    pub(super) fn have(&self, rect: &Rect) -> bool {
        rect.is_empty() || self.parts.iter().any(|part| part.rect.contains(rect))
    }

    /// Has something drawn over the pixels of every part.
    pub(super) fn draw(&mut self, draw: impl Fn(&Rect, &mut [u32])) {
        if self.parts.is_empty() {
            return;
        }
        let pixels = self.buffer.pixels_mut();
        for Part { rect, at } in &self.parts {
            draw(rect, &mut pixels[*at..*at + rect.area()]);
        }
    }

    /// What was grabbed, for the canvas.
    pub(super) fn patches(&self) -> Vec<Patch<'_>> {
        let pixels = self.buffer.pixels();
        let patch = |&Part { rect, at }: &Part| Patch {
            rect,
            pixels: &pixels[at..at + rect.area()],
            stride: rect.width,
        };
        self.parts.iter().map(patch).collect()
    }
}
