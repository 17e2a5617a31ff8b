//! Agents are found by those who look for them, on networks that have no way out.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/room.rs"]
mod room;

use common::homes::obeyed;
use common::{Lines, PATIENCE, stderr, stdout};
use room::Room;
use serde_json::Value;
use std::process::{Output, Stdio};
use std::time::Instant;

fn agents(output: &Output) -> Vec<Value> {
    let json = |line: &str| serde_json::from_str(line).unwrap();
    stdout(output).lines().map(json).collect()
}

/// Names and first addresses, in the order in which they are listed.
fn found(output: &Output) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    agents(output).iter().map(|one| (text(&one["name"]), text(&one["addresses"][0]))).collect()
}

fn lab(machines: &[usize]) -> Vec<(String, String)> {
    let one = |n: &usize| (format!("lab-{n}"), format!("10.72.84.{n}:18516"));
    machines.iter().map(one).collect()
}

#[test]
fn agents_are_found_whatever_address_they_listen_at_and_tell_operators_more() {
    let Some(room) = Room::furnish("find", 3) else { return };
    (1..=2).for_each(|machine| room.allow(machine, "view,control"));
    let _agents = [
        room.agent(1, "10.72.84.1:18516", &[]),
        room.agent(2, "0.0.0.0:18516", &["--autostart"]),
        room.agent(3, "[::]:18516", &[]),
    ];
    let nobody = room.operator(&["discover", "--json"]);
    obeyed(&nobody);
    assert_eq!(found(&nobody), lab(&[1, 2, 3]), "{}", stderr(&nobody));
    for agent in agents(&nobody) {
        // Strangers are told the name and the key, and nothing of who sits there.
        assert!(agent["key"].as_str().unwrap().starts_with("SHA256:"), "{agent}");
        assert_eq!((&agent["user"], &agent["state"]), (&Value::Null, &Value::Null), "{agent}");
        assert_eq!(agent["known_as"], Value::Null);
    }

    // Where a name is asked for, one that was found will do.
    obeyed(&room.operator(&["trust", "lab-1", "--accept-new"]));
    obeyed(&room.operator(&["trust", "LAB-2", "--accept-new"]));
    let mut watching = room.operates(&["view", "--headless", "LAB-2"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(watching.stdout.take().unwrap());
    lines.await_line(|line| line.contains("picture"), "a picture");
    let known = room.operator(&["discover", "--json"]);
    let known = agents(&known);
    assert_eq!((&known[0]["known_as"], &known[0]["state"]), (&"lab-1".into(), &"idle".into()));
    assert_eq!((&known[1]["known_as"], &known[1]["state"]), (&"LAB-2".into(), &"watched".into()));
    assert!(known[0]["user"].is_string(), "{known:?}");
    // It does not know this operator's key.
    assert_eq!(known[2]["state"], Value::Null);
    drop(watching.kill());
    drop(watching.wait());

    let unknown = room.operator(&["info", "lab-9"]);
    let said = stderr(&unknown);
    assert!(!unknown.status.success() && said.contains("'lab-9'"), "{said}");
    // Those that are known, by the names that they are known by; and nobody else.
    let all = room.operator(&["info", "--all", "--json"]);
    obeyed(&all);
    let names: Vec<_> = agents(&all).iter().map(|one| one["host"].clone()).collect();
    assert_eq!(names, ["lab-1", "LAB-2"], "{all:?}");
    assert!(stderr(&all).contains("left out: 1 agents"), "{}", stderr(&all));
    // One that is in the file as well is named once.
    room.write("hightower.toml", "[hosts]\none = \"10.72.84.1\"\n");
    let all = room.operator(&["discover", "--json"]);
    obeyed(&all);
    obeyed(&room.operator(&["trust", "one", "--accept-new"]));
    let all = room.operator(&["info", "--all", "--json"]);
    obeyed(&all);
    let names: Vec<_> = agents(&all).iter().map(|one| one["host"].clone()).collect();
    assert_eq!(names, ["one", "LAB-2"], "{all:?}");
}

#[test]
fn where_multicast_is_blocked_agents_are_found_by_broadcast() {
    let Some(room) = Room::furnish("all", 2) else { return };
    let mut agents = Vec::new();
    for (machine, listen) in [(1, "10.72.84.1:18516"), (2, "0.0.0.0:18516")] {
        room.allow(machine, "all");
        // No group can be joined, by nobody, for neither way.
        room.sysctl(machine, "net.ipv4.igmp_max_memberships=0");
        room.sysctl(machine, "net.ipv6.conf.all.disable_ipv6=1");
        let mut agent = common::Agent::start(&mut room.command(machine, listen, &[]));
        agent.await_log("can't hear orders to the room");
        agents.push(agent);
    }
    let output = room.operator(&["discover", "--json"]);
    assert_eq!(found(&output), lab(&[1, 2]), "{}", stderr(&output));
}

#[test]
fn who_is_silent_is_not_found_and_one_at_another_port_is_by_its_announcement() {
    let Some(room) = Room::furnish("silent", 3) else { return };
    (1..=3).for_each(|machine| room.allow(machine, "all"));
    let _silent = room.agent(1, "0.0.0.0:18516", &["--no-discovery"]);
    let _loopback = common::Agent::start(&mut room.command(2, "127.0.0.1:18516", &[]));
    // Not even those on its own machine are answered.
    let asked = room.on(2, "python3").args(["-c", ASK, "127.0.0.1", "1"]).output().unwrap();
    assert_eq!(stdout(&asked).trim(), "[]", "{}", stderr(&asked));
    let _other = room.agent(3, "0.0.0.0:4000", &[]);
    let end = Instant::now() + PATIENCE;
    loop {
        // An announcement comes once the name was found to be free.
        let output = room.operator(&["discover", "--json"]);
        let found = found(&output);
        if found == [("lab-3".into(), "10.72.84.3:4000".into())] {
            break;
        }
        assert!(found.is_empty() && Instant::now() < end, "{found:?}");
    }
    obeyed(&room.operator(&["trust", "lab-3", "--accept-new"]));
    obeyed(&room.operator(&["info", "lab-3"]));
}

#[test]
fn who_comes_and_who_goes_is_shown() {
    let Some(room) = Room::furnish("watch", 2) else { return };
    (1..=2).for_each(|machine| room.allow(machine, "all"));
    let first = room.agent(1, "0.0.0.0:18516", &[]);
    let mut watch = room.operates(&["discover", "--watch", "--json"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::of(watch.stdout.take().unwrap());
    let event = |event: &'static str, name: &'static str| {
        move |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["event"] == event && line["name"] == name
        }
    };
    lines.await_line(event("here", "lab-1"), "lab-1 is here");
    let second = room.agent(2, "0.0.0.0:18516", &[]);
    lines.await_line(event("here", "lab-2"), "lab-2 is here");
    // It has no time to say that it goes.
    let killed = Instant::now();
    second.kill();
    lines.await_line(event("gone", "lab-2"), "lab-2 is gone");
    println!("gone {:?} after it was killed", killed.elapsed());
    first.terminate();
    lines.await_line(event("gone", "lab-1"), "lab-1 is gone");
    drop(watch.kill());
    drop(watch.wait());
}

/// Asks an agent so often, each question twice, and says how long the answers are.
const ASK: &str = r#"
import socket, struct, sys
ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask.settimeout(1)
lengths = []
for nonce in range(int(sys.argv[2])):
    query = struct.pack(">qqI", 180, 44, nonce) + bytes(160)
    for _ in range(2):
        ask.sendto(query, (sys.argv[1], 18516))
try:
    while True:
        lengths.append(len(ask.recv(2000)))
except TimeoutError:
    print(lengths)
"#;

#[test]
fn an_answer_is_short_rare_and_given_once() {
    let Some(room) = Room::furnish("short", 1) else { return };
    room.allow(1, "all");
    let mut agent = common::Agent::start(&mut room.command(1, "0.0.0.0:18516", &["-vv"]));
    let ask = |often: &str| {
        let asked = room.at_desk("python3").args(["-c", ASK, "10.72.84.1", often]).output();
        let lengths: Vec<usize> = serde_json::from_str(&stdout(&asked.unwrap())).unwrap();
        assert!(lengths.iter().all(|length| *length <= 4 * 180), "{lengths:?}");
        lengths.len()
    };
    // Each is asked twice.
    assert_eq!(ask("3"), 3);
    let answers = ask("200");
    assert!((1..=16).contains(&answers), "{answers} of 200");
    agent.await_log("there are too many");
    // Too little room for an answer of four times the length.
    let short = hightower_proto::message::Query { nonce: 7, padding: 0 };
    let short = hightower_proto::Message::Query(short).encode();
    let end = Instant::now() + PATIENCE;
    // Once it is answered again at all.
    while ask("1") == 0 {
        assert!(Instant::now() < end, "no answer any more");
    }
    room.datagram("10.72.84.1", &short);
    agent.await_log("shorter than its answer may be");
}
