//! Who is in the room, and what they see of each other.

use crate::common::chatter::Chatter;
use crate::common::{Agent, PATIENCE, hightower, stdout};
use crate::site::{Site, allow};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

#[test]
fn all_who_are_present_see_the_same_in_the_same_order() {
    let site = Site::open();
    let mut anna = Chatter::start(&mut site.anna(&["chat", &site.agent.address.to_string()]));
    let first = anna.event("present");
    assert_eq!(first["present"].as_array().unwrap().len(), 1, "{first}");
    assert_eq!(first["present"][0]["name"], "anna");
    let mut kim = Chatter::start(&mut site.person(&["chat"]));
    let present = kim.event("present")["present"].clone();
    assert_eq!(present[0]["name"], "anna", "{present}");
    assert_eq!((&present[0]["here"], &present[1]["here"]), (&false.into(), &true.into()));
    let came = anna.event("joined");
    assert_eq!((&came["who"]["here"], &came["own"]), (&true.into(), &false.into()), "{came}");
    let mut ben = site.chat(Site::ben);
    assert_eq!(anna.event("joined")["who"]["name"], "ben");
    assert_eq!(kim.event("joined")["who"]["name"], "ben");

    // All at once.
    for number in 0..20 {
        for (name, chatter) in [("anna", &mut anna), ("kim", &mut kim), ("ben", &mut ben)] {
            chatter.say(&format!("{name} {number}"));
        }
    }
    let order = |chatter: &mut Chatter| (0..60).map(|_| chatter.said().1).collect::<Vec<_>>();
    let by_anna = order(&mut anna);
    assert_eq!(by_anna, order(&mut kim));
    assert_eq!(by_anna, order(&mut ben));
    let mut each = BTreeMap::<&str, Vec<u32>>::new();
    for text in &by_anna {
        let (name, number) = text.split_once(' ').unwrap();
        each.entry(name).or_default().push(number.parse().unwrap());
    }
    let all: Vec<u32> = (0..20).collect();
    assert!(each.len() == 3 && each.values().all(|numbers| *numbers == all), "{each:?}");

    let (status, _) = ben.end();
    assert!(status.success());
    assert_eq!(anna.event("left")["who"]["name"], "ben");
    let (status, _) = kim.end();
    assert!(status.success());
    assert_eq!(anna.event("left")["who"]["here"], true);
    // Nobody has watched, and who has said something is written down, but not what.
    let audit = site.homes.agent.path().join("audit/audit.jsonl");
    assert!(site.agent.terminate().success());
    let log = fs::read_to_string(audit).unwrap();
    let said: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = said.iter().filter(|line| line["event"] == "say").collect();
    assert_eq!(said.len(), 4, "{log}");
    assert!(said.iter().any(|line| line["operator"] == "anna" && line["outcome"] == "ok"), "{log}");
    assert_eq!(
        said.iter().filter(|line| line["outcome"] == "19 more messages").count(),
        2,
        "{log}"
    );
    assert!(!log.contains("anna 7") && !log.contains("connect"), "{log}");
}

#[test]
fn what_is_typed_last_is_seen_too() {
    let site = Site::open();
    let address = site.agent.address.to_string();
    let mut chat = site.anna(&["chat", &address]);
    chat.stdin(Stdio::piped()).stdout(Stdio::piped());
    for _ in 0..5 {
        let mut child = chat.spawn().unwrap();
        let typed: String = (0..20).map(|number| format!("line {number}\n")).collect();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let seen = stdout(&output);
        assert!(output.status.success(), "{seen}");
        let lines: Vec<_> = seen.lines().filter(|line| line.contains("line ")).collect();
        assert_eq!(lines.len(), 20, "{seen}");
        assert!(lines[19].ends_with("line 19"), "{seen}");
    }
}

#[test]
fn it_takes_the_role_and_whoever_loses_it_is_out() {
    let site = Site::open();
    let mut kim = site.chat_here();
    let mut anna = site.chat(Site::anna);
    anna.say("hello");
    assert_eq!(kim.said(), ("anna".into(), "hello".into()));
    allow(&site.homes, &site.ben, "view");
    let over = anna.event("ended");
    assert!(over["cause"].as_str().unwrap().contains("role message"), "{over}");
    assert_eq!(kim.event("left")["who"]["name"], "anna");
    let address = site.agent.address.to_string();
    let (status, events) = Chatter::start(&mut site.ben(&["chat", &address])).end();
    let cause = events.last().unwrap()["cause"].as_str().unwrap();
    assert!(!status.success() && cause.contains("role message"), "{events:?}");
    let refused = site.ben(&["say", &address, "psst"]).output().unwrap();
    assert!(!refused.status.success() && stdout(&refused).contains("role message"), "{refused:?}");
    let (status, events) = anna.end();
    assert!(!status.success() && events.is_empty(), "{events:?}");
}

