//! A recorder whose disk takes nothing yet.

use super::*;
use crate::recording::{Existing, Recording};
use hightower_proto::Message;
use hightower_proto::message::{Capture, Facts, State, Welcome};

/// Hears nothing.
struct Deaf;

impl Listener for Deaf {
    fn want_key(&self) {}
    fn behind(&self, _: &Progress) {}
    fn ended(&self, _: &Arc<Progress>) {}
}

/// A recorder of a disk that takes nothing before it is told to, and that disk.
fn stalled(folder: &tempfile::TempDir, room: usize) -> (Recorder, Writer) {
    let path = folder.path().join("x.ht");
    let writer = Writer::open(&path, Existing::Refuse).expect("a file");
    let queue = Arc::new(Queue::new(room, Arc::new(Progress::new(&path))));
    let (target, listener) = ("lab-7".into(), Arc::new(Deaf));
    let (welcome, due, part, gap) = (Bytes::new(), false, None, None);
    let (thread, asked, over) = (None, false, false);
    let recorder =
        Recorder { queue, listener, thread, target, welcome, due, part, gap, asked, over };
    (recorder, writer)
}

/// Ends it, and lets the disk take what there is.
fn drain(mut recorder: Recorder, writer: Writer) -> Recording {
    recorder.end(9_000_000);
    let path = writer.path().to_owned();
    recorder.queue.drain(writer, &Deaf);
    assert_eq!(recorder.progress().outcome(), Some(&Ok(())));
    Recording::open(&path).expect("a recording")
}

fn welcome(host: &str) -> Packet {
    let state = State {
        monitoring: true,
        capture: Capture::Running,
        lock_ms: None,
        viewers: 1,
        insecure: false,
        asking: false,
    };
    let (software, source, facts) = ("a test".into(), "card".into(), Facts::default());
    let host = host.into();
    Message::Welcome(Welcome { protocol: 1, software, host, source, credit: 8, state, facts })
        .packet()
}

/// A frame of so many bytes; nothing but its beginning is looked at.
fn jpeg(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    bytes[..3].copy_from_slice(&JPEG);
    bytes.into()
}

#[test]
fn an_agent_that_says_who_it_is_for_ever_fills_no_memory() {
    const ROOM: usize = 200 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut recorder, writer) = stalled(&folder, ROOM);
    recorder.frame(&jpeg(100 << 10), None, 1_000_000);
    let long = "x".repeat(60_000);
    for number in 0..1000 {
        // Each in two ways: as it was, and another one.
        recorder.welcome(&welcome("lab-7"));
        recorder.welcome(&welcome("lab-7"));
        recorder.welcome(&welcome(&format!("{long}{number}")));
    }
    let recording = drain(recorder, writer);
    let held = recording.index().end;
    assert!(held < ROOM as u64 + 1024, "{held} bytes were held");
}

#[test]
fn who_the_agent_is_is_written_once_and_later_where_there_was_no_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut recorder, writer) = stalled(&folder, 100 << 10);
    let path = writer.path().to_owned();
    recorder.frame(&jpeg(99 << 10), None, 1_000_000);
    let long = format!("lab-7{}", "x".repeat(2000));
    recorder.welcome(&welcome(&long));
    assert!(recorder.due, "there is room");
    std::thread::scope(|scope| {
        let queue = recorder.queue.clone();
        scope.spawn(move || queue.drain(writer, &Deaf));
        while recorder.due {
            recorder.frame(&jpeg(100), None, 2_000_000);
            std::thread::yield_now();
        }
        recorder.welcome(&welcome(&long));
        recorder.end(3_000_000);
    });
    let bytes = std::fs::read(path).expect("the file");
    let host = format!("\"host\":\"{long}\"");
    let count = bytes.windows(host.len()).filter(|part| *part == host.as_bytes()).count();
    assert_eq!(count, 1);
}
