//! Control: the UDP socket. One datagram is one command, obeyed and answered in turn, so what
//! waits is bounded by the kernel's buffer.
//!
//! Orders to the mouse wait for the display, which may take its time: they have a short queue of
//! their own, so that START and STOP never stand behind them.

use super::broadcaster::Broadcaster;
use super::messages::{MouseCommand, MouseOrder, SetMonitoring, order_mouse};
use super::throttle::Throttle;
use super::udp::{Received, Route, Udp};
use crate::audit::{Event, Whose};
use crate::trust::{self, Desk, Gate, Grant, Permit, Transport, Verdict};
use actix::prelude::*;
use hightower_proto::datagram::{self, Datagram, DatagramError};
use hightower_proto::message::{Order, Reply, Signed};
use hightower_proto::{Command, Message};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long to pause when the socket fails.
const PAUSE: Duration = Duration::from_millis(100);

/// Orders to the mouse that may wait for the display.
const MOUSE_ORDERS: usize = 8;

/// Refused datagrams a second that are logged and, where they are understood, answered: refusals
/// are longer than what they answer, and must not serve to flood a third machine.
const REFUSALS: u32 = 10;

/// Who is obeyed.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) gate: Arc<Gate>,
    /// `None` for an agent that obeys nothing that is signed.
    pub(super) desk: Option<Arc<Desk>>,
    /// Where the socket is bound.
    pub(super) local: SocketAddr,
}

/// The same for those who have signed.
const DENIALS: u32 = 50;

/// Hears UDP commands.
pub(super) struct Control {
    udp: Option<Udp>,
    office: Office,
    broadcaster: Addr<Broadcaster>,
    mouse: Recipient<MouseOrder>,
}

impl Control {
    pub(super) fn new(
        udp: Udp,
        office: Office,
        broadcaster: Addr<Broadcaster>,
        mouse: Recipient<MouseOrder>,
    ) -> Self {
        Self { udp: Some(udp), office, broadcaster, mouse }
    }
}

impl Actor for Control {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(udp) = self.udp.take() {
            let udp = Arc::new(udp);
            let (orders, queue) = mpsc::channel(MOUSE_ORDERS);
            let mouse = obey_mouse_orders(Arc::clone(&udp), queue, self.mouse.clone());
            ctx.spawn(mouse.into_actor(self));
            let (office, broadcaster) = (self.office.clone(), self.broadcaster.clone());
            let refusals = Throttle::new(REFUSALS);
            let denials = Throttle::new(DENIALS);
            let ear = Ear { udp, office, broadcaster, orders, refusals, denials };
            ctx.spawn(ear.hear().into_actor(self));
        }
    }
}

/// Where a command came from, and how it is answered.
#[derive(Clone)]
struct Sender {
    route: Route,
    /// Whether an answer is expected.
    listens: bool,
    /// The signed order that this is, and the desk that signs the answer.
    signed: Option<(Arc<Desk>, Order)>,
    /// Whether anything is known of whoever sent it.
    whose: Whose,
}

impl Sender {
    /// The answer's bytes.
    fn answer(&self, reply: Reply, stale: bool) -> Message {
        match &self.signed {
            Some((desk, order)) => desk.answer(order, reply, stale),
            None => Message::Reply(reply),
        }
    }
}

/// An order to the mouse, and whom to answer.
struct Waiting {
    order: MouseCommand,
    command: Command,
    sender: Sender,
    permit: Permit<trust::Control>,
}

async fn obey_mouse_orders(
    udp: Arc<Udp>,
    mut queue: mpsc::Receiver<Waiting>,
    mouse: Recipient<MouseOrder>,
) {
    while let Some(Waiting { order, command, sender, permit }) = queue.recv().await {
        let reply = order_mouse(mouse.clone(), order, command, permit).await;
        if sender.listens {
            answer(&udp, sender.route, &sender.answer(reply, false)).await;
        }
    }
}

async fn answer(udp: &Udp, route: Route, message: &Message) {
    let sent = match datagram::encode(message) {
        Ok(bytes) => udp.answer(route, &bytes).await,
        Err(e) => Err(std::io::Error::other(e)),
    };
    if let Err(e) = sent {
        tracing::debug!(peer = %route.peer, "the answer could not be sent: {e}");
    }
}

struct Ear {
    udp: Arc<Udp>,
    office: Office,
    broadcaster: Addr<Broadcaster>,
    orders: mpsc::Sender<Waiting>,
    /// For strangers.
    refusals: Throttle,
    /// For those who have signed.
    denials: Throttle,
}

