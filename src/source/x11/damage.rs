//! What the X server reports as drawn since the last grab.

use crate::rect::Rect;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{self, ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::Window;
use x11rb::rust_connection::RustConnection;

/// As many rectangles are grabbed one by one; each is a request.
const MAX_GRABS: usize = 16;

/// Rectangles kept before they are put together.
const MAX_KEPT: usize = 256;

/// What a grab costs on its own, in pixels.
const OVERHEAD: usize = 4096;

/// The root window's damage.
#[derive(Debug)]
pub(super) struct Damage {
    id: damage::Damage,
    /// What was drawn, on the root window.
    rects: Vec<Rect>,
}

/// Whether the server has the extension.
pub(super) fn is_there(connection: &RustConnection) -> Result<bool, ReplyError> {
    if connection.extension_information(damage::X11_EXTENSION_NAME)?.is_none() {
        return Ok(false);
    }
    connection.damage_query_version(1, 1)?.reply()?;
    Ok(true)
}

impl Damage {
    /// Has the server report from now on, each place once until [`Damage::renew`].
    pub(super) fn new(connection: &RustConnection, root: Window) -> Result<Self, ReplyOrIdError> {
        let id = connection.generate_id()?;
        connection.damage_create(id, root, ReportLevel::DELTA_RECTANGLES)?.check()?;
        Ok(Self { id, rects: Vec::new() })
    }

    /// Takes in a report; other objects' are of before this one.
    pub(super) fn notify(&mut self, event: &damage::NotifyEvent, within: &Rect) {
        if event.damage != self.id {
            return;
        }
        let edge = |at: i16, length: u16| {
            let end = i32::from(at) + i32::from(length);
            (usize::try_from(at).unwrap_or(0), usize::try_from(end).unwrap_or(0))
        };
        let area = event.area;
        let ((left, right), (top, bottom)) = (edge(area.x, area.width), edge(area.y, area.height));
        let rect = Rect::between(left, top, right, bottom).intersection(within);
        if !rect.is_empty() {
            self.rects.push(rect);
        }
        if self.rects.len() > MAX_KEPT {
            gather(&mut self.rects);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// What was drawn, as a few rectangles to grab. What is drawn from now on is reported again.
    pub(super) fn renew(&mut self, connection: &RustConnection) -> Result<Vec<Rect>, ReplyError> {
        // Before the grab: what is drawn between the two is then reported and grabbed again.
        connection.damage_subtract(self.id, x11rb::NONE, x11rb::NONE)?;
        gather(&mut self.rects);
        Ok(std::mem::take(&mut self.rects))
    }

    /// Ends the reports.
    pub(super) fn destroy(self, connection: &RustConnection) {
        if connection.damage_destroy(self.id).is_err() || connection.flush().is_err() {
            tracing::debug!("the display is gone");
        }
    }
}

/// Puts rectangles together where grabbing both in one costs little more, and then until they are
/// few. Neighbours come together in any case: what moved is looked for in one piece.
fn gather(rects: &mut Vec<Rect>) {
    let mut i = 0;
    while i < rects.len() {
        let mut grew = false;
        let mut j = i + 1;
        while j < rects.len() {
            let (one, other) = (rects[i], rects[j]);
            let apart = one.area() + other.area();
            if one.union(&other).area() <= apart + (apart / 2).max(OVERHEAD) {
                rects[i] = one.union(&other);
                rects.swap_remove(j);
                grew = true;
            } else {
                j += 1;
            }
        }
        if !grew {
            i += 1;
        }
    }
    if rects.len() > MAX_GRABS {
        let around = rects.iter().fold(Rect::default(), |around, rect| around.union(rect));
        *rects = vec![around];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_rectangles_become_one_and_far_ones_stay() {
        let mut rects = vec![
            Rect::new(100, 100, 600, 400),
            Rect::new(1900, 1060, 10, 10),
            Rect::new(107, 103, 600, 400),
        ];
        gather(&mut rects);
        assert_eq!(rects, [Rect::new(100, 100, 607, 403), Rect::new(1900, 1060, 10, 10)]);
    }

    #[test]
    fn many_become_the_one_around_them() {
        let mut rects: Vec<Rect> =
            (0..100).map(|i| Rect::new(i % 10 * 190, i / 10 * 100, 5, 5)).collect();
        gather(&mut rects);
        assert_eq!(rects, [Rect::new(0, 0, 1715, 905)]);
    }
}
