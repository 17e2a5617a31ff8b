//! What is done to a machine is written down, and what is done to the log shows.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use common::disk::Disk;
use common::homes::{Homes, obeyed, refusals, refused};
use common::{PATIENCE, Plain, run, stdout};
use hightower::audit::{Audit, Event, Policy, What};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn events(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("audit.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the log has an event that is so.
fn await_event(folder: &Path, so: impl Fn(&serde_json::Value) -> bool, what: &str) {
    let end = Instant::now() + PATIENCE;
    while !events(folder).iter().any(&so) {
        assert!(Instant::now() < end, "no {what} in {:#?}", events(folder));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn whoever_ends_can_wait_until_all_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path().into(), 1 << 20, Policy::Continue).unwrap();
    for n in 0..500 {
        audit.note(Event::of(What::Start, n));
    }
    assert!(audit.written(PATIENCE).await);
    // Now, not soon.
    let written = events(folder.path());
    assert_eq!(written.len(), 500);
    assert_eq!(written[499]["outcome"], "499");
}

#[test]
fn who_did_what_is_in_the_log_and_the_log_is_whole_until_it_is_touched() {
    let homes = Homes::new();
    let folder = homes.agent.path().join("audit");
    let agent = homes.start(&[]);
    homes.trust(&agent);
    refused(&homes.picture(&agent), "does not know the key");
    drop(Plain::connect(agent.address));
    homes.allow("view");
    obeyed(&homes.picture(&agent));
    obeyed(&homes.order(&agent, "stop"));
    refused(&homes.order(&agent, "lock"), "role");
    let is = |event: &serde_json::Value, what: &str| event["event"] == what;
    await_event(
        &folder,
        |e| is(e, "refuse") && e["outcome"].as_str().unwrap().contains("role"),
        "lock",
    );
    await_event(&folder, |e| is(e, "leave"), "leave");
    agent.terminate();
    await_event(&folder, |e| is(e, "end"), "end");

    let log = events(&folder);
    let kinds: Vec<_> = log.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let mut wanted = ["begin", "refuse", "key_change", "connect", "stop", "end"].iter();
    let mut next = wanted.next();
    for kind in &kinds {
        if Some(kind) == next {
            next = wanted.next();
        }
    }
    assert_eq!(next, None, "{kinds:?}");
    let connect = log.iter().find(|event| is(event, "connect")).unwrap();
    assert_eq!(connect["operator"], "anna");
    assert!(connect["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    let key = homes.key().public().fingerprint();
    assert!(log.iter().any(|e| is(e, "refuse") && e["outcome"].as_str().unwrap().contains(&key)));

    let at = folder.to_str().unwrap();
    let whole = run(&["audit", "verify", at]);
    obeyed(&whole);
    let head: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["audit", "verify", "--json", at]))).unwrap();
    assert_eq!((&head["ok"], &head["lines"]), (&true.into(), &log.len().into()));
    let file = folder.join("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("anna", "bert", 1)).unwrap();
    refused(&run(&["audit", "verify", at]), "NOT WHOLE");
    refused(&run(&["audit", "verify", "/nonexistent"]), "/nonexistent");
}

#[test]
fn who_is_refused_all_day_is_counted_and_washes_nothing_away() {
    let homes = Homes::new();
    homes.allow("control");
    let folder = homes.agent.path().join("audit");
    let agent = homes.start(&["--accept-rate", "1000"]);
    homes.trust(&agent);
    // By TCP and, as ten a second are answered at most, by UDP for a second and a half.
    for _ in 0..500 {
        Plain::connect(agent.address).send(b"GET / HTTP/1.1\r\n\r\n");
    }
    let end = Instant::now() + Duration::from_millis(1500);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams = 0;
    while Instant::now() < end {
        datagrams += socket.send_to(&[7; 40], agent.address).unwrap() / 40;
        std::thread::sleep(Duration::from_millis(5));
    }
    // What those do whose key is known is written all the same, from the same address.
    refused(&homes.picture(&agent), "does not have the role view");
    await_event(
        &folder,
        |e| e["outcome"].as_str().unwrap().contains("does not have the role view"),
        "refusal of a known key",
    );
    homes.allow("view");
    obeyed(&homes.picture(&agent));
    await_event(&folder, |e| e["event"] == "leave", "leave");
    agent.terminate();
    await_event(&folder, |e| e["event"] == "end", "end");
    let (told, lines) = refusals(&folder);
    println!("{told} refusals, {datagrams} of them datagrams at most, in {lines} lines");
    assert!(lines <= 64, "{lines} lines");
    assert!(told >= 500, "only {told} are told of");
}

fn on_a_full_disk(policy: &str, then: impl Fn(&Homes, &common::Agent)) {
    let Some(disk) = Disk::new() else { return };
    let homes = Homes::new();
    homes.allow("all");
    let folder = disk.path().join("audit");
    let args = ["--audit", folder.to_str().unwrap(), "--audit-policy", policy];
    let mut agent = homes.start(&args);
    homes.trust(&agent);
    obeyed(&homes.picture(&agent));
    disk.fill();
    // 4 KiB are fewer than so many events.
    for _ in 0..12 {
        drop(homes.order(&agent, "start"));
        drop(homes.order(&agent, "stop"));
    }
    println!("{}", agent.await_log("the audit log can't be written"));
    then(&homes, &agent);
    disk.free();
    // Somebody tries again, and that can be written.
    drop(homes.order(&agent, "start"));
    drop(homes.order(&agent, "stop"));
    agent.await_log("the audit log can be written again");
    await_event(&folder, |event| event["event"] == "lost", "word of what was lost");
    obeyed(&homes.picture(&agent));
    obeyed(&run(&["audit", "verify", folder.to_str().unwrap()]));
}

#[test]
fn a_full_disk_is_said_and_nobody_is_obeyed_where_that_is_wanted() {
    on_a_full_disk("refuse", |homes, agent| {
        refused(&homes.order(agent, "start"), "the audit log can't be written");
        refused(&homes.picture(agent), "the audit log can't be written");
    });
}

#[test]
fn a_full_disk_is_said_and_stops_nothing_otherwise() {
    on_a_full_disk("continue", |homes, agent| obeyed(&homes.picture(agent)));
}
