//! Session: one viewer, or a guest: somebody who is connected and does not watch.
//!
//! It owns the socket's write half, keeps one write in flight and no queue: what waits is one
//! slot a kind, and the newest wins. When it has room it asks the encoder for the step from what
//! its viewer has to now; when its viewer has the newest, it leaves a wish in [`Demand`]. That is
//! all there is to a slow viewer: it asks less often.
//!
//! The reader is a future of this actor. It hands over one packet at a time and waits until it
//! is done with, so a viewer that floods is slowed down by its own socket.

mod admission;
mod frames;
mod io;
mod packets;
mod parcels;
mod power;
mod talk;

use super::broadcaster::Broadcaster;
use super::chat::Chat;
use super::consent::{Consent, Stay};
use super::facts::{Interest, Registrar};
use super::figures::{Figures, Loss};
use super::files::{Courier, Ended, Office};
use super::messages::{Leave, MouseOrder, Notice};
use super::places::{Place, Places};
use super::power::Power;
use crate::canvas::Version;
use crate::frames::{Demand, Encode, Kind, Link, Rendition};
use crate::throttle::Throttle;
use crate::trust::{Files, Grant, View};
use actix::prelude::*;
use admission::Admission;
use hightower_proto::Message as Packet;
use hightower_proto::message::{Facts, Goodbye, State, Welcome};
pub(super) use io::Stream;
use io::{End, Outbox, Pieces, Reader, Writer};
pub(super) use parcels::Say;
use power::Orders;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use talk::Part;
use tokio::sync::oneshot;

/// How long a viewer has to take what was sent last, and to close. Closing first would lose it:
/// a socket that is closed while the peer still talks forgets what is under way.
const LINGER: Duration = Duration::from_secs(1);

/// Who has said nothing for so long is a plain viewer, which never speaks. Who speaks says hello
/// at once.
const SILENCE: Duration = Duration::from_millis(150);

/// Refused commands of a viewer that are written down a second.
const DENIALS: u32 = 5;

/// Whom a session talks to, and by what rules.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) broadcaster: Addr<Broadcaster>,
    pub(super) encoder: Recipient<Encode>,
    pub(super) mouse: Recipient<MouseOrder>,
    pub(super) demand: Arc<Demand>,
    pub(super) write_deadline: Duration,
    pub(super) credit: u32,
    /// Where the person at the machine is asked first.
    pub(super) consent: Option<Consent>,
    /// What the machine is.
    pub(super) registrar: Addr<Registrar>,
    /// The room in which they talk.
    pub(super) chat: Addr<Chat>,
    /// What restarts the machine, and the like.
    pub(super) power: Addr<Power>,
    /// For those who do not watch.
    pub(super) guests: Places,
    /// Where files go, and come from.
    pub(super) files: Arc<Office>,
    pub(super) figures: Figures,
}

/// One viewer or guest.
pub(super) struct Session {
    peer: SocketAddr,
    /// Who it is, and so what it may do.
    grant: Grant,
    links: Links,
    welcome: Welcome,
    admission: Admission,
    /// The person's leave, where they were asked.
    stay: Option<Stay>,
    reader: Option<Reader>,
    /// `None` while a write is in flight.
    writer: Option<Writer>,
    /// What the update that is being written is, and how long.
    sending: Option<(Kind, u64)>,
    /// Whether what is being written is a part of a file.
    carries: bool,
    outbox: Outbox,
    /// Whether the viewer has said hello, and may be sent packets.
    speaks: bool,
    monitoring: bool,
    /// The newest version there is.
    newest: Version,
    /// The version the viewer has, is being sent, or is not to be sent: there must be a newer one.
    have: Version,
    /// Versions up to this one are of an earlier run, and never sent.
    stale: Version,
    /// The version that was sent last and that a delta can build on; `None` takes a key frame.
    base: Option<Version>,
    /// The viewer asked for a key frame, be there a newer version or not.
    refresh: bool,
    /// Whether the viewer understands deltas.
    delta: bool,
    rendition: Rendition,
    /// The time from one update to the next is at least this.
    interval: Duration,
    /// Before this the viewer wants no other update.
    not_before: Instant,
    /// Whether a timer will look again when it does.
    timed: bool,
    /// Whether the encoder owes an answer.
    asked: bool,
    /// Counts what makes an answer to a question from before void: that monitoring was switched, or
    /// that the viewer wants something else.
    epoch: u64,
    /// Whether the broadcaster has said that monitoring was switched.
    told: bool,
    /// What was sent to a speaking viewer and not acknowledged, never more than the credit; and
    /// what that says of the way there.
    link: Link,
    /// When a write ended last: what is under way to the viewer may be on its way since then.
    written: Instant,
    closing: bool,
    /// For commands that are refused, which a viewer can send as fast as it likes.
    denials: Throttle,
    /// The reader waits here until there is room for replies again.
    room: Option<oneshot::Sender<()>>,
    /// Kept by those who want to know what the machine is.
    interest: Option<Arc<Interest>>,
    /// How things stand, where that was told since the viewer's last hello.
    state: Option<State>,
    /// What the machine is, where that has changed since this began.
    facts: Option<Arc<Facts>>,
    /// Its part in the chat.
    part: Part,
    /// What it wants to become of the machine.
    orders: Orders,
    /// Carries its files, once there are some.
    courier: Option<Addr<Courier>>,
    place: Place,
}

