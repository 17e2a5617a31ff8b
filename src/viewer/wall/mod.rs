//! The wall: many machines in one window, each of them small, and any of them large when wanted.
//!
//! Each machine has a client of its own, which asks its agent for a rendition: as small as it is
//! shown, and so many pictures a second. So a wall costs its agents little, and the network less.
//! The one that is shown large is asked for all of its screen, over the same connection.
//!
//! | file | what |
//! |---|---|
//! | `grid` | where the tiles are |
//! | `tile` | a machine: which rendition is asked for, what is to be seen of it |
//! | `scene` | all of it drawn |
//! | `input` | what keys and mouse do |
//! | `errands` | screenshots and messages, done beside it |

mod errands;
mod grid;
mod input;
mod scene;
#[cfg(test)]
mod tests;
mod tile;

use super::machine::{Folders, Machine};
use super::options::ClientOptions;
use super::overlay::{LARGE_KEYS, WALL_KEYS};
use super::pane::{Mouse, Pane};
use super::scene::NOTICE;
use super::screen::Screen;
use super::security::Security;
use super::view::{Link, Notice};
use super::window::demand_display;
use crate::address::Target;
use crate::text::printable;
use anyhow::{Context as _, bail};
use errands::{Errands, Told};
use grid::{Grid, parts};
use scene::{Frame, Scene};
use std::collections::HashMap;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tile::{Shot, Tile, Wanted, first_rendition};

/// How long to wait for news before looking at keys, mouse and all machines.
const TURN: Duration = Duration::from_millis(15);

/// How often it is drawn where nothing is heard: words go and come with the time.
const RENEWED: Duration = Duration::from_millis(250);

/// Screenshots that are taken at a time: for each a machine sends all of its screen.
const SHOTS: usize = 4;

/// What can be done where there is no window.
const INSTEAD: &str = "`hightower shot` takes pictures without one";

/// What is asked of a wall.
#[derive(Debug, Clone)]
pub struct WallOptions {
    /// The window's size at first, in pixels.
    pub size: (usize, usize),
    /// How many pictures a second a machine is to send while it is shown small.
    pub max_fps: u32,
    /// Where its keys put things.
    pub folders: Folders,
}

