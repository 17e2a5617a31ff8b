//! From one display to another: what is drawn there is what is seen here, pixel for pixel.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/desk.rs"]
mod desk;
#[path = "common/remote.rs"]
mod remote;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{Agent, Lines, PATIENCE, Plain, decode, hightower, stderr, stdout};
use desk::Desk;
use remote::Remote;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use xvfb::Xvfb;

const SIZE: (u16, u16) = (640, 480);

/// A picture in which every pixel says where it is, with noise over it.
fn pattern() -> Vec<u32> {
    let (width, height) = (u32::from(SIZE.0), u32::from(SIZE.1));
    let mut noise = 12_345_u32;
    let pixel = |i: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (i % width * 255 / width) << 16 | (i / width * 255 / height) << 8 | noise >> 24
    };
    (0..width * height).map(pixel).collect()
}

/// Four quarters of one colour each.
fn quarters() -> Vec<u32> {
    let colors = [[0xff_0000, 0x00_ff00], [0x00_00ff, 0xff_ffff]];
    let (width, height) = (usize::from(SIZE.0), usize::from(SIZE.1));
    (0..width * height)
        .map(|i| colors[usize::from(i / width >= height / 2)][usize::from(i % width >= width / 2)])
        .collect()
}

fn rgb(pixels: &[u32]) -> Vec<u8> {
    pixels.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]).collect()
}

