//! Recordings made byte by byte, and what is to be seen in them.

use crate::fake_agent::{LONG, rgb, rgb_delta, rgb_frame, tile};
use hightower::recording::{Existing, Note, Recording, RecordingError, Writer};
use hightower::viewer::Picture;
use hightower_proto::FrameInfo;
use hightower_proto::htfr::Tile;
use hightower_proto::stream::frame_header;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A recording in the making, and the pictures that it should have.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// Each picture: where its last frame ends, and its pixels.
    pub(crate) pictures: Vec<(usize, Vec<u32>)>,
    size: (u32, u32),
    version: u64,
    now_us: u64,
}

/// When the recordings of these tests begin, by their recorder's clock.
pub(crate) const BEGAN: u64 = 1_700_000_000_000_000;

impl Made {
    pub(crate) fn note(&mut self, note: &Note) {
        self.bytes.extend_from_slice(&note.encode());
    }

    /// The first frame of a part: a whole screen, of one colour each in stripes.
    pub(crate) fn begin(&mut self, size: (u32, u32), at: Duration) {
        self.key(size, at);
        let at_us = BEGAN + at.as_micros() as u64;
        let (software, target) = ("a test".into(), "lab-7".into());
        self.note(&Note::Begun { at_us, software, target });
    }

    /// A key frame at this time, by an agent's clock that is an hour behind.
    pub(crate) fn key(&mut self, size: (u32, u32), at: Duration) {
        (self.size, self.version) = (size, self.version + 1);
        self.now_us = at.as_micros() as u64;
        let version = self.version;
        let look = move |x: u32, y: u32| (x / 8 * 0x05_0000) ^ (y * 0x03) ^ (version as u32) << 8;
        let png = rgb(size.0, size.1, Some(self.info(0, Vec::new())), &look);
        let pixels = (0..size.1).flat_map(|y| (0..size.0).map(move |x| look(x, y)));
        let pixels = pixels.collect();
        self.frame(&png);
        self.pictures.push((self.bytes.len(), pixels));
    }

    /// A delta frame of one tile, at this time.
    pub(crate) fn delta(&mut self, place: Tile, color: u32, at: Duration) {
        self.part(place, color, at, true);
    }

    /// The same, or a part of an update that is not the last.
    pub(crate) fn part(&mut self, place: Tile, color: u32, at: Duration, last: bool) {
        self.now_us = at.as_micros() as u64;
        self.version += 1;
        let info = FrameInfo { last, ..self.info(self.version - 1, vec![place]) };
        let png = rgb_delta(info, &|_, _| color);
        self.frame(&png);
        let mut pixels = self.pictures.last().unwrap().1.clone();
        for y in place.position.1..place.position.1 + place.size.1 {
            let at = (y * self.size.0 + place.position.0) as usize;
            pixels[at..at + place.size.0 as usize].fill(color);
        }
        if last {
            self.pictures.push((self.bytes.len(), pixels));
        } else {
            self.version -= 1;
        }
    }

    pub(crate) fn frame(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(&frame_header(payload.len() as u64));
        self.bytes.extend_from_slice(payload);
    }

    fn info(&self, base: u64, tiles: Vec<Tile>) -> FrameInfo {
        let captured_us = BEGAN - 3_600_000_000 + self.now_us;
        let key = FrameInfo::key(self.version, captured_us, self.size);
        if base == 0 { key } else { FrameInfo { base, tiles, ..key } }
    }

    /// Writes it to a file of a folder.
    pub(crate) fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("made.ht");
        std::fs::write(&path, &self.bytes).unwrap();
        path
    }
}

/// A recording of so many pictures, ten a second, with a key frame now and then.
pub(crate) fn lesson(size: (u32, u32), pictures: u32) -> Made {
    let mut made = Made::default();
    let at = |n: u32| Duration::from_millis(u64::from(n) * 100);
    made.begin(size, at(0));
    for n in 1..pictures {
        if n % 40 == 0 {
            made.key(size, at(n));
        } else {
            let place = tile(n * 7 % (size.0 - 20), n * 5 % (size.1 - 10), 20, 10);
            made.delta(place, (n * 0x01_0305 + 0x40_0000) & 0xff_ffff, at(n));
        }
    }
    made.note(&Note::Ended { at_us: BEGAN + at(pictures).as_micros() as u64 });
    made
}

/// Fails unless the recording has these pictures.
pub(crate) fn assert_pictures(recording: &mut Recording, pictures: &[(usize, Vec<u32>)]) {
    assert_eq!(recording.index().len(), pictures.len());
    for (number, (_, pixels)) in pictures.iter().enumerate() {
        assert!(recording.picture(number).unwrap().pixels() == *pixels, "picture {number}");
    }
    assert_eq!(recording.broken(), (0, None));
}

/// A picture as it should be.
pub(crate) fn picture(size: (u32, u32), pixels: &[u32]) -> Picture {
    Picture::from_pixels(size.0 as usize, size.1 as usize, pixels)
}

/// A whole screen of one colour, as a frame of this version.
pub(crate) fn plain(size: (u32, u32), version: u64, color: u32) -> Vec<u8> {
    rgb_frame(size.0, size.1, version, &|_, _| color)
}

/// Opens a file that was recorded to by this program before. A child that another test begins has all
/// files open, and so their locks, until it has become what it is to be.
pub(crate) fn open_again(path: &Path, existing: Existing) -> Result<Writer, RecordingError> {
    let end = Instant::now() + LONG;
    loop {
        match Writer::open(path, existing) {
            Err(RecordingError::InUse(_)) if Instant::now() < end => std::thread::yield_now(),
            other => return other,
        }
    }
}
