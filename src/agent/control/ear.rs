//! Ear: takes datagrams as fast as they come.

use super::case::{Case, Judged, Office, Sender};
use super::deeds::Deeds;
use super::greeter::Greeter;
use super::room::Room;
use super::turns::Turns;
use super::udp::{Received, Route, Udp};
use super::voice::Voice;
use crate::agent::figures;
use crate::audit::{Event, Whose};
use crate::throttle::Throttle;
use crate::trust::{Glance, Verdict};
use crate::wire::{Wire, wires};
use hightower_proto::datagram::{self, DatagramError};
use hightower_proto::message::{Order, Reply, Signed};
use hightower_proto::{Command, Message};
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, spawn_blocking, yield_now};
use tokio::time::sleep;

/// How long to pause when a socket fails.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked which networks there are.
const LOOK: Duration = Duration::from_secs(10);

/// Refused datagrams a second that are logged and, where they are understood, answered: refusals
/// are longer than what they answer, and must not serve to flood a third machine.
const REFUSALS: u32 = 10;

/// The same for those who have signed.
const DENIALS: u32 = 50;

/// Commands that are judged in one go, so that handing them over costs less than judging them.
const BATCH: usize = 8;

/// Hears commands.
pub(super) struct Ear {
    udp: Arc<Udp>,
    room: Room,
    office: Office,
    deeds: Deeds,
    greeter: Greeter,
    voice: Voice,
    turns: Turns<Case>,
    /// What a look says will not be obeyed, but may have to be answered.
    doubtful: Turns<Case>,
    /// For strangers.
    refusals: Throttle,
    /// For those who have signed.
    denials: Throttle,
}

impl Ear {
    pub(super) fn new(
        udp: Arc<Udp>,
        room: Room,
        office: Office,
        deeds: Deeds,
        greeter: Greeter,
        voice: Voice,
    ) -> Self {
        let (turns, doubtful) = (Turns::new(), Turns::new());
        let (refusals, denials) = (Throttle::new(REFUSALS), Throttle::new(DENIALS));
        Self { udp, room, office, deeds, greeter, voice, turns, doubtful, refusals, denials }
    }

    /// Hears for ever; says when it has begun to.
    pub(super) async fn hear(mut self, ready: oneshot::Sender<io::Result<()>>) {
        let mut news = self.join_room().await;
        // Whoever waited for it may have gone.
        drop(ready.send(Ok(())));
        let (mut received, mut shared) = (Received::new(), Received::new());
        let mut judging: Option<JoinHandle<Vec<Judged>>> = None;
        loop {
            if judging.is_none() {
                judging = self.judge();
            }
            tokio::select! {
                ready = self.udp.readable() => {
                    let heard = ready.and_then(|()| self.udp.receive(&mut received));
                    self.take(heard, &received).await;
                }
                heard = self.room.receive(&mut shared) => self.take(heard, &shared).await,
                judged = finished(&mut judging) => {
                    judging = None;
                    match judged {
                        Ok(judged) => judged.into_iter().for_each(|one| self.decide(one)),
                        Err(e) => tracing::error!("a command could not be judged: {e}"),
                    }
                }
                Some(wires) = news.recv() => self.room.follow(&self.udp, &wires),
            }
        }
    }

    /// Joins the room on every network from now on, if orders may come that way.
    async fn join_room(&mut self) -> mpsc::Receiver<Vec<Wire>> {
        let (tell, news) = mpsc::channel(1);
        // Only what is signed is obeyed by multicast, but anybody may ask that way who is there.
        let hears = self.office.desk.is_some() || !self.greeter.is_silent();
        if hears && !self.office.local.ip().to_canonical().is_loopback() {
            match spawn_blocking(wires).await {
                Ok(Ok(wires)) => self.room.follow(&self.udp, &wires),
                Ok(Err(e)) => tracing::warn!("can't find out which networks there are: {e}"),
                Err(e) => tracing::error!("can't find out which networks there are: {e}"),
            }
            actix::spawn(watch_wires(tell));
        }
        news
    }

    /// Has those judged whose turn it is.
    fn judge(&mut self) -> Option<JoinHandle<Vec<Judged>>> {
        // One of each batch may be doubtful, so that there is always somebody's turn.
        let mut batch: Vec<Case> = self.doubtful.next().into_iter().collect();
        batch.extend(std::iter::from_fn(|| self.turns.next()).take(BATCH - 1));
        if batch.is_empty() {
            return None;
        }
        let office = self.office.clone();
        let judge = move || batch.into_iter().map(|case| case.judge(&office)).collect();
        Some(spawn_blocking(judge))
    }

