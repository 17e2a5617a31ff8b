//! What is cut off, or stands still, without a word.

use crate::chaos::{Chaos, Fault};
use crate::common::homes::Homes;
use crate::common::watch::Watch;
use crate::common::wire::Weather;
use crate::site::{Site, VIEW, cuts, unanswered};
use std::process::Command;

#[test]
fn a_second_of_a_cut_is_not_noticed_but_for_the_pictures_that_are_missing() {
    let args = ["--card-size", "320x200", "--max-fps", "20", "--write-deadline", "20s"];
    let Some(mut site) = Site::open("second", &args) else { return };
    let near = Watch::start(&mut site.near(&VIEW));
    let far = Watch::start(&mut site.far(&VIEW));
    far.wait_for("a picture", |seen| seen.frames > 0);
    site.wire.weather(Weather { cut: true, ..Weather::default() });
    // By the card's clock.
    let before = near.seen().version;
    let newest = near.wait_for("a second", |seen| seen.version >= before + 20).version;
    site.wire.weather(Weather::default());
    let seen = far.wait_for("what it has missed", |seen| seen.version >= newest);
    assert_eq!((seen.connections, seen.losses.len()), (1, 0), "{seen:?}");
    assert!(seen.faults.is_empty(), "{seen:?}");
}

#[test]
fn a_cut_is_noticed_at_both_ends_and_afterwards_the_viewer_is_there_again() {
    let args = ["--card-size", "320x200", "--max-fps", "20", "--write-deadline", "3s"];
    let Some(mut site) = Site::open("cut", &args) else { return };
    let near = Watch::start(&mut site.near(&VIEW));
    let far = Watch::start(&mut site.far(&VIEW));
    let seen = far.wait_for("a picture", |seen| seen.frames > 0);
    assert_eq!(seen.connections, 1);

    site.wire.weather(Weather { cut: true, ..Weather::default() });
    println!("{}", site.agent.await_log("dropped"));
    site.agent.await_log("a viewer has left, 1 now");
    unanswered(&site.far(&["stop"]).output().unwrap());
    let seen = far.wait_for("that the connection is lost", |seen| !seen.losses.is_empty());
    println!("{}", seen.losses[0]);
    let carried = site.wire.weather(Weather::default());
    assert!(carried.lost > 0, "{carried:?}");
    far.wait_for("pictures again", |again| again.connections > 1 && again.frames > seen.frames);
    site.order("stop");
    near.wait_for("that it was stopped", |seen| seen.monitoring == Some(false));
    let (near, far) = (near.seen(), far.seen());
    assert_eq!((near.faults.len(), far.faults.len()), (0, 0), "{near:?} {far:?}");
    assert_eq!(near.connections, 1, "{near:?}");
}

#[test]
fn a_view_lives_through_a_cut_however_long_it_is() {
    let args = ["--card-size", "320x200", "--max-fps", "20"];
    let Some(mut site) = Site::open("views", &args) else { return };
    let near = Watch::start(&mut site.near(&VIEW));
    let far = Watch::start(&mut site.far(&VIEW));
    far.wait_for("a picture", |seen| seen.frames > 0);
    for time in cuts() {
        site.wire.weather(Weather { cut: true, ..Weather::default() });
        // The time itself is what is tested: nothing happens that could be awaited.
        std::thread::sleep(time);
        let newest = near.seen().version;
        site.wire.weather(Weather::default());
        let seen = far.wait_for("what it has missed", |seen| seen.version >= newest);
        println!("{time:?}: {} connections", seen.connections);
    }
    let (near, far) = (near.seen(), far.seen());
    assert_eq!((near.faults.len(), far.faults.len()), (0, 0), "{near:?} {far:?}");
    assert_eq!(near.connections, 1, "{near:?}");
}

/// A viewer with a key, through a box that behaves so after it has seen a picture or two.
fn dropped_after_the_deadline(fault: Fault) {
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = homes.start(&["--autostart", "--write-deadline", "2s"]);
    let chaos = Chaos::tcp(agent.address, move || fault);
    homes.know(chaos.address);
    let address = chaos.address.to_string();
    let view = [&VIEW[..], &["--tls", "--no-reconnect", &address]].concat();
    let viewer = Watch::start(&mut homes.command(&view));
    viewer.wait_for("a picture", |seen| seen.frames > 0);
    println!("{}", agent.await_log("dropped"));
    agent.await_log("a viewer has left, 0 now");
    // The viewer finds out for itself.
    let (status, seen, said) = viewer.end();
    assert!(!status.success() && seen.losses.len() == 1, "{seen:?}");
    println!("{said}");
}

#[test]
fn a_viewer_behind_a_box_that_stalls_is_dropped_after_the_deadline() {
    dropped_after_the_deadline(Fault::Stall(40_000));
}

#[test]
fn a_viewer_behind_a_box_that_swallows_is_dropped_after_the_deadline() {
    dropped_after_the_deadline(Fault::Swallow(40_000));
}

#[test]
fn a_viewer_that_stands_still_is_dropped_after_the_deadline_and_comes_back() {
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = homes.start(&["--autostart", "--write-deadline", "2s"]);
    homes.trust(&agent);
    let address = agent.address.to_string();
    let viewer = Watch::start(&mut homes.command(&[&VIEW[..], &["--tls", &address]].concat()));
    let before = viewer.wait_for("a picture", |seen| seen.frames > 0);
    let signal = |name: &str| {
        let sent = Command::new("kill").args(["-s", name, &viewer.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    signal("STOP");
    println!("{}", agent.await_log("dropped"));
    agent.await_log("a viewer has left, 0 now");
    signal("CONT");
    let again = viewer.wait_for("pictures again", |seen| {
        seen.connections > 1 && seen.frames > before.frames && seen.version > 0
    });
    assert!(again.faults.is_empty(), "{again:?}");
}
