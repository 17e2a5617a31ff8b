//! Room: the groups by which an agent hears orders that are sent to a whole room.
//!
//! An agent that listens everywhere joins them on every wire, by its one socket. One that listens
//! at a single address joins on the wire of that address alone, and needs a second socket for it,
//! bound to the group: what is bound to an address of its own hears no other. That one may share
//! its port, as an agent at another address needs it too; what it hears is for all to hear.

use super::udp::Udp;
use crate::wire::Wire;
use hightower_proto::{ROOM_V4, ROOM_V6};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

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
    /// The second socket, and the wire that it is for.
    second: Option<(u32, Udp)>,
}

impl Room {
    /// For an agent that is bound there.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, joined: HashSet::new(), failed: HashSet::new(), second: None }
    }

    /// The second socket, where there is one.
    pub(super) fn second(&self) -> Option<&Udp> {
        self.second.as_ref().map(|(_, udp)| udp)
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
        self.second =
            self.second.take().filter(|(index, _)| wires.iter().any(|w| w.index == *index));
        for (group, wire) in wanted {
            let one = (group, wire.index);
            if self.joined.contains(&one) {
                continue;
            }
            let done = if own.is_unspecified() || cfg!(windows) {
                join(&main.options(), group, wire.index)
            } else {
                second(group, wire.index, self.address.port())
                    .map(|udp| self.second = Some((wire.index, udp)))
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

/// A socket that is bound to a group, on one wire.
fn second(group: Group, index: u32, port: u16) -> io::Result<Udp> {
    let (domain, address): (_, SocketAddr) = match group {
        Group::V4 => (Domain::IPV4, (IpAddr::V4(ROOM_V4), port).into()),
        Group::V6 => (Domain::IPV6, SocketAddrV6::new(ROOM_V6, port, 0, index).into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    join(&SockRef::from(&socket), group, index)?;
    Udp::new(socket.into())
}
