//! Random and tampered inputs into every decoder: none panics, none holds more than its bound.
//!
//! Each decoder gets a million, or `HIGHTOWER_HOSTILE_INPUTS`; always the same ones, unless
//! `HIGHTOWER_HOSTILE_SEED` says otherwise. A failure prints the seed and the input.

// A test that can't build its input should stop.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod allocator;
mod chunk;
#[path = "../common/mod.rs"]
mod common;
mod input;

use allocator::{held, most_held};
use common::result::options;
use common::vector::Kind;
use hightower_proto::htfr::LAYOUT_DELTA;
use hightower_proto::limits::{MAX_MOVES, MAX_TEXT, MAX_TILES};
use hightower_proto::message::{Message, Packet};
use hightower_proto::stream::{Decoder, Options, frame_header};
use hightower_proto::{Command, FrameInfo, Item, Limits, datagram, png};
use input::{Corpus, Random, greedy_json, right_checksums, streams};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const MIB: usize = 1 << 20;

/// What a stream's decoder may hold beyond what it was given: one step of 1 MiB, the least buffer
/// (8 KiB) of the item that is kept and of the one that takes its place, and small change.
const STREAM_STEP: usize = MIB + 2 * (8 << 10) + 1024;

/// What a parsed message may hold for each byte of its payload. JSON is the reason: `{"":0},` are
/// seven bytes, and an object of one member takes over six hundred.
const MESSAGE_FACTOR: usize = 128;

/// What a parsed message may hold besides: an error's words, the smallest of JSON.
const MESSAGE_STEP: usize = 4096;

/// What a parsed chunk may hold for each byte of its data: a tile takes at least four of them, and
/// sixteen in memory; a move six and twenty-four.
const HTFR_FACTOR: usize = 4;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |v| v.replace('_', "").parse().expect("a number"))
}

