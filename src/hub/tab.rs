//! Tab: one who looks at a machine by a WebSocket.
//!
//! What goes there is the stream as an agent sends it to a viewer that speaks: frames, and packets
//! that say who the machine is and how things stand. What comes back is packets: HELLO, ACKNOWLEDGE,
//! REFRESH, PING. How the stream is cut into messages means nothing, either way.
//!
//! As with an agent's viewers nothing is queued: at most two updates are under way that were not
//! acknowledged, and the next one is the step to what there is then. A tab that is not seen says
//! nothing, and costs nothing.

use super::looks::Look;
use super::relay::{Relay, is_live};
use super::socket::{End, LOOK, Socket, slow};
use super::turns::Place;
use super::visitor::Leave;
use crate::canvas::Version;
use crate::frames::{Encode, Encoded, Link, Rendition, Screen};
use crate::text::printable;
use crate::viewer::{View, now_us};
use actix_ws::{CloseCode, Message as Piece, MessageStream, Session};
use futures_util::StreamExt;
use hightower_proto::message::{Goodbye, Hello, Pong, Reply, State, Welcome};
use hightower_proto::stream::Options;
use hightower_proto::{Decoder, Item, Limits, Message};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::json;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tracing::Instrument;

/// How many updates may be under way that were not acknowledged.
pub(super) const CREDIT: usize = 2;

/// How long a tab may take to acknowledge an update: as long as an agent gives its viewers, for large
/// ones are long on their way to a telephone.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long it may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// What a tab may say in one packet, in bytes.
const LONGEST: u64 = 4096;

type Outcome = Pin<Box<dyn Future<Output = Result<Encoded, String>>>>;

/// One who looks.
struct Tab {
    socket: Socket,
    relay: Arc<Relay>,
    decoder: Decoder,
    link: Link,
    hello: Option<Hello>,
    /// The version that it has, or is being sent.
    base: Option<Version>,
    /// A key frame is wanted, whatever it has.
    refresh: bool,
    /// The answer that the encoder owes.
    asked: Option<Outcome>,
    not_before: Instant,
    /// The version to which no step could be made, and why.
    failed: Option<(Version, String)>,
    began: Instant,
    /// What was said of the machine last.
    told: Told,
}

#[derive(Default)]
struct Told {
    welcome: Option<Arc<Welcome>>,
    state: Option<Arc<State>>,
    link: Option<Standing>,
}

/// How the hub stands with the machine.
#[derive(PartialEq)]
struct Standing {
    link: &'static str,
    current: bool,
    cause: Option<String>,
}

/// Whether both say the same. They mostly are the same, and this is asked several times an update.
fn same<T: PartialEq>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        (None, None) => true,
        _ => false,
    }
}

/// Serves a tab until it ends. Its lines in the log are those of the request by which it began.
pub(super) fn serve(
    session: Session,
    incoming: MessageStream,
    relay: Arc<Relay>,
    leave: Leave,
    held: (Place, Look),
) -> impl Future<Output = ()> {
    look(session, incoming, relay, leave, held).in_current_span()
}

async fn look(
    session: Session,
    mut incoming: MessageStream,
    relay: Arc<Relay>,
    leave: Leave,
    _held: (Place, Look),
) {
    let _open = Open::count(relay.figures.tabs.clone());
    relay.figures.opened.inc();
    let limits = Limits { max_packet: LONGEST, ..Limits::default() };
    let options = Options { limits, ..Options::agent() };
    let now = Instant::now();
    let mut tab = Tab {
        socket: Socket::new(session, PATIENCE),
        relay,
        decoder: Decoder::new(options),
        link: Link::default(),
        hello: None,
        base: None,
        refresh: false,
        asked: None,
        not_before: now,
        failed: None,
        began: now,
        told: Told::default(),
    };
    let Err(end) = tab.run(&mut incoming, &leave).await;
    if let End::Closed(_, words) = &end {
        tab.relay.figures.dropped.inc();
        tracing::debug!("a tab is closed: {words}");
    }
    tab.socket.end(end).await;
}

/// Counts a tab, until it is dropped.
struct Open(Gauge);

