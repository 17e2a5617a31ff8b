//! Door: whoever has connected and is not known yet.
//!
//! What a stranger can take is bounded: connections that are not known yet are so many, for so
//! long, and no more from one address than it may make. When there is no room, the oldest of the
//! address that has the most goes, so that nobody keeps others out by waiting.

use super::pairing::{self, PairError};
use super::session::{Links, Session, Stream};
use super::throttle::Throttle;
use crate::audit::Event;
use crate::trust::{Acceptor, Ends, Gate, Grant, TlsError, Transport, View, Window, tls};
use actix::prelude::*;
use hightower_proto::Message as Packet;
use hightower_proto::message::{Goodbye, Welcome};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long a stranger has to say who it is.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// Strangers at a time. Each takes 150 KiB at most: what TLS may hold before the handshake is over.
const STRANGERS: usize = 128;

/// How long somebody who is known waits for a place when all are taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a peer that is refused has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who connects so much more often than it may that it would wait longer than this is not heard.
const QUEUE: Duration = Duration::from_secs(3);

/// Addresses whose rate is kept in mind; all others share one.
const ADDRESSES: usize = 1024;

/// Refusals a second that are logged.
const LOG_LINES: u32 = 10;

/// What everybody who comes in gets.
#[derive(Clone)]
pub(super) struct House {
    pub(super) gate: Arc<Gate>,
    /// `None` for an agent that takes nothing but what is plain.
    pub(super) acceptor: Option<Acceptor>,
    /// When strangers may pair.
    pub(super) window: Window,
    pub(super) links: Links,
    pub(super) welcome: Welcome,
    pub(super) places: Arc<Semaphore>,
}

/// The door of a house.
pub(super) struct Door {
    house: House,
    strangers: VecDeque<(IpAddr, AbortHandle)>,
    rates: Rates,
    log: Throttle,
}

impl Door {
    pub(super) fn new(house: House, rate: f64) -> Self {
        let strangers = VecDeque::with_capacity(STRANGERS);
        Self { house, strangers, rates: Rates::new(rate), log: Throttle::new(LOG_LINES) }
    }

    /// Somebody has connected.
    pub(super) fn knock(&mut self, stream: TcpStream, peer: SocketAddr) {
        let pause = self.rates.take(peer.ip(), Instant::now());
        if pause > QUEUE {
            if let Some(held_back) = self.log.pass(Instant::now()) {
                let held_back = (held_back > 0).then_some(held_back);
                tracing::warn!(%peer, held_back, "connects too often; not heard");
                let more = held_back.unwrap_or(0);
                let words = format!("connects too often; {more} more were not heard");
                self.house.gate.audit().note(Event::refused(peer, words));
            }
            return;
        }
        self.make_room();
        let house = self.house.clone();
        let stranger = actix::spawn(async move {
            tokio::time::sleep(pause).await;
            house.receive(stream, peer).await;
        });
        self.strangers.push_back((network(peer.ip()), stranger.abort_handle()));
    }

    fn make_room(&mut self) {
        if self.strangers.len() < STRANGERS {
            return;
        }
        self.strangers.retain(|(_, stranger)| !stranger.is_finished());
        if self.strangers.len() < STRANGERS {
            return;
        }
        let mut counts = HashMap::new();
        self.strangers.iter().for_each(|(ip, _)| *counts.entry(*ip).or_insert(0) += 1);
        let crowd = counts.into_iter().max_by_key(|(_, count)| *count).map(|(ip, _)| ip);
        let oldest = self.strangers.iter().position(|(ip, _)| Some(*ip) == crowd).unwrap_or(0);
        if let Some((_, stranger)) = self.strangers.remove(oldest) {
            stranger.abort();
        }
    }
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rebuff {
    #[error("it did not say who it is within {} s", INTRODUCTION.as_secs())]
    Late,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Refused(#[from] crate::trust::Refused),
    #[error("{fingerprint}: {why}")]
    Unwelcome { fingerprint: String, why: crate::trust::Unwelcome },
    #[error("{fingerprint}: {why}")]
    Denied { fingerprint: String, why: crate::trust::Denied },
    #[error("{fingerprint}: {why}")]
    Unpaired { fingerprint: String, why: PairError },
    #[error("there is no room")]
    Full,
}

/// Who has come in.
enum Guest {
    /// Somebody who may stay.
    Viewer(Stream, Grant),
    /// Somebody who has paired, and is gone again.
    Paired,
}

impl House {
    /// Finds out who it is, and lets them in or tells them why not.
    async fn receive(self, stream: TcpStream, peer: SocketAddr) {
        match self.introduce(stream, peer).await {
            Ok(Guest::Viewer(stream, grant)) => {
                let place = timeout(PATIENCE, Arc::clone(&self.places).acquire_owned()).await;
                let Ok(Ok(place)) = place else {
                    return refuse(&self.gate, peer, &Rebuff::Full);
                };
                Session::new(stream, peer, grant, self.links, self.welcome, place).start();
            }
            Ok(Guest::Paired) => {}
            Err(why) => refuse(&self.gate, peer, &why),
        }
    }

    async fn introduce(&self, mut stream: TcpStream, peer: SocketAddr) -> Result<Guest, Rebuff> {
        let local = stream.local_addr()?;
        let gate = Arc::clone(&self.gate);
        let acceptor = match &self.acceptor {
            Some(acceptor) if gate.asks(peer.ip()) => acceptor,
            _ => {
                let asked = blocking(move || gate.plain(Transport::Tcp, peer, local)).await?;
                return match asked {
                    Ok(grant) => Ok(Guest::Viewer(Stream::plain(stream), grant)),
                    Err(why) => {
                        dismiss(&mut stream, why.to_string()).await;
                        Err(why.into())
                    }
                };
            }
        };
        let shaken = timeout(INTRODUCTION, async {
            // The first byte of a TLS handshake (RFC 8446, section 5.1). Who speaks something else
            // is told so in words that it may understand.
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first != [22] {
                return Ok(Err(stream));
            }
            Ok::<_, Rebuff>(Ok(acceptor.accept(stream).await?))
        });
        let (mut stream, key) = match shaken.await.map_err(|_| Rebuff::Late)?? {
            Ok(known) => known,
            Err(mut stream) => {
                let why = crate::trust::Refused::Unknown;
                dismiss(&mut stream, why.to_string()).await;
                return Err(why.into());
            }
        };
        if let Some(channel) = tls::pairing(&stream) {
            let ends = Ends { operator: key, agent: acceptor.key(), channel };
            pairing::receive(&mut stream, &self.window, &gate, ends, peer).await?;
            return Ok(Guest::Paired);
        }
        match blocking(move || gate.operator(&key, peer)).await? {
            // Who may not watch takes no place from those who may.
            Ok(grant) => match grant.permit::<View>() {
                Ok(_) => Ok(Guest::Viewer(Stream::tls(stream), grant)),
                Err(why) => {
                    dismiss(&mut stream, why.to_string()).await;
                    Err(Rebuff::Denied { fingerprint: key.fingerprint(), why })
                }
            },
            Err(why) => {
                let fingerprint = key.fingerprint();
                let words = format!("{why} (yours is {fingerprint})");
                dismiss(&mut stream, words).await;
                Err(Rebuff::Unwelcome { fingerprint, why })
            }
        }
    }
}

/// Runs what reads files.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn refuse(gate: &Gate, peer: SocketAddr, why: &Rebuff) {
    gate.audit().note(Event::refused(peer, why));
    tracing::warn!(%peer, "not let in: {why}");
}

/// Says goodbye, and gives the peer time to read it: a socket that is closed while the peer still
/// talks forgets what is under way.
pub(super) async fn dismiss<S>(stream: &mut S, reason: String)
where
    S: tokio::io::AsyncRead + AsyncWrite + Unpin,
{
    let goodbye = Packet::Goodbye(Goodbye { reason }).encode();
    let said = timeout(FAREWELL, async {
        stream.write_all(&goodbye).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    });
    // Whether it was heard is the peer's affair.
    drop(said.await);
}

/// What one household has of addresses: a single one of IPv4, 64 bits of IPv6.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip => ip,
    }
}

