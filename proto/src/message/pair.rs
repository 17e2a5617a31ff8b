//! Pairing: two that share a short code exchange their keys.
//!
//! This crate reads and writes the steps. What the numbers in them mean is SPAKE2's, and is for who
//! uses it.

use super::PayloadError;
use super::signed::take;
use bytes::{BufMut, Bytes, BytesMut};

/// The longest text in a step, in bytes.
const MAX_WORDS: usize = 128;

/// The longest payload, in bytes: a step's number, its 32 bytes, and text.
pub(crate) const MAX_PAIR: u64 = 1 + 32 + MAX_WORDS as u64;

/// A step of a pairing, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pair {
    /// Operator to agent: my half of the exchange.
    Open {
        /// SPAKE2's element of side A.
        element: [u8; 32],
        /// What the operator is called.
        name: String,
    },
    /// Agent to operator: mine.
    Answer {
        /// SPAKE2's element of side B.
        element: [u8; 32],
    },
    /// Operator to agent: I know the code.
    Proof {
        /// The operator's code of authentication.
        proof: [u8; 32],
    },
    /// Agent to operator: so do I, and you are in my list.
    Done {
        /// The agent's code of authentication.
        proof: [u8; 32],
        /// The operator's roles, as in the list: `view,control`.
        roles: String,
    },
}

impl Pair {
    pub(super) fn parse(mut payload: Bytes) -> Result<Self, PayloadError> {
        let wrong = |fault| PayloadError::Pair { fault };
        let [step] = take(&mut payload).map_err(wrong)?;
        let bytes = take(&mut payload).map_err(wrong)?;
        let words = std::str::from_utf8(&payload).map_err(|_| wrong("its text is not UTF-8"))?;
        if words.len() > MAX_WORDS {
            return Err(wrong("its text is too long"));
        }
        match (step, words) {
            (1, name) => Ok(Self::Open { element: bytes, name: name.to_owned() }),
            (2, "") => Ok(Self::Answer { element: bytes }),
            (3, "") => Ok(Self::Proof { proof: bytes }),
            (4, roles) => Ok(Self::Done { proof: bytes, roles: roles.to_owned() }),
            (2 | 3, _) => Err(wrong("something follows its end")),
            _ => Err(wrong("it is no step of a pairing")),
        }
    }

    /// Text that is too long is cut off.
    pub(super) fn payload(&self) -> Bytes {
        let (step, bytes, words) = match self {
            Self::Open { element, name } => (1, element, name.as_str()),
            Self::Answer { element } => (2, element, ""),
            Self::Proof { proof } => (3, proof, ""),
            Self::Done { proof, roles } => (4, proof, roles.as_str()),
        };
        let words = &words[..words.floor_char_boundary(MAX_WORDS)];
        let mut out = BytesMut::with_capacity(33 + words.len());
        out.put_u8(step);
        out.put_slice(bytes);
        out.put_slice(words.as_bytes());
        out.freeze()
    }
}
