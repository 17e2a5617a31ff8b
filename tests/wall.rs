//! The wall: many machines in one window.

// A test that can't go on has failed: unwrapping is how it says so.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/fake_agent.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod fake_agent;
#[path = "common/words.rs"]
mod words;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{card, decode};
use fake_agent::{FakeAgent, LONG, Viewer, rgb_frame};
use hightower::agent::{Background, Config};
use hightower::source::{Card, Kind};
use hightower_proto::Message;
use hightower_proto::message::{Capture, Hello, Reply, State, Welcome};
use std::collections::HashSet;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use words::Words;
use xvfb::Xvfb;

/// A wall as a process; ended when the test fails.
struct Wall(Child);

impl Wall {
    fn open(xvfb: &Xvfb, hosts: &[String], args: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_hightower"))
            .arg("wall")
            .args(hosts)
            .args(args)
            .env("DISPLAY", &xvfb.display)
            .env("HIGHTOWER_NO_DISCOVERY", "true")
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Its exit, which must come by itself.
    fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the wall never closed");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pixels of a part of the display: left, upper, width, height.
fn part(pixels: &[u32], width: usize, (x, y, w, h): (usize, usize, usize, usize)) -> Vec<u32> {
    (y..y + h).flat_map(|row| pixels[row * width + x..][..w].to_vec()).collect()
}

/// Where the pictures of 30 tiles are in a window of 1280×746 at the upper left corner.
fn places() -> Vec<(usize, usize, usize, usize)> {
    // Six columns, five rows; a gap of 6, a caption of 20.
    let (wide, high) = ((1280 - 6) / 6, (746 - 26 - 6) / 5);
    let place = |n: usize| (6 + n % 6 * wide, 6 + n / 6 * high, wide - 6, high - 26);
    (0..30).map(place).collect()
}

#[test]
fn thirty_machines_are_seen_at_once_and_each_of_them_whole() {
    let Some(xvfb) = Xvfb::start(1280, 800) else { return };
    let width = usize::from(xvfb.size.0);
    let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    config.source.kind = Kind::Card;
    let start = Instant::now();
    let agents: Vec<_> = (0..30).map(|_| Background::start(config.clone()).unwrap()).collect();
    let hosts: Vec<String> = agents.iter().map(|agent| agent.address().to_string()).collect();
    let mut wall = Wall::open(&xvfb, &hosts, &["--fps", "2"]);
    let (id, title, _) = xvfb.window();
    assert_eq!(title, "30 machines – Hightower");
    xvfb.place(id, 1280, 746);

    // Every tile is a card, made small: many colours, and it moves.
    let colours = |pixels: &[u32], place| {
        part(pixels, width, place).into_iter().collect::<HashSet<_>>().len()
    };
    let alive = |pixels: &[u32]| places().into_iter().all(|place| colours(pixels, place) > 40);
    let first = xvfb.wait_for("thirty cards", alive);
    xvfb.wait_for("thirty cards that move", |pixels| {
        let moved = |place| part(pixels, width, place) != part(&first, width, place);
        places().into_iter().all(moved)
    });

    // Any of them large is the card itself: at this size, pixel for pixel. What does not begin as all
    // of them do need not be compared with each.
    let first_row = Card::new(1280, 720, 30.0).draw(0)[..width].to_vec();
    for (right, down) in [(3, 2), (5, 1)] {
        (0..right).for_each(|_| xvfb.key("Right"));
        (0..down).for_each(|_| xvfb.key("Down"));
        xvfb.key("Return");
        let whole = (0, 0, 1280, 720);
        let about = start.elapsed().as_secs() * 30;
        xvfb.wait_for("a whole card", |pixels| {
            let whole = || part(pixels, width, whole);
            pixels[..width] == first_row[..]
                && card::number((1280, 720), 30.0, &whole(), about).is_some()
        });
        xvfb.key("Escape");
        xvfb.wait_for("the wall again", alive);
    }
    xvfb.key("q");
    assert_eq!(wall.exit().code(), Some(0));
}

/// A wall of three agents that say what is wanted.
struct Three {
    xvfb: Xvfb,
    agents: [FakeAgent; 3],
    viewers: Vec<Viewer>,
    hellos: Vec<Hello>,
    wall: Wall,
    folder: tempfile::TempDir,
}

fn hello(viewer: &mut Viewer) -> Hello {
    match viewer.expect(|m| matches!(m, Message::Hello(_))) {
        Message::Hello(hello) => hello,
        other => panic!("{other:?}"),
    }
}

/// What a viewer says until it says this, which it must.
fn before(viewer: &mut Viewer, last: &Message) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        match viewer.hear() {
            Some(message) if message == *last => return all,
            Some(message) => all.push(message),
            None => panic!("it never said {last:?}, but {all:?}"),
        }
    }
}

