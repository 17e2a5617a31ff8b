//! Orders to a room: one signed datagram, by multicast, for every agent that hears it or for those
//! of some groups.
//!
//! It is sent on every network that this machine is on, a few times over, and signed anew each
//! time, since no agent obeys the same bytes twice. Who answers is told from strangers by the keys
//! of the agents that are known.

use super::OrderError;
use super::attempt::{Answered, Attempt, Signer};
use crate::address::Target;
use crate::multicast::Multicast;
use crate::text::printable;
use crate::trust::{KnownAgent, PublicKey, now_ms};
use crate::viewer::Credentials;
use crate::wire::wires;
use bytes::Bytes;
use hightower_proto::Message;
use hightower_proto::message::{Answer, KeyId, Recipient, Reply, Signed};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// When the order is sent, counted from the first time.
const ROUNDS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1400),
];

/// When the last answer may come.
const END: Duration = Duration::from_millis(2800);

/// Rounds that there are at least: somebody who is not known may have missed the first.
const AT_LEAST: usize = 2;

/// Agents that are not known and are told apart; more are not counted.
const STRANGERS: usize = 4096;

/// How often an order is signed anew for an agent whose clock is wrong.
const ANEW: u32 = 4;

/// Whom an order is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// Every agent that hears it.
    All,
    /// The agents of these groups, of which an order names
    /// [`hightower_proto::limits::MAX_RECIPIENTS`] at most.
    Groups(Vec<String>),
}

impl Room {
    fn recipients(&self) -> Vec<Recipient> {
        match self {
            Self::All => Vec::new(),
            Self::Groups(names) => names.iter().cloned().map(Recipient::Group).collect(),
        }
    }
}

/// What became of an order to a room.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Known agents that have obeyed.
    pub obeyed: usize,
    /// Known agents that have refused.
    pub refused: usize,
    /// Known agents that should have answered and did not, and machines that could not be asked. To
    /// whom a group belongs is known to its agents alone, so none is missed there.
    pub silent: usize,
    /// From where agents have answered that are not known, or claim to be agents.
    pub strangers: Vec<IpAddr>,
}

impl Tally {
    /// Whether somebody has obeyed, and nobody who should have has not.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.obeyed > 0 && self.refused == 0 && self.silent == 0
    }
}

/// A known agent, and what it has said.
struct Member<'a> {
    name: String,
    key: PublicKey,
    /// Whether it should answer.
    is_missed: bool,
    /// Whether it is called alone as well, by who counts what comes of it.
    is_called: bool,
    outcome: Option<Result<Reply, OrderError>>,
    /// The order, signed by its own clock.
    alone: Option<Attempt<'a>>,
    anew: u32,
}

/// Gives an order to a room, and waits for three seconds at most for who answers. `tell` is told of
/// each known agent: as soon as it has obeyed, or at the end. Of those that are called alone as well
/// it is told only that they have obeyed, and they are not counted.
///
/// # Errors
/// When nothing could be sent, or the known agents can't be read.
pub async fn send(
    room: &Room,
    port: u16,
    order: &Message,
    credentials: &Credentials,
    called: &HashSet<PublicKey>,
    mut tell: impl FnMut(&PublicKey, &str, &Result<Reply, OrderError>),
) -> Result<Tally, OrderError> {
    let known = credentials.known().clone();
    let look = move || Ok::<_, OrderError>((known.list()?, wires().map_err(OrderError::Room)?));
    let asked = tokio::task::spawn_blocking(look);
    let (known, wires) = match asked.await {
        Ok(found) => found?,
        Err(e) => return Err(OrderError::Room(io::Error::other(e))),
    };
    let members = members(known, port, *room == Room::All, called);
    let mut call = Call::new(order, credentials, members);
    let multicast = Multicast::open(port, wires).map_err(OrderError::Room)?;
    let start = Instant::now();
    let ends = ROUNDS[1..].iter().chain([&END]);
    for (round, end) in (1..).zip(ends) {
        let sent = multicast.send(|| call.signer.sign(room.recipients(), now_ms())).await;
        // A network that goes away later has had its answers.
        if round == 1 {
            sent.map_err(OrderError::Room)?;
        }
        while let Some((peer, message)) = multicast.receive(start + *end).await {
            let Message::SignedReply(answer) = message else { continue };
            if let Some(bytes) = call.hear(&answer, peer, &mut tell) {
                multicast.send_to(peer, &bytes).await;
            }
        }
        if round >= AT_LEAST && *room == Room::All && call.is_over() {
            break;
        }
    }
    Ok(call.finish(tell))
}

fn members<'a>(
    known: Vec<KnownAgent>,
    port: u16,
    all: bool,
    called: &HashSet<PublicKey>,
) -> Vec<Member<'a>> {
    let here = |name: &String| name.parse().is_ok_and(|target: Target| target.port == port);
    let member = |mut agent: KnownAgent| {
        // By the name that it has at this port; who is known at others alone may not hear this.
        let at = agent.names.iter().position(here);
        let name = printable(&agent.names.swap_remove(at.unwrap_or(0)));
        let (is_missed, key) = (all && at.is_some(), agent.key);
        let is_called = called.contains(&key);
        Member { name, key, is_missed, is_called, outcome: None, alone: None, anew: 0 }
    };
    known.into_iter().map(member).collect()
}

