//! From the agent's canvas by encoder, wire, decoder and viewer's canvas to the picture: whatever
//! is drawn, and however slowly it is read, each update that a viewer completes shows the screen
//! of its version.
//!
//! The sockets and the actors are left out, so that chance decides who sends and who reads when.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hightower::canvas::{Canvas, Move, Patch, RGB, Version, move_pixels};
use hightower::png::{Effort, KeyEncoder, Scratch, encode_delta};
use hightower::rect::Rect;
use hightower::viewer::{self, Picture};
use hightower_proto::message::Pong;
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

/// The screen at the beginning.
const SIZE: (usize, usize) = (300, 200);

/// The updates that are sent ahead of their acknowledgements.
const CREDIT: usize = 2;

/// The pictures that a viewer holds on to: a window draws one while others come.
const HELD: usize = 3;

/// A picture: its size, and `0x00RRGGBB` row by row.
#[derive(Debug, Clone, PartialEq)]
struct Screen {
    size: (usize, usize),
    pixels: Vec<u32>,
}

impl Screen {
    fn new(size: (usize, usize)) -> Self {
        let mut screen = Self { size, pixels: vec![0; size.0 * size.1] };
        screen.draw(screen.bounds(), Ink::Text, 1);
        screen
    }

    fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    /// Draws over a part; gives what of it is on the screen.
    fn draw(&mut self, rect: Rect, ink: Ink, seed: u32) -> Rect {
        let rect = rect.intersection(&self.bounds());
        for y in 0..rect.height {
            for x in 0..rect.width {
                let at = (rect.y + y) * self.size.0 + rect.x + x;
                // The first byte has no meaning, and is not to make a difference.
                self.pixels[at] = ink.colour(x as u32, y as u32, seed) | (at as u32) << 24;
            }
        }
        rect
    }

    /// Moves as much of a part as stays on the screen; gives where that lies then.
    fn shift(&mut self, from: Rect, to: (usize, usize)) -> Rect {
        let from = from.intersection(&self.bounds());
        let width = from.width.min(self.size.0.saturating_sub(to.0));
        let height = from.height.min(self.size.1.saturating_sub(to.1));
        let moved = Move { from: Rect { width, height, ..from }, to };
        if moved.from.is_empty() {
            return Rect::default();
        }
        move_pixels(&mut self.pixels, self.size.0, &moved);
        moved.target()
    }

    fn patch(&self, rect: &Rect) -> Patch<'_> {
        let pixels = &self.pixels[rect.y * self.size.0 + rect.x..];
        Patch { rect: *rect, pixels, stride: self.size.0 }
    }

    /// One part in `scale`, as the specification has it.
    fn scaled(&self, scale: usize) -> Self {
        let size = (self.size.0.div_ceil(scale), self.size.1.div_ceil(scale));
        let mut pixels = Vec::with_capacity(size.0 * size.1);
        for y in 0..size.1 {
            for x in 0..size.0 {
                let block = Rect::new(x * scale, y * scale, scale, scale);
                let block = block.intersection(&self.bounds());
                let rows = block.y..block.bottom();
                let row = |y: usize| &self.pixels[y * self.size.0..][block.x..block.right()];
                let all = rows.flat_map(row);
                let sums = all.fold([0; 3], |[r, g, b], pixel| {
                    [r + (pixel >> 16 & 0xff), g + (pixel >> 8 & 0xff), b + (pixel & 0xff)]
                });
                let count = block.area() as u32;
                let [r, g, b] = sums.map(|sum| (2 * sum + count) / (2 * count));
                pixels.push(r << 16 | g << 8 | b);
            }
        }
        Self { size, pixels }
    }
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
enum Ink {
    Plain,
    Text,
    Noise,
    /// Few colours, no order.
    Dither,
    /// Smooth, as photographs are.
    Slope,
}

