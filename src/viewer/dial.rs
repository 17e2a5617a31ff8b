//! Dial: finds a machine, calls its addresses one after the other, and makes sure who is there.

use super::cause::Cause;
use super::detour::Lead;
use super::security::{Channel, Security};
use crate::address::Target;
use futures_util::stream::{FuturesUnordered, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one of a machine's addresses has at least.
const SHARE: Duration = Duration::from_secs(1);

/// How long all addresses have together where there is another way.
const DIRECT: Duration = Duration::from_secs(1);

/// Connects to an agent; `limit` is for all addresses together, and each has a second at least.
/// `calling` is told of each before it is called.
///
/// # Errors
/// Why nobody was reached, or not who should have been.
pub(crate) async fn dial(
    target: &Target,
    security: &Security,
    limit: Duration,
    calling: impl FnMut(SocketAddr),
) -> Result<(Channel, SocketAddr), Cause> {
    if let Some(detour) = security.detour()
        && let Some(lead) = detour.find(target, limit).await?
    {
        return follow(lead, target, security, limit, calling).await;
    }
    dial_at(target.resolve().await?, target, security, limit, calling).await
}

/// Calls an agent where it says that it is, at all addresses at once, and goes the other way where
/// it is at none of them. Whoever is there has to prove the agent's key, on a loopback as well.
async fn follow(
    lead: Lead,
    target: &Target,
    security: &Security,
    limit: Duration,
    mut calling: impl FnMut(SocketAddr),
) -> Result<(Channel, SocketAddr), Cause> {
    let Lead { addresses, key, open } = lead;
    let call = async |peer| {
        let stream = TcpStream::connect(peer).await.map_err(|e| Cause::connecting(peer, e))?;
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%peer, %error, "socket options");
        }
        let channel = security.prove(target, Box::new(stream), Some(key), peer, DIRECT).await?;
        Ok::<_, Cause>((channel, peer))
    };
    let direct = async {
        let mut calls: FuturesUnordered<_> = addresses.into_iter().map(call).collect();
        while let Some(called) = calls.next().await {
            match called {
                Ok(reached) => return Some(reached),
                Err(cause) => tracing::debug!(machine = %target, "not called directly: {cause}"),
            }
        }
        None
    };
    if let Ok(Some((channel, peer))) = timeout(DIRECT, direct).await {
        calling(peer);
        return Ok((channel, peer));
    }
    let (stream, peer) = open.await?;
    calling(peer);
    let channel = security.prove(target, stream, Some(key), peer, limit).await?;
    Ok((channel, peer))
}

/// Connects to the agent of this name at one of these addresses.
///
/// # Errors
/// As [`dial`].
pub(crate) async fn dial_at(
    found: Vec<SocketAddr>,
    target: &Target,
    security: &Security,
    limit: Duration,
    mut calling: impl FnMut(SocketAddr),
) -> Result<(Channel, SocketAddr), Cause> {
    let share = limit / u32::try_from(found.len()).unwrap_or(1).max(1);
    let limit = share.max(SHARE).min(limit);
    // What is wrong at one address need not be at the next: not everybody who says that they have a
    // name has it. What is told is who was not the one before who was not there.
    let (mut failed, mut wrong) = (Cause::Stopped, None);
    for peer in found {
        calling(peer);
        match timeout(limit, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => {
                if let Err(error) = keep_alive(&stream) {
                    tracing::debug!(%peer, %error, "socket options");
                }
                match security.secure(target, stream, peer, limit).await {
                    Ok(channel) => return Ok((channel, peer)),
                    Err(cause) => wrong = wrong.or(Some(cause)),
                }
            }
            Ok(Err(source)) => failed = Cause::connecting(peer, source),
            Err(_) => failed = Cause::TimedOut { peer, limit },
        }
    }
    Err(wrong.unwrap_or(failed))
}

/// Small packets at once; a peer that vanished is found out within half a minute, whether we have
/// something to say to it or not.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5));
    #[cfg(not(target_os = "windows"))]
    let keep_alive = keep_alive.with_retries(3);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(25)))?;
    Ok(())
}
