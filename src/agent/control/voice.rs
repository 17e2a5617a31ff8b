//! Voice: what is answered.
//!
//! An order to a room is answered by all who are in it. Each waits a random while, so that they
//! don't all speak at once.

use super::case::Sender;
use super::udp::{Route, Udp};
use bytes::Bytes;
use hightower_proto::message::Reply;
use hightower_proto::{Message, datagram};
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long an answer to an order to many waits at most.
const SPREAD: Duration = Duration::from_millis(100);

/// Answers that wait; what comes beyond is sent at once.
const WAITING: usize = 256;

/// Sends answers.
#[derive(Clone)]
pub(super) struct Voice {
    udp: Arc<Udp>,
    later: mpsc::Sender<(Instant, Route, Bytes)>,
}

impl Voice {
    /// One that speaks by this socket, and what has to run for it.
    pub(super) fn new(udp: Arc<Udp>) -> (Self, impl Future<Output = ()> + use<>) {
        let (later, mut waiting) = mpsc::channel::<(Instant, Route, Bytes)>(WAITING);
        let mouth = Arc::clone(&udp);
        let saying = async move {
            // One may stand behind another, but none for longer than the longest wait.
            while let Some((due, route, bytes)) = waiting.recv().await {
                sleep_until(due).await;
                send(&mouth, route, &bytes);
            }
        };
        (Self { udp, later }, saying)
    }

    /// Answers a command, if somebody listens.
    pub(super) fn say(&self, sender: &Sender, reply: Reply, stale: bool) {
        if !sender.listens {
            return;
        }
        let route = sender.route;
        let bytes = match datagram::encode(&sender.answer(reply, stale)) {
            Ok(bytes) => bytes,
            Err(e) => return tracing::debug!(peer = %route.peer, "an answer is too long: {e}"),
        };
        if sender.is_one_of_many() {
            self.later(route, bytes)
        } else {
            send(&self.udp, route, &bytes)
        }
    }

    /// Answers who asks who is there, as many others do too. The answer is not longer than there is
    /// room for, or is not given.
    pub(super) fn answer_query(&self, route: Route, reply: Reply, room: usize) {
        match datagram::encode(&Message::Reply(reply)) {
            Ok(bytes) if bytes.len() <= room => self.later(route, bytes),
            Ok(_) => {
                tracing::debug!(peer = %route.peer, "a query is shorter than its answer may be")
            }
            Err(e) => tracing::debug!(peer = %route.peer, "an answer is too long: {e}"),
        }
    }

    /// Sends an answer after a random while.
    fn later(&self, route: Route, bytes: Bytes) {
        let chance = RandomState::new().build_hasher().finish();
        let due = Instant::now() + SPREAD.mul_f64((chance >> 32) as f64 / f64::from(u32::MAX));
        if let Err(e) = self.later.try_send((due, route, bytes)) {
            let (_, route, bytes) = e.into_inner();
            send(&self.udp, route, &bytes);
        }
    }
}

fn send(udp: &Udp, route: Route, bytes: &[u8]) {
    if let Err(e) = udp.answer(route, bytes) {
        tracing::debug!(peer = %route.peer, "the answer could not be sent: {e}");
    }
}