impl Session {
    pub(super) fn new(
        stream: Stream,
        peer: SocketAddr,
        grant: Grant,
        links: Links,
        welcome: Welcome,
        place: Place,
    ) -> Self {
        let Stream { reader, writer } = stream;
        Self {
            peer,
            grant,
            links,
            welcome,
            admission: Admission::Unknown,
            stay: None,
            reader: Some(reader),
            writer: Some(writer),
            sending: None,
            carries: false,
            outbox: Outbox::default(),
            speaks: false,
            monitoring: false,
            newest: 0,
            have: 0,
            stale: 0,
            base: None,
            refresh: false,
            delta: false,
            rendition: Rendition::default(),
            interval: Duration::ZERO,
            not_before: Instant::now(),
            timed: false,
            asked: false,
            epoch: 0,
            told: false,
            link: Link::default(),
            written: Instant::now(),
            closing: false,
            denials: Throttle::new(DENIALS),
            room: None,
            interest: None,
            state: None,
            facts: None,
            part: Part::default(),
            orders: Orders::default(),
            courier: None,
            place,
        }
    }

    /// Does whatever can be done now: sends what waits, asks for the next step, or wishes for it.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if self.writer.is_none() {
            // A picture is made ready while a part of a file goes, and is not behind the next one.
            if self.carries {
                self.seek(ctx);
            }
            return;
        }
        self.hear(ctx);
        self.carries = false;
        self.sending = self.outbox.frames.as_ref().map(|step| (step.kind, step.length));
        if let Some(pieces) = self.outbox.take() {
            self.write(pieces, ctx);
        } else if self.closing {
            // Ends the sending half; the reader goes on until the viewer closes.
            if let Some(writer) = self.writer.take() {
                ctx.spawn(io::finish(writer, LINGER).into_actor(self));
            }
            ctx.run_later(LINGER, |_, ctx| ctx.stop());
        } else {
            self.seek(ctx);
            if let Some(part) = self.outbox.take_part() {
                self.carries = true;
                self.write(part, ctx);
            }
        }
    }

    fn write(&mut self, pieces: Pieces, ctx: &mut Context<Self>) {
        let Some(writer) = self.writer.take() else { return };
        let written = io::write(writer, pieces, self.links.write_deadline).into_actor(self).map(
            |result, session, ctx| match result {
                Ok(writer) => {
                    if let Some((kind, length)) = session.sending.take() {
                        session.links.figures.sendings.sent(kind, length);
                    }
                    session.writer = Some(writer);
                    session.written = Instant::now();
                    if let Some(room) = session.room.take() {
                        // The reader may have ended with its stream.
                        let _ = room.send(());
                    }
                    session.advance(ctx);
                }
                Err(e) => {
                    session.links.figures.dropped.of(Loss::Write).inc();
                    tracing::info!(parent: session.grant.span(), peer = %session.peer, "the viewer is dropped: {e}");
                    ctx.stop();
                }
            },
        );
        ctx.spawn(written);
    }

    /// Drops a viewer that has acknowledged nothing for too long: its machine, or a box on the way,
    /// may take everything and be dead all the same. One that takes nothing is found by writing.
    fn watch_silence(&self, ctx: &mut Context<Self>) {
        let deadline = self.links.write_deadline;
        ctx.run_interval(deadline / 4, move |session, ctx| {
            let unheard = session.link.unheard_since().map(|since| since.max(session.written));
            let silent = unheard.is_some_and(|since| since.elapsed() > deadline);
            if silent && session.writer.is_some() && !session.closing {
                session.links.figures.dropped.of(Loss::Silence).inc();
                let peer = session.peer;
                tracing::info!(parent: session.grant.span(), %peer, "the viewer is dropped: it acknowledged nothing for {deadline:?}");
                ctx.stop();
            }
        });
    }

    /// Sends what is begun, says goodbye where it is understood, and ends.
    fn close(&mut self, reason: Option<String>) {
        if self.closing {
            return;
        }
        self.closing = true;
        self.monitoring = false;
        self.outbox.clear();
        if let (true, Some(reason)) = (self.speaks, reason) {
            self.outbox.last = Some(Packet::Goodbye(Goodbye { reason }).encode());
        }
    }

    /// Reads what the viewer says, to its end.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        let Some(reader) = self.reader.take() else { return };
        let bulk = self.grant.permit::<Files>().is_ok();
        let reading = io::read(reader, ctx.address().recipient(), bulk);
        ctx.spawn(reading.into_actor(self).map(|end, session, ctx| {
            match end {
                End::Closed => tracing::debug!(parent: session.grant.span(), peer = %session.peer, "closed by the viewer"),
                end => {
                    session.links.figures.dropped.of(Loss::Read).inc();
                    tracing::warn!(parent: session.grant.span(), peer = %session.peer, "the viewer is dropped: {end}");
                }
            }
            ctx.stop();
        }));
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
        // Who says nothing is a plain viewer.
        ctx.run_later(SILENCE, |session, ctx| {
            if matches!(session.admission, Admission::Unknown) {
                session.watch(ctx);
            }
        });
        self.watch_silence(ctx);
    }

    fn stopped(&mut self, _ctx: &mut Self::Context) {
        if let Admission::Joined(id) | Admission::Guest(id) = self.admission {
            self.links.broadcaster.do_send(Leave(id));
        }
        if let Some(courier) = &self.courier {
            courier.do_send(Ended);
        }
    }
}

