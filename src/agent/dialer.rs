//! Dialer: keeps a connection to a hub, and calls when the hub says so.
//!
//! Whoever the hub joins with this agent comes in by the same door as everybody else, and has to
//! prove who they are there, by TLS and a key, however near the hub is.

use super::door::Door;
use crate::facts;
use crate::rendezvous::words::{FromHub, MAX_ADDRESSES, Proof, ToHub, Who};
use crate::rendezvous::{Heard, HubUrl, Line, LineError};
use crate::trust::SecretKey;
use crate::trust::hubs::{HubTls, KnownHubs};
use crate::wire::wires;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How long a hub may take to be reached, and to answer each time.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often it is asked whether it is there, and how long it may leave that unanswered.
const PING: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(5);

/// The waits before trying again: the first, and the longest. A hub that is started again is to be
/// found within some seconds.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The longest wait where the hub does not want this agent, which somebody has to change.
const UNWANTED: Duration = Duration::from_secs(8);

/// Calls that are being made at a time. A hub has no reason to ask for more.
const CALLS: usize = 64;

/// The hub by which an agent is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Where it is.
    pub url: HubUrl,
    /// Its certificate, or that of an authority which vouches for it, in PEM; without, it is known
    /// by the file `known_hubs`, or by the authorities that the system knows.
    pub certificate: Option<PathBuf>,
}

/// Keeps the connection until it is dropped.
pub(super) struct Dialer(JoinHandle<()>);

impl Drop for Dialer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What it takes.
pub(super) struct Means {
    pub(super) hub: HubConfig,
    pub(super) known: KnownHubs,
    pub(super) key: SecretKey,
    /// Where the agent listens.
    pub(super) listen: SocketAddr,
    pub(super) door: Door,
}

impl Dialer {
    /// Begins, on the thread of the door.
    pub(super) fn begin(means: Means) -> Self {
        Self(actix::spawn(means.run()))
    }
}

/// Why the connection has ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Line(#[from] LineError),
    #[error("{0}")]
    Hubs(#[from] crate::trust::hubs::HubsError),
    #[error("this machine gives no threads: {0}")]
    Threads(#[from] tokio::task::JoinError),
}

impl Means {
    async fn run(self) {
        let (mut wait, mut told) = (BACK_OFF.0, String::new());
        loop {
            let mut was_in = false;
            let Err(end) = self.stay(&mut was_in).await;
            let is_unwanted = matches!(end, End::Line(LineError::Refused { .. }));
            // Two with one key would put each other out as fast as they can.
            if was_in && !is_unwanted {
                (wait, told) = (BACK_OFF.0, String::new());
            }
            let words = end.to_string();
            // The same is not said again every two seconds.
            if words == told {
                tracing::debug!("not reached by the hub: {words}");
            } else {
                tracing::warn!("not reached by the hub, until that is mended: {words}");
                told = words;
            }
            tokio::time::sleep(jitter(wait)).await;
            wait = (wait * 2).min(if is_unwanted { UNWANTED } else { BACK_OFF.1 });
        }
    }

    /// Is connected, for as long as that goes well.
    async fn stay(&self, was_in: &mut bool) -> Result<std::convert::Infallible, End> {
        let url = &self.hub.url;
        let (known, name) = (self.known.clone(), url.name());
        let (file, listen) = (self.hub.certificate.clone(), self.listen);
        let read = tokio::task::spawn_blocking(move || {
            Ok::<_, End>((HubTls::of(&name, &known, file.as_deref())?, addresses(listen)))
        });
        let (tls, addresses) = read.await??;
        let mut line = Line::open(url, &tls, "/api/v1/agents", PATIENCE).await?;
        let FromHub::Challenge(challenge) = line.word(PATIENCE).await? else {
            return Err(line.odd().into());
        };
        let name = facts::host();
        let proof = Proof::new(Who::Agent, &self.key, &url.authority(), &name, &challenge);
        line.say(&ToHub::Agent { proof, name, addresses }).await?;
        let FromHub::Welcome { name } = line.word(PATIENCE).await? else {
            return Err(line.odd().into());
        };
        *was_in = true;
        let name = crate::text::printable(&name);
        tracing::info!("the hub {url} reaches this agent as '{name}'");
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut calls) = (Instant::now(), JoinSet::new());
        let late = || LineError::Late { hub: url.clone(), limit: QUIET };
        loop {
            tokio::select! {
                word = line.hear() => {
                    heard = Instant::now();
                    match word? {
                        Heard::Sign => {}
                        Heard::Word(FromHub::Call { call }) if calls.len() < CALLS => {
                            let path = format!("/api/v1/agents/calls/{call}");
                            let (url, tls, door) = (url.clone(), tls.clone(), self.door.clone());
                            calls.spawn_local(answer(url, tls, path, door));
                        }
                        Heard::Word(FromHub::Call { .. }) => {
                            tracing::warn!("the hub {url} wants more calls than it may");
                        }
                        Heard::Word(_) => return Err(line.odd().into()),
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() > QUIET {
                        return Err(late().into());
                    }
                    timeout(QUIET, line.ping()).await.map_err(|_| late())??;
                }
                Some(_) = calls.join_next() => {}
            }
        }
    }
}

/// Calls the hub, and takes whoever it joins with us for somebody who has connected.
async fn answer(url: HubUrl, tls: HubTls, path: String, door: Door) {
    match Line::open(&url, &tls, &path, PATIENCE).await {
        Ok(line) => {
            let hub = line.peer;
            door.knock_by_hub(line.into_pipe(), hub);
        }
        Err(e) => tracing::debug!("a call to the hub failed: {e}"),
    }
}

/// Where an agent that listens there can be called by others. Asks the system: not for an async
/// thread.
fn addresses(listen: SocketAddr) -> Vec<SocketAddr> {
    let (ip, port) = (listen.ip().to_canonical(), listen.port());
    if ip.is_loopback() {
        return Vec::new();
    }
    if !ip.is_unspecified() {
        return vec![SocketAddr::new(ip, port)];
    }
    let wires = wires().unwrap_or_else(|e| {
        tracing::debug!("the system does not say which networks there are: {e}");
        Vec::new()
    });
    let all = wires.into_iter().flat_map(|wire| wire.addresses);
    // One that is link-local means nothing elsewhere.
    let is_called = |one: &IpAddr| match one {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => listen.is_ipv6() && !v6.is_unicast_link_local(),
    };
    all.filter(is_called).map(|ip| SocketAddr::new(ip, port)).take(MAX_ADDRESSES).collect()
}

/// The wait, changed by up to a quarter, so that a room of agents does not come back all at once.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 5001;
    wait.mul_f64(0.75 + random as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_on_the_loopback_is_nowhere_else() {
        let at = |text: &str| addresses(text.parse().expect("an address"));
        assert!(at("127.0.0.1:5").is_empty() && at("[::1]:5").is_empty());
        assert_eq!(at("10.1.2.3:5"), ["10.1.2.3:5".parse().expect("an address")]);
        assert!(at("0.0.0.0:5").iter().all(|one| one.is_ipv4() && !one.ip().is_loopback()));
    }

    #[test]
    fn waits_differ_and_stay_what_they_are() {
        let wait = Duration::from_secs(2);
        let all: Vec<_> = (0..100).map(|_| jitter(wait)).collect();
        assert!(all.iter().all(|one| *one >= wait * 3 / 4 && *one <= wait * 5 / 4 + wait / 1000));
        assert!(all.iter().any(|one| *one != all[0]));
    }
}
