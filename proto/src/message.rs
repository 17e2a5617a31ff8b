//! Packets with their payloads parsed.
//!
//! A payload that does not fit its command exactly is an error: there are no trailing bytes, no
//! defaults for what is cut off. JSON objects may hold members this revision does not know, and may
//! leave out those the specification calls optional.

mod chat;
mod facts;
pub(crate) mod files;
mod objects;
pub(crate) mod pair;
mod power;
pub(crate) mod presence;
pub(crate) mod signed;

pub use chat::{Event, Had, Join, Joined, Member, Room, Say, What};
pub use facts::{Address, Facts, Interface, Monitor};
pub use files::{Accept, Chunk, Digest, Done, Fetch, Offer};
pub use objects::{Acknowledge, Capture, Goodbye, Hello, Ping, Pong, Reply, State, Welcome};
pub use pair::Pair;
pub use power::{Act, Power};
pub use presence::{About, Presence, Query};
pub use signed::{Answer, KeyId, Order, Recipient, Signable, Signed};

use crate::command::Command;
use crate::json;
use crate::limits::Limits;
use base64::Engine;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;

/// The length of a packet's header: two 64-bit numbers.
pub const PACKET_HEADER: usize = 16;

/// One packet as it is on the wire: a known command and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it asks for or says.
    pub command: Command,
    /// The bytes after the header. From a stream they share the decoder's buffer: who keeps a small
    /// payload for long should copy it.
    pub payload: Bytes,
}

impl Packet {
    /// Whether the payload is within what its command allows; a peer with these limits refuses
    /// anything longer.
    #[must_use]
    pub fn fits(&self, limits: &Limits) -> bool {
        self.payload.len() as u64 <= self.command.max_payload(limits)
    }

    /// The packet's bytes: header and payload.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(PACKET_HEADER + self.payload.len());
        out.put_i64((PACKET_HEADER + self.payload.len()) as i64);
        out.put_i64(self.command.code());
        out.put_slice(&self.payload);
        out.freeze()
    }
}

/// Why a packet's payload is not what its command says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A payload of fixed length has another one.
    #[error("{command} takes a payload of {expected} bytes, not {actual}")]
    Length {
        /// The packet's command.
        command: Command,
        /// The lengths it may have, in words.
        expected: &'static str,
        /// The length it has.
        actual: usize,
    },
    /// Text that is not UTF-8.
    #[error("{command} is not UTF-8 from byte {valid_up_to} on")]
    Utf8 {
        /// The packet's command.
        command: Command,
        /// How many bytes were good.
        valid_up_to: usize,
    },
    /// JSON that does not parse, or is another shape.
    #[error("{command} is not the JSON it should be: {reason}")]
    Json {
        /// The packet's command.
        command: Command,
        /// The parser's words.
        reason: String,
    },
    /// A signed payload that is not laid out as it should be.
    #[error("{command} is not as it should be: {fault}")]
    Signed {
        /// The packet's command.
        command: Command,
        /// What is wrong.
        fault: &'static str,
    },
    /// A step of a pairing that is not laid out as it should be.
    #[error("PAIR is not as it should be: {fault}")]
    Pair {
        /// What is wrong.
        fault: &'static str,
    },
    /// Base64 that does not decode.
    #[error("{command} is not base64: {reason}")]
    Base64 {
        /// The packet's command.
        command: Command,
        /// The decoder's words.
        reason: String,
    },
}

/// A packet, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Begin capturing and sending.
    StartMonitor,
    /// Stop capturing and sending.
    StopMonitor,
    /// Move the pointer to this place of the virtual desktop, in pixels.
    MouseMove {
        /// Rightwards.
        x: i32,
        /// Downwards.
        y: i32,
    },
    /// Lock the pointer where it is.
    LockMouse {
        /// For how long, in milliseconds; `None` asks for the agent's default.
        lease_ms: Option<u32>,
    },
    /// Free the pointer.
    UnlockMouse,
    /// A line of text.
    Text(String),
    /// A PNG image, sent as base64 and decoded.
    ImageText(Bytes),
    /// A PNG image.
    Image(Bytes),
    /// A file's bytes.
    File(Bytes),
    /// Any JSON value.
    Struct(serde_json::Value),
    /// I speak.
    Hello(Hello),
    /// Who I am.
    Welcome(Welcome),
    /// I have this version.
    Acknowledge(Acknowledge),
    /// How things stand.
    State(State),
    /// I am closing.
    Goodbye(Goodbye),
    /// Answer me.
    Ping(Ping),
    /// The answer.
    Pong(Pong),
    /// Obeyed or refused.
    Reply(Reply),
    /// The next frame is to be a key frame.
    Refresh,
    /// A signed order.
    Signed(Signed<Order>),
    /// The signed answer to one.
    SignedReply(Signed<Answer>),
    /// A step of a pairing.
    Pair(Pair),
    /// Who is there?
    Query(Query),
    /// Will you have this file?
    Offer(Offer),
    /// So much of it is here.
    Accept(Accept),
    /// A part of it.
    Chunk(Chunk),
    /// The transfer has ended.
    Done(Done),
    /// Offer me this.
    Fetch(Fetch),
    /// I come into the room.
    Join(Join),
    /// A message to all in it.
    Say(Say),
    /// What happened in it.
    Room(Room),
    /// Restart the machine, or so.
    Power(Power),
}

