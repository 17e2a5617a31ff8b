//! Whoever comes to watch: with a key or without, quickly or slowly, for as long as they like or
//! until they are killed, by a straight way or by a bad one.

use crate::chance::Chance;
use crate::chaos::{Chaos, Fault};
use crate::common::PATIENCE;
use crate::common::homes::Homes;
use crate::common::watch::Watch;
use hightower::trust::{KnownAgents, SecretKey};
use hightower::viewer::{Client, ClientOptions, Credentials, PlainWith, Security, View};
use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Follows by deltas, and says goodbye.
    Quick,
    /// Takes a third of a second for each picture.
    Slow,
    /// Asks for a quarter of the size, in whole pictures.
    Small,
    /// A process that is killed while it watches.
    Killed,
    /// Behind a chaos proxy.
    Troubled,
    /// Without a key, or with one that nobody knows: to be refused.
    Stranger,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Quick, Self::Slow, Self::Small, Self::Killed, Self::Troubled, Self::Stranger];
}

/// Who was there, by kind: visits and pictures.
#[derive(Debug, Default)]
pub(crate) struct Tally([(u64, u64); Kind::ALL.len()]);

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, (visits, pictures)) in self.0.iter_mut().zip(other.0) {
            sum.0 += visits;
            sum.1 += pictures;
        }
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize].0
    }

    pub(crate) fn visits(&self) -> u64 {
        self.0.iter().map(|(visits, _)| visits).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (visits, pictures)) in Kind::ALL.iter().zip(self.0) {
            write!(f, "{kind:?}: {visits} visits, {pictures} pictures; ")?;
        }
        Ok(())
    }
}

/// Where they come to.
pub(crate) struct Room {
    pub(crate) homes: Homes,
    pub(crate) agent: SocketAddr,
    /// Of the operator.
    pub(crate) security: Security,
    pub(crate) open: AtomicBool,
}

impl Room {
    /// The agent is known to the operator already.
    pub(crate) fn new(homes: Homes, agent: SocketAddr) -> Self {
        let known = KnownAgents::at(homes.operator.path().join("known_agents"));
        let security = security(&homes.key(), known);
        Self { homes, agent, security, open: AtomicBool::new(true) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// How a viewer of the operator's connects.
    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions { security: self.security.clone(), ..ClientOptions::default() }
    }

    /// Waits for so long, or until all are to leave.
    fn stay(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.is_open() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn security(key: &SecretKey, known: KnownAgents) -> Security {
    let credentials = Credentials::new(key, known, true).unwrap();
    Security { plain: PlainWith::Nobody, credentials: Some(Arc::new(credentials)) }
}

/// One guest after the other, until all are to leave.
pub(crate) fn come_and_go(room: &Room, mut chance: Chance) -> Tally {
    let mut tally = Tally::default();
    while room.is_open() {
        let kind = Kind::ALL[chance.below(Kind::ALL.len())];
        let time = Duration::from_millis(chance.of(100..4000) as u64);
        let pictures = match kind {
            Kind::Quick => watch(room, room.agent, room.options(), time, Duration::ZERO),
            Kind::Slow => {
                let options = ClientOptions { max_fps: 10, ..room.options() };
                watch(room, room.agent, options, time, Duration::from_millis(333))
            }
            Kind::Small => {
                let options = ClientOptions { delta: false, scale: 4, ..room.options() };
                watch(room, room.agent, options, time, Duration::ZERO)
            }
            Kind::Killed => be_killed(room, time),
            Kind::Troubled => be_troubled(room, time, &mut chance),
            Kind::Stranger => {
                be_refused(room, &mut chance);
                0
            }
        };
        let (visits, sum) = &mut tally.0[kind as usize];
        *visits += 1;
        *sum += pictures;
        room.stay(Duration::from_millis(chance.of(0..300) as u64));
    }
    tally
}

/// Watches for so long, and takes so long for each picture; gives how many there were.
fn watch(
    room: &Room,
    at: SocketAddr,
    options: ClientOptions,
    time: Duration,
    each: Duration,
) -> u64 {
    let straight = at == room.agent;
    let look = move |_: &View| std::thread::sleep(each);
    let client = Client::start_watched(at.into(), options, look).unwrap();
    // Who has a straight way is always let in.
    let welcome = |view: &View| view.welcome.is_some();
    let welcome = !straight || client.wait_until(PATIENCE, welcome).is_ok();
    room.stay(time);
    let view = client.view();
    assert!(welcome, "not let in: {view:?}");
    let counters = view.counters;
    assert_eq!((counters.bad, counters.out_of_step), (0, 0), "{view:?}");
    assert!(!straight || counters.connections == 1, "{view:?}");
    counters.frames
}

fn be_killed(room: &Room, time: Duration) -> u64 {
    let address = room.agent.to_string();
    let view = ["view", "--headless", "--json", "--tls", &address];
    let viewer = Watch::start(&mut room.homes.command(&view));
    room.stay(time);
    let seen = viewer.seen();
    assert!(seen.faults.is_empty(), "{seen:?}");
    seen.frames
}

fn be_troubled(room: &Room, time: Duration, chance: &mut Chance) -> u64 {
    let mut own = Chance::new(chance.next());
    let fault = move || {
        let after = own.below(60_000) as u64;
        match own.below(5) {
            0 => Fault::Cut(after),
            1 => Fault::Stall(after),
            2 => Fault::Swallow(after),
            3 => Fault::Crumbs(after / 4),
            _ => Fault::Late(Duration::from_millis(after / 1000)),
        }
    };
    let chaos = Chaos::tcp(room.agent, fault);
    // The way is another each time, and taken at its word.
    let known = room.homes.operator.path().join(format!("known_by_{}", chaos.address.port()));
    let options = ClientOptions {
        security: security(&room.homes.key(), KnownAgents::at(known.clone())),
        quiet_limit: Duration::from_millis(700),
        connect_limit: Duration::from_secs(1),
        ..ClientOptions::default()
    };
    // Some stay for longer than the agent waits for somebody who takes nothing.
    let pictures = watch(room, chaos.address, options, 2 * time, Duration::ZERO);
    // It is not there if the way was never good enough to get to know the agent.
    drop(std::fs::remove_file(known));
    pictures
}

fn be_refused(room: &Room, chance: &mut Chance) {
    if chance.once_in(2) {
        let key = SecretKey::generate();
        let known = KnownAgents::at(room.homes.operator.path().join("known_agents"));
        let options = ClientOptions {
            security: security(&key, known),
            reconnect: false,
            ..ClientOptions::default()
        };
        let client = Client::start(room.agent.into(), options).unwrap();
        let view = client.wait_until(PATIENCE, View::ended).unwrap();
        let cause = view.cause.unwrap().to_string();
        assert!(cause.contains("does not know the key"), "{cause}");
        assert!(view.picture.is_none() && view.welcome.is_none(), "a stranger was told something");
        return;
    }
    let mut socket = TcpStream::connect(room.agent).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let noise: Vec<u8> = (0..chance.below(600)).map(|_| chance.next() as u8).collect();
    // It may be closed already.
    drop(socket.write_all(&noise));
    if chance.once_in(2) {
        let mut heard = Vec::new();
        drop(socket.read_to_end(&mut heard));
        assert!(!heard.windows(8).any(|piece| piece == b"\x89PNG\r\n\x1a\n"), "a stranger saw");
    }
}