    async fn take(&mut self, heard: io::Result<()>, received: &Received) {
        match heard {
            Ok(()) => {
                received.datagrams().for_each(|(route, bytes)| self.datagram(bytes, route));
                // In a flood there is always more; the others are to have their turn.
                yield_now().await;
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => {
                tracing::warn!("can't receive commands: {e}");
                sleep(PAUSE).await;
            }
        }
    }

    /// Lets a datagram wait until it is judged, if there is anything to judge.
    fn datagram(&mut self, bytes: &[u8], route: Route) {
        self.office.figures.datagrams.inc();
        let stranger = Sender { route, listens: true, signed: None };
        let datagram = match datagram::parse(bytes) {
            Ok(datagram) => datagram,
            Err(DatagramError::UnknownCommand(of)) => {
                let why = DatagramError::UnknownCommand(of).to_string();
                let case = Case::Hopeless { of, why, sender: stranger };
                return self.doubtful.push(route.peer, case);
            }
            Err(error) => {
                return self.refuse(None, &error.to_string(), &stranger, Refusal::default());
            }
        };
        if let Message::Query(query) = datagram.message {
            // Where anybody may watch, anybody may know what they would see.
            let about = self.office.gate.takes_anybody();
            return self.greeter.greet(query, bytes.len(), about, route);
        }
        if let Message::Signed(signed) = datagram.message {
            return self.signed(signed, route);
        }
        let case = Case::plain(datagram, route);
        let likely = matches!(case, Case::Plain { .. }) && !self.office.gate.asks(route.peer.ip());
        let turns = if likely { &mut self.turns } else { &mut self.doubtful };
        turns.push(route.peer, case);
    }

    fn signed(&mut self, signed: Signed<Order>, route: Route) {
        let Some(desk) = self.office.desk.clone() else {
            let sender = Sender { route, listens: true, signed: None };
            let why = "this agent knows no operators, and obeys nothing that is signed".into();
            let case = Case::Hopeless { of: Command::Signed.code(), why, sender };
            return self.doubtful.push(route.peer, case);
        };
        let worth = desk.glance(signed.unchecked());
        let case = Case::Signed { desk, signed, route };
        match worth {
            Glance::Pass => {}
            Glance::Likely => self.turns.push(route.peer, case),
            Glance::Doubtful => self.doubtful.push(route.peer, case),
        }
    }

    /// Obeys or refuses what was judged.
    fn decide(&mut self, judged: Judged) {
        let Judged { of, sender, verdict, command } = judged;
        match verdict {
            Verdict::Pass => {}
            Verdict::Obey(grant) => {
                let Some(command) = command else { return };
                if let Err(why) = self.deeds.take(&command, &grant, &sender) {
                    self.refuse(Some(of), &why, &sender, Refusal { stale: false, proven: true });
                }
            }
            Verdict::Refuse { why, stale, proven } => {
                self.refuse(Some(of), &why, &sender, Refusal { stale, proven });
            }
            Verdict::Ignore(why) => self.refuse(None, why, &sender, Refusal::default()),
        }
    }

    /// Logs a refusal, and answers it where the command is known.
    fn refuse(&mut self, of: Option<i64>, why: &str, sender: &Sender, refusal: Refusal) {
        let whose = match refusal.proven {
            true => figures::Sender::Operator,
            false => figures::Sender::Stranger,
        };
        self.office.figures.refused_datagrams.of(whose).inc();
        // Strangers don't use up what is said to operators.
        let throttle = if refusal.proven { &mut self.denials } else { &mut self.refusals };
        let Some(held_back) = throttle.pass(Instant::now()) else { return };
        let held_back = (held_back > 0).then_some(held_back);
        let peer = sender.route.peer;
        tracing::warn!(%peer, held_back, "a datagram is refused: {why}");
        let more = held_back.map_or_else(String::new, |n| format!(" ({n} more before)"));
        let whose = if refusal.proven { Whose::Known } else { Whose::Stranger };
        let times = 1 + held_back.unwrap_or(0);
        self.office.gate.audit().note_refusal(whose, peer, times, || {
            let operator = sender.signed.as_ref().map(|(_, order)| hex(&order.by).into());
            let event = Event::refused(peer, format!("a datagram: {why}{more}"));
            Event { operator, ..event }
        });
        if let Some(of) = of {
            let reply = Reply::refused(of, why);
            self.voice.say(sender, reply, refusal.stale);
        }
    }
}

/// How something is refused.
#[derive(Debug, Clone, Copy, Default)]
struct Refusal {
    /// Whether it may be obeyed when it is signed anew.
    stale: bool,
    /// Whether it is clear who sent it.
    proven: bool,
}

async fn finished<T>(work: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match work {
        Some(work) => work.await,
        None => pending().await,
    }
}

/// Tells which networks there are, from time to time, as long as somebody wants to know.
async fn watch_wires(tell: mpsc::Sender<Vec<Wire>>) {
    loop {
        sleep(LOOK).await;
        let wires = match spawn_blocking(wires).await {
            Ok(Ok(wires)) => wires,
            Ok(Err(e)) => {
                tracing::warn!("can't find out which networks there are: {e}");
                continue;
            }
            Err(e) => {
                tracing::error!("can't find out which networks there are: {e}");
                continue;
            }
        };
        if tell.send(wires).await.is_err() {
            return;
        }
    }
}

/// A key's short name, as whoever signed claims it.
fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
