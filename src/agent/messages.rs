//! What the agent's actors say to each other.

use crate::audit::What;
use crate::canvas::Version;
use crate::png::Effort;
use crate::trust::{Control, Permit, View};
use actix::prelude::*;
use bytes::Bytes;
use hightower_proto::message::{Facts, Reply, State};
use hightower_proto::{Command, Message as Packet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long an order to the mouse waits for the display.
const MOUSE_PATIENCE: Duration = Duration::from_secs(1);

/// Names a viewer in the broadcaster's table.
pub(super) type ViewerId = u64;

/// Session to broadcaster: a viewer has connected.
#[derive(Message)]
#[rtype(result = "Result<Joined, Refused>")]
pub(super) struct Join {
    pub(super) permit: Permit<View>,
    pub(super) session: Recipient<Notice>,
}

/// The broadcaster has the viewer in its table.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) id: ViewerId,
    /// Whether monitoring is on.
    pub(super) monitoring: bool,
    /// The viewer is to get versions after this one: what came before is not of now.
    pub(super) after: Version,
    /// The newest version.
    pub(super) newest: Version,
}

/// Why there is no place in the table.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It holds as many viewers as it may.
    #[error("as many viewers watch already as are allowed: {0}")]
    Full(usize),
    /// The agent stops.
    #[error("{0}")]
    Stopping(String),
}

/// Session to broadcaster: somebody has connected who does not watch.
#[derive(Message)]
#[rtype(result = "Result<ViewerId, Refused>")]
pub(super) struct Enter {
    pub(super) session: Recipient<Notice>,
}

/// Session to broadcaster: whoever it was is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave(pub(super) ViewerId);

/// Anyone to broadcaster: switch monitoring on or off.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SetMonitoring {
    pub(super) on: bool,
    pub(super) permit: Permit<View>,
}

/// Guard to broadcaster: some may have lost what they had.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Recheck;

/// Session to broadcaster: how do things stand?
#[derive(Message)]
#[rtype(result = "State")]
pub(super) struct AskState;

/// Console to broadcaster: how do things stand, and who is connected?
#[cfg(unix)]
#[derive(Message)]
#[rtype(result = "(State, Vec<crate::console::Watcher>)")]
pub(super) struct AskViewers;

/// Registrar to broadcaster: what the machine is has changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct FactsChanged(pub(super) Arc<Facts>);

/// Agent to broadcaster: end every session. Answered when all are gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Shutdown {
    pub(super) reason: String,
}

/// Agent to broadcaster, once at the start: here is the capture.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Attach {
    pub(super) capture: Recipient<Run>,
}

/// Broadcaster to capture: the screen is wanted, or is not.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Run(pub(super) bool);

/// Capture to broadcaster.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(super) enum Captured {
    /// A version exists.
    Version(Version),
    /// The screen can't be captured now, and why.
    Failed(String),
}

/// Mouse to broadcaster: the pointer is locked for so long, or free.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LockChanged(pub(super) Option<Duration>);

/// Broadcaster to session.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(super) enum Notice {
    /// A version exists.
    Version(Version),
    /// Monitoring was started: versions after this one are to be sent.
    Started { after: Version },
    /// Monitoring was stopped: nothing more is to be sent.
    Stopped,
    /// How things stand has changed; for viewers that speak.
    State(State),
    /// What the machine is has changed; for those who speak.
    Facts(Arc<Facts>),
    /// Who may do what has changed.
    Recheck,
    /// The agent stops.
    Goodbye(String),
}

/// What a viewer wants to see: the monitor at one part in `scale` of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Rendition {
    /// From 1 on.
    pub(super) scale: usize,
}

impl Default for Rendition {
    fn default() -> Self {
        Self { scale: 1 }
    }
}

/// Session to encoder: the step from `base` to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Message)]
#[rtype(result = "Result<Encoded, EncodeError>")]
pub(super) struct Encode {
    pub(super) rendition: Rendition,
    /// What the viewer has; `None` asks for a key frame. A base that can't be built on any more
    /// gets a key frame as well.
    pub(super) base: Option<Version>,
    /// What the viewer's link is worth; a key frame is made with the same effort for all.
    pub(super) effort: Effort,
}

