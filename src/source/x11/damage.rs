//! Damage: the X server tells what was drawn, and where.
//!
//! Of the ways of being told, that of new rectangles (`DeltaRectangles`) needs no question: each
//! event says where something was drawn that was not damaged before. What is damaged already is
//! not told again until it is taken back, so however much is drawn, events stay few.

use super::display::Display;
use super::rects::Rects;
use super::say_once;
use crate::rect::Rect;
use std::sync::Once;
use x11rb::connection::Connection as _;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{self, ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::{self, ConnectionExt as _};

/// What was drawn since it was last grabbed.
pub(super) struct Damage {
    /// Unless it rests.
    id: Option<damage::Damage>,
    /// Of the monitor.
    pub(super) drawn: Rects,
    /// The number of the request that took it back last, and what was grabbed after that.
    taken: (u64, Vec<Rect>),
}

impl Damage {
    /// `None` where the server does not tell of damage.
    pub(super) fn new(display: &Display) -> Result<Option<Self>, ReplyError> {
        let names = [damage::X11_EXTENSION_NAME, xfixes::X11_EXTENSION_NAME];
        if !names.into_iter().all(|name| display.has(name)) {
            static SAID: Once = Once::new();
            say_once(&SAID, || {
                let name = &display.name;
                format!("the display {name} does not tell what is drawn: it is all compared")
            });
            return Ok(None);
        }
        let connection = &display.connection;
        let fixes = connection.xfixes_query_version(5, 0)?;
        connection.damage_query_version(1, 1)?.reply()?;
        fixes.reply()?;
        Ok(Some(Self { id: None, drawn: Rects::default(), taken: (0, Vec::new()) }))
    }

    /// Has the server tell of what is drawn on the root window and all windows in it.
    pub(super) fn start(&mut self, display: &Display) -> Result<(), ReplyOrIdError> {
        if self.id.is_none() {
            let id = display.connection.generate_id()?;
            let level = ReportLevel::DELTA_RECTANGLES;
            display.connection.damage_create(id, display.root, level)?.check()?;
            self.id = Some(id);
        }
        Ok(())
    }

    /// Has the server tell nothing any more.
    pub(super) fn stop(&mut self, display: &Display) -> Result<(), ConnectionError> {
        self.drawn.clear();
        if let Some(id) = self.id.take() {
            display.connection.damage_destroy(id)?;
        }
        Ok(())
    }

    /// These rectangles, of all that was told, are about to be grabbed: what is drawn from now on
    /// is to be told again.
    pub(super) fn take_back(
        &mut self,
        display: &Display,
        rects: &[Rect],
    ) -> Result<(), ConnectionError> {
        if let Some(id) = self.id {
            let taken = display.connection.damage_subtract(id, x11rb::NONE, x11rb::NONE)?;
            self.taken.0 = taken.sequence_number();
            self.taken.1.clear();
            self.taken.1.extend_from_slice(rects);
        }
        Ok(())
    }

    /// The server told of a rectangle, after it had seen this request.
    pub(super) fn told(&mut self, id: damage::Damage, sequence: u64, rect: Rect) {
        // What was drawn before it was taken back is in the picture that was grabbed after that,
        // though the word of it came late. What was drawn between the two is too, but is damaged
        // still: without another grab nothing would be told of it any more.
        let (taken, rects) = &self.taken;
        let known = sequence < *taken && rects.iter().any(|have| have.contains(&rect));
        if self.id == Some(id) && !known {
            self.drawn.add(rect);
        }
    }
}
