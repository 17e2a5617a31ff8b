//! Turns: what waits for its signature to be checked, in fair order.
//!
//! A check takes a hundred times as long as a datagram takes to come in. So whoever sends takes
//! turns: first the addresses, then the ports of each, with a few datagrams each. Who floods pushes
//! out what they sent themselves, and delays others by one check.

use crate::rates::network;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// All that may wait: three megabytes at worst.
const MOST: usize = 1024;

/// What may wait from one port: more than anybody gives at once who is obeyed at once.
const FROM_PORT: usize = 16;

/// A queue for each sender, with turns between them.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// The next one first; none is empty.
    hosts: VecDeque<Host<T>>,
    waiting: usize,
}

#[derive(Debug)]
struct Host<T> {
    ip: IpAddr,
    /// The next one first; none is empty.
    ports: VecDeque<(u16, VecDeque<T>)>,
    waiting: usize,
}

impl<T> Turns<T> {
    pub(super) fn new() -> Self {
        Self { hosts: VecDeque::new(), waiting: 0 }
    }

    /// Something to wait for its turn. When there is no room, the oldest goes of the port that has
    /// the most, of the address that has the most.
    pub(super) fn push(&mut self, peer: SocketAddr, thing: T) {
        let ip = network(peer.ip());
        let at = self.hosts.iter().position(|host| host.ip == ip).unwrap_or_else(|| {
            self.hosts.push_back(Host { ip, ports: VecDeque::new(), waiting: 0 });
            self.hosts.len() - 1
        });
        let host = &mut self.hosts[at];
        let at =
            host.ports.iter().position(|(port, _)| *port == peer.port()).unwrap_or_else(|| {
                host.ports.push_back((peer.port(), VecDeque::new()));
                host.ports.len() - 1
            });
        let queue = &mut host.ports[at].1;
        queue.push_back(thing);
        if queue.len() > FROM_PORT {
            queue.pop_front();
            return;
        }
        host.waiting += 1;
        self.waiting += 1;
        if self.waiting > MOST {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        let sizes = self.hosts.iter().enumerate().map(|(at, host)| (host.waiting, at));
        let Some((_, crowd)) = sizes.max() else { return };
        let host = &mut self.hosts[crowd];
        let sizes = host.ports.iter().enumerate().map(|(at, (_, queue))| (queue.len(), at));
        let Some((_, busiest)) = sizes.max() else { return };
        let queue = &mut host.ports[busiest].1;
        queue.pop_front();
        if queue.is_empty() {
            host.ports.remove(busiest);
        }
        host.waiting -= 1;
        self.waiting -= 1;
        if host.ports.is_empty() {
            self.hosts.remove(crowd);
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<T> {
        let mut host = self.hosts.pop_front()?;
        let (port, mut queue) = host.ports.pop_front()?;
        let thing = queue.pop_front();
        if !queue.is_empty() {
            host.ports.push_back((port, queue));
        }
        host.waiting -= 1;
        self.waiting -= 1;
        if !host.ports.is_empty() {
            self.hosts.push_back(host);
        }
        thing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        ([10, 0, 0, host], port).into()
    }

    #[test]
    fn who_floods_delays_nobody_else() {
        let mut turns = Turns::new();
        for i in 0..100_000u32 {
            turns.push(peer(1, (i % 7) as u16), i);
        }
        // Another port of the same machine waits for one of each, another machine for one.
        turns.push(peer(1, 1000), 1);
        turns.push(peer(2, 1000), 2);
        let first: Vec<u32> = std::iter::from_fn(|| turns.next()).take(10).collect();
        assert_eq!(first[1], 2, "{first:?}");
        assert_eq!(first.iter().position(|i| *i == 1), Some(8), "{first:?}");
        // Of each the newest are there, the older first.
        assert_eq!(first[0], 99_995 - 15 * 7);
    }

    #[test]
    fn one_machine_of_many_ports_pushes_nobody_out() {
        let mut turns = Turns::new();
        turns.push(peer(2, 1), 2);
        for i in 0..200_000u32 {
            turns.push(peer(1, (i % 50_000) as u16), 1);
        }
        assert_eq!(turns.waiting, MOST);
        turns.push(peer(3, 1), 3);
        assert_eq!(turns.waiting, MOST);
        let first: Vec<u32> = std::iter::from_fn(|| turns.next()).take(3).collect();
        assert_eq!(first, [2, 1, 3]);
    }

    #[test]
    fn what_waits_is_bounded_and_all_of_it_comes() {
        let mut turns = Turns::new();
        for i in 0..100_000u32 {
            let [_, a, b, c] = i.wrapping_mul(2_654_435_761).to_be_bytes();
            turns.push(SocketAddr::from(([10, a, b, c], 1)), i);
            assert!(turns.waiting <= MOST && turns.hosts.len() <= MOST);
        }
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), MOST);
        assert!(turns.waiting == 0 && turns.hosts.is_empty());
    }
}
