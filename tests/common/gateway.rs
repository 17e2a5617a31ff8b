//! A gateway between tests that speak plainly and an agent that asks for keys: it has an
//! operator's key, and speaks TLS and signs for them. So what is promised without keys is held
//! against the same promises with them.
//!
//! It keeps next to nothing: what a test does not read, the agent can't send.

use super::PATIENCE;
use hightower::trust::{Connector, KnownAgents, Place, PublicKey, SecretKey, now_ms};
use hightower_proto::message::{Order, Recipient, Signed};
use hightower_proto::{Message, datagram};
use socket2::SockRef;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Whoever has said nothing for so long says nothing, and is a plain viewer. What speaks TLS speaks at
/// once, but for a machine that stands still.
const FIRST_BYTE: Duration = Duration::from_secs(1);

/// The same of those who are known to be plain viewers.
const FIRST_OF_PLAIN: Duration = Duration::from_millis(50);

/// The addresses of plain viewers.
static PLAIN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

/// Tells of a plain viewer by its own address.
pub fn know_plain(viewer: SocketAddr) {
    PLAIN.lock().unwrap().insert(viewer);
}

/// What the kernel keeps of a connection in either direction, in bytes.
const KEPT: usize = 64 << 10;

/// How often a port is looked for that is free for TCP and for UDP.
const PORT_TRIES: usize = 32;

/// The operator and the agents of one run of tests.
pub struct Ring {
    /// The operator's folder.
    pub operator: PathBuf,
    key: SecretKey,
    agent: SecretKey,
    /// Held by whoever writes what the operator knows.
    known: Mutex<KnownAgents>,
}

/// All agents have one key, so that an operator knows each that is started.
pub static RING: LazyLock<Ring> = LazyLock::new(Ring::new);

impl Ring {
    fn new() -> Self {
        // It is left there, and replaced by the next run.
        let name = concat!("operator-", env!("CARGO_CRATE_NAME"));
        let operator = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_dir_all(&operator));
        let (key, agent) = (SecretKey::generate(), SecretKey::generate());
        Place::at(operator.clone()).make().unwrap();
        key.save(&operator.join("operator_key"), "anna", None).unwrap();
        let known = KnownAgents::at(operator.join("known_agents"));
        Self { operator, key, agent, known: Mutex::new(known) }
    }

    /// Has the operator know the agents' key by this address.
    pub fn know(&self, address: SocketAddr) {
        self.known.lock().unwrap().add(&address.into(), &self.agent.public()).unwrap();
    }

    /// The folder of an agent that obeys the operator in everything.
    pub fn agent(&self) -> TempDir {
        let home = TempDir::new().unwrap();
        self.agent.save(&home.path().join("agent_key"), "card", None).unwrap();
        let list = home.path().join("authorized_operators");
        fs::write(list, format!("all {} anna\n", self.key.public())).unwrap();
        home
    }
}

/// A gateway, until it is dropped.
pub struct Gateway {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Gateway {
    /// Listens there for those who want to go to the agent.
    pub fn open(listen: SocketAddr, agent: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tcp, udp) = runtime.block_on(bind(listen));
        let address = tcp.local_addr().unwrap();
        runtime.spawn(accept(tcp, agent));
        runtime.spawn(hear(Arc::new(udp), agent));
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be a task itself, which may not wait. Its port is free then.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(FIRST_BYTE));
            drop(ending.join());
        }
    }
}

async fn bind(listen: SocketAddr) -> (TcpListener, UdpSocket) {
    for _ in 0..PORT_TRIES {
        let tcp = TcpListener::bind(listen).await.unwrap();
        match UdpSocket::bind(tcp.local_addr().unwrap()).await {
            Ok(udp) => return (tcp, udp),
            Err(e) if listen.port() != 0 => panic!("{listen}: {e}"),
            Err(_) => {}
        }
    }
    panic!("no port is free for TCP and UDP");
}

