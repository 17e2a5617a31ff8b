//! What is in a recording, and where.

use super::RecordingError;
use super::scan::Scan;
use super::walk::Walk;
use hightower_proto::Limits;
use hightower_proto::message::Welcome;
use hightower_proto::stream::StreamError;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// What stands behind the last whole item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Whole,
    /// So many bytes of an item that is not all there.
    Cut(u64),
    /// Bytes that are no stream's.
    Damaged(StreamError),
}

/// A time at which frames are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// From this time of the recording on, until the next picture.
    pub at: Duration,
    /// How many pictures are before it.
    pub pictures: usize,
    /// Why, in printable words.
    pub cause: String,
}

/// Frames that no picture comes of, though nobody has left them out on purpose: they are damaged, or
/// what they build on is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// How many.
    pub frames: u64,
    /// In how many places, each of which ends with the next picture.
    pub places: u64,
    /// Where the first stands, in bytes.
    pub byte: u64,
    /// When the last picture before that is shown.
    pub at: Duration,
    /// What is the matter with the first, in words.
    pub cause: &'static str,
}

/// A picture: where its first frame stands, and when it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: u64,
    pub(super) at_us: u64,
}

/// What is in a recording.
#[derive(Debug)]
pub struct Index {
    pub(super) entries: Vec<Entry>,
    /// Which pictures are key frames, and build on nothing.
    pub(super) keys: Vec<usize>,
    /// From which picture on the screen had which size, in pixels.
    pub sizes: Vec<(usize, (u32, u32))>,
    /// Where frames are missing.
    pub marks: Vec<Mark>,
    /// When it began, in microseconds since 1970; `None` where nothing says it.
    pub began_us: Option<u64>,
    /// Who the agent said it was, printable; the last one, where there were several.
    pub welcome: Option<Welcome>,
    /// What the machine was called by who recorded it, printable.
    pub target: String,
    /// Where the last whole item ends, in bytes.
    pub end: u64,
    /// What stands behind that.
    pub tail: Tail,
    /// Frames that belong to no picture, and should.
    pub left_out: LeftOut,
    pub(super) length_us: u64,
}

impl Index {
    pub(super) fn empty() -> Self {
        Self {
            entries: Vec::new(),
            keys: Vec::new(),
            sizes: Vec::new(),
            marks: Vec::new(),
            began_us: None,
            welcome: None,
            target: String::new(),
            end: 0,
            tail: Tail::Whole,
            left_out: LeftOut::default(),
            length_us: 0,
        }
    }

    pub(super) fn of(file: &File, path: &Path) -> Result<Self, RecordingError> {
        let reading = || RecordingError::reading(path);
        let file = file.try_clone().map_err(reading())?;
        let walk = Walk::new(file, Limits::default()).map_err(reading())?;
        let index = Scan::new(walk).run().map_err(reading())?;
        match index.tail {
            // One of a wrong length is a frame all the same.
            Tail::Damaged(StreamError::Truncated { .. }) => Ok(index),
            Tail::Damaged(_) if index.end == 0 => Err(RecordingError::Foreign(path.to_owned())),
            _ => Ok(index),
        }
    }

    /// Whether anything of it can't be read that is there: what was only cut off is no damage.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.left_out.frames > 0 || matches!(self.tail, Tail::Damaged(_))
    }

    /// How many pictures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How long it is: to the last picture, or as long as that was shown.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_micros(self.length_us)
    }

    /// When a picture is shown; of none that there is, the end.
    #[must_use]
    pub fn time_of(&self, picture: usize) -> Duration {
        self.entries.get(picture).map_or(self.length(), |e| Duration::from_micros(e.at_us))
    }

    /// The picture that is shown at a time: the first one before all others.
    #[must_use]
    pub fn at(&self, time: Duration) -> usize {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.entries.partition_point(|entry| entry.at_us <= us).saturating_sub(1)
    }

    /// The size of a picture, in pixels.
    #[must_use]
    pub fn size_of(&self, picture: usize) -> (u32, u32) {
        let behind = self.sizes.partition_point(|&(first, _)| first <= picture);
        behind.checked_sub(1).and_then(|i| self.sizes.get(i)).map_or((0, 0), |&(_, size)| size)
    }

    /// Why frames are missing at a time when this picture is shown, if they are.
    #[must_use]
    pub fn missing(&self, picture: usize, time: Duration) -> Option<&Mark> {
        let first = self.marks.partition_point(|mark| mark.pictures <= picture);
        let marks = self.marks.get(first..).unwrap_or_default();
        marks.iter().take_while(|mark| mark.pictures == picture + 1).find(|mark| mark.at <= time)
    }

    /// The last picture up to this one that builds on nothing.
    pub(super) fn key_before(&self, picture: usize) -> usize {
        let behind = self.keys.partition_point(|&key| key <= picture);
        behind.checked_sub(1).and_then(|i| self.keys.get(i)).copied().unwrap_or(0)
    }

    /// Where a picture's frames stand: from here to there, among other items.
    pub(super) fn range(&self, picture: usize) -> std::ops::Range<u64> {
        let start = |picture: usize| self.entries.get(picture).map_or(self.end, |e| e.start);
        start(picture)..start(picture + 1)
    }
}
