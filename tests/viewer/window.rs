//! The window, on a display of its own: what it shows, and what its keys do.

use crate::fake_agent::{self, FakeAgent, Viewer, delta_info, rgb_delta, rgb_frame, state, tile};
use crate::headless::image_of;
use crate::xvfb::Xvfb;
use hightower_proto::message::{Capture, Facts, Goodbye, State, Welcome};
use hightower_proto::{FrameInfo, Message};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Four quarters of plain colours: a picture that is known again at any scale.
const QUARTERS: [u32; 4] = [0xc8_1e1e, 0x1e_c81e, 0x1e_1ec8, 0xc8_c81e];

fn quarters(width: u32, height: u32) -> impl Fn(u32, u32) -> u32 {
    move |x, y| QUARTERS[usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2)]
}

/// The viewer as a process; ended when the test fails.
struct Window(Child);

impl Window {
    fn open(xvfb: &Xvfb, agent: &FakeAgent, arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_hightower"))
            .args(["view", &agent.target().to_string()])
            .args(arguments)
            .env("DISPLAY", &xvfb.display)
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Its exit, which must come by itself.
    fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + crate::fake_agent::LONG;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the window never closed");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bounding box (left, upper, right, lower; inclusive) of a colour on the display.
fn extent(pixels: &[u32], width: usize, color: u32) -> Option<(usize, usize, usize, usize)> {
    let places = || pixels.iter().enumerate().filter(|&(_, &p)| p == color).map(|(i, _)| i);
    let x = || places().map(|i| i % width);
    let y = || places().map(|i| i / width);
    Some((x().min()?, y().min()?, x().max()?, y().max()?))
}

/// The picture's own extent, when all its quarters are to be seen in their order.
fn picture(pixels: &[u32], width: usize) -> Option<(usize, usize, usize, usize)> {
    let [a, b, c, d] = QUARTERS.map(|color| extent(pixels, width, color));
    let (a, b, c, d) = (a?, b?, c?, d?);
    let ordered = a.2 < b.0 && c.2 < d.0 && a.3 < c.1 && b.3 < d.1;
    (ordered && a.0 == c.0 && a.1 == b.1 && d.2 == b.2 && d.3 == c.3)
        .then_some((a.0, a.1, d.2, d.3))
}

/// A viewer's window that shows a picture of quarters.
fn showing(xvfb: &Xvfb, agent: &FakeAgent, arguments: &[&str]) -> (Window, Viewer) {
    let window = Window::open(xvfb, agent, arguments);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(800, 500, 1, &quarters(800, 500)));
    xvfb.wait_for("the picture", |p| picture(p, xvfb.size.0.into()).is_some());
    (window, viewer)
}

#[test]
fn the_picture_is_scaled_into_the_window_with_its_aspect() {
    let Some(xvfb) = Xvfb::start(1280, 800) else { return };
    let agent = FakeAgent::new();
    let (mut window, _viewer) = showing(&xvfb, &agent, &[]);
    let (id, title, place) = xvfb.window();
    assert_eq!(title, "lab-7 – Hightower");
    assert_eq!((place.2, place.3), (800, 526), "the picture's size and a status line");
    let (x, y) = (place.0 as usize, place.1 as usize);
    let width = usize::from(xvfb.size.0);
    let shown = picture(&xvfb.pixels(), width).unwrap();
    assert_eq!(shown, (x, y, x + 799, y + 499), "pixel for pixel where it fits");

    for (w, h, expected) in [
        (1200, 776, (0, 0, 1200, 750)),
        (640, 400, (21, 0, 598, 374)),
        (300, 700, (0, 243, 300, 188)),
    ] {
        xvfb.place(id, w, h);
        let near = |p: &[u32]| {
            picture(p, width).is_some_and(|(l, t, r, b)| {
                let (r, b) = (r + 1, b + 1);
                let close = |a: usize, b: usize| a.abs_diff(b) <= 2;
                let (el, et, ew, eh) = expected;
                close(l, el) && close(t, et) && close(r, el + ew) && close(b, et + eh)
            })
        };
        xvfb.wait_for(&format!("the picture in {w}x{h}"), near);
    }
    xvfb.place(id, 1, 1);
    xvfb.place(id, 640, 400);
    xvfb.wait_for("the picture again", |p| picture(p, width).is_some());
    xvfb.close(id);
    assert_eq!(window.exit().code(), Some(0));
}

#[test]
fn what_a_delta_changes_is_drawn_where_it_changed() {
    let Some(xvfb) = Xvfb::start(1280, 800) else { return };
    let width = usize::from(xvfb.size.0);
    let agent = FakeAgent::new();
    let (_window, mut viewer) = showing(&xvfb, &agent, &["--size", "800x526"]);
    let (_, _, (x, y, ..)) = xvfb.window();
    let (x, y) = (x as usize, y as usize);
    let mut expected = xvfb.pixels();
    // The hint about the keys and the figures come and go.
    let upper = |pixels: &[u32]| pixels[..(y + 400) * width].to_vec();
    for version in 2..20u32 {
        let tiles = vec![tile(version * 30, version * 15, 40, 20)];
        let info = FrameInfo { tiles, ..delta_info(800, 500, version.into()) };
        viewer.frame(&rgb_delta(info, &|_, _| version * 0x0a_0503));
        let (left, top) = (x + version as usize * 30, y + version as usize * 15);
        for row in top..top + 20 {
            expected[row * width + left..][..40].fill(version * 0x0a_0503);
        }
        if version % 4 == 0 {
            xvfb.wait_for("the changes", |pixels| upper(pixels) == upper(&expected));
        }
    }
    xvfb.wait_for("all changes", |pixels| upper(pixels) == upper(&expected));
}

#[test]
fn pictures_that_come_faster_than_a_display_shows_end_with_the_newest() {
    let Some(xvfb) = Xvfb::start(1280, 800) else { return };
    let width = usize::from(xvfb.size.0);
    let agent = FakeAgent::new();
    let (_window, mut viewer) = showing(&xvfb, &agent, &["--size", "800x526"]);
    let (_, _, (x, y, ..)) = xvfb.window();
    let place = (usize::from(y.unsigned_abs()) + 7) * width + usize::from(x.unsigned_abs()) + 9;
    // Each is sent as soon as the one before is decoded, be it drawn or not.
    let mut colour = 0;
    for version in 2..300 {
        colour = version as u32 * 0x00_d705;
        let info = FrameInfo { tiles: vec![tile(0, 0, 40, 20)], ..delta_info(800, 500, version) };
        viewer.frame(&rgb_delta(info, &|_, _| colour));
        let this = |m: &Message| matches!(m, Message::Acknowledge(a) if a.version == version);
        viewer.expect(this);
    }
    // The last one is shown without another to push it.
    xvfb.wait_for("the newest picture", |pixels| pixels[place] == colour);
}

#[test]
fn keys_order_the_agent_about() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let agent = FakeAgent::new();
    let (mut window, mut viewer) = showing(&xvfb, &agent, &[]);
    for (key, message) in [
        ("x", Message::StopMonitor),
        ("s", Message::StartMonitor),
        ("l", Message::LockMouse { lease_ms: None }),
        ("u", Message::UnlockMouse),
    ] {
        xvfb.key(key);
        assert_eq!(viewer.expect(|m| *m == message), message);
    }
    xvfb.key("q");
    assert!(matches!(viewer.rest().last(), Some(Message::Goodbye(_))));
    assert_eq!(window.exit().code(), Some(0));
}

