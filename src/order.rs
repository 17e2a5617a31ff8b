//! Orders: commands to an agent by UDP, acknowledged and retried.
//!
//! Every order may be repeated without harm, so an answer that got lost costs nothing but time.
//! Where an agent has to prove who it is, orders are signed, for that agent alone, and so are the
//! answers.

use crate::address::{LookupError, Target};
use crate::trust::{KnownError, PublicKey, SecretKey, now_ms};
use crate::viewer::{Credentials, Security};
use bytes::Bytes;
use hightower_proto::datagram::{self, Datagram};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::message::{self as signed, Recipient, Reply, Signed};
use hightower_proto::{Command, Message};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// How long to wait for an answer before the order is sent again; after the last it is given up.
pub const PATIENCE: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1500),
];

/// Why an order was not obeyed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The host was not found.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Nothing listens at that port.
    #[error("no agent listens at {0}: is it running there, and on that port?")]
    Refused(SocketAddr),
    /// No answer came.
    #[error(
        "no answer from {0}: the machine is off, a firewall is between, or no agent runs there"
    )]
    Silent(SocketAddr),
    /// No answer came to what was signed for the agent that is known there.
    #[error(
        "no answer from {0}: the machine is off, a firewall is between, no agent runs there, or not \
         the one whose key is known (`hightower view` tells)"
    )]
    SilentToKey(SocketAddr),
    /// The agent said no.
    #[error("{0}")]
    Denied(String),
    /// There is no key to sign with.
    #[error(
        "{0} is another machine, and you have no key to sign with: `hightower keygen` makes one"
    )]
    NoKey(SocketAddr),
    /// The agent is not known, so nothing can be signed for it.
    #[error("it is not known yet: `hightower trust {0}` makes it known")]
    UnknownAgent(String),
    /// The known agents can't be read.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// The network failed.
    #[error("can't reach {address}: {cause}")]
    Network {
        /// Where the order went.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
}

