//! A recording of a real screen: frame by frame it is what was drawn.
//!
//! It is made in some seconds, or in as many as `HIGHTOWER_SOAK_SECONDS` says.

use crate::chance::{self, Chance};
use crate::common::{Agent, hightower};
use crate::desk::Desk;
use crate::export;
use crate::fake_agent::LONG;
use crate::window::Player;
use crate::xvfb::Xvfb;
use hightower::recording::{Existing, Recording, Tail, Writer};
use hightower::viewer::{Client, ClientOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SIZE: (u16, u16) = (640, 480);

/// How long is recorded, where nobody asks for longer.
const SECONDS: u64 = 4;

/// How many prefixes are tried.
const CUTS: usize = 1000;

/// Every so many of them, the last picture is looked at as well.
const LOOKS: usize = 25;

/// A recording, and what was drawn on the screen that it is of.
struct Lesson {
    _folder: TempDir,
    path: PathBuf,
    /// The screen after each act.
    drawn: Vec<Vec<u32>>,
}

/// Made once for all tests; `None` without Xvfb.
static LESSON: LazyLock<Option<Lesson>> = LazyLock::new(record);

fn seconds() -> Duration {
    let asked = std::env::var("HIGHTOWER_SOAK_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(asked.unwrap_or(SECONDS))
}

fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap().success());
}

fn record() -> Option<Lesson> {
    let display = Xvfb::start(SIZE.0, SIZE.1)?;
    let desk = Desk::cover(&display.display);
    let mut agent = hightower();
    agent.args(["agent", "--source", "x11", "--cursor", "none", "--autostart"]);
    let agent = Agent::start(agent.env("DISPLAY", &display.display));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lesson.ht");
    let mut recorder = hightower();
    recorder.args(["record", &agent.address.to_string(), "-o", path.to_str().unwrap()]);
    let mut recorder = recorder.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let client = Client::start(agent.address.into(), ClientOptions::default()).unwrap();
    let mut seen = client.wait_until(LONG, |view| view.picture.is_some()).unwrap().sequence;
    await_picture(&path, &display.pixels());

    let mut chance = Chance::new(chance::seed());
    let mut drawn = vec![display.pixels()];
    let began = Instant::now();
    while began.elapsed() < seconds() {
        // One request a time is drawn as a whole or not yet.
        let height = 1 + chance.below(12) as u16;
        let width = 40 + chance.below(400) as u16;
        let place = (chance.below(200) as i16, chance.below(460) as i16);
        let colour = (drawn.len() as u32 * 0x03_0507) & 0xff_ffff;
        desk.fill(place, (width, height), colour);
        drawn.push(display.pixels());
        // Each is seen before the next is drawn; some rest for a while.
        let view = client.wait_until(LONG, |view| view.sequence > seen);
        seen = view.unwrap().sequence;
        let rest = Duration::from_millis([30, 30, 60, 200][chance.below(4)]);
        drop(client.wait_until(rest, |_| false));
    }
    // A reader may read what is still being written.
    await_picture(&path, drawn.last().unwrap());
    signal(recorder.id(), "INT");
    assert!(recorder.wait().unwrap().success());
    Some(Lesson { _folder: folder, path, drawn })
}

#[test]
fn a_monitor_that_is_changed_half_way_is_recorded_on_in_its_size() {
    let Some(mut display) = Xvfb::start(SIZE.0, SIZE.1) else { return };
    let desk = Desk::cover(&display.display);
    let mut agent = hightower();
    agent.args(["agent", "--source", "x11", "--cursor", "none", "--autostart"]);
    let agent = Agent::start(agent.env("DISPLAY", &display.display));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let client = Client::start(agent.address.into(), ClientOptions::default()).unwrap();
    let progress = client.record(Writer::open(&path, Existing::Refuse).unwrap()).unwrap();
    // A mode's name, and its numbers: clock, then the horizontal and the vertical timing.
    display.xrandr("--newmode small 10 320 330 340 350 240 250 260 270");
    display.xrandr("--addmode screen small");
    for (mode, size) in [("640x480", SIZE), ("small", (320, 240)), ("640x480", SIZE)] {
        display.xrandr(&format!("--output screen --mode {mode}"));
        display.size = size;
        desk.fill((5, 5), (50, 50), (u32::from(size.0) * 0x01_0203) & 0xff_ffff);
        await_picture(&path, &display.pixels());
    }
    client.end_recording();
    client.wait_until(LONG, |_| progress.outcome().is_some()).unwrap();
    let recording = Recording::open(&path).unwrap();
    let index = recording.index();
    let sizes: Vec<_> = index.sizes.iter().map(|&(_, size)| size).collect();
    assert_eq!(sizes, [(640, 480), (320, 240), (640, 480)]);
    assert_eq!((index.left_out.frames, index.marks.len()), (0, 0));
}

