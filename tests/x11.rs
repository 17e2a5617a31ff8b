//! The X11 source: what it hands over is what is on the screen, and no more than was drawn.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/desk.rs"]
mod desk;
#[path = "common/remote.rs"]
mod remote;
#[path = "common/xvfb.rs"]
mod xvfb;

use desk::Desk;
use hightower::rect::Rect;
use hightower::source::{Cursor, GrabError, OpenError, Source, X11};
use remote::Remote;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use x11rb::NONE;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::MOTION_NOTIFY_EVENT;
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;
use xvfb::Xvfb;

const SIZE: (u16, u16) = (640, 480);

/// How long to wait for a word of the display that comes.
const LONG: Duration = Duration::from_secs(30);
/// How long to wait for one that does not.
const SHORT: Duration = Duration::from_millis(200);

/// A viewer of the source: the picture that it should have.
struct Watcher {
    source: X11,
    size: (usize, usize),
    pixels: Vec<u32>,
    /// What was handed over last.
    rects: Vec<Rect>,
}

impl Watcher {
    fn open(display: &Xvfb, monitor: usize, cursor: Cursor) -> Self {
        let source = X11::open(&display.display, monitor, cursor).unwrap();
        let mut watcher = Self { source, size: (0, 0), pixels: Vec::new(), rects: Vec::new() };
        watcher.grab(true).unwrap();
        watcher
    }

    fn grab(&mut self, whole: bool) -> Result<(), GrabError> {
        let grab = self.source.grab(whole)?;
        if grab.size != self.size {
            self.size = grab.size;
            // A colour that nobody draws: what is not handed over shows.
            self.pixels = vec![0xbad; self.size.0 * self.size.1];
        }
        self.rects = grab.patches.iter().map(|patch| patch.rect).collect();
        for patch in &grab.patches {
            for y in 0..patch.rect.height {
                let from = &patch.pixels[y * patch.stride..][..patch.rect.width];
                let at = (patch.rect.y + y) * self.size.0 + patch.rect.x;
                for (to, from) in self.pixels[at..].iter_mut().zip(from) {
                    *to = from & 0xff_ffff;
                }
            }
        }
        Ok(())
    }

    fn is_told_within(&mut self, time: Duration) -> Result<bool, GrabError> {
        let end = Instant::now() + time;
        loop {
            if self.source.changed()? {
                return Ok(true);
            }
            let events = self.source.events().expect("the source is told of changes");
            let mut fds = [PollFd::new(&events, PollFlags::IN)];
            let left = end.saturating_duration_since(Instant::now());
            let left =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            if poll(&mut fds, Some(&left)).unwrap() == 0 {
                return Ok(false);
            }
        }
    }

    /// Waits for a change, and grabs it.
    fn follow(&mut self) {
        assert!(self.is_told_within(LONG).unwrap(), "no word of the change");
        self.grab(false).unwrap();
    }

    /// Grabs until nothing is told any more.
    fn catch_up(&mut self) {
        while self.is_told_within(SHORT).unwrap() {
            self.grab(false).unwrap();
        }
    }
}

/// Moves the mouse as a hand does: xdotool puts the pointer elsewhere without a motion.
fn move_mouse(display: &Xvfb, (x, y): (i16, i16)) {
    let (connection, _) = x11rb::connect(Some(&display.display)).unwrap();
    connection.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, NONE, x, y, 0).unwrap();
    connection.sync().unwrap();
}

fn noise(seed: u32, pixels: usize) -> Vec<u32> {
    let mut noise = seed;
    let next = |_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise >> 8
    };
    (0..pixels).map(next).collect()
}

fn cover(display: &Xvfb, seed: u32) -> Desk {
    let desk = Desk::cover(&display.display);
    let (width, height) = SIZE;
    desk.draw((0, 0), SIZE, &noise(seed, usize::from(width) * usize::from(height)));
    desk
}

