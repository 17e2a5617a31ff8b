//! The network breaks, the agent does: no message is lost, and none comes twice.

use crate::chance::Chance;
use crate::chaos::{Chaos, Fault};
use crate::common::chatter::Chatter;
use crate::common::{Agent, hightower, own_loopback};
use crate::fake_agent::FakeAgent;
use crate::site::Site;
use hightower_proto::message::{Joined, Reply, Room};
use hightower_proto::{Command, Message};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// More than may wait, and than are taken at once.
const LINES: usize = 130;

/// A box in between that breaks each connection after some packets.
fn breaker(agent: &Agent, seed: u64) -> Chaos {
    let mut chance = Chance::new(seed);
    Chaos::tcp(agent.address, move || Fault::Cut(chance.of(8_000..20_000) as u64))
}

#[test]
fn what_is_said_through_cuts_arrives_once_and_in_order() {
    let site = Site::open();
    let (for_anna, for_ben) = (breaker(&site.agent, 1), breaker(&site.agent, 2));
    site.know(for_anna.address);
    site.know(for_ben.address);
    let mut kim = site.chat_here();
    let mut anna = site.chat_at(Site::anna, for_anna.address);
    let mut ben = site.chat_at(Site::ben, for_ben.address);
    let expected: Vec<_> =
        (0..LINES).map(|number| format!("{number} {}", "x".repeat(200))).collect();
    for line in &expected {
        anna.say(line);
    }
    let by_kim: Vec<_> = (0..LINES).map(|_| kim.said().1).collect();
    assert_eq!(by_kim, expected);
    // Ben comes back after each cut, and gets what he has missed.
    let (mut by_ben, mut numbers, mut cuts) = (Vec::new(), BTreeSet::new(), 0);
    while by_ben.len() < LINES {
        let event = ben.next();
        match event["event"].as_str() {
            Some("said") => {
                assert!(numbers.insert(event["number"].as_u64().unwrap()), "twice: {event}");
                by_ben.push(event["text"].as_str().unwrap().to_owned());
            }
            Some("present") => assert_eq!(event["missing"], 0, "{event}"),
            Some("disconnected") => cuts += 1,
            _ => {}
        }
    }
    assert_eq!(by_ben, expected);
    assert!(cuts > 0, "it was never cut");
    let (status, rest) = anna.end();
    assert!(status.success(), "{rest:?}");
    let sent = rest.iter().filter(|event| event["event"] == "sent");
    assert_eq!(sent.count(), LINES, "{rest:?}");
    assert!(rest.iter().any(|event| event["event"] == "disconnected"), "it was never cut");
    println!("ben was cut {cuts} times");
}

#[test]
fn an_agent_that_is_started_anew_has_another_room() {
    let agent = Agent::card(&["--listen", &own_loopback()]);
    let address = agent.address;
    let mut there = Chatter::start(hightower().args(["chat", &address.to_string()]));
    there.event("present");
    there.say("before");
    there.event("sent");
    agent.kill();
    there.event("disconnected");
    // It is said when there is somebody to say it to.
    there.say("meanwhile");
    let waits = there.event("waits");
    assert_eq!(waits["line"], 2);
    let _again = Agent::card(&["--listen", &address.to_string()]);
    let back = there.event("present");
    assert_eq!((&back["anew"], &back["again"]), (&true.into(), &true.into()), "{back}");
    assert_eq!(there.event("sent")["line"], 2);
    let (status, _) = there.end();
    assert!(status.success());
}

/// Another one takes its place again and again: it asks for it ever less often.
#[test]
fn who_is_put_out_waits_before_it_comes_again() {
    let agent = FakeAgent::new();
    let mut typed = Chatter::start(hightower().args(["chat", &agent.target().to_string()]));
    let mut there = agent.accept_speaking();
    there.expect(|message| matches!(message, Message::Join(_)));
    let joined = || {
        let joined = Joined { you: 1, after: 0, missing: 0, newest: 0, present: Vec::new() };
        Message::Room(Room { room: 7, joined: Some(joined), ..Room::default() })
    };
    there.say(&joined());
    typed.event("present");
    let began = Instant::now();
    for round in 0..3 {
        there.say(&Message::Room(Room { room: 7, out: Some("out".into()), ..Room::default() }));
        if round > 0 {
            assert_eq!(typed.event("disconnected")["cause"], "out");
        }
        if round == 1 {
            typed.say("meanwhile");
        }
        // What is said while it is out would be heard of nobody who is there.
        there.expect(|message| match message {
            Message::Say(say) => panic!("{say:?} before it was in again"),
            other => matches!(other, Message::Join(_)),
        });
        there.say(&joined());
        typed.event("present");
        if round == 1 {
            there.expect(|message| matches!(message, Message::Say(_)));
            there.say(&Message::Reply(Reply::obeyed(Command::Say.code())));
            typed.event("sent");
        }
    }
    // At least a quarter of a second, a half and a whole one, less a tenth.
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[test]
fn ctrl_c_names_what_was_not_said_and_what_nobody_knows_of() {
    let agent = FakeAgent::new();
    let mut typed = Chatter::start(hightower().args(["chat", &agent.target().to_string()]));
    let mut there = agent.accept_speaking();
    there.expect(|message| matches!(message, Message::Join(_)));
    let joined = Joined { you: 1, after: 0, missing: 0, newest: 0, present: Vec::new() };
    there.say(&Message::Room(Room { room: 7, joined: Some(joined), ..Room::default() }));
    typed.event("present");
    // It is heard, and never answered.
    typed.say("one");
    there.expect(|message| matches!(message, Message::Say(say) if say.text == "one"));
    drop((there, agent));
    typed.event("disconnected");
    for line in ["two", "three"] {
        typed.say(line);
        typed.event("waits");
    }
    typed.signal("INT");
    let one = typed.event("unanswered");
    assert_eq!((&one["line"], &one["text"]), (&1.into(), &"one".into()), "{one}");
    for text in ["two", "three"] {
        let event = typed.event("not_sent");
        assert_eq!((&event["text"], &event["error"]), (&text.into(), &"interrupted".into()));
    }
    let (status, rest) = typed.end();
    assert!(status.code() == Some(1) && rest.is_empty(), "{status} {rest:?}");
}
