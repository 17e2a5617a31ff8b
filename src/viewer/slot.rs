//! The places where threads meet: the one 'latest' slot that is shown from, and the short queue in
//! front of the decoder. Neither grows.

use super::cause::Cause;
use super::view::{Counters, Event, View};
use bytes::Bytes;
use hightower_proto::FrameInfo;
use hightower_proto::png::Header;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Events kept for those who read them; who falls behind by more misses the oldest.
const JOURNAL: usize = 256;

/// Frames that may wait for the decoder.
const QUEUE: usize = 2;

/// The latest view, and the latest events.
#[derive(Debug)]
pub(super) struct Slot {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug)]
struct Held {
    view: View,
    /// How often it was changed.
    changes: u64,
    journal: VecDeque<Event>,
    /// How many events have left the journal.
    left: u64,
}

impl Slot {
    pub(super) fn new(view: View) -> Self {
        let held = Held { view, changes: 0, journal: VecDeque::new(), left: 0 };
        Self { held: Mutex::new(held), changed: Condvar::new() }
    }

    /// Changes the view, and wakes whoever waits for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut View)) {
        let mut held = self.lock();
        change(&mut held.view);
        held.changes += 1;
        drop(held);
        self.changed.notify_all();
    }

    /// Changes the view, and notes what happened.
    pub(super) fn happened(&self, event: Event, change: impl FnOnce(&mut View)) {
        self.change_noting(|view| {
            change(view);
            event
        });
    }

    /// Changes the view, and notes what the change says has happened.
    pub(super) fn change_noting(&self, change: impl FnOnce(&mut View) -> Event) {
        let mut held = self.lock();
        let event = change(&mut held.view);
        if held.journal.len() == JOURNAL {
            held.journal.pop_front();
            held.left += 1;
        }
        held.journal.push_back(event);
        held.changes += 1;
        drop(held);
        self.changed.notify_all();
    }

    /// Changes the counters, which nobody waits for.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().view.counters);
    }

    pub(super) fn view(&self) -> View {
        self.lock().view.clone()
    }

    /// The view and its change number, once that is another than `seen` or the time is over.
    pub(super) fn wait(&self, seen: u64, timeout: Duration) -> (View, u64) {
        let held = self.lock();
        let (held, _) = self
            .changed
            .wait_timeout_while(held, timeout, |held| held.changes == seen)
            .unwrap_or_else(PoisonError::into_inner);
        (held.view.clone(), held.changes)
    }

    /// The events from number `next` on (the first one ever is 0), and the number to ask for then.
    pub(super) fn events(&self, next: u64) -> (Vec<Event>, u64) {
        let held = self.lock();
        let skip = usize::try_from(next.saturating_sub(held.left)).unwrap_or(usize::MAX);
        let events = held.journal.iter().skip(skip).cloned().collect();
        (events, held.left + held.journal.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A view is whole between any two lines that change it: a panic elsewhere does not matter.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
}

impl Frame {
    /// Whether it stands alone. What has no good header does, in any case.
    pub(super) fn is_key(&self) -> bool {
        let info = self.header.as_ref().and_then(|header| header.frame.as_ref());
        info.is_none_or(FrameInfo::is_key)
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

/// The queue in front of the decoder. A key frame replaces all that waits: the newest wins.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: Mutex<Waiting>,
    filled: Condvar,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    closed: bool,
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
        drop(held);
        self.filled.notify_one();
        Some(replaced)
    }

    /// Waits until there is a frame; false once closed.
    pub(super) fn wait(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
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
        drop(held);
        self.emptied.notify_one();
        frame
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
        self.emptied.notify_one();
    }
}

#[cfg(test)]
mod tests {
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
        Frame { payload, received, header, offset, link: Arc::new(link) }
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

    #[test]
    fn events_are_kept_in_order_and_not_for_ever() {
        let slot = Slot::new(View::new());
        let note = |n: usize| slot.happened(Event::Notice(n.to_string()), |_| {});
        (0..3).for_each(note);
        let (events, next) = slot.events(1);
        assert_eq!(events, [Event::Notice("1".into()), Event::Notice("2".into())]);
        assert_eq!((next, slot.events(next).0.len()), (3, 0));
        (3..3 + 2 * JOURNAL).for_each(note);
        let (events, next) = slot.events(next);
        assert_eq!((events.len(), next as usize), (JOURNAL, 3 + 2 * JOURNAL));
        assert_eq!(events.last(), Some(&Event::Notice((2 + 2 * JOURNAL).to_string())));
    }
}
