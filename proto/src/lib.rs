//! The wire format of Hightower: bytes in, messages out.
//!
//! This crate has no sockets, no clock and no async. `SPEC.md` beside it is the byte-exact
//! specification; `vectors/` holds golden inputs, good and bad.
//!
//! | module | what |
//! |---|---|
//! | [`limits`] | every bound on what a peer may make us hold, in one place |
//! | [`command`] | the registry of packet commands |
//! | [`message`] | commands with their payloads parsed |
//! | [`stream`] | the incremental decoder of a TCP stream: frames and packets |
//! | [`datagram`] | the strict reader and writer of UDP datagrams |
//! | [`png`] | the little of PNG that the wire needs: header, chunks |
//! | [`htfr`] | the `htFr` chunk: which version of the screen a frame is, and where it goes |

#![forbid(unsafe_code)]

pub mod command;
pub mod datagram;
pub mod historical;
pub mod htfr;
mod json;
pub mod limits;
pub mod message;
pub mod png;
pub mod stream;

pub use command::Command;
pub use htfr::{FrameInfo, Move, Tile};
pub use limits::Limits;
pub use message::Message;
pub use stream::{Decoder, Item};

use std::net::{Ipv4Addr, Ipv6Addr};

/// The protocol revision announced in hello and welcome.
pub const PROTOCOL: u32 = 1;

/// The port of the protocol, TCP and UDP: `0x4854`, the bytes "HT".
pub const PORT: u16 = 0x4854;

/// The group that orders to a room are sent to: of the local scope (RFC 2365), 72 and 84 are "HT".
pub const ROOM_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 72, 84);

/// The same for IPv6: of one link, and assigned to nobody (RFC 3307).
pub const ROOM_V6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0x8000, 0x4854);
