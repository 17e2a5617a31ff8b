//! The talk with who sits at a machine, by a WebSocket: texts of JSON, what happens as `hightower chat
//! --json` prints it, and `{"say": "...", "line": 1}` the other way.
//!
//! A page that was cut off comes back as the `member` that it was, says which `room` and `event` it had
//! last, and says again the lines that were not answered by `sent`: nothing is lost, and nothing is
//! said twice. Where its old connection is still there, it takes that one's seat.

use super::{Answer, find};
use crate::chat::Unsaid;
use crate::hub::House;
use crate::hub::problem::Problem;
use crate::hub::seats::{OWN, Seat};
use crate::hub::socket::{End, LOOK, REPLACED, Socket};
use crate::hub::turns::Place;
use crate::hub::visitor::{Leave, Visitor};
use crate::talk::{self, Line, State, Talk, Told, WAITING};
use crate::trust::Role;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, Message as Piece, MessageStream, Session};
use futures_util::StreamExt;
use hightower_proto::message::Had;
use serde::Deserialize;
use serde_json::json;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument;

/// What happened that waits for a slow page.
const NEWS: usize = 64;

/// How long a page may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a page says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    say: String,
    /// Which it is of those that this member says, from 1 on and always more, also after it has come
    /// back. Said again, it is taken once.
    line: Option<u64>,
}

/// As whom a page comes, which is its own choice, and what it had before it was cut off.
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
    let handshake = actix_ws::handle(&request, body);
    let (response, session, incoming) = handshake.map_err(Problem::bad)?;
    let own = before.member;
    let member = own.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let person = visitor.person.name.clone();
    let place = match house.tabs.take(&person) {
        Ok(place) => place,
        Err(many) => return Ok(turn_away(response, session, incoming, many.to_string())),
    };
    let name = machine.name;
    let Some(seat) = house.chats.take(&person, &name, member) else {
        let many = format!("you talk there in {OWN} pages already: close one of them");
        return Ok(turn_away(response, session, incoming, many));
    };
    let (lines, typed) = mpsc::channel(WAITING);
    let (tell, told) = mpsc::channel(NEWS);
    let (goes, going) = watch::channel(());
    let had = before.room.zip(before.event).map(|(room, event)| Had { room, event });
    let state = State::again(numbered(&person, member), had);
    let talk = Talk {
        place: talk::Place::Machine(machine.target, house.security.clone()),
        lines: typed,
        told: tell,
        index: 0,
        patient: true,
        behalf: Some(person),
        going,
        state,
    };
    let turn = Arc::clone(&seat.turn);
    let talks = async move {
        let _turn = turn.lock_owned().await;
        talk.run().await;
    };
    actix_web::rt::spawn(talks.in_current_span());
    tracing::info!(by = visitor.person.name, machine = name, "comes into the chat");
    let leave = visitor.leave(&house, Role::Message);
    let (host, socket) = (name, Socket::new(session, PATIENCE));
    let page = Page { socket, host, lines, member, is_own: own.is_some(), typed: 0, you: 0 };
    let held = Held { told, _goes: goes };
    actix_web::rt::spawn(page.serve(incoming, held, leave, place, seat).in_current_span());
    Ok(response)
}

/// By what number an agent knows somebody. To it all who come by the hub are one operator: what one of
/// them may choose must not be what another one has chosen.
fn numbered(person: &str, member: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("hightower hub 2026-11 member of a chat");
    hasher.update(&(person.len() as u64).to_le_bytes());
    hasher.update(person.as_bytes()).update(&member.to_le_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// Tells a page why it is not let in. By a status it would not be told: to its script, a WebSocket that
/// is not opened has no reasons.
fn turn_away(
    response: HttpResponse,
    session: Session,
    incoming: MessageStream,
    why: String,
) -> HttpResponse {
    let tells = async move {
        Socket::new(session, PATIENCE).end(End::Closed(CloseCode::Policy, why)).await;
        drop(incoming);
    };
    actix_web::rt::spawn(tells.in_current_span());
    response
}

/// What a talk goes on by.
struct Held {
    told: mpsc::Receiver<(usize, Told)>,
    _goes: watch::Sender<()>,
}

/// A page in which somebody talks.
struct Page {
    socket: Socket,
    host: String,
    lines: mpsc::Sender<Line>,
    /// As whom it comes back, and whether it has said so itself.
    member: u64,
    is_own: bool,
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
        mut held: Held,
        leave: Leave,
        _place: Place,
        mut seat: Seat,
    ) {
        let end = tokio::select! {
            end = self.talk(&mut incoming, &mut held.told, &leave) => end,
            end = replaced(&mut seat.ousted) => end,
        };
        // Before it is told why: that takes its time, and another one may wait for this talk to end.
        drop(held);
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
        if self.is_own && line.is_none() {
            // It might be one that was taken before, which nobody would hear.
            let why = "whoever comes with `member` gives each line a `line`, which is greater than \
                       that of all that this member has said before";
            return self.refuse(None, &text, why).await;
        }
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
        self.refuse(Some(typed), &text, &why).await
    }

    async fn refuse(&mut self, line: Option<u64>, text: &str, why: &str) -> Result<(), End> {
        let refused = json!({
            "event": "not_sent", "line": line, "text": text, "error": why, "host": self.host,
        });
        self.socket.text(refused.to_string()).await
    }
}

/// Another page has this one's seat.
async fn replaced(ousted: &mut oneshot::Receiver<()>) -> End {
    // Nothing is ever sent: what would is gone.
    drop(ousted.await);
    End::Closed(REPLACED, "another page has come as the same member".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nobody_has_the_number_of_another_one_and_everybody_keeps_theirs() {
        let all = [("anna", 1), ("ben", 1), ("anna", 2), ("", 1), ("anna\u{1}", 1)];
        let numbers: HashSet<u64> = all.map(|(person, own)| numbered(person, own)).into();
        assert_eq!(numbers.len(), all.len());
        // Agents remember it while the hub is another one: it stays as it is.
        assert_eq!(numbered("anna", 1), 14_284_377_317_991_129_454);
    }
}
