//! Search: asks the networks, and hears who answers.

use super::browser::{Browser, News};
use super::listing::{Agent, Listing, Word};
use crate::address::Target;
use crate::multicast::Multicast;
use crate::wire::wires;
use hightower_proto::message::{Presence, Query};
use hightower_proto::{Command, Message, historical};
use mdns_sd::ServiceEvent;
use socket2::{Domain, Protocol, Socket, Type};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// When a machine that is looked for by its name is asked for, and until when it may answer.
const ROUNDS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(150), Duration::from_millis(450)];
const END: Duration = Duration::from_millis(1200);

/// Once a name was found, how long others of the same name may still answer.
const OTHERS: Duration = Duration::from_millis(200);

/// So long a search stands for those that come after it.
const FRESH: Duration = Duration::from_secs(5);

/// A search for agents.
pub struct Search {
    /// `None` on a machine without networks.
    multicast: Option<Multicast>,
    /// Listens for announcements; `None` where it can't.
    browser: Option<Browser>,
    /// Hears beacons of the historical system; `None` where it can't.
    beacons: Option<UdpSocket>,
    listing: Listing,
    /// The number of the first query, and how many there were.
    queries: (u32, u32),
    /// The port that all are asked at.
    port: u16,
    /// When it was asked last.
    asked: std::time::Instant,
}

impl Search {
    /// A search for agents at this port.
    ///
    /// # Errors
    /// When the system does not say which networks there are, or gives no sockets.
    pub async fn begin(port: u16) -> io::Result<Self> {
        let wires = tokio::task::spawn_blocking(wires).await.map_err(io::Error::other)??;
        let multicast = (!wires.is_empty()).then(|| Multicast::open(port, wires)).transpose()?;
        let browser = match &multicast {
            Some(_) => Browser::open()
                .inspect_err(|e| tracing::debug!("can't hear announcements: {e}"))
                .ok(),
            None => None,
        };
        Ok(Self {
            multicast,
            browser,
            beacons: hear_beacons()
                .inspect_err(|e| tracing::debug!("can't hear beacons: {e}"))
                .ok(),
            listing: Listing::default(),
            queries: (random() as u32, 0),
            port,
            asked: std::time::Instant::now(),
        })
    }

    /// What was found.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The same, to say of an agent what it has proven.
    pub fn listing_mut(&mut self) -> &mut Listing {
        &mut self.listing
    }

    /// Whether this machine is on a network at all.
    #[must_use]
    pub fn has_network(&self) -> bool {
        self.multicast.is_some()
    }

    /// Forgets those that were not heard for so long; whether there were any.
    pub fn forget(&mut self, silent: Duration) -> bool {
        self.listing.forget(silent, std::time::Instant::now())
    }

    /// Asks who is there, once by each way; and those that are announced, each for itself. An
    /// announcement is good for an hour, whether or not somebody is there.
    ///
    /// # Errors
    /// When nothing can be sent by multicast on any network.
    pub async fn ask(&mut self) -> io::Result<()> {
        let Some(multicast) = &self.multicast else { return Ok(()) };
        let nonce = self.queries.0.wrapping_add(self.queries.1);
        self.queries.1 = self.queries.1.saturating_add(1);
        let query = Message::Query(Query::new(nonce));
        let plain = query.encode();
        let sent = multicast.send(|| plain.clone()).await;
        multicast.broadcast(|| plain.clone()).await;
        if let Some(browser) = &mut self.browser {
            // Those at the port where all are asked may have been heard, and need no more.
            let mut heard = self.listing.heard_since(self.asked);
            heard.retain(|address| address.port() == self.port);
            for address in browser.due(&heard) {
                multicast.send_to(address, &plain).await;
            }
        }
        self.asked = std::time::Instant::now();
        sent
    }

    /// Hears until something has changed, or until then; whether something has.
    pub async fn hear(&mut self, until: Instant) -> bool {
        loop {
            let heard = tokio::select! {
                heard = answer(self.multicast.as_ref(), until) => match heard {
                    Some((peer, message)) => self.answered(peer, message),
                    None => return false,
                },
                event = event(self.browser.as_ref()) => self.announced(event),
                peer = beacon(self.beacons.as_ref()) => self.beacon(peer),
            };
            if heard {
                return true;
            }
        }
    }

