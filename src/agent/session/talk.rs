//! A session's part in the chat: what its peer says there, and what it takes from there.

use super::Session;
use crate::agent::chat::{Attendance, Bell, Come, News, Speak, Speaker, news, reply};
use crate::trust::{Denied, Talk};
use actix::prelude::*;
use hightower_proto::message::{Join, Reply, Room};
use hightower_proto::{Command, Message as Packet};

/// What a session has to do with the room.
#[derive(Default)]
pub(super) struct Part {
    /// Kept while the peer is in there.
    attendance: Option<Attendance>,
    /// The room's number.
    room: u64,
    /// Whether there may be something that the peer has not.
    news: bool,
    /// Whether the room owes an answer.
    asked: bool,
    /// Counts the times that it came in or went: an answer from before is void.
    epoch: u64,
}

impl Part {
    /// It comes in, or goes.
    fn begin(&mut self, attendance: Option<Attendance>, room: u64) {
        let (news, epoch) = (attendance.is_some(), self.epoch + 1);
        *self = Self { attendance, room, news, asked: false, epoch };
    }
}

impl Session {
    /// The peer comes into the room.
    pub(super) fn come(
        &mut self,
        join: Join,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        let of = Command::Join.code();
        if !self.speaks {
            // Nothing could be told to it.
            return self.settled();
        }
        let speaker = match Speaker::of(&self.grant, join.behalf.as_deref()) {
            Ok(speaker) => speaker,
            Err(denied) => return self.deny(of, &denied, ctx),
        };
        let bell = Bell::Session(ctx.address().recipient());
        let come = self.links.chat.send(Come { speaker, join, bell }).into_actor(self);
        Box::pin(come.then(move |came, session, ctx| {
            match came {
                Ok(Ok((attendance, room, joined))) => {
                    session.part.begin(Some(attendance), room);
                    // What waits is of a part before.
                    session.outbox.room = None;
                    let joined = Room { room, joined: Some(joined), ..Room::default() };
                    session.push(Packet::Room(joined).encode(), ctx);
                }
                Ok(Err(refusal)) => session.reply(Reply::refused(of, refusal.to_string()), ctx),
                Err(_) => ctx.stop(),
            }
            session.settled()
        }))
    }

    /// The peer says something, in the room or not.
    pub(super) fn speak(
        &mut self,
        of: i64,
        number: Option<(u64, u64)>,
        text: String,
        behalf: Option<&str>,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ()> {
        let speaker = match Speaker::of(&self.grant, behalf) {
            Ok(speaker) => speaker,
            Err(denied) => return self.deny(of, &denied, ctx),
        };
        // Where that takes its time, nothing more is read meanwhile.
        let speak = self.links.chat.send(Speak { speaker, number, text }).into_actor(self);
        Box::pin(speak.then(move |said, session, ctx| {
            match said {
                Ok(said) => {
                    if let Err(refusal) = &said {
                        tracing::debug!(parent: session.grant.span(), peer = %session.peer, "not said: {refusal}");
                    }
                    session.reply(reply(of, said), ctx);
                }
                Err(_) => ctx.stop(),
            }
            session.settled()
        }))
    }

    /// Takes what is new in the room, if the peer can take it.
    pub(super) fn hear(&mut self, ctx: &mut Context<Self>) {
        let Part { attendance: Some(attendance), news: true, asked: false, .. } = &self.part else {
            return;
        };
        if self.closing || self.outbox.room.is_some() {
            return;
        }
        let take = attendance.take();
        (self.part.asked, self.part.news) = (true, false);
        let epoch = self.part.epoch;
        ctx.spawn(take.into_actor(self).map(move |taken, session, ctx| {
            if epoch != session.part.epoch {
                return;
            }
            session.part.asked = false;
            let Ok((room, taken)) = taken else { return ctx.stop() };
            let Some(room) = news(room, taken) else { return };
            if room.out.is_some() {
                session.part.attendance = None;
            } else {
                session.part.news = true;
            }
            if !session.closing {
                session.outbox.room = Some(Packet::Room(room).encode());
                session.advance(ctx);
            }
        }));
    }

    /// Who may not be in the room any more is out of it.
    pub(super) fn recheck_part(&mut self, ctx: &mut Context<Self>) {
        if self.part.attendance.is_none() {
            return;
        }
        if let Err(denied) = self.grant.permit::<Talk>() {
            self.put_out(&denied, ctx);
        }
    }

    fn put_out(&mut self, denied: &Denied, ctx: &mut Context<Self>) {
        tracing::info!(parent: self.grant.span(), peer = %self.peer, "out of the chat: {denied}");
        self.grant.note_refusal(denied);
        self.part.begin(None, self.part.room);
        self.outbox.room = None;
        let out = Room { room: self.part.room, out: Some(denied.to_string()), ..Room::default() };
        self.push(Packet::Room(out).encode(), ctx);
    }
}

impl Handler<News> for Session {
    type Result = ();

    fn handle(&mut self, _: News, ctx: &mut Self::Context) {
        self.part.news = true;
        self.advance(ctx);
    }
}
