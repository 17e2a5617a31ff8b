//! Frames: when the next step is asked for, and sent.

use super::Session;
use super::admission::Admission;
use crate::frames::{Encode, Encoded};
use actix::prelude::*;
use std::time::{Duration, Instant};

impl Session {
    /// Asks for the next step, or wishes for it.
    pub(super) fn seek(&mut self, ctx: &mut Context<Self>) {
        if !self.wants_frames() || self.asked || self.outbox.frames.is_some() {
            return;
        }
        let wait = self.not_before.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            self.look_again(wait, ctx);
        } else if self.newest > self.have || self.refresh && self.newest > self.stale {
            self.ask(ctx);
        } else {
            self.links.demand.want_past(self.have);
        }
    }

    /// Advances after this time, by one timer at most.
    fn look_again(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if !self.timed {
            self.timed = true;
            ctx.run_later(wait, |session, ctx| {
                session.timed = false;
                session.advance(ctx);
            });
        }
    }

    fn wants_frames(&self) -> bool {
        let credit = !self.speaks || self.link.under_way() < self.links.credit as usize;
        self.monitoring && credit && matches!(self.admission, Admission::Joined(_))
    }

    /// Asks the encoder for the step from what the viewer has to now.
    fn ask(&mut self, ctx: &mut Context<Self>) {
        self.asked = true;
        let epoch = self.epoch;
        // A plain viewer can't build on what it has.
        let base = self.base.filter(|_| self.delta && !self.refresh);
        let effort = self.link.effort();
        let answer = self.links.encoder.send(Encode { rendition: self.rendition, base, effort });
        let answered = answer.into_actor(self).map(move |answer, session, ctx| {
            session.asked = false;
            if epoch == session.epoch {
                match answer {
                    Ok(Ok(step)) => session.send_step(step),
                    Ok(Err(e)) => {
                        tracing::debug!(parent: session.grant.span(), peer = %session.peer, "no frame: {e}");
                        // The next version is another chance; this one is not asked for again.
                        session.have = session.newest;
                        session.refresh = false;
                        session.base = None;
                    }
                    Err(_) => session.close(Some("the agent stops".into())),
                }
            }
            session.advance(ctx);
        });
        ctx.spawn(answered);
    }

    fn send_step(&mut self, step: Encoded) {
        // The canvas may be of before the last start: that is not of now.
        let wanted = step.version > self.have || self.refresh && step.version > self.stale;
        if !wanted || self.closing {
            return;
        }
        if self.base.is_some() {
            let skipped = step.version.saturating_sub(self.have + 1);
            self.links.figures.sendings.skipped(skipped);
        }
        self.have = step.version;
        self.newest = self.newest.max(step.version);
        self.base = Some(step.version);
        self.refresh = false;
        if !self.interval.is_zero() {
            self.not_before = Instant::now() + self.interval;
        }
        if self.speaks {
            self.link.sent(&step, Instant::now());
        }
        self.outbox.frames = Some(step);
    }

    /// What is sent next builds on nothing: the viewer has lost what it had, or never got it.
    pub(super) fn forget_base(&mut self) {
        // What is being encoded may build on what was lost, or be of another rendition.
        self.epoch += 1;
        self.base = None;
        self.refresh = true;
        self.link.forget();
    }
}
