//! The talk with who sits at a machine, by a WebSocket: texts of JSON, what happens as `hightower chat
//! --json` prints it, and `{"say": "...", "line": 1}` the other way.
//!
//! A page that was cut off comes back as the `member` that it was, says which `room` and `event` it had
//! last, and says again the lines that were not answered by `sent`: nothing is lost, and nothing is
//! said twice.

use super::{Answer, find};
use crate::chat::Unsaid;
use crate::hub::House;
use crate::hub::problem::Problem;
use crate::hub::turns::Place;
use crate::hub::visitor::{Leave, Visitor};
use crate::talk::{self, Line, State, Talk, Told, WAITING};
use crate::trust::Role;
use actix_web::{HttpRequest, web};
use actix_ws::{CloseCode, CloseReason, Message as Piece, MessageStream, Session};
use futures_util::StreamExt;
use hightower_proto::message::Had;
use serde::Deserialize;
use serde_json::json;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::Instrument;

/// Pages of one person that talk at one machine: an agent has sixteen places for a hub's users.
const OWN: usize = 2;

/// What happened that waits for a slow page.
const NEWS: usize = 64;

/// How long a page may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it is still there, and how long it may say nothing: browsers answer
/// by themselves.
const LOOK: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(30);

/// What a page says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    say: String,
    /// Which it is of those that this member says, from 1 on and always more. Said again, it is taken
    /// once.
    line: Option<u64>,
}

/// What a page that was cut off had.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    member: Option<u64>,
    room: Option<u64>,
    event: Option<u64>,
}

pub(super) async fn chat(
    visitor: Visitor,
    house: web::Data<House>,
    name: web::Path<String>,
    before: web::Query<Before>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    visitor.may(Role::Message)?;
    let machine = find(&house, &name)?;
    let place = house.tabs.take(&visitor.person.name)?;
    let own = format!("{} {}", visitor.person.name, machine.name);
    let many = || Problem::often(format!("you talk there in {OWN} pages already"));
    let seat = house.chats.take_of(&own, OWN).ok_or_else(many)?;
    let handshake = actix_ws::handle(&request, body);
    let (response, session, incoming) = handshake.map_err(Problem::bad)?;
    let (lines, typed) = mpsc::channel(WAITING);
    let (tell, told) = mpsc::channel(NEWS);
    let (goes, going) = watch::channel(());
    let had = before.room.zip(before.event).map(|(room, event)| Had { room, event });
    let member = before.member.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let state = State::again(member, had);
    let talk = Talk {
        place: talk::Place::Machine(machine.target, house.security.clone()),
        lines: typed,
        told: tell,
        index: 0,
        patient: true,
        behalf: Some(visitor.person.name.clone()),
        going,
        state,
    };
    actix_web::rt::spawn(talk.run().in_current_span());
    let leave = visitor.leave(&house, Role::Message);
    let (host, heard) = (machine.name, Instant::now());
    let page = Page { session, host, lines, member, typed: 0, you: 0, heard };
    actix_web::rt::spawn(page.serve(incoming, told, goes, leave, (place, seat)).in_current_span());
    Ok(response)
}

/// Why it ends.
enum End {
    Gone,
    Closed(CloseCode, String),
}

/// A page in which somebody talks.
struct Page {
    session: Session,
    host: String,
    lines: mpsc::Sender<Line>,
    /// As whom it comes back.
    member: u64,
    /// The number of the line that was said last.
    typed: u64,
    /// Who we are in the room.
    you: u64,
    heard: Instant,
}

impl Page {
    /// Serves it until it ends; the talk ends with it.
    async fn serve(
        mut self,
        mut incoming: MessageStream,
        mut told: mpsc::Receiver<(usize, Told)>,
        _goes: watch::Sender<()>,
        leave: Leave,
        _places: (Place, Place),
    ) {
        let (code, words) = match self.talk(&mut incoming, &mut told, &leave).await {
            End::Gone => return,
            End::Closed(code, words) => (code, words),
        };
        tracing::debug!(machine = self.host, "a talk is closed: {words}");
        let closed = self.session.close(Some(CloseReason { code, description: Some(words) }));
        drop(timeout(PATIENCE, closed).await);
    }

