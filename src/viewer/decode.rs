//! The decoder: frames become pictures in the slot.
//!
//! It has a thread of its own, so that decoding does not hold up the network, and another one that
//! decodes the pixels of a frame ahead while the frame before it is at work. A small frame that
//! finds it idle is decoded where it came in: to wake a thread takes longer than that.

use super::canvas::Canvas;
use super::cause::{BadFrame, Cause};
use super::image::Pixels;
use super::queue::{Ahead, Frame, FrameLink, Queue};
use super::slot::Slot;
use super::view::{Event, Notice, View};
use crate::text::printable;
use hightower_proto::Limits;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

/// Who is told of each picture at once.
pub(super) type Watcher = Box<dyn FnMut(&View) + Send>;

/// The decoder between its own thread and the network's.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Decoder>);

impl Shared {
    pub(super) fn new(slot: Arc<Slot>, limits: Limits, watcher: Option<Watcher>) -> Self {
        let canvas = Canvas::new(limits);
        let (link, bad_in_a_row, asked) = (None, 0, false);
        Self(Mutex::new(Decoder { slot, canvas, link, bad_in_a_row, asked, watcher }))
    }

    /// The decoder thread: decodes until the queue is closed.
    pub(super) fn run(&self, queue: &Queue) {
        while queue.wait() {
            let mut decoder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Taken where the decoder is held: who finds the queue empty and the decoder free
            // knows that no frame is on its way.
            let Some(mut frame) = queue.pop() else { continue };
            // What another thread has begun it ends soon; if it died, it is all done here.
            let mut ahead = frame.ahead.take().and_then(|pixels| pixels.recv().ok());
            decoder.decode(frame, ahead.as_mut());
            if let Some(pixels) = ahead {
                queue.give_back(pixels);
            }
            if queue.is_empty() {
                decoder.canvas.settle();
            }
        }
    }

    /// The second thread: decodes pixels ahead, until the queue is closed.
    pub(super) fn run_ahead(queue: &Queue) {
        let mut samples = Vec::new();
        while let Some(Ahead { payload, header, mut pixels, done }) = queue.ahead() {
            pixels.decode(&payload, &header, &mut samples);
            // A frame that was replaced is not waited for.
            let _ = done.send(pixels);
        }
    }

    /// The decoder, if it is idle.
    pub(super) fn idle(&self, queue: &Queue) -> Option<MutexGuard<'_, Decoder>> {
        if !queue.is_empty() {
            return None;
        }
        match self.0.try_lock() {
            Ok(decoder) => Some(decoder),
            // A canvas that was left in the middle knows that it has to begin anew.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What makes pictures of frames.
pub(super) struct Decoder {
    slot: Arc<Slot>,
    canvas: Canvas,
    /// The connection that the last frame came by.
    link: Option<Arc<FrameLink>>,
    bad_in_a_row: u32,
    /// A key frame was asked for and has not come.
    asked: bool,
    watcher: Option<Watcher>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Decodes a frame, and shows the picture that it makes whole. Its pixels may have been decoded
    /// ahead.
    pub(super) fn decode(&mut self, frame: Frame, ahead: Option<&mut Pixels>) {
        let link = frame.link.clone();
        if !self.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, &link)) {
            // Versions of one connection mean nothing on another.
            self.canvas.forget();
            (self.bad_in_a_row, self.asked) = (0, false);
            self.link = Some(link.clone());
        }
        if frame.is_key() {
            self.asked = false;
        }
        let applied = match &frame.header {
            Some(header) => {
                self.canvas.apply_parsed(&frame.payload, Some(header), ahead, frame.received)
            }
            None => self.canvas.apply(&frame.payload, frame.received),
        };
        match applied {
            Ok(Some(picture)) => {
                self.bad_in_a_row = 0;
                self.show(&link, Arc::new(picture));
            }
            Ok(None) => {}
            Err(error) if error.is_out_of_step() => {
                tracing::debug!(peer = %link.peer, offset = frame.offset, %error, "not applied");
                self.slot.count(|counters| counters.out_of_step += 1);
                self.ask(&link);
            }
            Err(error) => {
                self.bad(BadFrame { peer: link.peer, offset: frame.offset, error }, &link);
                self.ask(&link);
            }
        }
    }

    /// Does what can be done before the next frame comes.
    pub(super) fn settle(&mut self) {
        self.canvas.settle();
    }

    fn show(&mut self, link: &FrameLink, picture: Arc<super::picture::Picture>) {
        self.slot.change_noting(|view| {
            // Here, where the view is held: whoever sees the picture finds it acknowledged, and
            // whoever hears the acknowledgement finds the picture.
            if let Some(version) = picture.version {
                link.decoded.send_replace(version);
            }
            let latency = view.latency(&picture);
            view.sequence = picture.sequence;
            view.counters.frames += 1;
            let event = Event::Frame {
                version: picture.version,
                width: picture.width,
                height: picture.height,
                bytes: picture.bytes,
                latency,
            };
            (view.picture, view.current) = (Some(picture), true);
            event
        });
        if let Some(watcher) = &mut self.watcher {
            watcher(&self.slot.view());
        }
    }

    fn bad(&mut self, bad: BadFrame, link: &FrameLink) {
        self.bad_in_a_row += 1;
        tracing::warn!(%bad, "a frame could not be decoded");
        let text = printable(&bad.to_string());
        self.slot.happened(Event::BadFrame(text.clone()), |view| {
            view.counters.bad += 1;
            let text = format!("a frame could not be shown: {text}");
            view.notice = Some(Notice { text, at: Instant::now() });
        });
        if self.bad_in_a_row >= link.patience.load(Ordering::Relaxed) {
            let cause = Cause::BadFrames { in_a_row: self.bad_in_a_row, last: bad };
            link.broken.send_replace(Some(Arc::new(cause)));
        }
    }

    /// Asks for a key frame, once until one comes.
    fn ask(&mut self, link: &FrameLink) {
        if !std::mem::replace(&mut self.asked, true) {
            link.refreshes.send_modify(|asked| *asked += 1);
        }
    }
}
