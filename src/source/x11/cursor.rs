//! The cursor: how it looks and where it is. The X server draws it over the screen, not into it,
//! so it is neither grabbed nor damage, and has to be drawn here.

use super::alarm::Alarm;
use super::display::{Display, without_id};
use super::monitors::Monitor;
use super::picture::Picture;
use crate::rect::Rect;
use x11rb::connection::{
    Connection as _, DiscardMode, RequestConnection as _, RequestKind, SequenceNumber,
};
use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::protocol::sync::AlarmNotifyEvent;
use x11rb::protocol::xfixes::{self, ConnectionExt as _, CursorNotifyMask, GetCursorImageReply};
use x11rb::protocol::xinput::{self, ConnectionExt as _, EventMask, XIEventMask};
use x11rb::protocol::xproto::{ConnectionExt as _, QueryPointerReply};
use x11rb::rust_connection::RustConnection;
use x11rb::x11_utils::TryParse as _;

/// All pointers that people see, as XInput counts them.
const ALL_MASTER_DEVICES: u16 = 1;

/// How often it is looked where the pointer is, in milliseconds. A program that puts it elsewhere
/// makes no raw motion, and the motion that it makes is told to the window below it alone.
const LOOK: u32 = 250;

/// The cursor, drawn into the picture.
pub(super) struct Cursor {
    /// Whether the server can tell that the pointer moves.
    tells_motion: bool,
    /// Rings when it is to be looked where the pointer is; `None` where the server has no alarms.
    alarm: Option<Alarm>,
    /// The question where the pointer is whose answer is awaited without waiting.
    asked: Option<SequenceNumber>,
    picture: Picture,
    pointer: (i16, i16),
    /// What it covers in the picture that was handed over last.
    shown: Rect,
    /// Whether the server told of another picture.
    changed: bool,
    /// Whether the server told that the pointer moved.
    moved: bool,
}

