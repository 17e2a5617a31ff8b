//! An X11 screen: the server tells what was drawn, and puts just that into shared memory.
//!
//! | part | what |
//! |---|---|
//! | `display` | the connection, and its errors in words |
//! | `monitors` | where on the root window the monitor lies |
//! | `damage` | what was drawn since the last grab |
//! | `rects` | few rectangles to grab of many drawn |
//! | `parts`, `buffer` | what was grabbed, and the memory it lies in |
//! | `cursor`, `picture` | the cursor, which the server leaves out |
//! | `alarm` | being told that a while is over |
//!
//! A grab sends all of its requests at once and waits once. Only when the pointer turns out to
//! have moved does it ask a second time, for what the cursor covered and covers now.
//!
//! What an X server can't do is done without: no damage, everything is compared; no shared
//! memory, pixels come by the connection; no word of the pointer, it is looked for.

mod alarm;
mod buffer;
mod cursor;
mod damage;
mod display;
mod monitors;
mod parts;
mod picture;
mod rects;

use super::{Cursor as Wish, Grab, GrabError, OpenError, Source};
use crate::rect::Rect;
use cursor::Cursor;
use damage::Damage;
use display::{Display, without_id};
use hightower_proto::message::Monitor as Described;
use monitors::Monitor;
use parts::Parts;
use rects::Rects;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Once;
use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::{ErrorKind, Event};

/// How often a screen may change its size while it is grabbed, before that is called a failure.
const ATTEMPTS: usize = 3;

/// A monitor of an X server.
pub struct X11 {
    display: Display,
    /// Whether the server knows of monitors.
    knows_monitors: bool,
    monitor: Monitor,
    /// Whether the server told of another arrangement of monitors.
    rearranged: bool,
    /// `None` where the server does not tell of damage.
    damage: Option<Damage>,
    /// `None` where it is not drawn.
    cursor: Option<Cursor>,
    /// What was grabbed.
    parts: Parts,
    /// Whether the server tells what happens on the screen: not while nobody watches.
    watching: bool,
}

/// The monitors of a display; `None` when it does not say.
pub(super) fn monitors(name: &str) -> Option<Vec<Described>> {
    let display = Display::open(name).ok()?;
    let knows = monitors::follow(&display).ok()?;
    let (all, scale) = (monitors::all(&display, knows).ok()?, monitors::scale(&display));
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let monitor = |Monitor { name, place, .. }| Described {
        name,
        x: i32::try_from(place.x).unwrap_or(i32::MAX),
        y: i32::try_from(place.y).unwrap_or(i32::MAX),
        width: number(place.width),
        height: number(place.height),
        scale,
    };
    Some(all.into_iter().map(monitor).collect())
}

impl X11 {
    /// Opens monitor `number`, counted from 0, of a display, named as in `DISPLAY`.
    ///
    /// # Errors
    /// When the display does not answer, can't be captured in this way, or has no such monitor.
    pub fn open(name: &str, number: usize, cursor: Wish) -> Result<Self, OpenError> {
        let display = Display::open(name)?;
        let refuse = |e: ReplyError| OpenError::Display {
            display: name.into(),
            cause: display.failed(e).to_string(),
        };
        let knows_monitors = monitors::follow(&display).map_err(refuse)?;
        let all = monitors::all(&display, knows_monitors).map_err(refuse)?;
        let Some(monitor) = all.get(number).filter(|m| !m.place.is_empty()).cloned() else {
            return Err(OpenError::NoMonitor { wanted: number, have: monitors::list(&all) });
        };
        let damage = Damage::new(&display).map_err(refuse)?;
        let cursor = match cursor {
            Wish::Drawn => Cursor::new(&display).map_err(refuse)?,
            Wish::None => None,
        };
        let parts = Parts::new(&display).map_err(refuse)?;
        Ok(Self {
            display,
            knows_monitors,
            monitor,
            rearranged: false,
            damage,
            cursor,
            parts,
            watching: false,
        })
    }

