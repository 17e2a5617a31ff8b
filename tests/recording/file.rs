//! What is in a recording's file, and what can be read of it.

use crate::chance::{self, Chance};
use crate::fake_agent::{FakeAgent, LONG, delta_info, rgb, rgb_delta, tile};
use crate::made::{BEGAN, Made, assert_pictures, lesson, open_again, plain};
use hightower::recording::{Existing, Note, Progress, Recording, RecordingError, Tail, Writer};
use hightower::viewer::{Client, ClientOptions};
use hightower_proto::message::Goodbye;
use hightower_proto::{FrameInfo, Message};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SIZE: (u32, u32) = (64, 48);

fn record(client: &Client, path: &Path, existing: Existing) -> Arc<Progress> {
    client.record(open_again(path, existing).unwrap()).unwrap()
}

/// Ends the recording, and waits until it is written.
fn end(client: &Client, progress: &Progress) {
    client.end_recording();
    client.wait_until(LONG, |_| progress.outcome().is_some()).unwrap();
    assert_eq!(progress.outcome(), Some(&Ok(())));
}

/// Waits until the file has so many pictures.
fn await_pictures(client: &Client, path: &Path, pictures: usize) {
    let end = std::time::Instant::now() + LONG;
    while Recording::open(path).unwrap().index().len() < pictures {
        assert!(std::time::Instant::now() < end, "they are never written");
        // The disk tells nobody.
        drop(client.wait_until(Duration::from_millis(5), |_| false));
    }
}

fn delta(version: u64, color: u32) -> Vec<u8> {
    let tiles = vec![tile(version as u32, 3, 10, 10)];
    rgb_delta(FrameInfo { tiles, ..delta_info(SIZE.0, SIZE.1, version) }, &|_, _| color)
}

#[test]
fn a_recording_is_the_stream_from_a_key_frame_on_and_goes_on_after_a_lost_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let mut viewer = agent.accept_speaking();
    viewer.frame(&plain(SIZE, 1, 0x11_2233));
    client.wait_until(LONG, |view| view.picture.is_some()).unwrap();
    // What is there cannot be gone on from: a key frame is asked for, and what comes before it is
    // left out.
    let progress = record(&client, &path, Existing::Refuse);
    assert!(client.view().recording.is_some());
    viewer.expect(|m| matches!(m, Message::Refresh));
    viewer.frame(&delta(2, 0x01_0101));
    let key = plain(SIZE, 3, 0x44_5566);
    viewer.frame(&key);
    let second = delta(4, 0x77_8899);
    viewer.frame(&second);
    client.wait_until(LONG, |view| view.sequence == 4).unwrap();
    viewer.say(&Message::Goodbye(Goodbye { reason: "updating".into() }));
    drop(viewer);
    let mut viewer = agent.accept_speaking();
    let third = plain((32, 16), 1, 0xaa_bbcc);
    viewer.frame(&third);
    client.wait_until(LONG, |view| view.sequence == 5).unwrap();
    end(&client, &progress);
    assert_eq!((progress.pictures(), progress.gaps()), (3, 0));
    assert!(client.view().recording.is_none());
    let notice = client.view().notice.unwrap().text;
    assert!(notice.contains("recorded") && notice.contains("x.ht"), "{notice}");

    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(progress.bytes(), bytes.len() as u64);
    let header = hightower_proto::stream::frame_header(key.len() as u64);
    assert!(bytes.starts_with(&[&header[..], &key].concat()), "it begins with the key frame");
    for frame in [&second, &third] {
        assert!(bytes.windows(frame.len()).any(|part| part == *frame), "a frame as it came");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let mut recording = Recording::open(&path).unwrap();
    let index = recording.index();
    assert_eq!((index.len(), &index.tail, index.left_out.frames), (3, &Tail::Whole, 0));
    assert_eq!(index.sizes, [(0, SIZE), (2, (32, 16))]);
    assert_eq!(index.welcome.as_ref().unwrap().host, "lab-7");
    let began = index.began_us.unwrap();
    assert!(hightower::viewer::now_us().abs_diff(began) < 60_000_000);
    let [mark] = &index.marks[..] else { panic!("{:?}", index.marks) };
    assert_eq!(mark.pictures, 2);
    assert_eq!(mark.cause, "connection lost: the agent said goodbye: updating");
    assert_eq!(recording.host(), "lab-7");
    assert!(recording.picture(2).unwrap().pixels().iter().all(|&p| p == 0xaa_bbcc));
    assert_eq!(recording.picture(1).unwrap().row(5)[6], 0x77_8899);
    assert_eq!(recording.picture(0).unwrap().row(5)[6], 0x44_5566);
}

