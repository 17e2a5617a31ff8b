//! Datagrams: exactly one packet each.
//!
//! The oldest clients send the header as a native struct (little-endian on today's machines) or
//! count the payload alone, and the oldest viewer sends four bytes. Those are understood when
//! exactly one reading makes sense; everything else is refused.

use crate::command::Command;
use crate::historical::{LOCK, UNLOCK};
use crate::limits::MAX_DATAGRAM;
use crate::message::{Message, PACKET_HEADER, Packet, PayloadError};
use bytes::Bytes;

/// How a datagram was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// As specified: big-endian, length of the whole packet.
    Standard,
    /// Big-endian, length of the payload alone.
    PayloadLength,
    /// Little-endian, length of the whole packet.
    LittleEndian,
    /// Little-endian, length of the payload alone.
    LittleEndianPayloadLength,
    /// The historical viewer's four bytes.
    FourBytes,
}

/// A datagram, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Datagram {
    /// What it says.
    pub message: Message,
    /// How it was read.
    pub reading: Reading,
}

impl Datagram {
    /// Whether an agent answers it with a REPLY. The sender of four bytes would not understand one,
    /// and replies are not answered, or two agents could be made to talk to each other for ever.
    #[must_use]
    pub fn wants_reply(&self) -> bool {
        self.reading != Reading::FourBytes
            && !matches!(self.message, Message::Reply(_) | Message::SignedReply(_))
    }
}

/// Why a datagram was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// Shorter than a header, and not one of the four-byte commands.
    #[error("a datagram of {0} bytes is shorter than a packet's header")]
    TooShort(usize),
    /// Longer than a datagram may be.
    #[error("a datagram of {0} bytes is longer than {MAX_DATAGRAM}")]
    TooLong(usize),
    /// No reading of the header gives the datagram's length.
    #[error("no reading of the header fits a datagram of {0} bytes")]
    Length(usize),
    /// Two readings of the header make sense and say different things. No header can do that with
    /// the registry as it is; this guards the commands to come.
    #[error("the header can be read in two ways, as {0} and as {1}")]
    Ambiguous(Command, Command),
    /// The length fits, the command is not in the registry.
    #[error("command {0} is not known")]
    UnknownCommand(i64),
    /// The payload is not what its command says.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

/// The bytes of a datagram, in the standard reading.
///
/// # Errors
/// [`DatagramError::TooLong`] when the message does not fit one.
pub fn encode(message: &Message) -> Result<Bytes, DatagramError> {
    let packet = message.packet();
    let total = PACKET_HEADER + packet.payload.len();
    if total > MAX_DATAGRAM { Err(DatagramError::TooLong(total)) } else { Ok(packet.encode()) }
}

/// Reads a datagram.
///
/// # Errors
/// When it is not exactly one packet in exactly one reading.
pub fn parse(datagram: &[u8]) -> Result<Datagram, DatagramError> {
    match datagram {
        datagram if *datagram == LOCK => {
            let message = Message::LockMouse { lease_ms: None };
            return Ok(Datagram { message, reading: Reading::FourBytes });
        }
        datagram if *datagram == UNLOCK => {
            return Ok(Datagram { message: Message::UnlockMouse, reading: Reading::FourBytes });
        }
        _ => {}
    }
    let total = datagram.len();
    if total > MAX_DATAGRAM {
        return Err(DatagramError::TooLong(total));
    }
    let Some((&header, payload)) = datagram.split_first_chunk::<PACKET_HEADER>() else {
        return Err(DatagramError::TooShort(total));
    };
    let [l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3, c4, c5, c6, c7] = header;
    let (length, code) = ([l0, l1, l2, l3, l4, l5, l6, l7], [c0, c1, c2, c3, c4, c5, c6, c7]);
    let big = (i64::from_be_bytes(length), i64::from_be_bytes(code));
    let little = (i64::from_le_bytes(length), i64::from_le_bytes(code));

    let mut found: Option<(Command, Reading)> = None;
    let mut unknown = None;
    for ((length, code), expected, reading) in [
        (big, total, Reading::Standard),
        (big, payload.len(), Reading::PayloadLength),
        (little, total, Reading::LittleEndian),
        (little, payload.len(), Reading::LittleEndianPayloadLength),
    ] {
        if usize::try_from(length) != Ok(expected) {
            continue;
        }
        match (Command::from_code(code), found) {
            // A wrong byte order makes a command huge: the smaller one is what was meant.
            (None, _) if unknown.is_some_and(|u: i64| u.unsigned_abs() <= code.unsigned_abs()) => {}
            (None, _) => unknown = Some(code),
            (Some(command), None) => found = Some((command, reading)),
            // Read alike both ways, as a header of zeros is: one meaning.
            (Some(command), Some((first, _))) if command == first => {}
            (Some(command), Some((first, _))) => {
                return Err(DatagramError::Ambiguous(first, command));
            }
        }
    }
    let Some((command, reading)) = found else {
        return Err(unknown.map_or(DatagramError::Length(total), DatagramError::UnknownCommand));
    };
    let packet = Packet { command, payload: Bytes::copy_from_slice(payload) };
    Ok(Datagram { message: Message::parse(&packet)?, reading })
}
