//! Sources: where the picture of the screen comes from.
//!
//! Capture owns one source, on a thread of its own, and asks it to bring the canvas up to date.
//! A source that can't be opened and one that fails while running are told apart: the first is
//! reported to whoever starts the agent, the second to the viewers while it is tried again.

mod card;
mod screen;
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
mod x11;

pub use card::Card;
pub use screen::Screen;
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
pub use x11::X11;

use crate::canvas::Patch;
use hightower_proto::message::Monitor;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

/// Which source to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kind {
    /// The real screen, by the best means this machine has: x11, else xcap.
    #[default]
    Auto,
    /// An X11 screen: told what is drawn, through shared memory.
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    X11,
    /// The real screen, by xcap: slower, on any desktop, without the cursor.
    Xcap,
    /// An animated test card; needs no display.
    Card,
}

/// Whether the cursor is in the picture, where the source can tell it from the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Cursor {
    /// Drawn where it is, as the person at the screen sees it.
    #[default]
    Drawn,
    /// Left out.
    None,
}

/// What to capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Which source.
    pub kind: Kind,
    /// Which monitor, counted from 0.
    pub monitor: usize,
    /// Whether the cursor is in the picture.
    pub cursor: Cursor,
    /// The test card's size in pixels.
    pub card_size: (usize, usize),
    /// Frames a second that the test card's clock counts with.
    pub card_fps: f64,
}

/// Why a source can't be opened, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No display is known to this process.
    #[error(
        "no display to capture: neither DISPLAY nor WAYLAND_DISPLAY is set. Start the agent inside \
         the desktop session, or use --source card to try it without a screen"
    )]
    NoDisplay,
    /// The display does not answer.
    #[error("the display {display} can't be opened: {cause}")]
    Display {
        /// The display's name.
        display: String,
        /// The system's words.
        cause: String,
    },
    /// No X11 display is known to this process.
    #[error(
        "no X11 display to capture: DISPLAY is not set. Start the agent inside the desktop session"
    )]
    NoX11,
    /// The display can't be captured by the source that was chosen.
    #[error("{0}. Use --source xcap")]
    Unsupported(String),
    /// The display takes no end of time.
    #[error(
        "the display has not answered for {0} s: it hangs, or waits for somebody to allow the \
         capture. Use --source card to try it without a screen"
    )]
    Silent(u64),
    /// The capture library failed.
    #[error("the capture library panicked while it opened the screen")]
    Library,
    /// No such monitor.
    #[error("there is no monitor {wanted}; this machine's monitors are: {have}")]
    NoMonitor {
        /// The number asked for.
        wanted: usize,
        /// What there is, for people.
        have: String,
    },
}

/// Why a source that was open can't be captured any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrabError(pub String);

/// What a source has grabbed.
#[derive(Debug, Clone)]
pub struct Grab<'a> {
    /// Width and height of the whole picture, in pixels; both at least 1.
    pub size: (usize, usize),
    /// The parts that were grabbed. Elsewhere nothing has changed since the grab before.
    pub patches: Vec<Patch<'a>>,
}

/// Where the picture of the screen comes from.
pub trait Source: Send {
    /// What is captured, for people: "xcap, monitor 0 (eDP-1)".
    fn describe(&self) -> String;

    /// Grabs what may have changed since the last grab; everything, where `whole` is set or the
    /// picture's size is another. May block for as long as that takes.
    ///
    /// # Errors
    /// When the screen can't be captured; the source is then opened anew.
    fn grab(&mut self, whole: bool) -> Result<Grab<'_>, GrabError>;

    /// What becomes readable when the screen changes, for a source that is told so. Others have
    /// to be asked again and again.
    #[cfg(unix)]
    fn events(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes in what the source was told, without blocking; true when the screen has changed
    /// since the last grab, or may have.
    ///
    /// # Errors
    /// When the screen can't be captured any more.
    fn changed(&mut self) -> Result<bool, GrabError> {
        Ok(true)
    }

    /// How many pixels were drawn since the last grab, as far as is known by now; `None` where the
    /// source is not told of changes, or of more than pixels.
    ///
    /// # Errors
    /// When the screen can't be captured any more.
    fn drawn(&mut self) -> Result<Option<usize>, GrabError> {
        Ok(None)
    }

    /// Finds out whether the screen is there, and could be captured, without capturing it. Asks the
    /// display: it may take as long as that takes.
    ///
    /// # Errors
    /// When it could not be captured; the source is then opened anew.
    fn check(&mut self) -> Result<(), GrabError> {
        Ok(())
    }

    /// Nobody watches any more: nothing is to be done, and nothing told, until the next grab,
    /// which will be one of the whole picture.
    fn rest(&mut self) {}
}

impl Choice {
    /// Opens the source.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(&self) -> Result<Box<dyn Source>, OpenError> {
        match self.kind {
            Kind::Auto => self.open_best(),
            #[cfg(any(target_os = "linux", target_os = "freebsd"))]
            Kind::X11 => {
                let display = variable("DISPLAY").ok_or(OpenError::NoX11)?;
                Ok(Box::new(X11::open(&display, self.monitor, self.cursor)?))
            }
            Kind::Xcap => Ok(Box::new(Screen::open(self.monitor)?)),
            Kind::Card => {
                let (width, height) = self.card_size;
                Ok(Box::new(Card::new(width, height, self.card_fps)))
            }
        }
    }

    /// The monitors of this machine; none where nobody knows. Asks the display: it may take as
    /// long as that takes.
    #[must_use]
    pub fn monitors(&self) -> Vec<Monitor> {
        match self.kind {
            Kind::Card => {
                let (width, height) = self.card_size;
                let [width, height] = [width, height].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
                vec![Monitor { name: "test card".into(), width, height, scale: 100, x: 0, y: 0 }]
            }
            Kind::Xcap => screen::monitors(),
            Kind::Auto if variable("WAYLAND_DISPLAY").is_some() => screen::monitors(),
            #[cfg(any(target_os = "linux", target_os = "freebsd"))]
            _ => {
                variable("DISPLAY").and_then(|display| x11::monitors(&display)).unwrap_or_default()
            }
            #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
            _ => screen::monitors(),
        }
    }

    /// Opens the real screen, by the best means there is.
    fn open_best(&self) -> Result<Box<dyn Source>, OpenError> {
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        if let (None, Some(display)) = (variable("WAYLAND_DISPLAY"), variable("DISPLAY")) {
            match X11::open(&display, self.monitor, self.cursor) {
                Ok(source) => return Ok(Box::new(source)),
                Err(OpenError::Unsupported(cause)) => {
                    static SAID: std::sync::Once = std::sync::Once::new();
                    SAID.call_once(|| tracing::warn!("{cause}: capturing by xcap"));
                }
                // xcap would ask the same display.
                Err(e) => return Err(e),
            }
        }
        Ok(Box::new(Screen::open(self.monitor)?))
    }
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
