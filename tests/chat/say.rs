//! One message, without coming into the room.

use crate::chaos::{Chaos, Fault};
use crate::common::chatter::Chatter;
use crate::common::{Agent, hightower, run, stderr, stdout};
use crate::site::Site;
use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut command = hightower();
    let pipes = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::piped()).spawn().unwrap();
    // It may refuse before it has read all.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

#[test]
fn a_message_tells_to_how_many_it_went() {
    let site = Site::open();
    let address = site.agent.address.to_string();
    let say = |text: &str| site.anna(&["say", &address, text]).output().unwrap();
    let alone = say("is anybody there?");
    assert!(alone.status.success(), "{}", stdout(&alone));
    assert_eq!(stdout(&alone), format!("{address}  said; nobody is in the chat\n"));
    let (mut kim, mut ben) = (site.chat_here(), site.chat(Site::ben));
    let said = site.anna(&["say", "--json", &address, "two\nlines"]).output().unwrap();
    let told: Value = serde_json::from_str(&stdout(&said)).unwrap();
    assert_eq!((&told["ok"], &told["heard_by"]), (&true.into(), &2.into()), "{told}");
    // Neither gets what was said before they came.
    for chatter in [&mut kim, &mut ben] {
        assert_eq!(chatter.said(), ("anna".into(), "two\nlines".into()));
    }
    // Who says something neither comes into the room nor goes.
    say("bye");
    let next = kim.next();
    assert_eq!((&next["event"], &next["text"]), (&"said".into(), &"bye".into()), "{next}");
}

#[test]
fn what_is_no_message_is_not_sent_and_who_is_not_reached_is_named() {
    let agent = Agent::card(&[]);
    let address = agent.address.to_string();
    for (text, words) in [
        (&b" \n"[..], "the message is empty"),
        (&[b'x'; 4097], "more than the 4096 bytes"),
        (&[b'x'; 100_000], "too long"),
        (b"Gr\xfc\xdfe", "not UTF-8 from its byte 3 on"),
    ] {
        let refused = with_input(&["say", &address, "-"], text);
        assert!(!refused.status.success() && stderr(&refused).contains(words), "{refused:?}");
    }
    let longest = "ü".repeat(2048) + "\n";
    let said = with_input(&["say", &address, "-"], longest.as_bytes());
    assert!(said.status.success(), "{}", stdout(&said));
    let both = run(&["say", "--json", &address, "127.0.0.1:1", "hello"]);
    let lines: Vec<Value> =
        stdout(&both).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |host: &str| lines.iter().find(|line| line["host"] == host).unwrap();
    assert!(!both.status.success() && of(&address)["ok"] == true, "{lines:?}");
    assert!(of("127.0.0.1:1")["error"].as_str().unwrap().contains("nothing listens"));
}

/// The network breaks at each place of the exchange, and after that it is whole.
#[test]
fn an_answer_that_is_lost_does_not_make_a_message_come_twice() {
    let agent = Agent::card(&[]);
    let (cut, calls) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
    let (place, count) = (Arc::clone(&cut), Arc::clone(&calls));
    let chaos = Chaos::tcp(agent.address, move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => Fault::Cut(place.load(Ordering::SeqCst)),
        _ => Fault::Cut(u64::MAX),
    });
    let mut there = Chatter::start(hightower().args(["chat", &agent.address.to_string()]));
    there.event("present");
    let address = chaos.address.to_string();
    let (mut said, mut again) = (Vec::new(), 0);
    for at in (0..4000).step_by(40) {
        cut.store(at, Ordering::SeqCst);
        calls.store(0, Ordering::SeqCst);
        let text = at.to_string();
        let output = run(&["say", &address, &text]);
        if output.status.success() {
            said.push(text);
            again += usize::from(calls.load(Ordering::SeqCst) > 1);
        }
        // Once it is whole at the first go, nothing new comes.
        if output.status.success() && calls.load(Ordering::SeqCst) == 1 {
            break;
        }
    }
    assert!(again > 0, "the answer was never lost");
    run(&["say", &agent.address.to_string(), "that was all"]);
    said.push("that was all".into());
    let heard: Vec<_> = said.iter().map(|_| there.said().1).collect();
    assert_eq!(heard, said);
}
