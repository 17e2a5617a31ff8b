//! Guard: follows the list of operators, so that who is taken off it is gone.

use super::messages::Recheck;
use crate::trust::Gate;
use actix::WeakRecipient;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// How often the list's file is looked at, for those who watch already. Who comes anew, or gives
/// a command, is held against the file as it is then.
const PERIOD: Duration = Duration::from_millis(500);

/// Follows the list.
pub(super) struct Guard {
    gate: Arc<Gate>,
    told: WeakRecipient<Recheck>,
}

impl Guard {
    pub(super) fn new(gate: Arc<Gate>, told: WeakRecipient<Recheck>) -> Self {
        Self { gate, told }
    }
}

impl Actor for Guard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.gate.follows() {
            ctx.spawn(follow(Arc::clone(&self.gate), self.told.clone()).into_actor(self));
        }
    }
}

async fn follow(gate: Arc<Gate>, told: WeakRecipient<Recheck>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let gate = Arc::clone(&gate);
        let changed = tokio::task::spawn_blocking(move || gate.refresh()).await;
        match (changed, told.upgrade()) {
            (_, None) => return,
            (Ok(true), Some(told)) => told.do_send(Recheck),
            (Ok(false), _) => {}
            (Err(e), _) => tracing::error!("the list of operators can't be followed: {e}"),
        }
    }
}
