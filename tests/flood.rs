//! A flood of datagrams moves nothing: none of it is obeyed, little is held, and who has a key is
//! still obeyed at once. `HIGHTOWER_FLOOD` says how many there are.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::homes::{Homes, obeyed};
use common::{Agent, stderr};
use hightower::trust::{SecretKey, now_ms};
use hightower_proto::Message;
use hightower_proto::message::{Order, Recipient, Signed};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Datagrams in all.
const DATAGRAMS: usize = 1_000_000;

const THREADS: usize = 3;

/// Sockets of each thread, so that a flood comes from many ports.
const SOCKETS: usize = 8;

/// How long an order may take at worst, from the start of the program to its end, on machines that
/// are shared: an order gives up after some seconds, and is given again.
const BOUND: Duration = Duration::from_secs(20);

/// What the agent may hold more than before, in KiB.
const GROWTH: u64 = 16 << 10;

/// Numbers that look random, fast (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.chunks_mut(8).for_each(|chunk| {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        });
    }
}

fn order(key: &SecretKey, time_ms: u64, counter: u64, to: Vec<Recipient>) -> Vec<u8> {
    // One and the other, so that whichever is obeyed changes something.
    let order =
        if counter.is_multiple_of(2) { Message::StartMonitor } else { Message::StopMonitor };
    let order = Box::new(order);
    let order = Order { by: key.public().id(), time_ms, counter, to, order };
    Message::Signed(Signed::new(order, |bytes| key.sign(bytes))).encode().to_vec()
}

/// What an attacker may have or make.
struct Arsenal {
    /// Orders that were obeyed.
    heard: Vec<Vec<u8>>,
    /// Orders with the right key, of another time.
    stale: Vec<Vec<u8>>,
    /// Orders with keys that the agent does not know, and for other agents.
    foreign: Vec<Vec<u8>>,
}

impl Arsenal {
    fn new(key: &SecretKey, heard: Vec<Vec<u8>>) -> Self {
        let now = now_ms();
        let stale = (0..64).map(|i| {
            // However long the flood lasts, their time does not come.
            let hours = 3_600_000 * (i + 1);
            let time_ms = if i % 4 < 2 { now - hours } else { now + hours };
            order(key, time_ms, i, vec![])
        });
        let foreign = (0..64u64).map(|i| {
            let to = if i.is_multiple_of(4) { vec![Recipient::Agent([7; 16])] } else { vec![] };
            let stranger = SecretKey::generate();
            order(if i.is_multiple_of(4) { key } else { &stranger }, now, i, to)
        });
        Self { stale: stale.collect(), foreign: foreign.collect(), heard }
    }

    /// One more datagram.
    fn draw(&self, chance: &mut Chance, into: &mut Vec<u8>) {
        into.clear();
        let kind = chance.below(8);
        match kind {
            // Noise.
            0 => {
                into.resize(chance.below(1300), 0);
                chance.fill(into);
            }
            // What was heard again, in any order.
            1 | 2 => into.extend(&self.heard[chance.below(self.heard.len())]),
            3 => into.extend(&self.stale[chance.below(self.stale.len())]),
            4 => into.extend(&self.foreign[chance.below(self.foreign.len())]),
            // A bit of it changed, wherever that is.
            5 => {
                into.extend(&self.heard[chance.below(self.heard.len())]);
                let bit = chance.below(into.len() * 8);
                into[bit / 8] ^= 1 << (bit % 8);
            }
            // Cut off, or longer than it was.
            6 => {
                into.extend(&self.heard[chance.below(self.heard.len())]);
                into.resize(chance.below(into.len() * 2), 0x5a);
            }
            // As if it were signed now: only the signature tells.
            _ => {
                into.extend(&self.heard[0]);
                into[32..40].copy_from_slice(&now_ms().to_be_bytes());
                chance.fill(&mut into[40..48]);
                let signature = into.len() - 64;
                chance.fill(&mut into[signature..]);
            }
        }
    }
}