impl Message {
    /// Parses a packet's payload.
    ///
    /// # Errors
    /// When the payload is not exactly what the command says.
    pub fn parse(packet: &Packet) -> Result<Self, PayloadError> {
        let command = packet.command;
        let mut p = packet.payload.clone();
        let length =
            |expected| PayloadError::Length { command, expected, actual: packet.payload.len() };
        let empty = |m: Self| if packet.payload.is_empty() { Ok(m) } else { Err(length("0")) };
        match command {
            Command::StartMonitor => empty(Self::StartMonitor),
            Command::StopMonitor => empty(Self::StopMonitor),
            Command::UnlockMouse => empty(Self::UnlockMouse),
            Command::Refresh => empty(Self::Refresh),
            Command::MouseMove if p.len() == 8 => {
                Ok(Self::MouseMove { x: p.get_i32(), y: p.get_i32() })
            }
            Command::MouseMove => Err(length("8")),
            Command::LockMouse => match p.len() {
                0 => Ok(Self::LockMouse { lease_ms: None }),
                4 => Ok(Self::LockMouse { lease_ms: Some(p.get_u32()) }),
                _ => Err(length("0 or 4")),
            },
            Command::Text => match std::str::from_utf8(&p) {
                Ok(s) => Ok(Self::Text(s.to_owned())),
                Err(e) => Err(PayloadError::Utf8 { command, valid_up_to: e.valid_up_to() }),
            },
            Command::ImageText => base64::engine::general_purpose::STANDARD
                .decode(&p)
                .map(|png| Self::ImageText(png.into()))
                .map_err(|e| PayloadError::Base64 { command, reason: json::reason(&e) }),
            Command::Image => Ok(Self::Image(p)),
            Command::File => Ok(Self::File(p)),
            Command::Struct => match json::parse_value(&p) {
                Ok(v) => Ok(Self::Struct(v)),
                Err(reason) => Err(PayloadError::Json { command, reason }),
            },
            Command::Hello => object(command, &p).map(Self::Hello),
            Command::Welcome => object(command, &p).map(Self::Welcome),
            Command::Acknowledge => object(command, &p).map(Self::Acknowledge),
            Command::State => object(command, &p).map(Self::State),
            Command::Goodbye => object(command, &p).map(Self::Goodbye),
            Command::Ping => object(command, &p).map(Self::Ping),
            Command::Pong => object(command, &p).map(Self::Pong),
            Command::Reply => object(command, &p).map(Self::Reply),
            Command::Signed => Signed::parse(p).map(Self::Signed),
            Command::SignedReply => Signed::parse(p).map(Self::SignedReply),
            Command::Pair => Pair::parse(p).map(Self::Pair),
            Command::Query => Query::parse(&p).map(Self::Query),
            Command::Offer => object(command, &p).map(Self::Offer),
            Command::Accept => object(command, &p).map(Self::Accept),
            Command::Chunk => Chunk::parse(p).map(Self::Chunk),
            Command::Done => object(command, &p).map(Self::Done),
            Command::Fetch => object(command, &p).map(Self::Fetch),
            Command::Join => object(command, &p).map(Self::Join),
            Command::Say => object(command, &p).map(Self::Say),
            Command::Room => object(command, &p).map(Self::Room),
            Command::Power => object(command, &p).map(Self::Power),
        }
    }

