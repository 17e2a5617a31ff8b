//! Control: the UDP socket. One datagram is one command; each is answered before the next is
//! read, so what waits is bounded by the kernel's buffer.

use super::broadcaster::Broadcaster;
use super::messages::{MouseCommand, SetMonitoring, order_mouse};
use actix::prelude::*;
use hightower_proto::datagram::{self, DatagramError};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long to pause when the socket fails.
const PAUSE: Duration = Duration::from_millis(100);

/// Hears UDP commands.
pub(super) struct Control {
    socket: Option<UdpSocket>,
    broadcaster: Addr<Broadcaster>,
    mouse: Recipient<MouseCommand>,
}

impl Control {
    pub(super) fn new(
        socket: UdpSocket,
        broadcaster: Addr<Broadcaster>,
        mouse: Recipient<MouseCommand>,
    ) -> Self {
        Self { socket: Some(socket), broadcaster, mouse }
    }
}

impl Actor for Control {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(socket) = self.socket.take() {
            let hear = hear(socket, self.broadcaster.clone(), self.mouse.clone());
            ctx.spawn(hear.into_actor(self));
        }
    }
}

async fn hear(socket: UdpSocket, broadcaster: Addr<Broadcaster>, mouse: Recipient<MouseCommand>) {
    // A byte more than allowed, so that what is too long shows.
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    let mut refused = 0_u64;
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(e) => {
                tracing::warn!("can't receive commands: {e}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let answer = match datagram::parse(&buffer[..length]) {
            Ok(datagram) => {
                let reply = obey(&datagram.message, peer, &broadcaster, &mouse).await;
                datagram.wants_reply().then_some(reply)
            }
            Err(error) => {
                refused += 1;
                tracing::warn!(%peer, refused, "a datagram is refused: {error}");
                match error {
                    DatagramError::UnknownCommand(of) => Some(refusal(of, error.to_string())),
                    _ => None,
                }
            }
        };
        if let Some(reply) = answer {
            answer_peer(&socket, peer, reply).await;
        }
    }
}

async fn answer_peer(socket: &UdpSocket, peer: SocketAddr, reply: Reply) {
    let sent = match datagram::encode(&Message::Reply(reply)) {
        Ok(bytes) => socket.send_to(&bytes, peer).await.map(drop),
        Err(e) => Err(std::io::Error::other(e)),
    };
    if let Err(e) = sent {
        tracing::debug!(%peer, "the answer could not be sent: {e}");
    }
}

fn refusal(of: i64, error: String) -> Reply {
    Reply { of, ok: false, error: Some(error), lease_ms: None }
}

/// Obeys a command, or refuses it.
async fn obey(
    message: &Message,
    peer: SocketAddr,
    broadcaster: &Addr<Broadcaster>,
    mouse: &Recipient<MouseCommand>,
) -> Reply {
    let command = message.packet().command;
    let of = command.code();
    if let Some(order) = MouseCommand::of(message) {
        return order_mouse(mouse.clone(), order, command, peer).await;
    }
    match command {
        Command::StartMonitor | Command::StopMonitor => {
            let on = command == Command::StartMonitor;
            let ok = broadcaster.send(SetMonitoring { on, by: peer }).await.is_ok();
            Reply { of, ok, error: None, lease_ms: None }
        }
        other => {
            tracing::warn!(%peer, "{other} came as a datagram and is refused");
            refusal(of, format!("{other} is no command for a datagram"))
        }
    }
}
