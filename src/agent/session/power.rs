//! What the peer wants to become of the machine.

use super::Session;
use crate::agent::power::{Begun, Order};
use crate::trust;
use actix::prelude::*;
use hightower_proto::Command;
use hightower_proto::message::{Power, Reply};
use std::time::Duration;

impl Session {
    /// Has it done, or counted down. Of what is counted down the peer is told twice: when it begins,
    /// and what came of it.
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
        let delay = wanted.delay_ms.map(|ms| Duration::from_millis(ms.into()));
        let order = Order { act: wanted.act, delay, permit };
        let begun = self.links.power.send(order).into_actor(self);
        Box::pin(begun.then(move |begun, session, ctx| {
            let reply = match begun {
                Ok(Ok(Begun::Done)) => Reply::obeyed(of),
                Ok(Ok(Begun::Counting { delay, outcome })) => {
                    let outcome = outcome.into_actor(session);
                    ctx.spawn(outcome.map(move |outcome, session, ctx| match outcome {
                        Ok(Ok(())) => session.reply(Reply::obeyed(of), ctx),
                        Ok(Err(why)) => session.reply(Reply::refused(of, why), ctx),
                        // The agent stops.
                        Err(_) => {}
                    }));
                    let due_ms = u32::try_from(delay.as_millis()).ok();
                    Reply { due_ms, ..Reply::obeyed(of) }
                }
                Ok(Err(why)) => Reply::refused(of, why),
                Err(_) => {
                    ctx.stop();
                    return session.settled();
                }
            };
            session.reply(reply, ctx);
            session.settled()
        }))
    }
}