/// The screen with the cursor drawn over it in another way than the source does it.
fn with_cursor(display: &Xvfb) -> Vec<u32> {
    let (connection, _) = x11rb::connect(Some(&display.display)).unwrap();
    connection.xfixes_query_version(5, 0).unwrap().reply().unwrap();
    let cursor = connection.xfixes_get_cursor_image().unwrap().reply().unwrap();
    let mut pixels = display.pixels();
    for (i, over) in cursor.cursor_image.iter().enumerate() {
        let (column, row) =
            (i as i32 % i32::from(cursor.width), i as i32 / i32::from(cursor.width));
        let x = i32::from(cursor.x) - i32::from(cursor.xhot) + column;
        let y = i32::from(cursor.y) - i32::from(cursor.yhot) + row;
        if !(0..i32::from(SIZE.0)).contains(&x) || !(0..i32::from(SIZE.1)).contains(&y) {
            continue;
        }
        let under = &mut pixels[y as usize * usize::from(SIZE.0) + x as usize];
        let [alpha, over @ ..] = over.to_be_bytes();
        let [_, below @ ..] = under.to_be_bytes();
        let mix =
            |i: usize| f64::from(over[i]) + f64::from(below[i]) * (1.0 - f64::from(alpha) / 255.0);
        *under = u32::from_be_bytes([
            0,
            mix(0).round() as u8,
            mix(1).round() as u8,
            mix(2).round() as u8,
        ]);
    }
    pixels
}

#[test]
fn what_is_drawn_in_a_window_is_handed_over_and_nothing_else() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::None);
    assert_eq!(watcher.source.describe(), format!("X11 {}, monitor 0 (screen)", display.display));
    assert_eq!(watcher.size, (640, 480));
    assert!(watcher.pixels == display.pixels());
    desk.draw((100, 200), (30, 1), &noise(2, 30));
    watcher.follow();
    assert_eq!(watcher.rects, [Rect::new(100, 200, 30, 1)]);
    assert!(watcher.pixels == display.pixels());
    // Two far apart are two.
    desk.draw((5, 5), (10, 1), &noise(3, 10));
    desk.draw((600, 470), (10, 1), &noise(4, 10));
    watcher.catch_up();
    assert!(watcher.rects.iter().all(|rect| rect.area() <= 10), "{:?}", watcher.rects);
    assert!(watcher.pixels == display.pixels());
}

#[test]
fn a_screen_that_does_not_change_is_not_told_of() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let _desk = cover(&display, 1);
    for cursor in [Cursor::None, Cursor::Drawn] {
        let mut watcher = Watcher::open(&display, 0, cursor);
        // To be watched is no change either.
        assert!(!watcher.is_told_within(SHORT).unwrap(), "{cursor:?}");
        watcher.grab(false).unwrap();
        assert!(watcher.rects.is_empty(), "{:?}", watcher.rects);
        watcher.grab(true).unwrap();
        assert_eq!(watcher.rects, [Rect::new(0, 0, 640, 480)]);
        assert!(!watcher.is_told_within(SHORT).unwrap(), "{cursor:?}");
    }
}

#[test]
fn what_is_drawn_while_it_is_grabbed_is_never_missed() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    for cursor in [Cursor::None, Cursor::Drawn] {
        let mut watcher = Watcher::open(&display, 0, cursor);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..400_u32 {
                    let (x, y) = (i * 197 % 600, i * 89 % 440);
                    let (width, height) = (1 + i % 40, 1 + i * 7 % 40);
                    let pixels = noise(i, (width * height) as usize);
                    desk.draw((x as i16, y as i16), (width as u16, height as u16), &pixels);
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                if watcher.is_told_within(SHORT).unwrap() {
                    watcher.grab(false).unwrap();
                }
            }
        });
        watcher.catch_up();
        let screen = if cursor == Cursor::None { display.pixels() } else { with_cursor(&display) };
        assert!(watcher.pixels == screen, "{cursor:?}");
    }
}

#[test]
fn the_cursor_is_drawn_follows_the_pointer_and_leaves_nothing_behind() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    desk.move_mouse((320, 240));
    desk.await_pointer((320, 240));
    let mut watcher = Watcher::open(&display, 0, Cursor::Drawn);
    assert!(watcher.pixels == with_cursor(&display));
    assert!(watcher.pixels != display.pixels(), "there is a cursor");
    // Across the screen, by a little, and over two edges.
    for place in [(100, 100), (103, 98), (639, 479), (0, 0)] {
        move_mouse(&display, place);
        desk.await_pointer(place);
        watcher.follow();
        watcher.catch_up();
        assert!(watcher.rects.iter().all(|rect| rect.area() < 64 * 64), "{:?}", watcher.rects);
        assert!(watcher.pixels == with_cursor(&display), "at {place:?}");
    }
    // Put elsewhere by a program, which is no motion: seen with whatever comes next.
    desk.move_mouse((30, 10));
    desk.await_pointer((30, 10));
    watcher.grab(false).unwrap();
    assert!(watcher.pixels == with_cursor(&display));
    // Something drawn below it.
    desk.draw((0, 2), (60, 1), &noise(5, 60));
    watcher.follow();
    assert!(watcher.pixels == with_cursor(&display));
}

