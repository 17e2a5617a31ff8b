//! One datagram commands a room: those it is for, and nobody else.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/room.rs"]
mod room;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::obeyed;
use common::{Agent, packet, stderr, stdout};
use hightower::trust::now_ms;
use hightower_proto::Message;
use hightower_proto::message::{Order, Signed};
use room::Room;
use std::process::Output;

/// The group that orders go to.
const GROUP: &str = "239.255.72.84";

/// The times that an order is sent on each network at most.
const ROUNDS: u64 = 4;

/// A room of three. Each listens in another way; the first two are in the group `front`.
fn three(name: &str) -> Option<(Room, Vec<Agent>)> {
    let room = Room::furnish(name, 3)?;
    (1..=3).for_each(|machine| room.allow(machine, "all"));
    let agents = vec![
        room.agent(1, "10.72.84.1:18516", &["--group", "front"]),
        room.agent(2, "0.0.0.0:18516", &["--group", "front,window"]),
        room.agent(3, "[::]:18516", &["--group", "back"]),
    ];
    Some((room, agents))
}

/// The outcome of each machine, by the last number of its address.
fn outcomes(output: &Output) -> Vec<(usize, String)> {
    let line = |line: &str| {
        let (name, outcome) = line.split_once("  ").unwrap();
        let number = name.trim_start_matches("10.72.84.").trim_start_matches("fd72::");
        (number.parse().unwrap(), outcome.trim().to_owned())
    };
    let mut outcomes: Vec<_> = stdout(output).lines().map(line).collect();
    outcomes.sort();
    outcomes
}

fn all_say(output: &Output, machines: &[usize], words: &str) {
    let expected: Vec<_> = machines.iter().map(|machine| (*machine, words.to_owned())).collect();
    assert_eq!(outcomes(output), expected, "{}", stderr(output));
}

#[test]
fn one_datagram_reaches_a_group_or_all_and_who_has_obeyed_is_said() {
    let Some((room, mut agents)) = three("reach") else { return };
    (1..=3).for_each(|machine| room.trust(machine));

    let before = room.datagrams_sent();
    let started = room.operator(&["start", "--group", "front"]);
    obeyed(&started);
    all_say(&started, &[1, 2], "monitoring");
    assert!(stderr(&started).contains("2 obeyed, 0 refused, 0 silent"), "{}", stderr(&started));
    // However many there are in the group, each round is one datagram.
    assert_eq!(room.datagrams_sent() - before, ROUNDS);
    assert_eq!(room.audited(3, "start"), 0, "who is not in the group does nothing");
    agents[0].await_log("monitoring is started");

    let before = room.datagrams_sent();
    let stopped = room.operator(&["stop", "--all"]);
    obeyed(&stopped);
    all_say(&stopped, &[1, 2, 3], "stopped");
    assert!((2..=ROUNDS).contains(&(room.datagrams_sent() - before)));
    agents[1].await_log("monitoring is stopped");

    let both = room.operator(&["start", "--group", "back", "--group", "window", "--json"]);
    obeyed(&both);
    let lines: Vec<serde_json::Value> =
        stdout(&both).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[..2].iter().all(|line| line["ok"] == true && line["host"] != "10.72.84.1"));
    assert_eq!((&lines[2]["obeyed"], &lines[2]["silent"]), (&2.into(), &0.into()));

    let nobody = room.operator(&["stop", "--group", "roof"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("no agent was found"), "{}", stderr(&nobody));
    // The third hears each order twice, by IPv4 and by IPv6, and takes neither for the other.
    let log = agents.remove(2).end();
    assert!(log.contains("monitoring is started"), "{log}");
    assert!(!log.contains("a datagram is refused"), "{log}");
}

