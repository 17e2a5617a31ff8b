//! Signed orders, and signed answers to them.
//!
//! This crate reads and writes them; who may sign what, and how a signature is checked, is for who
//! uses it. The signatures are Ed25519 (RFC 8032) over a context and all of the payload before the
//! signature.

use super::{Message, PACKET_HEADER, Packet, PayloadError, Reply};
use crate::command::Command;
use crate::json;
use crate::limits::MAX_RECIPIENTS;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The length of a signature.
const SIGNATURE: usize = 64;

/// The longest name of a group, in bytes.
const MAX_GROUP: usize = 64;

/// What a key is called: the first 16 bytes of its SHA-256.
pub type KeyId = [u8; 16];

/// Somebody an order is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// The agent with this key.
    Agent(KeyId),
    /// The agents of this group.
    Group(String),
}

/// What an operator orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The operator's key.
    pub by: KeyId,
    /// The operator's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Tells orders of one millisecond apart.
    pub counter: u64,
    /// Whom it is for; nobody named means every agent.
    pub to: Vec<Recipient>,
    /// One of the commands of datagrams.
    pub order: Box<Message>,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The agent's key.
    pub from: KeyId,
    /// The order's, as it came.
    pub by: KeyId,
    /// The order's, as it came.
    pub time_ms: u64,
    /// The order's, as it came.
    pub counter: u64,
    /// The agent's clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Whether it was refused for its time alone: signed anew by the agent's clock it may be obeyed.
    pub stale: bool,
    /// What came of it.
    pub reply: Reply,
}

/// Something with its signature, which was not checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Signed<T> {
    said: T,
    /// The payload up to the signature, as it was or is to be sent.
    bytes: Bytes,
    signature: [u8; SIGNATURE],
}

/// What can be signed.
pub trait Signable: Sized {
    /// What goes before the payload when it is signed, so that one thing's signature is not
    /// another's.
    const CONTEXT: &'static [u8];

    /// The command that carries it.
    const COMMAND: Command;

    /// The payload up to the signature.
    fn write(&self) -> Bytes;

    /// Reads what [`Signable::write`] wrote, all of it.
    ///
    /// # Errors
    /// What is wrong.
    fn read(bytes: Bytes) -> Result<Self, &'static str>;
}

impl<T: Signable> Signed<T> {
    /// Signs it: `sign` gets all the bytes that the signature is for.
    pub fn new(said: T, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE]) -> Self {
        let bytes = said.write();
        let signature = sign(&[T::CONTEXT, &bytes].concat());
        Self { said, bytes, signature }
    }

    /// What is said, if the signature holds: `holds` gets all the bytes that it is for.
    pub fn check(&self, holds: impl FnOnce(&[u8], &[u8; SIGNATURE]) -> bool) -> Option<&T> {
        holds(&[T::CONTEXT, &self.bytes].concat(), &self.signature).then_some(&self.said)
    }

    /// What is said, by whomever.
    #[must_use]
    pub fn unchecked(&self) -> &T {
        &self.said
    }

    pub(super) fn parse(mut payload: Bytes) -> Result<Self, PayloadError> {
        let command = T::COMMAND;
        let wrong = |fault| PayloadError::Signed { command, fault };
        let length = payload.len().checked_sub(SIGNATURE).ok_or(wrong("it is cut off"))?;
        let bytes = payload.split_to(length);
        let mut signature = [0; SIGNATURE];
        payload.copy_to_slice(&mut signature);
        let said = T::read(bytes.clone()).map_err(wrong)?;
        Ok(Self { said, bytes, signature })
    }

    pub(super) fn payload(&self) -> Bytes {
        [&self.bytes[..], &self.signature].concat().into()
    }
}

pub(super) fn take<const N: usize>(bytes: &mut Bytes) -> Result<[u8; N], &'static str> {
    if bytes.len() < N {
        return Err("it is cut off");
    }
    let mut taken = [0; N];
    bytes.copy_to_slice(&mut taken);
    Ok(taken)
}

fn number(bytes: &mut Bytes) -> Result<u64, &'static str> {
    take(bytes).map(u64::from_be_bytes)
}

