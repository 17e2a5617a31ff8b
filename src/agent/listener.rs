//! Listener: accepts viewers, no more and no faster than allowed.

use super::config::Config;
use super::session::{Links, Session};
use actix::prelude::*;
use hightower_proto::message::Welcome;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections beyond the viewers that may be open at a time, to be told that there is no place.
const WAITING_ROOM: usize = 16;

/// How long to pause when the system can't accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A peer that is gone without a word is asked after so long, then as often, until the write
/// deadline.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// How much unsent data the kernel may hold before the socket counts as full, in bytes: what
/// waits there is an older picture than what could be sent instead.
const UNSENT: u32 = 128 * 1024;

/// Accepts viewers.
pub(super) struct Listener {
    tcp: Option<TcpListener>,
    links: Links,
    welcome: Welcome,
    places: Arc<Semaphore>,
    bucket: Bucket,
}

impl Listener {
    pub(super) fn new(tcp: TcpListener, links: Links, welcome: Welcome, config: &Config) -> Self {
        let places = Arc::new(Semaphore::new(config.max_viewers + WAITING_ROOM));
        Self { tcp: Some(tcp), links, welcome, places, bucket: Bucket::new(config.accept_rate) }
    }
}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(tcp) = self.tcp.take() else { return };
        let (links, welcome, places, bucket) =
            (self.links.clone(), self.welcome.clone(), Arc::clone(&self.places), self.bucket);
        ctx.spawn(accept(tcp, links, welcome, places, bucket).into_actor(self));
    }
}

async fn accept(
    tcp: TcpListener,
    links: Links,
    welcome: Welcome,
    places: Arc<Semaphore>,
    mut bucket: Bucket,
) {
    loop {
        // Whoever finds no place waits in the kernel's backlog, which is bounded.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        if let Some(pause) = bucket.take(Instant::now()) {
            tokio::time::sleep(pause).await;
        }
        match tcp.accept().await {
            Ok((stream, peer)) => {
                if let Err(e) = prepare(&stream, links.write_deadline) {
                    tracing::warn!(%peer, "the connection can't be served: {e}");
                    continue;
                }
                Session::new(stream, peer, links.clone(), welcome.clone(), place).start();
            }
            Err(e) => {
                tracing::warn!("can't accept a connection: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Sets what a viewer's socket needs: no delay, little unsent, and dead peers found.
fn prepare(stream: &TcpStream, deadline: Duration) -> io::Result<()> {
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

/// A token bucket: so many a second over a while, twice as many at once.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Option<Instant>,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, tokens: 2.0 * rate, filled: None }
    }

    /// Takes a token; how long to wait before it is there.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let since = self.filled.map_or(Duration::ZERO, |t| now.saturating_duration_since(t));
        self.filled = Some(now);
        self.tokens = (self.tokens + since.as_secs_f64() * self.rate).min(2.0 * self.rate) - 1.0;
        (self.tokens < 0.0).then(|| Duration::from_secs_f64(-self.tokens / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10.0);
        let start = Instant::now();
        assert!((0..20).all(|_| bucket.take(start).is_none()));
        assert_eq!(bucket.take(start), Some(Duration::from_millis(100)));
        assert_eq!(bucket.take(start + Duration::from_secs(60)), None);
    }
}
