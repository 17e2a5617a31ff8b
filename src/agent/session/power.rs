//! What the peer wants to become of the machine.

use super::Session;
use crate::agent::power::{Begun, Came, Order, Outcome};
use crate::trust;
use actix::prelude::*;
use hightower_proto::Command;
use hightower_proto::message::{Power, Reply};
use std::time::Duration;

/// The peer's orders of this kind.
#[derive(Default)]
pub(super) struct Orders {
    /// Whether one is not answered yet.
    waits: bool,
    /// What came of it already.
    came: Option<Outcome>,
}

impl Session {
    /// Has it done, or counted down. Of what is counted down the peer is told twice: when it begins,
    /// and what came of it. Meanwhile it is heard: the system's bus may take its time.
    pub(super) fn power(
        &mut self,
        wanted: Power,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        let of = Command::Power.code();
        let permit = match self.grant.permit::<trust::Power>() {
            Ok(permit) => permit,
            Err(denied) => return self.deny(of, &denied, ctx),
        };
        if std::mem::replace(&mut self.orders.waits, true) {
            self.reply(Reply::refused(of, "your order before this one is not answered yet"), ctx);
            return self.settled();
        }
        let order = Order {
            act: wanted.act,
            delay: wanted.delay_ms.map(|ms| Duration::from_millis(ms.into())),
            grant: self.grant.clone(),
            permit,
            told: ctx.address().downgrade().recipient(),
        };
        let begun = self.links.power.send(order).into_actor(self);
        ctx.spawn(begun.map(move |begun, session, ctx| {
            let reply = match begun {
                Ok(Ok(Begun::Done)) => Reply::obeyed(of),
                Ok(Ok(Begun::Counting { left, note })) => {
                    let due_ms = u32::try_from(left.as_millis()).ok();
                    Reply { due_ms, note, ..Reply::obeyed(of) }
                }
                Ok(Err(why)) => Reply::refused(of, why),
                Err(_) => return ctx.stop(),
            };
            session.reply(reply, ctx);
            session.orders.waits = false;
            if let Some(outcome) = session.orders.came.take() {
                session.came(outcome, ctx);
            }
        }));
        self.settled()
    }

    fn came(&mut self, outcome: Outcome, ctx: &mut Context<Self>) {
        let of = Command::Power.code();
        let reply = match outcome {
            Ok(()) => Reply::obeyed(of),
            Err(why) => Reply::refused(of, why),
        };
        self.reply(reply, ctx);
    }
}

impl Handler<Came> for Session {
    type Result = ();

    fn handle(&mut self, Came(outcome): Came, ctx: &mut Self::Context) {
        if self.orders.waits {
            self.orders.came = Some(outcome);
        } else {
            self.came(outcome, ctx);
        }
    }
}
