//! `SPEC.md` says what the code does: its examples are vectors, its tables the registry and limits.

// A specification that can't be read should stop the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::vector::{all, folder};
use hightower_proto::limits::{
    MAX_CHUNK, MAX_DATAGRAM, MAX_MESSAGE, MAX_MOVED, MAX_MOVES, MAX_RECIPIENTS, MAX_SCALE,
    MAX_TEXT, MAX_TILED, MAX_TILES, WINDOW,
};
use hightower_proto::stream::frame_header;
use hightower_proto::{Command, Limits, PORT, PROTOCOL, htfr};

const SPEC: &str = include_str!("../SPEC.md");

/// The rows of the table under a heading that begins so, without its head.
fn rows(begin: &str) -> Vec<Vec<String>> {
    let (_, table) = SPEC.split_once(begin).expect("the table's head");
    table
        .lines()
        .skip(2)
        .take_while(|l| l.starts_with('|'))
        .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
        .collect()
}

#[test]
fn its_examples_are_vectors() {
    let mut examples = 0;
    for block in SPEC.split("```hex ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let shown: Vec<_> = rest.split("```").next().unwrap().lines().collect();
        let text = std::fs::read_to_string(folder().join(name).with_extension("hex")).unwrap();
        let input: Vec<_> = text
            .lines()
            .take_while(|l| *l != "---")
            .filter(|l| !["# ", "mode: ", "image: "].iter().any(|head| l.starts_with(head)))
            .collect();
        assert_eq!(shown, input, "{name}");
        examples += 1;
    }
    assert!(examples >= 10, "{examples} examples");
    assert!(all().len() > examples);
}

#[test]
fn its_commands_are_the_registry() {
    let limits = Limits::default();
    let told = rows("| code | name | payload | who to whom | longest |");
    assert_eq!(told.len(), Command::ALL.len());
    for (row, command) in told.iter().zip(Command::ALL) {
        assert_eq!(row[0], command.code().to_string(), "{command}");
        assert_eq!(row[1], command.name());
        let longest = match &row[4][..] {
            "text" => MAX_TEXT,
            "bulk" => limits.max_packet,
            n => n.parse().unwrap(),
        };
        assert_eq!(longest, command.max_payload(&limits), "{command}");
        assert_eq!(Command::from_code(command.code()), Some(command));
    }
}

#[test]
fn its_numbers_are_the_codes() {
    let thousands = |n: u64| {
        let digits = n.to_string();
        let mut out = String::new();
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(c);
        }
        out
    };
    let limits = Limits::default();
    let told = rows("| what | limit |");
    let expected = [
        limits.max_frame,
        limits.max_packet,
        MAX_TEXT,
        0,
        MAX_DATAGRAM as u64,
        u64::from(limits.max_dimension),
        limits.max_pixels,
        MAX_MOVES as u64,
        MAX_TILES as u64,
        MAX_MOVED as u64,
        MAX_TILED as u64,
        htfr::MAX_LENGTH as u64,
        MAX_SCALE.into(),
        MAX_RECIPIENTS as u64,
        MAX_MESSAGE as u64,
        MAX_CHUNK as u64,
        WINDOW,
    ];
    assert_eq!(told.len(), expected.len());
    for (row, n) in told.iter().zip(expected) {
        assert!(n == 0 || row[1].contains(&thousands(n)), "{row:?}: not {n}");
    }
    assert!(SPEC.contains(&format!("**{PORT}** (`{PORT:#06x}`")));
    assert!(SPEC.contains(&format!("Revision {PROTOCOL}.")));
    assert!(SPEC.contains(&format!("Its data, {} bytes", htfr::KEY_LENGTH)));
    assert_eq!(frame_header(0x0102)[..4], [0x48, 0x54, 0x02, 0x01]);
}
