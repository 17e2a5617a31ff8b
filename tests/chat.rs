//! A chat: what is said reaches everybody who is there, once, in one order, or whoever said it is told.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "chat/bounds.rs"]
mod bounds;
#[path = "common/chance.rs"]
mod chance;
#[path = "common/chaos.rs"]
mod chaos;
mod common;
#[path = "chat/cuts.rs"]
mod cuts;
#[path = "common/fake_agent.rs"]
#[allow(dead_code, reason = "another test's, which uses all of it")]
mod fake_agent;
#[path = "chat/plain.rs"]
mod plain;
#[path = "chat/room.rs"]
mod room;
#[path = "chat/say.rs"]
mod say;
#[path = "chat/site.rs"]
mod site;
#[path = "chat/terminal.rs"]
mod terminal;
