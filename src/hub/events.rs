//! Events: what happens at a hub, for those who want to know it at once.
//!
//! They are of now: whoever is late misses the oldest, is told how many, and asks for what is there.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that wait for whoever takes them slowly.
const WAITING: usize = 256;

/// Something that has happened.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Event {
    /// A machine did what somebody wanted.
    Order {
        /// The machine.
        host: String,
        /// Who wanted it.
        by: String,
        /// What.
        order: String,
        /// How it went.
        done: String,
    },
    /// A file is on its way.
    Transfer(Transfer),
}

/// How far a file has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// What whoever wants it has called it.
    pub id: String,
    /// The machine.
    pub host: String,
    /// What the file is called.
    pub file: String,
    /// Its length, in bytes.
    pub size: u64,
    /// How much of that is there, in bytes.
    pub moved: u64,
    /// Why it does not go on, while the connection is made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Whose it is: nobody else is told.
    #[serde(skip)]
    pub(super) by: String,
}

impl Event {
    /// Its kind, as server-sent events have one.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Order { .. } => "order",
            Self::Transfer(_) => "transfer",
        }
    }

    /// Whether it is of somebody's own doing alone, whom [`Self::is_for`] tells.
    pub(super) fn is_theirs(&self) -> bool {
        matches!(self, Self::Transfer(_))
    }

    /// Whether somebody of this name is told.
    pub(super) fn is_for(&self, name: &str) -> bool {
        match self {
            Self::Order { .. } => true,
            Self::Transfer(transfer) => transfer.by == name,
        }
    }
}

/// What happens, for all who want to know.
pub(super) struct Events(broadcast::Sender<Arc<Event>>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(WAITING).0)
    }
}

impl Events {
    /// Something has happened.
    pub(super) fn tell(&self, event: Event) {
        // Where nobody wants to know, nobody is told.
        drop(self.0.send(Arc::new(event)));
    }

    /// What happens from now on.
    pub(super) fn follow(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }
}
