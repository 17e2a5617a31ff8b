//! Agents that are killed, at any moment, and what they leave behind.

use crate::chance::{self, Chance};
use crate::common::homes::{Homes, obeyed, refused};
use crate::common::watch::Watch;
use crate::common::{Agent, own_loopback, run, stdout};
use crate::site::VIEW;
use hightower_proto::Message;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Of the orders that an agent has obeyed, so many of the last are given to the next one.
const TRIED_AGAIN: usize = 4;

/// Gives orders for a while; those that were obeyed.
fn order(homes: &Homes, agent: &Agent, time: Duration) -> Vec<Vec<u8>> {
    let end = Instant::now() + time;
    let orders = [Message::StopMonitor, Message::StartMonitor].into_iter().cycle();
    let signed = orders.take_while(|_| Instant::now() < end).map(|order| homes.sign(order));
    signed.inspect(|bytes| assert!(homes.ask(agent, bytes).ok)).collect()
}

/// None of these orders, which were obeyed before, is obeyed once more.
fn refuse_again(homes: &Homes, agent: &Agent, orders: &[Vec<u8>]) {
    for order in orders.iter().rev().take(TRIED_AGAIN) {
        homes.ignored(agent, order);
    }
}

/// Adds what a machine that lost its power may have left of the last write.
fn tear(file: &Path, piece: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(piece).unwrap();
}

#[test]
fn an_agent_that_is_killed_is_watched_again_and_obeys_nothing_twice() {
    let homes = Homes::new();
    homes.allow("all");
    let mut agent = homes.start(&["--listen", &own_loopback()]);
    homes.trust(&agent);
    let (address, log) = (agent.address.to_string(), homes.agent.path().join("audit"));
    let log = log.to_str().unwrap();
    let mut chance = Chance::new(chance::seed());
    let view = [&VIEW[..], &["--tls", &address]].concat();
    let viewers: Vec<Watch> = (0..3).map(|_| Watch::start(&mut homes.command(&view))).collect();
    let mut frames = [0; 3];
    for life in 1..=4 {
        obeyed(&homes.order(&agent, "start"));
        for (viewer, frames) in viewers.iter().zip(&mut frames) {
            let watched = viewer.wait_for("pictures of the agent's next life", |seen| {
                seen.connections >= life && seen.frames > *frames
            });
            *frames = watched.frames;
        }
        let orders = order(&homes, &agent, Duration::from_millis(chance.of(1..150) as u64));
        // The monitoring is on, so that the viewers ask for it again.
        obeyed(&homes.order(&agent, "start"));
        for viewer in &viewers {
            viewer.wait_for("that it is on", |seen| seen.monitoring == Some(true));
        }
        agent.kill();
        // A log that nothing but the agent's death has touched is whole.
        obeyed(&run(&["audit", "verify", log]));
        agent = homes.start(&["--listen", &address]);
        refuse_again(&homes, &agent, &orders);
        println!("life {life}: {} orders obeyed, and not again", orders.len());
    }
    for viewer in &viewers {
        assert!(viewer.seen().faults.is_empty(), "{:?}", viewer.seen());
    }
}

#[test]
fn a_line_and_a_record_that_are_torn_cost_no_more_than_themselves() {
    let homes = Homes::new();
    homes.allow("all");
    let agent = homes.start(&[]);
    homes.trust(&agent);
    obeyed(&homes.order(&agent, "start"));
    let orders = order(&homes, &agent, Duration::from_millis(50));
    agent.kill();
    let folder = homes.agent.path().join("audit");
    tear(&folder.join("audit.jsonl"), br#"{"number":7,"time":"2026-01-"#);
    tear(&homes.agent.path().join("seen_orders"), &[7; 20]);

    let agent = homes.start(&[]);
    homes.know(agent.address);
    refuse_again(&homes, &agent, &orders);
    let later = order(&homes, &agent, Duration::from_millis(50));
    agent.kill();
    let agent = homes.start(&[]);
    refuse_again(&homes, &agent, &later);
    refuse_again(&homes, &agent, &orders);
    assert!(agent.terminate().success());
    // What is torn is told, and where; nothing else is found.
    let verified = run(&["audit", "verify", folder.to_str().unwrap()]);
    refused(&verified, "changed or cut off");
    let said = stdout(&verified);
    println!("{said}");
    assert_eq!(said.lines().count(), 2, "one fault and the verdict: {said}");
}
