//! The window that plays a recording, and the viewer's key that makes one.

use crate::fake_agent::{FakeAgent, LONG, rgb_frame};
use crate::made::Made;
use crate::xvfb::Xvfb;
use hightower::recording::{Note, Recording};
use hightower_proto::Message;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A window as a process; ended when the test fails.
pub(crate) struct Player(Child);

impl Player {
    pub(crate) fn open(display: &Xvfb, file: &Path, args: &[&str]) -> Self {
        let (command, file) = ("play", file.to_str().unwrap());
        Self::run(display, &[&[command, file], args].concat())
    }

    fn run(display: &Xvfb, args: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_hightower"))
            .args(args)
            .env("DISPLAY", &display.display)
            .env("TZ", "UTC")
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Where its window is, and how wide.
    pub(crate) fn place(&self, display: &Xvfb) -> (usize, usize, u16) {
        let (_, _, (x, y, width, _)) = display.window();
        (x.unsigned_abs().into(), y.unsigned_abs().into(), width)
    }

    /// Its exit, which must come by itself.
    fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the window never closed");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SIZE: (u32, u32) = (640, 480);

/// A recording of plain screens, one a second, each of another colour.
fn colours(count: u32) -> Made {
    let mut made = Made::default();
    for n in 0..count {
        let at = Duration::from_secs(n.into());
        made.frame(&rgb_frame(SIZE.0, SIZE.1, (n + 1).into(), &|_, _| colour(n)));
        let at_us = crate::made::BEGAN + at.as_micros() as u64;
        made.note(&if n == 0 {
            Note::Begun { at_us, software: String::new(), target: "lab-7".into() }
        } else {
            Note::Frame { at_us }
        });
    }
    made
}

fn colour(n: u32) -> u32 {
    0x20_0040 + n * 0x02_0701
}

/// Waits until the window shows this picture.
fn shows(display: &Xvfb, player: &Player, n: u32) {
    let (x, y, _) = player.place(display);
    let width = usize::from(display.size.0);
    display.wait_for(&format!("picture {n}"), |p| p[(y + 50) * width + x + 50] == colour(n));
}

/// What stands below the picture, as an image that is compared.
fn below(display: &Xvfb, player: &Player) -> Vec<u32> {
    let (x, y, _) = player.place(display);
    let width = usize::from(display.size.0);
    let pixels = display.pixels();
    (480..518).flat_map(|row| pixels[(y + row) * width + x..][..640].to_vec()).collect()
}

#[test]
fn keys_pause_seek_step_and_quit() {
    let Some(display) = Xvfb::start(800, 600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = colours(60).save(folder.path());
    let mut player = Player::open(&display, &path, &["--paused", "--from", "0:20"]);
    shows(&display, &player, 20);
    assert_eq!(display.window().1, "made.ht – Hightower");
    for (key, n) in [
        ("Right", 25),
        ("Right", 30),
        ("Left", 25),
        ("period", 26),
        ("comma", 25),
        ("comma", 24),
        ("Home", 0),
        ("comma", 0),
        ("Left", 0),
        ("period", 1),
        ("Right", 6),
        ("End", 59),
        ("period", 59),
        ("Right", 59),
        ("Left", 54),
    ] {
        display.key(key);
        shows(&display, &player, n);
    }
    display.key("q");
    assert_eq!(player.exit().code(), Some(0));
}

#[test]
fn it_plays_at_the_speed_that_is_asked_for_and_rests_at_the_end() {
    let Some(display) = Xvfb::start(800, 600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = colours(40).save(folder.path());
    let began = Instant::now();
    let mut player = Player::open(&display, &path, &["--speed", "16"]);
    shows(&display, &player, 39);
    // Not before its time: 39 seconds, sixteen times as fast.
    assert!(began.elapsed() >= Duration::from_millis(2400), "{:?}", began.elapsed());
    // Space begins anew; slower than it is, it is still at the first picture.
    for _ in 0..7 {
        display.key("bracketleft");
    }
    display.key("space");
    shows(&display, &player, 0);
    display.key("space");
    display.key("Escape");
    assert_eq!(player.exit().code(), Some(0));
}

#[test]
fn below_the_picture_is_how_far_it_is_and_a_click_goes_there() {
    let Some(display) = Xvfb::start(800, 600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = colours(60).save(folder.path());
    let player = Player::open(&display, &path, &["--paused"]);
    shows(&display, &player, 0);
    let first = below(&display, &player);
    display.key("t");
    // Another text, and the bar as it was.
    display.wait_for("the time of the day", |_| below(&display, &player) != first);
    assert!(below(&display, &player)[..640 * 12] == first[..640 * 12]);
    let (x, y, width) = player.place(&display);
    let at = [x + usize::from(width) * 30 / 59, y + 486].map(|n| n as u16);
    display.press_until((at[0], at[1]), "1", "about the middle", |p| {
        let seen = p[(y + 50) * 800 + x + 50];
        (29..=31).any(|n| seen == colour(n))
    });
    assert!(below(&display, &player)[..640 * 12] != first[..640 * 12]);
    // Without the line it is all picture.
    display.key("Home");
    shows(&display, &player, 0);
    display.key("m");
    display.wait_for("the picture alone", |p| {
        p[(y + 515) * 800 + x + 5] == p[(y + 2) * 800 + x + 2]
            || p[(y + 515) * 800 + x + 5] == 0x10_1418
    });
}

#[test]
fn a_lost_connection_is_said_while_it_lasts_and_a_cut_is_said_too() {
    let Some(display) = Xvfb::start(800, 600) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut made = colours(2);
    let at_us = |s: u64| crate::made::BEGAN + s * 1_000_000;
    made.note(&Note::Lost { at_us: at_us(5), cause: "the agent said goodbye: updating".into() });
    made.frame(&rgb_frame(SIZE.0, SIZE.1, 3, &|_, _| colour(3)));
    made.note(&Note::Begun { at_us: at_us(20), software: String::new(), target: "lab-7".into() });
    made.bytes.extend_from_slice(b"HT\x99");
    let path = made.save(folder.path());
    let player = Player::open(&display, &path, &["--paused", "--from", "3"]);
    shows(&display, &player, 1);
    let red = |pixels: &[u32]| pixels.iter().filter(|&&p| p == 0xff_6b5e).count();
    // The gap is on the bar, and nothing is said of it yet.
    let before = red(&below(&display, &player));
    assert!((8..=40).contains(&before), "{before}");
    display.key("Right");
    display.wait_for("that it is lost", |_| red(&below(&display, &player)) > before + 50);
    shows(&display, &player, 1);
    for _ in 0..3 {
        display.key("Right");
    }
    shows(&display, &player, 3);
    display.wait_for("that it is back", |_| red(&below(&display, &player)) == before);
}

#[test]
fn a_key_records_what_is_seen_with_a_light_that_says_so() {
    let Some(display) = Xvfb::start(1000, 700) else { return };
    let folder = tempfile::tempdir().unwrap();
    let agent = FakeAgent::new();
    let (target, place) = (agent.target().to_string(), folder.path().to_str().unwrap());
    let args = ["view", &target, "--size", "640x506", "--recordings", place];
    let mut window = Player::run(&display, &args);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 1, &|_, _| colour(1)));
    shows(&display, &window, 1);
    let red = |pixels: &[u32]| pixels.iter().filter(|&&p| p == 0xff_6b5e || p == 0xff_3b30).count();
    assert_eq!(red(&display.pixels()), 0);
    display.key("r");
    viewer.expect(|m| matches!(m, Message::Refresh));
    display.wait_for("a red light", |pixels| red(pixels) > 50);
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 2, &|_, _| colour(2)));
    shows(&display, &window, 2);
    // Without the status line as well, and where the picture changes beneath it.
    display.key("m");
    let light = |pixels: &[u32]| pixels.iter().filter(|&&p| p == 0xff_3b30).count() == 100;
    display.wait_for("a light on the picture", light);
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 3, &|_, _| colour(3)));
    shows(&display, &window, 3);
    assert!(light(&display.pixels()));
    display.key("m");
    display.key("r");
    display.wait_for("that it has ended", |pixels| red(pixels) == 0);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("lab-7-20") && name.ends_with(".ht"), "{name}");
    let mut recording = Recording::open(file).unwrap();
    assert_eq!(recording.index().len(), 2);
    assert_eq!(recording.picture(1).unwrap().row(9)[9], colour(3));
    // What is being recorded when the window is closed is whole.
    display.key("r");
    viewer.expect(|m| matches!(m, Message::Refresh));
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 4, &|_, _| colour(4)));
    shows(&display, &window, 4);
    display.key("q");
    assert_eq!(window.exit().code(), Some(0));
    let files = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
    let ends: Vec<_> = files.map(|f| Recording::open(&f).unwrap().index().len()).collect();
    assert!(ends.len() == 2 && ends.contains(&1), "{ends:?}");
}

#[test]
fn a_place_that_cant_be_recorded_to_is_said_and_the_window_goes_on() {
    let Some(display) = Xvfb::start(1000, 700) else { return };
    let agent = FakeAgent::new();
    let target = agent.target().to_string();
    let args = ["view", &target, "--size", "640x506", "--recordings", "/proc/self"];
    let mut window = Player::run(&display, &args);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 1, &|_, _| colour(1)));
    shows(&display, &window, 1);
    let white = |p: &[u32]| p.iter().filter(|&&p| p == 0xff_ffff).count();
    let before = white(&display.pixels());
    display.key("r");
    display.wait_for("why not", |pixels| white(pixels) > before + 200);
    viewer.frame(&rgb_frame(SIZE.0, SIZE.1, 2, &|_, _| colour(2)));
    shows(&display, &window, 2);
    display.key("q");
    assert_eq!(window.exit().code(), Some(0));
}
