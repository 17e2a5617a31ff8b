//! A machine as a user names it: `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address, which has
//! a network behind a `%` where it is link-local: `fe80::2%eth0`.

use crate::directory::Directory;
use crate::discovery;
use crate::text::printable;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest host name the Internet's name system has, in bytes.
const MAX_HOST: usize = 253;

/// The longest name of a network of this machine, in bytes; Linux has 15.
const MAX_ZONE: usize = 64;

/// A machine and a port, not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, TCP and UDP.
    pub port: u16,
}

/// Why a text names no machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no host in it.
    #[error("a host is missing: give HOST or HOST:PORT")]
    NoHost,
    /// What follows the colon is no port.
    #[error("'{0}' is not a port: give a number from 1 to 65535")]
    Port(String),
    /// A bracket without its other half, or something after it.
    #[error("an IPv6 address with a port is written [ADDRESS]:PORT")]
    Brackets,
    /// What is in brackets, or has several colons, is no IPv6 address.
    #[error("'{0}' is not an IPv6 address")]
    Ipv6(String),
    /// A character that no host name has, or too many of them.
    #[error("'{0}' is not a host name")]
    Host(String),
}

/// Why a machine was not found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name system does not know it.
    #[error("no machine called '{0}' was found")]
    Unknown(String),
    /// More than one machine says that it has the name.
    #[error(
        "several machines call themselves '{host}': name one by its address, {}",
        list(addresses)
    )]
    Several {
        /// The name.
        host: String,
        /// One address of each.
        addresses: Vec<SocketAddr>,
    },
    /// The name system did not answer properly.
    #[error("'{host}' could not be looked up: {source}")]
    Failed {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether no machine ever has the name (RFC 6761).
fn is_reserved(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    ["invalid", "test", "example", "localhost"].iter().any(|one| last.eq_ignore_ascii_case(one))
}

fn list(addresses: &[SocketAddr]) -> String {
    let all: Vec<String> =
        addresses.iter().map(|address| Target::from(*address).to_string()).collect();
    all.join(", ")
}

impl Target {
    /// All addresses of the machine, in the order to try them; never empty. A name that the
    /// configuration file gives stands for what it says there; one that is known nowhere is asked
    /// for on the networks, where the program does that.
    ///
    /// # Errors
    /// When the name is not known, is several machines', or the system could not find out.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, LookupError> {
        if let Some(found) = Directory::found_at(&self.host) {
            return Ok(found);
        }
        let own = Directory::host(&self.host).map(|target| Self {
            // A port that is typed counts for more than the file's.
            port: if self.port == hightower_proto::PORT { target.port } else { self.port },
            host: target.host,
        });
        match (own.as_ref().unwrap_or(self).look_up().await, own) {
            // Where there is no name system at all, that is no other answer.
            (Err(failed), None) if Directory::discovers() && !is_reserved(&self.host) => {
                match self.discover().await {
                    Err(LookupError::Unknown(_)) => Err(failed),
                    found => found,
                }
            }
            (found, _) => found,
        }
    }

    /// Asks the networks for a machine of this name.
    async fn discover(&self) -> Result<Vec<SocketAddr>, LookupError> {
        let host = || self.host.clone();
        let found = discovery::find(&self.host, self.port).await;
        let found = found.map_err(|source| LookupError::Failed { host: host(), source })?;
        match &found[..] {
            [] => Err(LookupError::Unknown(host())),
            [one] => Ok(one.addresses.clone()),
            several => {
                let first = |agent: &discovery::Agent| agent.addresses.first().copied();
                let addresses = several.iter().filter_map(first).collect();
                Err(LookupError::Several { host: host(), addresses })
            }
        }
    }

    /// Asks the system.
    async fn look_up(&self) -> Result<Vec<SocketAddr>, LookupError> {
        // One with a zone is the system's to take apart.
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let unknown = || LookupError::Unknown(self.host.clone());
        match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
            Ok(found) => {
                let mut addresses: Vec<_> = found.collect();
                addresses.dedup();
                if addresses.is_empty() { Err(unknown()) } else { Ok(addresses) }
            }
            // The resolver's own answers carry no code of the system; all but the temporary
            // ones say that there is no such name.
            Err(e) if e.raw_os_error().is_none() && !e.to_string().contains("emporary") => {
                Err(unknown())
            }
            Err(source) => Err(LookupError::Failed { host: self.host.clone(), source }),
        }
    }
}