fn agent_on(display: &str, args: &[&str]) -> Agent {
    let mut command = hightower();
    // What is drawn is compared, and the cursor is not drawn by these tests.
    command.args(["agent", "--cursor", "none"]).args(args).env("DISPLAY", display);
    Agent::start(&mut command)
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn what_is_saved_without_a_window_equals_what_was_drawn() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = Desk::cover(&display.display);
    let pixels = pattern();
    desk.draw((0, 0), SIZE, &pixels);
    let agent = agent_on(&display.display, &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("screen.png");
    let output = hightower()
        .args(["view", "--headless", "--save"])
        .arg(&file)
        .arg(agent.address.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (width, height, saved) = decode(&std::fs::read(&file).unwrap());
    assert_eq!((width, height), (640, 480));
    assert!(saved == rgb(&pixels), "the saved picture differs from what was drawn");
}

#[test]
fn what_is_drawn_on_one_display_shows_in_the_window_on_another() {
    let Some(watched) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let Some(operator) = Xvfb::start(1000, 700) else { return };
    let desk = Desk::cover(&watched.display);
    desk.draw((0, 0), SIZE, &quarters());
    let agent = agent_on(&watched.display, &[]);
    let _viewer = Ended(
        hightower()
            .args(["view", "--size", "400x300"])
            .arg(agent.address.to_string())
            .env("DISPLAY", &operator.display)
            .spawn()
            .unwrap(),
    );
    let (_, title, (x, y, width, height)) = operator.window();
    assert!(title.contains("Hightower"), "{title}");
    // In the middle of each quarter of the picture, somewhat above the window's own middle since
    // the status line is below.
    let at = |pixels: &[u32], across: usize, down: usize| {
        let (x, y) = (x as usize + usize::from(width) * across / 4, y as usize);
        pixels[(y + usize::from(height) * down / 4 - 15) * 1000 + x]
    };
    operator.wait_for("the four quarters, scaled", |pixels| {
        at(pixels, 1, 1) == 0xff_0000
            && at(pixels, 3, 1) == 0x00_ff00
            && at(pixels, 1, 3) == 0x00_00ff
            && at(pixels, 3, 3) == 0xff_ffff
    });
    // It moves: what is drawn next is shown next.
    let (width, height) = (usize::from(SIZE.0), usize::from(SIZE.1));
    desk.draw((0, 0), SIZE, &vec![0x80_4020; width * height]);
    operator.wait_for("the next picture", |pixels| at(pixels, 1, 1) == 0x80_4020);
}

#[test]
fn an_unchanged_screen_sends_nothing_and_one_pixel_sends_a_frame() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = Desk::cover(&display.display);
    desk.draw((0, 0), SIZE, &pattern());
    let agent = agent_on(&display.display, &["--autostart"]);
    let mut viewer = Plain::connect(agent.address);
    let first = viewer.frame();
    assert!(viewer.is_silent_for(Duration::from_secs(2)), "bytes from an unchanged screen");
    desk.draw((333, 222), (1, 1), &[0x12_3456]);
    let second = viewer.frame();
    assert_eq!(common::version(&second), common::version(&first) + 1);
    let at = (222 * 640 + 333) * 3;
    assert_eq!(decode(&second).2[at..at + 3], [0x12, 0x34, 0x56]);
    assert!(viewer.is_silent_for(Duration::from_secs(1)));
}

#[test]
fn a_display_that_vanishes_is_told_and_captured_again_when_it_is_back() {
    let Some(display) = Xvfb::start_alone(SIZE.0, SIZE.1) else { return };
    let name = display.display.clone();
    let desk = Desk::cover(&name);
    let agent = agent_on(&name, &[]);
    let mut viewer = hightower()
        .args(["view", "--headless", "--json"])
        .arg(agent.address.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Lines::of(viewer.stdout.take().unwrap());
    let viewer = Ended(viewer);
    let mut await_line = |words: &str| lines.await_line(|line| line.contains(words), words);
    await_line(r#""event":"frame""#);
    drop(desk);
    drop(display);
    let told = await_line(r#""is":"failed""#);
    println!("{told}");
    assert!(told.contains(&format!("display {name}")) || told.contains("monitor 0"), "{told}");
    // The same display, started again by whoever looks after the machine.
    let mut again = Command::new("Xvfb")
        .args([&name, "-screen", "0", "320x240x24", "-nolisten", "tcp", "-noreset"])
        .stderr(Stdio::null())
        .spawn()
        .map(Ended)
        .unwrap();
    await_line(r#""width":320"#);
    assert!(again.0.try_wait().unwrap().is_none());
    drop(viewer);
}

#[test]
fn a_display_that_hangs_is_told_and_holds_up_neither_stop_nor_start() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let _desk = Desk::cover(&display.display);
    let agent = agent_on(&display.display, &[]);
    let mut viewer = hightower()
        .args(["view", "--headless", "--json"])
        .arg(agent.address.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Lines::of(viewer.stdout.take().unwrap());
    let _viewer = Ended(viewer);
    let mut await_line = |words: &str| lines.await_line(|line| line.contains(words), words);
    await_line(r#""event":"frame""#);
    // It connects to the display, so that the next order finds one that hangs.
    assert!(agent.order(&["mouse", "5", "5"]).status.success());
    display.hang(true);
    let lock = agent.order(&["lock"]);
    assert!(stdout(&lock).contains("the display does not answer"), "{}", stdout(&lock));
    agent.monitor(false);
    agent.monitor(true);
    await_line("the display has not answered for 3 s");
    display.hang(false);
    await_line(r#""event":"frame""#);
}

#[test]
fn a_screen_that_changes_its_size_is_followed() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let _desk = Desk::cover(&display.display);
    let agent = agent_on(&display.display, &["--autostart"]);
    let mut viewer = Plain::connect(agent.address);
    assert_eq!(decode(&viewer.frame()).0, 640);
    // A mode's name, and its numbers: clock, then the horizontal and the vertical timing.
    let mode = "small 10 320 330 340 350 240 250 260 270";
    for step in
        [&format!("--newmode {mode}"), "--addmode screen small", "--output screen --mode small"]
    {
        let output = Command::new("xrandr")
            .args(["-display", &display.display])
            .args(step.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while decode(&viewer.frame()).0 != 320 {
        assert!(std::time::Instant::now() < deadline, "the new size never came");
    }
}

#[test]
fn a_monitor_that_does_not_exist_is_named_with_those_that_do() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let output = hightower()
        .args(["agent", "--listen", "127.0.0.1:0", "--monitor", "7"])
        .env("DISPLAY", &display.display)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = stderr(&output);
    assert!(words.contains("no monitor 7") && words.contains("0 ("), "{words}");
}

#[test]
fn a_display_that_shares_no_memory_is_captured_all_the_same_and_that_is_said_once() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = Desk::cover(&display.display);
    desk.draw((0, 0), SIZE, &pattern());
    let remote = Remote::of(&display.display);
    let agent = agent_on(&remote.display, &["--autostart"]);
    let mut viewer = Plain::connect(agent.address);
    assert!(decode(&viewer.frame()).2 == rgb(&pattern()));
    // Another run asks for everything again.
    agent.monitor(false);
    agent.monitor(true);
    desk.draw((333, 222), (1, 1), &[0x12_3456]);
    let at = (222 * 640 + 333) * 3;
    while decode(&viewer.frame()).2[at..at + 3] != [0x12, 0x34, 0x56] {}
    let log = agent.end();
    assert_eq!(log.matches("shares no memory").count(), 1, "{log}");
}