#[test]
fn who_is_missing_is_said_and_who_is_not_known_is_counted() {
    let Some((room, mut agents)) = three("missing") else { return };
    room.trust(1);
    room.trust(2);
    let started = room.operator(&["start", "--all"]);
    obeyed(&started);
    all_say(&started, &[1, 2], "monitoring");
    let said = stderr(&started);
    assert!(said.contains("1 agent answered whose key you don't know"), "{said}");
    assert!(said.contains("hightower trust"), "{said}");
    // The order is for all, whether they are known or not.
    agents[2].await_log("monitoring is started");

    agents.remove(1).kill();
    let stopped = room.operator(&["stop", "--all"]);
    assert_eq!(stopped.status.code(), Some(1));
    let outcomes = outcomes(&stopped);
    assert_eq!(outcomes[0], (1, "stopped".into()));
    assert!(outcomes[1].0 == 2 && outcomes[1].1.contains("no answer"), "{outcomes:?}");
    assert!(stderr(&stopped).contains("1 obeyed, 0 refused, 1 silent"), "{}", stderr(&stopped));
    // Whom a group has is not known here: nobody is missed.
    obeyed(&room.operator(&["start", "--group", "front"]));
    let nobody = room.operator(&["start", "--group", "nowhere"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("no agent was found"), "{}", stderr(&nobody));
    let nobody = stdout(&room.operator(&["start", "--group", "nowhere", "--json"]));
    assert!(nobody.contains(r#""error":"no agent was found"#), "{nobody}");
}

#[test]
fn all_are_those_of_the_file_too_and_each_is_named_once() {
    let Some((room, mut agents)) = three("file") else { return };
    room.trust(3);
    // The first is known by the name that the file gives it; the last is at no address.
    room.write(
        "hightower.toml",
        "[hosts]\n1 = \"10.72.84.1\"\n[groups]\na = [\"10.72.84.2\", \"10.72.84.9\"]\n",
    );
    room.trust_at("1");
    room.trust(2);
    let known =
        "10.72.84.9 ".to_owned() + &hightower::trust::SecretKey::generate().public().to_string();
    let list = room.known() + &known + "\n";
    room.write("known_agents", &list);
    let started = room.operator(&["start", "--all"]);
    assert_eq!(started.status.code(), Some(1));
    let all = outcomes(&started);
    let done: Vec<_> = all.iter().filter(|(_, words)| words == "monitoring").collect();
    assert_eq!(done.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3], "{all:?}");
    assert!(all.len() == 4 && all[3].0 == 9 && all[3].1.starts_with("failed"), "{all:?}");
    assert!(stderr(&started).contains("3 obeyed, 0 refused, 1 silent"), "{}", stderr(&started));

    // Without it all is well, and what is told to scripts counts each once.
    room.write("hightower.toml", "[hosts]\n1 = \"10.72.84.1\"\n");
    room.write("known_agents", &list.replace(&known, ""));
    let stopped = room.operator(&["stop", "--all", "--json"]);
    obeyed(&stopped);
    let lines: Vec<serde_json::Value> =
        stdout(&stopped).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!((&lines[3]["obeyed"], &lines[3]["silent"]), (&3.into(), &0.into()));
    // One of the file that has gone is silent, whichever way it was called.
    agents.remove(0).kill();
    let started = room.operator(&["start", "--all"]);
    assert_eq!(started.status.code(), Some(1));
    assert!(stderr(&started).contains("2 obeyed, 0 refused, 1 silent"), "{}", stderr(&started));
    assert_eq!(outcomes(&started).len(), 3);
}

#[test]
fn what_is_played_again_or_not_signed_is_not_obeyed_by_multicast() {
    let Some((room, mut agents)) = three("again") else { return };
    let key = room.key();
    let order = Order {
        by: key.public().id(),
        time_ms: now_ms(),
        counter: 7,
        to: vec![],
        order: Box::new(Message::StartMonitor),
    };
    let bytes = Message::Signed(Signed::new(order, |bytes| key.sign(bytes))).encode();
    room.datagram(GROUP, &bytes);
    agents.iter_mut().for_each(|agent| drop(agent.await_log("monitoring is started")));
    room.datagram(GROUP, &bytes);
    for agent in &mut agents {
        agent.await_log("refused: it was given before");
    }
    room.datagram(GROUP, &packet(1, b"", false, false));
    for agent in &mut agents {
        agent.await_log("what is sent to many is obeyed only when it is signed");
    }
    // The log is written out when they have ended.
    agents.into_iter().for_each(|agent| drop(agent.end()));
    for machine in 1..=3 {
        assert_eq!((room.audited(machine, "start"), room.audited(machine, "stop")), (1, 0));
    }
}

#[test]
fn an_insecure_agent_obeys_no_broadcast() {
    let Some(room) = Room::furnish("cast", 1) else { return };
    let mut agent = Agent::start(&mut room.command(1, "0.0.0.0:18516", &["--insecure"]));
    // To the network's own broadcast address, and to that of all networks.
    for to in ["10.72.84.255", "255.255.255.255"] {
        let script = format!(
            "import socket as s; s = s.socket(2, 2); s.setsockopt(1, 6, 1); \
             s.setsockopt(1, 25, b'br0'); s.sendto(bytes(7) + b'\\x10' + bytes(8), ('{to}', 18516))"
        );
        match room.at_desk("python3").args(["-c", &script]).output() {
            Ok(output) => obeyed(&output),
            Err(e) => return println!("skipped: python3 is needed: {e}"),
        }
        agent.await_log("what is sent to many is obeyed only when it is signed");
    }
    room.datagram("10.72.84.1", &packet(0, b"", false, false));
    agent.await_log("monitoring is started");
}

#[test]
fn each_agent_asks_its_own_list_what_the_operator_may() {
    let Some(room) = Room::furnish("roles", 2) else { return };
    let Some(display) = xvfb::Xvfb::start(320, 200) else { return };
    room.allow(1, "all");
    room.allow(2, "view");
    // The first has a pointer to lock.
    let mut command = room.command(1, "0.0.0.0:18516", &[]);
    let mut first = Agent::start(command.env("DISPLAY", &display.display));
    first.await_log("hears orders to the room");
    // The second speaks IPv6 alone, at one address.
    let _second = room.agent(2, "[fd72::2]:18516", &[]);
    room.trust(1);
    room.trust_at("fd72::2");

    let locked = room.operator(&["lock", "--for", "20s", "--all"]);
    assert_eq!(locked.status.code(), Some(1));
    let outcomes = outcomes(&locked);
    assert_eq!(outcomes[0], (1, "locked for 20 s".into()));
    assert!(outcomes[1].1.contains("does not have the role control"), "{outcomes:?}");
    assert!(stderr(&locked).contains("1 obeyed, 1 refused, 0 silent"), "{}", stderr(&locked));
    let started = room.operator(&["start", "--all"]);
    obeyed(&started);
    all_say(&started, &[1, 2], "monitoring");
    assert_eq!(room.audited(2, "lock"), 0);
    first.await_log("the pointer is locked");
}