/// How often addresses connect.
struct Rates {
    rate: f64,
    by_address: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

impl Rates {
    fn new(rate: f64) -> Self {
        Self { rate, by_address: HashMap::new(), others: Bucket::new(rate) }
    }

    /// Counts a connection; how long it should wait. One that would wait too long is not counted.
    fn take(&mut self, ip: IpAddr, now: Instant) -> Duration {
        let ip = network(ip);
        if !self.by_address.contains_key(&ip) && self.by_address.len() >= ADDRESSES {
            self.by_address.retain(|_, bucket| !bucket.is_full(now));
        }
        let known = self.by_address.len();
        let bucket = match self.by_address.get_mut(&ip) {
            Some(bucket) => bucket,
            None if known < ADDRESSES => {
                self.by_address.entry(ip).or_insert_with(|| Bucket::new(self.rate))
            }
            None => &mut self.others,
        };
        bucket.take(now)
    }
}

/// A token bucket: so many a second over a while, twice as many at once.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Option<Instant>,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, tokens: 2.0 * rate, filled: None }
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |t| now.saturating_duration_since(t));
        self.filled = Some(now);
        self.tokens = (self.tokens + since.as_secs_f64() * self.rate).min(2.0 * self.rate);
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 2.0 * self.rate
    }

    /// Takes a token; how long to wait before it is there.
    fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        let wait = Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.rate);
        if wait <= QUEUE {
            self.tokens -= 1.0;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10.0);
        let start = Instant::now();
        assert!((0..20).all(|_| bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start), Duration::from_millis(100));
        assert_eq!(bucket.take(start + Duration::from_secs(60)), Duration::ZERO);
        // Who is not heard does not make it worse.
        let waits: Vec<_> =
            (0..1000).map(|_| bucket.take(start + Duration::from_secs(60))).collect();
        assert!(waits.iter().all(|wait| *wait <= QUEUE + Duration::from_millis(101)));
        assert!(waits.last().is_some_and(|wait| *wait > QUEUE));
        assert!(bucket.take(start + Duration::from_secs(61)) <= QUEUE);
    }

    #[test]
    fn who_floods_is_slowed_and_nobody_else() {
        let mut rates = Rates::new(1.0);
        let now = Instant::now();
        let flood: IpAddr = [10, 0, 0, 1].into();
        for _ in 0..100 {
            rates.take(flood, now);
        }
        assert!(rates.take(flood, now) > QUEUE);
        assert_eq!(rates.take([10, 0, 0, 2].into(), now), Duration::ZERO);
        // One household of IPv6 counts as one, whatever it calls itself.
        for i in 0..100u32 {
            rates.take(Ipv6Addr::new(0xfd00, 1, 2, 3, 0, 0, 1, i as u16).into(), now);
        }
        assert!(rates.take(Ipv6Addr::new(0xfd00, 1, 2, 3, 9, 9, 9, 9).into(), now) > QUEUE);
        // However many there are, no more than so many are kept in mind.
        for i in 0..10_000u32 {
            rates.take(IpAddr::from((0x0b00_0000 + i).to_be_bytes()), now);
        }
        assert_eq!(rates.by_address.len(), ADDRESSES);
        rates.take([12, 0, 0, 1].into(), now + Duration::from_secs(600));
        assert_eq!(rates.by_address.len(), 1);
    }
}
