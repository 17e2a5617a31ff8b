//! What keys and mouse do on a wall.

use super::{Entry, Wall};
use crate::saying::Saying;
use crate::viewer::options::Order;
use crate::viewer::pane::Press;
use crate::viewer::view::Link;
use hightower_proto::limits::MAX_MESSAGE;
use minifb::Key;

impl Wall {
    /// Does what was typed and clicked. Whether anything was.
    pub(super) fn input(&mut self) -> bool {
        let pressed = self.pane.pressed();
        let typed = !pressed.is_empty();
        let is_t = |press: &Press| matches!(press, Press::Char('t' | 'T'));
        // A character that the key T is still to make, when it has begun a message: it is no part
        // of that.
        let mut due = false;
        let mut last = None;
        for press in pressed {
            let entering = self.entry.is_some();
            if std::mem::take(&mut due) && is_t(&press) {
                continue;
            }
            let came_before = last.replace(press).is_some_and(|last| is_t(&last));
            match press {
                _ if self.entry.is_some() => self.typed(press),
                Press::Char(_) => {}
                _ if self.large => self.large_key(press),
                Press::Key(key) => self.key(key),
                Press::Again(key) => {
                    self.walk(key);
                }
            }
            due = !entering && self.entry.is_some() && !came_before;
        }
        self.mouse() || typed
    }

    /// A key on the wall.
    fn key(&mut self, key: Key) {
        if self.walk(key) {
            return;
        }
        match key {
            Key::S => self.order(Order::Start, "start"),
            Key::X => self.order(Order::Stop, "stop"),
            Key::L => self.order(Order::Lock(None), "lock"),
            Key::U => self.order(Order::Unlock, "unlock"),
            Key::P => self.shoot(),
            Key::T => self.entry = Some(Entry { to: self.chosen(), text: String::new() }),
            Key::Space => self.mark(self.cursor),
            Key::A => {
                let mark = self.tiles.iter().any(|tile| !tile.marked);
                self.tiles.iter_mut().for_each(|tile| tile.marked = mark);
            }
            Key::Enter | Key::NumPadEnter => self.enlarge(),
            Key::F => {
                if let Err(words) = self.pane.full_screen() {
                    self.say(words);
                }
            }
            Key::H | Key::F1 => self.help = !self.help,
            Key::Escape if self.help => self.help = false,
            Key::Escape if self.tiles.iter().any(|tile| tile.marked) => {
                self.tiles.iter_mut().for_each(|tile| tile.marked = false);
            }
            Key::Q | Key::Escape => self.leave(),
            _ => {}
        }
    }

    /// Moves the cursor; false for another key.
    fn walk(&mut self, key: Key) -> bool {
        let grid = self.grid();
        let (last, columns) = (self.tiles.len().saturating_sub(1), grid.columns);
        let page = columns * grid.shown();
        let down = |by: usize| self.cursor.saturating_add(by);
        self.cursor = match key {
            Key::Left => self.cursor.saturating_sub(1),
            Key::Right => down(1),
            // In a column, up to its end.
            Key::Up if self.cursor >= columns => self.cursor - columns,
            Key::Down if self.cursor + columns <= last => down(columns),
            Key::Up | Key::Down => self.cursor,
            Key::PageUp => self.cursor.saturating_sub(page),
            Key::PageDown => down(page),
            Key::Home => 0,
            Key::End => last,
            _ => return false,
        }
        .min(last);
        self.top = grid.top_for(self.cursor, self.top);
        true
    }

    fn mark(&mut self, tile: usize) {
        if let Some(tile) = self.tiles.get_mut(tile) {
            tile.marked = !tile.marked;
        }
    }

    fn enlarge(&mut self) {
        self.large = true;
        self.screen.turn();
    }

    /// Back to the wall.
    fn reduce(&mut self) {
        self.large = false;
        self.scene = super::Scene::default();
        let count = self.tiles.len();
        self.pane.entitle(super::title(count));
    }

