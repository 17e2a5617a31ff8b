//! Listing: the agents that were found, each once, however it was found.

use crate::text::printable;
use hightower_proto::historical::FORGOTTEN_S;
use hightower_proto::message::{About, Presence};
use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Agents that are listed at most: whoever floods the network costs no more memory.
const MOST: usize = 4096;

/// After so long without a beacon a server of the historical system is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(FORGOTTEN_S);

/// Addresses of one that are kept.
const ADDRESSES: usize = 16;

/// An agent that says that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What the machine calls itself; printable.
    pub host: String,
    /// Where it was heard, the best address first.
    pub addresses: Vec<SocketAddr>,
    /// The fingerprint of its key, as it says; printable.
    pub key: Option<String>,
    /// What the operator knows it as, if the key is known and was proven.
    pub known: Option<String>,
    /// How the machine is used, where it says so; printable.
    pub about: Option<About>,
    /// When it was heard last.
    heard: Instant,
    /// Whether it was found by DNS-SD, which says so when it is withdrawn.
    announced: bool,
    /// Whether it is a server of the historical system, heard by its beacon.
    pub historical: bool,
}

/// What was heard of an agent.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) presence: Presence,
    pub(super) from: Vec<SocketAddr>,
    /// Whether it was heard by DNS-SD.
    pub(super) announced: bool,
    /// Whether it was a beacon of the historical system.
    pub(super) historical: bool,
}

/// What an agent has proven, by its key, where it is known by a name; and how its machine is used.
#[derive(Debug)]
pub struct Proven {
    /// The fingerprint of its key.
    pub key: String,
    /// Where it has proven it.
    pub at: SocketAddr,
    /// What the operator knows it as.
    pub name: String,
    /// What the machine calls itself.
    pub host: String,
    /// How the machine is used.
    pub about: About,
    /// When it said so.
    pub heard: Instant,
}

/// The agents that were found.
#[derive(Debug, Default)]
pub struct Listing {
    agents: Vec<Agent>,
}

impl Listing {
    /// Those that are there, by name and address.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Takes in what was heard; whether that changed anything that is shown.
    pub(super) fn hear(&mut self, word: Word, now: Instant) -> bool {
        let Word { presence, from, announced, historical } = word;
        if historical && self.has_agent_at(&from) {
            return false;
        }
        let Presence { host, key, about, .. } = presence;
        let about = about.map(|about| About { user: printable(&about.user), ..about });
        let (host, key) = (printable(&host), key.as_deref().map(printable));
        let same = |agent: &Agent| match (&agent.key, &key) {
            (Some(one), Some(other)) => one == other,
            // The name does not tell machines apart; an address does.
            _ => agent.addresses.iter().any(|address| from.contains(address)),
        };
        let Some(at) = self.agents.iter().position(same) else {
            if self.agents.len() >= MOST || from.is_empty() {
                return false;
            }
            if !historical {
                self.agents.retain(|agent| !(agent.historical && is_of(agent, &from)));
            }
            let addresses = Vec::new();
            let mut agent = Agent {
                host,
                addresses,
                key,
                known: None,
                about,
                heard: now,
                announced,
                historical,
            };
            agent.add(from);
            self.agents.push(agent);
            self.sort();
            return true;
        };
        let agent = &mut self.agents[at];
        agent.heard = now;
        if agent.known.is_some() {
            // What is proven is not undone by what anybody says.
            return false;
        }
        let before = agent.clone();
        agent.add(from);
        agent.announced |= announced;
        agent.host = host;
        agent.key = key.or(agent.key.take());
        agent.about = about.or(agent.about.take());
        let changed = Agent { heard: now, announced: agent.announced, ..before } != *agent;
        if changed {
            self.sort();
        }
        changed
    }

    /// Takes in what an agent has proven. Whether that changed anything.
    pub fn prove(&mut self, proven: Proven) -> bool {
        let Proven { key, at, name, host, about, heard } = proven;
        let Some(agent) = self.agents.iter_mut().find(|one| one.key.as_ref() == Some(&key)) else {
            return false;
        };
        let before = agent.clone();
        // Others may have claimed the key, at addresses of their own.
        agent.addresses = vec![at];
        agent.known = Some(printable(&name));
        agent.host = printable(&host);
        agent.about = Some(About { user: printable(&about.user), ..about });
        agent.heard = agent.heard.max(heard);
        let changed = Agent { heard: agent.heard, ..before } != *agent;
        self.sort();
        changed
    }