    async fn talk(
        &mut self,
        incoming: &mut MessageStream,
        told: &mut mpsc::Receiver<(usize, Told)>,
        leave: &Leave,
    ) -> End {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                piece = incoming.next() => match piece {
                    Some(Ok(piece)) => self.take(piece).await,
                    Some(Err(_)) => Err(End::Closed(CloseCode::Protocol, "no WebSocket".into())),
                    None => Err(End::Gone),
                },
                told = told.recv() => match told {
                    Some((_, told)) => self.tell(&told).await,
                    None => Err(End::Closed(CloseCode::Normal, "the talk has ended".into())),
                },
                _ = look.tick() => self.look(leave).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn tell(&mut self, told: &Told) -> Result<(), End> {
        if let Told::In { you, .. } = told {
            self.you = *you;
        }
        let mut report = told.report(&self.host, self.you);
        if let (Told::In { had, .. }, Some(report)) = (told, report.as_object_mut()) {
            // What a page says to come back. Numbers of 64 bits are not JavaScript's.
            let Had { room, event } = had;
            let all = [("member", &self.member), ("room", room), ("after", event)];
            report.extend(all.map(|(name, number)| (name.into(), number.to_string().into())));
        }
        self.write(report.to_string()).await
    }

    async fn write(&mut self, text: String) -> Result<(), End> {
        match timeout(PATIENCE, self.session.text(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(slow()),
        }
    }

    async fn take(&mut self, piece: Piece) -> Result<(), End> {
        self.heard = Instant::now();
        match piece {
            Piece::Text(text) => {
                // Why is in its own words, and a reason is short.
                let odd =
                    |_| End::Closed(CloseCode::Invalid, "what is said is {\"say\": \"…\"}".into());
                let words: Words = serde_json::from_str(&text).map_err(odd)?;
                self.say(words).await
            }
            Piece::Ping(bytes) => self.session.pong(&bytes).await.map_err(|_| End::Gone),
            Piece::Pong(_) | Piece::Nop => Ok(()),
            Piece::Close(_) => Err(End::Gone),
            Piece::Binary(_) | Piece::Continuation(_) => {
                Err(End::Closed(CloseCode::Unsupported, "what is said comes as a text".into()))
            }
        }
    }

    /// Says a line, or tells why not.
    async fn say(&mut self, Words { say: text, line }: Words) -> Result<(), End> {
        let typed = line.unwrap_or(self.typed.saturating_add(1));
        let why = match Unsaid::check(&text) {
            _ if typed <= self.typed => format!("line {typed} comes after {}", self.typed),
            Ok(()) => {
                self.typed = typed;
                let line = Line { typed, text: Arc::from(text.as_str()) };
                match self.lines.try_send(line) {
                    Ok(()) => return Ok(()),
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        format!("{WAITING} lines wait to be said already")
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => "the talk has ended".into(),
                }
            }
            Err(why) => why.to_string(),
        };
        let refused = json!({
            "event": "not_sent", "line": typed, "text": text, "error": why, "host": self.host,
        });
        self.write(refused.to_string()).await
    }

    async fn look(&mut self, leave: &Leave) -> Result<(), End> {
        if !leave() {
            return Err(End::Closed(CloseCode::Policy, "you may not talk any more".into()));
        }
        if self.heard.elapsed() > QUIET {
            return Err(slow());
        }
        match timeout(PATIENCE, self.session.ping(b"")).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(slow()),
        }
    }
}

fn slow() -> End {
    End::Closed(CloseCode::Away, "nothing was taken for too long".into())
}
