//! Desk: judges signed orders, and signs the answers.

use super::gate::Gate;
use super::grant::Grant;
use super::key::SecretKey;
use super::replay::{Replay, ReplayError, WINDOW_MS};
use hightower_proto::Message;
use hightower_proto::message::{Answer, KeyId, Order, Recipient, Reply, Signed};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Networks repeat datagrams. The first one is answered, and a refusal of the second would pass for
/// the answer; who got none signs the order anew.
const SEEN: &str = "it was given before";

/// An agent's desk.
#[derive(Debug)]
pub struct Desk {
    key: SecretKey,
    id: KeyId,
    groups: Vec<String>,
    gate: Arc<Gate>,
    replay: Mutex<Replay>,
}

/// What becomes of a signed order.
#[derive(Debug)]
pub enum Verdict {
    /// It is obeyed as far as the grant goes.
    Obey(Grant),
    /// It is refused, and the sender told why.
    Refuse {
        /// Why.
        why: String,
        /// Whether it may be obeyed when it is signed anew, by this clock.
        stale: bool,
        /// Whether the signature holds.
        proven: bool,
    },
    /// Nobody can say from whom it is, or it was answered already: not answered now.
    Ignore(&'static str),
    /// It is for others.
    Pass,
}

/// What a look at an order says, before its signature was checked: anybody can have sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// It is for others.
    Pass,
    /// It may well be obeyed.
    Likely,
    /// As things stand it will not be obeyed, but [`Desk::judge`] may find out why to say so.
    Doubtful,
}

impl Verdict {
    fn refuse(why: &dyn std::fmt::Display, stale: bool) -> Self {
        Self::Refuse { why: why.to_string(), stale, proven: true }
    }
}

impl Desk {
    /// The desk of the agent with this key and in these groups, with its file of orders that were
    /// seen.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(
        key: SecretKey,
        groups: Vec<String>,
        gate: Arc<Gate>,
        seen: &Path,
    ) -> io::Result<Self> {
        let (id, replay) = (key.public().id(), Mutex::new(Replay::open(seen)?));
        Ok(Self { key, id, groups, gate, replay })
    }

    fn is_for_us(&self, order: &Order) -> bool {
        order.to.is_empty()
            || order.to.iter().any(|recipient| match recipient {
                Recipient::Agent(id) => *id == self.id,
                Recipient::Group(name) => self.groups.contains(name),
            })
    }

    /// Whether an order names this agent, and not just all or a group.
    #[must_use]
    pub fn is_named(&self, order: &Order) -> bool {
        order.to.contains(&Recipient::Agent(self.id))
    }

    /// Takes a look at an order: neither a signature nor a file, so it can be done for every
    /// datagram of a flood.
    #[must_use]
    pub fn glance(&self, order: &Order) -> Glance {
        if !self.is_for_us(order) {
            return Glance::Pass;
        }
        let is_known = self.gate.operators().by_id(&order.by).is_some();
        let is_of_now = order.time_ms.abs_diff(now_ms()) <= WINDOW_MS;
        // While another order is written down nobody waits to know.
        let is_seen = self.replay.try_lock().is_ok_and(|replay| replay.has(order));
        if is_known && is_of_now && !is_seen { Glance::Likely } else { Glance::Doubtful }
    }

    /// Says what becomes of an order. One that is to be obeyed is written down, and will not be
    /// obeyed again. Reads and writes files: not for an async thread.
    #[must_use]
    pub fn judge(&self, signed: &Signed<Order>, peer: SocketAddr) -> Verdict {
        let order = signed.unchecked();
        // What costs little comes first; nothing is believed before the signature holds.
        if !self.is_for_us(order) {
            return Verdict::Pass;
        }
        self.gate.refresh();
        let operators = self.gate.operators();
        let Some(operator) = operators.by_id(&order.by) else {
            let why = super::Unwelcome::Unknown.to_string();
            return Verdict::Refuse { why, stale: false, proven: false };
        };
        if self.replay().has(order) {
            return Verdict::Ignore(SEEN);
        }
        if signed.check(|bytes, signature| operator.key.has_signed(bytes, signature)).is_none() {
            return Verdict::Ignore("its signature does not hold");
        }
        let grant = match self.gate.operator(&operator.key, peer) {
            Ok(grant) => grant,
            Err(why) => return Verdict::refuse(&why, false),
        };
        let now = now_ms();
        if order.time_ms.abs_diff(now) > WINDOW_MS {
            let why = "the order's time and this machine's clock are more than 30 s apart";
            return Verdict::refuse(&why, true);
        }
        match self.replay().admit(order.by, order.time_ms, order.counter) {
            Ok(()) => Verdict::Obey(grant),
            Err(ReplayError::Seen) => Verdict::Ignore(SEEN),
            Err(why) => Verdict::refuse(&why, matches!(why, ReplayError::Old)),
        }
    }

    fn replay(&self) -> MutexGuard<'_, Replay> {
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to an order, signed.
    #[must_use]
    pub fn answer(&self, order: &Order, reply: Reply, stale: bool) -> Message {
        let &Order { by, time_ms, counter, .. } = order;
        let clock_ms = now_ms();
        let answer = Answer { from: self.id, by, time_ms, counter, clock_ms, stale, reply };
        Message::SignedReply(Signed::new(answer, |bytes| self.key.sign(bytes)))
    }
}

