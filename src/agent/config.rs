//! What an agent is told at its start, and its sockets.

use super::mouse::Lease;
use crate::source::{Choice, OpenError};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

/// How often a free port is looked for that TCP and UDP can both have.
const PORT_TRIES: usize = 32;

/// How an agent is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, TCP and UDP; port 0 takes any.
    pub listen: SocketAddr,
    /// Whether an address off the loopback is allowed without authentication.
    pub insecure: bool,
    /// What to capture.
    pub source: Choice,
    /// The most captures a second.
    pub max_fps: f64,
    /// Whether monitoring starts with the first viewer.
    pub autostart: bool,
    /// The most viewers at a time.
    pub max_viewers: usize,
    /// The most new connections a second, over a while; a burst of twice as many passes.
    pub accept_rate: f64,
    /// How long a write may make no progress, and a peer may be gone, before it is dropped.
    pub write_deadline: Duration,
    /// How many frames a speaking viewer is sent ahead of its acknowledgements.
    pub credit: u32,
    /// How long the pointer may be locked.
    pub lease: Lease,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], hightower_proto::PORT)),
            insecure: false,
            source: Choice {
                kind: crate::source::Kind::Auto,
                monitor: 0,
                cursor: crate::source::Cursor::Drawn,
                card_size: (1280, 720),
                card_fps: 30.0,
            },
            max_fps: 60.0,
            autostart: false,
            max_viewers: 64,
            accept_rate: 50.0,
            write_deadline: Duration::from_secs(120),
            credit: 2,
            lease: Lease { default: Duration::from_secs(60), ceiling: Duration::from_secs(600) },
        }
    }
}

/// Why an agent can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is reachable from other machines, and nobody is asked who they are yet.
    #[error(
        "{0} is reachable from other machines, and this version asks nobody who they are: anyone \
         on the network could watch this screen. Add --insecure if that is what you want"
    )]
    Exposed(SocketAddr),
    /// The address is taken.
    #[error(
        "{protocol} {address} is in use: another agent runs there, or another program. Stop it, or \
         take another port with --listen (port 0 takes any)"
    )]
    InUse {
        /// TCP or UDP.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The address can't be bound for another reason.
    #[error("can't listen on {protocol} {address}: {cause}")]
    Bind {
        /// TCP or UDP.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// The screen can't be captured.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The system gives no more threads.
    #[error("can't start a thread: {0}")]
    Thread(#[from] io::Error),
    /// The agent ended before it listened.
    #[error("the agent ended while it started")]
    Died,
}

/// The agent's sockets, on the same port.
pub(super) struct Sockets {
    pub(super) tcp: TcpListener,
    pub(super) udp: UdpSocket,
    pub(super) address: SocketAddr,
}

impl Config {
    /// Binds TCP and UDP to the same port.
    pub(super) async fn bind(&self) -> Result<Sockets, StartError> {
        let wanted = self.listen;
        if !wanted.ip().is_loopback() && !self.insecure {
            return Err(StartError::Exposed(wanted));
        }
        let failed = |protocol, address| {
            move |cause: io::Error| match cause.kind() {
                io::ErrorKind::AddrInUse => StartError::InUse { protocol, address },
                _ => StartError::Bind { protocol, address, cause },
            }
        };
        let mut tries = PORT_TRIES;
        loop {
            let tcp = TcpListener::bind(wanted).await.map_err(failed("TCP", wanted))?;
            let address = tcp.local_addr().map_err(failed("TCP", wanted))?;
            match UdpSocket::bind(address).await {
                Ok(udp) => return Ok(Sockets { tcp, udp, address }),
                // The port that TCP was given may be taken in UDP: try another.
                Err(_) if wanted.port() == 0 && tries > 1 => tries -= 1,
                Err(e) => return Err(failed("UDP", address)(e)),
            }
        }
    }
}
