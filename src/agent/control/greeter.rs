//! Greeter: answers who asks who is there.
//!
//! Anybody may ask, and is told what a machine is called and by what key it is known. Who sits
//! there, and whether they are watched, is told in this way only where anybody may watch: others
//! come in and see. A query comes several times
//! over, by every way that it may take, and is answered once. Answers are few and short, so that
//! nobody can use them to flood a third machine.

use super::udp::Route;
use super::voice::Voice;
use crate::agent::broadcaster::Broadcaster;
use crate::agent::messages::AskState;
use crate::rates::{Bucket, Rates};
use actix::prelude::*;
use hightower_proto::Command;
use hightower_proto::message::{About, Presence, Query, Reply};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Queries that may wait to be answered.
const WAITING: usize = 64;

/// Answers a second to one address over a while, and at once.
const TO_ONE: (f64, f64) = (4.0, 8.0);

/// The same to all together.
const TO_ALL: (f64, f64) = (50.0, 100.0);

/// Queries that are remembered, so that none is answered twice.
const REMEMBERED: usize = 256;

/// The longest text in an answer, in bytes.
const TEXT: usize = 60;

/// What a machine says of itself.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Card {
    pub(in crate::agent) host: String,
    user: String,
    pub(in crate::agent) key: Option<String>,
}

impl Card {
    pub(in crate::agent) fn new(host: &str, user: &str, key: Option<String>) -> Self {
        Self { host: short(host), user: short(user), key }
    }
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

/// Answers queries.
pub(super) struct Greeter {
    /// `None` for an agent that keeps silent.
    card: Option<Card>,
    answers: mpsc::Sender<Asked>,
    seen: VecDeque<(SocketAddr, u32)>,
    rates: Rates,
    all: Bucket,
}

/// A query that is to be answered.
struct Asked {
    presence: Presence,
    /// The user, where it is to be said how the machine is used.
    user: Option<String>,
    route: Route,
    /// The longest answer, in bytes.
    room: usize,
}

impl Greeter {
    /// One that answers by this voice, and what has to run for it.
    pub(super) fn new(
        card: Option<Card>,
        voice: Voice,
        broadcaster: Addr<Broadcaster>,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let (answers, asked) = mpsc::channel(WAITING);
        let greeter = Self {
            card,
            answers,
            seen: VecDeque::with_capacity(REMEMBERED),
            rates: Rates::new(TO_ONE.0, TO_ONE.1),
            all: Bucket::new(TO_ALL.0, TO_ALL.1),
        };
        (greeter, answer(asked, voice, broadcaster))
    }

    /// Whether anybody is answered at all.
    pub(super) fn is_silent(&self) -> bool {
        self.card.is_none()
    }

    /// Has a query answered, which came in a datagram of so many bytes. `about` says how the
    /// machine is used.
    pub(super) fn greet(&mut self, query: Query, length: usize, about: bool, route: Route) {
        let Some(card) = &self.card else { return };
        let (peer, now) = (route.peer, Instant::now());
        let one = (peer, query.nonce);
        if self.seen.contains(&one) {
            return;
        }
        let is_turn = self.rates.take(peer.ip(), now, Duration::ZERO).is_some()
            && self.all.take(now, Duration::ZERO).is_some();
        if !is_turn {
            return tracing::debug!(%peer, "a query is not answered: there are too many");
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(one);
        let Card { host, user, key } = card.clone();
        let presence = Presence { nonce: query.nonce, host, key, about: None };
        let (user, room) = (about.then_some(user), length * Query::ANSWER);
        if self.answers.try_send(Asked { presence, user, route, room }).is_err() {
            tracing::debug!(%peer, "a query is not answered: too many wait");
        }
    }
}

async fn answer(mut asked: mpsc::Receiver<Asked>, voice: Voice, broadcaster: Addr<Broadcaster>) {
    while let Some(Asked { mut presence, user, route, room }) = asked.recv().await {
        if let Some(user) = user {
            let Ok(state) = broadcaster.send(AskState).await else { return };
            let watched = state.monitoring && state.viewers > 0;
            presence.about = Some(About { user, watched, locked: state.lock_ms.is_some() });
        }
        let reply = Reply { presence: Some(presence), ..Reply::obeyed(Command::Query.code()) };
        voice.answer_query(route, reply, room);
    }
}
