//! Where a recording is taken from: all frames pass here in order, as they came.

use super::clock::now_us;
use super::slot::Slot;
use super::view::{Event, Notice};
use crate::recording::{Listener, Progress, Recorder, Writer, size};
use crate::text::printable;
use bytes::Bytes;
use hightower_proto::message::Packet;
use hightower_proto::png::Header;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// Between the connection and whoever records.
#[derive(Debug)]
pub(super) struct Tap {
    held: Mutex<Held>,
    ear: Arc<Ear>,
}

#[derive(Debug, Default)]
struct Held {
    recorder: Option<Recorder>,
    /// The connection has brought a frame: what comes next may build on it.
    begun: bool,
    /// What the agent has said of itself on this connection.
    welcome: Option<Packet>,
}

/// What a recorder asks for and tells.
#[derive(Debug)]
struct Ear {
    slot: Arc<Slot>,
    /// How often a key frame was wanted.
    wanted: watch::Sender<u64>,
}

impl Tap {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        let wanted = watch::Sender::new(0);
        Self { held: Mutex::default(), ear: Arc::new(Ear { slot, wanted }) }
    }

    /// Tells when a key frame is wanted.
    pub(super) fn wanted(&self) -> watch::Receiver<u64> {
        self.ear.wanted.subscribe()
    }

    /// Begins a recording; one that is being made ends.
    pub(super) fn begin(&self, writer: Writer, target: String) -> io::Result<Arc<Progress>> {
        let before = self.lock().recorder.take();
        // It may have to wait for its disk, and nobody has to wait for that.
        drop(before);
        let mut recorder = Recorder::start(writer, target, self.ear.clone())?;
        let progress = recorder.progress().clone();
        let mut held = self.lock();
        if let Some(welcome) = &held.welcome {
            recorder.welcome(welcome);
        }
        held.recorder = Some(recorder);
        let begun = held.begun;
        drop(held);
        self.ear.slot.change(|view| view.recording = Some(progress.clone()));
        if let Some(outcome) = progress.outcome() {
            // It has failed before it was shown.
            tracing::debug!(?outcome, "a short recording");
            self.ear.slot.change(|view| view.recording = None);
        }
        if begun {
            self.ear.want_key();
        }
        Ok(progress)
    }

    /// Ends the recording, if one is being made; what has come is still written.
    pub(super) fn end(&self) {
        if let Some(recorder) = &mut self.lock().recorder {
            recorder.end(now_us());
        }
    }

    /// Ends the recording, and waits until it is written.
    pub(super) fn close(&self) {
        self.end();
        let recorder = self.lock().recorder.take();
        drop(recorder);
    }

    /// A connection begins.
    pub(super) fn connected(&self) {
        let mut held = self.lock();
        (held.begun, held.welcome) = (false, None);
    }

    /// The agent has said who it is.
    pub(super) fn welcome(&self, packet: &Packet) {
        let mut held = self.lock();
        if let Some(recorder) = &mut held.recorder {
            recorder.welcome(packet);
        }
        // It shares its buffer with what came beside it.
        let payload = Bytes::copy_from_slice(&packet.payload);
        held.welcome = Some(Packet { payload, ..*packet });
    }

    /// A frame has come.
    pub(super) fn frame(&self, payload: &Bytes, header: Option<&Header>) {
        let mut held = self.lock();
        held.begun = true;
        if let Some(recorder) = &mut held.recorder {
            recorder.frame(payload, header, now_us());
        }
    }

    /// The connection has ended.
    pub(super) fn disconnected(&self, cause: &str) {
        let mut held = self.lock();
        (held.begun, held.welcome) = (false, None);
        if let Some(recorder) = &mut held.recorder {
            recorder.lost(cause, now_us());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear {
    fn say(&self, text: &str, change: impl FnOnce(&mut super::view::View)) {
        let text = printable(text);
        self.slot.happened(Event::Notice(text.clone()), |view| {
            change(view);
            view.notice = Some(Notice { text, at: Instant::now() });
        });
    }
}

impl Listener for Ear {
    fn want_key(&self) {
        self.wanted.send_modify(|wanted| *wanted += 1);
    }

    fn behind(&self, progress: &Progress) {
        let path = progress.path().display();
        self.say(&format!("the disk is too slow: pictures are missing in {path}"), |_| {});
    }

    fn ended(&self, progress: &Arc<Progress>) {
        let path = progress.path().display();
        let text = match progress.outcome() {
            Some(Err(error)) => match progress.bytes() {
                0 => format!("nothing is recorded: {error}"),
                _ => format!("the recording has ended: {error}. What is in it can be played"),
            },
            _ if progress.pictures() == 0 => "nothing was recorded: no picture came".to_owned(),
            _ => format!(
                "recorded {} s in {path}, {}",
                progress.since().elapsed().as_secs(),
                size(progress.bytes())
            ),
        };
        self.say(&text, |view| {
            view.recording.take_if(|recording| Arc::ptr_eq(recording, progress));
        });
    }
}
