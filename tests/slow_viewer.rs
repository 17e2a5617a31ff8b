//! A slow viewer costs bounded memory, delays nobody, and goes on with the newest frame, whole.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, PATIENCE, Plain, decode, version};
use std::time::Instant;

/// Reads frames until the time is over; gives back the versions seen.
fn watch(mut viewer: Plain, until: Instant) -> Vec<u64> {
    let mut versions = Vec::new();
    while Instant::now() < until {
        versions.push(version(&viewer.frame()));
    }
    versions
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
    let seen: Vec<Vec<u64>> = std::thread::scope(|s| {
        let threads: Vec<_> =
            readers.into_iter().map(|v| s.spawn(move || watch(v, until))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let with_stalled = agent.rss_kib();
    println!(
        "agent: {with_eight} KiB with eight viewers, {with_stalled} KiB with one stalled beside"
    );
    assert!(with_stalled < with_eight + 32 * 1024, "the stalled viewer costs memory");
    for versions in &seen {
        let gaps: Vec<_> = versions.windows(2).filter(|w| w[1] != w[0] + 1).collect();
        assert!(gaps.is_empty(), "a reading viewer missed versions: {gaps:?}");
        assert!(
            versions.len() as u64 > common::soak().as_secs() * 10 / 2,
            "only {} versions",
            versions.len()
        );
    }

    // It reads again: what was begun is finished, nothing is torn, and soon it is up to date.
    let newest = seen.iter().filter_map(|v| v.last()).max().copied().unwrap();
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
