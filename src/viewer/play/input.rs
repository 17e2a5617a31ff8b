//! What keys and mouse do to a player.

use super::Player;
use crate::text::printable;
use crate::viewer::pane::Press;
use crate::viewer::save;
use crate::viewer::scene::{BAR, Layout, STATUS};
use minifb::Key;
use std::time::{Duration, Instant};

/// How far an arrow key goes.
const STEP: Duration = Duration::from_secs(5);

impl Player {
    pub(super) fn input(&mut self) {
        for press in self.pane.pressed() {
            match press {
                Press::Key(Key::Left) | Press::Again(Key::Left) => self.seek_by(false),
                Press::Key(Key::Right) | Press::Again(Key::Right) => self.seek_by(true),
                Press::Key(Key::Comma) | Press::Again(Key::Comma) => self.step(false),
                Press::Key(Key::Period) | Press::Again(Key::Period) => self.step(true),
                Press::Key(key) => self.key(key),
                Press::Again(_) | Press::Char(_) => {}
            }
        }
        self.mouse();
    }

    fn key(&mut self, key: Key) {
        let now = Instant::now();
        match key {
            Key::Space => {
                self.go_on_from_the_step();
                self.transport.toggle(now);
            }
            Key::Home => self.seek(Duration::ZERO),
            Key::End => self.seek(self.recording.index().length()),
            Key::LeftBracket | Key::Minus | Key::NumPadMinus => self.transport.faster(-1, now),
            Key::RightBracket | Key::Equal | Key::NumPadPlus => self.transport.faster(1, now),
            Key::T => {
                self.time_of_day = !self.time_of_day;
                if self.time_of_day && self.recording.index().began_us.is_none() {
                    self.say("nothing in the recording says when it was made".into());
                }
            }
            Key::P => self.screenshot(),
            Key::Z => {
                self.choice.layout = match self.choice.layout {
                    Layout::Fit => Layout::Actual { x: 0, y: 0 },
                    Layout::Actual { .. } => Layout::Fit,
                };
            }
            Key::F => match self.pane.full_screen() {
                Ok(()) => (self.look, self.drag) = (None, None),
                Err(words) => self.say(words),
            },
            Key::M => self.choice.status = !self.choice.status,
            Key::H | Key::F1 => self.choice.help = !self.choice.help,
            Key::Escape if self.choice.help => self.choice.help = false,
            Key::Q | Key::Escape => self.quit = true,
            _ => {}
        }
    }

    /// Where it is now.
    fn here(&mut self) -> Duration {
        self.go_on_from_the_step();
        self.transport.position(Instant::now())
    }

    /// From now on the time says which picture is shown.
    fn go_on_from_the_step(&mut self) {
        if let Some(picture) = self.stepped.take() {
            self.transport.rest(self.recording.index().time_of(picture));
        }
    }

    fn seek(&mut self, position: Duration) {
        self.stepped = None;
        self.transport.seek(position, Instant::now());
    }

    fn seek_by(&mut self, forward: bool) {
        let here = self.here();
        self.seek(if forward { here + STEP } else { here.saturating_sub(STEP) });
    }

    /// Rests at the next picture, or at the one before.
    fn step(&mut self, forward: bool) {
        let position = self.transport.position(Instant::now());
        let index = self.recording.index();
        let here = self.stepped.unwrap_or_else(|| index.at(position));
        let there = if forward { here + 1 } else { here.saturating_sub(1) };
        let there = there.min(index.len().saturating_sub(1));
        self.transport.rest(index.time_of(there));
        self.stepped = Some(there);
    }

    /// The bar is played from where it is pressed; a 1:1 picture is moved about.
    fn mouse(&mut self) {
        let pressed = self.pane.dragged();
        let (width, height) = self.pane.size();
        let bar = height.saturating_sub(STATUS + BAR) as f32;
        if let Some((x, y)) = pressed {
            let on_bar = (bar..bar + BAR as f32).contains(&y) && self.choice.status;
            let from = self.drag.filter(|&(_, from_y)| from_y < bar);
            if on_bar && from.is_none() {
                let part = (x / width.max(1) as f32).clamp(0.0, 1.0);
                self.seek(self.recording.index().length().mul_f32(part));
            } else if let (Some(from), Layout::Actual { x: left, y: top }) =
                (from, &mut self.choice.layout)
            {
                let moved = |at: usize, by: f32| (at as f32 + by).max(0.0) as usize;
                (*left, *top) = (moved(*left, from.0 - x), moved(*top, from.1 - y));
            }
        }
        self.drag = pressed;
    }

    fn screenshot(&mut self) {
        let Some((number, picture)) = &self.shown else {
            return self.say("there is no picture to save".into());
        };
        let host = format!("{}-{:06}", self.recording.host(), number + 1);
        let path = save::free_path(&self.options.screenshots, &host, "png");
        let said = match save::write(&path, picture) {
            Ok(()) => format!("saved {}", path.display()),
            Err(error) => format!("{error:#}"),
        };
        self.say(printable(&said));
    }
}
