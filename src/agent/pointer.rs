//! The pointer of this machine, through enigo, behind a trait so that leases can be tested
//! without a display.

use enigo::{Coordinate, Enigo, InputError, Mouse as _, NewConError, Settings};

/// A pointer that can be asked where it is and moved.
pub(super) trait Pointer {
    /// Where it is, in pixels of the virtual desktop.
    fn location(&self) -> Result<(i32, i32), String>;

    /// Moves it.
    fn move_to(&mut self, x: i32, y: i32) -> Result<(), String>;
}

/// This machine's pointer.
pub(super) struct System(Enigo);

impl System {
    /// Connects to the display.
    pub(super) fn open() -> Result<Self, String> {
        match Enigo::new(&Settings::default()) {
            Ok(enigo) => Ok(Self(enigo)),
            Err(NewConError::EstablishCon(cause)) => {
                Err(format!("there is no display whose pointer could be moved ({cause})"))
            }
            Err(e) => Err(format!("the pointer can't be reached: {e}")),
        }
    }
}

impl Pointer for System {
    fn location(&self) -> Result<(i32, i32), String> {
        self.0.location().map_err(words)
    }

    fn move_to(&mut self, x: i32, y: i32) -> Result<(), String> {
        self.0.move_mouse(x, y, Coordinate::Abs).map_err(words)
    }
}

fn words(error: InputError) -> String {
    match error {
        InputError::InvalidInput(_) => {
            "coordinates are pixels of the virtual desktop, from -32768 to 32767".into()
        }
        e => format!("the display does not take the pointer: {e}"),
    }
}
