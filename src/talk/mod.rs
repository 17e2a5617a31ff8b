//! A talk with one room, through cuts of the network: it comes back by itself, says again what was
//! not answered, and takes each event once.
//!
//! | file | what |
//! |---|---|
//! | `state` | what of it outlives a connection |
//! | `wire` | a connection to a room |
//! | `report` | what it tells, for programs |

mod report;
mod state;
mod wire;

pub(crate) use state::State;
pub(crate) use wire::Place;

use crate::text::printable;
use hightower_proto::message::{Event, Had, Join, Member, Reply, Room, Say, What};
use hightower_proto::{Command, Message};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use wire::{Gone, Wire};

/// Lines that may wait to be said.
pub(crate) const WAITING: usize = 64;

/// How long a room may take to let somebody in. An agent that knows of none says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The waits before trying again: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Who is in a room for so long is not put out over and over.
const SETTLED: Duration = Duration::from_secs(10);

/// How long the last that was said may take to happen, once it was taken.
const SHOWN: Duration = Duration::from_secs(2);

/// Something to say.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Which it is, of all that were typed: greater than that of any before.
    pub(crate) typed: u64,
    pub(crate) text: Arc<str>,
}

/// What a talk tells of itself.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is in the room.
    In { you: u64, present: Vec<Member>, missing: u64, newest: u64, way: Way, had: Had },
    /// Something has happened there.
    Happened(Event),
    /// It is not connected, and tries again.
    Lost(String),
    /// It is over.
    Over(String),
    /// A line was said, to so many others.
    Said(Line, u32),
    /// A line waits for a connection.
    Waits(Line),
    /// A line was not said.
    Unsaid(Line, String),
    /// A line was sent, and nobody knows whether it was heard.
    Unanswered(Line, String),
}

/// How it came into the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    First,
    Again,
    /// The agent was started anew, and its room is another one.
    Anew,
}

/// A talk.
pub(crate) struct Talk {
    pub(crate) place: Place,
    pub(crate) lines: mpsc::Receiver<Line>,
    /// Whoever hears it does not keep it waiting for long.
    pub(crate) told: mpsc::Sender<(usize, Told)>,
    /// Which it is, among several.
    pub(crate) index: usize,
    /// Whether to try again when the first call fails.
    pub(crate) patient: bool,
    /// For whom it is, where it is not for whoever's key it is.
    pub(crate) behalf: Option<String>,
    /// Gone when all is to end now.
    pub(crate) going: watch::Receiver<()>,
    pub(crate) state: State,
}

fn for_good(why: String) -> Gone {
    Gone { why, for_good: true }
}

impl Talk {
    /// Goes on until all lines are said and no more come, or it is over. What was typed is told of
    /// in any case.
    pub(crate) async fn run(mut self) {
        let mut going = self.going.clone();
        let stopped = tokio::select! {
            () = self.go_on() => false,
            _ = going.changed() => true,
        };
        if stopped {
            self.turn_away("interrupted").await;
        }
    }

    async fn go_on(&mut self) {
        let mut wait = BACK_OFF.0;
        loop {
            let gone = match self.place.connect().await {
                Ok(wire) => match self.attend(wire).await {
                    Ok(()) => return,
                    Err(gone) => gone,
                },
                Err(gone) => gone,
            };
            if self.state.lost.is_none() {
                self.state.lost = Some(Instant::now());
                wait = BACK_OFF.0;
            }
            let is_new = self.state.had.is_none();
            if gone.for_good || is_new && !self.patient {
                return self.over(gone.why).await;
            }
            // Once for each cause: it is tried again every few seconds.
            if self.state.cause.as_ref() != Some(&gone.why) {
                self.state.cause = Some(gone.why.clone());
                self.tell(Told::Lost(gone.why.clone())).await;
            }
            if is_new {
                self.give_up(&gone.why).await;
            }
            if !self.pause(wait, &gone.why).await {
                return;
            }
            wait = (wait * 2).min(BACK_OFF.1);
        }
    }