/// What the server was asked.
pub(super) enum Question<'c> {
    Place(Cookie<'c, RustConnection, QueryPointerReply>),
    Picture(Cookie<'c, RustConnection, GetCursorImageReply>),
}

impl Cursor {
    /// `None` where the server does not tell what the cursor looks like.
    pub(super) fn new(display: &Display) -> Result<Option<Self>, ReplyError> {
        if !display.has(xfixes::X11_EXTENSION_NAME) {
            return Ok(None);
        }
        let connection = &display.connection;
        connection.xfixes_query_version(5, 0)?.reply()?;
        let tells_motion = display.has(xinput::X11_EXTENSION_NAME) && {
            // The first in which other programs' grabs do not matter.
            match connection.xinput_xi_query_version(2, 2)?.reply() {
                Ok(version) => (version.major_version, version.minor_version) >= (2, 2),
                Err(ReplyError::X11Error(_)) => false,
                Err(e) => return Err(e),
            }
        };
        Ok(Some(Self {
            tells_motion,
            alarm: Alarm::new(display).map_err(without_id)?,
            asked: None,
            picture: Picture::default(),
            pointer: (0, 0),
            shown: Rect::default(),
            changed: true,
            moved: true,
        }))
    }

    /// Whether the server tells that the pointer moves.
    pub(super) fn is_told(&self) -> bool {
        self.tells_motion
    }

    /// Has the server tell of the cursor.
    pub(super) fn start(&mut self, display: &Display) -> Result<(), ConnectionError> {
        self.changed = true;
        self.follow(display, CursorNotifyMask::DISPLAY_CURSOR, XIEventMask::RAW_MOTION)?;
        self.alarm.as_mut().map_or(Ok(()), |alarm| alarm.set(display, LOOK))
    }

    /// Has the server tell nothing any more.
    pub(super) fn stop(&mut self, display: &Display) -> Result<(), ConnectionError> {
        (self.changed, self.moved) = (false, false);
        self.forget_question(display);
        self.follow(display, CursorNotifyMask::default(), XIEventMask::default())?;
        self.alarm.as_mut().map_or(Ok(()), |alarm| alarm.stop(display))
    }

    fn follow(
        &self,
        display: &Display,
        looks: CursorNotifyMask,
        motion: XIEventMask,
    ) -> Result<(), ConnectionError> {
        display.connection.xfixes_select_cursor_input(display.root, looks)?;
        if self.tells_motion {
            let mask = EventMask { deviceid: ALL_MASTER_DEVICES, mask: vec![motion] };
            display.connection.xinput_xi_select_events(display.root, &[mask])?;
        }
        Ok(())
    }

    /// The server told of another picture.
    pub(super) fn changed(&mut self) {
        self.changed = true;
    }

    /// The server told that the pointer moved.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// An alarm rang, after the server had seen this request: takes in where the pointer was when
    /// that was asked last, and asks again. Never waits.
    pub(super) fn look(
        &mut self,
        display: &Display,
        told: &AlarmNotifyEvent,
        sequence: SequenceNumber,
    ) -> Result<(), ReplyError> {
        let Some(alarm) = self.alarm.as_mut().filter(|alarm| alarm.rings(told)) else {
            return Ok(());
        };
        let connection = &display.connection;
        // What was answered before the alarm rang is here.
        if let Some(asked) = self.asked.take_if(|asked| *asked <= sequence) {
            let answer = connection.wait_for_reply_or_error(asked)?;
            let (place, _) =
                QueryPointerReply::try_parse(&answer).map_err(ConnectionError::from)?;
            self.moved |= (place.root_x, place.root_y) != self.pointer;
        }
        if self.asked.is_none() {
            let question = connection.query_pointer(display.root)?;
            self.asked = Some(question.sequence_number());
            // Dropped, its answer would be thrown away.
            std::mem::forget(question);
        }
        alarm.set(display, LOOK)?;
        connection.flush()?;
        Ok(())
    }

    /// An answer of before is of no use.
    fn forget_question(&mut self, display: &Display) {
        if let Some(asked) = self.asked.take() {
            display.connection.discard_reply(
                asked,
                RequestKind::HasResponse,
                DiscardMode::DiscardReplyAndError,
            );
        }
    }

    /// Whether the picture handed over last may show it wrongly.
    pub(super) fn is_stale(&self) -> bool {
        self.changed || self.moved
    }

    /// Asks where it is, and what it looks like where that may have changed.
    pub(super) fn ask<'c>(
        &mut self,
        display: &'c Display,
    ) -> Result<Question<'c>, ConnectionError> {
        let connection = &display.connection;
        self.forget_question(display);
        self.moved = false;
        Ok(if std::mem::take(&mut self.changed) {
            Question::Picture(connection.xfixes_get_cursor_image()?)
        } else {
            Question::Place(connection.query_pointer(display.root)?)
        })
    }

    /// Takes in the answer; true where the cursor is to be drawn anew.
    pub(super) fn answer(&mut self, question: Question<'_>) -> Result<bool, ReplyError> {
        match question {
            Question::Place(cookie) => {
                let place = cookie.reply()?;
                let pointer = (place.root_x, place.root_y);
                return Ok(std::mem::replace(&mut self.pointer, pointer) != pointer);
            }
            Question::Picture(cookie) => match cookie.reply() {
                Ok(got) => {
                    self.pointer = (got.x, got.y);
                    let (size, hot) = ((got.width, got.height), (got.xhot, got.yhot));
                    self.picture = Picture::new(size, hot, got.cursor_image).unwrap_or_default();
                }
                // The server shows none.
                Err(ReplyError::X11Error(_)) => self.picture = Picture::default(),
                Err(e) => return Err(e),
            },
        }
        Ok(true)
    }

    /// What it covers now, and covered in the picture before.
    pub(super) fn covers(&self, monitor: &Monitor) -> (Rect, Rect) {
        (self.picture.covers(self.pointer, monitor), self.shown)
    }

    /// Draws it over the pixels of a part of the monitor.
    pub(super) fn draw(&self, monitor: &Monitor, part: &Rect, pixels: &mut [u32]) {
        self.picture.draw(self.pointer, monitor, part, pixels);
    }

    /// The picture that is handed over shows it.
    pub(super) fn shown(&mut self, monitor: &Monitor) {
        self.shown = self.picture.covers(self.pointer, monitor);
    }
}