    /// An announcement was withdrawn, of the agent at these addresses.
    pub(super) fn withdraw(&mut self, from: &[SocketAddr]) -> bool {
        let before = self.agents.len();
        self.agents.retain(|agent| {
            !(agent.announced
                && agent.known.is_none()
                && agent.addresses.iter().any(|address| from.contains(address)))
        });
        self.agents.len() != before
    }

    /// Whether an agent is on a machine that has sent a beacon: it is shown as that alone.
    fn has_agent_at(&self, from: &[SocketAddr]) -> bool {
        self.agents.iter().any(|agent| !agent.historical && is_of(agent, from))
    }

    /// Where agents were heard since then.
    pub(super) fn heard_since(&self, then: Instant) -> HashSet<SocketAddr> {
        let heard = self.agents.iter().filter(|agent| agent.heard >= then);
        heard.flat_map(|agent| agent.addresses.iter().copied()).collect()
    }

    /// Forgets those that were not heard for so long, and servers of the historical system after
    /// their own time; whether there were any.
    pub fn forget(&mut self, silent: Duration, now: Instant) -> bool {
        let before = self.agents.len();
        self.agents.retain(|agent| {
            let silent = if agent.historical { FORGOTTEN } else { silent };
            now.saturating_duration_since(agent.heard) < silent
        });
        self.agents.len() != before
    }

    fn sort(&mut self) {
        self.agents.sort_by(|one, other| {
            let key = |agent: &Agent| (agent.host.to_lowercase(), agent.addresses.first().copied());
            key(one).cmp(&key(other))
        });
    }
}

impl Agent {
    fn add(&mut self, from: Vec<SocketAddr>) {
        let all: BTreeSet<(u8, SocketAddr)> =
            self.addresses.drain(..).chain(from).map(|address| (rank(&address), address)).collect();
        self.addresses = all.into_iter().map(|(_, address)| address).take(ADDRESSES).collect();
    }
}

/// Whether an agent is on the machine with one of these addresses.
fn is_of(agent: &Agent, from: &[SocketAddr]) -> bool {
    let ips = || from.iter().map(SocketAddr::ip);
    agent.addresses.iter().any(|address| ips().any(|ip| ip == address.ip()))
}

