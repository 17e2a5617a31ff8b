//! Browser: hears by DNS-SD which agents are announced, and knows whose turn it is to be asked.

use super::SERVICE;
use super::listing::{Word, rank};
use hightower_proto::message::Presence;
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::ops::Bound;

/// Announcements that are remembered until they are withdrawn.
const ANNOUNCED: usize = 4096;

/// Where one that is announced is asked for itself, and how many are so in a round: whoever
/// announces machines that are not there has them asked no more than that.
const TRIED: usize = 4;
const ASKED: usize = 512;

/// Hears announcements.
pub(super) struct Browser {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    announced: Announced,
}

/// What is announced.
#[derive(Default)]
struct Announced {
    /// Where it is, by its name there.
    places: BTreeMap<String, Vec<SocketAddr>>,
    /// The last that was asked in its turn.
    turn: String,
}

/// What was said of an agent.
pub(super) enum News {
    Here(Word),
    /// It is withdrawn; where it was.
    Gone(Vec<SocketAddr>),
}

impl Browser {
    pub(super) fn open() -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        let events = daemon.browse(SERVICE)?;
        Ok(Self { daemon, events, announced: Announced::default() })
    }

    /// What is said next.
    pub(super) async fn event(&self) -> ServiceEvent {
        match self.events.recv_async().await {
            Ok(event) => event,
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes in what was said; `None` where that is nothing new.
    pub(super) fn take(&mut self, event: ServiceEvent) -> Option<News> {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let (host, from) = (host(&service), addresses(&service));
                self.announced.add(service.fullname.clone(), from.clone());
                let key = service.get_property_val_str("key").unwrap_or_default();
                let key = (!key.is_empty()).then(|| key.to_owned());
                let presence = Presence { nonce: 0, host, key, about: None };
                Some(News::Here(Word { presence, from, announced: true, historical: false }))
            }
            ServiceEvent::ServiceRemoved(_, name) => {
                self.announced.places.remove(&name).map(News::Gone)
            }
            _ => None,
        }
    }

    /// Where those are asked that were not heard, as many as there may be in a round.
    pub(super) fn due(&mut self, heard: &HashSet<SocketAddr>) -> Vec<SocketAddr> {
        self.announced.due(heard)
    }
}

impl Announced {
    fn add(&mut self, name: String, at: Vec<SocketAddr>) {
        if self.places.len() < ANNOUNCED {
            self.places.insert(name, at);
        }
    }

    fn due(&mut self, heard: &HashSet<SocketAddr>) -> Vec<SocketAddr> {
        let turn = self.turn.clone();
        let after = (Bound::Excluded(turn.as_str()), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(turn.as_str()));
        let all = self.places.range::<str, _>(after);
        let all = all.chain(self.places.range::<str, _>(before));
        let mut due = Vec::new();
        for (name, addresses) in all {
            if addresses.iter().any(|address| heard.contains(address)) {
                continue;
            }
            if due.len() + TRIED > ASKED {
                break;
            }
            due.extend(addresses.iter().copied().take(TRIED));
            self.turn.clone_from(name);
        }
        due
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        drop(self.daemon.shutdown());
    }
}

/// The machine's name, which is the instance's, without the port that one at another port adds.
fn host(service: &ResolvedService) -> String {
    let name = service.fullname.strip_suffix(&service.ty_domain).unwrap_or(&service.fullname);
    let name = name.strip_suffix('.').unwrap_or(name).replace('\\', "");
    let own = format!(" ({})", service.port);
    name.strip_suffix(&own).unwrap_or(&name).to_owned()
}

fn addresses(service: &ResolvedService) -> Vec<SocketAddr> {
    let address = |ip: &mdns_sd::ScopedIp| match ip {
        mdns_sd::ScopedIp::V6(v6) => {
            // As the system writes who has sent a datagram.
            let scope = if v6.addr().is_unicast_link_local() { v6.scope_id().index } else { 0 };
            SocketAddrV6::new(*v6.addr(), service.port, 0, scope).into()
        }
        other => SocketAddr::new(other.to_ip_addr(), service.port),
    };
    let outside = |address: &SocketAddr| {
        // What leads to this machine itself is nobody's announcement.
        let ip = address.ip().to_canonical();
        !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip == Ipv4Addr::BROADCAST)
    };
    let mut all: Vec<_> = service.addresses.iter().map(address).filter(outside).collect();
    all.sort_by_key(|address| (rank(address), *address));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_that_is_announced_has_its_turn_and_who_was_heard_needs_none() {
        let mut announced = Announced::default();
        let at = |n: u32, port| SocketAddr::from((Ipv4Addr::from(n), port));
        for n in 0..1000 {
            let addresses = (0..6).map(|port| at(n, 4000 + port)).collect();
            announced.add(format!("{n:04}"), addresses);
        }
        let heard = HashSet::from([at(0, 4001)]);
        let mut asked = HashSet::new();
        // Each round has room for 128 machines.
        for _ in 0..8 {
            let due = announced.due(&heard);
            assert!(due.len() <= ASKED);
            asked.extend(due);
        }
        assert_eq!(asked.len(), 999 * TRIED);
        assert!(!asked.contains(&at(0, 4000)) && !asked.contains(&at(1, 4004)));
    }
}
