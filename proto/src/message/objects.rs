//! The JSON objects that packets carry.

use super::{Facts, Presence};
use crate::limits::MAX_SCALE;
use crate::{PROTOCOL, json};
use serde::{Deserialize, Serialize};

/// Viewer to agent: I speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol revision the viewer speaks.
    pub protocol: u32,
    /// Program and version, for people.
    #[serde(default)]
    pub software: String,
    /// Whether the viewer understands delta frames; it gets key frames alone otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delta: bool,
    /// What part of the canvas's width and height is to be sent: 1 / `scale`, each rounded up to
    /// whole pixels. An agent takes [`Hello::clamped_scale`] of it.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub scale: u32,
    /// How many updates a second are to be sent at most; 0 sets no limit beyond the agent's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_fps: u32,
    /// Whether frames are wanted at all. Who does not want any is no viewer: it is in no list of
    /// those who watch, and may say what needs no screen.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub watch: bool,
}

impl Hello {
    /// What a viewer of this revision says that wants nothing special: key frames of the whole
    /// canvas, at the agent's rate.
    #[must_use]
    pub fn new(software: impl Into<String>) -> Self {
        let software = software.into();
        Self { protocol: PROTOCOL, software, delta: false, scale: whole(), max_fps: 0, watch: true }
    }

    /// The scale that an agent takes: what was asked for, but from 1 to [`MAX_SCALE`].
    #[must_use]
    pub fn clamped_scale(&self) -> u32 {
        self.scale.clamp(whole(), MAX_SCALE)
    }
}

/// The scale that changes nothing.
fn whole() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn is_whole(scale: &u32) -> bool {
    *scale == whole()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Agent to viewer: who I am.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol revision the agent speaks.
    pub protocol: u32,
    /// Program and version, for people.
    #[serde(default)]
    pub software: String,
    /// The machine's host name.
    #[serde(default)]
    pub host: String,
    /// What is captured, for people: "xcap, monitor 0".
    #[serde(default)]
    pub source: String,
    /// How many updates the agent sends ahead of acknowledgements; one may have several frames.
    #[serde(default)]
    pub credit: u32,
    /// How things stand.
    #[serde(deserialize_with = "json::object")]
    pub state: State,
    /// What the machine is; nothing from an agent that does not tell.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "json::object")]
    pub facts: Facts,
}

/// How the capture goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Capture {
    /// Nothing is captured: monitoring is stopped, or nobody watches.
    #[default]
    Idle,
    /// The screen is captured.
    Running,
    /// The screen can't be captured now; it is tried again.
    Failed {
        /// Why, in words a person can act on.
        cause: String,
    },
}

/// Agent to viewer: how things stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// Whether monitoring is on.
    pub monitoring: bool,
    /// How the capture goes.
    #[serde(deserialize_with = "json::object")]
    pub capture: Capture,
    /// What is left of the lock's lease, in milliseconds, or `None` when the pointer is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_ms: Option<u32>,
    /// How many viewers are connected.
    #[serde(default)]
    pub viewers: u32,
    /// Anybody may watch and command this agent: it runs without authentication off the loopback.
    #[serde(default)]
    pub insecure: bool,
    /// The person at the machine is asked whether this viewer may watch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub asking: bool,
}

/// Viewer to agent: I have this version of the screen, and room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The version.
    pub version: u64,
}

/// Either way: I am closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why, for people.
    pub reason: String,
}

/// Either way: answer with a pong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The sender's clock, in microseconds since 1970.
    pub clock_us: u64,
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The clock in the ping.
    pub ping_us: u64,
    /// The answerer's clock, in microseconds since 1970.
    pub clock_us: u64,
}

/// Agent's answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The code of the command that is answered.
    pub of: i64,
    /// Whether it was obeyed.
    pub ok: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The lease that was granted, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u32>,
    /// Who is there, in answer to a query.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::some")]
    pub presence: Option<Presence>,
    /// To how many others a message went: those who are in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_by: Option<u32>,
    /// In how many milliseconds it is done, unless it is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<u32>,
    /// What else there is to say of what was obeyed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Reply {
    /// It was obeyed.
    #[must_use]
    pub fn obeyed(of: i64) -> Self {
        Self {
            of,
            ok: true,
            error: None,
            lease_ms: None,
            presence: None,
            heard_by: None,
            due_ms: None,
            note: None,
        }
    }

    /// It was refused, and why.
    #[must_use]
    pub fn refused(of: i64, why: impl Into<String>) -> Self {
        Self { ok: false, error: Some(why.into()), ..Self::obeyed(of) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent of before these members is told nothing new by a viewer that wants nothing new.
    #[test]
    fn hello_leaves_out_what_is_usual() {
        let usual = r#"{"protocol":1,"software":"x"}"#;
        let mut hello = Hello::new("x");
        assert_eq!(json::encode(&hello), usual.as_bytes());
        assert_eq!(json::parse_object(usual.as_bytes()), Ok(hello.clone()));
        (hello.delta, hello.scale, hello.max_fps) = (true, 0, 5);
        let all = r#"{"protocol":1,"software":"x","delta":true,"scale":0,"max_fps":5}"#;
        assert_eq!(json::encode(&hello), all.as_bytes());
        let guest = Hello { watch: false, ..Hello::new("x") };
        let told = r#"{"protocol":1,"software":"x","watch":false}"#;
        assert_eq!(json::encode(&guest), told.as_bytes());
        assert_eq!(json::parse_object(told.as_bytes()), Ok(guest));
    }

    #[test]
    fn a_scale_is_clamped() {
        for (asked, taken) in [(0, 1), (1, 1), (16, 16), (17, 16), (u32::MAX, 16)] {
            assert_eq!(Hello { scale: asked, ..Hello::new("") }.clamped_scale(), taken);
        }
    }
}
