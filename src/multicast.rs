//! Multicast: what is for a whole room is sent by it, on every network that this machine is on; and
//! by broadcast, where somebody may not hear multicast.

use crate::wire::Wire;
use bytes::Bytes;
use hightower_proto::datagram::{self, Datagram};
use hightower_proto::limits::MAX_DATAGRAM;
use hightower_proto::{Message, ROOM_V4, ROOM_V6};
use quinn_udp::{Transmit, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// How much the kernel may hold until it is read, in bytes, where it allows that: the answers of a
/// large room.
const BUFFER: usize = 4 << 20;

/// A socket for each kind of address.
pub(crate) struct Multicast {
    port: u16,
    wires: Vec<Wire>,
    v4: Option<(UdpSocket, UdpSocketState)>,
    v6: Option<UdpSocket>,
}

impl Multicast {
    /// To agents at this port, on these networks.
    ///
    /// # Errors
    /// When there is none, or the system gives no sockets.
    pub(crate) fn open(port: u16, wires: Vec<Wire>) -> io::Result<Self> {
        let v4 = wires.iter().any(|wire| wire.v4().is_some()).then(|| open(Domain::IPV4));
        let v6 = wires.iter().any(Wire::has_v6).then(|| open(Domain::IPV6));
        if v4.is_none() && v6.is_none() {
            return Err(io::Error::other("this machine is on no network"));
        }
        let v4 = v4.transpose()?;
        let v4 = v4.map(|socket| {
            let state = UdpSocketState::new((&socket).into())?;
            io::Result::Ok((socket, state))
        });
        Ok(Self { port, wires, v4: v4.transpose()?, v6: v6.transpose()? })
    }

    /// Sends it on every network that has them, to everybody there: to the network's own address
    /// for that, and to the one that every network has; signed anew each time. Whether it arrives is told by answers.
    pub(crate) async fn broadcast(&self, mut sign: impl FnMut() -> Bytes) {
        let Some((socket, state)) = &self.v4 else { return };
        // A socket is not known to be writable before somebody has asked.
        if let Err(e) = socket.writable().await {
            return tracing::debug!("nothing can be sent to all: {e}");
        }
        for wire in &self.wires {
            let Some(address) = wire.v4() else { continue };
            for to in wire.broadcast.into_iter().chain([Ipv4Addr::BROADCAST]) {
                let transmit = Transmit {
                    destination: (to, self.port).into(),
                    ecn: None,
                    contents: &sign(),
                    segment_size: None,
                    // By which it is known on which network it is to go.
                    src_ip: Some(address.into()),
                };
                let sent = || state.try_send(socket.into(), &transmit);
                if let Err(e) = socket.try_io(Interest::WRITABLE, sent) {
                    tracing::debug!("nothing can be sent to {to} on {}: {e}", wire.name);
                }
            }
        }
    }

    /// Sends it on every network, signed anew for each: who is on two of them would refuse the
    /// second.
    ///
    /// # Errors
    /// When it could be sent on none.
    pub(crate) async fn send(&self, mut sign: impl FnMut() -> Bytes) -> io::Result<()> {
        let (mut sent, mut failed) = (false, None);
        for wire in &self.wires {
            let mut note = |done: io::Result<usize>| match done {
                Ok(_) => sent = true,
                Err(e) => {
                    tracing::debug!("nothing can be sent to the room on {}: {e}", wire.name);
                    failed = Some(e);
                }
            };
            if let (Some((socket, _)), Some(address)) = (&self.v4, wire.v4()) {
                let to = SocketAddr::from((ROOM_V4, self.port));
                note(match SockRef::from(socket).set_multicast_if_v4(&address) {
                    Ok(()) => socket.send_to(&sign(), to).await,
                    Err(e) => Err(e),
                });
            }
            if let (Some(socket), true) = (&self.v6, wire.has_v6()) {
                let to = SocketAddrV6::new(ROOM_V6, self.port, 0, wire.index);
                note(socket.send_to(&sign(), SocketAddr::V6(to)).await);
            }
        }
        match failed {
            Some(e) if !sent => Err(e),
            _ => Ok(()),
        }
    }

    /// Sends to one agent. Whether it arrives is told by its answer.
    pub(crate) async fn send_to(&self, peer: SocketAddr, bytes: &[u8]) {
        let v4 = self.v4.as_ref().map(|(socket, _)| socket);
        let socket = if peer.is_ipv4() { v4 } else { self.v6.as_ref() };
        if let Some(socket) = socket
            && let Err(e) = socket.send_to(bytes, peer).await
        {
            tracing::debug!(%peer, "nothing can be sent: {e}");
        }
    }

    /// The next message that is understood; `None` when none comes until then.
    pub(crate) async fn receive(&self, until: Instant) -> Option<(SocketAddr, Message)> {
        let (mut v4, mut v6) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
        let socket = self.v4.as_ref().map(|(socket, _)| socket);
        loop {
            let received = timeout_at(until, async {
                tokio::select! {
                    (length, peer) = receive(socket, &mut v4) => (peer, &v4[..length]),
                    (length, peer) = receive(self.v6.as_ref(), &mut v6) => (peer, &v6[..length]),
                }
            });
            let (peer, bytes) = received.await.ok()?;
            if let Ok(Datagram { message, .. }) = datagram::parse(bytes) {
                return Some((peer, message));
            }
        }
    }
}

fn open(domain: Domain) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let any: SocketAddr = if domain == Domain::IPV4 {
        socket.set_broadcast(true)?;
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        socket.set_only_v6(true)?;
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    socket.set_nonblocking(true)?;
    // What the system does not grant is needed for the largest rooms only.
    drop(socket.set_recv_buffer_size(BUFFER));
    socket.bind(&any.into())?;
    UdpSocket::from_std(socket.into())
}

/// The next datagram. An error is of one that was sent before, to a port where nobody listens.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else { return pending().await };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(e) => tracing::debug!("an answer could not be received: {e}"),
        }
    }
}
