//! The chat of those who talk with the person at a machine: one room an agent.

use crate::json;
use serde::{Deserialize, Serialize};

/// Member to agent: I come into the room, or come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// A number that the member has picked at random and says again when it comes back.
    pub member: u64,
    /// What it had last, when it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::some")]
    pub had: Option<Had>,
    /// For whom it is, where the member is a program that several people use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<String>,
}

/// The last that a member was told, before it was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Had {
    /// The number of the room.
    pub room: u64,
    /// The number of the event.
    pub event: u64,
}

/// Anybody to agent: a message to all in the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// As in [`Join`].
    pub member: u64,
    /// Greater than that of any message before it. Said again, it is taken once.
    pub number: u64,
    /// The text, of at most [`MAX_MESSAGE`](crate::limits::MAX_MESSAGE) bytes.
    pub text: String,
    /// As in [`Join`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behalf: Option<String>,
}

/// Agent to member: what happened in the room.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// The room's number. Another number is another room, which knows nothing of the first.
    pub room: u64,
    /// To somebody who came in: how it is in there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::some")]
    pub joined: Option<Joined>,
    /// In the order of their numbers, which for a member have no gaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "json::objects")]
    pub events: Vec<Event>,
    /// To somebody who is in the room no longer: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// How it is in a room that somebody came into.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Joined {
    /// Who they are in there.
    pub you: u64,
    /// The events after this one follow.
    pub after: u64,
    /// How many events there were between the last that they had and those that follow.
    #[serde(default)]
    pub missing: u64,
    /// The newest event; `present` is as after that one.
    pub newest: u64,
    /// Who is present, they themselves included.
    #[serde(deserialize_with = "json::objects")]
    pub present: Vec<Member>,
}

/// Somebody in a room. Whoever reads it from a network has to make the name harmless before it is
/// shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Theirs alone in this room, unlike the name; 0 for whoever sent a STRING.
    pub id: u64,
    /// What they are called.
    pub name: String,
    /// Whether it is the person at the machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
}

/// Something that happened in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// One more than that of the event before it.
    pub number: u64,
    /// When, in microseconds since 1970 by the agent's clock.
    pub time_us: u64,
    /// To whom, or by whom.
    #[serde(deserialize_with = "json::object")]
    pub who: Member,
    /// What.
    #[serde(deserialize_with = "json::object")]
    pub what: What,
}

/// What may happen in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum What {
    /// Somebody came in.
    Joined,
    /// Somebody is gone.
    Left {
        /// Why, for people; none when they went.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Somebody said something.
    Said {
        /// The text.
        text: String,
    },
}
