//! Agents are found by those who look for them, on networks that have no way out.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/room.rs"]
mod room;
#[path = "common/xvfb.rs"]
mod xvfb;

use common::homes::obeyed;
use common::{Lines, PATIENCE, stderr, stdout};
use room::{Room, Way};
use serde_json::Value;
use std::fs;
use std::process::{Child, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Who has left is gone from the list within this time, however they left.
const GONE: Duration = Duration::from_secs(15);

fn agents(output: &Output) -> Vec<Value> {
    let json = |line: &str| serde_json::from_str(line).unwrap();
    stdout(output).lines().map(json).collect()
}

/// Names and first addresses, in the order in which they are listed.
fn found(output: &Output) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    agents(output).iter().map(|one| (text(&one["name"]), text(&one["addresses"][0]))).collect()
}

/// Runs it until what it says is so, for as long as a test waits, and gives that or the last: a search
/// is short, and a machine that stands still meanwhile hears none.
fn until(room: &Room, args: &[&str], so: impl Fn(&Output) -> bool) -> Output {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = room.operator(args);
        if so(&output) || Instant::now() > end {
            return output;
        }
    }
}

/// Looks until these are found, and nobody else. That nobody is found is for a single look.
fn discover(room: &Room, machines: &[usize]) -> Output {
    until(room, &["discover", "--json"], |output| {
        machines.is_empty() || found(output) == lab(machines)
    })
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
    let nobody = discover(&room, &[1, 2, 3]);
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
    // Those who know this operator's key have been asked, and have answered.
    let known = until(&room, &["discover", "--json"], |output| {
        let said: Vec<_> = agents(output).iter().map(|one| one["state"].is_string()).collect();
        said == [true, true, false]
    });
    let known = agents(&known);
    assert_eq!((&known[0]["known_as"], &known[0]["state"]), (&"lab-1".into(), &"idle".into()));
    assert_eq!((&known[1]["known_as"], &known[1]["state"]), (&"LAB-2".into(), &"watched".into()));
    assert!(known[0]["user"].is_string(), "{known:?}");
    // It does not know this operator's key.
    assert_eq!(known[2]["state"], Value::Null);
    // Each address that is listed can be typed, a link-local one with its network.
    let addresses = known[2]["addresses"].as_array().unwrap();
    let mut addresses = addresses.iter().map(|address| address.as_str().unwrap());
    let link_local = addresses.find(|address| address.starts_with("[fe80::")).unwrap();
    obeyed(&room.operator(&["trust", link_local, "--accept-new"]));
    obeyed(&room.operator(&["trust", link_local, "--forget"]));
    drop(watching.kill());
    drop(watching.wait());

    let unknown = room.operator(&["info", "lab-9"]);
    let said = stderr(&unknown);
    assert!(!unknown.status.success() && said.contains("'lab-9'"), "{said}");
    // Those that are known, by the names that they are known by; and nobody else.
    let all = until(&room, &["info", "--all", "--json"], |output| {
        let left_out = stderr(output).contains("left out: 1 agents");
        output.status.success() && agents(output).len() == 2 && left_out
    });
    obeyed(&all);
    let names: Vec<_> = agents(&all).iter().map(|one| one["host"].clone()).collect();
    assert_eq!(names, ["lab-1", "LAB-2"], "{all:?}");
    assert!(stderr(&all).contains("left out: 1 agents"), "{}", stderr(&all));
    // One that is in the file as well is named once.
    room.write("hightower.toml", "[hosts]\none = \"10.72.84.1\"\n");
    let all = room.operator(&["discover", "--json"]);
    obeyed(&all);
    obeyed(&room.operator(&["trust", "one", "--accept-new"]));
    let all = until(&room, &["info", "--all", "--json"], |output| {
        output.status.success() && agents(output).len() == 2
    });
    obeyed(&all);
    let names: Vec<_> = agents(&all).iter().map(|one| one["host"].clone()).collect();
    assert_eq!(names, ["one", "LAB-2"], "{all:?}");
}