impl Handler<io::Incoming> for Session {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(
        &mut self,
        io::Incoming(packet): io::Incoming,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        let is_guest = matches!(&packet, Ok(Packet::Hello(hello)) if !hello.watch);
        match self.admission {
            Admission::Unknown => {}
            // Its hello was long on its way, and it was taken for a plain viewer.
            Admission::Joined(id) if is_guest && !self.speaks => {
                self.links.broadcaster.do_send(Leave(id));
                (self.stay, self.monitoring) = (None, false);
                self.outbox.frames = None;
            }
            Admission::Asked if is_guest && !self.speaks => {}
            _ => return self.incoming(packet, ctx),
        }
        match &packet {
            Ok(Packet::Hello(hello)) if !hello.watch => self.visit(ctx),
            // Whoever may not see the screen may have come to say this.
            Ok(Packet::Text(_)) if self.grant.permit::<View>().is_err() => self.visit(ctx),
            _ => self.watch(ctx),
        }
        // After the broadcaster's answer, which this actor waits for.
        let admitted = actix::fut::ready(()).into_actor(self);
        Box::pin(admitted.then(move |(), session, ctx| session.incoming(packet, ctx)))
    }
}

impl Handler<Notice> for Session {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Version(version) => self.newest = self.newest.max(version),
            Notice::Started { after } => {
                self.epoch += 1;
                self.told = true;
                self.monitoring = !self.closing;
                self.have = self.have.max(after);
                self.stale = self.stale.max(after);
                self.newest = self.newest.max(after);
            }
            Notice::Stopped => {
                self.epoch += 1;
                self.told = true;
                self.monitoring = false;
                if self.outbox.frames.take().is_some() {
                    // It was never sent, so nothing can build on it.
                    self.base = None;
                }
                // What was sent and not acknowledged is not waited for when it starts again.
                self.link.forget();
            }
            Notice::State(state) => {
                if self.speaks && !self.closing {
                    self.outbox.state = Some(Packet::State(state.clone()).encode());
                }
                self.state = Some(state);
            }
            Notice::Facts(facts) => {
                if self.speaks && !self.closing {
                    self.outbox.facts = Some(Packet::Struct(facts.to_struct()).encode());
                }
                self.facts = Some(facts);
            }
            Notice::Recheck => {
                self.recheck_part(ctx);
                let still = match self.admission {
                    Admission::Guest(_) => self.grant.standing().map(drop),
                    _ => self.grant.permit::<View>().map(drop),
                };
                if let Err(denied) = still {
                    self.links.figures.dropped.of(Loss::Denied).inc();
                    tracing::info!(parent: self.grant.span(), peer = %self.peer, "the viewer is dropped: {denied}");
                    self.grant.note_refusal(&denied);
                    self.close(Some(denied.to_string()));
                    // Whether it takes what is being sent or not.
                    ctx.run_later(LINGER, |_, ctx| ctx.stop());
                }
            }
            Notice::Goodbye(reason) => self.close(Some(reason)),
        }
        self.advance(ctx);
    }
}