/// A step, ready for the socket.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// The version it brings its viewer to.
    pub(super) version: Version,
    /// Whole frames, headers included, in pieces to be sent one after another; shared by all
    /// viewers.
    pub(super) pieces: Arc<[Bytes]>,
    /// How many bytes they are together.
    pub(super) length: u64,
    /// How long it took until it was there, the wait for a worker included.
    pub(super) took: Duration,
}

impl Encoded {
    /// What was asked for then is encoded.
    pub(super) fn new(version: Version, pieces: Vec<Bytes>, since: Instant) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { version, pieces: pieces.into(), length, took: since.elapsed() }
    }

    /// Logs what was encoded since `start`, from what and how, for who wants to know it all.
    pub(super) fn log(&self, base: Option<Version>, effort: Effort, start: Instant) {
        let (version, bytes, took_us) = (self.version, self.length, start.elapsed().as_micros());
        // A key frame is made in one way only.
        let effort = base.map(|_| tracing::field::debug(effort));
        tracing::trace!(version, base, bytes, took_us, effort, "encoded");
    }
}

/// Why a step could not be encoded.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum EncodeError {
    /// Nothing was captured yet.
    #[error("nothing was captured yet")]
    Nothing,
    /// The encoder failed on this picture.
    #[error("the picture can't be encoded: {0}")]
    Failed(String),
}

/// What the pointer is to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum MouseCommand {
    /// Move, and with it the place it is locked to.
    Move { x: i32, y: i32 },
    /// Lock where it is; `None` asks for the default lease. Answered with the lease that was
    /// granted.
    Lock { lease: Option<Duration> },
    /// Free.
    Unlock,
}

/// Anyone to mouse.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<Duration>, MouseError>")]
pub(super) struct MouseOrder {
    pub(super) command: MouseCommand,
    pub(super) permit: Permit<Control>,
    /// Not to be begun after this: whoever gave the order has given it up.
    pub(super) until: Instant,
}

/// Why the pointer did not obey.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct MouseError(pub(super) String);

/// Agent to mouse: free the pointer, for this reason.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Release(pub(super) &'static str);

impl MouseCommand {
    /// The pointer command of a message, when it is one.
    pub(super) fn of(packet: &Packet) -> Option<Self> {
        match packet {
            Packet::MouseMove { x, y } => Some(Self::Move { x: *x, y: *y }),
            Packet::LockMouse { lease_ms } => {
                Some(Self::Lock { lease: lease_ms.map(|ms| Duration::from_millis(ms.into())) })
            }
            Packet::UnlockMouse => Some(Self::Unlock),
            _ => None,
        }
    }
}

/// Gives a pointer command of a peer to the mouse; the reply for the peer.
pub(super) async fn order_mouse(
    mouse: Recipient<MouseOrder>,
    command: MouseCommand,
    of: Command,
    permit: Permit<Control>,
) -> Reply {
    let by = permit.by().clone();
    let order =
        MouseOrder { command, permit: permit.clone(), until: Instant::now() + MOUSE_PATIENCE };
    let result = match timeout(MOUSE_PATIENCE, mouse.send(order)).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(MouseError("the pointer's actor has ended".into())),
        Err(_) => Err(MouseError("the display does not answer".into())),
    };
    match &result {
        Err(e) => {
            permit.note_failure(&format!("{of}: {e}"));
            tracing::warn!(%by, "{of} refused: {e}");
        }
        // As many as a hand makes: not for everyone's log.
        Ok(_) if of == Command::MouseMove => tracing::debug!(%by, "{of} obeyed"),
        Ok(_) => {
            permit.note(if of == Command::LockMouse { What::Lock } else { What::Unlock });
            tracing::info!(%by, "{of} obeyed");
        }
    }
    let lease = result.as_ref().ok().copied().flatten();
    match result {
        Ok(_) => Reply {
            lease_ms: lease.map(|l| u32::try_from(l.as_millis()).unwrap_or(u32::MAX)),
            ..Reply::obeyed(of.code())
        },
        Err(e) => Reply::refused(of.code(), e.to_string()),
    }
}