#[test]
fn a_pointer_that_a_program_puts_elsewhere_is_seen_though_nothing_else_changes() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::Drawn);
    for place in [(100, 100), (103, 98), (500, 400)] {
        desk.move_mouse(place);
        desk.await_pointer(place);
        watcher.follow();
        watcher.catch_up();
        assert!(watcher.rects.iter().all(|rect| rect.area() < 64 * 64), "{:?}", watcher.rects);
        assert!(watcher.pixels == with_cursor(&display), "at {place:?}");
    }
    // It is looked for again and again, and that is no change.
    assert!(!watcher.is_told_within(Duration::from_secs(1)).unwrap());
    // Nobody looks while it rests, nor for what was before.
    watcher.source.rest();
    desk.move_mouse((50, 50));
    desk.await_pointer((50, 50));
    assert!(!watcher.is_told_within(Duration::from_secs(1)).unwrap());
    watcher.grab(true).unwrap();
    desk.move_mouse((200, 50));
    desk.await_pointer((200, 50));
    watcher.follow();
    assert!(watcher.pixels == with_cursor(&display));
}

#[test]
fn without_the_cursor_its_motion_is_no_change() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::None);
    move_mouse(&display, (100, 100));
    desk.await_pointer((100, 100));
    assert!(!watcher.is_told_within(SHORT).unwrap());
    assert!(watcher.pixels == display.pixels());
}

#[test]
fn a_new_size_is_followed_with_a_whole_picture() {
    let Some(mut display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::None);
    // A mode's name, and its numbers: clock, then the horizontal and the vertical timing.
    display.xrandr("--newmode small 10 320 330 340 350 240 250 260 270");
    display.xrandr("--addmode screen small");
    // Once it is told before the next grab, once it is found out by it.
    for (mode, size, told) in
        [("small", (320, 240), true), ("640x480", (640, 480), true), ("small", (320, 240), false)]
    {
        watcher.catch_up();
        display.xrandr(&format!("--output screen --mode {mode}"));
        if told {
            assert!(watcher.is_told_within(LONG).unwrap());
        }
        watcher.grab(false).unwrap();
        watcher.catch_up();
        display.size = size;
        assert_eq!(watcher.size, (size.0.into(), size.1.into()));
        assert!(watcher.pixels == display.pixels(), "{mode}");
    }
    desk.draw((300, 200), (10, 1), &noise(9, 10));
    watcher.follow();
    assert!(watcher.pixels == display.pixels());
}

#[test]
fn one_monitor_of_two_is_captured_alone_until_it_is_unplugged() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    display.xrandr("--setmonitor left 400/100x480/100+0+0 screen");
    display.xrandr("--setmonitor right 240/100x480/100+400+0 none");
    let mut watcher = Watcher::open(&display, 1, Cursor::None);
    assert_eq!(watcher.source.describe(), format!("X11 {}, monitor 1 (right)", display.display));
    let right = |screen: &[u32]| -> Vec<u32> {
        screen.chunks(640).flat_map(|row| &row[400..]).copied().collect()
    };
    assert_eq!(watcher.size, (240, 480));
    assert!(watcher.pixels == right(&display.pixels()));
    // On the other one; on both.
    desk.draw((10, 10), (50, 1), &noise(2, 50));
    assert!(!watcher.is_told_within(SHORT).unwrap());
    desk.draw((380, 20), (60, 1), &noise(3, 60));
    watcher.follow();
    assert_eq!(watcher.rects, [Rect::new(0, 20, 40, 1)]);
    assert!(watcher.pixels == right(&display.pixels()));

    display.xrandr("--delmonitor right");
    // The server tells nothing of this, but of what belongs to it when a plug is pulled.
    display.xrandr("--newmode small 10 320 330 340 350 240 250 260 270");
    display.xrandr("--addmode screen small");
    display.xrandr("--output screen --mode small");
    assert!(watcher.is_told_within(LONG).unwrap());
    let words = watcher.grab(false).unwrap_err().to_string();
    assert!(words.contains("monitor 1 (right) is gone") && words.contains("0 (left)"), "{words}");
}

