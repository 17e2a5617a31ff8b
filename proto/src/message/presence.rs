//! Who is there: what discovery asks and is answered.

use super::PayloadError;
use crate::command::Command;
use crate::json;
use crate::limits::MAX_DATAGRAM;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The longest payload of a query, in bytes.
pub(crate) const MAX_QUERY: u64 = (MAX_DATAGRAM - super::PACKET_HEADER) as u64;

/// The number that a query begins with, in bytes.
const NONCE: usize = 4;

/// Who is there?
///
/// Whoever gets an answer may not have asked: so an answer is never longer than
/// [`Query::ANSWER`] times the datagram that asked, and whoever asks makes that long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Comes back in the answer.
    pub nonce: u32,
    /// How many zeros follow it.
    pub padding: u16,
}

impl Query {
    /// How many times as long as a query its answer may be, both as whole datagrams.
    pub const ANSWER: usize = 4;

    /// The padding that leaves room for every answer an agent of this revision gives.
    pub const PADDING: u16 = 160;

    /// A query with the usual padding.
    #[must_use]
    pub fn new(nonce: u32) -> Self {
        Self { nonce, padding: Self::PADDING }
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, PayloadError> {
        let wrong = || PayloadError::Length {
            command: Command::Query,
            expected: "4, and zeros after them",
            actual: payload.len(),
        };
        let (nonce, padding) = payload.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(wrong());
        }
        let padding = u16::try_from(padding.len()).map_err(|_| wrong())?;
        Ok(Self { nonce: u32::from_be_bytes(*nonce), padding })
    }

    pub(super) fn payload(self) -> Bytes {
        let mut out = BytesMut::with_capacity(NONCE + usize::from(self.padding));
        out.put_u32(self.nonce);
        out.put_bytes(0, self.padding.into());
        out.freeze()
    }
}

/// An agent that is there. Everything in it is what the sender says, and anybody can say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The query's.
    pub nonce: u32,
    /// The machine's host name.
    pub host: String,
    /// The fingerprint of the agent's key, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who sits there and how things stand: for those who may know it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::some")]
    pub about: Option<About>,
}

/// How a machine is used at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The user whose agent it is.
    pub user: String,
    /// Whether somebody watches.
    pub watched: bool,
    /// Whether the pointer is locked.
    pub locked: bool,
}
