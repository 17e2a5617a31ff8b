//! The viewer against an agent that says what a test wants said.

// A test that can't go on has failed: unwrapping is how it says so.
#![allow(clippy::unwrap_used)]

// It counts for each thread alone.
#[path = "../proto/tests/hostile/allocator.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod allocator;
#[path = "common/fake_agent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod fake_agent;
#[path = "common/xvfb.rs"]
mod xvfb;

#[path = "viewer/connection.rs"]
mod connection;
#[path = "viewer/deltas.rs"]
mod deltas;
#[path = "viewer/faults.rs"]
mod faults;
#[path = "viewer/headless.rs"]
mod headless;
#[path = "viewer/mutations.rs"]
mod mutations;
#[path = "viewer/pictures.rs"]
mod pictures;
#[cfg(unix)]
#[path = "viewer/probe.rs"]
mod probe;
#[path = "viewer/window.rs"]
mod window;