fn byte(bytes: &mut Bytes) -> Result<u8, &'static str> {
    take(bytes).map(|[byte]| byte)
}

impl Signable for Order {
    const CONTEXT: &'static [u8] = b"Hightower order\0";
    const COMMAND: Command = Command::Signed;

    fn write(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&self.by);
        out.put_u64(self.time_ms);
        out.put_u64(self.counter);
        out.put_u8(self.to.len() as u8);
        for recipient in &self.to {
            match recipient {
                Recipient::Agent(id) => {
                    out.put_u8(1);
                    out.put_slice(id);
                }
                Recipient::Group(name) => {
                    out.put_u8(2);
                    out.put_u8(name.len() as u8);
                    out.put_slice(name.as_bytes());
                }
            }
        }
        out.put_slice(&self.order.encode());
        out.freeze()
    }

    fn read(mut bytes: Bytes) -> Result<Self, &'static str> {
        let by = take(&mut bytes)?;
        let (time_ms, counter) = (number(&mut bytes)?, number(&mut bytes)?);
        let count = byte(&mut bytes)?;
        if usize::from(count) > MAX_RECIPIENTS {
            return Err("it has too many recipients");
        }
        let mut to = Vec::with_capacity(count.into());
        for _ in 0..count {
            to.push(recipient(&mut bytes)?);
        }
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let header = [number(&mut bytes)?, number(&mut bytes)?].map(|n| n as i64);
        if header[0] != length {
            return Err("its order has another length");
        }
        let command = Command::from_code(header[1]).filter(|command| is_order(*command));
        let command = command.ok_or("its order is no command of datagrams")?;
        let order = Message::parse(&Packet { command, payload: bytes });
        let order = Box::new(order.map_err(|_| "its order is not as its command says")?);
        Ok(Self { by, time_ms, counter, to, order })
    }
}

/// Whether a command may be signed.
fn is_order(command: Command) -> bool {
    use Command::{LockMouse, MouseMove, StartMonitor, StopMonitor, UnlockMouse};
    matches!(command, StartMonitor | StopMonitor | MouseMove | LockMouse | UnlockMouse)
}

fn recipient(bytes: &mut Bytes) -> Result<Recipient, &'static str> {
    match byte(bytes)? {
        1 => take(bytes).map(Recipient::Agent),
        2 => {
            let length = usize::from(byte(bytes)?);
            if length == 0 || length > MAX_GROUP {
                return Err("a group's name has 1 to 64 bytes");
            }
            if bytes.len() < length {
                return Err("it is cut off");
            }
            let name = bytes.split_to(length);
            let name = std::str::from_utf8(&name).map_err(|_| "a group's name is not UTF-8")?;
            Ok(Recipient::Group(name.to_owned()))
        }
        _ => Err("a recipient is of no known kind"),
    }
}

impl Signable for Answer {
    const CONTEXT: &'static [u8] = b"Hightower answer\0";
    const COMMAND: Command = Command::SignedReply;

    fn write(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(&self.from);
        out.put_slice(&self.by);
        out.put_u64(self.time_ms);
        out.put_u64(self.counter);
        out.put_u64(self.clock_ms);
        out.put_u8(self.stale.into());
        out.put_slice(&Message::Reply(self.reply.clone()).packet().payload);
        out.freeze()
    }

    fn read(mut bytes: Bytes) -> Result<Self, &'static str> {
        let (from, by) = (take(&mut bytes)?, take(&mut bytes)?);
        let (time_ms, counter) = (number(&mut bytes)?, number(&mut bytes)?);
        let clock_ms = number(&mut bytes)?;
        let stale = match byte(&mut bytes)? {
            0 => false,
            1 => true,
            _ => return Err("it is neither stale nor not"),
        };
        let reply =
            json::parse_object(&bytes).map_err(|_| "its reply is not the JSON it should be")?;
        Ok(Self { from, by, time_ms, counter, clock_ms, stale, reply })
    }
}

/// The longest payload of either, in bytes: what fits a datagram.
pub(crate) const MAX_SIGNED: u64 = (crate::limits::MAX_DATAGRAM - PACKET_HEADER) as u64;