#[test]
fn a_still_screen_is_recorded_and_nothing_is_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = record(&client, &path, Existing::Refuse);
    let mut viewer = agent.accept_speaking();
    // Begun before the first frame, which is a key frame anyway: none is asked for.
    viewer.frame(&plain(SIZE, 1, 0x11_2233));
    viewer.expect(|m| {
        assert!(!matches!(m, Message::Refresh), "a key frame for nothing");
        matches!(m, Message::Acknowledge(_))
    });
    await_pictures(&client, &path, 1);
    end(&client, &progress);
    // Begun and ended without a picture: there is no file, or it is as it was.
    let other = folder.path().join("y.ht");
    let progress = record(&client, &other, Existing::Refuse);
    end(&client, &progress);
    assert!(!other.exists());
    let before = std::fs::read(&path).unwrap();
    let progress = record(&client, &path, Existing::Replace);
    end(&client, &progress);
    assert!(std::fs::read(&path).unwrap() == before, "not replaced by nothing");
    let notice = client.view().notice.unwrap().text;
    assert!(notice.contains("nothing was recorded"), "{notice}");
}

#[test]
fn a_client_that_ends_writes_all_that_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = record(&client, &path, Existing::Refuse);
    let mut viewer = agent.accept_speaking();
    viewer.frame(&plain(SIZE, 1, 0x11_2233));
    for version in 2..50 {
        viewer.frame(&delta(version, version as u32));
    }
    client.wait_until(LONG, |view| view.sequence == 49).unwrap();
    drop(client);
    assert_eq!(progress.outcome(), Some(&Ok(())));
    let recording = Recording::open(&path).unwrap();
    assert_eq!((recording.index().len(), recording.index().marks.len()), (49, 0));
}

#[test]
fn plain_servers_frames_have_their_times_from_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = record(&client, &path, Existing::Refuse);
    let mut viewer = agent.accept();
    for n in 1..=3u32 {
        viewer.frame(&rgb(8, 8, None, &|_, _| n));
        client.wait_until(LONG, |view| view.sequence == u64::from(n)).unwrap();
        // Time goes by.
        drop(client.wait_until(Duration::from_millis(30), |_| false));
    }
    end(&client, &progress);
    let mut recording = Recording::open(&path).unwrap();
    let index = recording.index();
    let times: Vec<_> = (0..3).map(|n| index.time_of(n)).collect();
    assert_eq!(times[0], Duration::ZERO);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(25)));
    assert!(index.length() > times[2]);
    assert_eq!(recording.picture(2).unwrap().row(0)[0], 3);
}

#[test]
fn a_historical_servers_jpegs_are_recorded_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = record(&client, &path, Existing::Refuse);
    let mut viewer = agent.accept();
    for grey in [40, 200] {
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
        encoder.encode(&[grey; 24 * 16], 24, 16, image::ExtendedColorType::L8).unwrap();
        viewer.frame(&jpeg);
        client.wait_until(LONG, |view| view.sequence == 1 + u64::from(grey > 40)).unwrap();
    }
    // What is no picture for anybody is not recorded.
    viewer.frame(b"neither a PNG nor a JPEG");
    client.wait_until(LONG, |view| view.counters.bad == 1).unwrap();
    end(&client, &progress);
    let mut recording = Recording::open(&path).unwrap();
    assert_eq!((recording.index().len(), recording.index().left_out.frames), (2, 0));
    assert_eq!(recording.index().sizes, [(0, (24, 16))]);
    let grey = |picture: u32| picture & 0xff;
    assert!(grey(recording.picture(0).unwrap().row(3)[3]).abs_diff(40) < 4);
    assert!(grey(recording.picture(1).unwrap().row(3)[3]).abs_diff(200) < 4);
}

