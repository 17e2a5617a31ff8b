//! What a network, a machine and a disk may do: pictures and orders come through what loses,
//! delays, reorders and narrows them; what is cut off, killed or full is noticed, and goes on when
//! it can.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/chance.rs"]
mod chance;
#[path = "common/chaos.rs"]
mod chaos;
#[path = "faults/chat.rs"]
mod chat;
mod common;
#[path = "faults/cut.rs"]
mod cut;
#[path = "faults/death.rs"]
mod death;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/group.rs"]
mod group;
#[path = "faults/pictures.rs"]
mod pictures;
#[path = "common/room.rs"]
mod room;
#[path = "faults/site.rs"]
mod site;
#[path = "faults/weather.rs"]
mod weather;
#[path = "common/words.rs"]
mod words;
#[path = "common/xvfb.rs"]
mod xvfb;
