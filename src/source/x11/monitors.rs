//! The monitors of an X screen.

use crate::rect::Rect;
use x11rb::connection::RequestConnection;
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::{self, ConnectionExt as _, NotifyMask};
use x11rb::protocol::xproto::{ConnectionExt as _, Window};
use x11rb::rust_connection::RustConnection;

/// One monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    /// Its name: "HDMI-1".
    pub(super) name: String,
    /// Where it lies on the root window.
    pub(super) rect: Rect,
}

/// Asks for an event whenever the monitors change; false where RandR can't tell of them.
pub(super) fn listen(connection: &RustConnection, root: Window) -> Result<bool, ReplyError> {
    if connection.extension_information(randr::X11_EXTENSION_NAME)?.is_none() {
        return Ok(false);
    }
    let version = connection.randr_query_version(1, 5)?.reply()?;
    let mask = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE | NotifyMask::OUTPUT_CHANGE;
    connection.randr_select_input(root, mask)?;
    Ok((version.major_version, version.minor_version) >= (1, 5))
}

/// The monitors as they are now, cut to the root window; where RandR knows of none, the root window
/// is the one monitor.
pub(super) fn list(
    connection: &RustConnection,
    root: Window,
    randr: bool,
) -> Result<Vec<Monitor>, ReplyError> {
    let geometry = connection.get_geometry(root)?.reply()?;
    let screen = Rect::new(0, 0, geometry.width.into(), geometry.height.into());
    let mut monitors = Vec::new();
    if randr {
        for info in connection.randr_get_monitors(root, true)?.reply()?.monitors {
            let name = connection.get_atom_name(info.name)?.reply()?.name;
            let edge = |at: i16, length: u16| {
                let end = i32::from(at) + i32::from(length);
                (usize::try_from(at).unwrap_or(0), usize::try_from(end).unwrap_or(0))
            };
            let ((left, right), (top, bottom)) =
                (edge(info.x, info.width), edge(info.y, info.height));
            monitors.push(Monitor {
                name: String::from_utf8_lossy(&name).into_owned(),
                rect: Rect::between(left, top, right, bottom).intersection(&screen),
            });
        }
    }
    if monitors.is_empty() {
        monitors.push(Monitor { name: "screen".into(), rect: screen });
    }
    Ok(monitors)
}

/// The monitors for people: "0 (HDMI-1), 1 (DP-2)".
pub(super) fn names(monitors: &[Monitor]) -> String {
    let names: Vec<String> =
        monitors.iter().enumerate().map(|(i, m)| format!("{i} ({})", m.name)).collect();
    names.join(", ")
}
