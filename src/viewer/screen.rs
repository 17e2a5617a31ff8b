//! A machine's screen over the whole of a window: how it is laid out, drawn and moved about.

use super::machine::Machine;
use super::overlay::Keys;
use super::pane::Pane;
use super::scene::{Choice, Layout, Look, Scene};
use super::status::Figures;
use minifb::Key;
use std::time::{Duration, Instant};

/// How long to wait for news before looking at keys and mouse.
const INPUT: Duration = Duration::from_millis(15);

/// What a window shows of one machine.
#[derive(Debug)]
pub(super) struct Screen {
    choice: Choice,
    drag: Option<(f32, f32)>,
    scene: Scene,
    look: Option<Look>,
    figures: Figures,
}

impl Screen {
    /// The whole picture, in a window that has these keys.
    pub(super) fn new(keys: Keys) -> Self {
        let (layout, help, facts, status) = (Layout::Fit, false, false, true);
        Self {
            choice: Choice { layout, help, facts, status, keys },
            drag: None,
            scene: Scene::default(),
            look: None,
            figures: Figures::default(),
        }
    }

    /// Waits for news of the machine, so that keys and mouse are still looked at in time, and what
    /// comes faster than a display shows is drawn together. Whether there were any.
    pub(super) fn wait(&self, machine: &mut Machine, pane: &Pane) -> bool {
        let news = machine.look(INPUT);
        let soon = pane.wait();
        if !soon.is_zero() && self.look.as_ref().is_some_and(|l| l.sequence != machine.sequence()) {
            std::thread::sleep(soon);
            machine.look(Duration::ZERO);
        }
        news
    }

    /// Draws, when anything has changed, and hears the window's keys and mouse.
    ///
    /// # Errors
    /// When the window can't be drawn.
    pub(super) fn draw(&mut self, machine: &Machine, pane: &mut Pane) -> anyhow::Result<()> {
        pane.entitle(format!("{} – Hightower", machine.name()));
        let (view, size) = (machine.view(), pane.size());
        let figures = self.figures.take(view, Instant::now()).to_owned();
        let look = Look::new(view, &machine.target, size, self.choice, figures);
        if let (Layout::Actual { .. }, Layout::Actual { .. }) = (self.choice.layout, look.layout) {
            self.choice.layout = look.layout;
        }
        let news = self.look.as_ref() != Some(&look);
        if news {
            self.scene.draw(&look, view.picture.as_ref());
        }
        if !pane.show(self.scene.pixels(), size, news)? {
            return Ok(());
        }
        if self.look.as_ref().is_none_or(|last| last.sequence != look.sequence) {
            self.figures.drawn(view.picture.as_ref().and_then(|picture| view.latency(picture)));
        }
        self.look = Some(look);
        Ok(())
    }

    /// What is shown next is drawn anew: it is another machine, or another window.
    pub(super) fn renew(&mut self) {
        (self.look, self.drag) = (None, None);
    }

    /// What is shown next is another machine.
    pub(super) fn turn(&mut self) {
        self.renew();
        self.figures = Figures::default();
    }

    /// Whether the picture is shown pixel for pixel, so that it can be moved about.
    pub(super) fn pans(&self) -> bool {
        matches!(self.choice.layout, Layout::Actual { .. })
    }

    /// Does what a key is for that is held down or goes down.
    pub(super) fn pan(&mut self, key: Key, pane: &Pane) -> bool {
        let (x, y) = match key {
            Key::Left => (-1, 0),
            Key::Right => (1, 0),
            Key::Up => (0, -1),
            Key::Down => (0, 1),
            _ => return false,
        };
        // By a tenth of the window.
        let (width, height) = pane.size();
        self.pan_pixels(x * (width as i64 / 10).max(1), y * (height as i64 / 10).max(1));
        true
    }

    /// Does what a key is for that goes down; false when it is for nothing here.
    pub(super) fn key(&mut self, key: Key) -> bool {
        let choice = &mut self.choice;
        match key {
            Key::Z => {
                choice.layout = match choice.layout {
                    Layout::Fit => Layout::Actual { x: 0, y: 0 },
                    Layout::Actual { .. } => Layout::Fit,
                };
            }
            Key::M => choice.status = !choice.status,
            Key::H | Key::F1 => choice.help = !choice.help,
            Key::I => choice.facts = !choice.facts,
            Key::Escape if choice.help => choice.help = false,
            Key::Escape if choice.facts => choice.facts = false,
            _ => return false,
        }
        true
    }

    /// Moves a picture that is shown pixel for pixel, as it is dragged.
    pub(super) fn mouse(&mut self, pane: &Pane) {
        let now = pane.dragged();
        if let (Some(from), Some(to)) = (self.drag, now) {
            self.pan_pixels((from.0 - to.0) as i64, (from.1 - to.1) as i64);
        }
        self.drag = now;
    }

    fn pan_pixels(&mut self, dx: i64, dy: i64) {
        if let Layout::Actual { x, y } = &mut self.choice.layout {
            let moved = |from: usize, by: i64| {
                usize::try_from((from as i64).saturating_add(by)).unwrap_or(0)
            };
            (*x, *y) = (moved(*x, dx), moved(*y, dy));
        }
    }
}
