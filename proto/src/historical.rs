//! The historical system: what its programs are known to do, so that they can be talked to.
//!
//! A server sends frames to whoever connects, takes [`datagram`](crate::datagram)s of four bytes, and
//! tells by a beacon that it is there. Nobody proves anything, and nothing is answered.

/// The TCP port of its frames.
pub const STREAM_PORT: u16 = 44444;

/// The UDP port of its commands, at the server.
pub const COMMAND_PORT: u16 = 44446;

/// The UDP port of its beacon, at the viewers.
pub const BEACON_PORT: u16 = 44448;

/// The beacon: a whole datagram.
pub const BEACON: [u8; 2] = *b"ZX";

/// How often a server sends its beacon, in seconds.
pub const BEACON_S: u64 = 5;

/// After so long without a beacon a viewer forgets the server, in seconds.
pub const FORGOTTEN_S: u64 = 20;

/// The datagram that locks the pointer.
pub const LOCK: [u8; 4] = *b"HLYT";

/// The datagram that frees it.
pub const UNLOCK: [u8; 4] = *b"HLNT";