/// The clock of signed orders: milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::gate::Plain;
    use super::super::grant::{Control, View};
    use super::*;

    struct Office {
        desk: Desk,
        operator: SecretKey,
        _folder: tempfile::TempDir,
    }

    impl Office {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let list = folder.path().join("authorized_operators");
            let (key, operator) = (SecretKey::generate(), SecretKey::generate());
            std::fs::write(&list, format!("control {} anna", operator.public())).expect("written");
            let gate = Gate::new(Plain::Never, Some(list), Default::default());
            let seen = folder.path().join("seen_orders");
            let desk = Desk::open(key, vec!["room2".into()], gate, &seen).expect("opened");
            Self { desk, operator, _folder: folder }
        }

        fn order(&self) -> Order {
            Order {
                by: self.operator.public().id(),
                time_ms: now_ms(),
                counter: 1,
                to: vec![],
                order: Box::new(Message::UnlockMouse),
            }
        }

        fn judge(&self, order: Order) -> Verdict {
            self.judge_signed(&Signed::new(order, |bytes| self.operator.sign(bytes)))
        }

        fn judge_signed(&self, signed: &Signed<Order>) -> Verdict {
            self.desk.judge(signed, ([10, 0, 0, 9], 1234).into())
        }
    }

    #[test]
    fn an_order_is_obeyed_once_and_within_its_roles() {
        let office = Office::new();
        let Verdict::Obey(grant) = office.judge(office.order()) else { panic!("not obeyed") };
        assert!(grant.permit::<Control>().is_ok());
        assert!(grant.permit::<View>().is_err());
        let order = Order { time_ms: now_ms() + 5, counter: 4, ..office.order() };
        let signed = Signed::new(order, |bytes| office.operator.sign(bytes));
        assert!(matches!(office.judge_signed(&signed), Verdict::Obey(_)));
        let again = office.judge_signed(&signed);
        assert!(matches!(again, Verdict::Ignore(SEEN)), "{again:?}");
    }

    #[test]
    fn an_order_is_for_whom_it_names() {
        let office = Office::new();
        let own = office.desk.id;
        for (to, ours) in [
            (vec![Recipient::Agent(own)], true),
            (vec![Recipient::Agent([7; 16]), Recipient::Group("room2".into())], true),
            (vec![Recipient::Agent([7; 16])], false),
            (vec![Recipient::Group("room3".into())], false),
        ] {
            let counter = now_ms() ^ to.len() as u64 ^ u64::from(ours) << 60;
            let verdict = office.judge(Order { to: to.clone(), counter, ..office.order() });
            assert_eq!(matches!(verdict, Verdict::Obey(_)), ours, "{to:?}: {verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Pass), !ours, "{to:?}: {verdict:?}");
        }
    }

    #[test]
    fn what_is_forged_changed_or_of_another_time_is_not_obeyed() {
        let office = Office::new();
        let stranger = SecretKey::generate();
        let forged = Signed::new(office.order(), |bytes| stranger.sign(bytes));
        assert!(matches!(office.judge_signed(&forged), Verdict::Ignore(_)));
        let by_stranger = Order { by: stranger.public().id(), ..office.order() };
        let verdict = office.judge_signed(&Signed::new(by_stranger, |bytes| stranger.sign(bytes)));
        assert!(matches!(verdict, Verdict::Refuse { stale: false, .. }), "{verdict:?}");
        for time_ms in [now_ms() - 60_000, now_ms() + 60_000] {
            let verdict = office.judge(Order { time_ms, ..office.order() });
            assert!(matches!(verdict, Verdict::Refuse { stale: true, .. }), "{verdict:?}");
        }
        // Each bit of it is signed: with any one changed it is not obeyed.
        let signed = Signed::new(office.order(), |bytes| office.operator.sign(bytes));
        let packet = Message::Signed(signed.clone()).packet();
        for bit in 0..packet.payload.len() * 8 {
            let mut payload = packet.payload.to_vec();
            payload[bit / 8] ^= 1 << (bit % 8);
            let packet = hightower_proto::message::Packet { payload: payload.into(), ..packet };
            if let Ok(Message::Signed(changed)) = Message::parse(&packet) {
                assert!(!matches!(office.judge_signed(&changed), Verdict::Obey(_)), "bit {bit}");
            }
        }
        assert!(matches!(office.judge_signed(&signed), Verdict::Obey(_)));
    }
}
