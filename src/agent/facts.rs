//! Registrar: keeps what this machine is at hand, and sees to it that it is of now.
//!
//! Finding it out asks the display, which may take its time or never answer. So that is done on a
//! thread of its own, at the start, when somebody asks, and now and then while somebody who asked
//! is still here; what is told at once is what was found out last.

use super::messages::FactsChanged;
use crate::facts::gather;
use crate::source::Choice;
use actix::WeakRecipient;
use actix::prelude::*;
use hightower_proto::message::Facts;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often it is looked again while somebody may want to know.
const PERIOD: Duration = Duration::from_secs(10);

/// What was found out so recently is not found out again.
const FRESH: Duration = Duration::from_secs(1);

/// Keeps the facts.
pub(super) struct Registrar {
    source: Choice,
    started: Instant,
    facts: Arc<Facts>,
    /// When `facts` were found out.
    found: Instant,
    /// Whether somebody is finding them out.
    busy: bool,
    interest: Arc<Interest>,
    told: WeakRecipient<FactsChanged>,
}

/// As long as it is kept, who has it is told of changes.
#[derive(Debug)]
pub(super) struct Interest;

/// Session to registrar: what is this machine?
#[derive(Message)]
#[rtype(result = "(Arc<Facts>, Arc<Interest>)")]
pub(super) struct AskFacts;

impl Registrar {
    /// `told` is told when something has changed.
    pub(super) fn new(source: Choice, told: WeakRecipient<FactsChanged>) -> Self {
        let now = Instant::now();
        Self {
            source,
            started: now,
            facts: Arc::default(),
            found: now,
            busy: false,
            interest: Arc::new(Interest),
            told,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        let (source, started) = (self.source.clone(), self.started);
        let (tell, told) = oneshot::channel();
        // Not one of the runtime's threads, whose end it would wait for.
        let thread = std::thread::Builder::new().name("facts".into());
        let spawned = thread.spawn(move || {
            // The agent may have ended meanwhile.
            drop(tell.send(gather(source.monitors(), started.elapsed())));
        });
        if let Err(e) = spawned {
            tracing::warn!("can't find out what this machine is: {e}");
        }
        ctx.spawn(told.into_actor(self).map(|found, registrar, _| {
            registrar.busy = false;
            if let Ok(found) = found {
                registrar.learn(found);
            }
        }));
    }

    fn learn(&mut self, found: Facts) {
        let same =
            Facts { up_s: found.up_s, agent_up_s: found.agent_up_s, ..(*self.facts).clone() };
        let changed = same != found;
        (self.facts, self.found) = (Arc::new(found), Instant::now());
        if changed && let Some(told) = self.told.upgrade() {
            told.do_send(FactsChanged(Arc::clone(&self.facts)));
        }
    }

    /// The facts, with the times of now.
    fn now(&self) -> Arc<Facts> {
        let (since, mut facts) = (self.found.elapsed().as_secs(), Arc::clone(&self.facts));
        if since > 0 {
            let facts = Arc::make_mut(&mut facts);
            facts.up_s += since;
            facts.agent_up_s += since;
        }
        facts
    }
}

impl Actor for Registrar {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
        ctx.run_interval(PERIOD, |registrar, ctx| {
            if Arc::strong_count(&registrar.interest) > 1 {
                registrar.look(ctx);
            }
        });
    }
}

impl Handler<AskFacts> for Registrar {
    type Result = MessageResult<AskFacts>;

    fn handle(&mut self, _: AskFacts, ctx: &mut Self::Context) -> Self::Result {
        if self.found.elapsed() > FRESH {
            self.look(ctx);
        }
        MessageResult((self.now(), Arc::clone(&self.interest)))
    }
}
