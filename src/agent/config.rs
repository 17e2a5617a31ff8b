//! What an agent is told at its start, and its sockets.

use super::mouse::Lease;
use crate::audit::{Audit, Policy};
use crate::source::{Choice, OpenError};
use crate::trust::{
    Acceptor, Desk, Gate, KeyError, Place, PlaceError, Plain, PublicKey, SecretKey,
};
use hightower_proto::historical;
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};

/// How often a free port is looked for that TCP and UDP can both have.
const PORT_TRIES: usize = 32;

/// When a file of the audit log is this long, in bytes, the next one is begun.
const AUDIT_FILE: u64 = 8 << 20;

/// How an agent is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, TCP and UDP; port 0 takes any.
    pub listen: SocketAddr,
    /// From whom what is neither encrypted nor signed is taken.
    pub plain: Plain,
    /// Where the agent's key and the list of its operators are kept; `None` is [`Place::find`].
    pub place: Option<Place>,
    /// The groups that it is in, for orders to a group.
    pub groups: Vec<String>,
    /// The folder of the audit log; `None` is `audit` in the place of the keys, for an agent that
    /// asks for some, and nowhere for another.
    pub audit: Option<PathBuf>,
    /// What to do when the audit log can't be written.
    pub audit_policy: Policy,
    /// Whether it serves viewers of the historical system too, on their ports; for agents that ask
    /// nobody.
    pub historical: bool,
    /// Whether it answers those who ask who is there, and announces itself, where it listens beyond
    /// the loopback.
    pub discovery: bool,
    /// The hub that reaches it, to which it dials in; not for agents that ask nobody.
    pub hub: Option<super::HubConfig>,
    /// Whether the person at the machine is told by notices on the desktop who watches.
    pub notices: bool,
    /// How long the person at the machine has to say yes before somebody watches; `None` does not
    /// ask them.
    pub consent: Option<Duration>,
    /// Whether the person at the machine may pause the watching.
    pub allow_pause: bool,
    /// Whether this user's programs can ask who watches, by a socket in [`Place::runtime`].
    pub console: bool,
    /// Which files it takes and gives.
    pub files: super::FilesConfig,
    /// What to capture.
    pub source: Choice,
    /// The most captures a second.
    pub max_fps: f64,
    /// Whether monitoring starts with the first viewer.
    pub autostart: bool,
    /// The most viewers at a time; one operator may have a quarter of them, and four at least.
    pub max_viewers: usize,
    /// The most connections a second that are answered, of those from one address, over a while; a
    /// burst of five times as many passes. Who has not said hello is not answered.
    pub accept_rate: f64,
    /// How long a write may make no progress, and a peer may be gone, before it is dropped.
    pub write_deadline: Duration,
    /// How many frames a speaking viewer is sent ahead of its acknowledgements.
    pub credit: u32,
    /// How long the pointer may be locked.
    pub lease: Lease,
    /// Where metrics are served, if anywhere: whoever reaches it reads them.
    pub metrics: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], hightower_proto::PORT)),
            plain: Plain::default(),
            place: None,
            groups: Vec::new(),
            audit: None,
            audit_policy: Policy::default(),
            historical: false,
            discovery: false,
            hub: None,
            notices: false,
            consent: None,
            allow_pause: false,
            console: false,
            files: super::FilesConfig::default(),
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
            metrics: None,
        }
    }
}

/// Why an agent can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no place for keys.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The agent's key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS won't have the key.
    #[error("the agent's key can't be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Another agent has the folder.
    #[error(
        "another agent uses {}: give each its own by HIGHTOWER_CONFIG", .0.display()
    )]
    Shared(PathBuf),
    /// The audit log can't be written.
    #[error("the audit log can't be written in {}: {cause}", folder.display())]
    Audit {
        /// Its folder.
        folder: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
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
    /// The address of the metrics is taken.
    #[error(
        "TCP {0} is in use, so no metrics can be served there: take another port with --metrics \
         (port 0 takes any)"
    )]
    MetricsInUse(SocketAddr),
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
    /// The socket for commands can't be used.
    #[error("can't hear commands by UDP: {0}")]
    Udp(io::Error),
    /// The screen can't be captured.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The system gives no more threads.
    #[error("can't start a thread: {0}")]
    Thread(#[from] io::Error),
    /// Whoever came by a hub could be anybody.
    #[error(
        "an agent that asks nobody for a key can't dial in to a hub: whoever the hub joins it with \
         could watch it. Leave --insecure away, or --hub"
    )]
    HubWithoutKeys,
    /// The agent ended before it listened.
    #[error("the agent ended while it started")]
    Died,
}

/// How an agent knows others, and is known.
pub(super) struct Identity {
    pub(super) gate: Arc<Gate>,
    /// The list's number.
    pub(super) number: u64,
    /// `None` likewise.
    pub(super) key: Option<SecretKey>,
    /// `None` for an agent that never proves who it is.
    pub(super) acceptor: Option<Acceptor>,
    /// `None` for an agent that obeys nothing that is signed.
    pub(super) desk: Option<Arc<Desk>>,
    pub(super) trust: Option<Trust>,
    /// Keeps other agents off the same files.
    pub(super) lock: Option<File>,
}

/// How an agent is known, and whom it obeys.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Its key.
    pub key: PublicKey,
    /// The file of its operators.
    pub list: PathBuf,
    /// How many there were at its start.
    pub operators: usize,
}

