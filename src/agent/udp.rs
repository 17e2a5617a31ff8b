//! The agent's UDP socket: datagrams, and the local address that each was sent to.
//!
//! A machine has several addresses. An answer must leave from the one that was asked, or whoever
//! asked takes it for a stranger's; the socket alone does not know, so the kernel is asked.

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for as many datagrams as the kernel may hand over in one piece.
const ROOM: usize = 64 << 10;

/// Where a datagram came from, and which of this machine's addresses it was sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    local: Option<IpAddr>,
}

/// The socket.
pub(super) struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Datagrams from one peer, as they came.
pub(super) struct Received {
    buffer: Vec<u8>,
    length: usize,
    stride: usize,
}

impl Received {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; ROOM], length: 0, stride: 0 }
    }

    /// Each datagram; one without bytes is one too.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = &self.buffer[..self.length];
        let empty = bytes.is_empty().then_some(bytes);
        bytes.chunks(self.stride.max(1)).chain(empty)
    }
}

impl Udp {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { socket, state })
    }

    /// Waits for datagrams.
    pub(super) async fn receive(&self, into: &mut Received) -> io::Result<Route> {
        let mut meta = [RecvMeta::default()];
        self.socket
            .async_io(Interest::READABLE, || {
                let mut buffers = [IoSliceMut::new(&mut into.buffer)];
                self.state.recv((&self.socket).into(), &mut buffers, &mut meta)
            })
            .await?;
        let [meta] = meta;
        (into.length, into.stride) = (meta.len.min(ROOM), meta.stride);
        Ok(Route { peer: meta.addr, local: meta.dst_ip })
    }

    /// Sends one datagram back the way another came.
    pub(super) async fn answer(&self, route: Route, contents: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: route.peer,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: route.local,
        };
        self.socket
            .async_io(Interest::WRITABLE, || self.state.try_send((&self.socket).into(), &transmit))
            .await
    }
}
