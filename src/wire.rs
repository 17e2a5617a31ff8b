//! Wires: the networks that this machine is on, as its interfaces say.

use if_addrs::{IfAddr, get_if_addrs};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// An interface that is up, other than the loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Its number; an interface that comes back after it was removed has another.
    pub index: u32,
    /// What the system calls it.
    pub name: String,
    /// This machine's addresses there.
    pub addresses: Vec<IpAddr>,
    /// The address of all on that network, of its first of IPv4.
    pub broadcast: Option<Ipv4Addr>,
}

impl Wire {
    /// The first address of IPv4.
    #[must_use]
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(ip) => Some(*ip),
            IpAddr::V6(_) => None,
        })
    }

    /// Whether it has an address of IPv6.
    #[must_use]
    pub fn has_v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }
}

/// The wires that there are now. Asks the system: not for an async thread.
///
/// # Errors
/// When the system does not say.
pub fn wires() -> io::Result<Vec<Wire>> {
    let mut wires: BTreeMap<u32, Wire> = BTreeMap::new();
    for interface in get_if_addrs()? {
        let Some(index) = interface.index else { continue };
        if interface.is_oper_up() && !interface.is_loopback() {
            let (ip, name) = (interface.ip(), interface.name);
            let new = Wire { index, name, addresses: Vec::new(), broadcast: None };
            let wire = wires.entry(index).or_insert(new);
            wire.addresses.push(ip);
            if let IfAddr::V4(v4) = interface.addr {
                wire.broadcast = wire.broadcast.or(v4.broadcast);
            }
        }
    }
    Ok(wires.into_values().collect())
}

/// Whether what was sent to this address reached others too: a group's, or all of a network. Asks
/// the system: not for an async thread.
#[must_use]
pub fn is_shared(address: IpAddr) -> bool {
    let IpAddr::V4(ip) = address.to_canonical() else { return address.is_multicast() };
    let is_broadcast =
        |of: IfAddr| matches!(of, IfAddr::V4(v4) if v4.broadcast == Some(ip) && v4.ip != ip);
    ip.is_multicast()
        || ip.is_broadcast()
        || !ip.is_loopback()
            && get_if_addrs().is_ok_and(|all| all.into_iter().any(|one| is_broadcast(one.addr)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_many_is_told_from_what_goes_to_one() {
        for shared in ["239.255.72.84", "255.255.255.255", "::ffff:224.0.0.1", "ff02::1"] {
            assert!(is_shared(shared.parse().expect("an address")), "{shared}");
        }
        for single in ["127.0.0.1", "::1", "fe80::1", "::ffff:127.0.0.9"] {
            assert!(!is_shared(single.parse().expect("an address")), "{single}");
        }
        // Its own addresses are not those of its networks.
        for wire in wires().expect("a list") {
            assert!(wire.addresses.iter().all(|address| !is_shared(*address)), "{wire:?}");
        }
    }
}