    /// Takes in what the server told, without waiting.
    fn take_in(&mut self) -> Result<(), GrabError> {
        loop {
            let event = self.display.connection.poll_for_event_with_sequence();
            let Some((event, sequence)) = event.map_err(|e| self.display.failed(e))? else {
                return Ok(());
            };
            match event {
                Event::DamageNotify(told) => {
                    if let Some(damage) = &mut self.damage {
                        let area = told.area;
                        let (x, y) = (area.x.into(), area.y.into());
                        let rect = self.monitor.own(x, y, area.width, area.height);
                        damage.told(told.damage, sequence, rect);
                    }
                }
                Event::XinputRawMotion(_) => {
                    self.cursor.iter_mut().for_each(Cursor::moved);
                }
                Event::XfixesCursorNotify(_) => {
                    self.cursor.iter_mut().for_each(Cursor::changed);
                }
                Event::SyncAlarmNotify(told) => {
                    if let Some(cursor) = &mut self.cursor {
                        let looked = cursor.look(&self.display, &told, sequence);
                        looked.map_err(|e| self.display.failed(e))?;
                    }
                }
                Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) => {
                    self.rearranged = true;
                }
                Event::Error(e) => tracing::debug!("{}: {e:?}", self.display.name),
                _ => {}
            }
        }
    }

    /// Looks where the monitor is; true where that is another place than before.
    fn find_monitor(&mut self) -> Result<bool, GrabError> {
        self.rearranged = false;
        let all = monitors::all(&self.display, self.knows_monitors)
            .map_err(|e| self.display.failed(e))?;
        let Monitor { number, name, .. } = &self.monitor;
        let found = all.iter().find(|m| m.name == *name && !m.place.is_empty());
        let Some(found) = found.cloned() else {
            let have = monitors::list(&all);
            return Err(GrabError(format!(
                "monitor {number} ({name}) is gone: unplugged, or switched off. The monitors of \
                 {} are: {have}",
                self.display.name
            )));
        };
        let moved = found.place != self.monitor.place;
        self.monitor = found;
        Ok(moved)
    }

    /// Has the server tell what happens on the screen.
    fn watch(&mut self) -> Result<(), ReplyError> {
        if let Some(damage) = &mut self.damage {
            damage.start(&self.display).map_err(without_id)?;
        }
        if let Some(cursor) = &mut self.cursor {
            cursor.start(&self.display)?;
        }
        self.watching = true;
        Ok(())
    }

    /// Grabs what was drawn, or everything, and the cursor's surroundings where it has moved.
    fn fetch(&mut self, whole: bool) -> Result<(), ReplyError> {
        let bounds = self.monitor.bounds();
        let whole = whole || !self.watching;
        if !self.watching {
            self.watch()?;
        }
        let rects = match &mut self.damage {
            Some(damage) => {
                let drawn = damage.drawn.take(bounds);
                let rects = if whole { vec![bounds] } else { drawn };
                if !rects.is_empty() {
                    // Before the grab: what is drawn while it is under way is told again.
                    damage.take_back(&self.display, &rects)?;
                }
                rects
            }
            None => vec![bounds],
        };
        // The cursor's surroundings may come in addition, at most as much again; what is there by
        // then has to stay.
        self.parts.begin(&self.display, 2 * bounds.area())?;
        let asked = self.parts.ask(&self.display, &self.monitor, &rects)?;
        let question = match &mut self.cursor {
            Some(cursor) => Some(cursor.ask(&self.display)?),
            None => None,
        };
        let taken = self.parts.take(asked);
        let redraw = match (&mut self.cursor, question) {
            (Some(cursor), Some(question)) => cursor.answer(question)?,
            _ => false,
        };
        taken?;
        if redraw {
            self.fetch_cursor()?;
        }
        self.draw_cursor();
        Ok(())
    }

    /// Grabs what the cursor covered and covers now, as far as that was not grabbed before.
    fn fetch_cursor(&mut self) -> Result<(), ReplyError> {
        let Some(cursor) = &self.cursor else { return Ok(()) };
        let (now, before) = cursor.covers(&self.monitor);
        let mut missing = Rects::default();
        for rect in [now, before.intersection(&self.monitor.bounds())] {
            if !self.parts.have(&rect) {
                missing.add(rect);
            }
        }
        let rects = missing.take(self.monitor.bounds());
        let asked = self.parts.ask(&self.display, &self.monitor, &rects)?;
        self.parts.take(asked)
    }

    /// Draws the cursor over all that was grabbed.
    fn draw_cursor(&mut self) {
        let Some(cursor) = &mut self.cursor else { return };
        self.parts.draw(|rect, pixels| cursor.draw(&self.monitor, rect, pixels));
        cursor.shown(&self.monitor);
    }
}

