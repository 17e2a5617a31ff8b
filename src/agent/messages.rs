//! What the agent's actors say to each other.

use crate::audit::What;
use crate::canvas::Version;
use crate::frames::Run;
use crate::trust::{Control, Permit, View};
use actix::prelude::*;
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
            tracing::warn!(parent: permit.span(), %by, "{of} refused: {e}");
        }
        // As many as a hand makes: not for everyone's log.
        Ok(_) if of == Command::MouseMove => {
            tracing::debug!(parent: permit.span(), %by, "{of} obeyed")
        }
        Ok(_) => {
            permit.note(if of == Command::LockMouse { What::Lock } else { What::Unlock });
            tracing::info!(parent: permit.span(), %by, "{of} obeyed");
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
