//! Relay: one machine's pictures at one scale, for all who look at them.
//!
//! It is a viewer of the machine, whose pictures go onto a canvas of its own. From there each who
//! looks is served as an agent serves its viewers: by steps from what they have to what there is
//! now, each encoded once for all of them. So the machine sends one stream, however many look, and
//! whoever is slow is nobody's concern.

use super::figures::Figures;
use crate::address::Target;
use crate::canvas::Shared;
use crate::frames::{Encode, Encoder, Published, Screen, Workers};
use crate::rect::Rect;
use crate::viewer::{Client, ClientOptions, Link, Picture, Security, View};
use actix::prelude::*;
use std::collections::{HashMap, HashSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;

/// Steps that may wait to be encoded, over all relays: each who looks has one open at most.
const STEPS: usize = 4096;

/// Whose pictures, and how small: 1 / scale of the width and height.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wish {
    pub(super) target: Target,
    pub(super) scale: u32,
}

/// The pictures of a machine, as long as somebody holds this.
pub(super) struct Relay {
    /// Taken by who ends it.
    client: Option<Client>,
    pub(super) encoder: Recipient<Encode>,
    /// The newest version on the canvas.
    pub(super) screen: watch::Receiver<Published>,
    /// Changes whenever something in [`Relay::view`] does.
    pub(super) changes: watch::Receiver<u64>,
    /// The number of the viewer's picture that is on the canvas.
    painted: Arc<AtomicU64>,
    pub(super) figures: Figures,
}

impl Relay {
    fn begin(wish: &Wish, house: &Relays) -> io::Result<Self> {
        let canvas = Shared::default();
        let (publish, screen) = watch::channel(None);
        let (encoded, workers, shown) =
            (canvas.clone(), Arc::clone(&house.workers), screen.clone());
        let figures = house.figures.clone();
        let encodings = figures.encodings.clone();
        let encoder = Encoder::start_in_arbiter(&house.arbiter, move |_| {
            Encoder::new(encoded, shown, workers, None, encodings)
        });
        let options = ClientOptions {
            security: house.security.clone(),
            start: false,
            scale: wish.scale,
            ..ClientOptions::default()
        };
        let painted = Arc::new(AtomicU64::new(0));
        let mut painter = Painter {
            canvas,
            publish,
            shown: None,
            painted: Arc::clone(&painted),
            figures: figures.clone(),
        };
        let watcher = move |view: &View| painter.take(view);
        let client = Client::start_watched(wish.target.clone(), options, watcher)?;
        let changes = client.changes();
        let (client, encoder) = (Some(client), encoder.recipient());
        Ok(Self { client, encoder, screen, changes, painted, figures })
    }

    /// What is known of the machine now.
    pub(super) fn view(&self) -> Option<View> {
        self.client.as_ref().map(Client::view)
    }

    /// Whether what is on the canvas is of now, as this is: not of before a cut, or a stop.
    pub(super) fn is_current(&self, view: &View) -> bool {
        is_live(view) && self.painted.load(Ordering::Acquire) >= view.sequence
    }
}

/// Whether the picture is of this connection, and there is one.
pub(super) fn is_live(view: &View) -> bool {
    view.current && view.link == Link::Connected
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        // It says goodbye and waits for its threads, and this may be a thread that serves others.
        let ended = std::thread::Builder::new().name("farewell".into()).spawn(|| drop(client));
        if let Err(e) = ended {
            tracing::error!("no thread to end a connection with: {e}");
        }
    }
}

/// Puts a viewer's pictures onto the canvas.
struct Painter {
    canvas: Shared,
    publish: watch::Sender<Published>,
    /// The number of the picture that is on it, where that is whole.
    shown: Option<u64>,
    painted: Arc<AtomicU64>,
    figures: Figures,
}

impl Painter {
    /// Takes a picture over. A panic costs that one alone: the next one is painted as a whole.
    fn take(&mut self, view: &View) {
        let Some(picture) = &view.picture else { return };
        let shown = self.shown.take();
        if catch_unwind(AssertUnwindSafe(|| self.paint(picture, shown))).is_err() {
            tracing::error!("a picture could not be put onto the canvas");
        }
    }

    fn paint(&mut self, picture: &Picture, shown: Option<u64>) {
        let size = (picture.width, picture.height);
        let mut canvas = self.canvas.lock();
        // One that was cleared has no size any more.
        let damage = shown.filter(|_| canvas.size() == size);
        let damage = damage.and_then(|shown| picture.damage_since(shown));
        let damage = damage.unwrap_or_else(|| vec![Rect::new(0, 0, size.0, size.1)]);
        let patches: Vec<_> = damage.iter().flat_map(|part| picture.patches(*part)).collect();
        canvas.update(size, &patches);
        // Changed or not: who waits for a picture of now, after a cut or a stop, is to get it.
        let version = canvas.commit(picture.captured_us.unwrap_or_default());
        drop(canvas);
        self.figures.pictures.inc();
        self.shown = Some(picture.sequence);
        self.painted.store(picture.sequence, Ordering::Release);
        self.publish.send_replace(Some(Screen::Picture(version)));
    }
}

/// All relays of a hub.
pub(super) struct Relays {
    security: Security,
    workers: Arc<Workers>,
    /// Where the encoders live.
    arbiter: ArbiterHandle,
    figures: Figures,
    /// Those that somebody holds.
    open: Mutex<HashMap<Wish, Weak<Relay>>>,
}

impl Relays {
    pub(super) fn new(
        security: Security,
        arbiter: ArbiterHandle,
        figures: Figures,
    ) -> io::Result<Self> {
        let workers = Arc::new(Workers::start(STEPS)?);
        Ok(Self { security, workers, arbiter, figures, open: Mutex::default() })
    }

    /// How many there are, and how many machines they are connected to.
    pub(super) fn count(&self) -> (usize, usize) {
        let relays: Vec<(Target, Arc<Relay>)> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let held = open.iter().map(|(wish, relay)| (wish.target.clone(), relay.upgrade()));
            held.filter_map(|(target, relay)| Some((target, relay?))).collect()
        };
        let connected = relays
            .iter()
            .filter(|(_, relay)| relay.view().is_some_and(|view| view.link == Link::Connected));
        let machines: HashSet<&Target> = connected.map(|(target, _)| target).collect();
        (relays.len(), machines.len())
    }

    /// The relay for this: the one that there is, or a new one, for which threads are started. It
    /// blocks for as long as that takes.
    pub(super) fn join(&self, wish: &Wish) -> io::Result<Arc<Relay>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(relay) = open.get(wish).and_then(Weak::upgrade) {
            return Ok(relay);
        }
        open.retain(|_, relay| relay.strong_count() > 0);
        let relay = Arc::new(Relay::begin(wish, self)?);
        open.insert(wish.clone(), Arc::downgrade(&relay));
        Ok(relay)
    }
}
