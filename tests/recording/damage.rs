//! Recordings that were made to do harm, or have come to some.

use crate::common::{Agent, run, stderr, stdout};
use crate::fake_agent::{delta_info, rgb_delta, tile};
use crate::made::{BEGAN, Made, lesson, open_again};
use hightower::recording::{Existing, Note, Recording, RecordingError, Tail};
use hightower_proto::FrameInfo;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const SIZE: (u32, u32) = (24, 16);

/// An export to an animation: its code, its line of JSON, and what it says besides.
fn export(from: &Path) -> (Option<i32>, Value, String) {
    let to = from.with_extension("apng");
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let output = run(&["export", from, to, "--json", "--force"]);
    let line = serde_json::from_str(&stdout(&output)).unwrap();
    (output.status.code(), line, stderr(&output))
}

/// Where the checksum of a picture's `htFr` chunk is, or a byte before it.
fn head_of(made: &Made, picture: usize) -> usize {
    let start = made.pictures[picture - 1].0;
    let chunk = made.bytes[start..].windows(4).position(|kind| kind == b"htFr").unwrap();
    start + chunk + 20
}

#[test]
fn what_a_damaged_frame_takes_with_it_is_told_and_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = lesson(SIZE, 100);
    // What says what it builds on: all up to the next key frame, of 40, is lost with it.
    let (at, begins) = (head_of(&made, 14), made.pictures[13].0);
    made.bytes[at] ^= 4;
    let path = made.save(folder.path());
    let recording = Recording::open(&path).unwrap();
    let index = recording.index();
    assert_eq!((index.len(), &index.tail, index.is_damaged()), (100 - 26, &Tail::Whole, true));
    assert_eq!((index.left_out.frames, index.left_out.places), (26, 1));
    assert_eq!((index.left_out.byte, index.left_out.at), (begins as u64, index.time_of(13)));
    // The window says it as long as it shows the picture before.
    let missing = |picture, ms| index.missing(picture, Duration::from_millis(ms));
    assert!(missing(13, 2000).is_some_and(|mark| mark.cause.contains("damaged")));
    assert!(missing(12, 1250).is_none() && missing(14, 4000).is_none());
    let words = format!(
        "26 frames are left out, from 0:01.300 on (byte {begins}): the first can't be read"
    );
    assert!(recording.shortfall().unwrap().contains(&words), "{:?}", recording.shortfall());
    let (code, line, said) = export(&path);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&words), "{said}");
    assert_eq!((&line["left_out"], &line["whole"]), (&26.into(), &false.into()));
    assert_eq!((&line["pictures"], &line["broken"]), (&74.into(), &0.into()));
    let played = run(&["play", path.to_str().unwrap()]);
    assert!(stderr(&played).contains(&words), "{}", stderr(&played));
    // Twice; and cut off besides.
    let at = head_of(&made, 95);
    made.bytes[at] ^= 1;
    made.bytes.truncate(made.bytes.len() - 3);
    let (code, line, said) = export(&made.save(folder.path()));
    assert_eq!((code, &line["left_out"]), (Some(1), &31.into()), "{said}");
    assert!(said.contains("31 frames are left out in 2 places") && said.contains("cut off"));
}

#[test]
fn what_is_missing_for_a_reason_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let s = Duration::from_secs;
    let at_us = |n: u64| BEGAN + s(n).as_micros() as u64;
    let stray = |version: u64| {
        let tiles = vec![tile(0, 0, 1, 1)];
        let info = FrameInfo { base: version - 1, tiles, ..delta_info(SIZE.0, SIZE.1, version) };
        rgb_delta(info, &|_, _| 0xff)
    };
    let mut made = Made::default();
    made.begin(SIZE, s(0));
    // Half an update, and the connection is lost; what still comes of it is none's.
    made.part(tile(0, 0, 5, 5), 0x12_3456, s(1), false);
    made.note(&Note::Lost { at_us: at_us(2), cause: "gone".into() });
    made.frame(&stray(70));
    made.begin(SIZE, s(3));
    made.delta(tile(0, 0, 5, 5), 0x12_3456, s(4));
    made.note(&Note::Gap { at_us: at_us(5), cause: "the disk".into() });
    made.frame(&stray(80));
    made.begin(SIZE, s(6));
    made.note(&Note::Ended { at_us: at_us(7) });
    // Another recording behind it, which ends in the midst of an update and of a frame.
    made.begin(SIZE, s(9));
    made.part(tile(0, 0, 5, 5), 0x12_3456, s(10), false);
    let whole = made.bytes.len();
    made.frame(&stray(99));
    made.bytes.truncate(whole + 30);
    let (code, line, said) = export(&made.save(folder.path()));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((&line["left_out"], &line["pictures"]), (&0.into(), &5.into()));
    assert!(said.contains("cut off") && !said.contains("damaged"), "{said}");
    // The same stray ones where nobody has said that something is missing.
    let mut made = Made::default();
    made.begin(SIZE, s(0));
    made.frame(&stray(70));
    made.begin(SIZE, s(3));
    let (code, line, said) = export(&made.save(folder.path()));
    assert_eq!((code, &line["left_out"]), (Some(1), &1.into()), "{said}");
    assert!(said.contains("1 frame is left out"), "{said}");
}