/// A picture of 1920×1080 at this scale, all of one colour.
fn plain(scale: u32, version: u64, colour: u32) -> Vec<u8> {
    rgb_frame(1920u32.div_ceil(scale), 1080u32.div_ceil(scale), version, &|_, _| colour)
}

const COLOURS: [u32; 3] = [0xc8_1e1e, 0x1e_c81e, 0x1e_1ec8];

impl Three {
    fn open() -> Option<Self> {
        Self::called(["lab-7"; 3])
    }

    /// The same, of agents that call themselves so.
    fn called(names: [&str; 3]) -> Option<Self> {
        let xvfb = Xvfb::start(1280, 800)?;
        let folder = tempfile::tempdir().unwrap();
        let agents = [FakeAgent::new(), FakeAgent::new(), FakeAgent::new()];
        let hosts = agents.each_ref().map(|agent| agent.target().to_string());
        let args = ["--size", "960x480", "--fps", "7", "--screenshots"];
        let args = [&args[..], &[folder.path().to_str().unwrap()]].concat();
        let wall = Wall::open(&xvfb, &hosts, &args);
        let (mut viewers, mut hellos) = (Vec::new(), Vec::new());
        for ((agent, colour), name) in agents.iter().zip(COLOURS).zip(names) {
            let mut viewer = agent.accept();
            let hello = hello(&mut viewer);
            let welcome = Welcome { host: name.into(), ..fake_agent::welcome(true) };
            viewer.say(&Message::Welcome(welcome));
            viewer.frame(&plain(hello.scale, 1, colour));
            viewers.push(viewer);
            hellos.push(hello);
        }
        xvfb.wait_for("three pictures", |p| COLOURS.iter().all(|colour| p.contains(colour)));
        Some(Self { xvfb, agents, viewers, hellos, wall, folder })
    }

    /// Waits until so many pixels have this colour.
    fn shown(&self, colour: u32, least: usize) {
        self.xvfb.wait_for(&format!("{least} pixels of {colour:06x}"), |p| {
            p.iter().filter(|&&p| p == colour).count() >= least
        });
    }
}

#[test]
fn one_after_the_other_is_shown_large_whatever_each_has_sent() {
    let Some(mut three) = Three::open() else { return };
    three.xvfb.key("Return");
    assert_eq!(hello(&mut three.viewers[0]).scale, 1);
    // Many pictures of the first, of the second but one.
    for version in 2..12 {
        three.viewers[0].frame(&plain(1, version, 0x10_0000 + version as u32));
    }
    three.shown(0x10_0000 + 11, 100_000);
    three.xvfb.key("Right");
    three.viewers[1].expect(|m| matches!(m, Message::Hello(hello) if hello.scale == 1));
    let asked = hello(&mut three.viewers[0]);
    assert_eq!((asked.scale, asked.max_fps), (5, 1), "as small as it was");
    for version in 2..4 {
        three.viewers[1].frame(&plain(1, version, 0x20_0000 + version as u32));
        three.shown(0x20_0000 + version as u32, 100_000);
        // Long enough for a rate, which is what has to be right.
        std::thread::sleep(Duration::from_millis(150));
    }
    // Back by a click, and to the first again.
    three.xvfb.press_until((300, 200), "1", "the wall", |p| p.contains(&COLOURS[2]));
    three.xvfb.key("Left");
    three.xvfb.key("Return");
    three.shown(0x10_0000 + 11, 100_000);
    three.xvfb.key("q");
    assert_eq!(three.wall.exit().code(), Some(0));
}

#[test]
fn a_window_of_any_size_is_drawn() {
    let Some(mut three) = Three::open() else { return };
    let (id, ..) = three.xvfb.window();
    for (width, height) in [(640, 120), (1280, 140), (600, 60), (60, 300), (30, 30), (960, 480)] {
        three.xvfb.place(id, width, height);
        // A message is begun and given up, in a line that may have no room at all.
        three.xvfb.act((10, 10), &["key", "t"]);
        three.xvfb.act((10, 10), &["key", "o"]);
        three.xvfb.act((10, 10), &["key", "Escape"]);
    }
    three.xvfb.wait_for("three pictures", |p| COLOURS.iter().all(|colour| p.contains(colour)));
    three.xvfb.act((10, 10), &["key", "q"]);
    assert_eq!(three.wall.exit().code(), Some(0));
}

