//! Discovery: which agents are on the networks that this machine is on.
//!
//! They are asked by datagrams, by multicast and by broadcast, and listened for by DNS-SD: where
//! one way is closed another may be open, and an agent at another port is found by the last. What
//! is found is what somebody says: who it really is shows when it is connected to, by its key.

mod browser;
mod listing;
mod search;

pub use listing::{Agent, Listing, Proven};
pub use search::{Search, find};

/// What agents are by DNS-SD (RFC 6763).
pub const SERVICE: &str = "_hightower._tcp.local.";
