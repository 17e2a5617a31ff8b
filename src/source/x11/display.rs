//! The display: a connection, its root window, and its errors in words.

use super::super::{GrabError, OpenError};
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{ImageOrder, Screen, Setup, VisualClass, Window};
use x11rb::rust_connection::RustConnection;

/// The masks of red, green and blue in a pixel as the canvas has it.
const MASKS: (u32, u32, u32) = (0xff_0000, 0x00_ff00, 0x00_00ff);

/// A connection to an X server, and the screen that is captured.
pub(super) struct Display {
    pub(super) name: String,
    pub(super) connection: RustConnection,
    pub(super) root: Window,
}

impl Display {
    /// Connects. A screen that can't be captured in this way is an error too.
    pub(super) fn open(name: &str) -> Result<Self, OpenError> {
        let refuse = |cause: String| OpenError::Display { display: name.into(), cause };
        let (connection, number) =
            x11rb::connect(Some(name)).map_err(|e| refuse(format!("it does not answer ({e})")))?;
        let setup = connection.setup();
        let Some(screen) = setup.roots.get(number) else {
            return Err(refuse(format!("it has no screen {number}")));
        };
        if !is_plain(setup, screen) {
            let depth = screen.root_depth;
            return Err(OpenError::Unsupported(format!(
                "the pixels of the display {name}, {depth} bits deep, are not of 8 bits of red, \
                 green and blue in 32"
            )));
        }
        let root = screen.root;
        let display = Self { name: name.into(), connection, root };
        // Its root window is black, whatever the desktop shows.
        if display.has("XWAYLAND") {
            return Err(OpenError::Unsupported(format!(
                "the display {name} is a Wayland desktop's for X11 programs, which shows nothing \
                 of the desktop"
            )));
        }
        Ok(display)
    }

    /// Whether the server has an extension. A server that fails here fails at the next request.
    pub(super) fn has(&self, extension: &'static str) -> bool {
        matches!(self.connection.extension_information(extension), Ok(Some(_)))
    }

    /// An error of this connection, for viewers.
    pub(super) fn failed(&self, error: impl Into<ReplyError>) -> GrabError {
        let name = &self.name;
        GrabError(match error.into() {
            ReplyError::ConnectionError(ConnectionError::IoError(e)) => {
                format!("the display {name} closed the connection ({e})")
            }
            ReplyError::ConnectionError(e) => format!("the display {name} can't be used: {e}"),
            ReplyError::X11Error(e) => {
                format!("the display {name} refused a request: {:?}", e.error_kind)
            }
        })
    }
}

/// The failure of an id that is missing is one of the connection.
pub(super) fn without_id(error: ReplyOrIdError) -> ReplyError {
    match error {
        ReplyOrIdError::X11Error(e) => ReplyError::X11Error(e),
        ReplyOrIdError::ConnectionError(e) => ReplyError::ConnectionError(e),
        ReplyOrIdError::IdsExhausted => ConnectionError::UnknownError.into(),
    }
}

/// Whether a screen's pixels are those of the canvas: `0x??RRGGBB` in this machine's byte order.
fn is_plain(setup: &Setup, screen: &Screen) -> bool {
    let native =
        if cfg!(target_endian = "little") { ImageOrder::LSB_FIRST } else { ImageOrder::MSB_FIRST };
    let wide = setup
        .pixmap_formats
        .iter()
        .any(|f| f.depth == screen.root_depth && f.bits_per_pixel == 32 && f.scanline_pad <= 32);
    let colors = screen
        .allowed_depths
        .iter()
        .flat_map(|depth| &depth.visuals)
        .find(|visual| visual.visual_id == screen.root_visual)
        .is_some_and(|visual| {
            visual.class == VisualClass::TRUE_COLOR
                && (visual.red_mask, visual.green_mask, visual.blue_mask) == MASKS
        });
    wide && colors && setup.image_byte_order == native
}
