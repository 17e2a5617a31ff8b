//! Monitors, by RandR: where on the root window they lie, and being told when that changes.

use super::display::Display;
use crate::rect::Rect;
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::{self, ConnectionExt as _, MonitorInfo, NotifyMask};
use x11rb::protocol::xproto::ConnectionExt as _;

/// What the whole root window is called, where it is all there is.
const SCREEN: &str = "screen";

/// A monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    /// Counted from 0.
    pub(super) number: usize,
    pub(super) name: String,
    /// Its part of the root window.
    pub(super) place: Rect,
}

impl Monitor {
    /// A rectangle of the root window as far as it lies on the monitor, seen from there.
    pub(super) fn own(&self, x: i32, y: i32, width: u16, height: u16) -> Rect {
        let place = &self.place;
        let clip = |from: i32, length: u16, start: usize, size: usize| {
            let from = i64::from(from) - start as i64;
            let end = from + i64::from(length);
            let size = size as i64;
            (from.clamp(0, size) as usize, end.clamp(0, size) as usize)
        };
        let (left, right) = clip(x, width, place.x, place.width);
        let (top, bottom) = clip(y, height, place.y, place.height);
        Rect::between(left, top, right, bottom)
    }

    /// The whole monitor, seen from itself.
    pub(super) fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.place.width, self.place.height)
    }
}

/// Has the display tell of monitors that come, go and change; false where it knows of none.
pub(super) fn follow(display: &Display) -> Result<bool, ReplyError> {
    let connection = &display.connection;
    if !display.has(randr::X11_EXTENSION_NAME) {
        return Ok(false);
    }
    let version = connection.randr_query_version(1, 5)?.reply()?;
    let events = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
    connection.randr_select_input(display.root, events)?;
    Ok((version.major_version, version.minor_version) >= (1, 5))
}

/// The monitors that there are, at least one; where nobody `knows` of any, the root window is one.
pub(super) fn all(display: &Display, knows: bool) -> Result<Vec<Monitor>, ReplyError> {
    let connection = &display.connection;
    let root = connection.get_geometry(display.root)?;
    let infos = if knows {
        connection.randr_get_monitors(display.root, true)?.reply()?.monitors
    } else {
        Vec::new()
    };
    let names = infos
        .iter()
        .map(|info| connection.get_atom_name(info.name))
        .collect::<Result<Vec<_>, _>>()?;
    let root = root.reply()?;
    let root = Rect::new(0, 0, root.width.into(), root.height.into());
    let mut monitors = Vec::with_capacity(infos.len());
    for (number, (info, name)) in infos.iter().zip(names).enumerate() {
        let name = match name.reply() {
            Ok(name) => String::from_utf8_lossy(&name.name).into_owned(),
            // A monitor may have no name.
            Err(ReplyError::X11Error(_)) => "unnamed".into(),
            Err(e) => return Err(e),
        };
        monitors.push(Monitor { number, name, place: place(info, &root) });
    }
    if monitors.is_empty() {
        monitors.push(Monitor { number: 0, name: SCREEN.into(), place: root });
    }
    Ok(monitors)
}

/// What a monitor shows of the root window: it may reach beyond.
fn place(info: &MonitorInfo, root: &Rect) -> Rect {
    let range = |from: i16, length: u16| {
        let end = i32::from(from) + i32::from(length);
        (from.max(0) as usize, end.max(0) as usize)
    };
    let (left, right) = range(info.x, info.width);
    let (top, bottom) = range(info.y, info.height);
    Rect::between(left, top, right, bottom).intersection(root)
}

/// How much larger than usual a display's programs draw, in percent, as its settings say: 96 dots
/// an inch are usual (`Xft.dpi`).
pub(super) fn scale(display: &Display) -> u32 {
    const USUAL: f64 = 96.0;
    let settings = x11rb::resource_manager::new_from_resource_manager(&display.connection);
    let dpi = settings.ok().flatten().and_then(|all| all.get_value::<f64>("Xft.dpi", "").ok()?);
    let scale = dpi.filter(|dpi| (1.0..10_000.0).contains(dpi)).unwrap_or(USUAL) / USUAL;
    (scale * 100.0).round() as u32
}

/// The monitors in words: "0 (eDP-1), 1 (HDMI-1)".
pub(super) fn list(monitors: &[Monitor]) -> String {
    let words: Vec<String> =
        monitors.iter().map(|m| format!("{} ({})", m.number, m.name)).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_clipped_to_the_monitor_and_moved_to_its_corner() {
        let monitor =
            Monitor { number: 1, name: "right".into(), place: Rect::new(1000, 50, 800, 600) };
        assert_eq!(monitor.own(0, 0, 3000, 3000), monitor.bounds());
        assert_eq!(monitor.own(990, 60, 30, 10), Rect::new(0, 10, 20, 10));
        assert!(monitor.own(0, 0, 1000, 3000).is_empty());
        assert!(monitor.own(-30_000, -5, 10, u16::MAX).is_empty());
    }
}