#[test]
fn what_was_seen_before_is_not_shown_as_if_it_were_now() {
    let Some(mut three) = Three::open() else { return };
    let is_dimmed = |p: &[u32]| !p.contains(&COLOURS[0]) && p.contains(&COLOURS[1]);
    // Its monitoring is stopped: what was seen last is dimmed.
    three.viewers[0].say(&Message::State(fake_agent::state(false)));
    three.xvfb.wait_for("the stopped one dimmed", is_dimmed);
    three.viewers[0].say(&Message::State(fake_agent::state(true)));
    three.viewers[0].frame(&plain(5, 2, COLOURS[0]));
    three.shown(COLOURS[0], 10_000);
    // It goes, and comes again, and the person there is asked.
    drop(three.viewers.remove(0));
    three.xvfb.wait_for("the lost one dimmed", is_dimmed);
    let mut again = three.agents[0].accept();
    let scale = hello(&mut again).scale;
    let mut welcome = fake_agent::welcome(true);
    welcome.state.asking = true;
    again.say(&Message::Welcome(welcome));
    // It is large, and no picture of before is saved.
    three.xvfb.key("Return");
    three.xvfb.key("p");
    three.xvfb.key("Escape");
    assert!(is_dimmed(&three.xvfb.wait_for("the wall", |p| p.contains(&COLOURS[1]))));
    again.say(&Message::State(fake_agent::state(true)));
    again.frame(&plain(scale, 1, 0x55_5500));
    three.shown(0x55_5500, 10_000);
    three.xvfb.key("q");
    three.xvfb.key("q");
    three.wall.exit();
    assert_eq!(std::fs::read_dir(three.folder.path()).unwrap().count(), 0);
}

/// The window in which three tiles are side by side, and the line below the picture of each: with
/// a gap of 6 around, a picture of 320x200 above and the wall's own line of 26 below.
const SIDE_BY_SIDE: (u32, u32) = (3 * 326 + 6, 6 + 200 + 20 + 6 + 26);
const CAPTIONS: [(usize, usize, usize, usize); 3] =
    [(6, 206, 320, 20), (332, 206, 320, 20), (658, 206, 320, 20)];

const LINE: u32 = 0x1b_2229;
const WARNING: u32 = 0xf2_c14e;
const BAD: u32 = 0xff_6b5e;

