//! A wire in bad weather: whoever watches sees the newest picture, and orders are obeyed as said.

use crate::common::wire::{Carried, Weather};
use crate::common::{card, watch::Watch};
use crate::site::{Site, VIEW};

const FPS: f64 = 20.0;

/// Pictures and orders through this weather; `so` says whether it was met.
fn watched_and_obeyed(name: &str, weather: Weather, size: &str, so: fn(Carried) -> bool) {
    let fps = FPS.to_string();
    let Some(mut site) = Site::open(name, &["--card-size", size, "--max-fps", &fps]) else {
        return;
    };
    site.wire.weather(weather);
    let near = Watch::start(&mut site.near(&VIEW));
    let far = Watch::start(&mut site.far(&VIEW));
    far.wait_for("a picture", |seen| seen.frames > 0);
    for _ in 0..3 {
        let newest = near.seen().version;
        far.wait_for("what was the newest", |seen| seen.version >= newest);
    }

    // So many pictures, the last one pixel by pixel.
    let file = site.homes.operator.path().join("far.png");
    let save = ["--frames", "20", "--no-reconnect", "--save", file.to_str().unwrap()];
    let (status, seen, said) = Watch::start(&mut site.far(&[&VIEW[..], &save].concat())).end();
    assert!(status.success() && seen.faults.is_empty(), "{said} {seen:?}");
    let size = (seen.size.0 as usize, seen.size.1 as usize);
    card::assert_in(&file, size, FPS, seen.version);

    let mut goes = 0;
    for _ in 0..3 {
        for (order, on) in [("stop", false), ("start", true)] {
            goes += site.order(order);
            for viewer in [&near, &far] {
                viewer.wait_for(order, |seen| seen.monitoring == Some(on));
            }
        }
    }
    goes += site.order("stop");
    // No copy of an earlier order comes late and is obeyed.
    site.wire.await_stillness();
    let state = Watch::start(&mut site.near(&[&VIEW[..], &["--no-start"]].concat()));
    state.wait_for("that it was stopped", |seen| seen.monitoring == Some(false));

    let carried = site.wire.carried();
    let (near, far) = (near.seen(), far.seen());
    let pictures = (far.frames, near.frames);
    println!("{weather:?}: {carried:?}, {pictures:?} pictures, {goes} goes for 7 orders");
    assert!(so(carried), "the weather was not met: {carried:?}");
    assert_eq!((near.faults.len(), far.faults.len()), (0, 0), "{near:?} {far:?}");
    assert_eq!((near.connections, far.connections), (1, 1), "{near:?} {far:?}");
}

#[test]
fn a_wire_that_loses_packets_is_watched_through_and_obeyed() {
    let weather = Weather { loss: 0.05, ..Weather::default() };
    watched_and_obeyed("loss", weather, "320x200", |carried| carried.lost > 0);
}

#[test]
fn a_wire_that_is_long_is_watched_through_and_obeyed() {
    let weather = Weather { delay_ms: 200, ..Weather::default() };
    watched_and_obeyed("delay", weather, "320x200", |_| true);
}

#[test]
fn a_wire_that_reorders_packets_is_watched_through_and_obeyed() {
    let weather = Weather { reorder: 0.2, ..Weather::default() };
    watched_and_obeyed("order", weather, "320x200", |carried| carried.overtaken > 0);
}

#[test]
fn a_narrow_wire_is_watched_through_and_obeyed() {
    let weather = Weather { rate: 2_000_000, ..Weather::default() };
    watched_and_obeyed("rate", weather, "1920x1080", |carried| carried.waited > 0);
}

#[test]
fn a_wire_with_all_of_it_is_watched_through_and_obeyed() {
    let weather = Weather { loss: 0.05, delay_ms: 50, reorder: 0.05, rate: 2_000_000, cut: false };
    let met = |carried: Carried| carried.lost > 0 && carried.overtaken > 0;
    watched_and_obeyed("all", weather, "640x360", met);
}
