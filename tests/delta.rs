//! What a viewer gets that takes deltas: only what changed, the same picture pixel for pixel, as
//! much of it at a time as it acknowledges.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::speaker::Speaker;
use common::{Agent, PATIENCE, hightower, packet};
use hightower::source::Card;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SIZE: (usize, usize) = (320, 200);

fn agent(rate: &str) -> Agent {
    Agent::card(&["--card-size", "320x200", "--autostart", "--max-fps", rate])
}

/// The card with this number; in an agent's first run that is the version too.
fn card(number: u64, rate: f64) -> Vec<u32> {
    Card::new(SIZE.0, SIZE.1, rate).draw(number).to_vec()
}

#[test]
fn deltas_make_the_same_picture_and_carry_only_what_changed() {
    let agent = agent("30");
    let mut viewer = Speaker::connect(agent.address, ",\"delta\":true");
    let mut key = None;
    let mut deltas = Vec::new();
    // The first frame may be on its way before the agent has heard the hello.
    while deltas.len() < 30 {
        let update = viewer.update();
        assert!(viewer.pixels == card(update.version, 30.0), "{update:?} differs from the card");
        if update.base == 0 {
            key = Some(update.bytes);
            assert!(deltas.is_empty(), "a key frame that nobody asked for");
        } else {
            deltas.push(update.bytes);
        }
    }
    deltas.sort_unstable();
    let (typical, key) = (deltas[deltas.len() / 2], key.unwrap());
    assert!(typical * 2 < key, "a delta has {typical} bytes, a key frame {key}");
}

#[test]
fn who_does_not_ask_for_deltas_gets_key_frames() {
    let agent = agent("30");
    let mut viewer = Speaker::connect(agent.address, "");
    for _ in 0..10 {
        let update = viewer.update();
        assert_eq!(update.base, 0);
        assert!(viewer.pixels == card(update.version, 30.0));
    }
}

#[test]
fn a_viewer_that_was_slow_gets_one_step_over_all_it_missed() {
    let agent = agent("60");
    let mut quick = Speaker::connect(agent.address, ",\"delta\":true");
    let mut slow = Speaker::connect(agent.address, ",\"delta\":true");
    slow.acknowledges = false;
    slow.welcome();
    // As many as its credit, and no more.
    slow.update();
    let last = slow.update();
    slow.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut target = quick.update().version + 20;
    while quick.version < target {
        quick.update();
    }
    let kind = slow.socket.peek(&mut [0]).err().map(|e| e.kind());
    assert!(
        matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "more came than the credit: {kind:?}"
    );
    slow.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // What was never sent is no acknowledgement.
    for version in [0, last.version + 1_000_000, u64::MAX] {
        slow.acknowledge(version);
    }
    target = quick.version + 10;
    while quick.version < target {
        quick.update();
    }
    slow.acknowledge(last.version);
    let next = slow.update();
    assert_eq!(next.base, last.version);
    assert!(next.version >= last.version + 20, "{next:?} is not the newest after {last:?}");
    assert!(slow.pixels == card(next.version, 60.0));
}

#[test]
fn a_refresh_brings_a_key_frame_even_before_anything_changes() {
    let agent = agent("2");
    let mut viewer = Speaker::connect(agent.address, ",\"delta\":true");
    viewer.acknowledges = false;
    let first = viewer.update();
    assert_eq!(first.base, 0);
    // All of its credit is used up; what it could not decode counts as seen.
    let mut next = viewer.update();
    viewer.send(40, &[]);
    while next.base != 0 {
        next = viewer.update();
    }
    assert!(viewer.pixels == card(next.version, 2.0));
    viewer.acknowledge(next.version);
    let after = viewer.update();
    assert_eq!(after.base, next.version, "deltas go on from the key frame");
    assert!(viewer.pixels == card(after.version, 2.0));
}

#[test]
fn a_refresh_is_not_answered_by_what_was_on_its_way_to_be_encoded() {
    let agent = agent("120");
    let mut other = Speaker::connect(agent.address, ",\"delta\":true");
    let mut viewer = Speaker::connect(agent.address, ",\"delta\":true");
    viewer.acknowledges = false;
    viewer.update();
    for _ in 0..50 {
        let last = viewer.update();
        // All of its credit is used up, and there is a newer version: with the acknowledgement a
        // step to that is asked for, and the REFRESH comes right behind.
        while other.update().version <= last.version {}
        let acknowledged = format!("{{\"version\":{}}}", last.version);
        let acknowledged = packet(34, acknowledged.as_bytes(), false, false);
        let both = [acknowledged, packet(40, &[], false, false)].concat();
        viewer.socket.write_all(&both).unwrap();
        let next = viewer.update();
        assert_eq!(next.base, 0, "{next:?} builds on what was lost");
    }
}

#[test]
fn who_wishes_for_more_does_not_wait_for_what_was_wished_before() {
    let agent = agent("60");
    // Versions go on for this one, whatever others wish for.
    let (watches, seen) = (AtomicBool::new(true), Seen::default());
    std::thread::scope(|scope| {
        let (mut quick, going) = (Speaker::connect(agent.address, ",\"delta\":true"), &watches);
        let seen = &seen;
        let watching = scope.spawn(move || {
            while going.load(Ordering::Relaxed) {
                seen.note(quick.update().version);
            }
        });
        let over = Over(&watches);
        wishes(&agent, seen);
        drop(over);
        watching.join().unwrap();
    });
}