#[test]
fn a_tile_says_who_it_is_and_what_is_the_matter() {
    // The last would clear a screen and turn what follows round.
    let names = ["lab-1", "Übungsraum", "lab\u{1b}[2J\u{202e}3"];
    let shown = ["lab-1", "Übungsraum", "lab\u{fffd}[2J\u{fffd}3"];
    let Some(mut three) = Three::called(names) else { return };
    let (id, ..) = three.xvfb.window();
    three.xvfb.place(id, SIDE_BY_SIDE.0, SIDE_BY_SIDE.1);
    let columns = usize::from(three.xvfb.size.0);
    let stands = |pixels: &[u32], tile: usize, text: &str, color: u32| {
        Words { text, px: 12, color, ground: LINE }.stand_in(pixels, columns, CAPTIONS[tile])
    };
    let is_empty = |pixels: &[u32], tile: usize| {
        let (x, y, width, height) = CAPTIONS[tile];
        let right = (x + width / 2, y, width / 2, height);
        part(pixels, columns, right).iter().all(|&pixel| pixel == LINE)
    };
    // What is well goes without saying.
    let pixels = three.xvfb.wait_for("three names, and no more", |pixels| {
        (0..3).all(|tile| stands(pixels, tile, shown[tile], 0xff_ffff) && is_empty(pixels, tile))
    });
    for other in ["lab-2", "lab", "ab-1"] {
        assert!(!stands(&pixels, 0, other, 0xff_ffff), "'{other}' is read where it does not stand");
    }

    let running = || fake_agent::state(true);
    let cause = || "the monitor is asleep".to_owned();
    for (state, words, color) in [
        (fake_agent::state(false), "monitoring stopped", WARNING),
        (State { asking: true, ..running() }, "asking the person there", WARNING),
        (
            State { capture: Capture::Failed { cause: cause() }, ..running() },
            "screen can't be captured",
            BAD,
        ),
        (State { insecure: true, ..running() }, "insecure", BAD),
        (running(), "", BAD),
    ] {
        three.viewers[1].say(&Message::State(state));
        three.xvfb.wait_for(&format!("{words:?} in the second tile"), |pixels| {
            let says = match words.is_empty() {
                true => is_empty(pixels, 1),
                false => stands(pixels, 1, words, color),
            };
            let others = [0, 2].into_iter().all(|tile| is_empty(pixels, tile));
            says && others && (0..3).all(|tile| stands(pixels, tile, shown[tile], 0xff_ffff))
        });
    }

    // A lock's lease counts down; the worst of two gives the colour.
    let counts = |pixels: &[u32], more: &str, color: u32| {
        (1..=60).find(|left| stands(pixels, 0, &format!("locked {left} s{more}"), color))
    };
    let locked = State { lock_ms: Some(60_000), ..running() };
    three.viewers[0].say(&Message::State(locked.clone()));
    let pixels = three.xvfb.wait_for("a lock", |p| counts(p, "", WARNING).is_some());
    let left = counts(&pixels, "", WARNING).unwrap();
    three.xvfb.wait_for("less of it", |p| counts(p, "", WARNING).is_some_and(|now| now < left));
    three.viewers[0].say(&Message::State(State { insecure: true, ..locked }));
    three.xvfb.wait_for("both", |p| counts(p, ", insecure", BAD).is_some());

    // Who is gone is called by the name of before.
    drop(three.viewers.remove(2));
    drop(three.agents);
    three.xvfb.wait_for("the third one gone", |pixels| {
        stands(pixels, 2, "disconnected", BAD) && stands(pixels, 2, shown[2], 0xff_ffff)
    });
    three.xvfb.act((10, 10), &["key", "q"]);
    assert_eq!(three.wall.exit().code(), Some(0));
}

#[test]
fn what_is_under_way_is_not_left_without_a_word() {
    let Some(mut three) = Three::open() else { return };
    three.xvfb.key("a");
    three.xvfb.key("p");
    for viewer in &mut three.viewers {
        assert_eq!(hello(viewer).scale, 1);
    }
    three.viewers[0].frame(&plain(1, 2, 0x77_0000));
    three.xvfb.key("Escape");
    three.xvfb.key("q");
    // It is still there, and goes on.
    three.shown(0x77_0000, 10_000);
    three.xvfb.key("q");
    assert_eq!(three.wall.exit().code(), Some(1), "two are left undone");
}

#[test]
fn agents_are_asked_for_no_more_than_is_seen() {
    let Some(mut three) = Three::open() else { return };
    // Two columns, two rows: 352x198 pixels for a picture, and a fifth of the screen is no smaller.
    for hello in &three.hellos {
        assert_eq!((hello.scale, hello.max_fps, hello.watch), (5, 7, true));
    }
    let (id, ..) = three.xvfb.window();
    three.xvfb.place(id, 1280, 746);
    for viewer in &mut three.viewers {
        let asked = hello(viewer);
        assert_eq!((asked.scale, asked.max_fps), (3, 7), "it is shown larger");
        viewer.frame(&plain(3, 2, 0x12_3456));
    }
    three.xvfb.key("Return");
    let asked = hello(&mut three.viewers[0]);
    assert_eq!((asked.scale, asked.max_fps), (1, 0), "all of the one that is large");
    for viewer in &mut three.viewers[1..] {
        let asked = hello(viewer);
        assert_eq!((asked.scale, asked.max_fps), (3, 1), "no more than a sign of life of others");
    }
    three.viewers[0].frame(&plain(1, 3, 0xab_cdef));
    three.xvfb.wait_for("the large picture", |p| {
        p.iter().filter(|&&p| p == 0xab_cdef).count() > 1280 * 600
    });
    three.xvfb.key("Escape");
    for viewer in &mut three.viewers {
        let asked = hello(viewer);
        assert_eq!((asked.scale, asked.max_fps), (3, 7), "small again");
    }
}

