//! The window and the wall through a network that is cut: that the picture is lost is said, and it
//! is back by itself, pixel for pixel.

use crate::common::{Agent, PATIENCE, card};
use crate::room::Room;
use crate::site::short_cuts;
use crate::words::Words;
use crate::xvfb::Xvfb;
use std::cell::Cell;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the machines show, and how often a second.
const CARD: (usize, usize) = (320, 200);
const FPS: f64 = 20.0;

/// The machine that is cut off.
const CUT: usize = 2;

/// Where the picture of each of three machines is in a wall of this size: pixel for pixel, with a
/// gap of 6 around and a line of 20 below.
const WALL: (u32, u32) = (3 * (320 + 6) + 6, 6 + 200 + 20 + 6 + 26);
const TILES: [(usize, usize); 3] = [(6, 6), (332, 6), (658, 6)];

/// The window that shows one: the picture, and a line below it.
const WINDOW: (u32, u32) = (320, 200 + 26);

const GOOD: u32 = 0x4c_c38a;
const BAD: u32 = 0xff_6b5e;
const LINE: u32 = 0x1b_2229;

/// A program with a window on a display of its own; both are ended when this is dropped.
struct Glass {
    program: Child,
    display: Xvfb,
    begun: Instant,
}

impl Glass {
    /// `None`, with a word, where there is no Xvfb.
    fn open(command: &mut Command, (width, height): (u32, u32)) -> Option<Self> {
        let display = Xvfb::start(width as u16, height as u16)?;
        command.env("DISPLAY", &display.display).env_remove("WAYLAND_DISPLAY");
        let program = command.stdout(Stdio::null()).spawn().unwrap();
        let glass = Self { program, display, begun: Instant::now() };
        let (window, ..) = glass.display.window();
        glass.display.place(window, width, height);
        Some(glass)
    }

    fn columns(&self) -> usize {
        self.display.size.0.into()
    }

    /// The number of the card whose pixels these are, from this place on, if it is one.
    fn card(&self, pixels: &[u32], (x, y): (usize, usize)) -> Option<u64> {
        let rows = (y..y + CARD.1).map(|y| &pixels[y * self.columns() + x..][..CARD.0]);
        let about = self.begun.elapsed().as_secs() * FPS as u64;
        card::number(CARD, FPS, &rows.collect::<Vec<_>>().concat(), about)
    }

    /// Waits for a card that is later than this one, and gives its number.
    fn await_later(&self, place: (usize, usize), than: u64) -> u64 {
        let number = Cell::new(0);
        self.display.wait_for(&format!("a card after {than} at {place:?}"), |pixels| {
            number.set(self.card(pixels, place).unwrap_or(0));
            number.get() > than
        });
        number.get()
    }

    /// Waits until the card there is always the same, and gives its number.
    fn await_still(&self, place: (usize, usize)) -> u64 {
        let (mut before, end) = (None, Instant::now() + PATIENCE);
        loop {
            let now = self.card(&self.display.pixels(), place);
            match now.filter(|_| now == before) {
                Some(number) => return number,
                None => before = now,
            }
            assert!(Instant::now() < end, "it is never still");
            // Longer than from one card to the next, several times.
            sleep(Duration::from_millis(300));
        }
    }

    /// Waits until no card is there, and these words in the line below the place.
    fn await_lost(&self, place: (usize, usize), words: Words<'_>, height: usize) {
        let below = (place.0, place.1 + CARD.1, CARD.0, height);
        self.display.wait_for(&format!("{words:?} at {place:?}"), |pixels| {
            words.stand_in(pixels, self.columns(), below) && self.card(pixels, place).is_none()
        });
    }
}

impl Drop for Glass {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

#[test]
fn a_window_and_a_wall_live_through_a_cut_and_say_what_is_lost_meanwhile() {
    let Some(room) = Room::furnish("glass", 3) else { return };
    let args = ["--card-size", "320x200", "--max-fps", "20"];
    let agents: Vec<Agent> = (1..=3)
        .map(|machine| {
            room.allow(machine, "view,control");
            room.agent(machine, &format!("10.72.84.{machine}:18516"), &args)
        })
        .collect();
    (1..=3).for_each(|machine| room.trust(machine));
    let hosts = ["10.72.84.1", "10.72.84.2", "10.72.84.3"];
    let size = format!("{}x{}", WALL.0, WALL.1);
    let wall = [&["wall", "--size", &size, "--fps", "20"], &hosts[..]].concat();
    let Some(wall) = Glass::open(&mut room.operates(&wall), WALL) else { return };
    let size = format!("{}x{}", WINDOW.0, WINDOW.1);
    let view = ["view", "--size", &size, hosts[CUT - 1]];
    let Some(window) = Glass::open(&mut room.operates(&view), WINDOW) else { return };
    let (tile, whole) = (TILES[CUT - 1], (0, 0));
    let others = || TILES.into_iter().filter(|place| *place != tile);
    for place in TILES {
        wall.await_later(place, 0);
    }

    // Pulls the cable; what was shown last is shown still.
    let pull = || {
        room.plug(CUT, false);
        [wall.await_still(tile), window.await_still(whole)]
    };
    for cut in short_cuts() {
        let begun = Instant::now();
        let last = pull();
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(cut.saturating_sub(begun.elapsed()));
        let newest: Vec<u64> = others().map(|place| wall.await_later(place, 0)).collect();
        room.plug(CUT, true);
        let since = Instant::now();
        let now = [wall.await_later(tile, last[0]), window.await_later(whole, last[1])];
        println!("{cut:?}: back after {:?}, {last:?}, {now:?}", since.elapsed());
        // What was to be seen of the others was not touched by it.
        for (place, before) in others().zip(newest) {
            wall.await_later(place, before);
        }
    }

    // As long as it takes until it is known that there is nobody.
    let last = pull();
    let words = |text, px| Words { text, px, color: BAD, ground: LINE };
    wall.await_lost(tile, words("disconnected", 12), 20);
    window.await_lost(whole, words("disconnected", 14), 26);
    for place in others() {
        let now = wall.await_later(place, 0);
        wall.await_later(place, now);
    }
    room.plug(CUT, true);
    wall.await_later(tile, last[0]);
    window.await_later(whole, last[1]);
    let below = (0, CARD.1, CARD.0, 26);
    let connected = Words { text: "connected", px: 14, color: GOOD, ground: LINE };
    window.display.wait_for("that it is connected", |pixels| {
        connected.stand_in(pixels, window.columns(), below)
    });
    drop(agents);
}