/// Ends the watching, however the test does.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What one has seen that takes all there is: how many updates, and the newest version.
#[derive(Default)]
struct Seen {
    updates: AtomicU64,
    newest: AtomicU64,
}

impl Seen {
    fn note(&self, version: u64) {
        self.newest.store(version, Ordering::Relaxed);
        self.updates.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> (u64, u64) {
        (self.updates.load(Ordering::Relaxed), self.newest.load(Ordering::Relaxed))
    }
}

fn wishes(agent: &Agent, seen: &Seen) {
    for wish in ["\"max_fps\":0", "\"max_fps\":1,\"scale\":2"] {
        let mut viewer = Speaker::connect(agent.address, ",\"delta\":true,\"max_fps\":1");
        // The first may have come before the hello was heard; of the others there is one a second.
        let (mut last, mut next) = (viewer.update(), viewer.update());
        while next.version < last.version + 30 {
            (last, next) = (next, viewer.update());
        }
        let (updates, newest) = seen.now();
        viewer.send(32, format!("{{\"protocol\":1,\"delta\":true,{wish}}}").as_bytes());
        let after = viewer.update();
        // Of those that the quick one has seen meanwhile: where the agent stands still, that one does
        // too, and where this test does, the update is no newer for it.
        let passed = (seen.now().0 - updates).min(after.version.saturating_sub(newest));
        assert!(passed < 30, "{wish}: after {passed} versions of 60 a second");
    }
}

#[test]
fn a_scaled_rendition_is_the_mean_of_blocks() {
    let agent = agent("20");
    let scale = 3;
    let mut viewer = Speaker::connect(agent.address, ",\"delta\":true,\"scale\":3");
    let (width, height) = (SIZE.0.div_ceil(scale), SIZE.1.div_ceil(scale));
    let mut checked = 0;
    while checked < 10 {
        let update = viewer.update();
        if viewer.size != (width as u32, height as u32) {
            // On its way before the hello was heard.
            assert_eq!((update.base, checked), (0, 0));
            continue;
        }
        let card = card(update.version, 20.0);
        for y in 0..height {
            for x in 0..width {
                let rows = y * scale..((y + 1) * scale).min(SIZE.1);
                let columns = x * scale..((x + 1) * scale).min(SIZE.0);
                let count = (rows.len() * columns.len()) as u32;
                let mean = |shift: u32| {
                    let block = rows.clone().flat_map(|y| &card[y * SIZE.0..][columns.clone()]);
                    let sum: u32 = block.map(|p| p >> shift & 0xff).sum();
                    ((2 * sum + count) / (2 * count)) << shift
                };
                let expected = mean(16) | mean(8) | mean(0);
                assert_eq!(viewer.pixels[y * width + x], expected, "at {x},{y} of {update:?}");
            }
        }
        checked += 1;
    }
}

#[test]
fn a_rate_is_kept_and_what_comes_is_the_newest() {
    let agent = agent("60");
    let mut slow = Speaker::connect(agent.address, ",\"delta\":true,\"max_fps\":4");
    let quick = Speaker::connect(agent.address, ",\"delta\":true");
    let (done, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|s| {
        // Somebody has to want the versions between.
        s.spawn(|| {
            let mut quick = quick;
            while !done.load(Ordering::Relaxed) {
                seen.note(quick.update().version);
            }
        });
        // The pictures before the hello was heard are at any rate.
        slow.welcome();
        slow.update();
        slow.update();
        let end = Instant::now() + PATIENCE;
        let versions = loop {
            let first = slow.update().version;
            let (mut before, mut wanted) = (seen.now().0, true);
            for _ in 0..4 {
                slow.update();
                let now = seen.now().0;
                wanted &= now > before;
                before = now;
            }
            // Where the quick one stood still, nobody wanted them.
            if wanted || Instant::now() > end {
                break slow.version - first;
            }
        };
        done.store(true, Ordering::Relaxed);
        assert!(versions >= 12, "four updates at 4 a second span {versions} versions at 60");
    });
    assert!(slow.pixels == card(slow.version, 60.0));
}

#[test]
fn a_slow_link_is_worth_more_effort() {
    let mut agent = Agent::start(
        hightower()
            .args(["agent", "--source", "card", "--card-size", "2560x1440"])
            .env("HIGHTOWER_LOG", "hightower=trace"),
    );
    let mut viewer = Speaker::connect(agent.address, ",\"delta\":true");
    // Started after the hello, so that no frame was sent to somebody who can't acknowledge it.
    viewer.send(0, b"");
    viewer.acknowledges = false;
    let update = viewer.update();
    assert!(update.bytes > 64 << 10, "{} bytes say little of a link", update.bytes);
    // Longer than any viewer is far, and so long that no machine took a good part of it to encode.
    std::thread::sleep(Duration::from_secs(6));
    viewer.acknowledge(update.version);
    viewer.acknowledges = true;
    // Those of a few pixels are made in one way only; among these are larger ones.
    let further = std::thread::spawn(move || {
        for _ in 0..30 {
            viewer.update();
        }
    });
    agent.await_log("effort=Small");
    further.join().unwrap();
}
