//! A question in a window of its own: may somebody watch this screen? May this machine go down?
//!
//! It is a process of its own, so that a display that does not answer holds nobody but it. What is
//! typed elsewhere must not say yes by chance: only a click, or Ctrl with Y, does.

use crate::text::{Surface, line_height, text_width};
use minifb::{InputCallback, Key, MouseButton, MouseMode, Window, WindowOptions};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The window's size, in pixels.
const SIZE: (usize, usize) = (520, 190);

/// The height of the letters, in pixels.
const LETTERS: u32 = 15;

const GROUND: u32 = 0x0020_242c;
const INK: u32 = 0x00e6_e9ef;
const FAINT: u32 = 0x009a_a3b2;
const NO: u32 = 0x003a_4150;
const YES: u32 = 0x0026_6b45;

/// How often keys and mouse are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What is clicked or typed before anybody can have read the question is not heard.
const READING: Duration = Duration::from_millis(700);

/// A button: where it is, its colour, and what it says.
struct Button {
    place: (i32, i32, i32, i32),
    color: u32,
    words: &'static str,
}

const REFUSE: Button = Button { place: (20, 130, 230, 40), color: NO, words: "Refuse (Esc)" };
const ALLOW: Button = Button { place: (270, 130, 230, 40), color: YES, words: "Allow (Ctrl+Y)" };
const STOP: Button = Button { place: (270, 130, 230, 40), color: YES, words: "Stop it (Ctrl+Y)" };

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// Whether somebody may watch, who comes from there.
    Watch {
        /// Their name.
        who: &'a str,
        /// Their address.
        from: &'a str,
    },
    /// Whether what is about to happen is to be stopped.
    Stop {
        /// What is about to happen: "this machine is restarted".
        what: &'a str,
        /// Who wants it.
        who: &'a str,
    },
}

impl Question<'_> {
    fn title(self) -> &'static str {
        match self {
            Self::Watch { .. } => "Hightower: may they watch?",
            Self::Stop { .. } => "Hightower: save your work",
        }
    }

    /// Its lines, with so many seconds left.
    fn lines(self, seconds: u64) -> [(u32, String); 4] {
        match self {
            // Whoever made a key gave it its name; where they come from is not for them to say, and
            // has a line of its own.
            Self::Watch { who, from } => [
                (INK, who.into()),
                (INK, format!("from {from}")),
                (INK, "wants to watch this screen.".into()),
                (FAINT, format!("Without an answer it is refused in {seconds} s.")),
            ],
            Self::Stop { what, who } => [
                (INK, format!("In {seconds} s {what}.")),
                (INK, format!("{who} wants that.")),
                (INK, "Save your work now.".into()),
                (FAINT, "Closing this window does not stop it.".into()),
            ],
        }
    }

    /// The buttons, each with the answer that it is.
    fn buttons(self) -> &'static [(Button, bool)] {
        match self {
            Self::Watch { .. } => &[(REFUSE, false), (ALLOW, true)],
            Self::Stop { .. } => &[(STOP, true)],
        }
    }
}

impl Button {
    fn draw(&self, surface: &mut Surface<'_>) {
        let (x, y, w, h) = self.place;
        surface.fill_rect(x, y, w, h, self.color);
        let left = x + (w - text_width(LETTERS, self.words)) / 2;
        surface.text(left, y + (h - line_height(LETTERS)) / 2, LETTERS, INK, self.words);
    }

    fn holds(&self, (px, py): (f32, f32)) -> bool {
        let (x, y, w, h) = self.place;
        (x..x + w).contains(&(px as i32)) && (y..y + h).contains(&(py as i32))
    }
}

/// What was typed: whether it allows, for each key that counts. minifb's own lists lose a key that
/// went down and up between two looks.
#[derive(Clone, Default)]
struct Typed(Rc<RefCell<(bool, Option<bool>)>>);

impl InputCallback for Typed {
    fn add_char(&mut self, _: u32) {}

    fn set_key_state(&mut self, key: Key, down: bool) {
        let (control, answer) = &mut *self.0.borrow_mut();
        match key {
            Key::LeftCtrl | Key::RightCtrl => *control = down,
            Key::Y if down && *control => *answer = Some(true),
            Key::Escape if down => *answer = Some(false),
            _ => {}
        }
    }
}

impl Typed {
    fn take(&self) -> Option<bool> {
        self.0.borrow_mut().1.take()
    }
}

/// Asks for so long; `false` when the window is closed or the time is over. `opened` is called once
/// the question can be seen.
///
/// # Errors
/// When there is no display, or no window on it.
pub fn ask(question: Question<'_>, limit: Duration, opened: impl FnOnce()) -> anyhow::Result<bool> {
    let end = Instant::now() + limit;
    anyhow::ensure!(crate::viewer::window::has_display(), "there is no display to ask on");
    let options = WindowOptions { topmost: true, resize: false, ..WindowOptions::default() };
    let made = Window::new(question.title(), SIZE.0, SIZE.1, options);
    let mut window = made.map_err(|e| anyhow::anyhow!("no window can be opened: {e}"))?;
    let typed = Typed::default();
    window.set_input_callback(Box::new(typed.clone()));
    let (start, mut opened) = (Instant::now(), Some(opened));
    let mut pixels = vec![GROUND; SIZE.0 * SIZE.1];
    let (mut shown, mut was_down) = (None, true);
    while window.is_open() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let seconds = left.as_secs() + 1;
        if shown.replace(seconds) != Some(seconds) {
            draw(&mut Surface::new(&mut pixels, SIZE.0, SIZE.1), question, seconds);
        }
        window.update_with_buffer(&pixels, SIZE.0, SIZE.1)?;
        if let Some(opened) = opened.take() {
            opened();
        }
        let down = window.get_mouse_down(MouseButton::Left);
        let clicked = !std::mem::replace(&mut was_down, down) && down;
        let place = clicked.then(|| window.get_mouse_pos(MouseMode::Discard)).flatten();
        let pointed = place.and_then(|place| {
            let hit = question.buttons().iter().find(|(button, _)| button.holds(place));
            hit.map(|(_, answer)| *answer)
        });
        if let Some(answer) = typed.take().or(pointed)
            && start.elapsed() >= READING
        {
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
    Ok(false)
}

fn draw(surface: &mut Surface<'_>, question: Question<'_>, seconds: u64) {
    let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
    surface.fill_rect(0, 0, width, height, GROUND);
    let line = line_height(LETTERS) + 5;
    for (at, (color, words)) in (0..).zip(question.lines(seconds)) {
        surface.text(20, 14 + at * line, LETTERS, color, &cut(&words, width - 40));
    }
    for (button, _) in question.buttons() {
        button.draw(surface);
    }
}

/// As much of the text as fits, and a sign where some is missing.
fn cut(text: &str, width: i32) -> String {
    if text_width(LETTERS, text) <= width {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while text_width(LETTERS, &kept) + text_width(LETTERS, "…") > width && kept.pop().is_some() {}
    kept + "…"
}
