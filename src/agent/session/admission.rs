//! Admission: whether somebody may watch, or is a guest, or has to go.
//!
//! Who has said nothing is taken for a plain viewer after a moment. A viewer needs the role, the
//! leave of the person at the machine where they are asked, and a place in the table.

use super::Session;
use crate::agent::consent::Consent;
use crate::agent::messages::{Enter, Join, ViewerId};
use crate::canvas::Version;
use crate::trust::{Permit, View};
use actix::prelude::*;
use std::time::Duration;
use tracing::Instrument;

/// How long a viewer that finds the table full has to say hello, so that it can be told.
const REFUSED_HELLO: Duration = Duration::from_secs(2);

/// How far it is.
pub(super) enum Admission {
    /// It has said nothing yet, and may be either.
    Unknown,
    /// The broadcaster, or before it the person at the machine, has not answered yet.
    Asked,
    Joined(ViewerId),
    /// It does not watch.
    Guest(ViewerId),
    /// The table is full; this is what a viewer that says hello is told.
    Refused(String),
}

impl Session {
    /// Whoever it is wants to watch.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        self.admission = Admission::Asked;
        let permit = match self.grant.permit::<View>() {
            Ok(permit) => permit,
            Err(denied) => {
                self.grant.note_refusal(&denied);
                self.refuse(denied.to_string());
                return self.forgo(ctx);
            }
        };
        match self.links.consent.clone() {
            Some(consent) => self.ask_leave(consent, permit, ctx),
            None => self.join(permit, ctx),
        }
    }

    /// Whoever it is does not want to watch: their place among the viewers is free again.
    pub(super) fn visit(&mut self, ctx: &mut Context<Self>) {
        self.admission = Admission::Asked;
        match self.links.guests.try_take(self.grant.holder()) {
            Ok(place) => self.place = place,
            Err(why) => {
                self.refuse(why.to_string());
                return self.forgo(ctx);
            }
        }
        let enter = Enter { session: ctx.address().recipient() };
        let entered =
            self.links.broadcaster.send(enter).into_actor(self).map(|answer, session, ctx| {
                match answer {
                    Ok(Ok(id)) => {
                        session.admission = Admission::Guest(id);
                        session.grant.note_visit();
                    }
                    Ok(Err(refused)) => {
                        session.refuse(refused.to_string());
                        session.forgo(ctx);
                    }
                    Err(_) => ctx.stop(),
                }
            });
        ctx.wait(entered);
    }

    /// Asks for a place in the table. Nothing of the viewer is read before the answer.
    fn join(&mut self, permit: Permit<View>, ctx: &mut Context<Self>) {
        let join = Join { permit, session: ctx.address().recipient() };
        let joined =
            self.links.broadcaster.send(join).into_actor(self).map(|answer, session, ctx| {
                match answer {
                    Ok(Ok(j)) => session.joined(j.id, j.monitoring, j.after, j.newest),
                    Ok(Err(refused)) => {
                        session.refuse(refused.to_string());
                        session.forgo(ctx);
                    }
                    Err(_) => ctx.stop(),
                }
                session.advance(ctx);
            });
        ctx.wait(joined);
    }

    /// Lets the viewer stay no longer than it takes to say why: to one that has said hello, or
    /// soon does.
    fn refuse(&mut self, why: String) {
        self.links.figures.unseated.inc();
        if self.speaks {
            self.close(Some(why.clone()));
        }
        self.admission = Admission::Refused(why);
    }

    /// Asks the person at the machine. Until they answer the viewer is heard, and shown nothing.
    fn ask_leave(&mut self, consent: Consent, permit: Permit<View>, ctx: &mut Context<Self>) {
        let (by, holder) = (permit.by().clone(), self.grant.holder());
        let span = self.grant.span().clone();
        let asked = async move { consent.ask(by, holder).await }.instrument(span);
        ctx.spawn(asked.into_actor(self).map(|said, session, ctx| {
            if !matches!(session.admission, Admission::Asked) {
                // It did not mean to watch.
                return;
            }
            // It may have been taken off the list meanwhile.
            let leave = said.and_then(|stay| match session.grant.permit::<View>() {
                Ok(permit) => Ok((stay, permit)),
                Err(denied) => Err(denied.to_string()),
            });
            match leave {
                Ok((stay, permit)) => {
                    session.stay = Some(stay);
                    session.join(permit, ctx);
                }
                Err(why) => {
                    session.refuse(why);
                    session.forgo(ctx);
                    session.advance(ctx);
                }
            }
        }));
    }

    /// Who is refused says hello soon, and is told why, or is gone.
    fn forgo(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(REFUSED_HELLO, |session, ctx| {
            if matches!(session.admission, Admission::Refused(_)) && !session.closing {
                ctx.stop();
            }
        });
    }

    fn joined(&mut self, id: ViewerId, monitoring: bool, after: Version, newest: Version) {
        self.admission = Admission::Joined(id);
        // The broadcaster's notices may have come first, and are newer.
        if !self.told {
            self.monitoring = monitoring;
            self.have = after;
            self.stale = after;
        }
        self.newest = self.newest.max(newest);
    }
}
