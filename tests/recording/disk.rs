//! A disk that is full, gone or too slow, and a stream that goes on.

use crate::common::disk::Disk;
use crate::fake_agent::{FakeAgent, LONG, Viewer, delta_info, rgb_delta, tile};
use crate::made::{open_again, plain};
use hightower::recording::{
    Existing, Listener, Progress, Recorder, Recording, RecordingError, Tail, Writer,
};
use hightower::viewer::{Client, ClientOptions};
use hightower_proto::png::Header;
use hightower_proto::{FrameInfo, Limits, Message};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (64, 48);

/// What a recorder may have said before the test listens.
const WORDS: usize = 64;

fn delta(version: u64) -> Vec<u8> {
    let tiles = vec![tile(3, 3, 40, 40)];
    let info = FrameInfo { tiles, ..delta_info(SIZE.0, SIZE.1, version) };
    rgb_delta(info, &|x, y| (x * y) ^ version as u32)
}

/// Sends a picture, and waits until it is shown; gives its length.
fn show(client: &Client, viewer: &mut Viewer, version: u64) -> u64 {
    let frame = if version == 1 { plain(SIZE, 1, 7) } else { delta(version) };
    viewer.frame(&frame);
    client.wait_until(LONG, |view| view.sequence == version).unwrap();
    frame.len() as u64
}

#[test]
fn a_full_disk_is_said_at_once_loses_nothing_and_the_session_goes_on() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.path().join("x.ht");
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = client.record(Writer::open(&path, Existing::Refuse).unwrap()).unwrap();
    let mut viewer = agent.accept_speaking();
    let (mut version, mut sent) = (0, 0);
    while progress.outcome().is_none() {
        version += 1;
        assert!(version < 100, "the disk is larger than it should be");
        sent += show(&client, &mut viewer, version);
        // A file says nothing when it grows.
        let end = Instant::now() + LONG;
        while progress.bytes() < sent && progress.outcome().is_none() {
            assert!(Instant::now() < end, "{sent} bytes are not written");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let Some(Err(error)) = progress.outcome() else { panic!("it is full") };
    assert!(error.contains("the disk is full") && error.contains("x.ht"), "{error}");
    let view = client.wait_until(LONG, |view| view.recording.is_none()).unwrap();
    let notice = view.notice.unwrap().text;
    assert!(notice.contains("the recording has ended") && notice.contains("full"), "{notice}");
    // Nothing half is left, and what is there is all that was said to be written.
    let recording = Recording::open(&path).unwrap();
    assert_eq!(recording.index().tail, Tail::Whole);
    assert_eq!(recording.index().end, progress.bytes());
    assert!(recording.index().len() > 5, "{} pictures", recording.index().len());
    // The session goes on.
    for _ in 0..5 {
        version += 1;
        show(&client, &mut viewer, version);
    }
    // There is room again, and it is gone on with in the same file.
    let pictures = recording.index().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(30_000).unwrap();
    let progress = client.record(open_again(&path, Existing::Append).unwrap()).unwrap();
    viewer.expect(|m| matches!(m, Message::Refresh));
    viewer.frame(&plain(SIZE, version + 1, 9));
    client.wait_until(LONG, |view| view.sequence == version + 1).unwrap();
    client.end_recording();
    client.wait_until(LONG, |_| progress.outcome().is_some()).unwrap();
    assert_eq!(progress.outcome(), Some(&Ok(())));
    let mut recording = Recording::open(&path).unwrap();
    let last = recording.index().len() - 1;
    assert!(last > 1 && last < pictures);
    assert!(recording.picture(last).unwrap().pixels().iter().all(|&p| p == 9));
}

#[test]
fn a_disk_that_is_full_from_the_start_leaves_no_file_that_is_no_recording() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.path().join("x.ht");
    let writer = Writer::open(&path, Existing::Refuse).unwrap();
    disk.fill();
    let agent = FakeAgent::new();
    let client = Client::start(agent.target(), ClientOptions::default()).unwrap();
    let progress = client.record(writer).unwrap();
    let mut viewer = agent.accept_speaking();
    show(&client, &mut viewer, 1);
    let view = client.wait_until(LONG, |view| view.recording.is_none()).unwrap();
    assert!(progress.outcome().unwrap().is_err());
    let notice = view.notice.unwrap().text;
    assert!(notice.contains("nothing is recorded") && notice.contains("full"), "{notice}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    show(&client, &mut viewer, 2);
}

/// Counts what it is asked for and told, and passes it on.
struct Ear {
    keys: AtomicU64,
    behind: AtomicU64,
    told: mpsc::SyncSender<&'static str>,
}

impl Listener for Ear {
    fn want_key(&self) {
        self.keys.fetch_add(1, Ordering::Relaxed);
        let _ = self.told.try_send("key");
    }

    fn behind(&self, _: &Progress) {
        self.behind.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, _: &Arc<Progress>) {
        let _ = self.told.try_send("ended");
    }
}

fn ear() -> (Arc<Ear>, mpsc::Receiver<&'static str>) {
    let (told, hears) = mpsc::sync_channel(WORDS);
    (Arc::new(Ear { keys: 0.into(), behind: 0.into(), told }), hears)
}

fn give(recorder: &mut Recorder, frame: Vec<u8>, now_us: u64) {
    let frame = bytes::Bytes::from(frame);
    let header = Header::parse(&frame, &Limits::default()).ok();
    recorder.frame(&frame, header.as_ref(), now_us);
}

#[test]
fn a_disk_that_is_too_slow_leaves_a_gap_and_begins_again_with_a_key_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let (ear, hears) = ear();
    let writer = Writer::open(&path, Existing::Refuse).unwrap();
    // Room for next to nothing: only an empty queue takes a frame.
    let mut recorder = Recorder::start_with_room(writer, "lab-7".into(), ear.clone(), 16).unwrap();
    let (mut version, mut kept) = (1, 0);
    give(&mut recorder, plain(SIZE, 1, 7), 1_000_000);
    // Faster than any disk, until it is behind.
    while ear.behind.load(Ordering::Relaxed) == 0 {
        version += 1;
        assert!(version < 1_000_000, "it is never behind");
        kept = recorder.progress().pictures();
        give(&mut recorder, delta(version), 1_000_000 + version);
    }
    // What builds on what is missing is not taken, and a key frame asked for when there is room.
    version += 1;
    give(&mut recorder, delta(version), 1_000_000 + version);
    assert_eq!(recorder.progress().pictures(), kept);
    assert_eq!(hears.recv_timeout(LONG), Ok("key"));
    version += 1;
    give(&mut recorder, plain(SIZE, version, 9), 9_000_000);
    assert_eq!(recorder.progress().pictures(), kept + 1);
    recorder.end(9_500_000);
    while hears.recv_timeout(LONG).unwrap() != "ended" {}
    assert_eq!(recorder.progress().gaps(), 1);
    let mut recording = Recording::open(&path).unwrap();
    let index = recording.index();
    assert_eq!(index.len() as u64, kept + 1);
    assert_eq!((index.marks.len(), index.left_out.frames, &index.tail), (1, 0, &Tail::Whole));
    assert!(index.marks[0].cause.contains("slower than the stream"), "{:?}", index.marks);
    assert!(recording.picture(kept as usize).unwrap().pixels().iter().all(|&p| p == 9));
}

