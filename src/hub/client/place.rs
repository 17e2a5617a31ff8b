//! A machine at a hub, as a user names it: `https://hub.example:18517/lab-07`.

use crate::address::Target;
use crate::config::group_name;
use crate::rendezvous::{HubUrl, UrlError};
use crate::text::printable;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::str::FromStr;

/// A machine, or a group of them, at a hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubPlace {
    /// The hub.
    pub hub: HubUrl,
    /// What the machine is called there; `@` before a group.
    pub name: String,
}

/// Why a text names no machine at a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The hub is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The machine is missing, or is no single one.
    #[error("behind the hub's address comes the machine: https://HUB/NAME, or https://HUB/@GROUP")]
    Name,
}

impl HubPlace {
    /// Whether a text means one, right or wrong.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        let text = text.trim_start().to_ascii_lowercase();
        text.starts_with("https://") || text.starts_with("http://")
    }

    /// This machine at this hub, or `@` and a group.
    ///
    /// # Errors
    /// When no machine is called so.
    pub fn new(hub: HubUrl, name: String) -> Result<Self, PlaceError> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | '?' | '#');
        // Of an address, dots alone are no name but a way.
        if matches!(&*name, "" | "." | "..") || name.len() > 255 || name.contains(is_odd) {
            return Err(PlaceError::Name);
        }
        match name.strip_prefix('@').map(group_name) {
            Some(Err(_)) => Err(PlaceError::Name),
            _ => Ok(Self { hub, name }),
        }
    }

    /// The group, if it is one.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.name.strip_prefix('@')
    }
}

impl FromStr for HubPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let text = text.trim();
        let behind = text.find("://").map_or(0, |at| at + 3);
        let slash = text[behind..].find('/').ok_or(PlaceError::Name)? + behind;
        let hub = text[..slash].parse()?;
        let name = text[slash + 1..].strip_suffix('/').unwrap_or(&text[slash + 1..]);
        let name = percent_decode_str(name).decode_utf8().map_err(|_| PlaceError::Name)?;
        // As the hub writes it: without the usual port.
        let name = name.parse().map_or(name.into_owned(), |target: Target| target.to_string());
        Self::new(hub, name)
    }
}

impl fmt::Display for HubPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hub, printable(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_at_a_hub_is_typed() {
        for text in [
            "https://hub.example:18517/lab-07",
            "https://hub.example/127.0.0.1:19001",
            "http://localhost:18517/@room2",
            "https://[::1]:5/[fe80::2]:4000",
        ] {
            let place: HubPlace = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(place.to_string(), text);
        }
        for text in [
            "https://hub.example",
            "https://hub.example/",
            "https://hub.example/a/b",
            "lab-07",
            "https://hub.example/lab-07?x",
            "https://hub.example/%00",
            "https://hub.example/@",
            "http://hub.example/lab-07",
            "https://hub.example/..",
            "https:///lab-07",
        ] {
            assert!(text.parse::<HubPlace>().is_err(), "{text}");
        }
        for (text, name) in [
            ("https://hub.example/lab-07/", "lab-07"),
            ("https://hub.example/lab-07:18516", "lab-07"),
            ("https://hub.example/[::1]:18516", "::1"),
            ("https://hub.example/lab%2D07", "lab-07"),
        ] {
            assert_eq!(text.parse::<HubPlace>().map(|place| place.name), Ok(name.into()), "{text}");
        }
        assert!(HubPlace::is_meant("HTTPS://x") && !HubPlace::is_meant("lab-07:443"));
    }
}
