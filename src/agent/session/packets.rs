//! What a viewer says to its session, and what it is answered.

use super::Session;
use super::admission::Admission;
use super::io::Odd;
use super::parcels::is_parcel;
use crate::agent::facts::AskFacts;
use crate::agent::messages::{AskState, MouseCommand, SetMonitoring, order_mouse};
use crate::frames::Rendition;
use crate::text::printable;
use crate::trust::{Control, Denied, View};
use crate::viewer::now_us;
use actix::prelude::*;
use bytes::Bytes;
use hightower_proto::Message as Packet;
use hightower_proto::message::{Facts, Hello, Pong, Reply, State, Welcome};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

impl Session {
    /// Handles what has come.
    pub(super) fn incoming(
        &mut self,
        packet: Result<Packet, Odd>,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        match packet {
            Ok(packet) => self.packet(packet, ctx),
            Err(Odd { of, error }) => {
                tracing::debug!(parent: self.grant.span(), peer = %self.peer, "refused: {error}");
                self.reply(Reply::refused(of, error.to_string()), ctx);
                self.settled()
            }
        }
    }

    /// Handles a packet of the viewer. What needs another actor's answer is waited for.
    pub(super) fn packet(
        &mut self,
        packet: Packet,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        let code = packet.command().code();
        if self.closing {
            return self.settled();
        }
        if let Admission::Refused(reason) = &self.admission {
            if let Packet::Hello(_) = packet {
                self.speaks = true;
                let reason = Some(reason.clone());
                self.close(reason);
                self.advance(ctx);
            }
            return self.settled();
        }
        if let Some(command) = MouseCommand::of(&packet) {
            let of = packet.command();
            let permit = match self.grant.permit::<Control>() {
                Ok(permit) => permit,
                Err(denied) => return self.deny(code, &denied, ctx),
            };
            let order = order_mouse(self.links.mouse.clone(), command, of, permit);
            return Box::pin(order.into_actor(self).then(|reply, session, ctx| {
                session.reply(reply, ctx);
                session.settled()
            }));
        }
        match packet {
            Packet::StartMonitor | Packet::StopMonitor => {
                let on = matches!(packet, Packet::StartMonitor);
                let permit = match self.grant.permit::<View>() {
                    Ok(permit) => permit,
                    Err(denied) => return self.deny(code, &denied, ctx),
                };
                let answer = self.links.broadcaster.send(SetMonitoring { on, permit });
                return Box::pin(answer.into_actor(self).then(move |result, session, ctx| {
                    let ok = result.is_ok();
                    session.reply(Reply { ok, ..Reply::obeyed(code) }, ctx);
                    session.settled()
                }));
            }
            Packet::Hello(hello) => {
                self.wish(&hello);
                self.state = None;
                if !self.speaks {
                    tracing::info!(parent: self.grant.span(), peer = %self.peer, "the viewer is {:?}", printable(&hello.software));
                }
                let (state, facts) =
                    (self.links.broadcaster.send(AskState), self.links.registrar.send(AskFacts));
                let answers = async { tokio::try_join!(state, facts) };
                return Box::pin(answers.into_actor(self).then(|answers, session, ctx| {
                    if let Ok((state, (facts, interest))) = answers {
                        session.interest = Some(interest);
                        // What was told meanwhile is newer.
                        let facts = session.facts.take().unwrap_or(facts);
                        let state = session.state.take().unwrap_or(state);
                        session.greet(state, &facts, ctx);
                    }
                    session.settled()
                }));
            }
            Packet::Acknowledge(ack) => {
                // Everything up to that version has arrived; a version that was never sent
                // changes nothing.
                if self.link.acknowledged(ack.version, Instant::now()) {
                    self.advance(ctx);
                }
            }
            Packet::Refresh => {
                self.forget_base();
                self.advance(ctx);
            }
            Packet::Ping(ping) => {
                if self.speaks {
                    let pong = Pong { ping_us: ping.clock_us, clock_us: now_us() };
                    self.outbox.pong = Some(Packet::Pong(pong).encode());
                    self.advance(ctx);
                }
            }
            Packet::Join(join) => return self.come(join, ctx),
            Packet::Say(said) => {
                let number = Some((said.member, said.number));
                return self.speak(code, number, said.text, said.behalf.as_deref(), ctx);
            }
            Packet::Text(text) => return self.speak(code, None, text, None, ctx),
            Packet::Power(wanted) => return self.power(wanted, ctx),
            Packet::Goodbye(_) => ctx.stop(),
            packet if is_parcel(&packet) => return self.parcel(packet, ctx),
            other => {
                let error = format!("{} is not for an agent", other.command());
                tracing::debug!(parent: self.grant.span(), peer = %self.peer, "refused: {error}");
                self.reply(Reply::refused(code, error), ctx);
            }
        }
        self.settled()
    }

    /// Resolves when the viewer may be read on: when there is room for a reply.
    pub(super) fn settled(&mut self) -> ResponseActFuture<Self, ()> {
        if !self.outbox.is_full() {
            return Box::pin(actix::fut::ready(()));
        }
        let (room, wait) = oneshot::channel();
        self.room = Some(room);
        // An error says that the session has ended, and nothing is read any more.
        Box::pin(wait.into_actor(self).map(|_, _, _| ()))
    }

    /// Takes in how the viewer wants its frames.
    fn wish(&mut self, hello: &Hello) {
        self.delta = hello.delta;
        let interval = match hello.max_fps {
            0 => Duration::ZERO,
            fps => Duration::from_secs(1) / fps,
        };
        if interval < self.interval {
            // The wait was for what was wished before.
            self.not_before = Instant::now();
        }
        self.interval = interval;
        let rendition = Rendition { scale: hello.clamped_scale() as usize };
        if rendition != self.rendition {
            self.rendition = rendition;
            self.outbox.frames = None;
            self.not_before = Instant::now();
            self.forget_base();
        }
    }

    /// Answers a command that this viewer may not give.
    pub(super) fn deny(
        &mut self,
        of: i64,
        denied: &Denied,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        self.links.figures.denied.inc();
        if let Some(held_back) = self.denials.pass(Instant::now()) {
            let held_back = (held_back > 0).then_some(held_back);
            self.grant.note_refusal(denied);
            tracing::warn!(parent: self.grant.span(), peer = %self.peer, held_back, "command {of} is refused: {denied}");
        }
        self.reply(Reply::refused(of, denied.to_string()), ctx);
        self.settled()
    }

    fn greet(&mut self, state: State, facts: &Facts, ctx: &mut Context<Self>) {
        self.speaks = true;
        if let Admission::Refused(reason) = &self.admission {
            // Since its hello was read.
            let reason = Some(reason.clone());
            self.close(reason);
            return self.advance(ctx);
        }
        let asking = matches!(self.admission, Admission::Asked);
        let state = State { asking, ..state };
        let welcome = Welcome { state, facts: facts.clone(), ..self.welcome.clone() };
        (self.outbox.state, self.outbox.facts) = (None, None);
        self.push(Packet::Welcome(welcome).encode(), ctx);
    }

    pub(super) fn reply(&mut self, reply: Reply, ctx: &mut Context<Self>) {
        if self.speaks {
            self.push(Packet::Reply(reply).encode(), ctx);
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes, ctx: &mut Context<Self>) {
        if !self.closing {
            self.outbox.push(bytes);
            self.advance(ctx);
        }
    }
}
