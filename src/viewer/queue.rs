//! The short queue between the network and the decoder. It never grows.
//!
//! While the decoder has a frame, the pixels of the next one can be decoded ahead, by another
//! thread: an update of many pixels comes in two frames, and then takes half the time.

use super::cause::Cause;
use super::image::Pixels;
use bytes::Bytes;
use hightower_proto::FrameInfo;
use hightower_proto::png::Header;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, watch};

/// Frames that may wait for the decoder.
const QUEUE: usize = 2;

/// Fewer pixels are not worth waking a thread for; for more, no memory of their own is taken.
const MANY: std::ops::RangeInclusive<u64> = 1 << 16..=16 << 20;

/// A frame on its way to the decoder.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) payload: Bytes,
    pub(super) received: Instant,
    /// Its image's header; `None` for what has none that is good, which the decoder finds out.
    pub(super) header: Option<Header>,
    /// Where on the stream it began.
    pub(super) offset: u64,
    /// The connection it came by.
    pub(super) link: Arc<FrameLink>,
    /// Where its pixels come from, if they are decoded ahead.
    pub(super) ahead: Option<Receiver<Pixels>>,
}

impl Frame {
    /// Whether it stands alone. What has no good header does, in any case.
    pub(super) fn is_key(&self) -> bool {
        let info = self.header.as_ref().and_then(|header| header.frame.as_ref());
        info.is_none_or(FrameInfo::is_key)
    }

    /// The header of one whose pixels are worth decoding ahead, and are not yet.
    fn worth_ahead(&self) -> Option<&Header> {
        let header = self.header.as_ref()?;
        let area = u64::from(header.width) * u64::from(header.height);
        (self.ahead.is_none() && MANY.contains(&area) && !self.is_key()).then_some(header)
    }
}

/// What the decoder tells the connection that a frame came by.
#[derive(Debug)]
pub(super) struct FrameLink {
    pub(super) peer: SocketAddr,
    /// The newest version that was decoded: to be acknowledged.
    pub(super) decoded: watch::Sender<u64>,
    /// How often a key frame had to be asked for.
    pub(super) refreshes: watch::Sender<u64>,
    /// How many frames in a row may be bad.
    pub(super) patience: AtomicU32,
    /// Set when more were.
    pub(super) broken: watch::Sender<Option<Arc<Cause>>>,
}

/// A frame's pixels, to be decoded ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) payload: Bytes,
    pub(super) header: Header,
    /// Memory to use.
    pub(super) pixels: Pixels,
    /// Where the pixels are waited for.
    pub(super) done: SyncSender<Pixels>,
}

/// The queue in front of the decoder. A key frame replaces all that waits: the newest wins.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: Mutex<Waiting>,
    filled: Condvar,
    /// A frame waits while the decoder has another.
    waits: Condvar,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    closed: bool,
    /// The decoder has a frame.
    busy: bool,
    /// Memory for pixels decoded ahead, when nobody uses it.
    spare: Option<Pixels>,
}

impl Queue {
    /// Puts a frame in, once there is room for it. Gives back how many it replaced.
    pub(super) async fn push(&self, frame: Frame) -> u64 {
        let mut frame = Some(frame);
        loop {
            let room = self.emptied.notified();
            if let Some(replaced) = self.try_push(&mut frame) {
                return replaced;
            }
            room.await;
        }
    }