#[test]
fn each_way_is_enough_for_a_room() {
    let Some(room) = Room::furnish("ways", 3) else { return };
    let Some(valves) = room.valves() else { return };
    use Way::{Announcement, Broadcast, Multicast};
    valves.block(&[Broadcast, Announcement]);
    (1..=3).for_each(|machine| room.allow(machine, "all"));
    let listen = ["10.72.84.1:18516", "0.0.0.0:18516", "[::]:18516"];
    let _agents = [1, 2, 3].map(|machine| room.agent(machine, listen[machine - 1], &[]));
    let all = [
        (&[Broadcast, Announcement][..], &[1, 2, 3][..]),
        (&[Multicast, Announcement], &[1, 2, 3]),
        // It is those ways that were open.
        (&[Multicast, Broadcast, Announcement], &[]),
    ];
    for (blocked, machines) in all {
        valves.block(blocked);
        let output = discover(&room, machines);
        assert_eq!(found(&output), lab(machines), "{blocked:?}: {}", stderr(&output));
        assert_eq!(output.status.success(), !machines.is_empty());
    }
}

#[test]
fn a_list_for_people_says_who_is_idle_watched_and_locked() {
    let Some(room) = Room::furnish("states", 3) else { return };
    let Some(display) = xvfb::Xvfb::start(320, 200) else { return };
    (1..=3).for_each(|machine| room.allow(machine, "view,control"));
    // One is not known to this operator, and the others have a pointer to lock.
    let with_pointer = |machine: usize| {
        let mut command = room.command(machine, &format!("10.72.84.{machine}:18516"), &[]);
        let mut agent = common::Agent::start(command.env("DISPLAY", &display.display));
        agent.await_log("hears orders to the room");
        agent
    };
    let _agents = [with_pointer(1), with_pointer(2), room.agent(3, "10.72.84.3:18516", &[])];
    (1..=2).for_each(|machine| room.trust_at(&format!("lab-{machine}")));
    let list = || {
        // All are found, and those who know this operator have said how they are.
        let listed = until(&room, &["discover"], |output| {
            let said = stdout(output);
            let rows = if said.is_empty() { Vec::new() } else { rows(&said) };
            rows.len() == 4 && rows[1..].iter().map(|row| row[3] != "–").eq([true, true, false])
        });
        obeyed(&listed);
        assert_eq!(stderr(&listed), "");
        rows(&stdout(&listed))
    };
    let states = || list()[1..].iter().map(|row| row[3].clone()).collect::<Vec<_>>();
    let listed = list();
    assert_eq!(listed[0], ["NAME", "ADDRESS", "USER", "STATE", "KEY"]);
    for (row, machine) in listed[1..].iter().zip(1..) {
        assert_eq!(row[..2], [format!("lab-{machine}"), format!("10.72.84.{machine}")]);
        assert_eq!((&row[2] == "–", &row[3] == "–"), (machine == 3, machine == 3), "{row:?}");
    }
    assert_eq!(states(), ["idle", "idle", "–"]);
    let keys: Vec<_> = listed[1..].iter().map(|row| row[4].as_str()).collect();
    assert_eq!(keys, ["known as lab-1", "known as lab-2", "not proven"]);

    obeyed(&room.operator(&["lock", "lab-1", "--for", "60s"]));
    assert_eq!(states(), ["locked", "idle", "–"]);
    let mut viewers = [1, 2].map(|machine| {
        let name = format!("lab-{machine}");
        let view = ["view", "--headless", &name];
        let mut watching = room.operates(&view).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::of(watching.stdout.take().unwrap());
        lines.await_line(|line| line.contains("picture"), "a picture");
        watching
    });
    assert_eq!(states(), ["watched, locked", "watched", "–"]);
    obeyed(&room.operator(&["unlock", "lab-1"]));
    assert_eq!(states(), ["watched", "watched", "–"]);
    for viewer in &mut viewers {
        drop(viewer.kill());
        drop(viewer.wait());
    }
    // Who goes without a word is missed when something more is to be sent.
    let end = Instant::now() + PATIENCE;
    while states() != ["idle", "idle", "–"] {
        assert!(Instant::now() < end, "they are watched still: {:?}", states());
    }
}

/// The rows of a table, by the columns that its first line says.
fn rows(table: &str) -> Vec<Vec<String>> {
    let head: Vec<char> = table.lines().next().unwrap().chars().collect();
    let begins = |at: &usize| head[*at] != ' ' && (*at == 0 || head[*at - 1] == ' ');
    let starts: Vec<usize> = (0..head.len()).filter(begins).collect();
    let row = |line: &str| {
        let line: Vec<char> = line.chars().collect();
        let ends = starts[1..].iter().copied().chain([line.len()]);
        let cells = starts.iter().zip(ends).map(|(start, end)| {
            // Nothing stands between two columns.
            assert!(*start == 0 || line[*start - 1] == ' ', "{table}");
            line[*start..end].iter().collect::<String>().trim_end().to_owned()
        });
        cells.collect()
    };
    table.lines().map(row).collect()
}

