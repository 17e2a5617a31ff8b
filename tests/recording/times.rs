//! When each picture of a recording is shown.

use crate::fake_agent::tile;
use crate::made::{BEGAN, Made, assert_pictures};
use hightower::recording::{Note, Recording};
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
