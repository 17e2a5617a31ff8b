//! For as long as one likes, a desktop is not still: whenever it rests, every viewer sees it, and
//! the agent needs no more memory late than early.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "endurance/activity.rs"]
mod activity;
#[path = "common/chance.rs"]
mod chance;
mod common;
#[path = "endurance/eye.rs"]
mod eye;
#[path = "common/xvfb.rs"]
mod xvfb;

use activity::{Activity, SIZES};
use chance::Chance;
use common::speaker::{self, Speaker};
use common::{Agent, PATIENCE, Plain, hightower};
use eye::{Agreement, Eye};
use hightower::viewer::{Client, ClientOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xvfb::Xvfb;

/// How many KiB more the agent may have at its peak in the second half than in the first. What is
/// in use at once swings: the pixels and the bytes of a noisy screen (of 1.9 MB each) may be copied
/// and encoded for two viewers at a time, or not, and the allocator keeps what it had. What leaks
/// does not swing: of ten minutes, a KiB an update is more.
const SWING: u64 = 6 * 1024;

/// Where the slow viewer can go on only by a key frame: the agent's log is shorter.
const LONG_AGO: u64 = 200;

/// What the viewers are to do, and what they said.
#[derive(Default)]
struct Common {
    agreement: Arc<Agreement>,
    /// Nothing is drawn: whoever stalls goes on.
    resting: AtomicBool,
    done: AtomicBool,
}

/// Follows by deltas with a few pictures a second, acknowledges each when the next one comes, and
/// now and then takes nothing for longer than the agent's log.
fn watch_slowly(mut viewer: Speaker, eye: &Eye, quick: &Client, common: &Common, seed: u64) {
    let mut chance = Chance::new(seed);
    viewer.acknowledges = false;
    let mut before = None;
    while !common.done.load(Ordering::Acquire) {
        let update = viewer.update();
        if let Some(before) = before.replace(update.version) {
            viewer.acknowledge(before);
        }
        let row = viewer.size.0 as usize;
        common.agreement.say("slow", update.version, viewer.pixels.chunks(row));
        eye.see(viewer.size, &viewer.pixels, update.base == 0);
        if !chance.once_in(20) {
            continue;
        }
        let mut seen = 0;
        while !common.resting.load(Ordering::Acquire) {
            let view;
            (view, seen) = quick.wait(seen, Duration::from_millis(100));
            let version = view.picture.and_then(|picture| picture.version);
            if version >= Some(update.version + LONG_AGO) {
                break;
            }
        }
    }
}

/// Takes what comes, and never says a word.
fn watch_plainly(mut viewer: Plain, eye: &Eye, common: &Common) {
    while !common.done.load(Ordering::Acquire) {
        let png = viewer.frame();
        let (width, pixels) = speaker::pixels(&png);
        common.agreement.say("plain", common::version(&png), pixels.chunks(width));
        eye.see((width as u32, (pixels.len() / width) as u32), &pixels, true);
    }
}

/// The agent's memory over time, in KiB.
struct Memory {
    began: Instant,
    /// What is before this is warming up.
    warm: Duration,
    /// The end of the first half.
    half: Duration,
    peaks: [u64; 2],
    told: Duration,
}

impl Memory {
    fn new(whole: Duration) -> Self {
        let warm = whole / 5;
        let half = (whole + warm) / 2;
        Self { began: Instant::now(), warm, half, peaks: [0; 2], told: Duration::ZERO }
    }

    fn sample(&mut self, agent: &Agent, whole: Duration) {
        let time = self.began.elapsed();
        let rss = agent.rss_kib();
        if time >= self.warm {
            let peak = &mut self.peaks[usize::from(time >= self.half)];
            *peak = rss.max(*peak);
        }
        if time >= self.told {
            println!("{:5.0} s: {rss} KiB", time.as_secs_f64());
            self.told += whole / 20;
        }
    }
}

#[test]
fn whatever_windows_do_every_viewer_sees_the_screen_and_memory_stays() {
    let (width, height) = SIZES[0];
    let Some(display) = Xvfb::start(width, height) else { return };
    let seed = chance::seed();
    let agent = Agent::start(
        hightower()
            .args(["agent", "--cursor", "none", "--autostart"])
            .env("DISPLAY", &display.display),
    );
    let mut activity = Activity::start(display, seed);
    let target = agent.address.to_string().parse().unwrap();
    let common = Common { resting: true.into(), ..Common::default() };
    let agreement = Arc::clone(&common.agreement);
    let quick = Client::start_watched(target, ClientOptions::default(), move |view| {
        if let Some(picture) = &view.picture {
            agreement.say("quick", picture.version.unwrap(), picture.rows());
        }
    });
    let quick = quick.unwrap();
    let slow = Speaker::connect(agent.address, ",\"delta\":true,\"max_fps\":6");
    let plain = Plain::connect(agent.address);
    let (slow_eye, plain_eye) = (Eye::default(), Eye::default());
    let whole = common::soak();
    let mut memory = Memory::new(whole);
    let mut rests = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| watch_slowly(slow, &slow_eye, &quick, &common, seed));
        scope.spawn(|| watch_plainly(plain, &plain_eye, &common));
        // Whatever fails here, the viewers' threads end with their sockets' patience.
        let mut sizes = SIZES.iter().copied();
        while memory.began.elapsed() < whole {
            if let Some(size) = sizes.next() {
                activity.change_screen(size);
            }
            common.resting.store(false, Ordering::Release);
            be_busy(&mut activity, &quick, &agent, &mut memory, whole);
            common.resting.store(true, Ordering::Release);
            activity.rest();
            compare(&activity, &quick, &[("slow", &slow_eye), ("plain", &plain_eye)]);
            rests += 1;
        }
        activity.show_a_sign();
        compare(&activity, &quick, &[("slow", &slow_eye), ("plain", &plain_eye)]);
        common.done.store(true, Ordering::Release);
        // Who waits for an update gets one, and finds that it is over.
        activity.show_a_sign();
    });
    let counters = quick.view().counters;
    println!(
        "{} acts, {} sizes; {rests} times at rest all were equal; quick: {} pictures of {} bytes; \
         slow: {}; plain: {}; peaks of memory: {:?} KiB",
        activity.acts,
        activity.resizes,
        counters.frames,
        counters.bytes,
        slow_eye.figures(),
        plain_eye.figures(),
        memory.peaks,
    );
    let (confirmed, differences) = common.agreement.outcome();
    println!("{confirmed} times a version was seen by another viewer too");
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!((counters.bad, counters.out_of_step, counters.refreshes), (0, 0, 0));
    assert_eq!(counters.connections, 1);
    let [first, second] = memory.peaks;
    assert!(second <= first + SWING, "the agent grows: {first} KiB, then {second}");
}

