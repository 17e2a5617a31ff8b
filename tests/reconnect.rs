//! A viewer that loses its agent says so, and comes back by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, Lines, Plain, hightower, own_loopback};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A viewer without a window, event by event.
struct Viewer {
    child: Child,
    lines: Lines,
}

impl Viewer {
    fn start(address: SocketAddr, args: &[&str]) -> Self {
        let mut child = hightower()
            .args(["view", "--headless", "--json", &address.to_string()])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next event of this kind; those between are passed over.
    fn await_event(&mut self, kind: &str) -> Value {
        let event = format!(r#""event":"{kind}""#);
        let line = self.lines.await_line(|line| line.contains(&event), &event);
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn an_agent_that_is_killed_and_started_again_is_watched_again() {
    let agent = Agent::card(&["--card-size", "320x200", "--listen", &own_loopback()]);
    let address = agent.address;
    let mut viewer = Viewer::start(address, &[]);
    viewer.await_event("frame");
    agent.kill();
    let lost = viewer.await_event("disconnected");
    assert!(!lost["cause"].as_str().unwrap().is_empty(), "{lost}");
    let listen = address.to_string();
    let start = Instant::now();
    // Another size tells its pictures from the first agent's. It has forgotten that monitoring
    // was on: the viewer says it again.
    let _again = Agent::card(&["--listen", &listen, "--card-size", "160x100"]);
    let frame = viewer.await_event("frame");
    println!("killed and started again: a picture after {:?}", start.elapsed());
    assert_eq!((&frame["width"], &frame["height"]), (&160.into(), &100.into()));
}

#[test]
fn monitoring_that_somebody_stopped_is_not_started_by_a_reconnect() {
    let agent = Agent::card(&["--card-size", "320x200", "--listen", &own_loopback()]);
    let address = agent.address;
    let mut viewer = Viewer::start(address, &[]);
    viewer.await_event("frame");
    agent.monitor(false);
    while viewer.await_event("state")["state"]["monitoring"] != false {}
    agent.kill();
    viewer.await_event("disconnected");
    let _again = Agent::card(&["--listen", &address.to_string(), "--card-size", "160x100"]);
    viewer.await_event("welcome");
    let mut beside = Plain::connect(address);
    assert!(beside.is_silent_for(Duration::from_secs(1)), "the reconnect started the monitoring");
}

#[test]
fn an_agent_that_stops_says_goodbye() {
    let agent = Agent::card(&["--card-size", "320x200"]);
    let mut viewer = Viewer::start(agent.address, &["--no-reconnect"]);
    viewer.await_event("frame");
    agent.terminate();
    let cause = viewer.await_event("disconnected")["cause"].to_string();
    assert!(cause.contains("the agent stops"), "{cause}");
    assert_eq!(viewer.child.wait().unwrap().code(), Some(1));
}
