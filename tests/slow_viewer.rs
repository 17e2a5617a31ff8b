//! A slow viewer costs bounded memory, delays nobody, and goes on with the newest frame, whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, PATIENCE, Plain, decode, version};
use std::time::{Duration, Instant};

/// Versions a second.
const RATE: u64 = 10;

/// Without a frame for longer than this, a machine has stood still, at either end: sockets hold no
/// more, and what came meanwhile is missed.
const PAUSE: Duration = Duration::from_millis(400);

/// Reads frames until the time is over; gives back the versions seen, and how long it paused in all.
fn watch(mut viewer: Plain, until: Instant) -> (Vec<u64>, Duration) {
    let (mut versions, mut paused) = (Vec::new(), Duration::ZERO);
    let mut last = Instant::now();
    while last < until {
        versions.push(version(&viewer.frame()));
        let since = last.elapsed();
        last += since;
        if since > PAUSE {
            paused += since;
        }
    }
    (versions, paused)
}

#[test]
fn a_viewer_that_never_reads_beside_eight_that_do() {
    let agent = Agent::card(&["--max-fps", "10", "--card-size", "1280x720"]);
    // With eight viewers, for a while: what the agent needs without the stalled one.
    let readers: Vec<Plain> = (0..8).map(|_| Plain::connect(agent.address)).collect();
    agent.monitor(true);
    let readers = std::thread::scope(|s| {
        let warm: Vec<_> = readers
            .into_iter()
            .map(|mut viewer| {
                s.spawn(move || {
                    (0..30).for_each(|_| drop(viewer.frame()));
                    viewer
                })
            })
            .collect();
        warm.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    let with_eight = agent.rss_kib();

    let mut stalled = Plain::connect(agent.address);
    let until = Instant::now() + common::soak();
    let seen: Vec<(Vec<u64>, Duration)> = std::thread::scope(|s| {
        let threads: Vec<_> =
            readers.into_iter().map(|v| s.spawn(move || watch(v, until))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let with_stalled = agent.rss_kib();
    println!(
        "agent: {with_eight} KiB with eight viewers, {with_stalled} KiB with one stalled beside"
    );
    assert!(with_stalled < with_eight + 32 * 1024, "the stalled viewer costs memory");
    for (versions, paused) in &seen {
        let gaps: Vec<_> = versions.windows(2).filter(|w| w[1] != w[0] + 1).collect();
        let missed: u64 = gaps.iter().map(|w| w[1] - w[0] - 1).sum();
        let excused = paused.as_secs_f64() * RATE as f64;
        // Next to none, but for those.
        assert!(
            missed as f64 <= excused + versions.len() as f64 / 20.0,
            "a reading viewer missed versions, and paused for {paused:?}: {gaps:?}"
        );
        assert!(
            versions.len() as u64 > common::soak().as_secs() * RATE / 2,
            "only {} versions",
            versions.len()
        );
    }

    // It reads again: what was begun is finished, nothing is torn, and soon it is up to date.
    let newest = seen.iter().filter_map(|(versions, _)| versions.last()).max().copied().unwrap();
    let mut old = 0;
    loop {
        let png = stalled.frame();
        decode(&png);
        if version(&png) >= newest {
            break;
        }
        old += 1;
    }
    println!("{old} frames were under way to the stalled viewer");
}

#[test]
fn a_viewer_that_takes_nothing_until_the_deadline_is_dropped() {
    let mut agent =
        Agent::card(&["--autostart", "--write-deadline", "1s", "--card-size", "3840x2160"]);
    let mut stalled = Plain::connect(agent.address);
    let line = agent.await_log("dropped");
    println!("{line}");
    assert!(stalled.is_closed());
    agent.await_log("a viewer has left, 0 now");
    let mut other = Plain::connect(agent.address);
    other.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    decode(&other.frame());
}
