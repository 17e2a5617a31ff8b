//! The audit log: who did what to this machine, a line of JSON an event.
//!
//! Each line has the hash of the line before it, so that one that is taken out or changed shows
//! (`verify`). A thread of its own writes; whoever notes something never waits.

mod chain;
mod verify;

pub use chain::Chain;
pub use verify::{Fault, Verified, verify};

use crate::trust::By;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Events that may wait to be written.
const WAITING: usize = 1024;

/// How soon a log that can't be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The agent started.
    Begin,
    /// The agent ended.
    End,
    /// A viewer was let in.
    Connect,
    /// It has left.
    Leave,
    /// Somebody was not let in, or a command was not obeyed.
    Refuse,
    /// Monitoring was started.
    Start,
    /// Monitoring was stopped.
    Stop,
    /// The pointer was locked.
    Lock,
    /// It was freed.
    Unlock,
    /// The list of operators has changed.
    KeyChange,
    /// So many events were not written: they came faster than the disk takes them, or it was full.
    Lost,
}

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// Who did it; an operator's name, made harmless.
    pub operator: Option<Arc<str>>,
    /// From where.
    pub address: Option<String>,
    /// What came of it, in words; "ok" where nothing is to be said.
    pub outcome: String,
}

impl Event {
    /// Something that somebody did.
    #[must_use]
    pub fn by(what: What, by: &By) -> Self {
        let (operator, address) = (by.name.clone(), Some(by.peer.to_string()));
        Self { what, operator, address, outcome: "ok".into() }
    }

    /// Something that was refused to somebody, and why.
    #[must_use]
    pub fn refused(address: impl ToString, why: impl ToString) -> Self {
        let (address, outcome) = (Some(address.to_string()), why.to_string());
        Self { what: What::Refuse, operator: None, address, outcome }
    }

    /// Something that the agent itself did or saw.
    #[must_use]
    pub fn of(what: What, outcome: impl ToString) -> Self {
        Self { what, operator: None, address: None, outcome: outcome.to_string() }
    }
}

/// What to do when the log can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Policy {
    /// Go on, and say how much was lost once it can be written again.
    #[default]
    Continue,
    /// Let nobody in and obey nobody until it can be written again.
    Refuse,
}

#[derive(Debug)]
struct Shared {
    events: SyncSender<Event>,
    lost: AtomicU64,
    failing: AtomicBool,
    policy: Policy,
}

/// Takes events; a clone takes them for the same log.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Shared>>);

impl Audit {
    /// A log in this folder, which is made if need be. It ends with its last clone.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(folder: PathBuf, limit: u64, policy: Policy) -> io::Result<Self> {
        let chain = Chain::open(folder, limit)?;
        let (events, written) = sync_channel(WAITING);
        let (lost, failing) = (AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { events, lost, failing, policy });
        let told = Arc::downgrade(&shared);
        let write = move || write(chain, &written, &told);
        std::thread::Builder::new().name("audit".into()).spawn(write)?;
        Ok(Self(Some(shared)))
    }

    /// Notes an event, and never waits.
    pub fn note(&self, event: Event) {
        let Some(shared) = &self.0 else { return };
        match shared.events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether nobody is to be let in or obeyed, since it could not be written down.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| {
            shared.policy == Policy::Refuse && shared.failing.load(Ordering::Relaxed)
        })
    }
}

/// The writing thread; it ends when nobody can note anything any more.
fn write(mut chain: Chain, events: &Receiver<Event>, shared: &std::sync::Weak<Shared>) {
    let mut unwritten = 0;
    loop {
        // While something is not written, it is tried again without waiting for what comes next.
        let next = if unwritten == 0 {
            events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            events.recv_timeout(RETRY)
        };
        let event = match next {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(shared) = shared.upgrade() else {
            // The last words; nobody is left to be told that they could not be written.
            drop(event.map(|event| chain.append(&event)));
            continue;
        };
        unwritten += shared.lost.swap(0, Ordering::Relaxed);
        let mut written = match unwritten {
            0 => Ok(()),
            some => chain.append(&Event::of(What::Lost, format!("{some} events"))),
        };
        if written.is_ok() {
            unwritten = 0;
        }
        if let Some(event) = event {
            written = written.and_then(|()| chain.append(&event));
            unwritten += u64::from(written.is_err());
        }
        let failed = written.is_err();
        if failed != shared.failing.swap(failed, Ordering::Relaxed) {
            match written {
                Ok(()) => tracing::warn!("the audit log can be written again"),
                Err(e) => tracing::error!("the audit log can't be written: {e}"),
            }
        }
    }
}
