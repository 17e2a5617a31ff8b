//! Chat: owns the room in which operators and the person at the machine talk.
//!
//! Members are told that there is something new, and take it when they can; so whoever takes nothing
//! holds nobody up. A message goes to the person's desktop as well.

#[cfg(unix)]
pub(super) mod counter;
mod ledger;
mod name;

use super::notices::{Notices, who};
use crate::chat::{Bounds, NoSeat, Owner, Pace, Room, Said, Seat, Taken, TooFast, Unsaid, Who};
use crate::trust::{Denied, Grant, Permit, Talk};
use crate::viewer::now_us;
use actix::prelude::*;
use hightower_proto::message::{self as packet, Join, Joined, Reply};
use ledger::Ledger;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What somebody is told who has no place in the room any more.
const OUT: &str = "you took nothing for too long, or came in again elsewhere";

/// How often it is written down how much was said.
const WRITTEN: Duration = Duration::from_secs(60);

/// Owns the room.
pub(super) struct Chat {
    room: Room,
    pace: Pace,
    bells: HashMap<Seat, Bell>,
    notices: Arc<Notices>,
    ledger: Ledger,
    /// The person at the machine.
    person: Who,
}

/// How a member is told that there is something new.
pub(super) enum Bell {
    Session(Recipient<News>),
    #[cfg_attr(not(unix), expect(dead_code, reason = "the console is a Unix socket"))]
    Counter(Arc<Notify>),
}

/// Chat to session: there is something new in the room.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct News;

/// Who says something, or wants to.
pub(super) enum Speaker {
    /// Somebody on a connection.
    Peer { who: Who, permit: Permit<Talk> },
    /// The person at the machine.
    Person,
}

/// Somebody comes into the room.
#[derive(Message)]
#[rtype(result = "Result<(Attendance, u64, Joined), Refusal>")]
pub(super) struct Come {
    pub(super) speaker: Speaker,
    pub(super) join: Join,
    pub(super) bell: Bell,
}

/// Somebody says something; with their number and the message's, it is taken once.
#[derive(Message)]
#[rtype(result = "Result<Said, Refusal>")]
pub(super) struct Speak {
    pub(super) speaker: Speaker,
    pub(super) number: Option<(u64, u64)>,
    pub(super) text: String,
}

/// What comes next for a member.
#[derive(Message)]
#[rtype(result = "(u64, Taken)")]
pub(super) struct Take(Seat);

/// A member is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct Go(Seat);

/// Agent to chat: write down what there is to be written down.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WriteDown;

/// Why the chat does not do what somebody wants.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
    #[error(transparent)]
    Unsaid(#[from] Unsaid),
    #[error(transparent)]
    TooFast(#[from] TooFast),
}

/// Somebody's being in the room, until it is dropped.
pub(super) struct Attendance {
    seat: Seat,
    chat: Addr<Chat>,
}

impl Attendance {
    /// Asks for what comes next.
    pub(super) fn take(&self) -> Request<Chat, Take> {
        self.chat.send(Take(self.seat))
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.chat.do_send(Go(self.seat));
    }
}

impl Speaker {
    /// Whoever this is, if they may say something now; on whose behalf is what they say.
    pub(super) fn of(grant: &Grant, behalf: Option<&str>) -> Result<Self, Denied> {
        let permit = grant.permit::<Talk>()?;
        let owner = grant.holder().map_or(Owner::Program, Owner::Holder);
        let name = grant.title(name::shown).unwrap_or_else(|| who(permit.by()));
        let name = behalf.map_or_else(|| name.clone(), |behalf| name::by(behalf, &name));
        Ok(Self::Peer { who: Who { owner, name }, permit })
    }
}

impl Chat {
    /// `user` is whose machine it is.
    pub(super) fn new(user: &str, notices: Arc<Notices>) -> Self {
        let number = RandomState::new().build_hasher().finish();
        let user = name::shown(user);
        let user = if user.is_empty() { "the person".into() } else { user };
        Self {
            room: Room::new(number, Bounds::default()),
            pace: Pace::default(),
            bells: HashMap::new(),
            notices,
            ledger: Ledger::default(),
            person: Who { owner: Owner::Person, name: user },
        }
    }

    fn ring(&self) {
        for bell in self.bells.values() {
            match bell {
                Bell::Session(session) => session.do_send(News),
                Bell::Counter(counter) => counter.notify_one(),
            }
        }
    }

    fn who<'a>(&'a self, speaker: &'a Speaker) -> &'a Who {
        match speaker {
            Speaker::Peer { who, .. } => who,
            Speaker::Person => &self.person,
        }
    }

    fn come(&mut self, come: Come, chat: Addr<Self>) -> Result<(Attendance, u64, Joined), Refusal> {
        let who = self.who(&come.speaker).clone();
        let (seat, joined) = self.room.join(&who, &come.join, now_us())?;
        self.bells.insert(seat, come.bell);
        self.ring();
        Ok((Attendance { seat, chat }, self.room.number(), joined))
    }

    fn speak(&mut self, speak: &Speak) -> Result<Said, Refusal> {
        let who = self.who(&speak.speaker).clone();
        let said = self.room.say(&who, speak.number, &speak.text, now_us())?;
        if !said.again {
            if let Speaker::Peer { permit, .. } = &speak.speaker {
                self.notices.said(&who.name, &speak.text);
                self.ledger.note(who.owner, permit);
            }
            self.ring();
        }
        Ok(said)
    }

    /// When it is somebody's turn; the pace of a room is for coming in as well, or who comes and
    /// goes could push out of it what was said.
    fn turn(&mut self, speaker: &Speaker) -> Result<Duration, TooFast> {
        let owner = self.who(speaker).owner;
        self.pace.turn(owner, Instant::now())
    }
}

impl Actor for Chat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(WRITTEN, |chat, _| chat.ledger.close());
    }
}

