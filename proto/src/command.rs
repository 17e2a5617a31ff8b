//! The registry of packet commands.

use crate::limits::{Limits, MAX_TEXT};

/// What a packet asks for or says. The discriminants are the codes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i64)]
pub enum Command {
    /// Begin capturing and sending. Empty.
    StartMonitor = 0,
    /// Stop capturing and sending. Empty.
    StopMonitor = 1,
    /// Move the pointer: x, y as signed 32-bit big-endian.
    MouseMove = 2,
    /// Lock the pointer where it is: lease in milliseconds, unsigned 32-bit big-endian; empty asks
    /// for the agent's default lease.
    LockMouse = 3,
    /// Free the pointer. Empty.
    UnlockMouse = 4,
    /// A line of UTF-8 text.
    Text = 16,
    /// A PNG image as base64 text (RFC 4648, with padding).
    ImageText = 17,
    /// A PNG image.
    Image = 18,
    /// A file's bytes.
    File = 19,
    /// Any JSON value.
    Struct = 20,
    /// Viewer to agent: I speak; what I am and can do. JSON.
    Hello = 32,
    /// Agent to viewer, in answer to hello: who I am and how things stand. JSON.
    Welcome = 33,
    /// Viewer to agent: I have this version of the screen. JSON.
    Acknowledge = 34,
    /// Agent to viewer: monitoring, capture or lock changed. JSON.
    State = 35,
    /// Either way: I am closing, and why. JSON.
    Goodbye = 36,
    /// Either way: answer with a pong. JSON.
    Ping = 37,
    /// The answer to a ping. JSON.
    Pong = 38,
    /// Agent's answer to a command: obeyed or refused, and why. JSON.
    Reply = 39,
    /// Viewer to agent: the next frame is to be a key frame. Empty.
    Refresh = 40,
    /// An order with its sender's signature, in a datagram. Binary.
    Signed = 41,
    /// The answer to it, with the agent's signature. Binary.
    SignedReply = 42,
    /// A step of a pairing, either way. Binary.
    Pair = 43,
    /// Anybody to agents, in a datagram: who is there? Zeros.
    Query = 44,
    /// Either way: here is a file; will you have it? JSON.
    Offer = 45,
    /// The answer to an offer, and to chunks: so much of it is here. JSON.
    Accept = 46,
    /// A part of a file. Binary.
    Chunk = 47,
    /// Either way: a transfer has ended, well or not. JSON.
    Done = 48,
    /// Operator to agent: offer me this. JSON.
    Fetch = 49,
    /// Member to agent: I come into the chat's room. JSON.
    Join = 50,
    /// Anybody to agent: a message to all in the room. JSON.
    Say = 51,
    /// Agent to member: what happened in the room. JSON.
    Room = 52,
    /// Operator to agent: restart the machine, or so. JSON.
    Power = 53,
}

impl Command {
    /// Every command, in the order of the codes.
    pub const ALL: [Self; 32] = [
        Self::StartMonitor,
        Self::StopMonitor,
        Self::MouseMove,
        Self::LockMouse,
        Self::UnlockMouse,
        Self::Text,
        Self::ImageText,
        Self::Image,
        Self::File,
        Self::Struct,
        Self::Hello,
        Self::Welcome,
        Self::Acknowledge,
        Self::State,
        Self::Goodbye,
        Self::Ping,
        Self::Pong,
        Self::Reply,
        Self::Refresh,
        Self::Signed,
        Self::SignedReply,
        Self::Pair,
        Self::Query,
        Self::Offer,
        Self::Accept,
        Self::Chunk,
        Self::Done,
        Self::Fetch,
        Self::Join,
        Self::Say,
        Self::Room,
        Self::Power,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The command of a code, or `None` for one this revision does not know.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.code() == code)
    }

    /// The name in the specification.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartMonitor => "START_MONITOR",
            Self::StopMonitor => "STOP_MONITOR",
            Self::MouseMove => "MOUSEMOVE",
            Self::LockMouse => "LOCK",
            Self::UnlockMouse => "UNLOCK",
            Self::Text => "STRING",
            Self::ImageText => "IMAGE_TEXT",
            Self::Image => "IMAGE",
            Self::File => "FILE",
            Self::Struct => "STRUCT",
            Self::Hello => "HELLO",
            Self::Welcome => "WELCOME",
            Self::Acknowledge => "ACKNOWLEDGE",
            Self::State => "STATE",
            Self::Goodbye => "GOODBYE",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Reply => "REPLY",
            Self::Refresh => "REFRESH",
            Self::Signed => "SIGNED",
            Self::SignedReply => "SIGNED_REPLY",
            Self::Pair => "PAIR",
            Self::Query => "QUERY",
            Self::Offer => "OFFER",
            Self::Accept => "ACCEPT",
            Self::Chunk => "CHUNK",
            Self::Done => "DONE",
            Self::Fetch => "FETCH",
            Self::Join => "JOIN",
            Self::Say => "SAY",
            Self::Room => "ROOM",
            Self::Power => "POWER",
        }
    }

    /// The longest payload this command may have, in bytes.
    #[must_use]
    pub const fn max_payload(self, limits: &Limits) -> u64 {
        match self {
            Self::StartMonitor | Self::StopMonitor | Self::UnlockMouse | Self::Refresh => 0,
            Self::LockMouse => 4,
            Self::MouseMove => 8,
            Self::Signed | Self::SignedReply => crate::message::signed::MAX_SIGNED,
            Self::Pair => crate::message::pair::MAX_PAIR,
            Self::Query => crate::message::presence::MAX_QUERY,
            Self::Chunk => crate::message::files::MAX_CHUNK_PAYLOAD,
            Self::ImageText | Self::Image | Self::File => limits.max_packet,
            _ => MAX_TEXT,
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