impl Open {
    fn count(tabs: Gauge) -> Self {
        tabs.inc();
        Self(tabs)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Tab {
    async fn run(
        &mut self,
        incoming: &mut MessageStream,
        leave: &Leave,
    ) -> Result<Infallible, End> {
        let (mut screen, mut changes) = (self.relay.screen.clone(), self.relay.changes.clone());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.advance().await?;
            let due = tokio::time::Instant::from_std(self.not_before);
            let waits = self.asked.is_none() && self.not_before > Instant::now();
            tokio::select! {
                piece = incoming.next() => match piece {
                    Some(Ok(piece)) => self.take(piece).await?,
                    Some(Err(e)) => {
                        return Err(End::Closed(CloseCode::Protocol, e.to_string()));
                    }
                    None => return Err(End::Gone),
                },
                Some(step) = answer(&mut self.asked) => {
                    self.asked = None;
                    match step {
                        Ok(step) => self.send_step(step).await?,
                        // The next version is another chance.
                        Err(why) => self.failed = Some((self.newest(), why)),
                    }
                }
                // Neither ends while the relay is held.
                _ = screen.changed() => {}
                _ = changes.changed() => {}
                () = sleep_until(due), if waits => {}
                _ = look.tick() => {
                    self.look_for_silence()?;
                    self.socket.look(leave).await?;
                }
            }
        }
    }

    /// Does what can be done now: tells what is new of the machine, and asks for the next step.
    async fn advance(&mut self) -> Result<(), End> {
        let Some(hello) = &self.hello else { return Ok(()) };
        let Some(view) = self.relay.view() else { return Err(End::Gone) };
        let delta = hello.delta;
        self.tell(&view).await?;
        let newest = self.newest();
        let wanted = newest > 0 && (self.refresh || self.base.is_none_or(|base| base < newest));
        let failed = self.failed.as_ref().is_some_and(|(version, _)| *version >= newest);
        let room = self.link.under_way() < CREDIT;
        if !wanted || failed || !room || self.asked.is_some() || !self.relay.is_current(&view) {
            return Ok(());
        }
        if self.not_before <= Instant::now() {
            let base = self.base.filter(|_| delta && !self.refresh);
            let effort = self.link.effort();
            let rendition = Rendition::default();
            let answer = self.relay.encoder.send(Encode { rendition, base, effort });
            self.asked = Some(Box::pin(async {
                match answer.await {
                    Ok(outcome) => outcome.map_err(|e| e.to_string()),
                    Err(_) => Err("the hub ends".into()),
                }
            }));
        }
        Ok(())
    }

    /// The newest version that there is; 0 before the first.
    fn newest(&self) -> Version {
        match *self.relay.screen.borrow() {
            Some(Screen::Picture(version)) => version,
            _ => 0,
        }
    }

    /// Tells what is new of the machine.
    async fn tell(&mut self, view: &View) -> Result<(), End> {
        let cause = view.cause.as_ref().map(|cause| printable(&cause.to_string()));
        let failed = self.failed.as_ref().map(|(_, why)| why.clone());
        let (link, current) = (view.link.words(), is_live(view));
        let link = Some(Standing { link, current, cause: cause.or(failed) });
        if link != self.told.link {
            let words = link
                .as_ref()
                .map(|now| json!({ "link": now.link, "current": now.current, "cause": now.cause }));
            self.told.link = link;
            self.say(&Message::Struct(words.unwrap_or_default())).await?;
        }
        if !same(&view.welcome, &self.told.welcome) {
            self.told.welcome.clone_from(&view.welcome);
            if let Some(welcome) = &view.welcome {
                let credit = u32::try_from(CREDIT).unwrap_or(u32::MAX);
                self.say(&Message::Welcome(Welcome { credit, ..Welcome::clone(welcome) })).await?;
            }
        }
        if !same(&view.state, &self.told.state) {
            self.told.state.clone_from(&view.state);
            if let Some(state) = &view.state {
                // As it came some time ago, and the lease runs.
                let left = view.lock_left().map(|left| u32::try_from(left.as_millis()));
                let lock_ms = left.map(|ms| ms.unwrap_or(u32::MAX));
                self.say(&Message::State(State { lock_ms, ..State::clone(state) })).await?;
            }
        }
        Ok(())
    }

    async fn send_step(&mut self, step: Encoded) -> Result<(), End> {
        if !self.refresh && self.base.is_some_and(|base| step.version <= base) {
            return Ok(());
        }
        if let Some(base) = self.base {
            self.relay.figures.sendings.skipped(step.version.saturating_sub(base + 1));
        }
        (self.base, self.refresh, self.failed) = (Some(step.version), false, None);
        let max_fps = self.hello.as_ref().map_or(0, |hello| hello.max_fps);
        if max_fps > 0 {
            self.not_before = Instant::now() + Duration::from_secs(1) / max_fps;
        }
        self.link.sent(&step, Instant::now());
        for piece in step.pieces.iter() {
            self.socket.binary(piece.clone()).await?;
        }
        self.relay.figures.sendings.sent(step.kind, step.length);
        Ok(())
    }

    async fn say(&mut self, message: &Message) -> Result<(), End> {
        self.socket.binary(message.encode()).await
    }

    /// Takes in what a message holds.
    async fn take(&mut self, piece: Piece) -> Result<(), End> {
        let bytes = match self.socket.heard(piece).await? {
            Some(Piece::Binary(bytes)) => bytes,
            Some(_) => {
                let words = "packets come as binary messages".into();
                return Err(End::Closed(CloseCode::Unsupported, words));
            }
            None => return Ok(()),
        };
        self.decoder.buffer().extend_from_slice(&bytes);
        loop {
            match self.decoder.next_item() {
                Ok(Some(Item::Packet(packet))) => {
                    let message = Message::parse(&packet).map_err(odd)?;
                    self.hear(message).await?;
                }
                Ok(Some(Item::Frame(_))) => {}
                Ok(None) => return Ok(()),
                Err(e) => return Err(odd(e)),
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Hello(hello) => {
                // It is answered each time, and nothing of what it takes back holds any more.
                (self.hello, self.told) = (Some(hello), Told::default());
                (self.asked, self.not_before) = (None, Instant::now());
            }
            Message::Acknowledge(acknowledge) => {
                self.link.acknowledged(acknowledge.version, Instant::now());
            }
            Message::Refresh => {
                // What is being encoded may build on what was lost.
                (self.base, self.refresh, self.asked) = (None, true, None);
                self.link.forget();
            }
            Message::Ping(ping) => {
                // By the agent's clock, as far as that is known: frames say when they were captured
                // by it.
                let clock = self.relay.view().and_then(|view| view.clock);
                let ahead = clock.map_or(0, |clock| clock.offset_us);
                let clock_us = now_us().saturating_add_signed(ahead);
                let pong = Pong { ping_us: ping.clock_us, clock_us };
                self.say(&Message::Pong(pong)).await?;
            }
            Message::Goodbye(Goodbye { .. }) => return Err(End::Gone),
            other => {
                let code = other.packet().command.code();
                let why = "orders and the like don't come by this connection";
                self.say(&Message::Reply(Reply::refused(code, why))).await?;
            }
        }
        Ok(())
    }

    /// Ends a tab that acknowledges nothing, or does not say hello.
    fn look_for_silence(&self) -> Result<(), End> {
        let unheard = self.link.unheard_since().is_some_and(|since| since.elapsed() > PATIENCE);
        if unheard {
            return Err(slow());
        }
        if self.hello.is_none() && self.began.elapsed() > HELLO {
            return Err(End::Closed(CloseCode::Policy, "HELLO is missing".into()));
        }
        Ok(())
    }
}

/// The encoder's answer, once there is a question.
async fn answer(asked: &mut Option<Outcome>) -> Option<Result<Encoded, String>> {
    match asked {
        Some(asked) => Some(asked.await),
        None => std::future::pending().await,
    }
}

fn odd(e: impl std::fmt::Display) -> End {
    // A reason has 123 bytes (RFC 6455, section 5.5).
    let words = printable(&e.to_string()).chars().take(30).collect();
    End::Closed(CloseCode::Protocol, words)
}
