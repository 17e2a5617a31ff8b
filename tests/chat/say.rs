//! One message, without coming into the room.

use crate::common::{Agent, hightower, run, stderr, stdout};
use crate::site::Site;
use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};

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
        (&[b'x'; 4097], "4097 bytes, where 4096 are allowed"),
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
