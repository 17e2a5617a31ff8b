//! Orders by UDP: from the command line, and as raw datagrams of every age.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, Plain, hightower, packet, run, stderr, stdout};
use hightower_proto::Message;
use hightower_proto::datagram;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

fn reply(bytes: Option<Vec<u8>>) -> hightower_proto::message::Reply {
    match datagram::parse(&bytes.unwrap()).unwrap().message {
        Message::Reply(reply) => reply,
        other => panic!("not a reply: {other:?}"),
    }
}

#[test]
fn raw_datagrams_start_and_stop_in_both_byte_orders_and_both_ways_to_count() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    for (little, payload_length) in [(false, false), (true, false), (false, true), (true, true)] {
        let answer = agent.datagram(&packet(0, b"", little, payload_length), true);
        assert!(reply(answer).ok);
        viewer.frame();
        let answer = agent.datagram(&packet(1, b"", little, payload_length), true);
        assert!(reply(answer).ok);
        viewer.socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        while viewer.try_frame().is_ok() {}
        viewer.socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    }
}

#[test]
fn datagrams_that_are_short_long_or_unknown_change_nothing() {
    let mut agent = Agent::card(&["--card-size", "64x64"]);
    let surplus = packet(0, b"x", false, false);
    let mut wrong_length = packet(0, b"", false, false);
    wrong_length[7] = 99;
    for (bytes, words) in [
        (&b""[..], "shorter than a packet's header"),
        (b"HLXT", "shorter than a packet's header"),
        (&[0; 15], "shorter than a packet's header"),
        (&[0; 1300], "longer than"),
        (&surplus, "takes a payload of 0 bytes"),
        (&wrong_length, "no reading of the header fits"),
    ] {
        assert_eq!(agent.datagram(bytes, false), None, "{words}");
        agent.await_log(words);
    }
    let answer = reply(agent.datagram(&packet(4711, b"", false, false), true));
    assert!(!answer.ok);
    assert!(answer.error.unwrap().contains("4711"));
    let hello = packet(32, br#"{"protocol":1}"#, false, false);
    assert!(reply(agent.datagram(&hello, true)).error.unwrap().contains("HELLO"));
    // An answer is never answered.
    let answer = Message::Reply(hightower_proto::message::Reply::obeyed(0));
    assert_eq!(agent.datagram(&answer.encode(), false), None);
    assert!(reply(agent.datagram(&packet(0, b"", false, false), true)).ok);
}

#[test]
fn one_line_a_host_and_an_exit_code_for_all() {
    let agent = Agent::card(&[]);
    let address = agent.address.to_string();
    // No other test is given this port meanwhile.
    let free = SocketAddr::from(([127, 0, 0, 1], 1));
    common::know(free);
    let free = free.to_string();
    let good = run(&["start", &address]);
    assert!(good.status.success());
    assert_eq!(stdout(&good), format!("{address}  monitoring\n"));

    let mixed = run(&["stop", "--json", &address, &free, "no-such-host.invalid"]);
    assert_eq!(mixed.status.code(), Some(1));
    let lines: Vec<serde_json::Value> =
        stdout(&mixed).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let of = |host: &str| lines.iter().find(|l| l["host"] == host).unwrap();
    assert_eq!(of(&address)["ok"], true);
    assert!(of(&free)["error"].as_str().unwrap().contains("no agent listens"));
    let unknown = of("no-such-host.invalid")["error"].as_str().unwrap();
    assert!(unknown.contains("no machine called 'no-such-host.invalid'"), "{unknown}");
}

#[test]
fn a_host_that_never_answers_is_given_up_with_words() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    common::know(silent.local_addr().unwrap());
    let output = run(&["stop", &silent.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("no answer from"), "{}", stdout(&output));
    // It was asked several times.
    silent.set_nonblocking(true).unwrap();
    let mut asked = 0;
    while silent.recv(&mut [0; 64]).is_ok() {
        asked += 1;
    }
    assert_eq!(asked, hightower::order::PATIENCE.len());
}

#[test]
fn a_lock_without_a_display_is_refused_with_the_reason() {
    let agent = Agent::card(&[]);
    for order in [&["lock"][..], &["lock", "--for", "1s"], &["mouse", "1", "1"]] {
        let output = agent.order(order);
        assert_eq!(output.status.code(), Some(1), "{order:?}");
        assert!(stdout(&output).contains("no display"), "{}", stdout(&output));
    }
    // The oldest viewer's lock is understood, and not answered.
    assert_eq!(agent.datagram(b"HLYT", false), None);
    // There is nothing to free, and so it is free.
    assert!(agent.order(&["unlock"]).status.success());
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let agent = Agent::card(&[]);
    let taken = agent.address.to_string();
    let output = run(&["agent", "--source", "card", "--listen", &taken]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
    assert!(stderr(&output).contains("--listen"));
}

#[test]
fn a_screen_that_is_not_there_is_said_with_what_to_do() {
    let none = run(&["agent", "--listen", "127.0.0.1:0"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("--source card"), "{}", stderr(&none));
    let dead = hightower()
        .args(["agent", "--listen", "127.0.0.1:0"])
        .env("DISPLAY", ":9999")
        .output()
        .unwrap();
    assert_eq!(dead.status.code(), Some(1));
    assert!(stderr(&dead).contains(":9999 can't be opened"), "{}", stderr(&dead));
}

#[test]
fn a_stop_by_signal_is_clean() {
    for signal in ["TERM", "INT"] {
        let agent = Agent::card(&["--autostart", "--card-size", "64x64"]);
        let mut plain = Plain::connect(agent.address);
        plain.frame();
        let mut speaking = Plain::connect(agent.address);
        speaking.send(&packet(32, br#"{"protocol":1}"#, false, false));
        // It is known as one that speaks when its welcome is there.
        let mut bytes = vec![0; 64 << 10];
        let mut heard = 0;
        while !bytes[..heard].windows(6).any(|word| word == b"\"host\"") {
            let more = std::io::Read::read(&mut speaking.socket, &mut bytes[heard..]).unwrap();
            assert!(more > 0, "no welcome");
            heard += more;
        }
        bytes.truncate(heard);
        agent.signal(signal);
        std::io::Read::read_to_end(&mut speaking.socket, &mut bytes).unwrap();
        let goodbye = br#"{"reason":"the agent stops"}"#;
        assert!(bytes.ends_with(goodbye), "no goodbye after {signal}");
        // The plain viewer's stream ends after a whole frame.
        while let Ok(png) = plain.try_frame() {
            common::decode(&png);
        }
        let status = agent.terminate();
        assert_eq!(status.code(), Some(0));
    }
}