#[test]
fn two_of_one_name_are_told_apart_and_nobody_passes_for_the_person() {
    let site = Site::open();
    let key = |folder: &std::path::Path| {
        fs::read_to_string(folder.join("operator_key.pub")).unwrap().replace(" ben\n", "")
    };
    let (anna, ben) = (site.homes.key().public(), key(site.ben.path()));
    fs::write(site.homes.list(), format!("message {anna} kim (here)\nmessage {ben} kim (here)\n"))
        .unwrap();
    let mut kim = site.chat_here();
    let mut one = site.chat(Site::anna);
    let first = kim.event("joined");
    let _other = site.chat(Site::ben);
    let second = kim.event("joined");
    for came in [&first, &second] {
        let name = came["who"]["name"].as_str().unwrap();
        assert!(name.starts_with("kim here SHA256:"), "{came}");
        assert_eq!(came["who"]["here"], false);
    }
    assert_ne!(first["who"]["name"], second["who"]["name"]);
    one.say("hello");
    assert_eq!(kim.event("said")["who"], first["who"]);
}

/// What is left out of a name, or cut off, leaves no two the same.
#[test]
fn nobody_is_called_as_another_one_is_whatever_the_list_says() {
    let site = Site::open();
    let keys = [site.homes.operator.path(), site.ben.path()].map(|folder| {
        let line = fs::read_to_string(folder.join("operator_key.pub")).unwrap();
        line.rsplit_once(' ').unwrap().0.to_owned()
    });
    let print = site.homes.key().public().fingerprint();
    let long = "x".repeat(63);
    let mut kim = site.chat_here();
    for (anna, ben) in [
        ("anna".to_owned(), "anna()".to_owned()),
        ("anna".into(), "ａｎｎａ".into()),
        (long.clone(), format!("{long} y")),
        (format!("{long}yz"), format!("{long}yy")),
        // Without a name, and by a name that is the other's key.
        (String::new(), print.clone()),
    ] {
        let lines = [(&keys[0], &anna), (&keys[1], &ben)].map(|(key, name)| {
            // A line's end is no part of a name.
            format!("message {key} {name}").trim_end().to_owned() + "\n"
        });
        fs::write(site.homes.list(), lines.concat()).unwrap();
        let (_one, first) = (site.chat(Site::anna), kim.event("joined"));
        let (_two, second) = (site.chat(Site::ben), kim.event("joined"));
        let name = |event: &Value| event["who"]["name"].as_str().unwrap().to_owned();
        assert!(name(&first).ends_with(&print), "{first}");
        assert!(name(&second).contains("SHA256:") && !name(&second).ends_with(&print), "{second}");
    }
}

#[test]
fn the_person_has_a_few_chats_open_and_can_still_ask_their_agent() {
    let site = Site::open();
    let open: Vec<_> = (0..4).map(|_| site.chat_here()).collect();
    let (status, events) = Chatter::start(&mut site.person(&["chat"])).end();
    let cause = events.last().unwrap()["cause"].as_str().unwrap();
    assert!(!status.success() && cause.contains("4 chats open"), "{events:?}");
    let asked = site.person(&["status"]).output().unwrap();
    assert!(asked.status.success(), "{}", stdout(&asked));
    drop(open);
    // There is room again, as soon as the agent knows.
    let end = Instant::now() + PATIENCE;
    while !Chatter::start(&mut site.person(&["chat"])).end().0.success() {
        assert!(Instant::now() < end, "they are never gone");
    }
}

/// What is typed goes to all of them, and each that does not get it is named.
#[test]
fn a_group_is_talked_to_at_once_and_who_is_not_reached_is_named() {
    let agents = [Agent::card(&[]), Agent::card(&[])];
    let [first, second] = agents.each_ref().map(|agent| agent.address.to_string());
    // On a machine without keys the operator has no name.
    let alone = |address: &str| {
        let mut chatter = Chatter::start(hightower().args(["chat", address]));
        chatter.event("present");
        chatter
    };
    let (mut one, mut two) = (alone(&first), alone(&second));
    let mut both = Chatter::start(hightower().args(["chat", &first, &second, "127.0.0.1:1"]));
    let gone = both.event("disconnected");
    assert_eq!(gone["host"], "127.0.0.1:1");
    assert!(gone["cause"].as_str().unwrap().contains("nothing listens"), "{gone}");
    one.event("joined");
    two.event("joined");
    both.say("to all");
    assert_eq!((one.said().1, two.said().1), ("to all".into(), "to all".into()));
    two.say("from the second");
    let mut fates = Vec::new();
    let mut heard = None;
    while fates.len() < 3 || heard.is_none() {
        let event = both.next();
        match event["event"].as_str() {
            Some("sent" | "not_sent") => fates.push(event),
            Some("said") if event["own"] == false => heard = Some(event),
            _ => {}
        }
    }
    let heard = heard.unwrap();
    assert_eq!(
        (&heard["host"], &heard["text"]),
        (&second.as_str().into(), &"from the second".into())
    );
    fates.sort_by_key(|fate| fate["event"].to_string());
    assert_eq!((&fates[0]["host"], &fates[0]["text"]), (&gone["host"], &"to all".into()));
    assert!(fates[1..].iter().all(|fate| fate["heard_by"] == 1), "{fates:?}");
    let (status, _) = both.end();
    assert!(!status.success(), "one of them was not reached");
}
