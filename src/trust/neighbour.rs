//! Whose the other end of a loopback connection is: any user of this machine can make one.
//!
//! Linux lists its sockets with their owners (`proc_net_tcp` in the kernel's documentation). Other
//! systems have no such list that a plain user may read; there everybody on the machine counts as
//! its user, and the documentation says so.

use std::net::SocketAddr;

/// Which kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A connection.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Whether the socket at `peer`, which talks to the socket at `local` of this process, belongs to
/// this process's user or to root. It must still be open. Reads files: not for an async thread.
#[cfg(target_os = "linux")]
#[must_use]
pub(super) fn is_own(transport: Transport, peer: SocketAddr, local: SocketAddr) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let allowed = |uid: u32| uid == own || uid == 0;
    match transport {
        Transport::Tcp => {
            let (peer, local) = (canonical(peer), canonical(local));
            // An IPv6 socket that talks to an IPv4 address is in the list of IPv6.
            let mut uids = linux::rows("tcp")
                .chain(linux::rows("tcp6"))
                .filter(|row| row.local == peer && row.remote == Some(local));
            uids.next().is_some_and(|row| row.is_established && allowed(row.uid))
        }
        Transport::Udp => {
            let port = peer.port();
            let mut uids = linux::rows("udp").chain(linux::rows("udp6")).filter(|row| {
                let ip = row.local.ip().to_canonical();
                row.local.port() == port && (ip.is_unspecified() || ip == peer.ip().to_canonical())
            });
            // Several users can share a port if they want to: then it is nobody's own.
            let mut any = false;
            let all = uids.all(|row| {
                any = true;
                allowed(row.uid)
            });
            any && all
        }
    }
}

/// Nothing is known here of other users' sockets.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub(super) fn is_own(_: Transport, _: SocketAddr, _: SocketAddr) -> bool {
    true
}

#[cfg(target_os = "linux")]
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    /// A socket in the kernel's list.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Row {
        pub(super) local: SocketAddr,
        /// `None` where it has none.
        pub(super) remote: Option<SocketAddr>,
        pub(super) is_established: bool,
        pub(super) uid: u32,
    }

    pub(super) fn rows(list: &str) -> impl Iterator<Item = Row> + use<> {
        let file = File::open(format!("/proc/self/net/{list}")).ok();
        let lines = file.into_iter().flat_map(|file| BufReader::new(file).lines());
        lines.map_while(Result::ok).filter_map(|line| row(&line))
    }

    /// `sl: local remote state tx:rx tr:when retransmits uid …`, all but the last in hexadecimal.
    pub(super) fn row(line: &str) -> Option<Row> {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let state = words.next()?;
        let uid = words.nth(3)?.parse().ok()?;
        let remote = (remote.port() != 0).then_some(remote);
        Some(Row { local, remote, is_established: state == "01", uid })
    }

    /// Words of 32 bits as they lie in memory, and the port as a number.
    fn address(text: &str) -> Option<SocketAddr> {
        let (ip, port) = text.split_once(':')?;
        let word = |i: usize| {
            let word = u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16).ok()?;
            Some(word.to_ne_bytes())
        };
        let ip = match ip.len() {
            8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
            32 => {
                let words: Vec<[u8; 4]> = (0..4).map(word).collect::<Option<_>>()?;
                IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?))
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn the_kernels_lines_are_understood() {
        let line = "   1: 0100007F:4854 0100007F:D431 01 00000000:00000000 00:00000000 00000000 \
                    1000        0 4711 1 0000000000000000 20 4 30 10 -1";
        let expected = linux::Row {
            local: "127.0.0.1:18516".parse().expect("an address"),
            remote: "127.0.0.1:54321".parse().ok(),
            is_established: true,
            uid: 1000,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(linux::row(line), Some(expected));
        }
        assert_eq!(linux::row("  sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(linux::row(""), None);
    }

    #[test]
    fn own_sockets_are_own_while_they_are_open() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let local = listener.local_addr().expect("an address");
            let client = TcpStream::connect(local).expect("connected");
            let peer = client.local_addr().expect("an address");
            assert!(is_own(Transport::Tcp, peer, local), "{address}");
            let other = SocketAddr::new(peer.ip(), 1);
            assert!(!is_own(Transport::Tcp, other, local), "nobody is connected like this");

            let socket = UdpSocket::bind(address).expect("bound");
            let peer = socket.local_addr().expect("an address");
            assert!(is_own(Transport::Udp, peer, local), "{address}");
            drop(socket);
            assert!(!is_own(Transport::Udp, peer, local), "{address}");
        }
    }
}
