//! What holds for anything: round trips, any split, any junk.

// A test that can't build its input should stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/arbitrary.rs"]
mod arbitrary;
mod common;

use arbitrary::{bytes, frame, item, message, unknown_code};
use bytes::{BufMut, Bytes, BytesMut};
use common::result::options;
use hightower_proto::datagram::{self, Datagram, DatagramError, Reading};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::message::{PACKET_HEADER, Packet};
use hightower_proto::stream::{Decoder, FRAME_HEADER, Stats, StreamError, frame_header};
use hightower_proto::{Command, Item, Limits, Message};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn put(out: &mut BytesMut, item: &Item) {
    match item {
        Item::Frame(f) => {
            out.put_slice(&frame_header(f.len() as u64));
            out.put_slice(f);
        }
        Item::Packet(p) => out.put_slice(&p.encode()),
    }
}

fn put_unknown(out: &mut BytesMut, code: i64, payload: &[u8]) {
    out.put_i64((PACKET_HEADER + payload.len()) as i64);
    out.put_i64(code);
    out.put_slice(payload);
}

/// Feeds a stream in pieces that end at these places, and gives all that comes of it.
fn decode(
    mode: &str,
    stream: &[u8],
    cuts: &[Index],
) -> (Vec<Item>, Result<(), StreamError>, Stats) {
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    let mut decoder = Decoder::new(options(mode));
    let mut items = Vec::new();
    for pair in cuts.windows(2) {
        decoder.feed(&stream[pair[0]..pair[1]]);
        while let Ok(Some(item)) = decoder.next_item() {
            items.push(item);
        }
    }
    (items, decoder.finish(), decoder.stats())
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..8)
}

