//! When each picture of a recording is shown.

use crate::fake_agent::{rgb, rgb_delta, tile};
use crate::made::{BEGAN, Made, assert_pictures};
use hightower::recording::{Existing, Listener, Note, Progress, Recorder, Recording, Writer};
use hightower_proto::png::Header;
use hightower_proto::{FrameInfo, Limits};
use std::sync::Arc;
use std::time::Duration;

const SIZE: (u32, u32) = (64, 48);

/// When each is shown, in milliseconds.
fn times(recording: &Recording) -> Vec<u128> {
    let index = recording.index();
    (0..index.len()).map(|number| index.time_of(number).as_millis()).collect()
}

#[test]
fn a_note_within_an_update_is_of_the_frame_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let s = Duration::from_secs;
    let mut made = Made::default();
    made.begin(SIZE, s(0));
    made.part(tile(0, 0, 5, 5), 0x12_3456, s(10), false);
    made.note(&Note::Frame { at_us: BEGAN + 11_000_000 });
    made.delta(tile(0, 5, 5, 5), 0x12_3456, s(10));
    // What the first part of it has changed.
    for row in 0..5 {
        made.pictures[1].1[row * SIZE.0 as usize..][..5].fill(0x12_3456);
    }
    made.delta(tile(9, 9, 5, 5), 0x65_4321, s(12));
    let mut recording = Recording::open(&made.save(folder.path())).unwrap();
    assert_pictures(&mut recording, &made.pictures);
    assert_eq!(times(&recording), [0, 11_000, 13_000]);
}

struct Deaf;

impl Listener for Deaf {
    fn want_key(&self) {}
    fn behind(&self, _: &Progress) {}
    fn ended(&self, _: &Arc<Progress>) {}
}

#[test]
fn a_clock_that_is_set_back_a_little_takes_no_time_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ht");
    let writer = Writer::open(&path, Existing::Refuse).unwrap();
    let mut recorder = Recorder::start(writer, "lab-7".into(), Arc::new(Deaf)).unwrap();
    // One a second, by our clock; the agent's is set back by 20 s, and later by 2 s.
    let captured = [100, 101, 102, 83, 84, 85, 84, 85];
    for (version, (second, captured)) in (1..).zip((0..).zip(captured)) {
        let key = FrameInfo::key(version, captured * 1_000_000, SIZE);
        let frame = match version {
            1 => rgb(SIZE.0, SIZE.1, Some(key), &|_, _| 7),
            _ => {
                let tiles = vec![tile(0, 0, 5, 5)];
                rgb_delta(FrameInfo { base: version - 1, tiles, ..key }, &|_, _| second)
            }
        };
        let header = Header::parse(&frame, &Limits::default()).unwrap();
        let now_us = BEGAN + u64::from(second) * 1_000_000;
        recorder.frame(&frame.into(), Some(&header), now_us);
    }
    recorder.end(BEGAN + 9_000_000);
    drop(recorder);
    let recording = Recording::open(&path).unwrap();
    assert_eq!(times(&recording), [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000]);
    assert_eq!(recording.index().length(), Duration::from_secs(9));
}
