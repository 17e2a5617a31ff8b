//! What a peer that is no viewer can do to an agent: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Agent, Plain, packet, version};

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
fn a_flood_of_commands_is_slowed_down_and_costs_no_memory() {
    let agent = Agent::card(&["--card-size", "64x64"]);
    let mut viewer = Plain::connect(agent.address);
    agent.monitor(false);
    let before = agent.rss_kib();
    let start = packet(0, b"", false, false);
    let stop = packet(1, b"", false, false);
    let burst = [start, stop].concat().repeat(10_000);
    let mut reader = viewer.socket.try_clone().unwrap();
    let drain = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    viewer.send(&burst);
    viewer.send(&packet(1, b"", false, false));
    let after = agent.rss_kib();
    viewer.socket.shutdown(std::net::Shutdown::Both).unwrap();
    drop(drain.join());
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after the flood");
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
    std::io::Read::read_to_string(&mut three.socket, &mut text).unwrap();
    assert!(text.contains("2 viewers watch already"), "{text:?}");
    // One that says nothing is sent nothing, and closed.
    let mut four = Plain::connect(agent.address);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut four.socket, &mut bytes).unwrap();
    assert_eq!(bytes, b"");
    drop(two);
    agent.await_log("a viewer has left, 1 now");
    Plain::connect(agent.address).frame();
}
