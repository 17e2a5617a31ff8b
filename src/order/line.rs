//! Line: an order to one agent, until it answers.

use super::attempt::{Answered, Attempt};
use super::{OrderError, PATIENCE};
use crate::address::Target;
use crate::viewer::Credentials;
use hightower_proto::Message;
use hightower_proto::datagram::{self, Datagram};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::message::Reply;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// A socket for one agent.
struct Line {
    address: SocketAddr,
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Result<Self, OrderError> {
        let any: SocketAddr = if address.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let network = |cause| OrderError::network(address, cause);
        let socket = UdpSocket::bind(any).await.map_err(network)?;
        // Connected, so that only that agent's answers come, and a closed port is reported.
        socket.connect(address).await.map_err(network)?;
        Ok(Self { address, socket, buffer: vec![0; MAX_DATAGRAM] })
    }

    async fn send(&self, bytes: &[u8]) -> Result<(), OrderError> {
        let sent = self.socket.send(bytes).await;
        sent.map(drop).map_err(|cause| OrderError::network(self.address, cause))
    }

    /// The next message that is understood; `None` when none comes until then.
    async fn receive(&mut self, until: Instant) -> Result<Option<Message>, OrderError> {
        while let Ok(received) = timeout_at(until, self.socket.recv(&mut self.buffer)).await {
            let length = received.map_err(|cause| OrderError::network(self.address, cause))?;
            if let Ok(Datagram { message, .. }) = datagram::parse(&self.buffer[..length]) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Sends bytes that nobody answers.
pub(super) async fn send_once(address: SocketAddr, bytes: &[u8]) -> Result<(), OrderError> {
    Line::open(address).await?.send(bytes).await
}

/// Sends an order as it is.
pub(super) async fn send_plain(address: SocketAddr, order: &Message) -> Result<Reply, OrderError> {
    let mut line = Line::open(address).await?;
    let (bytes, code) = (order.encode(), order.packet().command.code());
    for patience in PATIENCE {
        line.send(&bytes).await?;
        let until = Instant::now() + patience;
        while let Some(message) = line.receive(until).await? {
            match message {
                Message::Reply(reply) if reply.of == code => {
                    return if reply.ok { Ok(reply) } else { Err(OrderError::denied(&reply)) };
                }
                // An answer to an earlier order, or noise: not what is waited for.
                _ => {}
            }
        }
    }
    Err(OrderError::Silent(address))
}

/// Sends an order that is signed for the agent that is known by this name.
pub(super) async fn send_signed(
    address: SocketAddr,
    target: &Target,
    order: &Message,
    credentials: Option<&Arc<Credentials>>,
) -> Result<Reply, OrderError> {
    let credentials = credentials.ok_or(OrderError::NoKey(address))?;
    let (known, name) = (credentials.known().clone(), target.clone());
    let agent = match tokio::task::spawn_blocking(move || known.key_of(&name)).await {
        Ok(found) => found?.ok_or_else(|| OrderError::UnknownAgent(target.to_string()))?,
        Err(e) => return Err(OrderError::network(address, io::Error::other(e))),
    };
    let mut line = Line::open(address).await?;
    let mut attempt = Attempt::new(credentials.key(), agent, order);
    let mut hint = None;
    for patience in PATIENCE {
        line.send(&attempt.sign()).await?;
        let mut until = Instant::now() + patience;
        while let Some(message) = line.receive(until).await? {
            match message {
                Message::SignedReply(answer) => match attempt.judge(&answer) {
                    Some(Answered::Reply(reply)) if reply.ok => return Ok(reply),
                    Some(Answered::Reply(reply)) => return Err(OrderError::denied(&reply)),
                    Some(Answered::SignAnew) => {
                        line.send(&attempt.sign()).await?;
                        until = Instant::now() + patience;
                    }
                    None => {}
                },
                // Anybody could have sent that: it is only told when nothing better comes.
                Message::Reply(reply) if !reply.ok => hint = Some(OrderError::denied(&reply)),
                _ => {}
            }
        }
    }
    Err(hint.unwrap_or(OrderError::SilentToKey(address)))
}