/// Runs a decoder over all its inputs; it gives the most it may hold.
fn run(
    name: &str,
    corpus: &Corpus,
    mut decode: impl FnMut(&mut Random, Vec<u8>) -> (usize, usize),
) {
    let inputs = number("HIGHTOWER_HOSTILE_INPUTS", 1_000_000);
    let seed = number("HIGHTOWER_HOSTILE_SEED", 0x4854);
    let mut closest = (0, 1);
    for n in 0..inputs {
        let mut random = Random::new(seed ^ n.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let input = corpus.input(&mut random);
        let tell = || format!("{name}: HIGHTOWER_HOSTILE_SEED={seed} input {n}: {input:02x?}");
        match catch_unwind(AssertUnwindSafe(|| decode(&mut random, input.clone()))) {
            Ok((most, bound)) => {
                assert!(most <= bound, "{} held {most}, more than {bound}", tell());
                if most * closest.1 > closest.0 * bound.max(1) {
                    closest = (most, bound.max(1));
                }
            }
            Err(panic) => {
                eprintln!("{}", tell());
                resume_unwind(panic);
            }
        }
    }
    println!("{name}: {inputs} inputs; the closest held {} of {} bytes", closest.0, closest.1);
}

/// Feeds a stream in pieces of any length, either way there is.
fn stream(name: &str, options: Options) {
    let corpus = Corpus::new(Kind::Stream, streams());
    run(name, &corpus, |random, input| {
        let before = held();
        let (decoder, most) = most_held(|| {
            let mut decoder = Decoder::new(options);
            let mut kept = None;
            let mut rest = &input[..];
            while !rest.is_empty() {
                let longest = [1, 20, 2000, rest.len()][random.below(4)].min(rest.len());
                let (piece, after) = rest.split_at(1 + random.below(longest));
                rest = after;
                if random.below(2) == 0 {
                    decoder.feed(piece);
                } else {
                    decoder.buffer().extend_from_slice(piece);
                }
                while let Ok(Some(item)) = decoder.next_item() {
                    // One item is kept while the stream goes on, as a viewer keeps a frame.
                    kept = Some(item);
                }
            }
            drop(kept);
            let _ = decoder.finish();
            decoder
        });
        let s = decoder.stats();
        assert!(decoder.offset() <= input.len() as u64);
        assert!(10 * s.frames + 16 * (s.packets + s.unknown) + s.dropped <= input.len() as u64);
        drop(decoder);
        assert_eq!(held(), before, "something is left");
        (most, input.len() + STREAM_STEP)
    });
}

#[test]
fn stream_of_a_viewer() {
    stream("stream, viewer", options("viewer"));
}

#[test]
fn stream_of_an_agent() {
    stream("stream, agent", options("agent"));
}

#[test]
fn stream_with_tolerance() {
    stream("stream, tolerant", options("tolerant"));
}

#[test]
fn stream_with_tolerance_and_packets() {
    stream("stream, tolerant viewer", options("tolerant-viewer"));
}

#[test]
fn datagrams() {
    let more = [b"HLYT".to_vec(), b"HLNT".to_vec()];
    let corpus = Corpus::new(Kind::Datagram, more.to_vec());
    run("datagram", &corpus, |_, input| {
        let (result, most) = most_held(|| datagram::parse(&input));
        if let Ok(d) = result {
            // What is understood can be said in the standard way, and means the same.
            let bytes = d.message.encode();
            assert_eq!(datagram::parse(&bytes).map(|d| d.message), Ok(d.message));
        }
        (most, MESSAGE_FACTOR * input.len() + MESSAGE_STEP)
    });
}

#[test]
fn messages() {
    let corpus = Corpus::new(Kind::Message, vec![]);
    run("message", &corpus, |random, mut input| {
        // Mostly the payload under its own command, sometimes under any.
        let own = input.get(8..16).and_then(|c| c.try_into().ok()).map(i64::from_be_bytes);
        let any = Command::ALL[random.below(Command::ALL.len())];
        let command = match own.and_then(Command::from_code) {
            Some(own) if random.below(4) > 0 => own,
            _ => any,
        };
        let payload = input.split_off(input.len().min(16));
        let length = payload.len();
        let packet = Packet { command, payload: payload.into() };
        let (result, most) = most_held(|| Message::parse(&packet));
        if let Ok(m) = result {
            assert_eq!(Message::parse(&m.packet()), Ok(m));
        }
        (most, MESSAGE_FACTOR * length + MESSAGE_STEP)
    });
}

#[test]
fn png_headers() {
    let corpus = Corpus::new(Kind::Png, vec![]);
    run("png", &corpus, |random, mut input| {
        if random.below(2) == 0 {
            right_checksums(&mut input);
        }
        let limits = Limits::default();
        let (result, most) = most_held(|| png::Header::parse(&input, &limits));
        if let Ok(h) = result {
            assert!(limits.allow_image(h.width, h.height));
            if let Some(info) = h.frame {
                assert!(limits.allow_image(info.canvas.0, info.canvas.1));
                assert!(info.is_key() || info.image_size() == (h.width, h.height));
            }
        }
        // An error quotes the first eight bytes.
        (most, HTFR_FACTOR * input.len() + 8)
    });
}

#[test]
fn htfr_data() {
    let corpus = Corpus::new(Kind::Htfr, vec![]);
    run("htfr", &corpus, |_, input| {
        let (result, most) = most_held(|| FrameInfo::parse(&input, (1, 1)));
        if let Ok(info) = result {
            assert!(info.moves.len() <= MAX_MOVES && info.tiles.len() <= MAX_TILES);
            if info.is_key() || input[0] == LAYOUT_DELTA {
                assert_eq!(info.data()[..], input[..]);
            }
        }
        (most, HTFR_FACTOR * input.len())
    });
}

/// A peer that announces the longest frame, and sends some of it.
#[test]
fn what_is_announced_is_not_held() {
    let limits = Limits::default();
    let chunk = vec![7; 64 << 10];
    let ((), most) = most_held(|| {
        let mut decoder = Decoder::new(Options::viewer());
        decoder.feed(&frame_header(limits.max_frame));
        assert_eq!(decoder.next_item(), Ok(None));
    });
    assert!(most <= STREAM_STEP, "{most} for a header");
    let ((), most) = most_held(|| {
        let mut decoder = Decoder::new(Options::viewer());
        decoder.feed(&frame_header(limits.max_frame));
        for sent in 1..=(10 * MIB / chunk.len()) {
            decoder.buffer().extend_from_slice(&chunk);
            assert_eq!(decoder.next_item(), Ok(None));
            let now = held();
            assert!(now > (sent * chunk.len()) as isize);
        }
    });
    assert!(most <= 10 * MIB + 10 + STREAM_STEP, "{most} for 10 MiB");
}

/// After a long item, and after an error, the room that was needed is given back.
#[test]
fn what_is_done_is_not_held() {
    let before = held();
    let mut decoder = Decoder::new(Options::viewer());
    let frame = vec![7; 10 * MIB];
    decoder.feed(&frame_header(frame.len() as u64));
    decoder.feed(&frame);
    drop(frame);
    let Ok(Some(Item::Frame(frame))) = decoder.next_item() else { panic!("no frame") };
    assert_eq!(decoder.next_item(), Ok(None));
    assert!(held() - before >= 10 * MIB as isize);
    drop(frame);
    decoder.buffer();
    assert!(held() - before <= STREAM_STEP as isize, "{} after a frame", held() - before);

    decoder.feed(b"no");
    assert!(decoder.next_item().is_err());
    for _ in 0..100 {
        decoder.feed(&[0; 100_000]);
        decoder.buffer().extend_from_slice(&[0; 8000]);
        assert!(decoder.next_item().is_err());
    }
    assert!(held() - before <= 64 << 10, "{} after an error", held() - before);
}

/// The greediest JSON there is, at the longest there may be.
#[test]
fn greedy_json_stays_within_its_factor() {
    for unit in ["0", "[]", "{}", "\"\"", "{\"\":0}", "{\"\":{\"\":0}}", "[0]", "[[[0]]]"] {
        let text = greedy_json(unit, MAX_TEXT as usize);
        let state = format!(
            r#"{{"monitoring":true,"capture":{{"is":"idle","x":{}}}}}"#,
            String::from_utf8(text.clone()).unwrap()
        );
        for (command, payload) in [(Command::Struct, text), (Command::State, state.into_bytes())] {
            let bound = MESSAGE_FACTOR * payload.len();
            let packet = Packet { command, payload: payload.into() };
            let (result, most) = most_held(|| Message::parse(&packet));
            assert!(result.is_ok(), "{result:?}");
            println!(
                "{command} of {unit}: {:.1} bytes a byte",
                most as f64 / packet.payload.len() as f64
            );
            assert!(most <= bound, "{command} of {unit}: {most}, more than {bound}");
        }
    }
}
