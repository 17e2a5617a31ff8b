//! Room: the groups by which an agent hears orders that are sent to a whole room.
//!
//! An agent that listens everywhere joins them on every wire, by its one socket, and hears what is
//! sent to everybody. One that listens at a single address hears the wire of that address alone,
//! and needs other sockets for it, one bound to the group and one to the wire's broadcast address:
//! what is bound to an address of its own hears no other. These may share their port, as an agent
//! at another address needs it too; what they hear is for all to hear.

use super::udp::{Received, Udp};
use crate::wire::Wire;
use hightower_proto::{ROOM_V4, ROOM_V6};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::collections::HashSet;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::task::Poll;

/// One of the two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    V4,
    V6,
}

/// What an agent has joined.
pub(super) struct Room {
    /// Where the agent's socket is bound.
    address: SocketAddr,
    joined: HashSet<(Group, u32)>,
    /// Wires on which joining has failed, so that it is said once.
    failed: HashSet<(Group, u32)>,
    /// The other sockets, and the wire that each is for; the historical system's is for all.
    others: Vec<(Option<u32>, Udp)>,
}

impl Room {
    /// For an agent that is bound there, and perhaps at the historical system's port.
    pub(super) fn new(address: SocketAddr, historical: Option<Udp>) -> Self {
        let others = historical.into_iter().map(|udp| (None, udp)).collect();
        Self { address, joined: HashSet::new(), failed: HashSet::new(), others }
    }

    /// Waits until one of the other sockets may have datagrams, and takes them.
    pub(super) async fn receive(&self, into: &mut Received) -> io::Result<()> {
        let ready = poll_fn(|context| {
            for (at, (_, udp)) in self.others.iter().enumerate() {
                if let Poll::Ready(ready) = udp.poll_readable(context) {
                    return Poll::Ready(ready.map(|()| at));
                }
            }
            // Each of them wakes this.
            Poll::Pending
        });
        let (_, udp) = &self.others[ready.await?];
        udp.receive(into)
    }

    /// Follows the wires as they come and go. `main` is the agent's own socket.
    pub(super) fn follow(&mut self, main: &Udp, wires: &[Wire]) {
        let own = self.address.ip().to_canonical();
        if own.is_loopback() {
            return;
        }
        let wanted: Vec<(Group, &Wire)> = if own.is_unspecified() {
            let hears_v4 = own.is_ipv4() || !main.options().only_v6().unwrap_or(false);
            let v4 = wires.iter().filter(|wire| hears_v4 && wire.v4().is_some());
            let v6 = wires.iter().filter(|wire| self.address.is_ipv6() && wire.has_v6());
            v4.map(|wire| (Group::V4, wire)).chain(v6.map(|wire| (Group::V6, wire))).collect()
        } else {
            let group = if own.is_ipv4() { Group::V4 } else { Group::V6 };
            let there = wires.iter().find(|wire| wire.addresses.contains(&own));
            there.map(|wire| (group, wire)).into_iter().collect()
        };
        // A wire that is gone has left its groups; what comes back has another number.
        let is_wanted = |one: &(Group, u32)| wanted.iter().any(|(g, w)| (*g, w.index) == *one);
        self.joined.retain(is_wanted);
        self.failed.retain(is_wanted);
        self.others.retain(|(index, _)| {
            index.is_none_or(|index| wires.iter().any(|wire| wire.index == index))
        });
        for (group, wire) in wanted {
            let one = (group, wire.index);
            if self.joined.contains(&one) {
                continue;
            }
            let done = if own.is_unspecified() || cfg!(windows) {
                join(&main.options(), group, wire.index)
            } else {
                self.open_others(group, wire)
            };
            match done {
                Ok(()) => {
                    self.joined.insert(one);
                    tracing::info!("hears orders to the room on {} ({group:?})", wire.name);
                }
                Err(e) if self.failed.insert(one) => {
                    tracing::warn!(
                        "can't hear orders to the room on {} ({group:?}): {e}",
                        wire.name
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Opens the sockets for a wire, of an agent that listens at one address.
    fn open_others(&mut self, group: Group, wire: &Wire) -> io::Result<()> {
        let (index, port) = (Some(wire.index), self.address.port());
        // Once, whatever becomes of the group: it is tried again.
        let is_new = !self.others.iter().any(|(of, _)| *of == index);
        if let (Group::V4, Some(all), true) = (group, wire.broadcast, is_new) {
            match bound((all, port).into()).and_then(|socket| Udp::new(socket.into())) {
                Ok(udp) => self.others.push((index, udp)),
                Err(e) => tracing::debug!("can't hear what is sent to all on {}: {e}", wire.name),
            }
        }
        let address: SocketAddr = match group {
            Group::V4 => (ROOM_V4, port).into(),
            Group::V6 => SocketAddrV6::new(ROOM_V6, port, 0, wire.index).into(),
        };
        let socket = bound(address)?;
        join(&SockRef::from(&socket), group, wire.index)?;
        self.others.push((index, Udp::new(socket.into())?));
        Ok(())
    }
}

/// A socket that is bound to what many hear.
fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Joins a group on a wire, and hears no other group by this socket.
fn join(socket: &SockRef<'_>, group: Group, index: u32) -> io::Result<()> {
    let joined = match group {
        Group::V4 => {
            // Else it hears what any program of this machine has joined; so it is on old kernels.
            #[cfg(target_os = "linux")]
            drop(socket.set_multicast_all_v4(false));
            socket.join_multicast_v4_n(&ROOM_V4, &InterfaceIndexOrAddress::Index(index))
        }
        Group::V6 => {
            #[cfg(target_os = "linux")]
            drop(socket.set_multicast_all_v6(false));
            socket.join_multicast_v6(&ROOM_V6, index)
        }
    };
    match joined {
        // The wire was down for a while, and kept its groups.
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Ok(()),
        joined => joined,
    }
}
