//! Orders: commands to an agent by UDP, acknowledged and retried.
//!
//! Every order may be repeated without harm, so an answer that got lost costs nothing but time.
//! Where an agent has to prove who it is, orders are signed, for that agent alone, and so are the
//! answers. An order to a whole [`room`] is always signed.

mod attempt;
mod line;
pub mod room;

use crate::address::{LookupError, Target};
use crate::call::Call;
use crate::trust::KnownError;
use crate::viewer::{Cause, Security};
use hightower_proto::message::Reply;
use hightower_proto::{Command, Message, historical};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// How long to wait for an answer before the order is sent again; after the last it is given up.
/// There are many tries, most of them early, for networks where much is lost and agents that are
/// flooded.
pub const PATIENCE: [Duration; 13] = {
    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }
    let (first, then, late) = (ms(100), ms(150), ms(500));
    [first, first, first, first, then, then, then, then, ms(250), ms(250), late, late, ms(750)]
};

/// How long an answer may take on a connection.
const ANSWER: Duration = Duration::from_secs(5);

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
    /// A known agent did not answer to an order to its room.
    #[error("no answer: the machine is off, no agent runs there, or not in this room")]
    Missed,
    /// The order can't be sent to a room at all.
    #[error("an order can't be sent to a room: {0}")]
    Room(io::Error),
    /// A server of the historical system has no such order.
    #[error("servers of the historical system know lock and unlock alone")]
    Unknown,
    /// It is reached by connections alone, and there is none.
    #[error(transparent)]
    Call(#[from] Box<Cause>),
    /// The network failed.
    #[error("can't reach {address}: {cause}")]
    Network {
        /// Where the order went.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
}

/// Sends an order to a server of the historical system at this address, once: it does not answer, so
/// whether it arrived nobody knows.
///
/// # Errors
/// When it is no order that such a server knows, or can't be sent.
pub async fn send_historical(ip: IpAddr, order: &Message) -> Result<(), OrderError> {
    let address = SocketAddr::new(ip, historical::COMMAND_PORT);
    let bytes = match order {
        Message::LockMouse { .. } => historical::LOCK,
        Message::UnlockMouse => historical::UNLOCK,
        _ => return Err(OrderError::Unknown),
    };
    line::send_once(address, &bytes).await
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
    if let Some(detour) = security.detour()
        && detour.leads_to(target)
    {
        return by_call(target, order, security).await.map_err(Box::new)?;
    }
    let mut failed = None;
    for address in target.resolve().await? {
        let sent = if security.asks(&address) || security.knows(target).await {
            line::send_signed(address, target, order, security.credentials.as_ref()).await
        } else {
            line::send_plain(address, order).await
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

/// Gives an order on a connection, whose ends have proven who they are: where no datagram gets to.
async fn by_call(
    target: &Target,
    order: &Message,
    security: &Security,
) -> Result<Result<Reply, OrderError>, Cause> {
    let mut call = Call::to(target, security).await?;
    let (code, peer) = (order.packet().command.code(), call.peer);
    call.say(order).await?;
    let answer = timeout(ANSWER, async {
        loop {
            match call.hear().await? {
                Message::Reply(reply) if reply.of == code => return Ok::<_, Cause>(reply),
                _ => {}
            }
        }
    });
    let Ok(reply) = answer.await else { return Ok(Err(OrderError::Silent(peer))) };
    let reply = reply?;
    // It is answered; whether the goodbye arrives is all the same.
    drop(call.close("that was all").await);
    Ok(if reply.ok { Ok(reply) } else { Err(OrderError::denied(&reply)) })
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