impl Ink {
    fn colour(self, x: u32, y: u32, seed: u32) -> u32 {
        let noise = mix(x ^ y << 12 ^ seed.wrapping_mul(0x85eb_ca6b));
        match self {
            Self::Plain => seed & RGB,
            Self::Text => {
                let ink = y % 15 < 10 && mix((x / 2) ^ (y << 12) ^ (seed << 4)) & 3 == 0;
                if ink { 0x10_1418 } else { 0xe0_e0e0 }
            }
            Self::Noise => noise & RGB,
            Self::Dither => (noise % (2 + seed % 60)) * 0x03_0507,
            Self::Slope => {
                (x.wrapping_add(seed) & 0xff) << 16 | ((x + y) & 0xff) << 8 | ((y * 2) & 0xff)
            }
        }
    }
}

fn mix(n: u32) -> u32 {
    let n = (n ^ n >> 16).wrapping_mul(0x7feb_352d);
    let n = (n ^ n >> 15).wrapping_mul(0x846c_a68b);
    n ^ n >> 16
}

/// The agent, as far as pixels go through it.
struct Agent {
    canvas: Canvas,
    scratch: Scratch,
    /// One a scale, for all viewers.
    keys: HashMap<usize, KeyEncoder>,
    /// What the screen was at each version.
    history: HashMap<Version, Rc<Screen>>,
}

impl Agent {
    /// Takes what was drawn, or everything, and makes a version of it where it changed something.
    fn capture(&mut self, screen: &Screen, drawn: &mut Vec<Rect>, whole: bool) {
        let all = [screen.bounds()];
        let whole = whole || self.canvas.size() != screen.size;
        let rects = if whole { &all[..] } else { &drawn[..] };
        let rects = rects.iter().filter(|rect| !rect.is_empty());
        let patches: Vec<Patch<'_>> = rects.map(|rect| screen.patch(rect)).collect();
        if self.canvas.update(screen.size, &patches) {
            let version = self.canvas.commit(1);
            let pixels = screen.pixels.iter().map(|pixel| pixel & RGB).collect();
            let seen = Screen { size: screen.size, pixels };
            self.history.insert(version, Rc::new(seen));
        }
        drawn.clear();
    }

    /// The bytes of a step from `base` to now, and whether it is a delta.
    fn encode(&mut self, base: Option<Version>, scale: usize, effort: Effort) -> (Vec<u8>, bool) {
        let update = base.and_then(|base| self.canvas.delta(base, scale));
        let delta = update.is_some();
        let pieces = match update {
            Some(update) => encode_delta(&update, &mut self.scratch, effort).unwrap(),
            None => {
                let keys = self.keys.entry(scale).or_default();
                let whole = self.canvas.whole(scale, keys.known());
                keys.encode(&whole).unwrap()
            }
        };
        (pieces.concat(), delta)
    }
}

/// A viewer, its connection, and what the agent knows of both.
struct Viewer {
    delta: bool,
    scale: usize,
    have: Version,
    base: Option<Version>,
    unacknowledged: VecDeque<Version>,
    refresh: bool,
    /// Bytes under way.
    link: VecDeque<u8>,
    decoder: Decoder,
    canvas: viewer::Canvas,
    held: VecDeque<Picture>,
    shown: Version,
}

impl Viewer {
    fn new(delta: bool, scale: usize) -> Self {
        Self {
            delta,
            scale,
            have: 0,
            base: None,
            unacknowledged: VecDeque::new(),
            refresh: false,
            link: VecDeque::new(),
            decoder: Decoder::new(Options::viewer()),
            canvas: viewer::Canvas::new(Limits::default()),
            held: VecDeque::new(),
            shown: 0,
        }
    }

    /// The connection breaks, and is made anew.
    fn reconnect(&mut self) {
        self.canvas.forget();
        let canvas = std::mem::take(&mut self.canvas);
        let held = std::mem::take(&mut self.held);
        *self = Self { canvas, held, ..Self::new(self.delta, self.scale) };
    }

    /// The agent sends the step to now, where there is one and the viewer has room for it.
    fn send(&mut self, agent: &mut Agent, effort: Effort) {
        let now = agent.canvas.version();
        let wanted = now > self.have || self.refresh && now > 0;
        if !wanted || self.unacknowledged.len() == CREDIT {
            return;
        }
        let base = self.base.filter(|_| self.delta && !self.refresh);
        let (bytes, delta) = agent.encode(base, self.scale, effort);
        assert!(!delta || base.is_some());
        self.link.extend(bytes);
        (self.have, self.base, self.refresh) = (now, Some(now), false);
        self.unacknowledged.push_back(now);
        // Packets come between updates.
        if now.is_multiple_of(5) {
            self.link.extend(Message::Pong(Pong { ping_us: 1, clock_us: 2 }).encode());
        }
    }

