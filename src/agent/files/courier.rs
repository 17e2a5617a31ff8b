//! Courier: carries the files of one session, one each way at a time.

use super::give::Giving;
use super::office::{Full, Office, owner};
use super::receive::{Part, Receiving};
use crate::agent::session::Say;
use crate::audit::What;
use crate::files::FileError;
use crate::stride::Stride;
use crate::text::printable;
use crate::throttle::Throttle;
use crate::trust::{Denied, Files, Grant, Permit};
use actix::WeakRecipient;
use actix::prelude::*;
use bytes::Bytes;
use hightower_proto::Message as Packet;
use hightower_proto::message::{Done, Offer, Reply};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Parts that may wait to be written while others are.
const WAITING: usize = 3;

/// Answers that may wait to be heard.
const ANSWERS: usize = 8;

/// Refusals that are written down a second.
const DENIALS: u32 = 5;

/// The first bytes of a PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Session to courier: its peer has said this of files. Answered when the next may come.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::agent) struct Parcel(pub(in crate::agent) Packet);

/// Session to courier: the peer is gone, and with it whatever was under way.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::agent) struct Ended;

/// Says things to the peer.
#[derive(Clone)]
pub(super) struct Voice(WeakRecipient<Say>);

/// The peer is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone;

impl Voice {
    /// In its order among the replies.
    pub(super) async fn say(&self, packet: &Packet) -> Result<(), Gone> {
        self.send(Say::Word(packet.encode())).await
    }

    /// After all else; waits until it is on its way.
    pub(super) async fn bulk(&self, packet: &Packet) -> Result<(), Gone> {
        self.send(Say::Bulk(packet.pieces())).await
    }

