//! Attempt: an order that is signed, and what counts as an answer to it.

use crate::trust::{PublicKey, SecretKey, now_ms};
use bytes::Bytes;
use hightower_proto::Message;
use hightower_proto::message::{Answer, Order, Recipient, Reply, Signed};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Signs an order, as often as it is sent, and knows the answers to it.
pub(super) struct Signer<'a> {
    key: &'a SecretKey,
    order: &'a Message,
    /// Times and counters of what was sent.
    sent: HashSet<(u64, u64)>,
    newest: (u64, u64),
}

impl<'a> Signer<'a> {
    pub(super) fn new(key: &'a SecretKey, order: &'a Message) -> Self {
        Self { key, order, sent: HashSet::new(), newest: (0, 0) }
    }

    /// The order for these, signed for that moment. With nobody named it is for every agent.
    pub(super) fn sign(&mut self, to: Vec<Recipient>, time_ms: u64) -> Bytes {
        let counter = RandomState::new().build_hasher().finish();
        self.newest = (time_ms, counter);
        self.sent.insert(self.newest);
        let (by, order) = (self.key.public().id(), Box::new(self.order.clone()));
        let order = Order { by, time_ms, counter, to, order };
        Message::Signed(Signed::new(order, |bytes| self.key.sign(bytes))).encode()
    }

    /// Whether an answer claims to be to what was sent. That costs little to find out.
    pub(super) fn is_answered_by(&self, answer: &Answer) -> bool {
        answer.by == self.key.public().id()
            && answer.reply.of == self.order.packet().command.code()
            && self.sent.contains(&(answer.time_ms, answer.counter))
    }
}

/// An order to one agent on its way.
pub(super) struct Attempt<'a> {
    signer: Signer<'a>,
    agent: PublicKey,
    /// How much the agent's clock is ahead of ours, once that is known to matter.
    ahead_ms: Option<i64>,
}

pub(super) enum Answered {
    Reply(Reply),
    SignAnew,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(key: &'a SecretKey, agent: PublicKey, order: &'a Message) -> Self {
        Self { signer: Signer::new(key, order), agent, ahead_ms: None }
    }

    /// The order, signed for this moment.
    pub(super) fn sign(&mut self) -> Bytes {
        let time_ms = now_ms().saturating_add_signed(self.ahead_ms.unwrap_or(0));
        self.signer.sign(vec![Recipient::Agent(self.agent.id())], time_ms)
    }

    /// From now on it is signed by the agent's clock, which the agent has told.
    pub(super) fn follow_clock(&mut self, clock_ms: u64) {
        let ahead = i128::from(clock_ms) - i128::from(now_ms());
        self.ahead_ms = Some(i64::try_from(ahead).unwrap_or(0));
    }

    /// What an answer means, if it is the agent's and to this order.
    pub(super) fn judge(&mut self, answer: &Signed<Answer>) -> Option<Answered> {
        let claimed = answer.unchecked();
        if claimed.from != self.agent.id() || !self.signer.is_answered_by(claimed) {
            return None;
        }
        let answer = answer.check(|bytes, signature| self.agent.has_signed(bytes, signature))?;
        if answer.stale && self.ahead_ms.is_none() {
            self.follow_clock(answer.clock_ms);
            return Some(Answered::SignAnew);
        }
        // What was sent before the clock was known is answered late.
        let newest = self.signer.newest == (answer.time_ms, answer.counter);
        (newest || !answer.stale).then(|| Answered::Reply(answer.reply.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_if_it_is_the_agents_and_to_this_order() {
        let (key, agent, other) =
            (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
        let order = Message::StartMonitor;
        let mut attempt = Attempt::new(&key, agent.public(), &order);
        attempt.sign();
        let (time_ms, counter) = attempt.signer.newest;
        let reply = Reply::obeyed(0);
        let right = Answer {
            from: agent.public().id(),
            by: key.public().id(),
            time_ms,
            counter,
            clock_ms: now_ms() + 3_600_000,
            stale: false,
            reply,
        };
        let by = |key: &SecretKey, answer| Signed::new(answer, |bytes| key.sign(bytes));
        let obeyed = attempt.judge(&by(&agent, right.clone()));
        assert!(matches!(obeyed, Some(Answered::Reply(Reply { ok: true, .. }))));
        assert!(attempt.judge(&by(&other, right.clone())).is_none());
        let late = Answer { counter: counter ^ 1, ..right.clone() };
        assert!(attempt.judge(&by(&agent, late)).is_none());
        let of_another = Answer { reply: Reply { of: 1, ..right.reply.clone() }, ..right.clone() };
        assert!(attempt.judge(&by(&agent, of_another)).is_none());

        // An hour apart: signed anew by the agent's clock, once.
        let refused = Reply { ok: false, ..right.reply.clone() };
        let stale = Answer { stale: true, reply: refused, ..right };
        let judged = attempt.judge(&by(&agent, stale.clone()));
        assert!(matches!(judged, Some(Answered::SignAnew)));
        attempt.sign();
        let (time_ms, counter) = attempt.signer.newest;
        assert!(time_ms.abs_diff(now_ms() + 3_600_000) < 60_000);
        assert!(attempt.judge(&by(&agent, stale.clone())).is_none(), "of the first one");
        let still = attempt.judge(&by(&agent, Answer { time_ms, counter, ..stale }));
        assert!(matches!(still, Some(Answered::Reply(Reply { ok: false, .. }))));
    }
}