    fn try_push(&self, frame: &mut Option<Frame>) -> Option<u64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let key = frame.as_ref().is_some_and(Frame::is_key);
        if held.closed {
            return Some(0);
        }
        if !key && held.frames.len() >= QUEUE {
            return None;
        }
        let replaced = if key { held.frames.drain(..).count() as u64 } else { 0 };
        held.frames.extend(frame.take());
        let busy = held.busy;
        drop(held);
        self.filled.notify_one();
        if busy {
            self.waits.notify_one();
        }
        Some(replaced)
    }

    /// Waits until there is a frame; false once closed.
    pub(super) fn wait(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.busy = false;
        let held = self
            .filled
            .wait_while(held, |held| held.frames.is_empty() && !held.closed)
            .unwrap_or_else(PoisonError::into_inner);
        !held.closed
    }

    /// Takes the oldest frame, if there is any.
    pub(super) fn pop(&self) -> Option<Frame> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = held.frames.pop_front();
        held.busy = frame.is_some();
        let more = !held.frames.is_empty();
        drop(held);
        if more {
            self.waits.notify_one();
        }
        self.emptied.notify_one();
        frame
    }

    /// Waits until the decoder has a frame and the pixels of the next can be decoded ahead; `None`
    /// once closed.
    pub(super) fn ahead(&self) -> Option<Ahead> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if held.closed {
                return None;
            }
            let busy = held.busy;
            let Waiting { frames, spare, .. } = &mut *held;
            let frame = frames.front_mut().filter(|_| busy);
            if let Some((frame, header)) =
                frame.and_then(|f| f.worth_ahead().cloned().map(|header| (f, header)))
            {
                let (done, pixels) = sync_channel(1);
                frame.ahead = Some(pixels);
                let (payload, pixels) = (frame.payload.clone(), spare.take().unwrap_or_default());
                return Some(Ahead { payload, header, pixels, done });
            }
            held = self.waits.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes back memory that was used to decode ahead.
    pub(super) fn give_back(&self, pixels: Pixels) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).spare = Some(pixels);
    }

    /// Whether no frame waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).frames.is_empty()
    }

    /// Ends it: what waits is thrown away.
    pub(super) fn close(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.closed = true;
        held.frames.clear();
        drop(held);
        self.filled.notify_all();
        self.waits.notify_all();
        self.emptied.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn frame(offset: u64, key: bool) -> Frame {
        let link = FrameLink {
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            decoded: watch::Sender::new(0),
            refreshes: watch::Sender::new(0),
            patience: AtomicU32::new(1),
            broken: watch::Sender::new(None),
        };
        let mut info = FrameInfo::key(2, 0, (1, 1));
        info.base = u64::from(!key);
        let (width, height, depth, color, frame) = (1, 1, 8, 0, Some(info));
        let header = Some(Header { width, height, depth, color, frame });
        let (payload, received) = (Bytes::new(), Instant::now());
        Frame { payload, received, header, offset, link: Arc::new(link), ahead: None }
    }

    #[tokio::test]
    async fn a_key_frame_replaces_all_that_waits() {
        let queue = Queue::default();
        assert_eq!(queue.push(frame(1, true)).await, 0);
        assert_eq!(queue.push(frame(2, false)).await, 0);
        assert_eq!(queue.push(frame(3, true)).await, 2);
        assert_eq!(queue.pop().map(|f| f.offset), Some(3));
        assert_eq!(queue.push(frame(4, true)).await, 0);
    }

    #[tokio::test]
    async fn what_builds_on_others_waits_for_room() {
        let queue = Arc::new(Queue::default());
        for n in 0..QUEUE as u64 {
            queue.push(frame(n, false)).await;
        }
        let pushed = tokio::spawn({
            let queue = queue.clone();
            async move { queue.push(frame(9, false)).await }
        });
        tokio::task::yield_now().await;
        assert!(!pushed.is_finished());
        assert_eq!(queue.pop().map(|f| f.offset), Some(0));
        assert_eq!(pushed.await.ok(), Some(0), "nothing was lost");
        assert_eq!(queue.pop().map(|f| f.offset), Some(1));
        assert_eq!(queue.pop().map(|f| f.offset), Some(9));
        queue.push(frame(10, false)).await;
        assert!(queue.wait());
        queue.close();
        assert!(!queue.wait() && queue.is_empty() && queue.pop().is_none());
        queue.push(frame(11, false)).await;
    }

    #[tokio::test]
    async fn the_next_frame_can_be_decoded_ahead_while_the_decoder_has_one() {
        let queue = Arc::new(Queue::default());
        let large = |offset| {
            let mut frame = frame(offset, false);
            if let Some(header) = &mut frame.header {
                (header.width, header.height) = (1000, 1000);
            }
            frame
        };
        queue.push(large(1)).await;
        queue.push(large(2)).await;
        let ahead = std::thread::spawn({
            let queue = queue.clone();
            move || queue.ahead()
        });
        assert!(queue.pop().is_some_and(|f| f.offset == 1 && f.ahead.is_none()));
        let ahead = ahead.join().unwrap().unwrap();
        ahead.done.send(Pixels { pixels: vec![7], result: Ok(()) }).unwrap();
        let second = queue.pop().unwrap();
        let pixels = second.ahead.unwrap().recv().unwrap();
        assert_eq!((second.offset, &pixels.pixels[..]), (2, &[7][..]));
        queue.give_back(pixels);
        // Small ones, and those that stand alone, are not worth it.
        queue.push(frame(3, false)).await;
        queue.push(large(4)).await;
        let ahead = std::thread::spawn({
            let queue = queue.clone();
            move || queue.ahead().is_some()
        });
        queue.close();
        assert!(!ahead.join().unwrap(), "none is begun once it is closed");
    }
}