    async fn send(&self, say: Say) -> Result<(), Gone> {
        let session = self.0.upgrade().ok_or(Gone)?;
        match session.send(say).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// A transfer, and where what its peer says of it goes.
struct Transfer<T> {
    number: u32,
    /// Tells it from others of the same number.
    run: u64,
    to: mpsc::Sender<T>,
}

/// Carries the files of one session.
pub(in crate::agent) struct Courier {
    grant: Grant,
    office: Arc<Office>,
    voice: Voice,
    /// Whether pictures go on the same connection.
    watches: bool,
    receiving: Option<Transfer<Part>>,
    giving: Option<Transfer<Packet>>,
    runs: u64,
    denials: Throttle,
}

impl Courier {
    pub(in crate::agent) fn new(
        grant: Grant,
        office: Arc<Office>,
        session: WeakRecipient<Say>,
        watches: bool,
    ) -> Self {
        let (voice, denials) = (Voice(session), Throttle::new(DENIALS));
        Self { grant, office, voice, watches, receiving: None, giving: None, runs: 0, denials }
    }

    /// Begins to receive. What was received before is given up.
    fn receive(&mut self, offer: Offer, ctx: &mut Context<Self>) {
        let (to, parts) = mpsc::channel(WAITING);
        self.runs += 1;
        let (number, run) = (offer.transfer, self.runs);
        self.receiving = Some(Transfer { number, run, to });
        let (office, grant, voice) = (self.office.clone(), self.grant.clone(), self.voice.clone());
        let receiving = Receiving { office, grant, voice, offer, parts, early: None };
        ctx.spawn(receiving.run().into_actor(self).map(move |(), courier, _| {
            courier.receiving.take_if(|transfer| transfer.run == run);
        }));
    }

    /// Begins to give. What was given before is given up.
    fn give(&mut self, number: u32, name: String, ctx: &mut Context<Self>) {
        let (to, answers) = mpsc::channel(ANSWERS);
        self.runs += 1;
        let run = self.runs;
        self.giving = Some(Transfer { number, run, to });
        let (office, grant, voice) = (self.office.clone(), self.grant.clone(), self.voice.clone());
        let stride = if self.watches { Stride::beside_pictures() } else { Stride::default() };
        let giving =
            Giving { office, grant, voice, stride, transfer: number, name, answers, sent: 0 };
        ctx.spawn(giving.run().into_actor(self).map(move |(), courier, _| {
            courier.giving.take_if(|transfer| transfer.run == run);
        }));
    }

    /// Takes a file that has come in one packet.
    fn put(&mut self, of: i64, kind: &'static str, bytes: Bytes) -> ResponseActFuture<Self, ()> {
        let permit = match self.grant.permit::<Files>() {
            Ok(permit) => permit,
            Err(denied) => return self.deny(of, &denied),
        };
        let (office, owner, voice) = (self.office.clone(), owner(&self.grant), self.voice.clone());
        Box::pin(
            async move {
                let reply = match put(office, owner, permit, kind, bytes).await {
                    Ok(()) => Reply::obeyed(of),
                    Err(why) => Reply::refused(of, why),
                };
                // Who does not speak is told nothing.
                let _ = voice.say(&Packet::Reply(reply)).await;
            }
            .into_actor(self),
        )
    }

    fn deny(&mut self, of: i64, denied: &Denied) -> ResponseActFuture<Self, ()> {
        if self.denials.pass(Instant::now()).is_some() {
            self.grant.note_refusal(denied);
        }
        self.say(Packet::Reply(Reply::refused(of, denied.to_string())))
    }

    fn say(&self, packet: Packet) -> ResponseActFuture<Self, ()> {
        let voice = self.voice.clone();
        Box::pin(
            async move {
                // Who is gone need not be told.
                let _ = voice.say(&packet).await;
            }
            .into_actor(self),
        )
    }
}

/// Puts what has come in one packet into the inbox, under a name of its time.
async fn put(
    office: Arc<Office>,
    owner: String,
    permit: Permit<Files>,
    kind: &'static str,
    bytes: Bytes,
) -> Result<(), String> {
    let is_png = bytes.starts_with(PNG);
    if kind == "picture" && !is_png {
        return Err("that is no PNG".into());
    }
    let end = if is_png { "png" } else { "bin" };
    let name = format!("{kind} {}.{end}", jiff::Zoned::now().strftime("%Y-%m-%d %H.%M.%S"));
    let size = crate::files::size(bytes.len() as u64);
    let shared = office.clone();
    let work = tokio::task::spawn_blocking(move || {
        let _place = shared.place(None)?;
        shared.count(&owner)?;
        if kind == "picture" {
            crate::picture::check_png(&bytes).map_err(|e| Full::NoPng(format!("{e:#}")))?;
        }
        Ok(shared.inbox()?.put(&owner, &name, &bytes)?)
    });
    match work.await.map_err(|e| e.to_string())? {
        Ok(arrived) => {
            permit.note_with(What::Receive, format!("{}, {size}", arrived.name));
            office.teller.arrived(permit.by(), &arrived.name);
            tracing::info!(parent: permit.span(), by = %permit.by(), "received {}", arrived.path.display());
            Ok(())
        }
        Err(e) => {
            permit.note_failure(&format!("a {kind} that was sent: {e}"));
            tracing::warn!(parent: permit.span(), by = %permit.by(), "not received: {e}");
            Err(abroad(&e))
        }
    }
}

/// Why there was no place, in words for the other end.
pub(super) fn abroad(error: &Full) -> String {
    match error {
        Full::Files(error) => FileError::abroad(error),
        other => other.to_string(),
    }
}

impl Actor for Courier {
    type Context = Context<Self>;
}

impl Handler<Parcel> for Courier {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Parcel(packet): Parcel, ctx: &mut Self::Context) -> Self::Result {
        let code = packet.command().code();
        match packet {
            Packet::File(bytes) => return self.put(code, "file", bytes),
            Packet::Image(bytes) | Packet::ImageText(bytes) => {
                return self.put(code, "picture", bytes);
            }
            Packet::Offer(offer) => {
                // By what it is, it is told which role it takes.
                if let Err(odd) = crate::files::check(&offer) {
                    let done = Done::failed(offer.transfer, odd.to_string());
                    return self.say(Packet::Done(done));
                }
                let denied = match offer.show {
                    true => self.grant.permit::<crate::trust::Message>().err(),
                    false => self.grant.permit::<Files>().err(),
                };
                if let Some(denied) = denied {
                    return self.deny(code, &denied);
                }
                self.receive(offer, ctx);
            }
            Packet::Fetch(fetch) => {
                if let Err(denied) = self.grant.permit::<Files>() {
                    return self.deny(code, &denied);
                }
                tracing::debug!(parent: self.grant.span(), "asked for {}", printable(&fetch.name));
                self.give(fetch.transfer, fetch.name, ctx);
            }
            // What is of a transfer that has ended is passed over.
            Packet::Chunk(chunk) => {
                let of = self.receiving.as_ref().filter(|of| of.number == chunk.transfer);
                if let Some(to) = of.map(|of| of.to.clone()) {
                    let handed = async move { drop(to.send(Part::Chunk(chunk)).await) };
                    return Box::pin(handed.into_actor(self));
                }
            }
            Packet::Accept(accept) => {
                let of = self.giving.as_ref().filter(|of| of.number == accept.transfer);
                if let Some(to) = of.map(|of| of.to.clone()) {
                    let handed = async move { drop(to.send(Packet::Accept(accept)).await) };
                    return Box::pin(handed.into_actor(self));
                }
            }
            Packet::Done(done) => return self.done(done),
            _ => {}
        }
        Box::pin(actix::fut::ready(()))
    }
}

impl Handler<Ended> for Courier {
    type Result = ();

    fn handle(&mut self, Ended: Ended, _: &mut Self::Context) {
        // This actor lives as long as a transfer does, and that as long as somebody could say more.
        (self.receiving, self.giving) = (None, None);
    }
}

impl Courier {
    /// The peer ends a transfer, which may be of either kind.
    fn done(&mut self, done: Done) -> ResponseActFuture<Self, ()> {
        let of = self.receiving.as_ref().filter(|of| of.number == done.transfer);
        if let Some(to) = of.map(|of| of.to.clone()) {
            let words = done.error.as_deref().map(printable).unwrap_or_default();
            let part = Part::GivenUp(words, done.spoilt);
            let handed = async move { drop(to.send(part).await) };
            return Box::pin(handed.into_actor(self));
        }
        let of = self.giving.as_ref().filter(|of| of.number == done.transfer);
        let Some(to) = of.map(|of| of.to.clone()) else {
            return Box::pin(actix::fut::ready(()));
        };
        Box::pin(async move { drop(to.send(Packet::Done(done)).await) }.into_actor(self))
    }
}