    /// One connection, from coming in until all is said.
    async fn attend(&mut self, mut wire: Wire) -> Result<(), Gone> {
        self.join(&mut wire).await?;
        let (mut is_in, mut until) = (false, Instant::now() + PATIENCE);
        let (mut said, mut since, mut wait) = (None, Instant::now(), BACK_OFF.0);
        // When it asks to be let in again, after it was put out.
        let mut again = None;
        loop {
            let all_said = is_in && self.state.last.is_some() && self.state.waiting.is_empty();
            // Who reads what happens reads their own last words, too.
            let shown = match all_said {
                true => *said.get_or_insert_with(Instant::now) + SHOWN,
                false => until,
            };
            if all_said && self.state.unseen <= 0 {
                wire.close().await;
                return Ok(());
            }
            if is_in
                && !self.state.sent
                && let Some((say, _)) = self.state.waiting.front()
            {
                // Before it is sent: a part of it may be heard when that fails.
                self.state.sent = true;
                wire.say(Message::Say(say.clone())).await?;
            }
            let takes = self.state.waiting.len() < WAITING && self.state.last.is_none();
            tokio::select! {
                heard = wire.hear() => match heard? {
                    Message::Room(Room { out: Some(why), .. }) if wire.is_here() => {
                        return Err(for_good(printable(&why)));
                    }
                    Message::Room(Room { out: Some(why), .. }) => {
                        // Taken in again if it may be; else it is told why not. Not at once: where
                        // another one takes this place whenever it is lost, both would do nothing else.
                        if is_in && since.elapsed() > SETTLED {
                            wait = BACK_OFF.0;
                        }
                        if wait > BACK_OFF.0 {
                            self.tell(Told::Lost(printable(&why))).await;
                        }
                        (is_in, again) = (false, Some(Instant::now() + jitter(wait)));
                        wait = (wait * 2).min(BACK_OFF.1);
                    }
                    Message::Room(room) => {
                        let came = self.room(room).await;
                        is_in |= came;
                        if came {
                            since = Instant::now();
                        }
                    }
                    Message::Reply(reply) => self.reply(reply).await?,
                    _ => {}
                },
                line = self.lines.recv(), if takes => self.take(line),
                () = sleep_until(shown), if all_said => self.state.unseen = 0,
                () = sleep_until(again.unwrap_or(until)), if again.is_some() => {
                    self.join(&mut wire).await?;
                    (again, until) = (None, Instant::now() + PATIENCE);
                }
                () = sleep_until(until), if !is_in && again.is_none() => {
                    let why = "it lets nobody in: is its agent of an older version, without chat?";
                    return Err(Gone { why: why.into(), for_good: self.state.had.is_none() });
                }
            }
        }
    }

    async fn join(&mut self, wire: &mut Wire) -> Result<(), Gone> {
        // What was sent and not answered is sent again once it is in, unless the room is another.
        let behalf = self.behalf.clone();
        let join = Join { member: self.state.member, had: self.state.had, behalf };
        wire.say(Message::Join(join)).await
    }

    /// Takes what happened; whether it says that this is in the room.
    async fn room(&mut self, room: Room) -> bool {
        let is_in = room.joined.is_some();
        if let Some(joined) = room.joined {
            let had = self.state.had;
            let way = match had {
                None => Way::First,
                Some(had) if had.room == room.room => Way::Again,
                Some(_) => Way::Anew,
            };
            self.state.had = Some(Had { room: room.room, event: joined.after });
            (self.state.lost, self.state.cause) = (None, None);
            if self.state.sent && way == Way::Anew {
                let why = "the agent was started anew";
                self.settle(|line| Told::Unanswered(line, why.into())).await;
            }
            let present = joined.present.into_iter().map(harmless).collect();
            let (you, missing, newest) = (joined.you, joined.missing, joined.newest);
            // Of another room nothing is seen any more; and of this one under another number.
            if self.state.you != you || way == Way::Anew {
                (self.state.you, self.state.unseen) = (you, 0);
            }
            let had = Had { room: room.room, event: joined.after };
            self.tell(Told::In { you, present, missing, newest, way, had }).await;
        }
        for mut event in room.events {
            match &mut self.state.had {
                // What it had already; an agent does not send that.
                Some(had) if event.number <= had.event => continue,
                Some(had) => had.event = event.number,
                None => continue,
            }
            if event.who.id == self.state.you && matches!(event.what, What::Said { .. }) {
                self.state.unseen -= 1;
            }
            event.who = harmless(event.who);
            self.tell(Told::Happened(event)).await;
        }
        // What was not answered is sent again, with nothing in between.
        self.state.sent &= !is_in;
        is_in
    }