#[test]
fn a_screenshot_is_the_agents_picture() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let directory = tempfile::tempdir().unwrap();
    let agent = FakeAgent::new();
    let place = directory.path().to_str().unwrap();
    let size = ["--size", "400x300", "--screenshots", place];
    let (mut window, mut viewer) = showing(&xvfb, &agent, &size);
    xvfb.key("p");
    xvfb.key("l");
    // Keys are taken in turn: when the lock has come, the file is there.
    viewer.expect(|m| matches!(m, Message::LockMouse { .. }));
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    let name = file.file_name().into_string().unwrap();
    assert!(name.starts_with("lab-7-20") && name.ends_with(".png"), "{name}");
    let (width, height, pixels) = image_of(&file.path());
    assert_eq!((width, height), (800, 500), "the agent's size, not the window's");
    let expected = quarters(800, 500);
    for (i, &pixel) in pixels.iter().enumerate() {
        assert_eq!(pixel, expected(i as u32 % 800, i as u32 / 800));
    }
    xvfb.key("Escape");
    assert_eq!(window.exit().code(), Some(0));
}

#[test]
fn one_to_one_pans_and_full_screen_fills_the_screen() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let width = usize::from(xvfb.size.0);
    let agent = FakeAgent::new();
    let (mut window, _viewer) = showing(&xvfb, &agent, &["--size", "400x276"]);
    let (_, _, (x, y, ..)) = xvfb.window();
    // The window is in the middle, and half as large as the picture: each way, one quarter fits.
    let corner = |p: &[u32]| p[(y as usize + 2) * width + x as usize + 2];
    let far = |p: &[u32]| p[(y as usize + 200) * width + x as usize + 397];
    xvfb.key("z");
    xvfb.wait_for("the first quarter alone", |p| corner(p) == QUARTERS[0] && far(p) == QUARTERS[0]);
    for _ in 0..11 {
        xvfb.key("Right");
    }
    xvfb.wait_for("the second quarter alone", |p| {
        corner(p) == QUARTERS[1] && far(p) == QUARTERS[1]
    });
    xvfb.key("z");
    xvfb.wait_for("all of it", |p| picture(p, width).is_some());

    let before = xvfb.window().2;
    xvfb.key("f");
    xvfb.wait_for("the picture across the screen", |p| {
        picture(p, width).is_some_and(|(l, t, r, _)| (l, t, r) == (0, 24, 999))
    });
    assert_eq!(xvfb.window().2, (0, 0, 1000, 700));
    xvfb.key("f");
    xvfb.wait_for("the picture in its window", |p| {
        picture(p, width).is_some_and(|(l, _, r, _)| r - l < 400)
    });
    let after = xvfb.window().2;
    assert_eq!((after.2, after.3), (before.2, before.3));
    xvfb.key("q");
    assert_eq!(window.exit().code(), Some(0));
}

