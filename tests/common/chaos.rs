//! A chaos proxy on the loopback: between an agent and its viewers, with the faults that networks,
//! and boxes in between, have. It ends, and closes everything, when it is dropped.

#![allow(dead_code, reason = "each test file uses its part")]

use crate::chance::Chance;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, tcp};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Datagrams under way at a time; what comes on top is lost.
const DATAGRAMS: usize = 256;

/// Clients whose datagrams are told apart at a time.
const CLIENTS: usize = 256;

/// What is read at once, in bytes.
const PIECE: usize = 4096;

/// What happens to a connection. Bytes are counted in both directions together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Both ends are closed after so many bytes, in the middle of whatever that is.
    Cut(u64),
    /// Nothing more is taken from either end after so many bytes, and nothing is closed.
    Stall(u64),
    /// Everything is taken after so many bytes, and nothing passed on. What one end closes, the
    /// other does not hear.
    Swallow(u64),
    /// So many bytes at first are passed on one by one.
    Crumbs(u64),
    /// Each piece is late.
    Late(Duration),
}

/// What happens to each datagram, in both directions alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Post {
    /// One in so many is lost.
    pub(crate) lost: usize,
    /// One in so many comes twice.
    pub(crate) twice: usize,
    /// Each is late by a time of its own, up to this: so they overtake each other.
    pub(crate) late_ms: i32,
}

/// A proxy.
pub(crate) struct Chaos {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
}

impl Chaos {
    /// Passes on TCP connections; each has the next fault.
    pub(crate) fn tcp(
        agent: SocketAddr,
        mut fault: impl FnMut() -> Fault + Send + 'static,
    ) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((viewer, _)) = listener.accept().await {
                // How it ends is told by whom it concerns.
                let fault = fault();
                tokio::spawn(async move { drop(join(viewer, agent, fault).await) });
            }
        });
        Self { runtime: Some(runtime), address }
    }

    /// Passes on datagrams.
    pub(crate) fn udp(agent: SocketAddr, post: Post, seed: u64) -> Self {
        let runtime = runtime();
        let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
        let address = socket.local_addr().unwrap();
        let room = Arc::new(Semaphore::new(DATAGRAMS));
        let office = Office { post, chance: Arc::new(Mutex::new(Chance::new(seed))), room };
        runtime.spawn(office.serve(Arc::new(socket), agent));
        Self { runtime: Some(runtime), address }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap()
}

async fn join(viewer: TcpStream, agent: SocketAddr, fault: Fault) -> io::Result<()> {
    let agent = TcpStream::connect(agent).await?;
    viewer.set_nodelay(true)?;
    agent.set_nodelay(true)?;
    let (from_viewer, to_viewer) = viewer.into_split();
    let (from_agent, to_agent) = agent.into_split();
    let passed = AtomicU64::new(0);
    tokio::try_join!(
        pass(from_viewer, to_agent, fault, &passed),
        pass(from_agent, to_viewer, fault, &passed),
    )?;
    Ok(())
}

/// Passes on what one end says, until it has said everything; an error closes both.
async fn pass(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    fault: Fault,
    passed: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = from.read(&mut buffer).await?;
        let piece = &buffer[..read];
        let before = passed.fetch_add(read as u64, Ordering::Relaxed);
        // How much of it is still before a limit.
        let within = |limit: u64| limit.saturating_sub(before).min(read as u64) as usize;
        match fault {
            Fault::Cut(limit) | Fault::Stall(limit) | Fault::Swallow(limit)
                if before + read as u64 > limit =>
            {
                to.write_all(&piece[..within(limit)]).await?;
                match fault {
                    Fault::Cut(_) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Fault::Swallow(_) => while from.read(&mut buffer).await? > 0 {},
                    _ => {}
                }
                std::future::pending::<()>().await;
            }
            _ if read == 0 => return to.shutdown().await,
            Fault::Crumbs(limit) => {
                let (crumbs, rest) = piece.split_at(within(limit));
                for crumb in crumbs {
                    to.write_all(&[*crumb]).await?;
                }
                to.write_all(rest).await?;
            }
            Fault::Late(time) => {
                sleep(time).await;
                to.write_all(piece).await?;
            }
            _ => to.write_all(piece).await?,
        }
    }
}

#[derive(Clone)]
struct Office {
    post: Post,
    chance: Arc<Mutex<Chance>>,
    room: Arc<Semaphore>,
}

impl Office {
    async fn serve(self, socket: Arc<UdpSocket>, agent: SocketAddr) {
        let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut buffer = vec![0; PIECE];
        // Errors are of ports that are closed: like any loss.
        loop {
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            if clients.len() >= CLIENTS {
                clients.clear();
            }
            let line = match clients.get(&client) {
                Some(line) => Arc::clone(line),
                None => {
                    let line = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    line.connect(agent).await.unwrap();
                    let (office, to) = (self.clone(), Arc::clone(&socket));
                    tokio::spawn(office.answer(Arc::downgrade(&line), to, client));
                    clients.insert(client, Arc::clone(&line));
                    line
                }
            };
            self.deliver(buffer[..length].to_vec(), move |bytes| {
                let line = Arc::clone(&line);
                async move { drop(line.send(&bytes).await) }
            });
        }
    }

    /// Passes on the answers to one client, for as long as it is told apart.
    async fn answer(
        self,
        line: std::sync::Weak<UdpSocket>,
        socket: Arc<UdpSocket>,
        client: SocketAddr,
    ) {
        let mut buffer = vec![0; PIECE];
        while let Some(line) = line.upgrade() {
            let heard = tokio::time::timeout(Duration::from_secs(1), line.recv(&mut buffer));
            let Ok(Ok(length)) = heard.await else { continue };
            let socket = Arc::clone(&socket);
            self.deliver(buffer[..length].to_vec(), move |bytes| {
                let socket = Arc::clone(&socket);
                async move { drop(socket.send_to(&bytes, client).await) }
            });
        }
    }

    /// Delivers a datagram as often and as late as chance will have it.
    fn deliver<F>(&self, bytes: Vec<u8>, send: impl Fn(Vec<u8>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut chance = self.chance.lock().unwrap();
        let copies = if chance.once_in(self.post.lost) {
            0
        } else {
            1 + usize::from(chance.once_in(self.post.twice))
        };
        for _ in 0..copies {
            let late = Duration::from_millis(chance.of(0..self.post.late_ms.max(1)) as u64);
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return };
            let sent = send(bytes.clone());
            tokio::spawn(async move {
                sleep(late).await;
                sent.await;
                drop(place);
            });
        }
    }
}
