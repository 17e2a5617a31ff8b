//! What a client knows at a moment: everything a window, a script or a wall shows.

use super::cause::Cause;
use super::clock::{Estimate, now_us};
use super::picture::Picture;
use crate::recording::Progress;
use crate::trust::PublicKey;
use hightower_proto::message::{State, Welcome};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The machine's name is being looked up.
    LookingUp,
    /// The machine is being called.
    Connecting,
    /// Connected.
    Connected,
    /// Not connected, see [`View::cause`]; it is tried again at [`View::next_try`], if ever.
    Disconnected,
}

impl Link {
    /// The state in the words people know.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::LookingUp => "looking up",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

/// What was counted since the client started, over all its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Pictures shown: key frames, and updates of delta frames.
    pub frames: u64,
    /// Frames that newer ones replaced before they were decoded.
    pub skipped: u64,
    /// Frames that could not be decoded.
    pub bad: u64,
    /// Delta frames that did not go on from the picture that was here.
    pub out_of_step: u64,
    /// Key frames that were asked for, as there was nothing to go on from.
    pub refreshes: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Packets with a command that this revision does not know.
    pub unknown_packets: u64,
    /// Bytes dropped by the decoder's tolerance.
    pub dropped_bytes: u64,
}

/// Something to tell the user once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The words, printable.
    pub text: String,
    /// Since when.
    pub at: Instant,
}

/// A snapshot of what a client knows. Cheap to clone; every text in it is printable.
#[derive(Debug, Clone)]
pub struct View {
    /// How the connection stands.
    pub link: Link,
    /// Why the last connection ended or was not made; `None` before any and while connected.
    pub cause: Option<Arc<Cause>>,
    /// When it is tried again, while disconnected; `None` when it is not.
    pub next_try: Option<Instant>,
    /// Who is called or connected.
    pub peer: Option<SocketAddr>,
    /// What the agent has proven to be; `None` for one that was not asked.
    pub key: Option<PublicKey>,
    /// Who the agent says it is; `None` before it has, and for plain servers.
    pub welcome: Option<Arc<Welcome>>,
    /// How things stand there; `None` before the agent has said it, and for plain servers.
    pub state: Option<Arc<State>>,
    /// When `state` came: a lock's lease counts down from here.
    pub state_at: Instant,
    /// The newest picture; the last one stays when the connection ends.
    pub picture: Option<Arc<Picture>>,
    /// Whether it is of this connection, and of now as far as is known: that of the connection
    /// before, or of before the monitoring was stopped, stays until another comes.
    pub current: bool,
    /// How many pictures there were; another number means another picture.
    pub sequence: u64,
    /// What was counted.
    pub counters: Counters,
    /// Round trip and clock of the agent; `None` before its first pong, and for plain servers.
    pub clock: Option<Estimate>,
    /// The last thing to tell the user.
    pub notice: Option<Notice>,
    /// The recording that is being made.
    pub recording: Option<Arc<Progress>>,
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            link: Link::LookingUp,
            cause: None,
            next_try: None,
            peer: None,
            key: None,
            welcome: None,
            state: None,
            state_at: Instant::now(),
            picture: None,
            current: false,
            sequence: 0,
            counters: Counters::default(),
            clock: None,
            notice: None,
            recording: None,
        }
    }

    /// The time from the capture of this picture until now; `None` where it can't be known.
    #[must_use]
    pub fn latency(&self, picture: &Picture) -> Option<Duration> {
        Some(self.clock?.since(picture.captured_us?, now_us()))
    }

    /// What is left of the lock's lease; `None` when the pointer is free.
    #[must_use]
    pub fn lock_left(&self) -> Option<Duration> {
        let lease = Duration::from_millis(self.state.as_ref()?.lock_ms?.into());
        lease.checked_sub(self.state_at.elapsed()).filter(|left| !left.is_zero())
    }

    /// Whether it has ended for good: disconnected, and not to be tried again.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.link == Link::Disconnected && self.next_try.is_none() && self.cause.is_some()
    }
}

/// Something that happened, for those who want to see each and not just the newest state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The machine's name is being looked up.
    LookingUp,
    /// An address is being called.
    Connecting(SocketAddr),
    /// Connected.
    Connected(SocketAddr),
    /// The agent has said who it is.
    Welcome(Arc<Welcome>),
    /// The agent has said how things stand.
    State(Arc<State>),
    /// A picture was decoded, of one frame or several.
    Frame {
        /// The agent's version, not from plain servers.
        version: Option<u64>,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The length of its frames in bytes.
        bytes: usize,
        /// From capture to decoded, where it can be known.
        latency: Option<Duration>,
    },
    /// A frame could not be decoded; why, in words.
    BadFrame(String),
    /// Something the user is told.
    Notice(String),
    /// The connection was not made or ended; why, in words, and when it is tried again.
    Disconnected {
        /// Why.
        cause: String,
        /// The wait before the next try; `None` when there is none.
        retry: Option<Duration>,
    },
}