#[test]
fn a_stream_that_was_written_by_anything_else_is_a_recording_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    made.key(SIZE, Duration::ZERO);
    made.delta(tile(1, 1, 5, 5), 0x12_3456, Duration::from_millis(700));
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_pictures(&mut recording, &made.pictures);
    assert_eq!(recording.index().length(), Duration::from_millis(700));
    assert_eq!((recording.index().began_us, recording.host()), (None, "made".to_owned()));
    // Without any times they are as far apart as they were historically.
    let mut made = Made::default();
    (0..4).for_each(|n| made.frame(&rgb(4, 4, None, &|_, _| n)));
    let recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_eq!(recording.index().time_of(3), Duration::from_millis(300));
}

#[test]
fn pictures_are_found_by_number_and_time_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson(SIZE, 200);
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_pictures(&mut recording, &made.pictures);
    let index = recording.index();
    assert_eq!(index.length(), Duration::from_secs(20));
    assert_eq!(index.began_us, Some(BEGAN));
    let ms = Duration::from_millis;
    let found = [0, 99, 100, 199, 12_345, 19_999, 70_000].map(|time| index.at(ms(time)));
    assert_eq!(found, [0, 0, 1, 1, 123, 199, 199]);
    let mut chance = Chance::new(chance::seed());
    for _ in 0..300 {
        let number = chance.below(200);
        let picture = recording.picture(number).unwrap();
        assert!(picture.pixels() == made.pictures[number].1, "picture {number}");
    }
    // Back, one by one.
    for number in (0..200).rev() {
        assert!(recording.picture(number).unwrap().pixels() == made.pictures[number].1);
    }
    assert!(recording.picture(200).is_err());
}

#[test]
fn cut_at_any_byte_it_is_whole_up_to_its_last_whole_frame() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson((24, 16), 12);
    let path = made.save(folder.path());
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for cut in (0..=made.bytes.len()).rev() {
        file.set_len(cut as u64).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let whole = made.pictures.iter().filter(|(end, _)| *end <= cut).count();
        assert_eq!(recording.index().len(), whole, "cut at {cut}");
        assert_eq!(recording.shortfall().is_some(), recording.index().end < cut as u64);
        if let Some(last) = whole.checked_sub(1) {
            assert!(recording.picture(last).unwrap().pixels() == made.pictures[last].1, "{cut}");
        }
    }
    assert!(matches!(Recording::open_some(&path), Err(RecordingError::Empty(_))));
}

#[test]
fn another_size_of_the_screen_half_way_is_another_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let s = Duration::from_secs;
    made.begin((40, 30), s(0));
    made.delta(tile(0, 0, 5, 5), 0x12_3456, s(1));
    made.key((60, 20), s(2));
    made.delta(tile(50, 0, 10, 20), 0x65_4321, s(3));
    made.key((40, 30), s(4));
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_pictures(&mut recording, &made.pictures);
    assert_eq!(recording.index().sizes, [(0, (40, 30)), (2, (60, 20)), (4, (40, 30))]);
    assert_eq!(recording.index().size_of(3), (60, 20));
}

#[test]
fn what_builds_on_nothing_is_left_out_and_what_is_half_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::default();
    let s = Duration::from_secs;
    made.begin(SIZE, s(0));
    // In two frames; then one that is given up for a key frame.
    made.part(tile(0, 0, 5, 5), 0x12_3456, s(1), false);
    let half = made.pictures.last().unwrap().1.clone();
    made.delta(tile(0, 5, 5, 5), 0x12_3456, s(1));
    let (_, whole) = made.pictures.last_mut().unwrap();
    assert!(*whole != half);
    for y in 0..5 {
        whole[y * SIZE.0 as usize..][..5].fill(0x12_3456);
    }
    made.part(tile(9, 9, 5, 5), 0x99_9999, s(2), false);
    made.key(SIZE, s(3));
    // On a version that is not here.
    let info = FrameInfo {
        version: 99,
        base: 98,
        tiles: vec![tile(0, 0, 1, 1)],
        ..delta_info(SIZE.0, SIZE.1, 99)
    };
    made.frame(&rgb_delta(info, &|_, _| 0xff));
    made.key(SIZE, s(4));
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_pictures(&mut recording, &made.pictures);
    assert_eq!(recording.index().left_out.frames, 1);
}