/// Windows do something for a while, mostly as fast as the quick viewer follows.
fn be_busy(
    activity: &mut Activity,
    quick: &Client,
    agent: &Agent,
    memory: &mut Memory,
    whole: Duration,
) {
    let end = Instant::now() + Duration::from_millis(activity.chance.of(100..2500) as u64);
    while Instant::now() < end {
        let before = quick.view().sequence;
        for _ in 0..activity.chance.of(1..7) {
            activity.act();
        }
        activity.rest();
        if !activity.chance.once_in(4) {
            // What was drawn may be covered, so that nothing comes of it.
            let _ = quick.wait_until(Duration::from_millis(50), |view| view.sequence > before);
        }
        memory.sample(agent, whole);
    }
}

/// Everybody comes to see what is on the screen.
fn compare(activity: &Activity, quick: &Client, eyes: &[(&str, &Eye)]) {
    let screen = activity.display.pixels();
    let (width, height) = activity.display.size;
    let size = (u32::from(width), u32::from(height));
    let fail = |who: &str, what: String| {
        panic!("the {who} viewer never saw the screen: {what}, after {:#?}", activity.last)
    };
    let same = quick.wait_until(PATIENCE, |view| {
        view.picture.as_ref().is_some_and(|picture| {
            (picture.width as u32, picture.height as u32) == size && picture.pixels() == screen
        })
    });
    if let Err(view) = same {
        let picture = view.picture.as_ref().unwrap();
        let shown = (picture.width as u32, picture.height as u32);
        let words = eye::difference(shown, &picture.pixels(), size, &screen);
        fail("quick", format!("{words} ({view:?})"));
    }
    for (who, eye) in eyes {
        if let Err(words) = eye.await_same(size, &screen) {
            fail(who, words);
        }
    }
}
