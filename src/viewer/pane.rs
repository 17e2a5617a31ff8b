//! A window of minifb's: opened, made full screen, given its pixels, and its keys and mouse heard.

use super::monitor::Monitor;
use super::pace::Pace;
use super::scale::fit;
use anyhow::anyhow;
use minifb::{InputCallback, Key, MouseButton, MouseMode, Window};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Characters that were typed and not yet taken; more are dropped.
const TYPED: usize = 256;

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

/// What went down since it was last taken. minifb's own lists lose a key that went down and up
/// between two looks.
#[derive(Clone, Default)]
struct Keys(Rc<RefCell<Typed>>);

#[derive(Default)]
struct Typed {
    pressed: Vec<Press>,
    /// The key that is held down: it repeats itself until it goes up.
    held: Option<Key>,
}

/// Something on the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    /// A key went down.
    Key(Key),
    /// A key is held down, and repeats itself.
    Again(Key),
    /// A character that keys have made; it comes before or after the key.
    Char(char),
}

impl InputCallback for Keys {
    fn add_char(&mut self, code: u32) {
        let pressed = &mut self.0.borrow_mut().pressed;
        if pressed.len() < TYPED {
            pressed.extend(char::from_u32(code).filter(|c| !c.is_control()).map(Press::Char));
        }
    }

    fn set_key_state(&mut self, key: Key, down: bool) {
        let Typed { pressed, held } = &mut *self.0.borrow_mut();
        if !down {
            held.take_if(|held| *held == key);
            return;
        }
        let again = held.replace(key) == Some(key);
        if pressed.len() < TYPED {
            pressed.push(if again { Press::Again(key) } else { Press::Key(key) });
        }
    }
}

/// The mouse, as it is in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Mouse {
    /// Where it is, in pixels of the window; `None` outside of it.
    pub(super) at: Option<(f32, f32)>,
    /// The left button is down.
    pub(super) left: bool,
    /// The right button is down.
    pub(super) right: bool,
    /// How far the wheel was turned: upwards is more.
    pub(super) wheel: f32,
}

/// A window, and what is known of it from one turn to the next.
pub(super) struct Pane {
    window: Window,
    keys: Keys,
    /// The size to go back to from full screen.
    windowed: Option<(usize, usize)>,
    title: String,
    pace: Pace,
}

impl Pane {
    /// Opens a window of this size, in pixels; `instead` is what the user can do where there is
    /// none.
    ///
    /// # Errors
    /// When there is no display to open it on.
    pub(super) fn open(title: &str, size: (usize, usize), instead: &str) -> anyhow::Result<Self> {
        let keys = Keys::default();
        let window = open(title, size, false, &keys)
            .map_err(|error| anyhow!("no window can be opened ({error}); {instead}"))?;
        let (title, pace) = (title.to_owned(), Pace::new(Instant::now()));
        Ok(Self { window, keys, windowed: None, title, pace })
    }

    /// Whether the user has not closed it.
    pub(super) fn is_open(&self) -> bool {
        self.window.is_open()
    }

    /// Width and height, in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        self.window.get_size()
    }

    /// Whether a key is down now.
    pub(super) fn is_down(&self, key: Key) -> bool {
        self.window.is_key_down(key)
    }

    /// Names the window.
    pub(super) fn entitle(&mut self, title: String) {
        if title != self.title {
            self.window.set_title(&title);
            self.title = title;
        }
    }

    /// What went down on the keyboard since this was asked last.
    pub(super) fn pressed(&mut self) -> Vec<Press> {
        std::mem::take(&mut self.keys.0.borrow_mut().pressed)
    }

    /// The mouse now.
    pub(super) fn mouse(&self) -> Mouse {
        let down = |button| self.window.get_mouse_down(button);
        Mouse {
            at: self.window.get_mouse_pos(MouseMode::Discard),
            left: down(MouseButton::Left),
            right: down(MouseButton::Right),
            wheel: self.window.get_scroll_wheel().map_or(0.0, |(_, y)| y),
        }
    }

    /// Where the mouse is dragged, be it outside of the window.
    pub(super) fn dragged(&self) -> Option<(f32, f32)> {
        let down = self.window.get_mouse_down(MouseButton::Left);
        self.window.get_mouse_pos(MouseMode::Pass).filter(|_| down)
    }

    /// How long what is new has to wait: no display shows more.
    pub(super) fn wait(&self) -> Duration {
        self.pace.wait(Instant::now())
    }

    /// Gives the window its pixels, row by row, of `size`, when they are new or have not been given
    /// for long; and hears its keys and mouse. Whether they were given.
    ///
    /// # Errors
    /// When it can't be drawn.
    pub(super) fn show(
        &mut self,
        pixels: &[u32],
        size: (usize, usize),
        new: bool,
    ) -> anyhow::Result<bool> {
        let now = Instant::now();
        if !new && !self.pace.is_stale(now) {
            self.window.update();
            return Ok(false);
        }
        self.pace.given(now);
        if size.0 == 0 || size.1 == 0 {
            self.window.update();
            return Ok(true);
        }
        self.window
            .update_with_buffer(pixels, size.0, size.1)
            .map_err(|error| anyhow!("the window can't be drawn: {error}"))?;
        Ok(true)
    }

    /// Full screen, or as it was before: another window in place of this one, as minifb's can't
    /// change into it.
    ///
    /// # Errors
    /// Why not, in words for the user.
    pub(super) fn full_screen(&mut self) -> Result<(), String> {
        let opened = match self.windowed {
            Some(size) => open(&self.title, size, false, &self.keys).map(|window| (window, None)),
            None => {
                let Some(screen) = Monitor::around(self.window.get_position()) else {
                    return Err("no full screen: the screen's size can't be found out".into());
                };
                let back = self.window.get_size();
                open(&self.title, screen.size, true, &self.keys).map(|mut window| {
                    window.set_position(screen.at.0, screen.at.1);
                    (window, Some(back))
                })
            }
        };
        (self.window, self.windowed) =
            opened.map_err(|error| format!("no full screen: {error}"))?;
        self.keys.0.borrow_mut().held = None;
        Ok(())
    }
}

/// Opens a window.
fn open(title: &str, size: (usize, usize), full: bool, keys: &Keys) -> minifb::Result<Window> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_pressed_twice_between_two_looks_is_not_one_that_is_held() {
        let mut keys = Keys::default();
        for down in [true, true, false, true, false] {
            keys.set_key_state(Key::Q, down);
        }
        keys.set_key_state(Key::Left, true);
        keys.set_key_state(Key::Q, true);
        // Of one that was held before, nothing is held any more.
        keys.set_key_state(Key::Left, false);
        keys.set_key_state(Key::Q, true);
        let pressed = std::mem::take(&mut keys.0.borrow_mut().pressed);
        let (q, left) = (Press::Key(Key::Q), Press::Key(Key::Left));
        assert_eq!(pressed, [q, Press::Again(Key::Q), q, left, q, Press::Again(Key::Q)]);
    }
}
