//! The real screen, by xcap: every platform's ordinary way of taking a screenshot.
//!
//! Facts about xcap 0.9 that this relies on: on X11 each grab opens its own connections, so a
//! display that went away is an error of the next grab; `width()` and `height()` may be divided
//! by the scale factor, so only the image's own size counts.

use super::{Grab, GrabError, OpenError, Source, variable};
use crate::canvas::Patch;
use crate::rect::Rect;
use hightower_proto::message::Monitor;

/// A monitor of this machine.
pub struct Screen {
    number: usize,
    name: String,
    monitor: xcap::Monitor,
    pixels: Vec<u32>,
}

impl Screen {
    /// Opens monitor `number`, counted from 0.
    ///
    /// # Errors
    /// When there is no display, it does not answer, or has no such monitor.
    pub fn open(number: usize) -> Result<Self, OpenError> {
        let display = display()?;
        let monitors = xcap::Monitor::all()
            .map_err(|e| OpenError::Display { display: display.clone(), cause: plain_cause(&e) })?;
        let names: Vec<String> = monitors
            .iter()
            .enumerate()
            .map(|(i, m)| format!("{i} ({})", m.name().unwrap_or_else(|_| "unnamed".into())))
            .collect();
        let Some(monitor) = monitors.into_iter().nth(number) else {
            let have = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(OpenError::NoMonitor { wanted: number, have });
        };
        Ok(Self { number, name: monitor.name().unwrap_or_default(), monitor, pixels: Vec::new() })
    }
}

impl Source for Screen {
    fn describe(&self) -> String {
        format!("xcap, monitor {} ({})", self.number, self.name)
    }

    fn grab(&mut self, _whole: bool) -> Result<Grab<'_>, GrabError> {
        let image = self.monitor.capture_image().map_err(|e| {
            GrabError(format!("monitor {} ({}): {}", self.number, self.name, plain_cause(&e)))
        })?;
        let (width, height) = (image.width() as usize, image.height() as usize);
        if width == 0 || height == 0 {
            return Err(GrabError(format!("monitor {} shows nothing", self.number)));
        }
        let (pixels, _) = image.as_raw().as_chunks::<4>();
        self.pixels.clear();
        self.pixels.extend(pixels.iter().map(|&[r, g, b, _]| u32::from_be_bytes([0, r, g, b])));
        let rect = Rect::new(0, 0, width, height);
        let patch = Patch { rect, pixels: &self.pixels, stride: width };
        Ok(Grab { size: (width, height), patches: vec![patch] })
    }

    fn check(&mut self) -> Result<(), GrabError> {
        // Each grab connects anew, and so does this: nothing tells that a display went away.
        let all = xcap::Monitor::all().map_err(|e| GrabError(plain_cause(&e)))?;
        match all.len() > self.number {
            true => Ok(()),
            false => Err(GrabError(format!("there is no monitor {} any more", self.number))),
        }
    }
}

/// The monitors of this machine, as far as xcap knows.
pub(super) fn monitors() -> Vec<Monitor> {
    let all = xcap::Monitor::all().unwrap_or_default();
    let monitor = |one: xcap::Monitor| {
        let scale = one.scale_factor().unwrap_or(1.0);
        Some(Monitor {
            name: one.name().unwrap_or_default(),
            x: one.x().ok()?,
            y: one.y().ok()?,
            width: one.width().ok()?,
            height: one.height().ok()?,
            scale: (scale * 100.0).round() as u32,
        })
    };
    all.into_iter().filter_map(monitor).collect()
}

/// The display this process would capture, for people.
fn display() -> Result<String, OpenError> {
    if !cfg!(any(target_os = "linux", target_os = "freebsd")) {
        return Ok("of this session".into());
    }
    ["WAYLAND_DISPLAY", "DISPLAY"].into_iter().find_map(variable).ok_or(OpenError::NoDisplay)
}

/// xcap's errors, where its own words say little.
fn plain_cause(error: &xcap::XCapError) -> String {
    let words = error.to_string();
    if words.contains("xcb connection error") || words.contains("Connection closed") {
        format!("it does not answer ({words})")
    } else {
        words
    }
}