impl Source for X11 {
    fn describe(&self) -> String {
        let Monitor { number, name, .. } = &self.monitor;
        format!("X11 {}, monitor {number} ({name})", self.display.name)
    }

    fn grab(&mut self, whole: bool) -> Result<Grab<'_>, GrabError> {
        self.take_in()?;
        let mut whole = whole;
        if self.rearranged {
            whole |= self.find_monitor()?;
        }
        for _ in 0..ATTEMPTS {
            match self.fetch(whole) {
                Ok(()) => {
                    let Rect { width, height, .. } = self.monitor.place;
                    return Ok(Grab { size: (width, height), patches: self.parts.patches() });
                }
                // The screen became smaller before the word of it came.
                Err(ReplyError::X11Error(e)) if e.error_kind == ErrorKind::Match => {
                    self.find_monitor()?;
                    whole = true;
                }
                Err(e) => return Err(self.display.failed(e)),
            }
        }
        Err(GrabError(format!("the display {} changes its size all the time", self.display.name)))
    }

    fn events(&self) -> Option<BorrowedFd<'_>> {
        let told = self.damage.is_some() && self.cursor.as_ref().is_none_or(Cursor::is_told);
        told.then(|| self.display.connection.stream().as_fd())
    }

    fn changed(&mut self) -> Result<bool, GrabError> {
        self.take_in()?;
        Ok(self.rearranged
            || self.damage.as_ref().is_none_or(|damage| !damage.drawn.is_empty())
            || self.cursor.as_ref().is_some_and(Cursor::is_stale))
    }

    fn drawn(&mut self) -> Result<Option<usize>, GrabError> {
        self.take_in()?;
        Ok(self.damage.as_ref().filter(|_| !self.rearranged).map(|damage| damage.drawn.area()))
    }

    fn check(&mut self) -> Result<(), GrabError> {
        let all = monitors::all(&self.display, self.knows_monitors);
        let all = all.map_err(|e| self.display.failed(e))?;
        let number = self.monitor.number;
        match all.get(number).is_some_and(|monitor| !monitor.place.is_empty()) {
            true => Ok(()),
            false => Err(GrabError(format!("there is no monitor {number} any more"))),
        }
    }

    fn rest(&mut self) {
        if !std::mem::take(&mut self.watching) {
            return;
        }
        let stopped = self
            .damage
            .as_mut()
            .map_or(Ok(()), |damage| damage.stop(&self.display))
            .and_then(|()| self.cursor.as_mut().map_or(Ok(()), |c| c.stop(&self.display)))
            .and_then(|()| self.display.connection.flush());
        if let Err(e) = stopped {
            // The next grab finds the same, and tells it.
            tracing::debug!("{}", self.display.failed(e));
        }
    }
}

/// Says something that holds for as long as the program runs, once.
fn say_once(said: &Once, words: impl FnOnce() -> String) {
    said.call_once(|| tracing::info!("{}", words()));
}
