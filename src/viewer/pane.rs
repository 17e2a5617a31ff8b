//! A window of minifb's: opened, made full screen, and its keys heard.

use super::monitor::Monitor;
use super::scale::fit;
use minifb::{InputCallback, Key, Window};
use std::cell::RefCell;
use std::rc::Rc;

/// The largest window that is opened unasked, and the smallest, in pixels: four fifths of a screen
/// of 1280x800.
const LARGEST: (usize, usize) = (1024, 640);
const SMALLEST: (usize, usize) = (480, 320);

/// The size for a picture with so much below it, or the largest.
pub(super) fn size_for(picture: Option<(usize, usize)>, below: usize) -> (usize, usize) {
    let (width, height) = picture.map_or(LARGEST, |size| {
        if size.0 <= LARGEST.0 && size.1 <= LARGEST.1 {
            return size;
        }
        let fitted = fit(size, LARGEST);
        (fitted.width, fitted.height)
    });
    (width.max(SMALLEST.0), height.max(SMALLEST.1) + below)
}

/// The keys that went down since they were last taken. minifb's own lists lose a key that went
/// down and up between two looks.
#[derive(Clone, Default)]
pub(super) struct Keys {
    pressed: Rc<RefCell<Vec<Key>>>,
}

impl Keys {
    /// The keys that went down since this was asked last.
    pub(super) fn take(&self) -> Vec<Key> {
        std::mem::take(&mut *self.pressed.borrow_mut())
    }
}

impl InputCallback for Keys {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, down: bool) {
        if down {
            self.pressed.borrow_mut().push(key);
        }
    }
}

/// Another window in place of this one, as minifb's can't change into full screen: full screen,
/// or of the size that it had before. Gives the size to go back to.
pub(super) fn full_screen(
    window: &Window,
    windowed: Option<(usize, usize)>,
    title: &str,
    keys: &Keys,
) -> Result<(Window, Option<(usize, usize)>), String> {
    let opened = match windowed {
        Some(size) => open(title, size, false, keys).map(|window| (window, None)),
        None => {
            let Some(screen) = Monitor::around(window.get_position()) else {
                return Err("no full screen: the screen's size can't be found out".into());
            };
            let back = window.get_size();
            open(title, screen.size, true, keys).map(|mut window| {
                window.set_position(screen.at.0, screen.at.1);
                (window, Some(back))
            })
        }
    };
    opened.map_err(|error| format!("no full screen: {error}"))
}

/// Opens a window.
pub(super) fn open(
    title: &str,
    size: (usize, usize),
    full: bool,
    keys: &Keys,
) -> minifb::Result<Window> {
    let options = minifb::WindowOptions {
        resize: !full,
        borderless: full,
        title: !full,
        // The pixels given are as many as the window has: they are not to be scaled.
        scale_mode: minifb::ScaleMode::UpperLeft,
        ..minifb::WindowOptions::default()
    };
    let mut window = Window::new(title, size.0, size.1, options)?;
    // It is us who keep the pace; minifb would sleep after it has drawn.
    window.set_target_fps(0);
    window.set_input_callback(Box::new(keys.clone()));
    window.set_background_color(0x10, 0x14, 0x18);
    Ok(window)
}