    fn answered(&mut self, peer: SocketAddr, message: Message) -> bool {
        let Message::Reply(reply) = message else { return false };
        let Some(presence) = reply.presence else { return false };
        let is_ours = presence.nonce.wrapping_sub(self.queries.0) < self.queries.1;
        if !reply.ok || reply.of != Command::Query.code() || !is_ours {
            return false;
        }
        let from = vec![match peer.ip().to_canonical() {
            IpAddr::V4(ip) => (ip, peer.port()).into(),
            // With its network, where it is link-local.
            IpAddr::V6(_) => peer,
        }];
        let word = Word { presence, from, announced: false, historical: false };
        self.listing.hear(word, std::time::Instant::now())
    }

    /// A server of the historical system has said that it is there.
    fn beacon(&mut self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        let at: SocketAddr = (ip, historical::STREAM_PORT).into();
        // It has no name; what is listed as one works as HOST.
        let host = Target::from(at).to_string();
        let (presence, from) = (Presence { nonce: 0, host, key: None, about: None }, vec![at]);
        let word = Word { presence, from, announced: false, historical: true };
        self.listing.hear(word, std::time::Instant::now())
    }

    fn announced(&mut self, event: ServiceEvent) -> bool {
        let Some(browser) = &mut self.browser else { return false };
        match browser.take(event) {
            Some(News::Here(word)) => self.listing.hear(word, std::time::Instant::now()),
            Some(News::Gone(from)) => self.listing.withdraw(&from),
            None => false,
        }
    }
}

/// What a search for a name has found, whoever asked for it.
struct Found {
    at: Instant,
    port: u16,
    /// Whether all had the time to answer.
    complete: bool,
    agents: Vec<Agent>,
}

/// One search at a time, and what the last one found: many names are looked for at once, and those
/// of machines that are off again and again.
static LAST: Mutex<Option<Found>> = Mutex::const_new(None);

/// The agents of this name, by their answers or announcements. Several agents that have the name
/// are all found.
///
/// # Errors
/// When nobody can be asked.
pub async fn find(name: &str, port: u16) -> io::Result<Vec<Agent>> {
    let mut last = LAST.lock().await;
    let called = |found: &Found| -> Vec<Agent> {
        found.agents.iter().filter(|agent| is_called(agent, name)).cloned().collect()
    };
    let fresh = last.as_ref().filter(|found| found.port == port && found.at.elapsed() < FRESH);
    let whole = fresh.is_some();
    if let Some(found) = fresh {
        let agents = called(found);
        if found.complete || !agents.is_empty() {
            return Ok(agents);
        }
    }
    // Where several are looked for, all are heard at once.
    let found = look(name, port, whole).await?;
    let agents = called(&found);
    *last = Some(found);
    Ok(agents)
}

/// Looks for a machine, or for all that there are.
async fn look(name: &str, port: u16, whole: bool) -> io::Result<Found> {
    let mut search = Search::begin(port).await?;
    let start = Instant::now();
    let mut end = start + END;
    let mut rounds = ROUNDS.into_iter().peekable();
    let mut complete = true;
    while search.has_network() && Instant::now() < end {
        if rounds.next_if(|round| start + *round <= Instant::now()).is_some() {
            search.ask().await?;
        }
        let next = rounds.peek().map_or(end, |round| start + *round);
        search.hear(next.min(end)).await;
        if !whole && search.listing.agents().iter().any(|agent| is_called(agent, name)) {
            end = end.min(Instant::now() + OTHERS);
            complete = false;
        }
    }
    let agents = search.listing.agents().to_vec();
    Ok(Found { at: Instant::now(), port, complete, agents })
}

/// Whether a machine has this name, or it is the first part of its name.
fn is_called(agent: &Agent, name: &str) -> bool {
    let first = agent.host.split('.').next().unwrap_or_default();
    let is = |one: &str| one.eq_ignore_ascii_case(name);
    !agent.historical && (is(&agent.host) || is(first))
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

async fn answer(multicast: Option<&Multicast>, until: Instant) -> Option<(SocketAddr, Message)> {
    match multicast {
        Some(multicast) => multicast.receive(until).await,
        None => {
            tokio::time::sleep_until(until).await;
            None
        }
    }
}

/// Hears beacons beside whoever else does.
fn hear_beacons() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, historical::BEACON_PORT)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Whoever sends the next beacon.
async fn beacon(socket: Option<&UdpSocket>) -> SocketAddr {
    let Some(socket) = socket else { return std::future::pending().await };
    // A byte more, by which a longer datagram is told from a beacon.
    let mut buffer = [0; historical::BEACON.len() + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) if buffer[..length] == historical::BEACON => return peer,
            Ok(_) => {}
            Err(e) => tracing::debug!("a beacon could not be received: {e}"),
        }
    }
}

async fn event(browser: Option<&Browser>) -> ServiceEvent {
    match browser {
        Some(browser) => browser.event().await,
        None => std::future::pending().await,
    }
}
