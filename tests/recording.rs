//! Recordings: what is written, what can be read of it whatever has happened, and what is made of
//! it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/chance.rs"]
mod chance;
mod common;
#[path = "common/desk.rs"]
mod desk;
#[path = "common/fake_agent.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod fake_agent;
#[cfg(target_os = "linux")]
#[path = "faults/site.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod site;
#[path = "common/xvfb.rs"]
mod xvfb;

#[cfg(unix)]
#[path = "recording/command.rs"]
mod command;
#[cfg(unix)]
#[path = "recording/damage.rs"]
mod damage;
#[cfg(target_os = "linux")]
#[path = "recording/disk.rs"]
mod disk;
#[cfg(unix)]
#[path = "recording/export.rs"]
mod export;
#[path = "recording/file.rs"]
mod file;
#[cfg(target_os = "linux")]
#[path = "recording/links.rs"]
mod links;
#[path = "recording/made.rs"]
mod made;
#[cfg(target_os = "linux")]
#[path = "recording/screen.rs"]
mod screen;
#[cfg(unix)]
#[path = "recording/shot.rs"]
mod shot;
#[path = "recording/times.rs"]
mod times;
#[cfg(target_os = "linux")]
#[path = "recording/window.rs"]
mod window;
