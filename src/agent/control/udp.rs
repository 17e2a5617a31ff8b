//! The agent's UDP sockets: datagrams, many at a time, and the local address that each was sent to.
//!
//! A machine has several addresses. An answer must leave from the one that was asked, or whoever
//! asked takes it for a stranger's; the socket alone does not know, so the kernel is asked.

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for as many datagrams as the kernel may hand over in one piece.
const ROOM: usize = 64 << 10;

/// Pieces that are taken from the kernel at a time.
const PIECES: usize = 16;

/// How much the kernel may hold until it is taken, in bytes, where it allows that: some
/// milliseconds of a flood, in which the processor may be with somebody else.
const BUFFER: usize = 4 << 20;

/// Where a datagram came from, and which of this machine's addresses it was sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    /// `None` where the system does not say.
    pub(super) local: Option<IpAddr>,
}

impl Route {
    /// Whether it was sent to a group, or to everybody.
    pub(super) fn is_to_many(&self) -> bool {
        self.local.is_some_and(|local| {
            let local = local.to_canonical();
            local.is_multicast() || matches!(local, IpAddr::V4(ip) if ip.is_broadcast())
        })
    }
}

/// A socket.
pub(super) struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Datagrams as they came.
pub(super) struct Received {
    buffer: Vec<u8>,
    pieces: [RecvMeta; PIECES],
    count: usize,
}

impl Received {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; PIECES * ROOM], pieces: [RecvMeta::default(); PIECES], count: 0 }
    }

    /// Each datagram; one without bytes is one too.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (Route, &[u8])> {
        let pieces = self.pieces[..self.count].iter().zip(self.buffer.chunks(ROOM));
        pieces.flat_map(|(piece, buffer)| {
            let route = Route { peer: piece.addr, local: piece.dst_ip };
            let bytes = &buffer[..piece.len.min(ROOM)];
            let empty = bytes.is_empty().then_some(bytes);
            bytes.chunks(piece.stride.max(1)).chain(empty).map(move |bytes| (route, bytes))
        })
    }
}

impl Udp {
    /// Takes over a socket that does not block; from within the runtime that will use it.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // What the system does not grant is not needed every day.
        drop(SockRef::from(&socket).set_recv_buffer_size(BUFFER));
        Ok(Self { socket: UdpSocket::from_std(socket)?, state })
    }

    /// For its options.
    pub(super) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    /// Waits until there may be datagrams.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Whether there may be datagrams; wakes whoever asks when there may be.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(context)
    }

    /// Takes the datagrams that are there; [`io::ErrorKind::WouldBlock`] when none are.
    pub(super) fn receive(&self, into: &mut Received) -> io::Result<()> {
        into.count = 0;
        into.count = self.socket.try_io(Interest::READABLE, || {
            let mut buffers = into.buffer.chunks_mut(ROOM);
            let mut buffers: [_; PIECES] =
                std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
            self.state.recv((&self.socket).into(), &mut buffers, &mut into.pieces)
        })?;
        Ok(())
    }

    /// Sends one datagram back the way another came, if the system takes it now: whoever gets no
    /// answer asks again.
    pub(super) fn answer(&self, route: Route, contents: &[u8]) -> io::Result<()> {
        let send = |src_ip| {
            let (ecn, segment_size) = (None, None);
            let transmit =
                Transmit { destination: route.peer, ecn, contents, segment_size, src_ip };
            let sent = || self.state.try_send((&self.socket).into(), &transmit);
            self.socket.try_io(Interest::WRITABLE, sent)
        };
        // What was sent to many is answered from an address of this machine's own.
        match send(route.local.filter(|_| !route.is_to_many())) {
            // It was sent to everybody on one network, whose address nobody can send from.
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => send(None),
            sent => sent,
        }
    }
}
