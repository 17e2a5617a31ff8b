//! Files: offered, accepted from where they broke off, sent in chunks, and verified.

use super::{PACKET_HEADER, PayloadError};
use crate::command::Command;
use crate::limits::MAX_CHUNK;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// What stands before the data of a chunk: the transfer's number and the offset.
const CHUNK_HEAD: usize = 4 + 8;

/// The longest payload of a chunk, in bytes.
pub(crate) const MAX_CHUNK_PAYLOAD: u64 = (CHUNK_HEAD + MAX_CHUNK) as u64;

/// A BLAKE3 hash; 64 hexadecimal digits in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a hash has 64 hexadecimal digits, the letters small";
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(WRONG),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(WRONG) };
        let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| WRONG)?;
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Either way: will you have this?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// A number of the sender's choice, for what follows.
    pub transfer: u32,
    /// What the file is called, or the folder that it is in.
    pub name: String,
    /// Its length, in bytes; of a folder that is complete, that of all its files.
    pub size: u64,
    /// The hash of its bytes; of a folder that is complete, that of nothing.
    pub hash: Digest,
    /// Which folder, where it is a folder's: the same number for all that is of the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Digest>,
    /// Where in the folder, with slashes; a slash at the end makes it an empty folder. None when
    /// the folder is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How long all files of the folder are together, where it is a folder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// It was offered before, and the connection broke.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// It is a picture, to be shown to the person at the machine and not kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show: bool,
}

/// The answer to an offer, and to chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// Which transfer.
    pub transfer: u32,
    /// So many of its first bytes are here.
    pub offset: u64,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which transfer.
    pub transfer: u32,
    /// Where in the file it begins.
    pub offset: u64,
    /// The bytes; one at least.
    pub data: Bytes,
}

impl Chunk {
    pub(super) fn parse(mut payload: Bytes) -> Result<Self, PayloadError> {
        let actual = payload.len();
        if actual <= CHUNK_HEAD {
            let expected = "more than 12";
            return Err(PayloadError::Length { command: Command::Chunk, expected, actual });
        }
        let (transfer, offset) = (payload.get_u32(), payload.get_u64());
        Ok(Self { transfer, offset, data: payload })
    }

    pub(super) fn payload(&self) -> Bytes {
        self.encode().split_off(PACKET_HEADER)
    }

    /// The whole packet, its data copied once.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = self.begin(self.data.len());
        out.put_slice(&self.data);
        out.freeze()
    }

    /// The packet in two pieces, of which the data is the second.
    pub(super) fn pieces(&self) -> [Bytes; 2] {
        [self.begin(0).freeze(), self.data.clone()]
    }

    /// What is before the data, with room for so many bytes behind it.
    fn begin(&self, room: usize) -> BytesMut {
        let begin = PACKET_HEADER + CHUNK_HEAD;
        let mut out = BytesMut::with_capacity(begin + room);
        out.put_i64((begin + self.data.len()) as i64);
        out.put_i64(Command::Chunk.code());
        out.put_u32(self.transfer);
        out.put_u64(self.offset);
        out
    }
}

/// Either way: a transfer has ended. From who receives, that it is verified and in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Which transfer.
    pub transfer: u32,
    /// What it is called where it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why nothing came of it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From who receives: what had arrived was not what was offered, and is gone; from the beginning,
    /// it may work. From who sends: the file is no more what was offered, and what has arrived of it
    /// is of no use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spoilt: bool,
}

impl Done {
    /// It is there, under this name.
    #[must_use]
    pub fn well(transfer: u32, name: Option<String>) -> Self {
        Self { transfer, name, error: None, spoilt: false }
    }

    /// Nothing came of it.
    #[must_use]
    pub fn failed(transfer: u32, error: impl Into<String>) -> Self {
        Self { transfer, name: None, error: Some(error.into()), spoilt: false }
    }
}

/// Operator to agent: offer me this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The number of all transfers that come of it.
    pub transfer: u32,
    /// A file or a folder of the agent's outbox, with slashes where it is in a folder.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_in_one_way() {
        let text = "00".repeat(31) + "af";
        let digest: Digest = text.parse().expect("a hash");
        assert_eq!((digest.0[31], digest.to_string()), (0xaf, text.clone()));
        for bad in ["", &text[1..], &(text.clone() + "00"), &text.replace('a', "A"), "é"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
