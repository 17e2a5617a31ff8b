//! An index is made: by headers alone, no pixel is decoded.

use super::index::{Entry, Index, Mark, Tail};
use super::note::Note;
use super::walk::{Kind, Place, Step, Walk};
use crate::text::printable;
use hightower_proto::message::{Packet, Welcome};
use hightower_proto::png::{Header, PngError};
use hightower_proto::stream::StreamError;
use hightower_proto::{Command, FrameInfo, Limits, Message};
use image::ImageDecoder;
use std::io::{self, Cursor};
use std::time::Duration;

/// The most pictures that are kept account of, at 16 bytes each: three days of sixty a second.
const MOST_PICTURES: usize = 1 << 24;

/// How much of a frame is read for its header at first; most are less.
const PREFIX: u64 = 512;

/// The time from one frame to the next where neither says any: that of the historical system.
const NOMINAL_US: u64 = 100_000;

/// Marks that are kept.
const MOST_MARKS: usize = 10_000;

/// What is the matter with frames that are left out.
const DAMAGED: &str = "the first can't be read";
const BASELESS: &str = "what the first builds on is missing";
const TOO_MANY: &str = "there are more pictures than anybody keeps account of";

/// How times become places in the recording.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// A place, in microseconds from the beginning.
    at_us: u64,
    /// The same, by the agent's clock.
    captured_us: Option<u64>,
}

/// An index in the making.
pub(super) struct Scan {
    walk: Walk,
    index: Index,
    clock: Option<Clock>,
    /// The version and size that the frames before have made; `None` where only a key frame helps.
    here: Option<(u64, (u32, u32))>,
    /// An update that is not whole: its version, base and time, and where it began.
    open: Option<((u64, u64, u64), u64)>,
    /// What the last frame said of its time.
    captured_us: Option<u64>,
    /// The last frame was left out, and is no picture whose time a note could say.
    astray: bool,
    /// How many pictures there were when frames were last left out.
    left_at: Option<usize>,
    /// How many there were when the recorder last said that frames are missing.
    missing_at: Option<usize>,
}

/// What a frame's first bytes say.
enum Head {
    /// Its size, and what it says of itself.
    Image((u32, u32), Option<FrameInfo>),
    /// Nothing: no picture comes of it.
    Bad,
}

impl Scan {
    pub(super) fn new(walk: Walk) -> Self {
        let index = Index::empty();
        Self {
            walk,
            index,
            clock: None,
            here: None,
            open: None,
            captured_us: None,
            astray: false,
            left_at: None,
            missing_at: None,
        }
    }

    pub(super) fn run(mut self) -> io::Result<Index> {
        loop {
            let place = match self.walk.item(self.index.end)? {
                Step::Item(place) => place,
                Step::End => return Ok(self.index),
                Step::Cut(missing) => {
                    let offset = self.index.end;
                    // What has frames behind it was not cut off: it says a wrong length.
                    self.index.tail = match self.walk.has_frame_behind(offset)? {
                        true => Tail::Damaged(StreamError::Truncated { offset, missing }),
                        false => Tail::Cut(self.walk.length() - offset),
                    };
                    return Ok(self.index);
                }
                Step::Fault(error) => {
                    self.index.tail = Tail::Damaged(error);
                    return Ok(self.index);
                }
            };
            match place.kind {
                Kind::Frame => self.frame(&place)?,
                Kind::Packet(Some(Command::Struct | Command::Welcome)) => {
                    if let Some(packet) = self.walk.packet(&place)? {
                        self.packet(&packet);
                    }
                }
                Kind::Packet(_) => {}
            }
            self.index.end = place.end;
        }
    }

    fn packet(&mut self, packet: &Packet) {
        if let Some(note) = Note::parse(packet) {
            self.note(note);
        } else if let Ok(Message::Welcome(welcome)) = Message::parse(packet) {
            self.index.welcome = Some(Welcome {
                software: printable(&welcome.software),
                host: printable(&welcome.host),
                source: printable(&welcome.source),
                ..welcome
            });
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Begun { at_us, target, .. } => {
                self.index.target = printable(&target);
                self.dated(at_us);
            }
            Note::Frame { at_us } => self.dated(at_us),
            Note::Lost { at_us, cause } => self.mark(at_us, format!("connection lost: {cause}")),
            Note::Gap { at_us, cause } => self.mark(at_us, format!("not recorded: {cause}")),
            Note::Ended { at_us } => {
                if let Some(at_us) = self.place(at_us) {
                    self.index.length_us = self.index.length_us.max(at_us);
                }
            }
        }
    }

    /// The last frame had come at this time of the recorder's clock.
    fn dated(&mut self, at_us: u64) {
        // A frame that made no picture lends its time to none.
        let has_made = self.open.is_none() && !self.astray;
        let skipped = usize::from(!self.astray);
        let before = self.index.entries.iter().rev().nth(skipped).map_or(0, |entry| entry.at_us);
        let Some(entry) = self.index.entries.last() else { return };
        let began = *self.index.began_us.get_or_insert(at_us.saturating_sub(entry.at_us));
        let at_us = at_us.saturating_sub(began).max(before);
        if let Some(entry) = self.index.entries.last_mut().filter(|_| has_made) {
            entry.at_us = at_us;
            // What a lost connection or the end said before counts on.
            let marked = self.index.marks.last().map_or(0, |mark| mark.at.as_micros() as u64);
            self.index.length_us = at_us.max(marked);
        }
        self.clock = Some(Clock { at_us, captured_us: self.captured_us });
    }