    /// The command of the packet that carries this message.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::StartMonitor => Command::StartMonitor,
            Self::StopMonitor => Command::StopMonitor,
            Self::MouseMove { .. } => Command::MouseMove,
            Self::LockMouse { .. } => Command::LockMouse,
            Self::UnlockMouse => Command::UnlockMouse,
            Self::Text(_) => Command::Text,
            Self::ImageText(_) => Command::ImageText,
            Self::Image(_) => Command::Image,
            Self::File(_) => Command::File,
            Self::Struct(_) => Command::Struct,
            Self::Hello(_) => Command::Hello,
            Self::Welcome(_) => Command::Welcome,
            Self::Acknowledge(_) => Command::Acknowledge,
            Self::State(_) => Command::State,
            Self::Goodbye(_) => Command::Goodbye,
            Self::Ping(_) => Command::Ping,
            Self::Pong(_) => Command::Pong,
            Self::Reply(_) => Command::Reply,
            Self::Refresh => Command::Refresh,
            Self::Signed(_) => Command::Signed,
            Self::SignedReply(_) => Command::SignedReply,
            Self::Pair(_) => Command::Pair,
            Self::Query(_) => Command::Query,
            Self::Offer(_) => Command::Offer,
            Self::Accept(_) => Command::Accept,
            Self::Chunk(_) => Command::Chunk,
            Self::Done(_) => Command::Done,
            Self::Fetch(_) => Command::Fetch,
            Self::Join(_) => Command::Join,
            Self::Say(_) => Command::Say,
            Self::Room(_) => Command::Room,
            Self::Power(_) => Command::Power,
        }
    }

    /// The packet that carries this message.
    #[must_use]
    pub fn packet(&self) -> Packet {
        let (command, payload) = match self {
            Self::StartMonitor => (Command::StartMonitor, Bytes::new()),
            Self::StopMonitor => (Command::StopMonitor, Bytes::new()),
            Self::UnlockMouse => (Command::UnlockMouse, Bytes::new()),
            Self::Refresh => (Command::Refresh, Bytes::new()),
            Self::MouseMove { x, y } => {
                let mut b = BytesMut::with_capacity(8);
                b.put_i32(*x);
                b.put_i32(*y);
                (Command::MouseMove, b.freeze())
            }
            Self::LockMouse { lease_ms: None } => (Command::LockMouse, Bytes::new()),
            Self::LockMouse { lease_ms: Some(ms) } => {
                (Command::LockMouse, Bytes::copy_from_slice(&ms.to_be_bytes()))
            }
            Self::Text(s) => (Command::Text, Bytes::copy_from_slice(s.as_bytes())),
            Self::ImageText(png) => {
                (Command::ImageText, base64::engine::general_purpose::STANDARD.encode(png).into())
            }
            Self::Image(png) => (Command::Image, png.clone()),
            Self::File(bytes) => (Command::File, bytes.clone()),
            Self::Struct(v) => (Command::Struct, to_json(v)),
            Self::Hello(v) => (Command::Hello, to_json(v)),
            Self::Welcome(v) => (Command::Welcome, to_json(v)),
            Self::Acknowledge(v) => (Command::Acknowledge, to_json(v)),
            Self::State(v) => (Command::State, to_json(v)),
            Self::Goodbye(v) => (Command::Goodbye, to_json(v)),
            Self::Ping(v) => (Command::Ping, to_json(v)),
            Self::Pong(v) => (Command::Pong, to_json(v)),
            Self::Reply(v) => (Command::Reply, to_json(v)),
            Self::Signed(v) => (Command::Signed, v.payload()),
            Self::SignedReply(v) => (Command::SignedReply, v.payload()),
            Self::Pair(v) => (Command::Pair, v.payload()),
            Self::Query(v) => (Command::Query, v.payload()),
            Self::Offer(v) => (Command::Offer, to_json(v)),
            Self::Accept(v) => (Command::Accept, to_json(v)),
            Self::Chunk(v) => (Command::Chunk, v.payload()),
            Self::Done(v) => (Command::Done, to_json(v)),
            Self::Fetch(v) => (Command::Fetch, to_json(v)),
            Self::Join(v) => (Command::Join, to_json(v)),
            Self::Say(v) => (Command::Say, to_json(v)),
            Self::Room(v) => (Command::Room, to_json(v)),
            Self::Power(v) => (Command::Power, to_json(v)),
        };
        Packet { command, payload }
    }

    /// The message's bytes on a stream. They are not held against any limit: [`Packet::fits`] does
    /// that for a stream, [`crate::datagram::encode`] for a datagram.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            // It is long, and there are many.
            Self::Chunk(chunk) => chunk.encode(),
            other => other.packet().encode(),
        }
    }

    /// The same bytes in two pieces, to be written one after the other: of a CHUNK, which is long, the
    /// second is its data, which is not copied; of all else it is empty.
    #[must_use]
    pub fn pieces(&self) -> [Bytes; 2] {
        match self {
            Self::Chunk(chunk) => chunk.pieces(),
            other => [other.encode(), Bytes::new()],
        }
    }
}

fn object<T: serde::de::DeserializeOwned>(
    command: Command,
    bytes: &[u8],
) -> Result<T, PayloadError> {
    json::parse_object(bytes).map_err(|reason| PayloadError::Json { command, reason })
}

fn to_json<T: Serialize>(value: &T) -> Bytes {
    json::encode(value).into()
}
