//! An X server's screen: told of what is drawn, grabbing only that.
//!
//! XDAMAGE reports the rectangles, MIT-SHM puts their pixels into memory that both sides have, and
//! RandR tells of monitors that come, go or change. Where one of them is missing there is another
//! way, said once: without MIT-SHM the pixels come through the connection, without XDAMAGE the
//! whole monitor is grabbed and compared.

mod damage;
mod monitors;
mod segment;

use super::{Grab, GrabError, OpenError, Source};
use crate::canvas::Patch;
use crate::rect::Rect;
use damage::Damage;
use monitors::Monitor;
use segment::Segment;
use std::os::fd::{AsFd, BorrowedFd};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder, Screen, Window};
use x11rb::rust_connection::RustConnection;

/// A monitor of an X server.
pub struct X11 {
    connection: RustConnection,
    display: String,
    root: Window,
    number: usize,
    monitor: Monitor,
    /// Whether RandR tells of monitors.
    randr: bool,
    /// Whether the monitors may have changed since they were looked at.
    rearranged: bool,
    /// Whether the server reports what is drawn.
    reports: bool,
    /// `None` while resting.
    damage: Option<Damage>,
    /// `None` where the server takes no shared memory.
    segment: Option<Segment>,
    /// Pixels that came through the connection.
    pixels: Vec<u32>,
}

impl X11 {
    /// Opens monitor `number`, counted from 0, of the display that `DISPLAY` names.
    ///
    /// # Errors
    /// When there is no display, it does not answer, has no such monitor, or has pixels of another
    /// kind than 8 bits for each of red, green and blue.
    pub fn open(number: usize) -> Result<Self, OpenError> {
        let name = std::env::var("DISPLAY").unwrap_or_default();
        if name.is_empty() {
            return Err(OpenError::NoDisplay);
        }
        let failed = |cause: String| OpenError::Display { display: name.clone(), cause };
        let (connection, screen) =
            RustConnection::connect(Some(&name)).map_err(|e| failed(e.to_string()))?;
        let screen = connection
            .setup()
            .roots
            .get(screen)
            .cloned()
            .ok_or_else(|| failed("it has no such screen".into()))?;
        check_pixels(&connection, &screen).map_err(failed)?;
        let root = screen.root;
        let asked = || {
            let randr = monitors::listen(&connection, root)?;
            let list = monitors::list(&connection, root, randr)?;
            Ok((randr, list, damage::is_there(&connection)?))
        };
        let (randr, list, reports) = asked().map_err(|e: ReplyError| failed(e.to_string()))?;
        let Some(monitor) = list.get(number).cloned() else {
            return Err(OpenError::NoMonitor { wanted: number, have: monitors::names(&list) });
        };
        if !reports {
            tracing::warn!(display = name, "no XDAMAGE: the whole screen is grabbed every time");
        }
        let segment = match Segment::new(&connection, monitor.rect.area()) {
            Ok(segment) => Some(segment),
            Err(reason) => {
                tracing::warn!(display = name, "{reason}; pixels come through the connection");
                None
            }
        };
        Ok(Self {
            connection,
            display: name,
            root,
            number,
            monitor,
            randr,
            rearranged: false,
            reports,
            damage: None,
            segment,
            pixels: Vec::new(),
        })
    }

    /// Looks at the monitors anew where they may have changed; true when ours did.
    fn look_at_monitors(&mut self) -> Result<bool, GrabError> {
        if !std::mem::take(&mut self.rearranged) {
            return Ok(false);
        }
        let list =
            monitors::list(&self.connection, self.root, self.randr).map_err(|e| self.failed(&e))?;
        // A monitor that has another number now is still the same.
        let same = list.iter().find(|m| m.name == self.monitor.name);
        let Some(monitor) = same.filter(|m| !m.rect.is_empty()).cloned() else {
            return Err(GrabError(format!(
                "monitor {} ({}) of {} was unplugged; there are: {}",
                self.number,
                self.monitor.name,
                self.display,
                monitors::names(&list)
            )));
        };
        let changed = monitor != self.monitor;
        self.monitor = monitor;
        let short = |s: &Segment| s.capacity() < self.monitor.rect.area();
        if self.segment.as_ref().is_some_and(short) {
            if let Some(old) = self.segment.take() {
                old.detach(&self.connection);
            }
            self.segment = Segment::new(&self.connection, self.monitor.rect.area())
                .inspect_err(|reason| tracing::warn!("{}: {reason}", self.display))
                .ok();
        }
        Ok(changed)
    }