    fn mark(&mut self, at_us: u64, cause: String) {
        self.missing_at = Some(self.index.entries.len());
        let Some(at_us) = self.place(at_us) else { return };
        self.index.length_us = self.index.length_us.max(at_us);
        // What comes next is of another connection, and perhaps of another clock.
        self.clock = Some(Clock { at_us, captured_us: None });
        self.put_mark(at_us, &cause);
    }

    fn put_mark(&mut self, at_us: u64, cause: &str) {
        if self.index.marks.len() < MOST_MARKS {
            let (at, pictures) = (Duration::from_micros(at_us), self.index.entries.len());
            self.index.marks.push(Mark { at, pictures, cause: printable(cause) });
        }
    }

    /// No picture comes of a frame, and the recorder has said nothing of that.
    fn leave_out(&mut self, place: &Place, cause: &'static str) {
        self.astray = true;
        let (pictures, left_out) = (self.index.entries.len(), &mut self.index.left_out);
        left_out.frames += 1;
        if self.left_at.replace(pictures) == Some(pictures) {
            return;
        }
        left_out.places += 1;
        let at_us = self.index.entries.last().map_or(0, |entry| entry.at_us);
        if left_out.frames == 1 {
            let at = Duration::from_micros(at_us);
            (left_out.byte, left_out.at, left_out.cause) = (place.start, at, cause);
        }
        self.put_mark(at_us, "damaged: frames are left out");
    }

    /// Where a time of the recorder's clock is; `None` while nothing is dated.
    fn place(&self, at_us: u64) -> Option<u64> {
        let last = self.index.entries.last()?.at_us;
        Some(at_us.saturating_sub(self.index.began_us?).max(last))
    }

    fn frame(&mut self, place: &Place) -> io::Result<()> {
        self.astray = false;
        let Head::Image(size, info) = self.head(place)? else {
            // Its time is not known, nor is what it has made; and no recorder leaves such behind.
            (self.here, self.open, self.captured_us, self.missing_at) = (None, None, None, None);
            self.leave_out(place, DAMAGED);
            return Ok(());
        };
        let Some(info) = info else {
            self.captured_us = None;
            (self.here, self.open) = (None, None);
            self.picture(place, place.start, true, size);
            return Ok(());
        };
        // Of each frame, as a note may follow any of an update.
        self.captured_us = Some(info.captured_us);
        if info.is_key() {
            self.open = None;
            self.here = Some((info.version, size));
            self.picture(place, place.start, true, size);
            return Ok(());
        }
        let update = (info.version, info.base, info.captured_us);
        let start = match self.open.take() {
            Some((open, start)) if open == update => Some(start),
            Some(_) => None,
            None => Some(place.start),
        };
        let (Some(start), true) = (start, self.here == Some((info.base, info.canvas))) else {
            self.here = None;
            self.astray = true;
            // Up to the next key frame they are missing anyway where the recorder has said so.
            if self.missing_at != Some(self.index.entries.len()) {
                self.leave_out(place, BASELESS);
            }
            return Ok(());
        };
        if info.last {
            self.here = Some((info.version, info.canvas));
            self.picture(place, start, false, info.canvas);
        } else {
            self.open = Some((update, start));
        }
        Ok(())
    }

    /// A picture is whole with this frame; its first one began at `start`.
    fn picture(&mut self, place: &Place, start: u64, is_key: bool, size: (u32, u32)) {
        let number = self.index.entries.len();
        if number >= MOST_PICTURES {
            return self.leave_out(place, TOO_MANY);
        }
        let index = &mut self.index;
        let before = index.entries.last().map_or(0, |entry| entry.at_us);
        let at_us = match (self.clock, self.captured_us) {
            (None, _) => 0,
            (Some(Clock { at_us, captured_us: Some(then) }), Some(now)) => {
                at_us.saturating_add(now.saturating_sub(then))
            }
            (Some(clock), Some(_)) => clock.at_us,
            // Its time follows from a note, if there is one.
            (Some(_), None) => before.saturating_add(NOMINAL_US),
        };
        let at_us = at_us.max(before);
        if self.clock.is_none() {
            self.clock = Some(Clock { at_us, captured_us: self.captured_us });
        }
        index.entries.push(Entry { start, at_us });
        index.length_us = index.length_us.max(at_us);
        if is_key {
            index.keys.push(number);
        }
        if index.sizes.last().is_none_or(|&(_, last)| last != size) {
            index.sizes.push((number, size));
        }
    }

    /// What stands in a frame before its pixels.
    fn head(&mut self, place: &Place) -> io::Result<Head> {
        let whole = place.end - place.payload;
        let mut most = PREFIX;
        loop {
            let bytes = self.walk.payload(place, most)?;
            if bytes.starts_with(&[0xff, 0xd8]) {
                let bytes = self.walk.payload(place, u64::MAX)?;
                let decoder = image::codecs::jpeg::JpegDecoder::new(Cursor::new(bytes));
                let size = decoder.ok().map(|decoder| decoder.dimensions());
                let size = size.filter(|&(w, h)| Limits::default().allow_image(w, h));
                return Ok(size.map_or(Head::Bad, |size| Head::Image(size, None)));
            }
            match Header::parse(&bytes, &Limits::default()) {
                Ok(header) => {
                    return Ok(Head::Image((header.width, header.height), header.frame));
                }
                Err(PngError::Truncated(_)) if (bytes.len() as u64) < whole => most *= 16,
                Err(_) => return Ok(Head::Bad),
            }
        }
    }
}