/// Sends its share as fast as it can.
fn flood(to: SocketAddr, arsenal: &Arsenal, seed: u64, share: usize, left: &AtomicUsize) {
    let sockets: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(to).unwrap();
            socket
        })
        .collect();
    let (mut chance, mut bytes) = (Chance(seed), Vec::with_capacity(2048));
    for i in 0..share {
        arsenal.draw(&mut chance, &mut bytes);
        // What the system does not take is sent no less.
        drop(sockets[i % SOCKETS].send(&bytes));
        left.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The most that the process has ever held, in KiB.
fn peak_kib(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Datagrams that the kernel has dropped since the agent could not take them.
fn dropped(agent: &Agent) -> usize {
    let list = fs::read_to_string(format!("/proc/{}/net/udp", agent.id())).unwrap();
    let port = format!(":{:04X}", agent.address.port());
    let is_agent =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&port));
    let line = list.lines().find(is_agent).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// What was obeyed, by whom.
fn deeds(homes: &Homes) -> Vec<(String, String)> {
    let log = fs::read_to_string(homes.agent.path().join("audit/audit.jsonl")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let word =
        |event: &serde_json::Value, name: &str| event[name].as_str().unwrap_or("").to_owned();
    let deeds = events.map(|event| (word(&event, "event"), word(&event, "operator")));
    deeds.filter(|(what, _)| ["start", "stop", "lock", "unlock"].contains(&what.as_str())).collect()
}

#[test]
fn of_a_flood_nothing_is_obeyed_and_a_command_in_it_is() {
    let count: usize = std::env::var("HIGHTOWER_FLOOD").map_or(DATAGRAMS, |n| n.parse().unwrap());
    let homes = Homes::new();
    // Ben's orders are heard on the wire by whoever floods. Anna is to be obeyed in spite of it.
    let ben = SecretKey::generate();
    let (anna, list) = (homes.key().public(), homes.list());
    fs::write(list, format!("all {anna} anna\nall {} ben\n", ben.public())).unwrap();
    let agent = homes.start(&[]);
    homes.trust(&agent);
    let heard: Vec<_> = (0..8).map(|i| order(&ben, now_ms() + i, i, vec![])).collect();
    for bytes in &heard {
        assert!(agent.datagram(bytes, true).is_some());
    }
    obeyed(&homes.order(&agent, "start"));
    let arsenal = Arsenal::new(&ben, heard);
    let before = peak_kib(&agent);

    let left = AtomicUsize::new(count / THREADS * THREADS);
    let begun = Instant::now();
    let mut took = Vec::new();
    std::thread::scope(|scope| {
        for thread in 1..=THREADS as u64 {
            let (arsenal, left) = (&arsenal, &left);
            let seed = 0x9e37_79b9_7f4a_7c15 ^ thread;
            scope.spawn(move || flood(agent.address, arsenal, seed, count / THREADS, left));
        }
        while left.load(Ordering::Relaxed) > 0 {
            let what = if took.len().is_multiple_of(2) { "stop" } else { "start" };
            let start = Instant::now();
            let mut output = homes.order(&agent, what);
            // Each try may be lost, if that is unlikely for all of them. Then it is given again.
            while !output.status.success() && start.elapsed() < BOUND {
                output = homes.order(&agent, what);
            }
            // One that ends after the flood was not in it.
            if left.load(Ordering::Relaxed) > 0 || took.is_empty() {
                took.push(start.elapsed());
            }
            obeyed(&output);
        }
    });
    let (flooded, peak, dropped) = (begun.elapsed(), peak_kib(&agent), dropped(&agent));
    took.sort_unstable();
    let within = took.iter().filter(|time| **time <= Duration::from_secs(1)).count();
    println!(
        "{count} datagrams in {flooded:?} ({:.0} a second), {dropped} dropped by the kernel; {} orders, {within} of them within a \
         second; median {:?}, worst {:?}; {before} KiB before, {peak} KiB at most",
        count as f64 / flooded.as_secs_f64(),
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
    );
    assert!(took.iter().all(|time| *time < BOUND), "{took:?}");
    assert!(peak - before < GROWTH, "{before} KiB have grown to {peak} KiB");
    assert!(dropped < count / 10 * 9, "the flood has not reached the agent");
    // It is as well as before, and its log is written out when it has ended.
    obeyed(&homes.order(&agent, "start"));
    assert!(agent.terminate().success());
    let deeds = deeds(&homes);
    let by_ben = deeds.iter().filter(|(_, who)| who == "ben").count();
    let by_anna = deeds.iter().filter(|(_, who)| who == "anna").count();
    assert_eq!(by_ben, 8, "{deeds:?}");
    assert!(by_anna >= took.len() && by_anna + by_ben == deeds.len(), "{deeds:?}");
    let verified =
        common::run(&["audit", "verify", homes.agent.path().join("audit").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}
