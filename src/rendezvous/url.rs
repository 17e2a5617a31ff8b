//! Url: a hub as a user names it, `https://hub.example:18517`.

use crate::text::printable;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use tokio_tungstenite::tungstenite::http::Uri;

/// A hub's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubUrl {
    secure: bool,
    host: String,
    port: u16,
}

/// Why a text is no hub's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not written as one.
    #[error("'{0}' is no address of a hub: it is written https://HOST or https://HOST:PORT")]
    Form(String),
    /// It would not be encrypted.
    #[error("http:// is for a hub on this machine alone: '{0}' is written with https://")]
    Plain(String),
}

impl HubUrl {
    /// Whether it is called by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its name with its port, by which its certificate is known.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// Its name as it stands in requests: the port is left out where it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.bracketed() } else { self.name() }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// Whether it is called on this machine's loopback, by its name.
    pub(super) fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for HubUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let form = || UrlError::Form(printable(text));
        let uri: Uri = text.trim().parse().map_err(|_| form())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = uri.authority().ok_or_else(form)?;
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return Err(form());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let typed =
            authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        let port = match authority.port_u16() {
            Some(0) => return Err(form()),
            Some(port) => port,
            // What is behind a colon and no port is no address.
            None if typed.contains(':') => return Err(form()),
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
        };
        if host.is_empty() {
            return Err(form());
        }
        let hub = Self { secure, host, port };
        if secure || hub.is_local() { Ok(hub) } else { Err(UrlError::Plain(printable(text))) }
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        for (typed, name, shown) in [
            ("https://hub.example:18517", "hub.example:18517", "https://hub.example:18517"),
            (" https://Hub.Example/ ", "hub.example:443", "https://hub.example"),
            ("http://127.0.0.1:18517", "127.0.0.1:18517", "http://127.0.0.1:18517"),
            ("http://localhost", "localhost:80", "http://localhost"),
            ("https://[fd00::1]:9", "[fd00::1]:9", "https://[fd00::1]:9"),
        ] {
            let hub: HubUrl = typed.parse().unwrap_or_else(|e| panic!("{typed}: {e}"));
            assert_eq!((hub.name().as_str(), hub.to_string().as_str()), (name, shown));
            assert_eq!(shown.parse(), Ok(hub));
        }
    }

    #[test]
    fn what_names_no_hub() {
        for typed in [
            "",
            "hub",
            "hub:18517",
            "ftp://hub",
            "https://",
            "https://hub/x",
            "https://hub?x",
            "https://a@hub",
            "https://hub:0",
            "https://hub:99999",
            "https://hub:",
            "/",
        ] {
            assert!(matches!(typed.parse::<HubUrl>(), Err(UrlError::Form(_))), "{typed}");
        }
        for typed in ["http://hub.example", "http://10.0.0.1:18517", "http://localhost.example"] {
            assert!(matches!(typed.parse::<HubUrl>(), Err(UrlError::Plain(_))), "{typed}");
        }
    }
}