/// An order to a room on its way.
struct Call<'a> {
    signer: Signer<'a>,
    order: &'a Message,
    credentials: &'a Credentials,
    members: Vec<Member<'a>>,
    by_id: HashMap<KeyId, usize>,
    strangers: HashMap<KeyId, IpAddr>,
}

impl<'a> Call<'a> {
    fn new(order: &'a Message, credentials: &'a Credentials, members: Vec<Member<'a>>) -> Self {
        let signer = Signer::new(credentials.key(), order);
        let ids = members.iter().enumerate().map(|(at, member)| (member.key.id(), at));
        let (by_id, strangers) = (ids.collect(), HashMap::new());
        Self { signer, order, credentials, members, by_id, strangers }
    }

    /// Takes an answer; gives what is to be sent to that agent alone.
    fn hear(
        &mut self,
        answer: &Signed<Answer>,
        peer: SocketAddr,
        tell: &mut impl FnMut(&PublicKey, &str, &Result<Reply, OrderError>),
    ) -> Option<Bytes> {
        let claimed = answer.unchecked();
        let to_all = self.signer.is_answered_by(claimed);
        let Some(member) = self.by_id.get(&claimed.from).map(|&at| &mut self.members[at]) else {
            // Nobody can say who it is, but that somebody is there is worth a word.
            if to_all && self.strangers.len() < STRANGERS {
                self.strangers.entry(claimed.from).or_insert(peer.ip().to_canonical());
            }
            return None;
        };
        if matches!(member.outcome, Some(Ok(_))) {
            return None;
        }
        let (reply, stale) = if to_all {
            let key = member.key;
            let answer = answer.check(|bytes, signature| key.has_signed(bytes, signature))?;
            (answer.reply.clone(), answer.stale.then_some(answer.clock_ms))
        } else {
            match member.alone.as_mut()?.judge(answer)? {
                Answered::Reply(reply) => (reply, None),
                Answered::SignAnew => return None,
            }
        };
        let outcome = if reply.ok { Ok(reply) } else { Err(OrderError::denied(&reply)) };
        if outcome.is_ok() {
            tell(&member.key, &member.name, &outcome);
        }
        member.outcome = Some(outcome);
        let clock_ms = stale.filter(|_| member.anew < ANEW)?;
        member.anew += 1;
        let new = || Attempt::new(self.credentials.key(), member.key, self.order);
        let alone = member.alone.get_or_insert_with(new);
        alone.follow_clock(clock_ms);
        Some(alone.sign())
    }

    /// Whether all who should answer have obeyed, and there are some.
    fn is_over(&self) -> bool {
        let mut missed = self.members.iter().filter(|member| member.is_missed).peekable();
        missed.peek().is_some() && missed.all(|member| matches!(member.outcome, Some(Ok(_))))
    }