#[test]
fn a_key_shows_what_the_machine_is_and_its_words_do_nothing_there() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let width = usize::from(xvfb.size.0);
    let agent = FakeAgent::new();
    // What is not printable looks like what stands for it, and that twice as the same agent.
    let panels =
        [("\u{1b}[2J\u{202e}", "\u{7}\u{9b}"), ("\u{fffd}[2J\u{fffd}", "\u{fffd}\u{fffd}")].map(
            |(host, user)| {
                let mut window = Window::open(&xvfb, &agent, &["--size", "800x526"]);
                let mut viewer = agent.accept();
                viewer.expect(|m| matches!(m, Message::Hello(_)));
                let facts = Facts { host: host.into(), user: user.into(), ..Facts::default() };
                viewer.say(&Message::Welcome(Welcome { facts, ..fake_agent::welcome(true) }));
                viewer.frame(&rgb_frame(800, 500, 1, &quarters(800, 500)));
                xvfb.wait_for("the picture", |p| picture(p, width).is_some());
                let (id, ..) = xvfb.window();
                xvfb.place(id, 800, 526);
                xvfb.key("i");
                let names = |p: &[u32]| p.iter().filter(|&&p| p == 0xf2_c14e).count();
                let shown = xvfb.wait_for("what it is", |p| names(p) > 50);
                xvfb.key("i");
                xvfb.wait_for("the picture alone", |p| {
                    names(p) == 0 && picture(p, width).is_some()
                });
                xvfb.key("q");
                assert_eq!(window.exit().code(), Some(0));
                shown[..500 * width].to_vec()
            },
        );
    assert!(panels[0] == panels[1], "what is not printable was not made harmless");
}

#[test]
fn without_a_true_picture_there_are_words_and_the_last_one_dimmed() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let width = usize::from(xvfb.size.0);
    let agent = FakeAgent::new();
    let window = Window::open(&xvfb, &agent, &["--size", "800x526"]);
    let mut viewer = agent.accept_speaking();
    let white = |p: &[u32]| p.iter().filter(|&&p| p == 0xff_ffff).count();
    xvfb.wait_for("words before the first picture", |p| white(p) > 50);
    viewer.frame(&rgb_frame(800, 500, 1, &quarters(800, 500)));
    xvfb.wait_for("the picture", |p| picture(p, width).is_some());

    let dimmed = |p: &[u32]| {
        let [_, r, g, b] = p[p.len() / 2 - width / 2 - 150 * width - 150].to_be_bytes();
        (40..160).contains(&r) && g < 40 && b < 40
    };
    let cause = "the monitor is asleep".into();
    viewer.say(&Message::State(State { capture: Capture::Failed { cause }, ..state(true) }));
    xvfb.wait_for("the reason over the dimmed picture", |p| dimmed(p) && white(p) > 50);
    viewer.say(&Message::State(state(true)));
    xvfb.wait_for("the picture again", |p| picture(p, width).is_some());
    viewer.say(&Message::Goodbye(Goodbye { reason: "the machine goes down".into() }));
    drop(viewer);
    drop(agent);
    xvfb.wait_for("the end over the dimmed picture", |p| dimmed(p) && white(p) > 50);
    drop(window);
}

#[test]
fn a_window_closed_in_the_middle_of_a_frame_ends_well() {
    let Some(xvfb) = Xvfb::start(1000, 700) else { return };
    let agent = FakeAgent::new();
    let (mut window, mut viewer) = showing(&xvfb, &agent, &[]);
    let frame = rgb_frame(800, 500, 2, &quarters(800, 500));
    viewer.raw(&hightower_proto::stream::frame_header(frame.len() as u64));
    viewer.raw(&frame[..frame.len() / 2]);
    let (id, ..) = xvfb.window();
    xvfb.close(id);
    assert_eq!(window.exit().code(), Some(0));
    assert!(matches!(viewer.rest().last(), Some(Message::Goodbye(_))));
}
