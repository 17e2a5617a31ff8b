//! The mouse lock on a real display: it holds, and it always ends.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/desk.rs"]
mod desk;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::{Agent, hightower, stdout};
use desk::Desk;
use std::time::{Duration, Instant};
use xvfb::Xvfb;

const ANCHOR: (i16, i16) = (200, 150);

/// A display with a pointer at the anchor, and an agent with the test card on it.
struct Bench {
    agent: Agent,
    desk: Desk,
    _display: Xvfb,
}

fn bench(args: &[&str]) -> Option<Bench> {
    let display = Xvfb::start(640, 480)?;
    let desk = Desk::cover(&display.display);
    let mut command = hightower();
    command.args(["agent", "--source", "card"]).args(args).env("DISPLAY", &display.display);
    let agent = Agent::start(&mut command);
    desk.move_mouse(ANCHOR);
    Some(Bench { agent, desk, _display: display })
}

impl Bench {
    fn lock(&self, args: &[&str]) -> String {
        let output = self.agent.order(&[&["lock"], args].concat());
        assert!(output.status.success(), "{}", stdout(&output));
        stdout(&output)
    }

    fn assert_held(&self) {
        self.desk.move_mouse((500, 400));
        self.desk.await_pointer(ANCHOR);
    }
}

#[test]
fn a_locked_pointer_is_back_at_its_anchor_after_fifty_moves_in_a_second() {
    let Some(bench) = bench(&[]) else { return };
    bench.lock(&[]);
    let start = Instant::now();
    for i in 0..50 {
        bench.desk.move_mouse((10 * i, 400));
        let due = start + Duration::from_millis(20) * (i as u32 + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    println!("fifty moves in {:?}", start.elapsed());
    bench.desk.await_pointer(ANCHOR);
    bench.assert_held();
}

#[test]
fn it_is_free_after_its_lease() {
    let Some(mut bench) = bench(&[]) else { return };
    assert!(bench.lock(&["--for", "4s"]).contains("locked for 4 s"));
    bench.assert_held();
    bench.agent.await_log("its lease has ended");
    assert!(bench.desk.pointer_is_free());
}

#[test]
fn it_is_free_after_unlock() {
    let Some(bench) = bench(&[]) else { return };
    bench.lock(&[]);
    bench.assert_held();
    assert!(bench.agent.order(&["unlock"]).status.success());
    assert!(bench.desk.pointer_is_free());
}

#[test]
fn it_is_free_after_the_agent_was_asked_to_end() {
    let Some(bench) = bench(&[]) else { return };
    bench.lock(&[]);
    bench.assert_held();
    let Bench { agent, desk, _display } = bench;
    assert!(agent.terminate().success());
    assert!(desk.pointer_is_free());
}

#[test]
fn it_is_free_after_the_agent_was_killed() {
    let Some(bench) = bench(&[]) else { return };
    bench.lock(&[]);
    bench.assert_held();
    let Bench { agent, desk, _display } = bench;
    agent.kill();
    assert!(desk.pointer_is_free());
}

#[test]
fn the_agent_has_a_default_and_a_ceiling() {
    let Some(bench) = bench(&["--max-lock", "30s"]) else { return };
    assert!(bench.lock(&[]).contains("locked for 30 s"), "the default is under the ceiling");
    assert!(bench.lock(&["--for", "20s"]).contains("locked for 20 s"));
    assert!(bench.lock(&["--for", "1h"]).contains("locked for 30 s"));
}

#[test]
fn the_historical_four_bytes_lock_and_unlock() {
    let Some(mut bench) = bench(&[]) else { return };
    assert_eq!(bench.agent.datagram(b"HLYT", false), None);
    bench.agent.await_log("the pointer is locked for 60s");
    bench.assert_held();
    assert_eq!(bench.agent.datagram(b"HLNT", false), None);
    bench.agent.await_log("the pointer is free");
    assert!(bench.desk.pointer_is_free());
}

#[test]
fn a_pointer_is_moved_and_a_locked_one_with_its_anchor() {
    let Some(bench) = bench(&[]) else { return };
    let moved = |x: &str, y: &str| bench.agent.order(&["mouse", x, y]);
    assert!(moved("30", "40").status.success());
    bench.desk.await_pointer((30, 40));
    bench.lock(&[]);
    assert!(moved("60", "70").status.success());
    bench.desk.await_pointer((60, 70));
    bench.desk.move_mouse((500, 400));
    bench.desk.await_pointer((60, 70));
    // A place off the screen becomes one at its edge, and that is where the pointer is held.
    assert!(moved("-5", "70").status.success());
    bench.desk.await_pointer((0, 70));
    bench.desk.move_mouse((500, 400));
    bench.desk.await_pointer((0, 70));
    let off = moved("40000", "70");
    assert_eq!(off.status.code(), Some(1));
    assert!(stdout(&off).contains("to 32767"), "{}", stdout(&off));
}