    async fn reply(&mut self, reply: Reply) -> Result<(), Gone> {
        let why = reply.error.as_deref().map(printable).unwrap_or_default();
        if reply.of == Command::Join.code() && !reply.ok {
            return Err(for_good(why));
        }
        if reply.of == Command::Say.code() && self.state.sent {
            self.state.unseen += i64::from(reply.ok);
            let settled = |line| match reply.ok {
                true => Told::Said(line, reply.heard_by.unwrap_or_default()),
                false => Told::Unsaid(line, why),
            };
            self.settle(settled).await;
        }
        Ok(())
    }

    /// Takes a line that was typed; without one, none comes any more.
    fn take(&mut self, line: Option<Line>) {
        let Some(line) = line else {
            self.state.last = Some(Instant::now());
            return;
        };
        let (member, number) = (self.state.member, line.typed);
        let behalf = self.behalf.clone();
        let say = Say { member, number, text: line.text.to_string(), behalf };
        self.state.waiting.push_back((say, line));
    }

    /// Waits before the next try, and takes what is typed meanwhile; whether there is a next try.
    async fn pause(&mut self, wait: Duration, why: &str) -> bool {
        let end = Instant::now() + jitter(wait);
        loop {
            let over = self.state.is_over();
            if over || self.state.is_late() {
                self.give_up(why).await;
            }
            if over {
                return false;
            }
            let takes = self.state.waiting.len() < WAITING && self.state.last.is_none();
            if !takes {
                sleep_until(end).await;
                return true;
            }
            let Ok(line) = timeout_at(end, self.lines.recv()).await else { return true };
            let waits = line.clone();
            self.take(line);
            if let Some(line) = waits {
                if self.state.had.is_none() {
                    self.give_up(why).await;
                } else {
                    self.tell(Told::Waits(line)).await;
                }
            }
        }
    }

    /// Nothing of what waits is said any more, but what was sent may have been heard.
    async fn give_up(&mut self, why: &str) {
        while !self.state.waiting.is_empty() {
            let sent = self.state.sent;
            self.settle(|line| match sent {
                true => Told::Unanswered(line, why.to_owned()),
                false => Told::Unsaid(line, why.to_owned()),
            })
            .await;
        }
    }

    /// It is known what has become of the first line that waits. It is told, or waits on: also when
    /// this is given up.
    async fn settle(&mut self, told: impl FnOnce(Line) -> Told) {
        let place = self.told.reserve().await;
        self.state.sent = false;
        // Whoever hears it may have gone.
        if let (Some((_, line)), Ok(place)) = (self.state.waiting.pop_front(), place) {
            place.send((self.index, told(line)));
        }
    }

    async fn over(&mut self, why: String) {
        self.give_up(&why).await;
        self.tell(Told::Over(why.clone())).await;
        self.turn_away(&why).await;
    }

    /// Says nothing more. Who types something after this is told so at once.
    async fn turn_away(&mut self, why: &str) {
        self.give_up(why).await;
        self.lines.close();
        while let Some(line) = self.lines.recv().await {
            self.tell(Told::Unsaid(line, why.to_owned())).await;
        }
    }

    async fn tell(&self, told: Told) {
        // Whoever heard it may have gone.
        drop(self.told.send((self.index, told)).await);
    }
}

fn harmless(member: Member) -> Member {
    Member { name: printable(&member.name), ..member }
}

/// The wait, changed by up to a tenth, so that a room of operators does not call all at once.
fn jitter(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 2001;
    wait.mul_f64(0.9 + random as f64 / 10_000.0)
}
