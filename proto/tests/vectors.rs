//! The golden vectors: each gives what its file says, and streams give it at every split.
//!
//! `HIGHTOWER_VECTORS=write` writes the results into the files instead, for review as a change.

mod common;

use common::result::{self, of_stream, options};
use common::vector::{Kind, Vector, all};

/// Every error that a decoder has, as the vectors' names have it.
const FAULTS: [(&str, &[&str]); 5] = [
    (
        "stream",
        &[
            "no-item",
            "frame-not-allowed",
            "frame-empty",
            "frame-too-long",
            "packet-negative",
            "packet-too-short",
            "packet-too-long",
            "truncated",
        ],
    ),
    // `ambiguous` is missing: no header of today's registry can be.
    (
        "datagram",
        &[
            "too-short",
            "too-long",
            "length",
            "unknown-command",
            "payload-length",
            "payload-utf8",
            "payload-json",
            "payload-base64",
        ],
    ),
    ("message", &["length", "utf8", "json", "base64"]),
    (
        "png",
        &[
            "signature",
            "truncated",
            "no-header",
            "checksum",
            "chunk-type",
            "color",
            "dimensions",
            "second-frame-info",
            "canvas-limits",
            "canvas-image",
            "canvas-key",
            "canvas-move",
            "canvas-tile",
            "canvas-moved",
            "canvas-tiled",
            // The others are vectors of `htfr`.
            "frame-info-length",
            "frame-info-flags",
            "frame-info-version",
            "frame-info-truncated",
            "frame-info-too-many-tiles",
        ],
    ),
    (
        "htfr",
        &[
            "length",
            "layout",
            "flags",
            "version",
            "base",
            "truncated",
            "trailing",
            "not-shortest",
            "too-great",
            "too-many-moves",
            "too-many-tiles",
            "empty",
            "nowhere",
            "target",
        ],
    ),
];

#[test]
fn every_vector_gives_what_its_file_says() {
    let write = std::env::var_os("HIGHTOWER_VECTORS").is_some_and(|v| v == "write");
    let mut wrong = String::new();
    for v in all() {
        let (got, fault) = result::of(&v);
        assert_eq!(v.good, fault.is_none(), "{}: {got}", v.name);
        if let Some(fault) = fault {
            let (_, named) = v.name.split_once('-').expect("a decoder's name and a fault's");
            let named = named.split("--").next();
            assert_eq!(named, Some(&fault[..]), "{} is not named by its fault: {got}", v.name);
        }
        if got != v.expected {
            if write {
                rewrite(&v, &got);
            }
            wrong += &format!("{}\nexpected:\n{}got:\n{got}\n", v.name, v.expected);
        }
    }
    assert!(write || wrong.is_empty(), "{wrong}");
}

fn rewrite(v: &Vector, got: &str) {
    let text = std::fs::read_to_string(&v.path).expect("it was read before");
    let (input, _) = text.split_once("---\n").expect("it was found before");
    std::fs::write(&v.path, format!("{input}---\n{got}")).expect("the file can be written");
}

#[test]
fn every_error_has_a_vector() {
    let names: Vec<_> = all().into_iter().filter(|v| !v.good).map(|v| v.name).collect();
    for (decoder, faults) in FAULTS {
        for fault in faults {
            let name = format!("{decoder}-{fault}");
            assert!(names.contains(&name), "no vector bad/{name}.hex");
        }
    }
}

#[test]
fn streams_are_the_same_at_every_split() {
    let streams: Vec<_> = all().into_iter().filter(|v| v.kind == Kind::Stream).collect();
    assert!(!streams.is_empty());
    for v in streams {
        let options = options(&v.mode);
        let whole = of_stream(options, [&v.bytes[..]]);
        assert_eq!(of_stream(options, v.bytes.chunks(1)), whole, "{}: byte by byte", v.name);
        for at in 0..=v.bytes.len() {
            let (a, b) = v.bytes.split_at(at);
            assert_eq!(of_stream(options, [a, b]), whole, "{}: split at {at}", v.name);
        }
    }
}

/// Reading through [`hightower_proto::Decoder::buffer`] is the same as feeding.
#[test]
fn streams_are_the_same_through_the_buffer() {
    for v in all().into_iter().filter(|v| v.kind == Kind::Stream) {
        let options = options(&v.mode);
        let (mut fed, mut read) =
            (hightower_proto::Decoder::new(options), hightower_proto::Decoder::new(options));
        for piece in v.bytes.chunks(3) {
            fed.feed(piece);
            read.buffer().extend_from_slice(piece);
            loop {
                let (a, b) = (fed.next_item(), read.next_item());
                assert_eq!(a, b, "{}", v.name);
                if !matches!(a, Ok(Some(_))) {
                    break;
                }
            }
        }
        assert_eq!(fed.finish(), read.finish(), "{}", v.name);
        assert_eq!(fed.stats(), read.stats(), "{}", v.name);
    }
}

/// What a good message says is said again by its own encoding.
#[test]
fn good_messages_survive_their_encoding() {
    for v in all().into_iter().filter(|v| v.good && v.kind == Kind::Message) {
        let message = result::parse_message(&v.bytes).expect("a good vector");
        assert_eq!(result::parse_message(&message.encode()), Ok(message), "{}", v.name);
    }
}

/// Whoever dialled a wrong port is told whose it is.
#[test]
fn other_protocols_are_named() {
    let vectors = all();
    for (name, guess) in [
        ("stream-frame-too-long--http-server", Some("an HTTP server")),
        ("stream-no-item", Some("an HTTP client")),
        ("stream-no-item--tls", Some("TLS")),
        ("stream-key-frame", None),
        ("stream-session", None),
        ("stream-empty", None),
    ] {
        let vector = vectors.iter().find(|v| v.name == name).expect("it is there");
        assert_eq!(hightower_proto::stream::guess_protocol(&vector.bytes), guess, "{name}");
    }
}