impl Target {
    /// Whether it is a server of the historical system, by its port.
    #[must_use]
    pub fn is_historical(&self) -> bool {
        use hightower_proto::historical::STREAM_PORT;
        let named = || Directory::host(&self.host).is_some_and(|own| own.port == STREAM_PORT);
        self.port == STREAM_PORT || self.port == hightower_proto::PORT && named()
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(TargetError::Brackets)?;
            let port = match rest {
                "" => None,
                _ => Some(rest.strip_prefix(':').ok_or(TargetError::Brackets)?),
            };
            (ipv6(host)?, port)
        } else if text.matches(':').count() > 1 {
            (ipv6(text)?, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (name(host)?, Some(port)),
                None => (name(text)?, None),
            }
        };
        let port = match port {
            None => hightower_proto::PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(TargetError::Port(printable(port))),
                Ok(port) => port,
            },
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Target {
    /// As a user would type it; the port is left out where it is the usual one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match (host.contains(':'), *port == hightower_proto::PORT) {
            (_, true) => f.write_str(host),
            (true, false) => write!(f, "[{host}]:{port}"),
            (false, false) => write!(f, "{host}:{port}"),
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            // A link-local address means nothing without its network.
            SocketAddr::V6(v6) if v6.scope_id() > 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            other => other.ip().to_string(),
        };
        Self { host, port: address.port() }
    }
}

fn ipv6(text: &str) -> Result<String, TargetError> {
    let (ip, zone) = text.split_once('%').map_or((text, None), |(ip, zone)| (ip, Some(zone)));
    let named = |zone: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        !zone.is_empty() && zone.len() <= MAX_ZONE && zone.chars().all(fits)
    };
    match ip.parse::<Ipv6Addr>() {
        Ok(ip) if zone.is_none_or(|zone| ip.is_unicast_link_local() && named(zone)) => {
            Ok(text.to_owned())
        }
        _ => Err(TargetError::Ipv6(printable(text))),
    }
}

fn name(text: &str) -> Result<String, TargetError> {
    if text.is_empty() {
        return Err(TargetError::NoHost);
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || "/\\@[]?#%".contains(c);
    if text.len() > MAX_HOST || text.contains(bad) {
        return Err(TargetError::Host(printable(text)));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        for (typed, host, port, shown) in [
            ("lab-7", "lab-7", 18516, "lab-7"),
            (" lab-7:9 ", "lab-7", 9, "lab-7:9"),
            ("192.168.1.4", "192.168.1.4", 18516, "192.168.1.4"),
            ("192.168.1.4:18516", "192.168.1.4", 18516, "192.168.1.4"),
            ("::1", "::1", 18516, "::1"),
            ("[fe80::2]", "fe80::2", 18516, "fe80::2"),
            ("[::1]:44444", "::1", 44444, "[::1]:44444"),
            ("fe80::2%eth0", "fe80::2%eth0", 18516, "fe80::2%eth0"),
            ("[fe80::2%3]:9", "fe80::2%3", 9, "[fe80::2%3]:9"),
        ] {
            let target: Target = typed.parse().unwrap_or_else(|e| panic!("{typed}: {e}"));
            assert_eq!((target.host.as_str(), target.port), (host, port), "{typed}");
            assert_eq!(target.to_string(), shown);
            assert_eq!(shown.parse(), Ok(target));
        }
    }

    #[test]
    fn what_names_no_machine() {
        use TargetError::*;
        for (typed, error) in [
            ("", NoHost),
            (":18516", NoHost),
            ("lab:", Port("".into())),
            ("lab:0", Port("0".into())),
            ("lab:65536", Port("65536".into())),
            ("lab:http", Port("http".into())),
            ("[::1", Brackets),
            ("[::1]18516", Brackets),
            ("[lab]:5", Ipv6("lab".into())),
            ("a:b:c", Ipv6("a:b:c".into())),
            ("fe80::2%", Ipv6("fe80::2%".into())),
            ("::1%eth0", Ipv6("::1%eth0".into())),
            ("fe80::2%a b", Ipv6("fe80::2%a b".into())),
            ("http://lab", Port("//lab".into())),
            ("two words", Host("two words".into())),
            ("a\u{1b}b", Host("a\u{fffd}b".into())),
        ] {
            assert_eq!(typed.parse::<Target>(), Err(error), "{typed:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_named_in_the_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let target: Target = "lab-99.invalid".parse().expect("a name");
        let error =
            runtime.expect("a runtime").block_on(target.resolve()).expect_err("no such name");
        assert!(error.to_string().contains("'lab-99.invalid'"), "{error}");
    }
}
