//! Guard: follows the list of operators, so that who is taken off it is gone.

use super::messages::Recheck;
use crate::trust::Gate;
use actix::WeakRecipient;
use actix::prelude::*;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How often the list's file is looked at, for those who watch already. Who comes anew, or gives
/// a command, is held against the file as it is then.
const PERIOD: Duration = Duration::from_millis(500);

/// Follows the list.
pub(super) struct Guard {
    gate: Arc<Gate>,
    /// Of the list as it was at the start.
    number: u64,
    told: WeakRecipient<Recheck>,
}

impl Guard {
    /// `number` is of the list that those who are let in from now on are held against.
    pub(super) fn new(gate: Arc<Gate>, number: u64, told: WeakRecipient<Recheck>) -> Self {
        Self { gate, number, told }
    }
}

impl Actor for Guard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.gate.follows() {
            ctx.spawn(
                follow(Arc::clone(&self.gate), self.told.clone(), self.number).into_actor(self),
            );
        }
    }
}

async fn follow(gate: Arc<Gate>, told: WeakRecipient<Recheck>, mut number: u64) {
    let mut seen = Timestamp::now();
    let mut forbids = false;
    loop {
        tokio::time::sleep(PERIOD).await;
        let reader = Arc::clone(&gate);
        let Ok(newest) = tokio::task::spawn_blocking(move || reader.refresh()).await else {
            tracing::error!("the list of operators can't be followed");
            continue;
        };
        let since = std::mem::replace(&mut seen, Timestamp::now());
        let expired = gate.expired_within(since, seen);
        let forbade = std::mem::replace(&mut forbids, gate.audit().forbids());
        let Some(told) = told.upgrade() else { return };
        // Whoever has read the list first, it is another one than this knows.
        if newest != number || expired || forbids && !forbade {
            number = newest;
            told.do_send(Recheck);
        }
    }
}