#[test]
fn a_recording_that_ends_while_the_disk_is_behind_tells_of_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let (ear, hears) = ear();
    let writer = Writer::open(&path, Existing::Refuse).unwrap();
    let mut recorder = Recorder::start_with_room(writer, "lab-7".into(), ear.clone(), 16).unwrap();
    let mut version = 1;
    give(&mut recorder, plain(SIZE, 1, 7), 1_000_000);
    while ear.behind.load(Ordering::Relaxed) == 0 {
        version += 1;
        assert!(version < 1_000_000, "it is never behind");
        give(&mut recorder, delta(version), 1_000_000 + version);
    }
    recorder.end(9_000_000);
    while hears.recv_timeout(LONG).unwrap() != "ended" {}
    assert_eq!(recorder.progress().gaps(), 1);
    let recording = Recording::open(&path).unwrap();
    let [mark] = &recording.index().marks[..] else { panic!("{:?}", recording.index().marks) };
    assert!(mark.cause.contains("slower than the stream"), "{mark:?}");
    assert_eq!(recording.index().length(), std::time::Duration::from_secs(8));
}

#[test]
fn places_to_begin_at_are_asked_for_now_and_then_and_not_on_a_quiet_screen() {
    let folder = tempfile::tempdir().unwrap();
    let (ear, _hears) = ear();
    let writer = Writer::open(&folder.path().join("x.ht"), Existing::Refuse).unwrap();
    let mut recorder = Recorder::start(writer, "lab-7".into(), ear.clone()).unwrap();
    let keys = || ear.keys.load(Ordering::Relaxed);
    let small = |version: u64| {
        let info =
            FrameInfo { tiles: vec![tile(0, 0, 1, 1)], ..delta_info(SIZE.0, SIZE.1, version) };
        rgb_delta(info, &|_, _| version as u32)
    };
    let mut now = 0;
    give(&mut recorder, plain(SIZE, 1, 7), now);
    // A minute with a blink of the cursor a second.
    for version in 2..62 {
        now += 1_000_000;
        give(&mut recorder, small(version), now);
    }
    assert_eq!(keys(), 0);
    // A lively one: not at once, then once, and not again before it came.
    give(&mut recorder, plain(SIZE, 62, 7), now);
    for version in 63..363 {
        now += 100_000;
        give(&mut recorder, delta(version), now);
        let expected = u64::from(version >= 162);
        assert_eq!(keys(), expected, "version {version}");
    }
    give(&mut recorder, plain(SIZE, 363, 7), now);
    for version in 364..464 {
        now += 100_000;
        give(&mut recorder, delta(version), now);
    }
    assert_eq!(keys(), 2);
}

#[test]
fn a_file_that_is_not_permitted_is_said() {
    let path = std::path::Path::new("/proc/self/x.ht");
    let error = Writer::open(path, Existing::Refuse).unwrap_err();
    assert!(matches!(error, RecordingError::Write { .. }), "{error}");
    let error = Writer::open(std::path::Path::new("/dev/null"), Existing::Append).unwrap_err();
    assert!(matches!(error, RecordingError::NoFile(_)), "{error}");
}