async fn accept(listener: TcpListener, agent: SocketAddr) {
    while let Ok((client, from)) = listener.accept().await {
        // How it ends, both ends see.
        tokio::spawn(async move { drop(relay(client, from, agent).await) });
    }
}

async fn relay(client: TcpStream, from: SocketAddr, agent: SocketAddr) -> io::Result<()> {
    let mut first = [0];
    let mut said = timeout(FIRST_OF_PLAIN, client.peek(&mut first)).await;
    if said.is_err() && !PLAIN.lock().unwrap().contains(&from) {
        said = timeout(FIRST_BYTE, client.peek(&mut first)).await;
    }
    let there = TcpStream::connect(agent).await?;
    for socket in [&client, &there] {
        socket.set_nodelay(true)?;
        SockRef::from(socket).set_send_buffer_size(KEPT)?;
        SockRef::from(socket).set_recv_buffer_size(KEPT)?;
    }
    // Who speaks TLS speaks it with the agent.
    if matches!(said, Ok(Ok(1))) && first == [22] {
        return join(client, there).await;
    }
    let connector = Connector::new(&RING.key).map_err(io::Error::other)?;
    let known = RING.agent.public();
    let shaken = connector.connect(there, move |key| *key == known).await;
    join(client, shaken.map_err(io::Error::other)?.0).await
}

/// Passes on what either says until both have ended, or one is broken.
async fn join<A, B>(one: A, other: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (from_one, to_one) = tokio::io::split(one);
    let (from_other, to_other) = tokio::io::split(other);
    tokio::try_join!(pass_on(from_one, to_other), pass_on(from_other, to_one)).map(drop)
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut piece = [0; 8 << 10];
    loop {
        match from.read(&mut piece).await? {
            0 => return to.shutdown().await,
            read => to.write_all(&piece[..read]).await?,
        }
        to.flush().await?;
    }
}

async fn hear(socket: Arc<UdpSocket>, agent: SocketAddr) {
    let mut bytes = [0; 2000];
    while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
        let (socket, bytes) = (Arc::clone(&socket), bytes[..length].to_vec());
        tokio::spawn(async move {
            if let Ok(Ok(Some(answer))) = timeout(PATIENCE, ask(&bytes, agent)).await {
                drop(socket.send_to(&answer, from).await);
            }
        });
    }
}

/// Gives a datagram to the agent, signed where it can be; gives what is to be answered.
async fn ask(bytes: &[u8], agent: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(agent).await?;
    let order = datagram::parse(bytes).ok().filter(|datagram| is_order(&datagram.message));
    let wants_reply = order.as_ref().is_none_or(|order| order.wants_reply());
    let signed = order.map(|order| sign(order.message, &RING.agent.public()));
    socket.send(signed.as_deref().unwrap_or(bytes)).await?;
    let mut answer = vec![0; 2000];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    if signed.is_none() {
        return Ok(Some(answer));
    }
    let Ok(Message::SignedReply(answer)) = datagram::parse(&answer).map(|d| d.message) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let agent = RING.agent.public();
    let answer = answer.check(|bytes, signature| agent.has_signed(bytes, signature));
    let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
    Ok(wants_reply.then(|| Message::Reply(answer.reply.clone()).encode().to_vec()))
}

fn is_order(message: &Message) -> bool {
    use Message::{LockMouse, MouseMove, StartMonitor, StopMonitor, UnlockMouse};
    matches!(
        message,
        StartMonitor | StopMonitor | MouseMove { .. } | LockMouse { .. } | UnlockMouse
    )
}

fn sign(order: Message, agent: &PublicKey) -> Vec<u8> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let order = Order {
        by: RING.key.public().id(),
        time_ms: now_ms(),
        counter: COUNTER.fetch_add(1, Ordering::Relaxed),
        to: vec![Recipient::Agent(agent.id())],
        order: Box::new(order),
    };
    Message::Signed(Signed::new(order, |bytes| RING.key.sign(bytes))).encode().to_vec()
}