#[test]
fn keys_are_for_the_one_with_the_frame_or_for_those_marked() {
    let Some(mut three) = Three::open() else { return };
    let lock = Message::LockMouse { lease_ms: None };
    three.xvfb.key("Right");
    three.xvfb.key("l");
    assert_eq!(three.viewers[1].expect(|m| *m == lock), lock);
    three.xvfb.key("a");
    three.xvfb.key("x");
    for viewer in &mut three.viewers {
        let before = before(viewer, &Message::StopMonitor);
        assert!(!before.contains(&lock), "the lock was for one alone");
    }
    // The first and the last, without the one between.
    three.xvfb.key("space");
    three.xvfb.key("u");
    for n in [0, 2] {
        three.viewers[n].expect(|m| *m == Message::UnlockMouse);
    }
    three.xvfb.key("Escape");
    three.xvfb.key("s");
    let before = before(&mut three.viewers[1], &Message::StartMonitor);
    assert!(!before.contains(&Message::UnlockMouse), "it was not marked");
    // An agent that goes is said in its tile, and the others stay.
    drop(three.viewers.remove(0));
    drop(three.agents);
    let dimmed = |p: &[u32]| {
        let red = |p: u32| (p >> 16) & 0xff > 40 && p & 0xffff < 0x3030 && p != COLOURS[0];
        !p.contains(&COLOURS[0]) && p.iter().filter(|&&p| red(p)).count() > 10_000
    };
    three.xvfb.wait_for("the lost one dimmed", dimmed);
    three.xvfb.key("q");
    for viewer in &mut three.viewers {
        assert!(matches!(viewer.rest().last(), Some(Message::Goodbye(_))));
    }
    assert_eq!(three.wall.exit().code(), Some(0));
}

#[test]
fn a_screenshot_of_a_small_one_has_the_screens_own_size() {
    let Some(mut three) = Three::open() else { return };
    three.xvfb.key("a");
    three.xvfb.key("p");
    for (viewer, colour) in three.viewers.iter_mut().zip(COLOURS) {
        let asked = hello(viewer);
        assert_eq!((asked.scale, asked.max_fps), (1, 1));
        // One of the old size is under way still.
        viewer.frame(&plain(5, 2, 0x77_7777));
        viewer.frame(&plain(1, 3, colour ^ 0x01_0101));
        assert_eq!(hello(viewer).scale, 5, "and then it is small again");
    }
    let end = Instant::now() + LONG;
    let files = || -> Vec<_> {
        let files = std::fs::read_dir(three.folder.path()).unwrap().map(|f| f.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == "png")).collect()
    };
    while files().len() < 3 {
        assert!(Instant::now() < end, "three files: {:?}", files());
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut colours = HashSet::new();
    for file in files() {
        let (width, height, samples) = decode(&std::fs::read(file).unwrap());
        assert_eq!((width, height), (1920, 1080));
        assert!(samples.as_chunks::<3>().0.iter().all(|pixel| pixel[..] == samples[..3]));
        colours.insert(u32::from_be_bytes([0, samples[0], samples[1], samples[2]]));
    }
    assert_eq!(colours, COLOURS.map(|colour| colour ^ 0x01_0101).into());
}

#[test]
fn a_message_is_said_to_those_chosen() {
    let Some(three) = Three::open() else { return };
    three.xvfb.key("a");
    three.xvfb.key("Right");
    three.xvfb.key("space");
    three.xvfb.key("t");
    // Whom it is for stays as it is, whatever is clicked on meanwhile.
    three.xvfb.click((600, 100), "1");
    three.xvfb.click((600, 100), "3");
    // What is typed does nothing else: no machine is stopped, the wall does not end.
    for key in ["h", "i", "space", "x", "q", "BackSpace", "BackSpace", "exclam", "Return"] {
        three.xvfb.key(key);
    }
    for n in [0, 2] {
        let mut guest = three.agents[n].accept();
        assert!(!hello(&mut guest).watch, "who speaks does not watch");
        guest.say(&Message::Welcome(fake_agent::welcome(true)));
        let said = guest.expect(|m| matches!(m, Message::Say(_)));
        let Message::Say(said) = &said else { panic!("{said:?}") };
        assert_eq!(said.text, "hi !");
        let code = Message::Say(said.clone()).command().code();
        guest.say(&Message::Reply(Reply { heard_by: Some(1), ..Reply::obeyed(code) }));
        guest.rest();
    }
    three.xvfb.key("t");
    three.xvfb.key("x");
    three.xvfb.key("Escape");
    // Nothing is said, and X is a key again.
    three.xvfb.key("x");
    let mut viewers = three.viewers;
    viewers[0].expect(|m| *m == Message::StopMonitor);
    // To the one that was not marked nobody came to speak.
    assert!(three.agents[1].nobody_waits());
}