#[test]
fn no_bit_that_is_wrong_costs_a_picture_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let at = |n: u32| Duration::from_millis(u64::from(n) * 100);
    made.begin(SIZE, at(0));
    made.delta(tile(3, 3, 9, 9), 0x01_0203, at(1));
    made.part(tile(0, 0, 5, 5), 0x12_3456, at(2), false);
    made.delta(tile(0, 0, 5, 5), 0x65_4321, at(2));
    made.key(SIZE, at(3));
    made.delta(tile(3, 3, 9, 9), 0x03_0201, at(4));
    made.note(&Note::Ended { at_us: BEGAN + 500_000 });
    let (whole, mut told) = (made.bytes.clone(), 0);
    for at in 0..whole.len() {
        made.bytes.clone_from(&whole);
        made.bytes[at] ^= 1 << (at % 8);
        let Ok(mut recording) = Recording::open(&made.save(folder.path())) else { continue };
        let mut right = 0;
        for number in 0..recording.index().len() {
            // Or nothing before it can be shown either.
            let Ok(picture) = recording.picture(number) else { continue };
            let is_right = |(_, pixels): &(_, Vec<u32>)| picture.pixels() == *pixels;
            right += usize::from(made.pictures.get(number).is_some_and(is_right));
        }
        let index = recording.index();
        if index.is_damaged() || recording.broken().0 > 0 {
            told += 1;
            continue;
        }
        // The last one may as well have been cut off, which is said, too.
        let all = made.pictures.len() - usize::from(matches!(index.tail, Tail::Cut(_)));
        assert!(right >= all && index.len() == right, "byte {at}: {right} of {}", index.len());
    }
    assert!(told > whole.len() / 2, "{told} of {}", whole.len());
}

#[test]
fn a_length_that_reaches_beyond_the_end_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = lesson(SIZE, 40);
    let start = made.pictures[9].0;
    made.bytes[start + 2..start + 10].copy_from_slice(&(60u64 << 20).to_le_bytes());
    let (code, line, said) = export(&made.save(folder.path()));
    assert_eq!(code, Some(1), "{said}");
    assert_eq!((&line["pictures"], &line["whole"]), (&10.into(), &false.into()));
    assert!(said.contains("is damaged") && said.contains(&start.to_string()), "{said}");
    // Behind the last frame there is none.
    made = lesson(SIZE, 40);
    made.bytes.truncate(made.pictures[39].0 - 5);
    let (code, line, said) = export(&made.save(folder.path()));
    assert_eq!((code, &line["pictures"]), (Some(0), &39.into()), "{said}");
}

#[test]
fn pictures_that_fit_only_into_a_huge_one_are_exported_each_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    // Each is a few kilobytes; what both fit into are 243 MB.
    made.begin((9000, 1), Duration::ZERO);
    made.key((1, 9000), Duration::from_secs(1));
    let from = made.save(folder.path());
    let export = |name: &str, args: &[&str]| {
        let to = folder.path().join(name);
        run(&[&["export", from.to_str().unwrap(), to.to_str().unwrap()], args].concat())
    };
    for name in ["x.apng", "x.mp4", "x.gif"] {
        let output = export(name, &[]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = stderr(&output);
        assert!(said.contains("9000x9000") && said.contains("frames/"), "{name}: {said}");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "{name}: nothing is left");
    }
    let output = export("frames/", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = export("x.apng", &["--from", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("1x9000"), "{}", stdout(&output));
}

#[test]
fn a_length_that_is_wrong_costs_no_frame_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    // More than is read at once.
    let mut made = lesson((300, 100), 40);
    assert!(made.bytes.len() > 100 << 10);
    let whole = made.bytes.clone();
    for frame in [0, 1, 20, 38] {
        let at = if frame == 0 { 0 } else { made.pictures[frame - 1].0 };
        let at = whole[at..].windows(2).position(|head| head == b"HT").unwrap() + at;
        made.bytes.clone_from(&whole);
        // Of 60 MiB, it says.
        made.bytes[at + 2..at + 10].copy_from_slice(&(60u64 << 20).to_le_bytes());
        let path = made.save(folder.path());
        let refused = open_again(&path, Existing::Append).unwrap_err();
        let is_there =
            matches!(refused, RecordingError::Damaged { at: place, .. } if place == at as u64);
        assert!(is_there, "frame {frame}: {refused}");
        assert!(std::fs::read(&path).unwrap() == made.bytes, "frame {frame}: it was touched");
    }
    // The last one may as well have been cut off.
    let last = made.pictures[38].0;
    made.bytes = whole[..last + 100].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = made.save(folder.path());
    let (file, agent) = (path.to_str().unwrap(), Agent::card(&["--autostart"]));
    let address = agent.address.to_string();
    let output = run(&["record", &address, "-o", file, "--for", "0.2", "--append"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the last 100 bytes of"), "{}", stderr(&output));
}
