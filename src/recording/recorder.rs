//! What of a stream is written, and when a key frame is wanted.

use super::note::Note;
use super::queue::{Piece, Progress, Queue};
use super::writer::Writer;
use bytes::{BufMut, Bytes, BytesMut};
use hightower_proto::FrameInfo;
use hightower_proto::message::Packet;
use hightower_proto::png::Header;
use hightower_proto::stream::{FRAME_HEADER, frame_header};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

#[cfg(test)]
mod tests;

/// How much may wait for the disk, in bytes: some seconds of a lively screen.
const ROOM: usize = 32 << 20;

/// Longer frames are kept as they came; shorter ones are copied, as they share a buffer with what
/// came beside them.
const SHARED: usize = 64 << 10;

/// The shortest time between two key frames that are asked for, so that a reader can begin there.
const KEYS_APART_US: u64 = 10_000_000;

/// Then one is asked for when deltas had so many times the bytes of the last key frame, or were so
/// many: to decode them takes some time.
const KEY_TIMES: u64 = 2;
const DELTAS: u64 = 600;

/// How far the agent's clock and ours may part before it is believed that one was set. Where the
/// agent's goes back it was, however little.
const CLOCKS_PART_US: u64 = 30_000_000;

/// The bytes every JPEG begins with: historical servers send such, and each stands alone.
pub(super) const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

/// Whom a recorder asks and tells.
pub trait Listener: Send + Sync + 'static {
    /// A key frame is wanted: there is nothing to go on from, or a good place to begin is due.
    fn want_key(&self);
    /// The disk is too slow: frames are left out from here on.
    fn behind(&self, progress: &Progress);
    /// It has ended, and how: see [`Progress::outcome`].
    fn ended(&self, progress: &Arc<Progress>);
}

/// Records one stream into one file. Dropping it ends it, and waits until all is written.
pub struct Recorder {
    queue: Arc<Queue>,
    listener: Arc<dyn Listener>,
    thread: Option<JoinHandle<()>>,
    /// The machine, as it was named.
    target: String,
    /// What the agent has said of itself.
    welcome: Bytes,
    /// That is to be written in this part still.
    due: bool,
    /// What goes on from here; `None` where only a key frame helps.
    part: Option<Part>,
    /// What is to be said before the next part.
    gap: Option<Note>,
    /// A key frame was asked for, and has not come.
    asked: bool,
    /// It was told to end.
    over: bool,
}

/// Frames that go on from each other.
struct Part {
    /// When a frame came, and when it was captured by the agent's clock.
    clock: (u64, Option<u64>),
    /// When the last one was captured by that.
    captured: Option<u64>,
    /// When its last key frame came, and how long that was.
    key: (u64, u64),
    /// How many deltas have come since, and how long they were.
    deltas: (u64, u64),
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("progress", self.progress()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins a recording of a machine. Nothing is written before a key frame has come.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(writer: Writer, target: String, listener: Arc<dyn Listener>) -> io::Result<Self> {
        Self::start_with_room(writer, target, listener, ROOM)
    }

    /// The same, with room for so many bytes that wait for the disk.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_with_room(
        writer: Writer,
        target: String,
        listener: Arc<dyn Listener>,
        room: usize,
    ) -> io::Result<Self> {
        let progress = Arc::new(Progress::new(writer.path()));
        let queue = Arc::new(Queue::new(room, progress));
        let (draining, told) = (queue.clone(), listener.clone());
        let thread = std::thread::Builder::new()
            .name("recording".into())
            .spawn(move || draining.drain(writer, &*told))?;
        Ok(Self {
            queue,
            listener,
            thread: Some(thread),
            target,
            welcome: Bytes::new(),
            due: false,
            part: None,
            gap: None,
            asked: false,
            over: false,
        })
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.queue.progress
    }

    /// What the agent says of itself; may come before or after its first frame. It may say it as
    /// often as it likes: what is new is written, with the next frame where there is no room now.
    pub fn welcome(&mut self, packet: &Packet) {
        let welcome = packet.encode();
        if welcome == self.welcome {
            return;
        }
        self.welcome = welcome;
        if self.part.is_some() {
            let piece = [self.welcome.clone(), Bytes::new(), Bytes::new()];
            self.due = !self.queue.push(piece, false);
        }
    }

    /// A frame has come, at this time of our clock. `header` is that of its image, if that has a
    /// good one.
    pub fn frame(&mut self, payload: &Bytes, header: Option<&Header>, now_us: u64) {
        // Of what has no good header, no picture comes for anybody.
        let is_image = header.is_some() || payload.starts_with(&JPEG);
        if !is_image || self.over || self.progress().outcome().is_some() {
            return;
        }
        let info = header.and_then(|header| header.frame.as_ref());
        let is_key = info.is_none_or(FrameInfo::is_key);
        if !is_key && self.part.is_none() {
            return self.ask();
        }
        let note = self.note(info, now_us);
        let noted = note.is_some();
        if !self.put(payload, note) {
            return self.fall_behind(now_us);
        }
        let captured = info.map(|info| info.captured_us);
        if let Some(part) = &mut self.part {
            part.captured = captured;
            if noted {
                part.clock = (now_us, captured);
            }
        }
        if info.is_none_or(|info| info.last) {
            self.queue.progress.pictures.fetch_add(1, Ordering::Relaxed);
        }
        self.count(payload.len() as u64, is_key, (now_us, captured));
    }