/// A datagram in one of the readings of a header.
fn historical(packet: &Packet, reading: Reading) -> Vec<u8> {
    let payload = packet.payload.len() as i64;
    let whole = payload + PACKET_HEADER as i64;
    let mut out = Vec::new();
    match reading {
        Reading::Standard => out.put_i64(whole),
        Reading::PayloadLength => out.put_i64(payload),
        Reading::LittleEndian => out.put_i64_le(whole),
        Reading::LittleEndianPayloadLength => out.put_i64_le(payload),
        Reading::FourBytes => unreachable!("it has no header"),
    }
    match reading {
        Reading::Standard | Reading::PayloadLength => out.put_i64(packet.command.code()),
        _ => out.put_i64_le(packet.command.code()),
    }
    out.put_slice(&packet.payload);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_message_survives_its_packet(m in message()) {
        let packet = m.packet();
        prop_assert!(packet.fits(&Limits::default()));
        prop_assert_eq!(packet.command, m.command());
        prop_assert_eq!(packet.encode(), m.encode());
        prop_assert_eq!(Message::parse(&packet).unwrap(), m);
    }

    #[test]
    fn a_payload_cut_or_grown_is_another_or_an_error(m in message(), at: Index, more: u8) {
        let whole = m.packet();
        let mut cut = whole.clone();
        if !cut.payload.is_empty() {
            cut.payload.truncate(at.index(cut.payload.len()));
            prop_assert_ne!(Message::parse(&cut), Ok(m.clone()));
        }
        let mut grown = whole.payload.to_vec();
        grown.push(more);
        let grown = Packet { command: whole.command, payload: grown.into() };
        // After JSON there may be white space, and 1.5 is 1.50.
        let json = whole.command.code() >= Command::Struct.code();
        if !json || !(more.is_ascii_whitespace() || more.is_ascii_digit()) {
            prop_assert_ne!(Message::parse(&grown), Ok(m));
        }
    }

    #[test]
    fn a_stream_survives_any_split(items in vec(item(), 0..12), cuts in cuts()) {
        let mut stream = BytesMut::new();
        items.iter().for_each(|i| put(&mut stream, i));
        let frames = items.iter().filter(|i| matches!(i, Item::Frame(_))).count() as u64;
        let packets = items.len() as u64 - frames;
        let (got, end, stats) = decode("viewer", &stream, &cuts);
        prop_assert_eq!(got, items);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(stats, Stats { frames, packets, ..Stats::default() });
    }

    #[test]
    fn a_stream_cut_short_gives_what_was_whole_and_says_so(
        items in vec(item(), 1..6), at: Index, cuts in cuts()
    ) {
        let mut stream = BytesMut::new();
        let mut ends = vec![0];
        for i in &items {
            put(&mut stream, i);
            ends.push(stream.len());
        }
        let at = at.index(stream.len());
        let whole = ends.iter().filter(|&&e| e <= at).count() - 1;
        let (got, end, _) = decode("viewer", &stream[..at], &cuts);
        prop_assert_eq!(&got[..], &items[..whole]);
        if ends[whole] == at {
            prop_assert_eq!(end, Ok(()));
        } else {
            let Err(StreamError::Truncated { offset, missing }) = end else {
                return Err(TestCaseError::fail(format!("{end:?}")));
            };
            prop_assert_eq!(offset, ends[whole] as u64);
            prop_assert!(missing >= 1 && missing <= (ends[whole + 1] - at) as u64);
        }
    }

    #[test]
    fn any_bytes_are_the_same_at_any_split(
        start in item(), noise in bytes(80), mode in 0usize..5, cuts in cuts()
    ) {
        let mode = common::result::MODES[mode];
        let mut stream = BytesMut::new();
        if mode != "agent" || matches!(start, Item::Packet(_)) {
            put(&mut stream, &start);
        }
        stream.put_slice(&noise);
        prop_assert_eq!(decode(mode, &stream, &cuts), decode(mode, &stream, &[]));
    }

    #[test]
    fn unknown_commands_are_skipped_and_counted(
        parts in vec((unknown_code(), bytes(60), message()), 0..8), cuts in cuts()
    ) {
        let mut stream = BytesMut::new();
        for (code, payload, m) in &parts {
            put_unknown(&mut stream, *code, payload);
            stream.put_slice(&m.encode());
        }
        let (got, end, stats) = decode("agent", &stream, &cuts);
        let sent: Vec<_> = parts.iter().map(|(_, _, m)| Item::Packet(m.packet())).collect();
        prop_assert_eq!(got, sent);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(stats.unknown, parts.len() as u64);
    }

    #[test]
    fn junk_before_frames_is_dropped_and_counted(
        parts in vec((vec(any::<u8>(), 0..60), frame()), 1..8),
        tail in vec(any::<u8>(), 0..60),
        cuts in cuts(),
    ) {
        // Junk is what has no "HT", and the last byte of a stream's tail begins nothing.
        let clean = |junk: &[u8]| {
            let mut junk = junk.to_vec();
            while let Some(at) = junk.windows(2).position(|w| w == b"HT") {
                junk.remove(at);
            }
            junk
        };
        let mut stream = BytesMut::new();
        let mut dropped = 0;
        for (junk, frame) in &parts {
            let junk = clean(junk);
            dropped += junk.len() as u64;
            stream.put_slice(&junk);
            put(&mut stream, &Item::Frame(frame.clone()));
        }
        let mut tail = clean(&tail);
        tail.push(b'.');
        dropped += tail.len() as u64;
        stream.put_slice(&tail);
        let (got, end, stats) = decode("tolerant", &stream, &cuts);
        prop_assert_eq!(got, parts.iter().map(|(_, f)| Item::Frame(f.clone())).collect::<Vec<_>>());
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(stats, Stats { frames: parts.len() as u64, dropped, ..Stats::default() });
    }

    #[test]
    fn a_datagram_is_read_as_it_was_written(m in message()) {
        let packet = m.packet();
        prop_assert_eq!(m.pieces().concat(), packet.encode());
        let total = packet.encode().len();
        if total > MAX_DATAGRAM {
            prop_assert_eq!(datagram::encode(&m), Err(DatagramError::TooLong(total)));
            return Ok(());
        }
        prop_assert_eq!(datagram::encode(&m).unwrap(), packet.encode());
        for reading in [
            Reading::Standard,
            Reading::PayloadLength,
            Reading::LittleEndian,
            Reading::LittleEndianPayloadLength,
        ] {
            let bytes = historical(&packet, reading);
            let got = datagram::parse(&bytes).unwrap();
            prop_assert_eq!(&got.message, &m);
            let answer = matches!(packet.command, Command::Reply | Command::SignedReply);
            prop_assert_eq!(got.wants_reply(), !answer);
            // Sixteen zeros are the same in both byte orders.
            if bytes.iter().any(|&b| b != 0) {
                prop_assert_eq!(got.reading, reading);
            }
            // One packet, and nothing before or after it.
            prop_assert_ne!(datagram::parse(&[&bytes[..], b"x"].concat()).ok(), Some(got));
        }
    }
}