/// Sends an order and waits until it is obeyed.
///
/// # Errors
/// When the host is not found, is not known, does not answer, or refuses.
pub async fn send(
    target: &Target,
    order: &Message,
    security: &Security,
) -> Result<Reply, OrderError> {
    let mut failed = None;
    for address in target.resolve().await? {
        let sent = if security.asks(&address) || security.knows(target).await {
            send_signed(address, target, order, security.credentials.as_ref()).await
        } else {
            send_plain(address, order).await
        };
        match sent {
            Ok(reply) => return Ok(reply),
            Err(e @ OrderError::Denied(_)) => return Err(e),
            // A name may stand for several addresses, of which the agent listens on one.
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    Err(failed.unwrap_or_else(|| LookupError::Unknown(target.host.clone()).into()))
}

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

impl OrderError {
    fn network(address: SocketAddr, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(address),
            _ => Self::Network { address, cause },
        }
    }

    fn denied(reply: &Reply) -> Self {
        let why = reply.error.as_deref().unwrap_or("refused, without a reason");
        Self::Denied(crate::text::printable(why))
    }
}

async fn send_plain(address: SocketAddr, order: &Message) -> Result<Reply, OrderError> {
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

async fn send_signed(
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
    let mut attempt =
        Attempt { key: credentials.key(), agent, order, ahead_ms: None, sent: vec![] };
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

/// A signed order on its way.
struct Attempt<'a> {
    key: &'a SecretKey,
    agent: PublicKey,
    order: &'a Message,
    /// How much the agent's clock is ahead of ours, once that is known to matter.
    ahead_ms: Option<i64>,
    /// Times and counters of what was sent.
    sent: Vec<(u64, u64)>,
}

enum Answered {
    Reply(Reply),
    SignAnew,
}

impl Attempt<'_> {
    /// The order, signed for this moment.
    fn sign(&mut self) -> Bytes {
        let time_ms = now_ms().saturating_add_signed(self.ahead_ms.unwrap_or(0));
        let counter = RandomState::new().build_hasher().finish();
        self.sent.push((time_ms, counter));
        let order = signed::Order {
            by: self.key.public().id(),
            time_ms,
            counter,
            to: vec![Recipient::Agent(self.agent.id())],
            order: Box::new(self.order.clone()),
        };
        Message::Signed(Signed::new(order, |bytes| self.key.sign(bytes))).encode()
    }

    /// What an answer means, if it is the agent's and to this order.
    fn judge(&mut self, answer: &Signed<signed::Answer>) -> Option<Answered> {
        let answer = answer.check(|bytes, signature| self.agent.has_signed(bytes, signature))?;
        let ours = answer.from == self.agent.id()
            && answer.by == self.key.public().id()
            && answer.reply.of == self.order.packet().command.code()
            && self.sent.contains(&(answer.time_ms, answer.counter));
        if !ours {
            return None;
        }
        if answer.stale && self.ahead_ms.is_none() {
            let ahead = i128::from(answer.clock_ms) - i128::from(now_ms());
            self.ahead_ms = Some(i64::try_from(ahead).ok()?);
            return Some(Answered::SignAnew);
        }
        // What was sent before the clock was known is answered late.
        let newest = self.sent.last() == Some(&(answer.time_ms, answer.counter));
        (newest || !answer.stale).then(|| Answered::Reply(answer.reply.clone()))
    }
}

/// What an order has done, for people: "locked for 60 s".
#[must_use]
pub fn outcome(order: Command, reply: &Reply) -> String {
    match (order, reply.lease_ms) {
        (Command::StartMonitor, _) => "monitoring".into(),
        (Command::StopMonitor, _) => "stopped".into(),
        (Command::MouseMove, _) => "pointer moved".into(),
        (Command::LockMouse, Some(ms)) => format!("locked for {} s", f64::from(ms) / 1000.0),
        (Command::LockMouse, None) => "locked".into(),
        (Command::UnlockMouse, _) => "free".into(),
        (other, _) => format!("{other} obeyed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_if_it_is_the_agents_and_to_this_order() {
        let (key, agent, other) =
            (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
        let order = Message::StartMonitor;
        let new = |agent: &SecretKey| Attempt {
            key: &key,
            agent: agent.public(),
            order: &order,
            ahead_ms: None,
            sent: vec![],
        };
        let mut attempt = new(&agent);
        attempt.sign();
        let (time_ms, counter) = attempt.sent[0];
        let reply = Reply { of: 0, ok: true, error: None, lease_ms: None };
        let right = signed::Answer {
            from: agent.public().id(),
            by: key.public().id(),
            time_ms,
            counter,
            clock_ms: now_ms() + 3_600_000,
            stale: false,
            reply,
        };
        let by = |key: &SecretKey, answer| Signed::new(answer, |bytes| key.sign(bytes));
        let obeyed = attempt.judge(&by(&agent, right.clone()));
        assert!(matches!(obeyed, Some(Answered::Reply(Reply { ok: true, .. }))));
        assert!(attempt.judge(&by(&other, right.clone())).is_none());
        let late = signed::Answer { counter: counter ^ 1, ..right.clone() };
        assert!(attempt.judge(&by(&agent, late)).is_none());
        let of_another =
            signed::Answer { reply: Reply { of: 1, ..right.reply.clone() }, ..right.clone() };
        assert!(attempt.judge(&by(&agent, of_another)).is_none());

        // An hour apart: signed anew by the agent's clock, once.
        let refused = Reply { ok: false, ..right.reply.clone() };
        let stale = signed::Answer { stale: true, reply: refused, ..right };
        let judged = attempt.judge(&by(&agent, stale.clone()));
        assert!(matches!(judged, Some(Answered::SignAnew)));
        attempt.sign();
        let (time_ms, counter) = attempt.sent[1];
        assert!(time_ms.abs_diff(now_ms() + 3_600_000) < 60_000);
        assert!(attempt.judge(&by(&agent, stale.clone())).is_none(), "of the first one");
        let still = attempt.judge(&by(&agent, signed::Answer { time_ms, counter, ..stale }));
        assert!(matches!(still, Some(Answered::Reply(Reply { ok: false, .. }))));
    }
}
