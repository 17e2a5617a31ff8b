//! The audit log: who did what to this machine, a line of JSON an event.
//!
//! Each line has the hash of the line before it, so that one that is taken out or changed shows
//! (`verify`). A thread of its own writes; whoever notes something never waits.

mod chain;
mod refusals;
mod verify;

pub use chain::Chain;
pub use verify::{Fault, Verified, verify};

use crate::trust::By;
use refusals::Refusals;
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Events that may wait to be written.
const WAITING: usize = 1024;

/// How often it is written how many refusals were not written one by one.
const COUNTED: Duration = Duration::from_secs(600);
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
    /// Somebody was let in who does not watch.
    Visit,
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
    /// The person at the machine lets nobody watch for now.
    Pause,
    /// Those who may watch may do so again.
    Resume,
    /// Somebody said something in the chat; what, is not written down.
    Say,
    /// A file was put into the inbox, or not.
    Receive,
    /// A file of the outbox was given, or not.
    Give,
    /// A picture was shown to the person at the machine, or not.
    Show,
    /// The machine was to be restarted, or the like.
    Power,
    /// Somebody paired, or tried to.
    Pair,
    /// The person at the machine was asked whether somebody may watch.
    Consent,
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
        let (operator, address) = (by.name.clone(), Some(by.place()));
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

/// Who is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of somebody whose key is not in the list, or who showed none.
    Stranger,
    /// Of somebody whose key is in the list, or who may be here without one.
    Known,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Entry {
    Event(Event),
    /// Somebody wants to know when all that was noted before has been written.
    Asked(oneshot::Sender<()>),
}

/// Who wants to know that, if anybody.
type Asked = Option<oneshot::Sender<()>>;

#[derive(Debug)]
struct Shared {
    entries: SyncSender<Entry>,
    lost: AtomicU64,
    strangers: Mutex<Refusals>,
    operators: Mutex<Refusals>,
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
        let (entries, noted) = sync_channel(WAITING);
        let (lost, failing) = (AtomicU64::new(0), AtomicBool::new(false));
        let (strangers, operators) = (Refusals::of_strangers(), Refusals::of_operators());
        let (strangers, operators) = (Mutex::new(strangers), Mutex::new(operators));
        let shared = Arc::new(Shared { entries, lost, strangers, operators, failing, policy });
        let told = Arc::downgrade(&shared);
        let write = move || write(chain, &noted, &told);
        std::thread::Builder::new().name("audit".into()).spawn(write)?;
        Ok(Self(Some(shared)))
    }

    /// Notes an event, and never waits.
    pub fn note(&self, event: Event) {
        let Some(shared) = &self.0 else { return };
        if event.what == What::End {
            shared.held_back().into_iter().for_each(|count| shared.note(count));
        }
        shared.note(event);
    }

    /// Notes that somebody was refused, so many times: by a line, or as some more of many.
    /// Whoever is refused can be so as often as they like, and is not to wash away what else was
    /// written.
    pub fn note_refusal(
        &self,
        whose: Whose,
        peer: SocketAddr,
        times: u64,
        event: impl FnOnce() -> Event,
    ) {
        let Some(shared) = &self.0 else { return };
        let count = {
            let mut refusals = shared.refusals(whose);
            if !refusals.pass(peer.ip(), times, Instant::now()) {
                return;
            }
            refusals.count()
        };
        let mut event = event();
        if count > 0 {
            event.outcome = format!("{} ({count} more were refused before)", event.outcome);
        }
        shared.note(event);
    }

    /// Waits until what was noted before has been written. Whether it was in time: a disk may be full,
    /// or hang.
    pub async fn written(&self, patience: Duration) -> bool {
        let Some(shared) = &self.0 else { return true };
        let (tell, told) = oneshot::channel();
        shared.entries.try_send(Entry::Asked(tell)).is_ok()
            && matches!(timeout(patience, told).await, Ok(Ok(())))
    }

    /// Whether it may come to that nobody is to be let in.
    #[must_use]
    pub fn may_forbid(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.policy == Policy::Refuse)
    }

    /// Whether nobody is to be let in or obeyed, since it could not be written down.
    #[must_use]
    pub fn forbids(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| {
            shared.policy == Policy::Refuse && shared.failing.load(Ordering::Relaxed)
        })
    }
}

impl Shared {
    fn note(&self, event: Event) {
        match self.entries.try_send(Entry::Event(event)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn refusals(&self, whose: Whose) -> MutexGuard<'_, Refusals> {
        let refusals = match whose {
            Whose::Stranger => &self.strangers,
            Whose::Known => &self.operators,
        };
        refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events that count the refusals which were not written one by one.
    fn held_back(&self) -> Vec<Event> {
        let whose = [(Whose::Stranger, "strangers"), (Whose::Known, "those who are known")];
        let counts = whose.map(|(whose, them)| (self.refusals(whose).count(), them));
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        counts
            .map(|(count, them)| {
                Event::of(What::Refuse, format!("{count} more of {them} were refused"))
            })
            .collect()
    }
}

/// The next events: one that was noted, and the counts of those that were not written one by one
/// when they are due; none when what `waits` is to be tried again. `None` when nobody can
/// note anything any more.
fn next(
    entries: &Receiver<Entry>,
    shared: &Weak<Shared>,
    counted: &mut Instant,
    waits: bool,
) -> Option<(Vec<Event>, Asked)> {
    let due = (*counted + COUNTED).saturating_duration_since(Instant::now());
    let mut next = match entries.recv_timeout(if waits { due.min(RETRY) } else { due }) {
        Ok(Entry::Event(event)) => (vec![event], None),
        Ok(Entry::Asked(tell)) => (Vec::new(), Some(tell)),
        Err(RecvTimeoutError::Timeout) => (Vec::new(), None),
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    if counted.elapsed() >= COUNTED {
        *counted = Instant::now();
        next.0.extend(shared.upgrade().map(|shared| shared.held_back()).unwrap_or_default());
    }
    Some(next)
}

/// The writing thread; it ends when nobody can note anything any more.
fn write(mut chain: Chain, entries: &Receiver<Entry>, shared: &Weak<Shared>) {
    let mut unwritten = 0;
    let mut counted = Instant::now();
    // While something is not written, it is tried again without waiting for what comes next.
    while let Some((events, asked)) = next(entries, shared, &mut counted, unwritten > 0) {
        let Some(shared) = shared.upgrade() else {
            // The last words; nobody is left to be told that they could not be written.
            events.iter().for_each(|event| drop(chain.append(event)));
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
        for event in events {
            written = written.and_then(|()| chain.append(&event));
            unwritten += u64::from(written.is_err());
        }
        // Who is not told that it is written hears that it is not.
        if let Some(tell) = asked.filter(|_| unwritten == 0) {
            tell.send(()).ok();
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