#[test]
fn an_agent_at_an_address_of_ipv6_alone_is_found_and_reached() {
    let Some(room) = Room::furnish("six", 1) else { return };
    let Some(valves) = room.valves() else { return };
    valves.block(&[Way::Announcement]);
    room.allow(1, "all");
    let _agent = room.agent(1, "[fd72::1]:18516", &[]);
    let at = [("lab-1".to_owned(), "[fd72::1]:18516".to_owned())];
    let output = until(&room, &["discover", "--json"], |output| found(output) == at);
    assert_eq!(found(&output), at, "{}", stderr(&output));
    obeyed(&room.operator(&["trust", "lab-1", "--accept-new"]));
    let told = room.operator(&["info", "--json", "lab-1"]);
    obeyed(&told);
    assert_eq!(agents(&told)[0]["address"], "[fd72::1]:18516", "{}", stdout(&told));
}

#[test]
fn a_name_that_was_found_works_for_every_command() {
    let Some(room) = Room::furnish("names", 1) else { return };
    room.allow(1, "all");
    let (there, here) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = |folder: &TempDir, name: &str| folder.path().join(name).display().to_string();
    let (inbox, outbox) = (path(&there, "inbox"), path(&there, "outbox"));
    fs::create_dir(&outbox).unwrap();
    fs::write(path(&there, "outbox/report"), "fetched").unwrap();
    let (sent, into) = (path(&here, "letter"), here.path().display().to_string());
    fs::write(&sent, "sent").unwrap();
    let recording = path(&here, "lab-1.ht");
    let _agent = room.agent(1, "0.0.0.0:18516", &["--inbox", &inbox, "--outbox", &outbox]);
    obeyed(&room.operator(&["trust", "lab-1", "--accept-new"]));
    for args in [
        &["start", "lab-1"][..],
        &["say", "lab-1", "hello"],
        &["send", &sent, "lab-1"],
        &["fetch", "lab-1:report", &into],
        &["shot", "lab-1", "--out", &into],
        &["record", "lab-1", "--out", &recording, "--for", "100ms"],
    ] {
        let output = room.operator(args);
        let said = format!("{args:?}: {}{}", stdout(&output), stderr(&output));
        assert!(output.status.success(), "{said}");
    }
    assert_eq!(fs::read_to_string(path(&there, "inbox/letter")).unwrap(), "sent");
    assert_eq!(fs::read_to_string(path(&here, "report")).unwrap(), "fetched");
    assert!(fs::metadata(recording).unwrap().len() > 0);
    let pictures = fs::read_dir(here.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "png")
    });
    assert_eq!(pictures.count(), 1);
}

