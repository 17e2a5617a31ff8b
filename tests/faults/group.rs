//! A chat with a group of machines, one of which is cut off for a while.

use crate::common::chatter::Chatter;
use crate::room::Room;
use crate::site::short_cuts;
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread::sleep;

/// The machine that is cut off.
const CUT: usize = 3;

/// How many lines are typed at a time.
const LINES: usize = 3;

/// Texts by who has said them, as they came.
type Said = BTreeMap<String, Vec<String>>;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_group_chat_lives_through_a_cut_of_one_without_losing_or_repeating_anything() {
    let Some(room) = Room::furnish("group", CUT) else { return };
    let machines: Vec<usize> = (1..=CUT).collect();
    let hosts = machines.iter().map(|n| format!("lab-{n} = \"10.72.84.{n}\"\n"));
    let hosts: String = hosts.collect();
    let file = format!("[hosts]\n{hosts}[groups]\nlab = [\"lab-1\", \"lab-2\", \"lab-3\"]\n");
    room.write("hightower.toml", &file);
    machines.iter().for_each(|machine| room.allow(*machine, "message"));
    let agent = |machine: &usize| room.agent(*machine, &format!("10.72.84.{machine}:18516"), &[]);
    let _agents: Vec<_> = machines.iter().map(agent).collect();
    machines.iter().for_each(|machine| room.trust_at(&format!("lab-{machine}")));
    let mut persons: Vec<Chatter> = machines
        .iter()
        .map(|machine| Chatter::start(&mut room.person(*machine, &["chat"])))
        .collect();
    persons.iter_mut().for_each(|person| drop(person.event("present")));
    let mut anna = Chatter::start(&mut room.operates(&["chat", "@lab"]));
    persons.iter_mut().for_each(|person| drop(person.event("joined")));

    let mut typed = Vec::new();
    let mut all_say = |anna: &mut Chatter, persons: &mut [Chatter], when: &str| {
        for number in 0..LINES {
            let line = format!("{when}, {number}");
            anna.say(&line);
            persons.iter_mut().for_each(|person| person.say(&line));
            typed.push(line);
        }
    };
    for cut in short_cuts() {
        all_say(&mut anna, &mut persons, &format!("before {cut:?}"));
        room.plug(CUT, false);
        all_say(&mut anna, &mut persons, &format!("within {cut:?}"));
        // The time itself is what is tested: nothing happens that could be awaited.
        sleep(cut);
        room.plug(CUT, true);
        all_say(&mut anna, &mut persons, &format!("after {cut:?}"));
    }

    // What each of them types is for one machine, but what anna does for all.
    let (mut heard, mut sent) = (Said::new(), BTreeMap::<String, usize>::new());
    let expected = typed.len() * CUT;
    while heard.values().map(Vec::len).sum::<usize>() < expected
        || sent.values().sum::<usize>() < expected
    {
        let event = anna.next();
        match event["event"].as_str() {
            Some("said") if event["own"] == false => {
                assert_eq!(event["who"]["here"], true, "{event}");
                heard.entry(text(&event["host"])).or_default().push(text(&event["text"]));
            }
            Some("sent") => *sent.entry(text(&event["host"])).or_default() += 1,
            Some("not_sent" | "unanswered" | "ended") => panic!("{event}"),
            _ => {}
        }
    }
    let names = || machines.iter().map(|machine| format!("lab-{machine}"));
    assert_eq!(heard, names().map(|name| (name, typed.clone())).collect());
    assert_eq!(sent, names().map(|name| (name, typed.len())).collect());
    let (status, rest) = anna.end();
    assert!(status.success(), "{rest:?}");
    assert_nothing_more(&rest);

    for mut person in persons {
        let (mut said, mut last) = (Said::new(), 0);
        loop {
            let event = person.next();
            match event["event"].as_str() {
                Some("said") => {
                    let number = event["number"].as_u64().unwrap();
                    assert!(number > last, "{event} after number {last}");
                    last = number;
                    let who = if event["who"]["here"] == true { "here" } else { "operator" };
                    assert!(who == "here" || event["who"]["name"] == "anna", "{event}");
                    said.entry(who.into()).or_default().push(text(&event["text"]));
                }
                // When she has gone, she has said all.
                Some("left") => {
                    assert_eq!(event["who"]["name"], "anna", "{event}");
                    if said.get("operator").is_some_and(|said| said.len() >= typed.len()) {
                        break;
                    }
                }
                _ => {}
            }
        }
        let expected = ["here", "operator"].map(|who| (who.to_owned(), typed.clone()));
        assert_eq!(said, expected.into());
        let (status, rest) = person.end();
        assert!(status.success(), "{rest:?}");
        assert_nothing_more(&rest);
    }
}

fn assert_nothing_more(rest: &[Value]) {
    let more = |event: &&Value| matches!(event["event"].as_str(), Some("said" | "sent"));
    assert!(!rest.iter().any(|event| more(&event) && event["own"] != true), "{rest:?}");
}