/// Shows machines in one window until that is closed, or `interrupted` is set.
///
/// # Errors
/// When there is no display to open a window on, a folder is none, or the system gives no threads.
pub fn run(
    targets: Vec<Target>,
    client_options: ClientOptions,
    options: WallOptions,
    interrupted: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    options.folders.check()?;
    demand_display(INSTEAD)?;
    let count = targets.len();
    let mut wall = Wall::open(targets, client_options, options)
        .with_context(|| format!("no wall of {count} machines"))?;
    while wall.pane.is_open() && !wall.quit && !interrupted.load(Ordering::Relaxed) {
        wall.turn()?;
    }
    match wall.under_way() {
        Some(left) => bail!("{left} left undone"),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// The window and what it shows.
struct Wall {
    tiles: Vec<Tile>,
    /// What they are called.
    names: Vec<String>,
    security: Security,
    max_fps: u32,
    errands: Errands,
    /// Screenshots that are waited for, those that are written, and those that failed.
    shots: (usize, usize, usize),

    pane: Pane,
    /// The uppermost row.
    top: usize,
    /// The tile that keys are for, unless some are marked.
    cursor: usize,
    /// The cursor's tile is shown large.
    large: bool,
    screen: Screen,
    /// A message that is being typed.
    entry: Option<Entry>,
    help: bool,
    notice: Option<Notice>,
    mouse: Mouse,
    scene: Scene,
    /// When it was looked at last whether anything is to be drawn, and the window's size then.
    drawn: Option<(Instant, (usize, usize))>,
    /// It was said what would be left undone.
    warned: bool,
    quit: bool,
}

/// A message that is being typed.
#[derive(Debug, Default)]
struct Entry {
    /// The tiles that it is for: those that were chosen when it was begun.
    to: Vec<usize>,
    text: String,
}

impl Wall {
    fn open(
        targets: Vec<Target>,
        client_options: ClientOptions,
        options: WallOptions,
    ) -> anyhow::Result<Self> {
        let WallOptions { size, max_fps, folders } = options;
        let pane = Pane::open(&title(targets.len()), size, INSTEAD)?;
        let grid = Grid::new(targets.len(), Frame::place(pane.size()));
        let room = grid.place(0, 0).map_or((0, 0), room_in);
        let first = first_rendition(room, max_fps);
        let security = client_options.security.clone();
        let options =
            ClientOptions { scale: first.scale, max_fps: first.max_fps, ..client_options };
        let errands = Errands::new(folders.screenshots.clone())?;
        let tiles = targets.into_iter().map(|target| {
            let machine = Machine::start(target, options.clone(), folders.clone())?;
            Ok(Tile::new(machine, first))
        });
        let hint = Notice { text: "H shows the keys".into(), at: Instant::now() };
        let tiles = tiles.collect::<std::io::Result<Vec<_>>>()?;
        Ok(Self {
            names: names(&tiles),
            tiles,
            security,
            max_fps,
            errands,
            shots: (0, 0, 0),
            pane,
            top: 0,
            cursor: 0,
            large: false,
            screen: Screen::new(LARGE_KEYS),
            entry: None,
            help: false,
            notice: Some(hint),
            mouse: Mouse::default(),
            scene: Scene::default(),
            drawn: None,
            warned: false,
            quit: false,
        })
    }

    /// One turn: news, keys and mouse, and a drawing when that changed anything.
    fn turn(&mut self) -> anyhow::Result<()> {
        let Some(current) = self.tiles.get_mut(self.cursor) else { return Ok(()) };
        let mut news = if self.large {
            self.screen.wait(&mut current.machine, &self.pane)
        } else {
            let news = current.machine.look(TURN);
            std::thread::sleep(self.pane.wait());
            news
        };
        for tile in &mut self.tiles {
            news |= tile.machine.glance();
        }
        if news {
            self.names = names(&self.tiles);
        }
        news |= self.hear();
        news |= self.input();
        let size = self.pane.size();
        news |= self.drawn.is_none_or(|(at, of)| of != size || at.elapsed() >= RENEWED);
        let grid = self.grid();
        if news {
            self.drawn = Some((Instant::now(), size));
            self.adjust(&grid);
        }
        match self.tiles.get(self.cursor) {
            Some(tile) if self.large => self.screen.draw(&tile.machine, &mut self.pane),
            _ if news => self.draw(&grid),
            _ => self.pane.show(self.scene.pixels(), size, false).map(drop),
        }
    }

    fn grid(&self) -> Grid {
        Grid::new(self.tiles.len(), Frame::place(self.pane.size()))
    }

    /// Asks every machine for what is seen of it.
    fn adjust(&mut self, grid: &Grid) {
        self.top = self.top.min(grid.last_top());
        for (number, tile) in self.tiles.iter_mut().enumerate() {
            let wanted = match grid.place(number, self.top) {
                _ if self.large && number == self.cursor => Wanted::Whole,
                Some(place) if !self.large => Wanted::Fitted(room_in(place), self.max_fps),
                _ => Wanted::Nothing,
            };
            tile.adjust(wanted);
        }
    }

    /// Takes what has come of errands, and of screenshots. Whether anything has.
    fn hear(&mut self) -> bool {
        let told = self.errands.told();
        let mut news = !told.is_empty();
        for told in told {
            match told {
                Told::Shot(tile, Ok(path)) => {
                    self.tell(tile, format!("saved {}", path.display()));
                    self.shot_done(true);
                }
                Told::Shot(tile, Err(why)) => {
                    self.tell(tile, why);
                    self.shot_done(false);
                }
                Told::Said(tile, words) => self.tell(tile, words),
                Told::AllSaid(words) => self.say(words),
            }
        }
        let mut taken = self.tiles.iter().filter(|tile| tile.takes_shot()).count();
        for number in 0..self.tiles.len() {
            let Some(tile) = self.tiles.get_mut(number) else { break };
            if taken < SHOTS && tile.begin_shot() {
                (taken, news) = (taken + 1, true);
            }
            match tile.shot() {
                None => {}
                Some(Shot::Failed(why)) => {
                    self.tell(number, format!("no screenshot: {why}"));
                    self.shot_done(false);
                    news = true;
                }
                Some(Shot::Taken(picture)) => {
                    let name = self.names.get(number).cloned().unwrap_or_default();
                    if !self.errands.write(number, name, picture) {
                        tile.want_shot();
                    }
                    news = true;
                }
            }
        }
        news
    }

    /// A screenshot is there, or there will be none; when it was the last one, that is said.
    fn shot_done(&mut self, well: bool) {
        let (waiting, done, failed) = &mut self.shots;
        *waiting = waiting.saturating_sub(1);
        *(if well { done } else { failed }) += 1;
        if let (0, done, failed) = self.shots {
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            self.say(format!("{} saved{failed}", count_of(done, "screenshot")));
            self.shots = (0, 0, 0);
        }
    }

    fn draw(&mut self, grid: &Grid) -> anyhow::Result<()> {
        let notice = self.notice.as_ref().filter(|notice| notice.at.elapsed() < NOTICE);
        let frame = Frame {
            size: self.pane.size(),
            top: self.top,
            summary: self.summary(grid),
            whom: format!("keys are for {}", self.called(&self.chosen())),
            entry: self
                .entry
                .as_ref()
                .map(|entry| (format!("say to {}:", self.called(&entry.to)), entry.text.clone())),
            notice: notice.map(|notice| notice.text.clone()),
            help: self.help.then_some(WALL_KEYS),
        };
        let size = frame.size;
        let seen = self.tiles.iter_mut().enumerate().filter_map(|(number, tile)| {
            let name = self.names.get(number)?.clone();
            Some(tile.seen(name, grid.place(number, self.top)?, number == self.cursor))
        });
        let new = self.scene.draw(&frame, seen.collect());
        self.pane.show(self.scene.pixels(), size, new)?;
        Ok(())
    }

    /// How things stand on all, in words.
    fn summary(&self, grid: &Grid) -> String {
        let count = |so: fn(&Tile) -> bool| self.tiles.iter().filter(|tile| so(tile)).count();
        let connected = count(|tile| tile.machine.view().link == Link::Connected);
        let locked = count(|tile| tile.machine.view().lock_left().is_some());
        let mut words = vec![format!("{connected} of {} connected", self.tiles.len())];
        if locked > 0 {
            words.push(format!("{locked} locked"));
        }
        if grid.last_top() > 0 {
            let last = (self.top + grid.shown()).min(grid.rows());
            words.push(format!("rows {} to {last} of {}", self.top + 1, grid.rows()));
        }
        words.join("  ·  ")
    }

    /// The tiles that keys are for: those that are marked, or the one with the cursor.
    fn chosen(&self) -> Vec<usize> {
        let marked = self.tiles.iter().enumerate().filter(|(_, tile)| tile.marked);
        let marked: Vec<usize> = marked.map(|(number, _)| number).collect();
        if marked.is_empty() { vec![self.cursor] } else { marked }
    }

    /// What is under way and would be left undone, in words.
    fn under_way(&mut self) -> Option<String> {
        let shots = (self.shots.0 > 0).then(|| count_of(self.shots.0, "screenshot"));
        let sayings = self.errands.sayings();
        let sayings = (sayings > 0).then(|| count_of(sayings, "message"));
        let all: Vec<String> = shots.into_iter().chain(sayings).collect();
        (!all.is_empty()).then(|| all.join(" and "))
    }

    /// Ends it, once nothing is under way or the user does not mind.
    fn leave(&mut self) {
        match self.under_way() {
            Some(left) if !self.warned => {
                self.say(format!("{left} under way: Q again leaves that undone"));
                self.warned = true;
            }
            _ => self.quit = true,
        }
    }

    /// What tiles are called, in words.
    fn called(&self, tiles: &[usize]) -> String {
        match tiles {
            [one] => self.names.get(*one).cloned().unwrap_or_default(),
            all if all.len() == self.tiles.len() => format!("all {} machines", all.len()),
            some => format!("{} marked machines", some.len()),
        }
    }

    /// Says something in the tile of a machine.
    fn tell(&mut self, tile: usize, words: String) {
        if let Some(tile) = self.tiles.get_mut(tile) {
            tile.machine.say(words);
        }
    }

    /// Says something of the whole wall.
    fn say(&mut self, text: String) {
        self.notice = Some(Notice { text, at: Instant::now() });
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        // Each says goodbye, for which the network may take its time: all at once.
        std::thread::scope(|scope| {
            for tile in self.tiles.drain(..) {
                scope.spawn(move || drop(tile.machine));
            }
        });
    }
}

/// What machines are called: by the names that they were named by; those that were named by an
/// address as they call themselves, and by the address too where several do so.
fn names(tiles: &[Tile]) -> Vec<String> {
    let by_address = |tile: &Tile| tile.machine.target.host.parse::<IpAddr>().is_ok();
    let typed = |tile: &Tile| printable(&tile.machine.target.to_string());
    let names = tiles.iter().map(|tile| match by_address(tile) {
        true => tile.machine.name(),
        false => typed(tile),
    });
    let mut names: Vec<String> = names.collect();
    let mut count = HashMap::<String, usize>::new();
    for name in &names {
        *count.entry(name.clone()).or_default() += 1;
    }
    for (name, tile) in names.iter_mut().zip(tiles) {
        if count.get(name).is_some_and(|&count| count > 1) && by_address(tile) {
            *name = format!("{} {name}", typed(tile));
        }
    }
    names
}

/// The title of a window that shows so many machines.
fn title(count: usize) -> String {
    format!("{} – Hightower", count_of(count, "machine"))
}

/// So many of something, in words.
fn count_of(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// The room for the picture in a tile, in pixels.
fn room_in(tile: crate::rect::Rect) -> (usize, usize) {
    let (picture, _) = parts(tile);
    (picture.width, picture.height)
}
