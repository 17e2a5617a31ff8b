//! However viewers come and go, and whatever happens to them on their way, the agent is afterwards
//! what it was before.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/chance.rs"]
mod chance;
#[path = "common/chaos.rs"]
mod chaos;
mod common;
#[path = "soak/guests.rs"]
mod guests;

use chance::Chance;
use chaos::{Chaos, Post};
use common::homes::{Homes, obeyed};
use common::{Agent, PATIENCE, card, run};
use guests::{Kind, Room, Tally};
use hightower::order::{self, OrderError};
use hightower::viewer::Client;
use hightower_proto::Message;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Viewers at a time.
const GUESTS: usize = 20;

/// That of the card.
const SIZE: (usize, usize) = (320, 200);
const FPS: f64 = 15.0;

/// How many KiB more the agent may have when all have left. The allocator keeps what it had; of
/// twenty minutes, a KiB a visit is more.
const MORE: u64 = 8 * 1024;

/// A thread of the runtime goes ten seconds after it was needed last.
const KEPT: Duration = Duration::from_secs(11);

/// What a process has of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holdings {
    rss_kib: u64,
    files: usize,
    threads: usize,
}

impl Holdings {
    fn of(agent: &Agent) -> Self {
        let count =
            |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", agent.id())).unwrap().count();
        Self { rss_kib: agent.rss_kib(), files: count("fd"), threads: count("task") }
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss_kib, files, threads } = self;
        write!(f, "{rss_kib} KiB, {files} files, {threads} threads")
    }
}

/// Orders by a post that loses, doubles and delays, for as long as there are guests.
fn give_orders(room: &Room, post: &Chaos, mut chance: Chance) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut obeyed, mut silent, mut other) = (0, 0, Vec::new());
    while room.is_open() {
        let order = if chance.once_in(3) { Message::StopMonitor } else { Message::StartMonitor };
        let target = post.address.into();
        match runtime.block_on(order::send(&target, &order, &room.security)) {
            Ok(_) => obeyed += 1,
            Err(OrderError::SilentToKey(_)) => silent += 1,
            Err(e) => other.push(e.to_string()),
        }
        std::thread::sleep(Duration::from_millis(chance.of(0..600) as u64));
    }
    // Doubled and late as they may be, none that is obeyed is said to be refused.
    assert!(other.is_empty(), "{other:?}");
    assert!(obeyed > 0, "no order came through");
    format!("orders: {obeyed} obeyed, {silent} not answered")
}

/// Everybody comes and goes until the time is over.
fn fill(room: &Room, agent: &Agent, time: Duration, chance: &mut Chance) -> Tally {
    let post = Post { lost: 10, twice: 10, late_ms: 100 };
    let post = Chaos::udp(agent.address, post, chance.next());
    room.homes.know(post.address);
    let (mut tally, began) = (Tally::default(), Instant::now());
    std::thread::scope(|scope| {
        let stay = Stay(&room.open);
        let (post, own) = (&post, Chance::new(chance.next()));
        let orders = scope.spawn(move || give_orders(room, post, own));
        let guests: Vec<_> = (0..GUESTS)
            .map(|_| {
                let own = Chance::new(chance.next());
                scope.spawn(move || guests::come_and_go(room, own))
            })
            .collect();
        let mut told = Duration::ZERO;
        while began.elapsed() < time && !guests.iter().any(|guest| guest.is_finished()) {
            if began.elapsed() >= told {
                println!("{:5.0} s: {}", began.elapsed().as_secs_f64(), Holdings::of(agent));
                told += time / 10;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(stay);
        guests.into_iter().for_each(|guest| tally.add(guest.join().unwrap()));
        println!("{}", orders.join().unwrap());
    });
    tally
}

/// Closes the room, however this ends: whoever is there leaves.
struct Stay<'a>(&'a AtomicBool);

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A new viewer has the right picture; gives how soon.
fn watch_rightly(room: &Room) -> Duration {
    let began = Instant::now();
    let client = Client::start(room.agent.into(), room.options()).unwrap();
    let view = client.wait_until(PATIENCE, |view| view.picture.is_some()).unwrap();
    let took = began.elapsed();
    let picture = view.picture.unwrap();
    let number = card::number(SIZE, FPS, &picture.pixels(), picture.version.unwrap());
    assert!(number.is_some(), "it is no card");
    took
}

#[test]
fn whoever_comes_and_goes_the_agent_is_afterwards_what_it_was() {
    let mut chance = Chance::new(chance::seed());
    let homes = Homes::new();
    homes.allow("all");
    let fps = FPS.to_string();
    let args = ["--max-fps", &fps, "--max-viewers", "200", "--write-deadline", "6s"];
    let agent = homes.start(&args);
    homes.know(agent.address);
    let room = Room::new(homes, agent.address);
    // Whatever is made once, and kept, is made now.
    let warm = fill(&room, &agent, (common::soak() / 5).min(Duration::from_secs(20)), &mut chance);
    let first = watch_rightly(&room);
    let before = settle(&agent, None);
    println!("warm: {before} after {} visits, a picture in {first:?}", warm.visits());

    room.open.store(true, Ordering::Release);
    let began = Instant::now();
    let tally = fill(&room, &agent, common::soak(), &mut chance);
    let time = began.elapsed().as_secs_f64();
    let last = watch_rightly(&room);
    let after = settle(&agent, Some(before));
    println!("{tally}\n{:.0} s, {} visits: {before} before, {after} after", time, tally.visits());
    println!("a new viewer had the right picture in {last:?}");
    assert_eq!((after.files, after.threads), (before.files, before.threads));
    assert!(after.rss_kib <= before.rss_kib + MORE, "the agent has grown: {before}, then {after}");
    for kind in Kind::ALL {
        assert!(tally.of(kind) > 0, "nobody was {kind:?}");
    }
    assert!(agent.terminate().success());
    let log = room.homes.agent.path().join("audit");
    obeyed(&run(&["audit", "verify", log.to_str().unwrap()]));
}

/// What the agent has when nobody is there: once it is what it was before, or, where that is not
/// known, when it has not changed for as long as a runtime keeps a thread that has nothing to do.
fn settle(agent: &Agent, before: Option<Holdings>) -> Holdings {
    let end = Instant::now() + 2 * PATIENCE;
    let counts = |holdings: Holdings| (holdings.files, holdings.threads);
    let (mut now, mut since) = (Holdings::of(agent), Instant::now());
    loop {
        let settled = match before {
            Some(before) => counts(now) == counts(before),
            None => since.elapsed() > KEPT,
        };
        if settled || Instant::now() > end {
            return now;
        }
        std::thread::sleep(Duration::from_millis(50));
        let next = Holdings::of(agent);
        if counts(next) != counts(now) {
            since = Instant::now();
        }
        now = next;
    }
}
