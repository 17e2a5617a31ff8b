//! The decode thread: frames from the queue become pictures in the slot.

use super::cause::{BadFrame, Cause};
use super::picture::Canvas;
use super::slot::{Queue, Slot};
use super::view::{Event, Notice};
use crate::text::printable;
use hightower_proto::Limits;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Decodes until the queue is closed.
pub(super) fn decode(slot: &Slot, queue: &Queue, limits: Limits) {
    let mut canvas = Canvas::new(limits);
    let mut bad_in_a_row = 0;
    let mut current = None;
    while let Some(frame) = queue.pop() {
        let link = frame.link;
        if !current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &link)) {
            bad_in_a_row = 0;
            current = Some(link.clone());
        }
        match canvas.apply(&frame.payload, frame.received) {
            Ok(picture) => {
                bad_in_a_row = 0;
                let picture = Arc::new(picture);
                slot.change_noting(|view| {
                    // Here, where the view is held: whoever sees the picture finds it
                    // acknowledged, and whoever hears the acknowledgement finds the picture.
                    if let Some(version) = picture.version {
                        link.decoded.send_replace(version);
                    }
                    let latency = view.latency(&picture);
                    view.sequence += 1;
                    view.counters.frames += 1;
                    view.picture = Some(picture.clone());
                    Event::Frame {
                        version: picture.version,
                        width: picture.width,
                        height: picture.height,
                        bytes: picture.bytes,
                        latency,
                    }
                });
            }
            Err(error) => {
                bad_in_a_row += 1;
                let bad = BadFrame { peer: link.peer, offset: frame.offset, error };
                tracing::warn!(%bad, "a frame could not be decoded");
                let text = printable(&bad.to_string());
                slot.happened(Event::BadFrame(text.clone()), |view| {
                    view.counters.bad += 1;
                    let text = format!("a frame could not be shown: {text}");
                    view.notice = Some(Notice { text, at: Instant::now() });
                });
                if bad_in_a_row >= link.patience.load(Ordering::Relaxed) {
                    let cause = Cause::BadFrames { in_a_row: bad_in_a_row, last: bad };
                    link.broken.send_replace(Some(Arc::new(cause)));
                }
            }
        }
    }
}