#[test]
fn where_multicast_is_blocked_agents_are_found_by_broadcast() {
    let Some(room) = Room::furnish("all", 3) else { return };
    let mut agents = Vec::new();
    let all = "0.0.0.0:18516";
    for (machine, listen) in [(1, "10.72.84.1:18516"), (2, all), (3, all)] {
        room.allow(machine, "all");
        // No group can be joined, by nobody, for neither way.
        room.sysctl(machine, "net.ipv4.igmp_max_memberships=0");
        room.sysctl(machine, "net.ipv6.conf.all.disable_ipv6=1");
        let mut agent = common::Agent::start(&mut room.command(machine, listen, &[]));
        agent.await_log("can't hear orders to the room");
        agents.push(agent);
    }
    let output = discover(&room, &[1, 2, 3]);
    assert_eq!(found(&output), lab(&[1, 2, 3]), "{}", stderr(&output));
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

/// What `discover --watch` says.
struct Watching {
    program: Child,
    lines: Lines,
}

impl Watching {
    fn begin(room: &Room) -> Self {
        let mut watch = room.operates(&["discover", "--watch", "--json"]);
        let mut program = watch.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(program.stdout.take().unwrap());
        Self { program, lines }
    }

    /// The next line that says this of an agent; those between are passed over.
    fn until(&mut self, event: &str, name: &str) -> Value {
        self.passing(event, name, |_| ())
    }

    /// The same, with a look at each line until then.
    fn passing(&mut self, event: &str, name: &str, look: impl Fn(&Value)) -> Value {
        let so = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            look(&line);
            line["event"] == event && line["name"] == name
        };
        let line = self.lines.await_line(so, &format!("{name} is {event}"));
        serde_json::from_str(&line).unwrap()
    }

    /// It is gone in time, counted from when it left.
    fn gone(&mut self, name: &str, left: Instant) {
        self.until("gone", name);
        let after = left.elapsed();
        println!("{name} is gone {after:?} after it left");
        assert!(after < GONE, "{name} is gone only {after:?} after it left");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

#[test]
fn who_comes_and_who_goes_is_shown() {
    let Some(room) = Room::furnish("watch", 2) else { return };
    (1..=2).for_each(|machine| room.allow(machine, "all"));
    let first = room.agent(1, "0.0.0.0:18516", &[]);
    let mut watch = Watching::begin(&room);
    watch.until("here", "lab-1");
    let second = room.agent(2, "0.0.0.0:18516", &[]);
    watch.until("here", "lab-2");
    // It has no time to say that it goes.
    second.kill();
    watch.gone("lab-2", Instant::now());
    first.terminate();
    watch.gone("lab-1", Instant::now());
}

#[test]
fn who_is_found_by_an_announcement_alone_stays_while_it_is_there_and_no_longer() {
    let Some(room) = Room::furnish("stays", 2) else { return };
    (1..=2).for_each(|machine| room.allow(machine, "all"));
    let agent = room.agent(1, "0.0.0.0:4000", &[]);
    let mut watch = Watching::begin(&room);
    watch.until("here", "lab-1");
    // Time is what it is about: longer than anybody may be silent.
    sleep(GONE + Duration::from_secs(1));
    let _other = room.agent(2, "0.0.0.0:18516", &[]);
    watch.passing("here", "lab-2", |line| assert_ne!(line["event"], "gone", "{line}"));
    agent.kill();
    watch.gone("lab-1", Instant::now());
    // What was announced is remembered longer than that: nobody need say it anew.
    let _again = room.agent(1, "0.0.0.0:4000", &[]);
    let line = watch.until("here", "lab-1");
    assert_eq!(line["addresses"][0], "10.72.84.1:4000", "{line}");
}

/// Those that are known are called, at one address after the other, and who is behind a firewall
/// lets each call wait.
#[test]
fn whose_cable_is_cut_goes_in_time_and_a_call_without_an_answer_keeps_nobody() {
    let Some(room) = Room::furnish("cut", 3) else { return };
    let Some(valves) = room.valves() else { return };
    (1..=3).for_each(|machine| room.allow(machine, "all"));
    let agents = [1, 2, 3].map(|machine| room.agent(machine, "[::]:18516", &[]));
    (1..=3).for_each(|machine| room.trust_at(&format!("lab-{machine}")));
    valves.block_at(2, &[Way::Connection]);
    let mut watch = Watching::begin(&room);
    // In any order, each once it has proven its key; the second can't.
    let mut unknown = vec!["lab-1", "lab-2", "lab-3"];
    while !unknown.is_empty() {
        let line: Value = serde_json::from_str(&watch.lines.next_line().expect("a line")).unwrap();
        let is_here = |name| name == "lab-2" && line["event"] == "here" && line["name"] == name;
        unknown.retain(|name| line["known_as"] != *name && !is_here(*name));
    }
    // In the midst of calls to the second, which has been asked and has said that it is there.
    sleep(Duration::from_secs(4));
    room.plug(1, false);
    let cut = Instant::now();
    let [_first, _second, third] = agents;
    third.kill();
    let mut left = vec!["lab-1", "lab-3"];
    while !left.is_empty() {
        let line: Value = serde_json::from_str(&watch.lines.next_line().expect("a line")).unwrap();
        let is_gone = line["event"] == "gone" && line["name"] != "lab-2";
        assert!(is_gone || line["event"] == "changed", "{line}");
        left.retain(|name| !is_gone || line["name"] != *name);
        println!("{line} {:?} after they left", cut.elapsed());
        assert!(cut.elapsed() < GONE, "{left:?} are there after {:?}", cut.elapsed());
    }
    room.plug(1, true);
    watch.until("here", "lab-1");
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
    // Whoever asks waits for a second, in which a machine may stand still.
    let until = |often: &str, least: usize| {
        let end = Instant::now() + PATIENCE;
        loop {
            let answers = ask(often);
            if answers >= least || Instant::now() > end {
                return answers;
            }
        }
    };
    // Each is asked twice.
    assert_eq!(until("3", 3), 3);
    let answers = until("200", 1);
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
