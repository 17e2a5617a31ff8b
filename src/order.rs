//! Orders: commands to an agent by UDP, acknowledged and retried.
//!
//! Every order may be repeated without harm, so an answer that got lost costs nothing but time.

use crate::address::{LookupError, Target};
use hightower_proto::datagram::{self, Datagram};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// The agent said no.
    #[error("{0}")]
    Denied(String),
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
/// When the host is not found, does not answer, or refuses.
pub async fn send(target: &Target, order: &Message) -> Result<Reply, OrderError> {
    let mut failed = None;
    for address in target.resolve().await? {
        match send_to(address, order).await {
            Ok(reply) => return Ok(reply),
            Err(e @ OrderError::Denied(_)) => return Err(e),
            // A name may stand for several addresses, of which the agent listens on one.
            Err(e) => failed = failed.or(Some(e)),
        }
    }
    Err(failed.unwrap_or_else(|| LookupError::Unknown(target.host.clone()).into()))
}

async fn send_to(address: SocketAddr, order: &Message) -> Result<Reply, OrderError> {
    let network = |cause: io::Error| match cause.kind() {
        io::ErrorKind::ConnectionRefused => OrderError::Refused(address),
        _ => OrderError::Network { address, cause },
    };
    let any: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await.map_err(network)?;
    // Connected, so that only that agent's answers come, and a closed port is reported.
    socket.connect(address).await.map_err(network)?;
    let bytes = order.encode();
    let code = order.packet().command.code();
    let mut buffer = vec![0; MAX_DATAGRAM];
    for patience in PATIENCE {
        socket.send(&bytes).await.map_err(network)?;
        let until = Instant::now() + patience;
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let length = received.map_err(network)?;
            match datagram::parse(&buffer[..length]) {
                Ok(Datagram { message: Message::Reply(reply), .. }) if reply.of == code => {
                    return match reply {
                        Reply { ok: true, .. } => Ok(reply),
                        Reply { error, .. } => Err(OrderError::Denied(error.map_or_else(
                            || "refused, without a reason".into(),
                            |e| crate::text::printable(&e),
                        ))),
                    };
                }
                // An answer to an earlier order, or noise: not what is waited for.
                Ok(_) | Err(_) => {}
            }
        }
    }
    Err(OrderError::Silent(address))
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
