//! What is not an agent, or a broken one: the right words, and the viewer goes on.

use crate::fake_agent::{FakeAgent, LONG, crc32, rgb, rgb_frame, welcome};
use hightower::viewer::{Cause, Client, ClientOptions, Link};
use hightower_proto::Message;
use std::sync::Arc;

fn once() -> ClientOptions {
    ClientOptions { reconnect: false, ..ClientOptions::default() }
}

/// Why the connection ended, when the other side said these bytes and closed.
fn cause_of(bytes: &[u8]) -> Arc<Cause> {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), once()).unwrap();
    let mut viewer = agent.accept();
    viewer.expect(|m| matches!(m, Message::Hello(_)));
    viewer.raw(bytes);
    viewer.finish();
    let view = client.wait_until(LONG, |v| v.ended()).unwrap();
    let peer = agent.address().to_string();
    let cause = view.cause.unwrap();
    let named = cause.to_string().contains(&peer) || matches!(*cause, Cause::Closed);
    assert!(named, "{cause} names {peer}");
    cause
}

#[test]
fn other_protocols_are_named() {
    for (bytes, name) in [
        (&b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..], "an HTTP server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"RFB 003.008\n", "VNC"),
    ] {
        let cause = cause_of(bytes);
        let Cause::Foreign { name: found, .. } = *cause else { panic!("{name}: {cause}") };
        assert!(found.contains(name), "{found}");
        assert!(cause.to_string().contains("not a Hightower agent"), "{cause}");
    }
}

#[test]
fn random_bytes_are_no_agent() {
    for bytes in [&b"\x93\x11\x52\xff\x00\x81\x20\x11\x00\x91\x55\x12\x33\x98\x99\xab"[..], b"zz"] {
        let cause = cause_of(bytes);
        assert!(matches!(*cause, Cause::Stream { .. }), "{cause}");
        assert!(cause.to_string().contains("at byte 0"), "{cause}");
    }
}

#[test]
fn who_says_nothing_at_all_may_be_something_else() {
    let cause = cause_of(b"");
    assert!(matches!(*cause, Cause::Wordless(_)), "{cause}");
}

#[test]
fn lengths_that_lie_are_refused_with_their_offset() {
    let good = Message::Welcome(welcome(true)).encode();
    let at = format!("at byte {}", good.len());
    for (fault, bytes) in [
        ("an enormous frame", b"HT\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()),
        ("an empty frame", b"HT\0\0\0\0\0\0\0\0".to_vec()),
        ("a negative packet", [0xff; 16].to_vec()),
        (
            "a packet shorter than its header",
            [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0].into(),
        ),
        ("an enormous packet", [0, 9, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0].into()),
    ] {
        let cause = cause_of(&[&good[..], &bytes].concat());
        assert!(matches!(*cause, Cause::Stream { .. }), "{fault}: {cause}");
        assert!(cause.to_string().contains(&at), "{fault}: {cause}");
    }
}

#[test]
fn an_end_in_the_middle_is_said_to_be_one() {
    let png = rgb_frame(8, 8, 1, &|_, _| 0);
    let mut stream = Message::Welcome(welcome(true)).encode().to_vec();
    assert!(matches!(*cause_of(&stream), Cause::Closed));
    let offset = stream.len();
    stream.extend_from_slice(&hightower_proto::stream::frame_header(png.len() as u64));
    stream.extend_from_slice(&png[..png.len() / 2]);
    let cause = cause_of(&stream);
    assert!(matches!(*cause, Cause::Truncated { .. }), "{cause}");
    assert!(cause.to_string().contains(&format!("at byte {offset}")), "{cause}");
}

/// Sends a good frame, a bad one and a good one; gives what was said of the bad one.
fn said_of(bad: &[u8]) -> String {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), once()).unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&rgb_frame(8, 8, 1, &|_, _| 1));
    client.wait_until(LONG, |v| v.sequence == 1).unwrap();
    viewer.frame(bad);
    let view = client.wait_until(LONG, |v| v.counters.bad == 1).unwrap();
    assert_eq!((view.sequence, view.link), (1, Link::Connected));
    viewer.frame(&rgb_frame(8, 8, 3, &|_, _| 3));
    let after = client.wait_until(LONG, |v| v.sequence == 2).unwrap();
    assert_eq!((after.counters.bad, after.link), (1, Link::Connected));
    let said = view.notice.unwrap().text;
    let first = Message::Welcome(welcome(true)).encode().len();
    let offset = first + 10 + rgb_frame(8, 8, 1, &|_, _| 1).len();
    let place = format!("{}, frame at byte {offset}", agent.address());
    assert!(said.contains(&place), "{said} names {place}");
    said
}

#[test]
fn one_bad_frame_is_reported_and_survived() {
    let good = rgb_frame(8, 8, 2, &|_, _| 2);
    let cut = &good[..good.len() - 40];
    assert!(said_of(cut).contains("PNG is broken"));
    assert!(said_of(b"not an image").contains("not a PNG"));

    let samples = |_, _| vec![0];
    let enormous = crate::fake_agent::Image {
        size: (1, 1),
        color: 0,
        depth: 8,
        interlaced: false,
        palette: &[],
        info: None,
        samples: &samples,
    };
    let mut enormous = enormous.png();
    // IHDR with its checksum, for 100000x100000 in 8-bit grey.
    let ihdr = [0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0, 8, 0, 0, 0, 0];
    enormous[16..29].copy_from_slice(&ihdr);
    let crc = crc32(&enormous[12..29]);
    enormous[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(said_of(&enormous).contains("100000x100000"));
}

#[test]
fn several_bad_frames_in_a_row_end_the_connection_with_that_cause() {
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), once()).unwrap();
    let mut viewer = agent.accept_speaking();
    for n in 1..=3 {
        viewer.frame(b"junk");
        client.wait_until(LONG, |v| v.counters.bad == n).unwrap();
    }
    let view = client.wait_until(LONG, |v| v.ended()).unwrap();
    let cause = view.cause.unwrap();
    assert!(matches!(*cause, Cause::BadFrames { in_a_row: 3, .. }), "{cause}");
}

#[test]
fn a_closed_port_and_an_unknown_name() {
    let agent = FakeAgent::new();
    let address = agent.address();
    drop(agent);
    let client = Client::start(address.into(), ClientOptions::default()).unwrap();
    let view = client.wait_until(LONG, |v| v.cause.is_some()).unwrap();
    let cause = view.cause.unwrap();
    assert!(matches!(*cause, Cause::Refused(peer) if peer == address), "{cause}");
    assert!(cause.to_string().contains("is the agent running?"), "{cause}");
    assert!(view.next_try.is_some(), "it is tried again");

    let target = "lab-99.invalid".parse().unwrap();
    let client = Client::start(target, once()).unwrap();
    let view = client.wait_until(LONG, |v| v.ended()).unwrap();
    assert!(matches!(view.cause.as_deref(), Some(Cause::Lookup(_))), "{:?}", view.cause);
}

#[test]
fn tolerance_skips_what_is_no_frame() {
    let agent = FakeAgent::new();
    let options = ClientOptions { tolerant: true, ..once() };
    let client = Client::start(agent.target(), options).unwrap();
    let mut viewer = agent.accept();
    viewer.raw(b"junk before ");
    viewer.frame(&rgb(5, 4, None, &|_, _| 0x12_3456));
    viewer.finish();
    let view = client.wait_until(LONG, |v| v.ended() && v.sequence == 1).unwrap();
    assert_eq!(view.picture.as_ref().map(|p| p.row(0)[0]), Some(0x12_3456));
    assert_eq!(view.counters.dropped_bytes, 12);
}
