//! Crowd: those who are not known yet, so many and no more.

use crate::rates::network;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use tokio::task::AbortHandle;
use tracing::Span;

/// Of the address that has the most, one part in so many makes room at a time, the oldest first:
/// whoever floods pays for the search of itself.
const PART: usize = 8;

/// Connections that somebody works for.
pub(crate) struct Crowd {
    limit: usize,
    count: usize,
    by_address: HashMap<IpAddr, VecDeque<(Waiting, AbortHandle)>>,
}

/// Somebody in a crowd, and of what the lines of a log are that tell of them.
pub(crate) type Waiting = (SocketAddr, Span);

impl Crowd {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, count: 0, by_address: HashMap::new() }
    }

    /// Adds one. When there is no room, the oldest of the address that has the most go; they are
    /// given back.
    pub(crate) fn enter(&mut self, who: Waiting, work: AbortHandle) -> Vec<Waiting> {
        if self.count >= self.limit {
            self.forget_finished();
        }
        let gone = if self.count >= self.limit { self.make_room() } else { Vec::new() };
        self.by_address.entry(network(who.0.ip())).or_default().push_back((who, work));
        self.count += 1;
        gone
    }

    fn forget_finished(&mut self) {
        self.by_address.retain(|_, those| {
            those.retain(|(_, work)| !work.is_finished());
            !those.is_empty()
        });
        self.count = self.by_address.values().map(VecDeque::len).sum();
    }

    fn make_room(&mut self) -> Vec<Waiting> {
        let Some(those) = self.by_address.values_mut().max_by_key(|those| those.len()) else {
            return Vec::new();
        };
        let some = (those.len() / PART).max(1).min(those.len());
        self.count -= some;
        those
            .drain(..some)
            .map(|(who, work)| {
                work.abort();
                who
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn at(host: u8, port: u16) -> Waiting {
        (([10, 0, 0, host], port).into(), Span::none())
    }

    #[tokio::test]
    async fn who_has_the_most_makes_room_the_oldest_first() {
        let mut crowd = Crowd::new(20);
        let wait = || tokio::spawn(pending::<()>()).abort_handle();
        let (mine, done) = (wait(), tokio::spawn(async {}));
        let handle = done.abort_handle();
        done.await.expect("it ends at once");
        assert!(crowd.enter(at(1, 1), mine.clone()).is_empty());
        assert!(crowd.enter(at(1, 2), handle).is_empty());
        for port in 0..18 {
            assert!(crowd.enter(at(2, port), wait()).is_empty());
        }
        // Who has ended makes room first.
        assert!(crowd.enter(at(2, 18), wait()).is_empty());
        let gone = crowd.enter(at(3, 1), wait()).into_iter().map(|(peer, _)| peer);
        assert!(gone.eq([at(2, 0).0, at(2, 1).0]));
        for port in 0..1000 {
            crowd.enter(at(2, port), wait());
            assert!(crowd.count <= 20, "{}", crowd.count);
        }
        tokio::task::yield_now().await;
        assert!(!mine.is_finished(), "who floods drives nobody out but itself");
    }
}