#[test]
fn a_monitor_that_does_not_exist_is_refused_with_those_that_do() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let refused = X11::open(&display.display, 3, Cursor::None).err();
    assert_eq!(refused, Some(OpenError::NoMonitor { wanted: 3, have: "0 (screen)".into() }));
}

#[test]
fn a_screen_of_other_pixels_is_left_to_xcap() {
    let Some(display) = Xvfb::start_with(SIZE.0, SIZE.1, &["-screen", "0", "640x480x16"]) else {
        return;
    };
    let refused = X11::open(&display.display, 0, Cursor::None).err().unwrap();
    assert!(matches!(refused, OpenError::Unsupported(_)), "{refused}");
    let words = refused.to_string();
    assert!(words.contains("16 bits deep") && words.contains("--source xcap"), "{words}");
}

/// Something is drawn and the pointer moves: the watcher sees it all.
fn sees_what_happens(watcher: &mut Watcher, display: &Xvfb, desk: &Desk) {
    assert!(watcher.pixels == with_cursor(display));
    desk.draw((5, 5), (10, 1), &noise(3, 10));
    desk.draw((600, 470), (10, 1), &noise(4, 10));
    move_mouse(display, (50, 50));
    desk.await_pointer((50, 50));
    watcher.follow();
    watcher.catch_up();
    assert!(watcher.pixels == with_cursor(display));
}

#[test]
fn without_shared_memory_the_picture_is_the_same() {
    let Some(display) = Xvfb::start_with(SIZE.0, SIZE.1, &["-extension", "MIT-SHM"]) else {
        return;
    };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::Drawn);
    sees_what_happens(&mut watcher, &display, &desk);
}

#[test]
fn by_a_connection_of_the_network_the_picture_is_the_same() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let remote = Remote::of(&display.display);
    let source = X11::open(&remote.display, 0, Cursor::Drawn).unwrap();
    let mut watcher = Watcher { source, size: (0, 0), pixels: Vec::new(), rects: Vec::new() };
    watcher.grab(true).unwrap();
    sees_what_happens(&mut watcher, &display, &desk);
}

#[test]
fn without_damage_everything_is_grabbed_each_time() {
    let Some(display) = Xvfb::start_with(SIZE.0, SIZE.1, &["-extension", "DAMAGE"]) else {
        return;
    };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::Drawn);
    assert!(watcher.source.events().is_none(), "it has to be asked");
    desk.draw((5, 5), (10, 1), &noise(3, 10));
    desk.move_mouse((50, 50));
    desk.await_pointer((50, 50));
    assert!(watcher.source.changed().unwrap());
    watcher.grab(false).unwrap();
    assert_eq!(watcher.rects, [Rect::new(0, 0, 640, 480)]);
    assert!(watcher.pixels == with_cursor(&display));
}

#[test]
fn who_rests_is_told_nothing_and_goes_on_with_a_whole_picture() {
    let Some(display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = cover(&display, 1);
    let mut watcher = Watcher::open(&display, 0, Cursor::Drawn);
    for seed in 2..4 {
        watcher.source.rest();
        watcher.source.rest();
        desk.draw((5, 5), (100, 100), &noise(seed, 10_000));
        move_mouse(&display, (seed as i16 * 50, 50));
        desk.await_pointer((seed as i16 * 50, 50));
        assert!(!watcher.is_told_within(SHORT).unwrap());
        watcher.grab(true).unwrap();
        assert_eq!(watcher.rects, [Rect::new(0, 0, 640, 480)]);
        assert!(watcher.pixels == with_cursor(&display));
        desk.draw((50, 50), (9, 1), &noise(seed, 9));
        watcher.follow();
        assert!(watcher.pixels == with_cursor(&display));
    }
}

#[test]
fn a_display_that_ends_is_named_in_the_error() {
    let Some(display) = Xvfb::start_alone(SIZE.0, SIZE.1) else { return };
    let name = display.display.clone();
    let mut told = Watcher::open(&display, 0, Cursor::None);
    let mut asking = Watcher::open(&display, 0, Cursor::Drawn);
    drop(display);
    let words = format!("the display {name} closed the connection");
    let error = told.is_told_within(LONG).unwrap_err().to_string();
    assert!(error.contains(&words), "{error}");
    let error = asking.grab(true).unwrap_err().to_string();
    assert!(error.contains(&words), "{error}");
    let refused = X11::open(&name, 0, Cursor::None).err().unwrap().to_string();
    assert!(refused.contains(&format!("the display {name} can't be opened")), "{refused}");
}