/// Waits until the last picture of the file is this one.
fn await_picture(path: &Path, pixels: &[u32]) {
    let end = Instant::now() + LONG;
    loop {
        if let Ok(mut recording) = Recording::open(path)
            && let Some(last) = recording.index().len().checked_sub(1)
            && recording.picture(last).unwrap().pixels() == pixels
        {
            return;
        }
        assert!(Instant::now() < end, "the picture is never recorded");
        // A file says nothing when it grows.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Fails unless each of these is a screen that was drawn, in their order, and the last one is the
/// last. Gives their numbers.
fn follow<'a>(drawn: &[Vec<u32>], shown: impl Iterator<Item = Vec<u32>> + 'a) -> Vec<usize> {
    let mut numbers: Vec<usize> = Vec::new();
    for (number, pixels) in shown.enumerate() {
        // The same one may come twice, where a key frame was asked for.
        let from = numbers.last().copied().unwrap_or(0);
        let at = drawn[from..].iter().position(|screen| *screen == pixels);
        let at = at.unwrap_or_else(|| panic!("picture {number} was not drawn after {from}"));
        numbers.push(from + at);
    }
    assert_eq!(numbers.last(), Some(&(drawn.len() - 1)), "the last one");
    numbers
}

#[test]
fn frame_by_frame_it_is_what_was_drawn() {
    let Some(lesson) = &*LESSON else { return };
    let mut recording = Recording::open(&lesson.path).unwrap();
    let count = recording.index().len();
    let pictures = (0..count).map(|number| recording.picture(number).unwrap().pixels());
    let numbers = follow(&lesson.drawn, pictures.collect::<Vec<_>>().into_iter());
    let distinct = numbers.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
    println!(
        "{count} pictures, {distinct} different ones of {} that were drawn, {:?}, {} bytes",
        lesson.drawn.len(),
        recording.index().length(),
        recording.index().end,
    );
    // The other viewer has seen each; this one may have been slower where the machine is busy.
    assert!(distinct * 2 >= lesson.drawn.len(), "{distinct} of {}", lesson.drawn.len());
    assert!(recording.index().length() >= seconds());
    assert_eq!((recording.broken().0, recording.index().left_out.frames), (0, 0));
}

#[test]
fn cut_at_a_thousand_places_each_prefix_opens() {
    let Some(lesson) = &*LESSON else { return };
    let whole = Recording::open(&lesson.path).unwrap();
    let bytes = std::fs::read(&lesson.path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.ht");
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut chance = Chance::new(chance::seed());
    let mut cuts: Vec<_> = (0..CUTS).map(|_| chance.below(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let (mut before, mut empty) = (whole.index().len(), 0);
    for (n, &cut) in cuts.iter().rev().enumerate() {
        file.set_len(cut as u64).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let index = recording.index();
        assert!(index.len() <= before && !matches!(index.tail, Tail::Damaged(_)), "cut at {cut}");
        assert!(index.end <= cut as u64);
        before = index.len();
        empty += usize::from(before == 0);
        if n % LOOKS == 0 && before > 0 {
            let picture = recording.picture(before - 1).unwrap();
            assert!(lesson.drawn.contains(&picture.pixels()), "cut at {cut}");
        }
    }
    println!("{CUTS} prefixes of {} bytes opened, {empty} of them without a picture", bytes.len());
}

#[test]
fn the_window_plays_it_frame_by_frame_as_it_was_drawn() {
    let Some(lesson) = &*LESSON else { return };
    let Some(display) = Xvfb::start(800, 600) else { return };
    let mut recording = Recording::open(&lesson.path).unwrap();
    let count = recording.index().len();
    let player = Player::open(&display, &lesson.path, &["--paused"]);
    let (x, y, width) = player.place(&display);
    assert_eq!(width, SIZE.0, "pixel for pixel");
    // The hint goes away by itself; below it is not looked.
    let seen = |pixels: &[u32]| -> Vec<u32> {
        let row = |row: usize| &pixels[(y + row) * 800 + x..][..SIZE.0.into()];
        (0..usize::from(SIZE.1) - 40).flat_map(row).copied().collect()
    };
    let upper = |pixels: Vec<u32>| -> Vec<u32> {
        pixels[..usize::from(SIZE.0) * (usize::from(SIZE.1) - 40)].to_vec()
    };
    for number in 0..count {
        let expected = upper(recording.picture(number).unwrap().pixels());
        display.wait_for(&format!("picture {number}"), |pixels| seen(pixels) == expected);
        display.key("period");
    }
    // And back some.
    display.key("comma");
    let expected = upper(recording.picture(count - 2).unwrap().pixels());
    display.wait_for("the last but one", |pixels| seen(pixels) == expected);
    println!("{count} pictures stepped through");
}

#[test]
fn as_an_animation_it_is_what_was_drawn() {
    let Some(lesson) = &*LESSON else { return };
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("lesson.apng");
    let mut command = hightower();
    command.args(["export".as_ref(), lesson.path.as_os_str(), to.as_os_str()]);
    assert!(command.output().unwrap().status.success());
    let frames = export::animation(&to);
    let recording = Recording::open(&lesson.path).unwrap();
    assert_eq!(frames.len(), recording.index().len());
    let time: Duration = frames.iter().map(|(.., time)| *time).sum();
    assert!(time.abs_diff(recording.index().length()) < Duration::from_millis(frames.len() as u64));
    follow(&lesson.drawn, frames.into_iter().map(|(_, _, pixels, _)| pixels));
}

#[test]
fn as_a_video_it_is_as_long_as_it_was() {
    let Some(lesson) = &*LESSON else { return };
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("lesson.mp4");
    let mut command = hightower();
    command.args(["export".as_ref(), lesson.path.as_os_str(), to.as_os_str()]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("needs ffmpeg") {
        return export::skip("ffmpeg");
    }
    assert!(output.status.success(), "{said}");
    let Some((codec, width, height, frames, seconds)) = export::probe(&to) else { return };
    let length = Recording::open(&lesson.path).unwrap().index().length().as_secs_f64();
    println!("{codec} {width}x{height}, {frames} pictures, {seconds} s of {length} s");
    assert_eq!((codec.as_str(), width, height), ("h264", 640, 480));
    assert!((seconds - length).abs() < 0.2 && (frames as f64 - 25.0 * length).abs() < 2.0);
}

/// Not run by default: a browser is much to install for a test.
#[test]
#[ignore = "needs Chromium"]
fn chromium_shows_the_animation() {
    let Some(lesson) = &*LESSON else { return };
    let folder = tempfile::tempdir().unwrap();
    let (to, page) = (folder.path().join("lesson.apng"), folder.path().join("page.html"));
    let mut command = hightower();
    command.args(["export".as_ref(), lesson.path.as_os_str(), to.as_os_str()]);
    // Once through, and it stays at the last picture of these.
    assert!(command.args(["--to", "1"]).output().unwrap().status.success());
    let html = "<!doctype html><body style='margin:0;background:#123456'>\
        <img src='lesson.apng' width=640 height=480>";
    std::fs::write(&page, html).unwrap();
    let shot = folder.path().join("shot.png");
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
    browser.args(["--force-color-profile=srgb", "--window-size=800,600"]);
    browser.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    browser.arg(format!("--screenshot={}", shot.display()));
    let output = match browser.arg(format!("file://{}", page.display())).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return export::skip("chromium"),
        other => other.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(shot.exists(), "{said}");
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&shot).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let samples = info.color_type.samples();
    let pixel = |x: usize, y: usize| {
        let at = y * info.line_size + x * samples;
        u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]])
    };
    assert_eq!(pixel(700, 100), 0x12_3456, "beside it is the page");
    let shown: Vec<u32> =
        (0..480).flat_map(|y| (0..640).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
    let number = lesson.drawn.iter().position(|screen| *screen == shown);
    println!("the browser shows what was drawn as number {number:?}");
    assert!(number.is_some(), "what the browser shows was never drawn");
}