/// The agent's sockets, on the same port.
pub(super) struct Sockets {
    pub(super) tcp: TcpListener,
    pub(super) udp: UdpSocket,
    pub(super) address: SocketAddr,
    /// Those of the historical system.
    pub(super) historical: Option<(TcpListener, UdpSocket)>,
    /// What metrics are read from.
    pub(super) metrics: Option<std::net::TcpListener>,
}

impl Config {
    /// Whether somebody who connects may have to prove who they are.
    #[must_use]
    pub fn asks_for_keys(&self) -> bool {
        match self.plain {
            Plain::Never => true,
            Plain::OwnUser => !self.listen.ip().is_loopback() || self.hub.is_some(),
            Plain::Anyone => false,
        }
    }

    /// Where the user keeps keys and lists.
    pub(super) fn place(&self) -> Result<Place, PlaceError> {
        self.place.clone().map_or_else(Place::find, Ok)
    }

    /// Reads the key and the list of operators, and makes a key where there is none. An agent
    /// that asks nobody touches no file. Reads files: not for an async thread.
    pub(super) fn identity(&self) -> Result<Identity, StartError> {
        if !self.asks_for_keys() {
            if self.hub.is_some() {
                return Err(StartError::HubWithoutKeys);
            }
            let audit = self.audit.clone().map(|folder| self.open_audit(folder)).transpose()?;
            let gate = Gate::new(self.plain, None, audit.unwrap_or_default());
            let (key, acceptor, desk, trust, lock) = (None, None, None, None, None);
            return Ok(Identity { gate, number: 0, key, acceptor, desk, trust, lock });
        }
        let place = self.place()?;
        place.make()?;
        let lock = Some(own(&place)?);
        let key = own_key(&place)?;
        let acceptor = Some(Acceptor::new(&key)?);
        let list = place.authorized_operators();
        let audit = self.open_audit(self.audit.clone().unwrap_or_else(|| place.audit()))?;
        let gate = Gate::new(self.plain, Some(list.clone()), audit);
        let operators = gate.operators().list().len();
        let trust = Some(Trust { key: key.public(), list, operators });
        let (groups, rules, seen) = (self.groups.clone(), Arc::clone(&gate), place.seen_orders());
        let desk = Desk::open(key.clone(), groups, rules, &seen)
            .map_err(|cause| KeyError::Io { path: seen, cause })?;
        let number = gate.refresh();
        let (key, desk) = (Some(key), Some(Arc::new(desk)));
        Ok(Identity { gate, number, key, acceptor, desk, trust, lock })
    }

    fn open_audit(&self, folder: PathBuf) -> Result<Audit, StartError> {
        let audit = Audit::open(folder.clone(), AUDIT_FILE, self.audit_policy);
        audit.map_err(|cause| StartError::Audit { folder, cause })
    }

    /// Binds the ports of the historical system.
    async fn bind_historical(&self) -> Result<(TcpListener, UdpSocket), StartError> {
        let ip = self.listen.ip();
        let failed = |protocol, address| {
            move |cause: io::Error| match cause.kind() {
                io::ErrorKind::AddrInUse => StartError::InUse { protocol, address },
                _ => StartError::Bind { protocol, address, cause },
            }
        };
        let (stream, command) =
            ((ip, historical::STREAM_PORT).into(), (ip, historical::COMMAND_PORT).into());
        let tcp = TcpListener::bind(stream).await.map_err(failed("TCP", stream))?;
        let udp = UdpSocket::bind(command).await.map_err(failed("UDP", command))?;
        Ok((tcp, udp))
    }

    /// Binds the port that metrics are read from.
    fn bind_metrics(&self) -> Result<Option<std::net::TcpListener>, StartError> {
        let Some(address) = self.metrics else { return Ok(None) };
        let bound = std::net::TcpListener::bind(address);
        bound.map(Some).map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => StartError::MetricsInUse(address),
            _ => StartError::Bind { protocol: "TCP", address, cause },
        })
    }

    /// Binds TCP and UDP to the same port.
    pub(super) async fn bind(&self) -> Result<Sockets, StartError> {
        let wanted = self.listen;
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
                Ok(udp) => {
                    let historical = match self.historical {
                        true => Some(self.bind_historical().await?),
                        false => None,
                    };
                    let metrics = self.bind_metrics()?;
                    return Ok(Sockets { tcp, udp, address, historical, metrics });
                }
                // The port that TCP was given may be taken in UDP: try another.
                Err(_) if wanted.port() == 0 && tries > 1 => tries -= 1,
                Err(e) => return Err(failed("UDP", address)(e)),
            }
        }
    }
}

/// Takes the folder for this agent alone: two would each forget what the other has obeyed.
fn own(place: &Place) -> Result<File, StartError> {
    let path = place.folder().join("agent.lock");
    let io = |cause| KeyError::Io { path: path.clone(), cause };
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Shared(place.folder().to_owned())),
        Err(TryLockError::Error(cause)) => Err(io(cause).into()),
    }
}

/// The agent's key, which is made when it is first wanted.
fn own_key(place: &Place) -> Result<SecretKey, KeyError> {
    let path = place.agent_key();
    let nobody = |_: &std::path::Path| Err(io::Error::other("an agent starts by itself"));
    match SecretKey::load(&path, nobody) {
        Err(KeyError::Missing(_)) => {
            let host = gethostname::gethostname().to_string_lossy().into_owned();
            let key = SecretKey::generate();
            key.save(&path, &host, None)?;
            tracing::info!("made this agent's key, {}", key.public().fingerprint());
            Ok(key)
        }
        result => result,
    }
}
