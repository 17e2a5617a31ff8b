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
use crate::hub::socket::{End, LOOK, Socket};
use crate::hub::turns::Place;
use crate::hub::visitor::{Leave, Visitor};
use crate::talk::{self, Line, State, Talk, Told, WAITING};
use crate::trust::Role;
use actix_web::{HttpRequest, web};
use actix_ws::{CloseCode, Message as Piece, MessageStream};
use futures_util::StreamExt;
use hightower_proto::message::Had;
use serde::Deserialize;
use serde_json::json;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument;

/// Pages of one person that talk at one machine: an agent has sixteen places for a hub's users.
const OWN: usize = 2;

/// What happened that waits for a slow page.
const NEWS: usize = 64;

/// How long a page may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let (host, socket) = (machine.name, Socket::new(session, PATIENCE));
    let page = Page { socket, host, lines, member, typed: 0, you: 0 };
    actix_web::rt::spawn(page.serve(incoming, told, goes, leave, (place, seat)).in_current_span());
    Ok(response)
}

/// A page in which somebody talks.
struct Page {
    socket: Socket,
    host: String,
    lines: mpsc::Sender<Line>,
    /// As whom it comes back.
    member: u64,
    /// The number of the line that was said last.
    typed: u64,
    /// Who we are in the room.
    you: u64,
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
        let end = self.talk(&mut incoming, &mut told, &leave).await;
        if let End::Closed(_, words) = &end {
            tracing::debug!(machine = self.host, "a talk is closed: {words}");
        }
        self.socket.end(end).await;
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
                _ = look.tick() => self.socket.look(leave).await,
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
        self.socket.text(report.to_string()).await
    }

    async fn take(&mut self, piece: Piece) -> Result<(), End> {
        let text = match self.socket.heard(piece).await? {
            Some(Piece::Text(text)) => text,
            Some(_) => {
                let words = "what is said comes as a text".into();
                return Err(End::Closed(CloseCode::Unsupported, words));
            }
            None => return Ok(()),
        };
        // Why is in its own words, and a reason is short.
        let odd = |_| End::Closed(CloseCode::Invalid, "what is said is {\"say\": \"…\"}".into());
        let words: Words = serde_json::from_str(&text).map_err(odd)?;
        self.say(words).await
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
        self.socket.text(refused.to_string()).await
    }
}