/// Each command takes a payload of exactly its limit, and not a byte more.
#[test]
fn limits_are_exact() {
    let limits = Limits { max_frame: 1000, max_packet: 2000, ..Limits::default() };
    for command in Command::ALL {
        let limit = command.max_payload(&limits);
        for (length, good) in [(limit, true), (limit + 1, false)] {
            let packet = Packet { command, payload: Bytes::from(vec![b'a'; length as usize]) };
            assert_eq!(packet.fits(&limits), good);
            let mut decoder =
                Decoder::new(hightower_proto::stream::Options { limits, ..options("agent") });
            decoder.feed(&packet.encode());
            let got = decoder.next_item();
            if good {
                assert_eq!(got, Ok(Some(Item::Packet(packet))));
            } else {
                assert!(matches!(got, Err(StreamError::PacketTooLong { .. })), "{command}");
            }
        }
    }
    for (length, good) in [(1000, true), (1001, false)] {
        let mut decoder =
            Decoder::new(hightower_proto::stream::Options { limits, ..options("plain") });
        decoder.feed(&frame_header(length));
        decoder.feed(&vec![7; length as usize]);
        assert_eq!(decoder.next_item().is_ok(), good, "a frame of {length}");
    }
}

/// A header read in the wrong byte order is never another command of the registry.
#[test]
fn no_header_is_ambiguous() {
    for a in Command::ALL {
        for reading in [Reading::Standard, Reading::PayloadLength] {
            for payload in [0, 4, 8, 100] {
                let packet = Packet { command: a, payload: vec![b'1'; payload].into() };
                let big = historical(&packet, reading);
                let (length, code) = (&big[..8], &big[8..16]);
                let swapped = (
                    i64::from_le_bytes(length.try_into().unwrap()),
                    i64::from_le_bytes(code.try_into().unwrap()),
                );
                let consistent = [payload as i64, (payload + PACKET_HEADER) as i64];
                if consistent.contains(&swapped.0) {
                    let b = Command::from_code(swapped.1);
                    assert!(b.is_none_or(|b| b == a), "{a} and {b:?}");
                }
            }
        }
    }
}

/// The sender of four bytes is understood, and not answered.
#[test]
fn four_bytes_are_not_answered() {
    let lock = datagram::parse(b"HLYT").unwrap();
    let message = Message::LockMouse { lease_ms: None };
    assert_eq!(lock, Datagram { message, reading: Reading::FourBytes });
    assert!(!lock.wants_reply());
}

/// The longest datagram is one, and a message that is too long for it is refused by its writer.
#[test]
fn datagrams_have_a_longest() {
    let longest = Message::Text("x".repeat(hightower_proto::limits::MAX_DATAGRAM - PACKET_HEADER));
    let bytes = datagram::encode(&longest).unwrap();
    assert_eq!(datagram::parse(&bytes).unwrap().message, longest);
    let Message::Text(mut text) = longest else { unreachable!() };
    text.push('x');
    let total = PACKET_HEADER + text.len();
    assert_eq!(
        datagram::encode(&Message::Text(text)),
        Err(datagram::DatagramError::TooLong(total))
    );
}

/// `needed` is never more than what the next item takes, so that a reader can wait for it.
#[test]
fn needed_leads_to_the_next_item() {
    let mut stream = BytesMut::new();
    put(&mut stream, &Item::Frame(Bytes::from_static(b"picture")));
    stream.put_slice(&Message::MouseMove { x: 1, y: 2 }.encode());
    let mut decoder = Decoder::new(options("viewer"));
    let (mut at, mut steps, mut items) = (0, 0, 0);
    while at < stream.len() {
        let take = decoder.needed();
        decoder.feed(&stream[at..at + take]);
        at += take;
        steps += 1;
        while decoder.next_item().unwrap().is_some() {
            items += 1;
        }
    }
    assert_eq!((items, decoder.needed()), (2, 1));
    // A byte to see what it is, the rest of the header, the payload: of each of the two.
    assert_eq!(steps, 6);
    assert_eq!(FRAME_HEADER, 10);
}