    /// Takes in all events that have come.
    fn take_events(&mut self) -> Result<(), GrabError> {
        while let Some(event) =
            self.connection.poll_for_event().map_err(|e| self.failed(&e.into()))?
        {
            match event {
                Event::DamageNotify(event) => {
                    if let Some(damage) = &mut self.damage {
                        damage.notify(&event, &self.monitor.rect);
                    }
                }
                Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) => {
                    self.rearranged = true;
                }
                Event::Error(error) => tracing::debug!(?error, "the X server objects"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Grabs these rectangles of the root window, one behind the other, into the segment or
    /// `pixels`.
    fn fetch(&mut self, rects: &[Rect]) -> Result<(), ReplyError> {
        let (connection, root) = (&self.connection, self.root);
        // Nothing on a root window lies beyond 16 bits.
        let place = |r: &Rect| (r.x as i16, r.y as i16, r.width as u16, r.height as u16);
        if let Some(segment) = &self.segment {
            let mut offset = 0;
            // All asked before the first is waited for.
            let mut cookies = Vec::with_capacity(rects.len());
            for rect in rects {
                let (x, y, width, height) = place(rect);
                let (planes, format) = (!0, ImageFormat::Z_PIXMAP.into());
                let at = (offset * size_of::<u32>()) as u32;
                let cookie = connection.shm_get_image(
                    root,
                    x,
                    y,
                    width,
                    height,
                    planes,
                    format,
                    segment.id(),
                    at,
                )?;
                cookies.push(cookie);
                offset += rect.area();
            }
            for cookie in cookies {
                cookie.reply()?;
            }
            return Ok(());
        }
        self.pixels.clear();
        for rect in rects {
            let (x, y, width, height) = place(rect);
            let image =
                connection.get_image(ImageFormat::Z_PIXMAP, root, x, y, width, height, !0)?;
            let data = image.reply()?.data;
            let end = self.pixels.len() + rect.area();
            self.pixels.extend(data.as_chunks().0.iter().map(|&p| u32::from_le_bytes(p)));
            // A server that sends another length than its size says is not to shift the rest.
            self.pixels.resize(end, 0);
        }
        Ok(())
    }

    fn failed(&self, error: &ReplyError) -> GrabError {
        let display = &self.display;
        GrabError(match error {
            ReplyError::ConnectionError(ConnectionError::IoError(_)) => {
                format!("the display {display} has closed the connection")
            }
            error => format!("the display {display}: {error}"),
        })
    }
}

impl Source for X11 {
    fn describe(&self) -> String {
        format!("X11 {}, monitor {} ({})", self.display, self.number, self.monitor.name)
    }

    fn grab(&mut self, whole: bool) -> Result<Grab<'_>, GrabError> {
        self.take_events()?;
        let mut whole = self.look_at_monitors()? || whole || !self.reports;
        if self.reports && self.damage.is_none() {
            let damage = Damage::new(&self.connection, self.root).map_err(|e| match e {
                ReplyOrIdError::X11Error(e) => self.failed(&ReplyError::X11Error(e)),
                ReplyOrIdError::ConnectionError(e) => self.failed(&ReplyError::ConnectionError(e)),
                e @ ReplyOrIdError::IdsExhausted => GrabError(format!("{}: {e}", self.display)),
            })?;
            self.damage = Some(damage);
            whole = true;
        }
        let mut rects = match &mut self.damage {
            Some(damage) => {
                let within = self.monitor.rect;
                let renewed = damage.renew(&self.connection);
                let mut rects = renewed.map_err(|e| self.failed(&e))?;
                // Reports from before a change of the monitors may lie beyond.
                rects.iter_mut().for_each(|rect| *rect = rect.intersection(&within));
                rects.retain(|rect| !rect.is_empty());
                rects
            }
            None => Vec::new(),
        };
        let room = self.segment.as_ref().map_or(usize::MAX, Segment::capacity);
        if whole || rects.iter().map(Rect::area).sum::<usize>() > room {
            rects = vec![self.monitor.rect];
        }
        if let Err(error) = self.fetch(&rects) {
            // The screen may just have become smaller than what was asked for.
            let retry = matches!(error, ReplyError::X11Error(_));
            self.rearranged = retry;
            if !(retry && self.look_at_monitors()?) {
                return Err(self.failed(&error));
            }
            rects = vec![self.monitor.rect];
            self.fetch(&rects).map_err(|e| self.failed(&e))?;
        }
        let mut pixels: &[u32] = match &self.segment {
            Some(segment) => segment.pixels(),
            None => &self.pixels,
        };
        let origin = self.monitor.rect;
        let patches = rects.iter().map(|rect| {
            let (own, rest) = pixels.split_at(rect.area());
            pixels = rest;
            let rect = Rect { x: rect.x - origin.x, y: rect.y - origin.y, ..*rect };
            Patch { rect, pixels: own, stride: rect.width }
        });
        Ok(Grab { size: (origin.width, origin.height), patches: patches.collect() })
    }

    fn events(&self) -> Option<BorrowedFd<'_>> {
        self.reports.then(|| self.connection.stream().as_fd())
    }

    fn changed(&mut self) -> Result<bool, GrabError> {
        self.take_events()?;
        Ok(self.rearranged || self.damage.as_ref().is_none_or(|damage| !damage.is_empty()))
    }

    fn rest(&mut self) {
        if let Some(damage) = self.damage.take() {
            damage.destroy(&self.connection);
        }
    }
}

/// Whether the screen's pixels are `0x00RRGGBB` in memory; otherwise what they are.
fn check_pixels(connection: &RustConnection, screen: &Screen) -> Result<(), String> {
    let setup = connection.setup();
    let bits = setup
        .pixmap_formats
        .iter()
        .find(|format| format.depth == screen.root_depth)
        .map_or(0, |format| format.bits_per_pixel);
    let visual = screen
        .allowed_depths
        .iter()
        .flat_map(|depth| &depth.visuals)
        .find(|visual| visual.visual_id == screen.root_visual);
    let masks = visual.map(|v| (v.red_mask, v.green_mask, v.blue_mask));
    let usual = masks == Some((0x00ff_0000, 0x0000_ff00, 0x0000_00ff));
    if bits == 32 && usual && setup.image_byte_order == ImageOrder::LSB_FIRST {
        return Ok(());
    }
    let depth = screen.root_depth;
    Err(format!("its pixels have a depth of {depth} and are not 8 bits each of red, green, blue"))
}