#[test]
fn a_picture_that_cant_be_decoded_is_told_of_and_the_one_before_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = lesson((24, 16), 50);
    // In the pixels of the third picture; their checksum tells.
    let at = made.pictures[2].0 - 40;
    made.bytes[at] ^= 0xff;
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_eq!(recording.index().len(), 50);
    assert!(recording.picture(2).unwrap().pixels() == made.pictures[1].1);
    let (broken, fault) = recording.broken();
    assert!(broken == 1 && fault.is_some_and(|fault| fault.contains("PNG")), "{fault:?}");
    // The next key frame helps.
    assert!(recording.picture(40).unwrap().pixels() == made.pictures[40].1);
    assert!(recording.picture(45).unwrap().pixels() == made.pictures[45].1);
}

#[test]
fn what_is_no_recording_is_said_and_what_is_damaged_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    for foreign in [&b"\x89PNG\r\n\x1a\n and so on"[..], b"HTTP/1.1 200 OK\r\n\r\n", b"text"] {
        std::fs::write(&path, foreign).unwrap();
        assert!(matches!(Recording::open(&path), Err(RecordingError::Foreign(_))), "{foreign:?}");
    }
    let missing = Recording::open(&folder.path().join("missing.ht")).unwrap_err().to_string();
    assert!(missing.contains("missing.ht") && missing.contains("no such file"), "{missing}");
    assert!(matches!(Recording::open(folder.path()), Err(RecordingError::NoFile(_))));
    let made = lesson((24, 16), 12);
    let whole = made.pictures[7].0;
    let bytes = [&made.bytes[..whole], b"rubbish", &made.bytes[whole..]].concat();
    std::fs::write(&path, bytes).unwrap();
    let mut recording = Recording::open(&path).unwrap();
    assert_pictures(&mut recording, &made.pictures[..8]);
    let words = recording.shortfall().unwrap();
    assert!(words.contains("damaged") && words.contains(&whole.to_string()), "{words}");
    let refused = Writer::open(&path, Existing::Append).unwrap_err();
    assert!(matches!(refused, RecordingError::Damaged { .. }), "{refused}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), made.bytes.len() as u64 + 7);
}

#[test]
fn a_file_that_is_there_is_kept_gone_on_in_or_replaced_as_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson((24, 16), 12);
    let path = made.save(folder.path());
    assert!(matches!(Writer::open(&path, Existing::Refuse), Err(RecordingError::Exists(_))));
    // Cut off in the middle, it is gone on in where it is whole.
    let cut = made.pictures[9].0 + 11;
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
    let mut more = Made::default();
    more.begin((24, 16), Duration::from_secs(100));
    let mut writer = Writer::open(&path, Existing::Append).unwrap();
    let half = made.bytes.len() - made.pictures[9].0;
    assert!(writer.cut() == 11 && half > 11);
    let other = Writer::open(&path, Existing::Append).unwrap_err();
    assert!(matches!(other, RecordingError::InUse(_)), "{other}");
    writer.write(&[&more.bytes]).unwrap();
    writer.finish().unwrap();
    let pictures = [&made.pictures[..10], &more.pictures].concat();
    let mut recording = Recording::open(&path).unwrap();
    assert_pictures(&mut recording, &pictures);
    assert_eq!(recording.index().time_of(10), Duration::from_secs(100));
    assert_eq!(recording.index().tail, Tail::Whole);
    let mut writer = open_again(&path, Existing::Replace).unwrap();
    writer.write(&[&more.bytes]).unwrap();
    writer.finish().unwrap();
    assert!(std::fs::read(&path).unwrap() == more.bytes);
    let nowhere = Writer::open(&folder.path().join("no/x.ht"), Existing::Refuse).unwrap_err();
    assert!(nowhere.to_string().contains("no/x.ht"), "{nowhere}");
    let folder = Writer::open(folder.path(), Existing::Append).unwrap_err();
    assert!(matches!(folder, RecordingError::NoFile(_)), "{folder}");
}

