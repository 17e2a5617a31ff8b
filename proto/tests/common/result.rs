//! What each decoder makes of some bytes, as lines of text that people can compare.

use super::vector::{Kind, Vector};
use hightower_proto::stream::{Decoder, Options, StreamError};
use hightower_proto::{FrameInfo, Item, Limits, Message, datagram, png};
use std::fmt::{Debug, Display, Write};

/// The options of a stream vector's mode.
pub fn options(mode: &str) -> Options {
    let none = Options::default();
    match mode {
        "viewer" => Options::viewer(),
        "agent" => Options::agent(),
        "plain" => Options { frames: true, ..none },
        "tolerant" => Options { frames: true, tolerant: true, ..none },
        "tolerant-viewer" => Options { tolerant: true, ..Options::viewer() },
        _ => panic!("there is no mode {mode:?}"),
    }
}

/// All modes, in the order of the fuzz target's first byte.
pub const MODES: [&str; 5] = ["viewer", "agent", "plain", "tolerant", "tolerant-viewer"];

/// What a vector's decoder says, and the error's name where there is one.
pub fn of(v: &Vector) -> (String, Option<String>) {
    match v.kind {
        Kind::Stream => of_stream(options(&v.mode), [&v.bytes[..]]),
        Kind::Datagram => lines(datagram::parse(&v.bytes)),
        Kind::Message => lines(parse_message(&v.bytes)),
        Kind::Png => lines(png::Header::parse(&v.bytes, &Limits::default())),
        Kind::Htfr => lines(FrameInfo::parse(&v.bytes, v.image)),
    }
}

/// The message in the one packet that the bytes are.
pub fn parse_message(bytes: &[u8]) -> Result<Message, hightower_proto::message::PayloadError> {
    let mut decoder = Decoder::new(Options::agent());
    decoder.feed(bytes);
    match decoder.next_item() {
        Ok(Some(Item::Packet(p))) if decoder.finish().is_ok() => Message::parse(&p),
        other => panic!("not one packet: {other:?}"),
    }
}

fn lines<T: Debug, E: Debug + Display>(result: Result<T, E>) -> (String, Option<String>) {
    match result {
        Ok(value) => (format!("{value:?}\n"), None),
        Err(e) => (format!("error: {e}\n"), Some(fault(&e))),
    }
}

/// Decodes a stream that comes in these pieces: a line for each item, one for how it ends, and one
/// for what was counted.
pub fn of_stream<'a>(
    options: Options,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (String, Option<String>) {
    let mut decoder = Decoder::new(options);
    let mut out = String::new();
    let mut failed: Option<StreamError> = None;
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_item() {
                Ok(Some(Item::Frame(f))) => writeln!(out, "frame {}", show(&f)).unwrap(),
                Ok(Some(Item::Packet(p))) => {
                    writeln!(out, "packet {} {}", p.command, show(&p.payload)).unwrap();
                }
                Ok(None) => break,
                Err(e) => {
                    let first = failed.get_or_insert(e.clone());
                    assert_eq!(*first, e, "a stream that has failed fails otherwise later");
                    break;
                }
            }
        }
    }
    let end = decoder.finish();
    match (&end, failed) {
        (Ok(()), None) => out.push_str("end\n"),
        (Err(e), None) => writeln!(out, "error: {e}").unwrap(),
        (end, Some(e)) => {
            assert_eq!(*end, Err(e.clone()), "the end tells another error");
            writeln!(out, "error: {e}").unwrap();
        }
    }
    let s = decoder.stats();
    writeln!(
        out,
        "frames {}, packets {}, unknown {}, dropped {}",
        s.frames, s.packets, s.unknown, s.dropped
    )
    .unwrap();
    (out, end.err().map(|e| fault(&e)))
}

fn show(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// The name of an error's variant, as file names have it: `Payload(Length { .. })` is
/// `payload-length`.
fn fault(error: &dyn Debug) -> String {
    let mut debug = format!("{error:?}");
    // The outer errors that carry a whole inner one.
    for outer in ["Payload(", "FrameInfo(", "Canvas("] {
        debug = debug.replacen(outer, outer.trim_end_matches('('), 1);
    }
    let mut name = String::new();
    for c in debug.chars().take_while(|c| c.is_ascii_alphanumeric()) {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}