    /// The connection was lost, or another one begins: what comes goes on from nothing.
    pub fn lost(&mut self, cause: &str, now_us: u64) {
        self.asked = false;
        if self.part.take().is_some() {
            self.say(&Note::Lost { at_us: now_us, cause: cause.to_owned() });
        }
        (self.welcome, self.due) = (Bytes::new(), false);
    }

    /// Ends it. What has come is still written, which [`Listener::ended`] tells of.
    pub fn end(&mut self, now_us: u64) {
        if self.over {
            return;
        }
        if let Some(gap) = self.gap.take() {
            self.say(&gap);
        }
        if self.queue.progress.pictures() > 0 {
            self.say(&Note::Ended { at_us: now_us });
        }
        (self.part, self.over) = (None, true);
        self.queue.close();
    }

    /// What is to be said of a frame, if it follows from nothing else.
    fn note(&self, info: Option<&FrameInfo>, now_us: u64) -> Option<Note> {
        let Some(part) = &self.part else {
            let software = format!("hightower {}", env!("CARGO_PKG_VERSION"));
            let target = self.target.clone();
            return Some(Note::Begun { at_us: now_us, software, target });
        };
        let (came, captured) = part.clock;
        match info.map(|info| info.captured_us).zip(captured) {
            None => Some(Note::Frame { at_us: now_us }),
            Some((now_captured, captured)) => {
                let (ours, theirs) =
                    (now_us.wrapping_sub(came), now_captured.wrapping_sub(captured));
                let apart = ours.wrapping_sub(theirs).cast_signed().unsigned_abs();
                let back = part.captured.is_some_and(|last| now_captured < last);
                (back || apart > CLOCKS_PART_US).then_some(Note::Frame { at_us: now_us })
            }
        }
    }

    /// Puts a frame on its way, with the note that follows it. False when there is no room.
    fn put(&mut self, payload: &Bytes, note: Option<Note>) -> bool {
        let begins = matches!(note, Some(Note::Begun { .. }));
        let head = frame_header(payload.len() as u64);
        let mut tail = BytesMut::new();
        if let Some(note) = &note {
            tail.put_slice(&note.encode());
        }
        if begins || self.due {
            tail.put_slice(&self.welcome);
        }
        let gap = self.gap.as_ref().filter(|_| begins).map(Note::encode).unwrap_or_default();
        let piece: Piece = if payload.len() < SHARED {
            let length = gap.len() + FRAME_HEADER + payload.len() + tail.len();
            let mut all = BytesMut::with_capacity(length);
            [&gap[..], &head, payload, &tail].into_iter().for_each(|part| all.put_slice(part));
            [all.freeze(), Bytes::new(), Bytes::new()]
        } else {
            let mut first = BytesMut::from(&gap[..]);
            first.put_slice(&head);
            [first.freeze(), payload.clone(), tail.freeze()]
        };
        let taken = self.queue.push(piece, false);
        if taken {
            self.gap.take_if(|_| begins);
            self.due = false;
        }
        taken
    }

    /// Counts a frame that was put on its way, and asks for a key frame when one is due.
    fn count(&mut self, length: u64, is_key: bool, clock: (u64, Option<u64>)) {
        let now_us = clock.0;
        let (key, captured) = ((now_us, length), clock.1);
        let part = self.part.get_or_insert(Part { clock, captured, key, deltas: (0, 0) });
        if is_key {
            self.asked = false;
            (part.key, part.deltas) = ((now_us, length), (0, 0));
            return;
        }
        part.deltas = (part.deltas.0 + 1, part.deltas.1 + length);
        let (key_at, key_length) = part.key;
        let many = part.deltas.0 >= DELTAS || part.deltas.1 >= KEY_TIMES * key_length;
        if many && now_us.saturating_sub(key_at) >= KEYS_APART_US {
            self.ask();
        }
    }

    /// Leaves out what comes until there is room again.
    fn fall_behind(&mut self, now_us: u64) {
        if self.part.take().is_some() {
            let cause = "the disk was slower than the stream".to_owned();
            self.gap = Some(Note::Gap { at_us: now_us, cause });
            self.queue.progress.gaps.fetch_add(1, Ordering::Relaxed);
            self.listener.behind(&self.queue.progress);
        }
        self.asked = false;
    }

    /// Asks for a key frame, once until one comes.
    fn ask(&mut self) {
        if !self.asked && !self.queue.waits_for_room() {
            self.asked = true;
            self.listener.want_key();
        }
    }

    fn say(&self, note: &Note) {
        self.queue.push([note.encode(), Bytes::new(), Bytes::new()], true);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes a recording panicked");
        }
    }
}