#[test]
fn times_go_on_whatever_the_clocks_do() {
    let folder = tempfile::tempdir().unwrap();
    let s = Duration::from_secs;
    let at_us = |time: Duration| BEGAN + time.as_micros() as u64;
    let mut made = Made::default();
    made.begin(SIZE, s(0));
    made.delta(tile(0, 0, 5, 5), 1, s(1));
    // The agent's clock is set back; then the recorder says when a frame came.
    made.delta(tile(0, 0, 5, 5), 2, s(0));
    made.delta(tile(0, 0, 5, 5), 3, Duration::from_millis(500));
    made.note(&Note::Frame { at_us: at_us(s(4)) });
    made.delta(tile(0, 0, 5, 5), 4, Duration::from_millis(1500));
    made.note(&Note::Lost { at_us: at_us(s(7)), cause: "gone\u{1b}[2J".into() });
    made.key(SIZE, s(1_000_000));
    made.note(&Note::Begun { at_us: at_us(s(9)), software: String::new(), target: String::new() });
    made.delta(tile(0, 0, 5, 5), 5, s(1_000_002));
    let recording = Recording::open(&made.save(folder.path())).unwrap();
    let index = recording.index();
    let times: Vec<_> = (0..7).map(|n| index.time_of(n).as_millis()).collect();
    assert_eq!(times, [0, 1000, 1000, 4000, 5000, 9000, 11_000]);
    assert_eq!(index.length(), s(11));
    assert_eq!(index.marks[0].at, s(7));
    assert!(!index.marks[0].cause.contains('\u{1b}'));
    assert!(index.missing(4, s(6)).is_none() && index.missing(4, s(8)).is_some());
    assert!(index.missing(3, s(8)).is_none() && index.missing(5, s(10)).is_none());
}

#[test]
fn whatever_is_in_a_file_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let made = lesson((24, 16), 12);
    let path = folder.path().join("x.ht");
    let mut chance = Chance::new(chance::seed());
    let (mut opened, mut whole) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = made.bytes.clone();
        for _ in 0..1 + chance.below(4) {
            let at = chance.below(bytes.len());
            match chance.below(4) {
                0 => bytes[at] ^= 1 << chance.below(8),
                1 => bytes[at] = [0, 0xff, 0x7f, b'H'][chance.below(4)],
                2 => drop(bytes.drain(at..(at + 1 + chance.below(300)).min(bytes.len()))),
                _ => {
                    let from = chance.below(bytes.len());
                    let to = (from + chance.below(900)).min(bytes.len());
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            bytes.push(0);
        }
        std::fs::write(&path, &bytes).unwrap();
        let Ok(mut recording) = Recording::open(&path) else { continue };
        opened += 1;
        for number in 0..recording.index().len() {
            let size = recording.index().size_of(number);
            assert!(size.0 > 0 && size.1 > 0);
            assert!(recording.index().time_of(number) <= recording.index().length());
            // Or nothing before it can be shown either.
            whole += u32::from(recording.picture(number).is_ok());
        }
    }
    println!("{opened} of 2000 opened, with {whole} pictures");
    assert!(opened > 1000 && whole > 5000);
}

#[test]
fn a_recorders_notes_are_those_of_the_specification() {
    let spec = include_str!("../../proto/SPEC.md").replace("\\\"", "\"");
    for note in [
        Note::Begun {
            at_us: 1_700_000_000_250_000,
            software: "hightower 0.1.0".into(),
            target: "lab-7".into(),
        },
        Note::Ended { at_us: 1_700_000_060_000_000 },
    ] {
        let bytes = note.encode();
        let text = std::str::from_utf8(&bytes[16..]).unwrap();
        assert!(spec.contains(text), "{text}");
    }
}