    /// The viewer reads so many bytes of what is under way, and shows what that makes.
    fn read(&mut self, bytes: usize, history: &HashMap<Version, Rc<Screen>>) {
        let bytes = bytes.min(self.link.len());
        let piece: Vec<u8> = self.link.drain(..bytes).collect();
        self.decoder.feed(&piece);
        while let Some(item) = self.decoder.next_item().unwrap() {
            let Item::Frame(frame) = item else { continue };
            if let Some(picture) = self.canvas.apply(&frame, Instant::now()).unwrap() {
                self.show(picture, history);
            }
        }
    }

    fn show(&mut self, picture: Picture, history: &HashMap<Version, Rc<Screen>>) {
        let version = picture.version.unwrap();
        assert!(version > self.shown || version == self.shown && picture.damage().len() == 1);
        self.is_true(&picture, history);
        for before in &self.held {
            // What was handed over stays, whatever comes after it.
            self.is_true(before, history);
            only_the_damage_differs(before, &picture);
        }
        while self.unacknowledged.front().is_some_and(|&sent| sent <= version) {
            self.unacknowledged.pop_front();
        }
        self.shown = version;
        if self.held.len() == HELD {
            self.held.pop_front();
        }
        self.held.push_back(picture);
    }

    /// A picture is the screen of its version.
    fn is_true(&self, picture: &Picture, history: &HashMap<Version, Rc<Screen>>) {
        let version = picture.version.unwrap();
        let screen = &history[&version];
        let scaled;
        let expected = if self.scale == 1 {
            &**screen
        } else {
            scaled = screen.scaled(self.scale);
            &scaled
        };
        assert_eq!((picture.width, picture.height), expected.size, "version {version}");
        for (y, row) in picture.rows().enumerate() {
            let expected = &expected.pixels[y * picture.width..][..picture.width];
            assert!(row == expected, "version {version}, row {y}: {row:x?} not {expected:x?}");
        }
    }
}