impl Ear {
    async fn hear(mut self) {
        let mut received = Received::new();
        loop {
            match self.udp.receive(&mut received).await {
                Ok(route) => {
                    for bytes in received.datagrams() {
                        if let Some(message) = self.datagram(bytes, route).await {
                            answer(&self.udp, route, &message).await;
                        }
                    }
                }
                Err(e) => {
                    tracing::warn!("can't receive commands: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Obeys or refuses a datagram; gives what is to be answered now.
    async fn datagram(&mut self, bytes: &[u8], route: Route) -> Option<Message> {
        let whose = Whose::Stranger;
        let stranger = Sender { route, listens: true, signed: None, whose };
        let datagram = match datagram::parse(bytes) {
            Ok(datagram) => datagram,
            Err(error) => {
                let of = match error {
                    DatagramError::UnknownCommand(code) => Some(code),
                    _ => None,
                };
                return self.refuse(of, &error.to_string(), &stranger, false);
            }
        };
        let sender = Sender { listens: datagram.wants_reply(), ..stranger };
        if let Message::Signed(signed) = datagram.message {
            return self.signed(signed, route).await;
        }
        let of = datagram.message.packet().command.code();
        match self.plain(&datagram, route.peer).await {
            Ok(grant) => self.obey(&datagram.message, &grant, sender).await,
            Err(why) => self.refuse(sender.listens.then_some(of), &why, &sender, false),
        }
    }

    /// What somebody may do who has not signed.
    async fn plain(&self, datagram: &Datagram, peer: SocketAddr) -> Result<Grant, String> {
        let command = datagram.message.packet().command;
        if MouseCommand::of(&datagram.message).is_none()
            && !matches!(command, Command::StartMonitor | Command::StopMonitor)
        {
            return Err(format!("{command} is no command for a datagram"));
        }
        if self.office.gate.asks(peer.ip()) {
            return Err("this agent obeys signed commands only".into());
        }
        let (gate, local) = (Arc::clone(&self.office.gate), self.office.local);
        let asked = move || gate.plain(Transport::Udp, peer, local);
        match tokio::task::spawn_blocking(asked).await {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(why)) => Err(why.to_string()),
            Err(e) => Err(e.to_string()),
        }
    }

    async fn signed(&mut self, signed: Signed<Order>, route: Route) -> Option<Message> {
        let order = signed.unchecked().clone();
        let command = order.order.packet().command.code();
        let Some(desk) = self.office.desk.clone() else {
            let whose = Whose::Stranger;
            let sender = Sender { route, listens: true, signed: None, whose };
            let why = "this agent knows no operators, and obeys nothing that is signed";
            return self.refuse(Some(Command::Signed.code()), why, &sender, false);
        };
        let judge = Arc::clone(&desk);
        let judged = tokio::task::spawn_blocking(move || judge.judge(&signed, route.peer)).await;
        let whose = Whose::Stranger;
        let sender = Sender { route, listens: true, signed: Some((desk, order.clone())), whose };
        match judged {
            Ok(Verdict::Obey(grant)) => self.obey(&order.order, &grant, sender).await,
            Ok(Verdict::Pass) => None,
            Ok(Verdict::Refuse { why, stale, proven: true }) => {
                // Strangers don't use up what is said to operators.
                let sender = Sender { whose: Whose::Known, ..sender };
                self.refuse(Some(command), &why, &sender, stale)
            }
            Ok(Verdict::Refuse { why, stale, proven: false }) => {
                self.refuse(Some(command), &why, &sender, stale)
            }
            Ok(Verdict::Ignore(why)) => self.refuse(None, why, &sender, false),
            Err(e) => self.refuse(None, &e.to_string(), &sender, false),
        }
    }

    async fn obey(&mut self, message: &Message, grant: &Grant, sender: Sender) -> Option<Message> {
        let sender = Sender { whose: Whose::Known, ..sender };
        let command = message.packet().command;
        let code = command.code();
        if let Some(order) = MouseCommand::of(message) {
            let permit = match grant.permit() {
                Ok(permit) => permit,
                Err(why) => return self.refuse(Some(code), &why.to_string(), &sender, false),
            };
            let waiting = Waiting { order, command, sender: sender.clone(), permit };
            return match self.orders.try_send(waiting) {
                Ok(()) => None,
                Err(_) => self.refuse(Some(code), "the pointer is busy", &sender, false),
            };
        }
        let permit = match grant.permit() {
            Ok(permit) => permit,
            Err(why) => return self.refuse(Some(code), &why.to_string(), &sender, false),
        };
        let on = command == Command::StartMonitor;
        let ok = self.broadcaster.send(SetMonitoring { on, permit }).await.is_ok();
        let reply = Reply { of: code, ok, error: None, lease_ms: None };
        sender.listens.then(|| sender.answer(reply, false))
    }

    /// Logs a refusal, and answers it where the command is known.
    fn refuse(
        &mut self,
        of: Option<i64>,
        why: &str,
        sender: &Sender,
        stale: bool,
    ) -> Option<Message> {
        let throttle = match sender.whose {
            Whose::Stranger => &mut self.refusals,
            Whose::Known => &mut self.denials,
        };
        let held_back = throttle.pass(Instant::now())?;
        let held_back = (held_back > 0).then_some(held_back);
        let peer = sender.route.peer;
        tracing::warn!(%peer, held_back, "a datagram is refused: {why}");
        let more = held_back.map_or_else(String::new, |n| format!(" ({n} more before)"));
        let times = 1 + held_back.unwrap_or(0);
        self.office.gate.audit().note_refusal(sender.whose, peer, times, || {
            let operator = sender.signed.as_ref().map(|(_, order)| hex(&order.by).into());
            let event = Event::refused(peer, format!("a datagram: {why}{more}"));
            Event { operator, ..event }
        });
        let error = Some(why.to_string());
        Some(sender.answer(Reply { of: of?, ok: false, error, lease_ms: None }, stale))
    }
}

/// A key's short name, as whoever signed claims it.
fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
