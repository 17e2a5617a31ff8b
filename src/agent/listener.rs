//! Listener: accepts whoever connects, and leaves them to the door.

use super::door::{Door, House};
use actix::prelude::*;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long to pause when the system can't accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A peer that is gone without a word is asked after so long, then as often, until the write
/// deadline.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// How much unsent data the kernel may hold before the socket counts as full, in bytes: what
/// waits there is an older picture than what could be sent instead.
const UNSENT: u32 = 128 * 1024;

/// Accepts connections.
pub(super) struct Listener {
    sockets: Vec<TcpListener>,
    door: Door,
}

impl Listener {
    /// Of these sockets, through one door.
    pub(super) fn new(sockets: Vec<TcpListener>, house: House, accept_rate: f64) -> Self {
        Self { sockets, door: Door::new(house, accept_rate) }
    }

    /// The door, for those who come in another way.
    pub(super) fn door(&self) -> Door {
        self.door.clone()
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for tcp in std::mem::take(&mut self.sockets) {
            ctx.spawn(accept(tcp, self.door.clone()).into_actor(self));
        }
    }
}

/// Takes each connection off the kernel's queue at once: who waits there waits behind everybody.
async fn accept(tcp: TcpListener, door: Door) {
    loop {
        match tcp.accept().await {
            Ok((stream, peer)) => door.knock(stream, peer),
            Err(e) => {
                tracing::warn!("can't accept a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Sets what a viewer's socket needs: no delay, little unsent, and dead peers found.
pub(super) fn prepare(stream: &TcpStream, deadline: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let (idle, interval) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle.min(deadline)).with_interval(interval);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        // Bounds retransmission (the kernel's own limit is a quarter of an hour) and keep-alive.
        socket.set_tcp_user_timeout(Some(deadline))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}
