//! What a client is told: how to behave, and what to order.

use super::security::Security;
use hightower_proto::{Limits, Message};
use std::time::Duration;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How it is made sure who is who.
    pub security: Security,
    /// Whether to start the monitoring: on the first connection, and again on the next one when
    /// it was on as the last one broke.
    pub start: bool,
    /// Whether to connect again after a connection was lost or not made.
    pub reconnect: bool,
    /// Whether an agent that is not known is called again, since somebody may make it known meanwhile.
    pub await_trust: bool,
    /// Whether to say nothing, for servers of the historical system, which would not understand it:
    /// orders to lock and unlock go to them as datagrams.
    pub silent: bool,
    /// Whether to skip what is neither a frame nor a packet, for plain servers that send such.
    pub tolerant: bool,
    /// Whether to take delta frames, which carry only what has changed.
    pub delta: bool,
    /// What part of the screen's width and height to ask for at first, see [`Rendition::scale`].
    pub scale: u32,
    /// How many pictures a second to ask for at first, see [`Rendition::max_fps`].
    pub max_fps: u32,
    /// Bounds on what the agent may send.
    pub limits: Limits,
    /// How long to wait for an answer to a call.
    pub connect_limit: Duration,
    /// How long an agent that speaks may say nothing at all; it is pinged four times as often, and
    /// every two seconds at least.
    pub quiet_limit: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            security: Security::default(),
            start: true,
            reconnect: true,
            await_trust: true,
            silent: false,
            tolerant: false,
            delta: true,
            scale: 1,
            max_fps: 0,
            limits: Limits::default(),
            connect_limit: Duration::from_secs(5),
            quiet_limit: Duration::from_secs(10),
        }
    }
}

impl ClientOptions {
    /// The scale and the rate at first.
    #[must_use]
    pub fn rendition(&self) -> Rendition {
        Rendition { scale: self.scale, max_fps: self.max_fps }
    }
}

/// How an agent is asked to send its screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rendition {
    /// 1 / `scale` of the width and height, from 1 to 16.
    pub scale: u32,
    /// So many pictures a second at most; 0 leaves it to the agent.
    pub max_fps: u32,
}

/// What an agent can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start the monitoring.
    Start,
    /// Stop it.
    Stop,
    /// Lock the pointer, for so many milliseconds or for the agent's default.
    Lock(Option<u32>),
    /// Free the pointer.
    Unlock,
    /// Move the pointer to this place of the virtual desktop, in pixels.
    Move {
        /// Rightwards.
        x: i32,
        /// Downwards.
        y: i32,
    },
}

impl Order {
    pub(super) fn message(self) -> Message {
        match self {
            Self::Start => Message::StartMonitor,
            Self::Stop => Message::StopMonitor,
            Self::Lock(lease_ms) => Message::LockMouse { lease_ms },
            Self::Unlock => Message::UnlockMouse,
            Self::Move { x, y } => Message::MouseMove { x, y },
        }
    }
}