impl Handler<Come> for Chat {
    type Result = ResponseActFuture<Self, Result<(Attendance, u64, Joined), Refusal>>;

    fn handle(&mut self, come: Come, ctx: &mut Self::Context) -> Self::Result {
        let (turn, chat) = (self.turn(&come.speaker), ctx.address());
        Box::pin(wait(turn).into_actor(self).map(move |turn, room: &mut Self, _| {
            turn?;
            room.come(come, chat)
        }))
    }
}

impl Handler<Speak> for Chat {
    type Result = ResponseActFuture<Self, Result<Said, Refusal>>;

    fn handle(&mut self, speak: Speak, _ctx: &mut Self::Context) -> Self::Result {
        let turn = self.turn(&speak.speaker);
        Box::pin(wait(turn).into_actor(self).map(move |turn, chat: &mut Self, _| {
            turn?;
            chat.speak(&speak)
        }))
    }
}

/// The answer to a message.
pub(super) fn reply(of: i64, said: Result<Said, Refusal>) -> Reply {
    match said {
        Ok(said) => {
            let heard_by = Some(u32::try_from(said.heard_by).unwrap_or(u32::MAX));
            Reply { heard_by, ..Reply::obeyed(of) }
        }
        Err(refusal) => Reply::refused(of, refusal.to_string()),
    }
}

/// What a member is told of what it takes; `None` when that is nothing.
pub(super) fn news(room: u64, taken: Taken) -> Option<packet::Room> {
    match taken {
        Taken::Events(events) if events.is_empty() => None,
        Taken::Events(events) => Some(packet::Room { room, events, ..packet::Room::default() }),
        Taken::Out => Some(packet::Room { room, out: Some(OUT.into()), ..packet::Room::default() }),
    }
}

async fn wait(turn: Result<Duration, TooFast>) -> Result<(), TooFast> {
    let turn = turn?;
    if !turn.is_zero() {
        tokio::time::sleep(turn).await;
    }
    Ok(())
}

impl Handler<Take> for Chat {
    type Result = MessageResult<Take>;

    fn handle(&mut self, Take(seat): Take, _ctx: &mut Self::Context) -> Self::Result {
        let taken = self.room.take(seat);
        if taken == Taken::Out {
            self.bells.remove(&seat);
        }
        MessageResult((self.room.number(), taken))
    }
}

impl Handler<Go> for Chat {
    type Result = ();

    fn handle(&mut self, Go(seat): Go, _ctx: &mut Self::Context) {
        self.bells.remove(&seat);
        self.room.leave(seat, None, now_us());
        self.ring();
    }
}

impl Handler<WriteDown> for Chat {
    type Result = ();

    fn handle(&mut self, _: WriteDown, _ctx: &mut Self::Context) {
        self.ledger.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hightower_proto::message::What;

    /// Whoever takes nothing is told so when they do; whoever takes what there is, is told of them.
    #[actix::test]
    async fn a_member_that_takes_nothing_is_out_and_the_others_lose_nothing() {
        let mut chat = Chat::new("kim", Arc::default());
        chat.room = Room::new(7, Bounds { events: 8, ..Bounds::default() });
        let chat = chat.start();
        let come = async |member| {
            let bell = Arc::new(Notify::new());
            let join = Join { member, ..Join::default() };
            let bell_of = Bell::Counter(Arc::clone(&bell));
            let come = Come { speaker: Speaker::Person, join, bell: bell_of };
            let came = chat.send(come).await.expect("it runs").expect("a seat");
            (came.0, bell)
        };
        let ((stalled, _), (taker, bell)) = (come(1).await, come(2).await);
        let (mut said, mut left) = (Vec::new(), 0);
        for number in 0..30 {
            let text = number.to_string();
            let speak = Speak { speaker: Speaker::Person, number: None, text };
            chat.send(speak).await.expect("it runs").expect("taken");
            bell.notified().await;
            while let (_, Taken::Events(events)) = taker.take().await.expect("it runs")
                && !events.is_empty()
            {
                for event in events {
                    match event.what {
                        What::Said { text } => said.push(text),
                        What::Left { why } => left += usize::from(why.is_some()),
                        What::Joined => {}
                    }
                }
            }
        }
        let all: Vec<_> = (0..30).map(|number| number.to_string()).collect();
        assert_eq!((said, left), (all, 1));
        let (room, taken) = stalled.take().await.expect("it runs");
        let told = news(room, taken).expect("a word");
        assert_eq!(told.out.as_deref(), Some(OUT));
    }
}
