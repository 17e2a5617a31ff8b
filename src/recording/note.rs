//! What a recorder has to say of the frames, as packets among them.

use bytes::Bytes;
use hightower_proto::Message;
use hightower_proto::message::Packet;
use serde::{Deserialize, Serialize};

/// A note in a recording. Every time is by the recorder's clock, in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Note {
    /// The frame before this note is the first one of a part, and builds on nothing before it.
    Begun {
        /// When that frame had come.
        at_us: u64,
        /// The recorder's program and version.
        #[serde(default)]
        software: String,
        /// The machine, as the recorder's user has named it.
        #[serde(default)]
        target: String,
    },
    /// When the frame before this note had come, where that does not follow from its own time.
    Frame {
        /// When.
        at_us: u64,
    },
    /// The connection was lost.
    Lost {
        /// When.
        at_us: u64,
        /// Why.
        #[serde(default)]
        cause: String,
    },
    /// Frames are missing from here on, up to the next part.
    Gap {
        /// Since when.
        at_us: u64,
        /// Why.
        #[serde(default)]
        cause: String,
    },
    /// The recorder was told to end.
    Ended {
        /// When.
        at_us: u64,
    },
}

impl Note {
    /// The note's bytes on the stream: a STRUCT packet.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        Message::Struct(serde_json::json!({ "recording": self })).encode()
    }

    /// The note in a packet; `None` for one that is none, or of a kind that is not known yet.
    #[must_use]
    pub fn parse(packet: &Packet) -> Option<Self> {
        let Ok(Message::Struct(mut value)) = Message::parse(packet) else { return None };
        serde_json::from_value(value.get_mut("recording")?.take()).ok()
    }
}