    /// A key while one machine is large.
    fn large_key(&mut self, press: Press) {
        let (Press::Key(key) | Press::Again(key)) = press else { return };
        if self.screen.pans() && self.screen.pan(key, &self.pane) {
            return;
        }
        if matches!(key, Key::Left | Key::Right | Key::Home | Key::End) {
            // The one before, the one after.
            if self.walk(key) {
                self.screen.turn();
            }
            return;
        }
        if matches!(press, Press::Again(_)) || self.screen.key(key) {
            return;
        }
        let Some(tile) = self.tiles.get_mut(self.cursor) else { return };
        match key {
            // What is shown may be smaller than the screen still: it is waited for.
            Key::P => self.shots.0 += usize::from(tile.want_shot()),
            _ if tile.machine.key(key) => {}
            Key::F => match self.pane.full_screen() {
                Ok(()) => self.screen.renew(),
                Err(words) => tile.machine.say(words),
            },
            Key::Enter | Key::NumPadEnter | Key::Backspace | Key::Escape => self.reduce(),
            Key::Q => self.leave(),
            _ => {}
        }
    }

    /// Does what the mouse does. Whether it did anything.
    fn mouse(&mut self) -> bool {
        let mouse = self.pane.mouse();
        let last = std::mem::replace(&mut self.mouse, mouse);
        let (left, right) = (mouse.left && !last.left, mouse.right && !last.right);
        let pressed = left || right;
        if self.entry.is_some() {
            // Whom a message is for is seen while it is typed, and does not change.
            return pressed;
        }
        if self.large {
            let pans = self.screen.pans();
            self.screen.mouse(&self.pane);
            if right || left && !pans && mouse.at.is_some() {
                self.reduce();
            }
            return pressed;
        }
        let grid = self.grid();
        if mouse.wheel > 0.0 {
            self.top = self.top.saturating_sub(1);
        } else if mouse.wheel < 0.0 {
            self.top = (self.top + 1).min(grid.last_top());
        }
        if let Some(tile) = mouse.at.and_then(|at| grid.at(at, self.top)).filter(|_| pressed) {
            self.cursor = tile;
            if right || self.pane.is_down(Key::LeftCtrl) || self.pane.is_down(Key::RightCtrl) {
                self.mark(tile);
            } else {
                self.enlarge();
            }
        }
        pressed || mouse.wheel != 0.0
    }

    /// Gives an order to the chosen machines.
    fn order(&mut self, order: Order, name: &str) {
        let chosen = self.chosen();
        let mut sent = 0;
        for &number in &chosen {
            let Some(tile) = self.tiles.get_mut(number) else { continue };
            if tile.machine.view().link == Link::Connected {
                tile.machine.order(order);
                sent += 1;
            } else {
                tile.machine.say(format!("not connected: no {name}"));
            }
        }
        if chosen.len() > 1 {
            self.say(format!("{name}: sent to {sent} of {} machines", chosen.len()));
        }
    }

    /// Takes a screenshot of the chosen machines.
    fn shoot(&mut self) {
        for number in self.chosen() {
            if let Some(tile) = self.tiles.get_mut(number) {
                self.shots.0 += usize::from(tile.want_shot());
            }
        }
    }

    /// Something on the keyboard while a message is typed.
    fn typed(&mut self, press: Press) {
        let Some(Entry { text, .. }) = &mut self.entry else { return };
        match press {
            Press::Char(c) if text.len() + c.len_utf8() <= MAX_MESSAGE => text.push(c),
            Press::Key(Key::Backspace) | Press::Again(Key::Backspace) => {
                text.pop();
            }
            Press::Key(Key::Escape) => self.entry = None,
            Press::Key(Key::Enter | Key::NumPadEnter) => {
                let entry = self.entry.take().unwrap_or_default();
                if !entry.text.trim().is_empty() {
                    self.deliver(entry);
                }
            }
            _ => {}
        }
    }

    /// Says something at the machines that it is for.
    fn deliver(&mut self, Entry { to, text }: Entry) {
        let to = to.into_iter();
        let to = to.filter_map(|n| Some((n, self.tiles.get(n)?.machine.target.clone())));
        let to = to.collect();
        let said = Saying::new(text).map_err(|why| why.to_string());
        let said = said.and_then(|saying| self.errands.say(saying, to, self.security.clone()));
        if let Err(why) = said {
            self.say(why);
        }
    }
}