    fn finish(self, mut tell: impl FnMut(&PublicKey, &str, &Result<Reply, OrderError>)) -> Tally {
        let mut tally = Tally::default();
        for member in self.members.into_iter().filter(|member| !member.is_called) {
            match member.outcome {
                Some(Ok(_)) => tally.obeyed += 1,
                Some(refusal) => {
                    tally.refused += 1;
                    tell(&member.key, &member.name, &refusal);
                }
                None if member.is_missed => {
                    tally.silent += 1;
                    tell(&member.key, &member.name, &Err(OrderError::Missed));
                }
                None => {}
            }
        }
        tally.strangers = self.strangers.into_values().collect();
        tally.strangers.sort_unstable();
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{KnownAgents, SecretKey};
    use hightower_proto::datagram;
    use hightower_proto::message::Order;

    /// An operator, and agents that answer.
    struct Bench {
        credentials: Credentials,
        known: Vec<KnownAgent>,
        agents: Vec<SecretKey>,
    }

    /// Agents that are known by these names, and one that is not.
    fn bench(names: &[&str]) -> Bench {
        let known = KnownAgents::at("nowhere".into());
        let credentials = Credentials::new(&SecretKey::generate(), known, false).expect("a key");
        let agents: Vec<_> = (0..=names.len()).map(|_| SecretKey::generate()).collect();
        let known = names
            .iter()
            .zip(&agents)
            .map(|(name, key)| KnownAgent { names: vec![(*name).into()], key: key.public() });
        Bench { known: known.collect(), credentials, agents }
    }

    fn order_of(bytes: &[u8]) -> Order {
        match datagram::parse(bytes).expect("a datagram").message {
            Message::Signed(signed) => signed.unchecked().clone(),
            other => panic!("{other:?}"),
        }
    }

    fn answer(agent: &SecretKey, order: &Order, ok: bool, stale: bool) -> Signed<Answer> {
        let &Order { by, time_ms, counter, .. } = order;
        let reply = if ok { Reply::obeyed(0) } else { Reply::refused(0, "no") };
        let (from, clock_ms) = (agent.public().id(), now_ms() + 3_600_000);
        let answer = Answer { from, by, time_ms, counter, clock_ms, stale, reply };
        Signed::new(answer, |bytes| agent.sign(bytes))
    }

    const PEER: [u8; 4] = [10, 0, 0, 9];

    #[test]
    fn each_known_agent_counts_once_and_strangers_are_counted() {
        let bench = bench(&["lab-01", "lab-02", "lab-03:99"]);
        let members = members(bench.known, 18516, true, &HashSet::new());
        let mut call = Call::new(&Message::StartMonitor, &bench.credentials, members);
        let mut told = Vec::new();
        let mut tell = |_: &PublicKey, name: &str, outcome: &Result<Reply, OrderError>| {
            told.push((name.to_owned(), outcome.is_ok()));
        };
        let [first, second] = [(); 2].map(|()| order_of(&call.signer.sign(vec![], now_ms())));
        let peer = (PEER, 18516).into();
        let [one, two, three, stranger] = &bench.agents[..] else { panic!() };
        for order in [&first, &second, &second] {
            assert_eq!(call.hear(&answer(one, order, true, false), peer, &mut tell), None);
            assert_eq!(call.hear(&answer(stranger, order, true, false), peer, &mut tell), None);
        }
        assert!(!call.is_over());
        // Refused, and obeyed when it came again.
        call.hear(&answer(two, &first, false, false), peer, &mut tell);
        assert!(!call.is_over());
        call.hear(&answer(two, &second, true, false), peer, &mut tell);
        assert!(call.is_over(), "who is known at another port is not waited for");
        // What is another's, or to another order, counts for nobody.
        let forged = Signed::new(answer(three, &first, true, false).unchecked().clone(), |bytes| {
            stranger.sign(bytes)
        });
        call.hear(&forged, peer, &mut tell);
        let other = Order { counter: first.counter ^ 1, ..first.clone() };
        call.hear(&answer(three, &other, true, false), peer, &mut tell);
        call.hear(&answer(&SecretKey::generate(), &other, true, false), peer, &mut tell);
        let tally = call.finish(&mut tell);
        assert_eq!((tally.obeyed, tally.refused, tally.silent), (2, 0, 0));
        assert_eq!(tally.strangers, [IpAddr::from(PEER)]);
        assert!(tally.is_success());
        assert_eq!(told, [("lab-01".to_owned(), true), ("lab-02".to_owned(), true)]);
    }

    #[test]
    fn an_agent_whose_clock_is_wrong_is_given_the_order_by_its_own() {
        let bench = bench(&["lab-01", "lab-02"]);
        let members = members(bench.known, 18516, true, &HashSet::new());
        let mut call = Call::new(&Message::StartMonitor, &bench.credentials, members);
        let mut tell = |_: &PublicKey, _: &str, _: &Result<Reply, OrderError>| {};
        let peer = (PEER, 18516).into();
        let order = order_of(&call.signer.sign(vec![], now_ms()));
        let [one, two, _] = &bench.agents[..] else { panic!() };
        let stale = answer(one, &order, false, true);
        let anew = call.hear(&stale, peer, &mut tell).expect("signed anew");
        let anew = order_of(&anew);
        assert_eq!(anew.to, [Recipient::Agent(one.public().id())]);
        assert!(anew.time_ms.abs_diff(now_ms() + 3_600_000) < 60_000);
        // Not without end.
        call.hear(&answer(two, &order, false, true), peer, &mut tell).expect("signed anew");
        let more = (0..20).filter(|_| call.hear(&stale, peer, &mut tell).is_some()).count();
        assert!(more < 10, "{more}");
        call.hear(&answer(one, &anew, true, false), peer, &mut tell);
        let tally = call.finish(&mut tell);
        assert_eq!((tally.obeyed, tally.refused, tally.silent), (1, 1, 0));
    }

    #[test]
    fn who_is_called_alone_as_well_is_waited_for_and_counted_by_who_calls() {
        let bench = bench(&["lab-01", "lab-02"]);
        let [one, two, _] = &bench.agents[..] else { panic!() };
        let called = HashSet::from([one.public(), two.public()]);
        let members = members(bench.known, 18516, true, &called);
        let mut call = Call::new(&Message::StartMonitor, &bench.credentials, members);
        let mut told = Vec::new();
        let mut tell = |key: &PublicKey, _: &str, outcome: &Result<Reply, OrderError>| {
            told.push((*key, outcome.is_ok()));
        };
        let (order, peer) = (order_of(&call.signer.sign(vec![], now_ms())), (PEER, 18516).into());
        call.hear(&answer(one, &order, true, false), peer, &mut tell);
        assert!(!call.is_over());
        call.hear(&answer(two, &order, false, false), peer, &mut tell);
        assert_eq!(call.finish(&mut tell), Tally::default());
        assert_eq!(told, [(one.public(), true)]);
    }
}