/// A window draws anew what a picture says is damage, and nothing else.
fn only_the_damage_differs(before: &Picture, now: &Picture) {
    let Some(damage) = now.damage_since(before.sequence) else { return };
    if (before.width, before.height) != (now.width, now.height) {
        let area: usize = damage.iter().map(Rect::area).sum();
        assert!(area >= now.width * now.height, "another size is damage everywhere");
        return;
    }
    for y in 0..now.height {
        let mut row = before.row(y).to_vec();
        for rect in damage.iter().filter(|rect| (rect.y..rect.bottom()).contains(&y)) {
            let columns = rect.x..rect.right();
            row[columns.clone()].copy_from_slice(&now.row(y)[columns]);
        }
        assert!(row == now.row(y), "row {y} differs beside the damage");
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Act {
    Draw(Rect, Ink, u32),
    Shift(Rect, (usize, usize)),
    /// So many small changes, each with a version.
    Flurry(usize),
    Resize(usize, usize),
    /// The agent takes what was drawn, or (true) everything.
    Capture(bool),
    /// The agent sends this viewer what it lacks, with that effort.
    Send(usize, Effort),
    /// This viewer reads so many bytes.
    Read(usize, usize),
    /// This viewer is told to begin anew.
    Refresh(usize),
    Reconnect(usize),
}

fn rect() -> impl Strategy<Value = Rect> {
    (0usize..300, 0usize..200, 1usize..260, 1usize..180)
        .prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
}

fn ink() -> impl Strategy<Value = Ink> {
    let inks = [Ink::Plain, Ink::Text, Ink::Noise, Ink::Dither, Ink::Slope];
    prop::sample::select(inks.to_vec())
}

/// Whole updates, or pieces of a frame.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![Just(usize::MAX), 1usize..40, 1usize..20_000]
}

const VIEWERS: usize = 5;

/// Three that take deltas, a smaller one that does, and one that takes whole frames alone.
fn viewers() -> Vec<Viewer> {
    [(true, 1), (true, 1), (true, 1), (true, 3), (false, 1)].map(|(d, s)| Viewer::new(d, s)).into()
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..VIEWERS;
    prop_oneof![
        50 => (rect(), ink(), any::<u32>()).prop_map(|(r, i, s)| Act::Draw(r, i, s)),
        30 => (rect(), (0usize..300, 0usize..200)).prop_map(|(r, to)| Act::Shift(r, to)),
        50 => (rect(), -40isize..41, -40isize..41).prop_map(|(r, dx, dy)| {
            Act::Shift(r, (r.x.saturating_add_signed(dx), r.y.saturating_add_signed(dy)))
        }),
        3 => (1usize..260).prop_map(Act::Flurry),
        2 => (1usize..330, 1usize..220).prop_map(|(w, h)| Act::Resize(w, h)),
        90 => any::<bool>().prop_map(Act::Capture),
        90 => (who(), prop::sample::select(&Effort::ALL[..])).prop_map(|(v, effort)| Act::Send(v, effort)),
        110 => (who(), length()).prop_map(|(v, bytes)| Act::Read(v, bytes)),
        2 => who().prop_map(Act::Refresh),
        2 => who().prop_map(Act::Reconnect),
    ]
}

/// Does all that; at the end everybody is brought up to date.
fn run(size: (usize, usize), acts: Vec<Act>) {
    let mut screen = Screen::new(size);
    let mut drawn = Vec::new();
    let mut agent = Agent {
        canvas: Canvas::new(),
        scratch: Scratch::default(),
        keys: HashMap::new(),
        history: HashMap::new(),
    };
    let mut viewers = viewers();
    for act in acts {
        match act {
            Act::Draw(rect, ink, seed) => drawn.push(screen.draw(rect, ink, seed)),
            Act::Shift(from, to) => drawn.push(screen.shift(from, to)),
            Act::Flurry(times) => {
                for i in 0..times {
                    let rect = Rect::new(i % 7, i % 5, 9, 3);
                    drawn.push(screen.draw(rect, Ink::Plain, i as u32));
                    agent.capture(&screen, &mut drawn, false);
                }
            }
            Act::Resize(width, height) => {
                screen = Screen::new((width, height));
                drawn.clear();
            }
            Act::Capture(whole) => agent.capture(&screen, &mut drawn, whole),
            Act::Send(i, effort) => viewers[i].send(&mut agent, effort),
            Act::Read(i, bytes) => viewers[i].read(bytes, &agent.history),
            Act::Refresh(i) => {
                let viewer = &mut viewers[i];
                (viewer.base, viewer.refresh) = (None, true);
                viewer.unacknowledged.clear();
            }
            Act::Reconnect(i) => viewers[i].reconnect(),
        }
    }
    agent.capture(&screen, &mut drawn, true);
    for viewer in &mut viewers {
        // What was sent before may have used up the credit.
        viewer.read(usize::MAX, &agent.history);
        viewer.send(&mut agent, Effort::Fast);
        viewer.read(usize::MAX, &agent.history);
        assert_eq!(viewer.shown, agent.canvas.version());
        viewer.decoder.finish().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_update_that_a_viewer_completes_is_the_screen_of_its_version(
        acts in prop::collection::vec(act(), 1..400)
    ) {
        run(SIZE, acts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where frames are cut, and encoded on two threads.
    #[test]
    fn on_a_large_screen_too(acts in prop::collection::vec(act(), 1..200)) {
        let larger = |rect: Rect| Rect::new(rect.x * 3, rect.y * 3, rect.width * 3, rect.height * 3);
        let acts = acts.into_iter().map(|act| match act {
            Act::Draw(rect, ink, seed) => Act::Draw(larger(rect), ink, seed),
            Act::Shift(from, to) => Act::Shift(larger(from), (to.0 * 3, to.1 * 3)),
            Act::Resize(width, height) => Act::Resize(width * 3, height * 3),
            act => act,
        });
        run((900, 600), acts.collect());
    }
}