/// What is better to call: IPv4 is shorter to read, link-local addresses need a scope.
pub(super) fn rank(address: &SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(v4) if !v4.ip().is_link_local() => 0,
        SocketAddr::V6(v6) if !v6.ip().is_unicast_link_local() => 1,
        SocketAddr::V4(_) => 2,
        SocketAddr::V6(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(host: &str, from: &str, key: Option<&str>) -> Word {
        let (host, key) = (host.to_owned(), key.map(str::to_owned));
        let presence = Presence { nonce: 1, host, key, about: None };
        let from = vec![from.parse().expect("an address")];
        Word { presence, from, announced: false, historical: false }
    }

    #[test]
    fn an_agent_is_listed_once_however_it_is_found() {
        let (mut listing, now) = (Listing::default(), Instant::now());
        assert!(listing.hear(word("lab-2", "[fe80::1]:18516", Some("A")), now));
        assert!(listing.hear(word("lab-2", "[fd00::1]:18516", Some("A")), now));
        assert!(listing.hear(word("lab-2", "10.0.0.2:18516", Some("A")), now));
        assert!(!listing.hear(word("lab-2", "10.0.0.2:18516", Some("A")), now));
        // The same name, and the same address with another key, are other agents.
        assert!(listing.hear(word("lab-2", "10.0.0.3:18516", Some("B")), now));
        assert!(listing.hear(word("Lab-1", "10.0.0.2:18516", Some("C")), now));
        // Without a key, an address is who it is.
        assert!(listing.hear(word("lab-3", "10.0.0.4:18516", None), now));
        assert!(listing.hear(word("lab-3b", "10.0.0.4:18516", None), now));
        let listed: Vec<_> = listing
            .agents()
            .iter()
            .map(|agent| format!("{} {}", agent.host, agent.addresses[0]))
            .collect();
        assert_eq!(
            listed,
            [
                "Lab-1 10.0.0.2:18516",
                "lab-2 10.0.0.2:18516",
                "lab-2 10.0.0.3:18516",
                "lab-3b 10.0.0.4:18516"
            ]
        );
        assert_eq!(listing.agents()[1].addresses.len(), 3);
    }

    #[test]
    fn what_is_proven_stands_against_what_anybody_says() {
        let (mut listing, now) = (Listing::default(), Instant::now());
        let [own, other] = ["10.0.0.7:18516", "10.0.0.1:18516"].map(|at| at.parse().expect("one"));
        listing.hear(word("desk", "10.0.0.7:18516", Some("A")), now);
        // Somebody claims the key, before and after it is proven.
        listing.hear(word("other", "10.0.0.1:18516", Some("A")), now);
        assert_eq!(listing.agents()[0].addresses, [other, own]);
        let proven = |key: &str| Proven {
            key: key.into(),
            at: own,
            name: "lab-7".into(),
            host: "desk".into(),
            about: About { user: "anna\u{1b}[2J".into(), watched: true, locked: false },
            heard: now,
        };
        assert!(listing.prove(proven("A")));
        assert!(!listing.prove(proven("A")));
        assert!(!listing.prove(proven("B")));
        assert!(!listing.hear(word("other", "10.0.0.1:18516", Some("A")), now));
        let [agent] = listing.agents() else { panic!("{listing:?}") };
        assert_eq!((agent.host.as_str(), agent.known.as_deref()), ("desk", Some("lab-7")));
        assert_eq!(agent.addresses, [own]);
        let about = agent.about.as_ref().expect("told");
        assert_eq!(about.user, "anna\u{fffd}[2J", "nothing raw comes from a network");
    }

    #[test]
    fn who_is_silent_or_withdrawn_goes() {
        let (mut listing, now) = (Listing::default(), Instant::now());
        let later = now + Duration::from_secs(10);
        listing.hear(word("lab-1", "10.0.0.1:18516", None), now);
        listing.hear(word("lab-2", "10.0.0.2:18516", None), later);
        assert!(listing.forget(Duration::from_secs(9), later));
        assert!(!listing.forget(Duration::from_secs(9), later));
        assert_eq!(listing.agents()[0].host, "lab-2");
        let from = ["10.0.0.2:18516".parse().expect("an address")];
        assert!(!listing.withdraw(&from), "it was not announced");
        listing.hear(Word { announced: true, ..word("lab-2", "10.0.0.2:18516", None) }, later);
        assert!(listing.withdraw(&from));
        assert!(listing.agents().is_empty());
    }

    #[test]
    fn a_server_of_the_historical_system_is_shown_where_no_agent_is() {
        let (mut listing, now) = (Listing::default(), Instant::now());
        let beacon = |from| Word { historical: true, ..word("", from, None) };
        assert!(listing.hear(beacon("10.0.0.1:44444"), now));
        assert!(listing.hear(word("lab-2", "10.0.0.2:18516", Some("B")), now));
        assert!(!listing.hear(beacon("10.0.0.2:44444"), now));
        assert!(!listing.forget(Duration::from_secs(11), now + Duration::from_secs(10)));
        assert!(listing.forget(Duration::from_secs(11), now + Duration::from_secs(12)));
        assert!(listing.agents()[0].historical, "{listing:?}");
        // Its beacons come every five seconds; four are missed.
        let second = Duration::from_secs(1);
        assert!(!listing.forget(second, now + Duration::from_secs(19)));
        assert!(listing.forget(second, now + Duration::from_secs(21)));
        assert!(listing.agents().is_empty(), "{listing:?}");
        assert!(listing.hear(beacon("10.0.0.1:44444"), now));
        listing.hear(word("lab-1", "10.0.0.1:18516", Some("A")), now);
        let [agent] = listing.agents() else { panic!("{listing:?}") };
        assert_eq!((agent.host.as_str(), agent.historical), ("lab-1", false));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let (mut listing, now) = (Listing::default(), Instant::now());
        for i in 0..10_000u32 {
            let from = SocketAddr::from((std::net::Ipv4Addr::from(i), 1));
            listing.hear(word("x", &from.to_string(), Some(&i.to_string())), now);
            listing.hear(word("x", &from.to_string(), Some("one")), now);
        }
        assert_eq!(listing.agents().len(), MOST);
        assert!(listing.agents().iter().all(|agent| agent.addresses.len() <= ADDRESSES));
    }
}
