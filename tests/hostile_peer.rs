//! What a peer that is no viewer can do to an agent: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, Plain, packet, version};
use hightower_proto::stream::Options;
use hightower_proto::{Command, Decoder, Item, Message};
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn what_breaks_the_format_is_closed_and_named_while_others_watch_on() {
    let mut agent = Agent::card(&["--card-size", "64x64", "--autostart", "--accept-rate", "1000"]);
    let mut viewer = Plain::connect(agent.address);
    let huge = [&(1_i64 << 40).to_be_bytes()[..], &19_i64.to_be_bytes()].concat();
    let cases: [(&[u8], &str); 12] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP client"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"\x7fELF random bytes", "neither a frame nor a packet"),
        (&(-1_i64).to_be_bytes().repeat(2), "negative length -1"),
        (&i64::MIN.to_be_bytes().repeat(2), "negative length"),
        (&packet(0, b"surplus", false, false), "more than the 0 allowed"),
        (&packet(2, b"short", false, false), "takes a payload of 8 bytes"),
        (&packet(32, b"{not json", false, false), "not the JSON"),
        (&[0; 16], "shorter than its header"),
        (&huge, "more than the"),
        (b"HT\x00\x00\x00\x00\x00\x00\x00\x01", "only packets may come"),
    ];
    for (bytes, words) in cases {
        // What begins like TLS is taken for it, where TLS is asked for.
        if words == "TLS" && common::keys() {
            continue;
        }
        let mut peer = Plain::connect(agent.address);
        peer.send(bytes);
        agent.await_log(words);
        assert!(peer.is_closed());
    }
    let seen = version(&viewer.frame());
    while version(&viewer.frame()) < seen + 3 {}
}

#[test]
fn a_packet_that_is_cut_off_is_named_when_the_peer_leaves() {
    let mut agent = Agent::card(&[]);
    let mut peer = Plain::connect(agent.address);
    peer.send(&packet(3, &5_u32.to_be_bytes(), false, false)[..18]);
    // Who leaves at once is not known to be this user's.
    agent.await_log("a viewer has connected");
    drop(peer);
    agent.await_log("2 bytes short");
}

#[test]
fn unknown_commands_are_skipped_and_the_next_packet_is_understood() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.send(&packet(9999, &[7; 100_000], false, false));
    viewer.send(&packet(-5, b"", false, false));
    viewer.send(&packet(0, b"", false, false));
    viewer.frame();
}

#[test]
fn a_flood_of_commands_is_obeyed_to_the_last_and_costs_no_memory() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.send(&packet(32, br#"{"protocol":1}"#, false, false));
    let before = agent.rss_kib();
    let mut writer = viewer.socket.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let both = [packet(0, b"", false, false), packet(1, b"", false, false)].concat();
        for _ in 0..10 {
            writer.write_all(&both.repeat(1_000)).unwrap();
        }
        writer.write_all(&packet(37, br#"{"clock_us":4711}"#, false, false)).unwrap();
    });
    let mut decoder = Decoder::new(Options::viewer());
    let mut replies = 0;
    loop {
        match decoder.next_item().unwrap() {
            Some(Item::Packet(packet)) => match Message::parse(&packet).unwrap() {
                Message::Reply(reply) if reply.ok => replies += 1,
                Message::Pong(pong) if pong.ping_us == 4711 => break,
                _ => {}
            },
            Some(Item::Frame(_)) => {}
            None => {
                let mut piece = [0; 4096];
                let n = viewer.socket.read(&mut piece).unwrap();
                assert_ne!(n, 0, "the agent closed");
                decoder.feed(&piece[..n]);
            }
        }
    }
    flood.join().unwrap();
    // The pong may come before the last of them.
    assert!(replies >= 20_000 - 64, "{replies} replies");
    let after = agent.rss_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after the flood");
    assert!(agent.order(&["stop"]).status.success());
}

#[test]
fn commands_without_reading_replies_are_held_back_and_all_answered_in_the_end() {
    let agent = Agent::card(&["--card-size", "1920x1080", "--autostart"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.send(&packet(32, br#"{"protocol":1}"#, false, false));
    for _ in 0..200 {
        viewer.send(&packet(2, &[0; 8], false, false));
    }
    let mut decoder = Decoder::new(Options::viewer());
    let mut replies = 0;
    while replies < 200 {
        match decoder.next_item().unwrap() {
            Some(Item::Packet(packet)) => {
                replies += usize::from(packet.command == Command::Reply);
            }
            Some(Item::Frame(png)) => drop(common::decode(&png)),
            None => {
                let mut piece = [0; 4096];
                let n = viewer.socket.read(&mut piece).unwrap();
                assert_ne!(n, 0, "the agent closed after {replies} replies");
                decoder.feed(&piece[..n]);
            }
        }
    }
}

#[test]
fn hellos_without_reading_the_welcomes_are_held_back_too() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    viewer.socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let hellos = packet(32, br#"{"protocol":1}"#, false, false).repeat(1_000);
    let before = agent.rss_kib();
    // A million at most: without a bound the welcomes to them would take 200 MiB. What it is not
    // read from, it can't write to.
    let refused = (0..1_000).find_map(|_| viewer.socket.write_all(&hellos).err());
    assert!(refused.is_some(), "the agent reads on though its answers are not read");
    let after = agent.rss_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after the hellos");
    assert!(agent.order(&["stop"]).status.success());
}

#[test]
fn announced_lengths_cost_nothing() {
    // As many as one operator may have a quarter of.
    let agent = Agent::card(&["--accept-rate", "1000", "--max-viewers", "160"]);
    let before = agent.rss_kib();
    let file = |length: i64| [&length.to_be_bytes()[..], &19_i64.to_be_bytes()].concat();
    let (most, more) = (file((16 << 20) + 16), file((16 << 20) + 17));
    let text = [&(65_000_i64).to_be_bytes()[..], &16_i64.to_be_bytes(), &[b'x'; 60_000]].concat();
    let mut peers: Vec<Plain> = (0..40).map(|_| Plain::connect(agent.address)).collect();
    for (i, peer) in peers.iter_mut().enumerate() {
        peer.send(match i {
            0 => &more,
            i if i % 2 == 0 => &most,
            _ => &text,
        });
    }
    assert!(peers[0].is_closed(), "that is more than an agent takes");
    assert!(agent.order(&["stop"]).status.success());
    let after = agent.rss_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB with forty such peers");
}

#[test]
fn more_viewers_than_allowed_are_turned_away_and_a_free_place_is_given_again() {
    let mut agent = Agent::card(&["--card-size", "64x64", "--autostart", "--max-viewers", "2"]);
    let mut one = Plain::connect(agent.address);
    let mut two = Plain::connect(agent.address);
    one.frame();
    two.frame();
    // One that says hello is told why.
    let mut three = Plain::connect(agent.address);
    three.send(&packet(32, br#"{"protocol":1}"#, false, false));
    let mut text = String::new();
    three.socket.read_to_string(&mut text).unwrap();
    assert!(text.contains("as many viewers watch already as are allowed: 2"), "{text:?}");
    // One that says nothing is sent nothing, and closed.
    let mut four = Plain::connect(agent.address);
    let mut bytes = Vec::new();
    four.socket.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"");
    drop(two);
    agent.await_log("a viewer has left, 1 now");
    Plain::connect(agent.address).frame();
}
