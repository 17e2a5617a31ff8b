//! Control: the UDP socket. One datagram is one command, obeyed and answered in turn, so what
//! waits is bounded by the kernel's buffer.
//!
//! Orders to the mouse wait for the display, which may take its time: they have a short queue of
//! their own, so that START and STOP never stand behind them.

use super::broadcaster::Broadcaster;
use super::messages::{MouseCommand, MouseOrder, SetMonitoring, order_mouse};
use super::throttle::Throttle;
use super::udp::{Received, Route, Udp};
use crate::trust::{self, Gate, Grant, Permit, Transport};
use actix::prelude::*;
use hightower_proto::datagram::{self, Datagram, DatagramError};
use hightower_proto::message::Reply;
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

/// Hears UDP commands.
pub(super) struct Control {
    udp: Option<Udp>,
    gate: Arc<Gate>,
    /// Where the socket is bound.
    local: SocketAddr,
    broadcaster: Addr<Broadcaster>,
    mouse: Recipient<MouseOrder>,
}

impl Control {
    pub(super) fn new(
        udp: Udp,
        gate: Arc<Gate>,
        local: SocketAddr,
        broadcaster: Addr<Broadcaster>,
        mouse: Recipient<MouseOrder>,
    ) -> Self {
        Self { udp: Some(udp), gate, local, broadcaster, mouse }
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
            let broadcaster = self.broadcaster.clone();
            let refusals = Throttle::new(REFUSALS);
            let (gate, local) = (Arc::clone(&self.gate), self.local);
            let ear = Ear { udp, gate, local, broadcaster, orders, refusals };
            ctx.spawn(ear.hear().into_actor(self));
        }
    }
}

/// An order to the mouse, and whom to answer.
struct Waiting {
    order: MouseCommand,
    command: Command,
    /// `None` for those who expect no answer.
    route: Option<Route>,
    permit: Permit<trust::Control>,
}

async fn obey_mouse_orders(
    udp: Arc<Udp>,
    mut queue: mpsc::Receiver<Waiting>,
    mouse: Recipient<MouseOrder>,
) {
    while let Some(Waiting { order, command, route, permit }) = queue.recv().await {
        let reply = order_mouse(mouse.clone(), order, command, permit).await;
        if let Some(route) = route {
            answer(&udp, route, reply).await;
        }
    }
}

async fn answer(udp: &Udp, route: Route, reply: Reply) {
    let sent = match datagram::encode(&Message::Reply(reply)) {
        Ok(bytes) => udp.answer(route, &bytes).await,
        Err(e) => Err(std::io::Error::other(e)),
    };
    if let Err(e) = sent {
        tracing::debug!(peer = %route.peer, "the answer could not be sent: {e}");
    }
}

struct Ear {
    udp: Arc<Udp>,
    gate: Arc<Gate>,
    local: SocketAddr,
    broadcaster: Addr<Broadcaster>,
    orders: mpsc::Sender<Waiting>,
    refusals: Throttle,
}

impl Ear {
    async fn hear(mut self) {
        let mut received = Received::new();
        loop {
            match self.udp.receive(&mut received).await {
                Ok(route) => {
                    for bytes in received.datagrams() {
                        if let Some(reply) = self.datagram(bytes, route).await {
                            answer(&self.udp, route, reply).await;
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
    async fn datagram(&mut self, bytes: &[u8], route: Route) -> Option<Reply> {
        match datagram::parse(bytes) {
            Ok(datagram) => self.obey(&datagram, route).await,
            Err(error) => {
                let of = match error {
                    DatagramError::UnknownCommand(code) => Some(code),
                    _ => None,
                };
                self.refuse(of, &error.to_string(), route)
            }
        }
    }

    async fn obey(&mut self, datagram: &Datagram, route: Route) -> Option<Reply> {
        let message = &datagram.message;
        let command = message.packet().command;
        let answered = datagram.wants_reply().then_some(route);
        let grant = match self.grant(route.peer).await {
            Ok(grant) => grant,
            Err(why) => return self.refuse(answered.map(|_| command.code()), &why, route),
        };
        if let Some(order) = MouseCommand::of(message) {
            let permit = match grant.permit() {
                Ok(permit) => permit,
                Err(why) => return self.refuse(Some(command.code()), &why.to_string(), route),
            };
            let waiting = Waiting { order, command, route: answered, permit };
            return match self.orders.try_send(waiting) {
                Ok(()) => None,
                Err(_) => self.refuse(Some(command.code()), "the pointer is busy", route),
            };
        }
        let on = match command {
            Command::StartMonitor => true,
            Command::StopMonitor => false,
            other => {
                let why = format!("{other} is no command for a datagram");
                return self.refuse(answered.map(|_| other.code()), &why, route);
            }
        };
        let permit = match grant.permit() {
            Ok(permit) => permit,
            Err(why) => return self.refuse(Some(command.code()), &why.to_string(), route),
        };
        let ok = self.broadcaster.send(SetMonitoring { on, permit }).await.is_ok();
        answered.map(|_| Reply { of: command.code(), ok, error: None, lease_ms: None })
    }

    /// What somebody may do who has not signed.
    async fn grant(&self, peer: SocketAddr) -> Result<Grant, String> {
        if self.gate.asks(peer.ip()) {
            return Err("this agent obeys signed commands only".into());
        }
        let (gate, local) = (Arc::clone(&self.gate), self.local);
        let asked = move || gate.plain(Transport::Udp, peer, local);
        match tokio::task::spawn_blocking(asked).await {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(why)) => Err(why.to_string()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Logs a refusal, and answers it where the command is known.
    fn refuse(&mut self, of: Option<i64>, why: &str, route: Route) -> Option<Reply> {
        let held_back = self.refusals.pass(Instant::now())?;
        let held_back = (held_back > 0).then_some(held_back);
        tracing::warn!(peer = %route.peer, held_back, "a datagram is refused: {why}");
        let error = Some(why.to_string());
        Some(Reply { of: of?, ok: false, error, lease_ms: None })
    }
}
