//! What a machine is, as its agent tells it.

use crate::json;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What a STRUCT that carries facts has for its only member.
const MEMBER: &str = "facts";

/// What a machine is. Whoever reads it from a network has to make its texts harmless before they
/// are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Its host name.
    pub host: String,
    /// The system and its version, for people: "Debian GNU/Linux 12 (bookworm)".
    pub os: String,
    /// The user whose agent this is.
    pub user: String,
    /// How long the machine is up, in seconds.
    pub up_s: u64,
    /// How long the agent runs, in seconds.
    pub agent_up_s: u64,
    /// Its interfaces, the loopback left out.
    #[serde(deserialize_with = "json::objects")]
    pub interfaces: Vec<Interface>,
    /// Its monitors.
    #[serde(deserialize_with = "json::objects")]
    pub monitors: Vec<Monitor>,
}

/// An interface to a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// What the system calls it.
    pub name: String,
    /// Its hardware address, "52:54:00:12:34:56".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The machine's addresses there.
    #[serde(deserialize_with = "json::objects")]
    pub addresses: Vec<Address>,
}

/// An address of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The netmask, an address with the bits of the network set.
    pub netmask: IpAddr,
    /// The address of all on that network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<Ipv4Addr>,
}

impl Address {
    /// How many bits the network has: 24 for 255.255.255.0.
    #[must_use]
    pub fn prefix(&self) -> u32 {
        match self.netmask {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        }
    }
}

/// A monitor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Monitor {
    /// What the system calls it.
    pub name: String,
    /// Pixels from the left of the virtual desktop.
    pub x: i32,
    /// Pixels from its top.
    pub y: i32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How much larger than usual things are drawn, in percent: 100 draws them as they are.
    pub scale: u32,
}

impl Facts {
    /// The value of a STRUCT that carries them.
    #[must_use]
    pub fn to_struct(&self) -> serde_json::Value {
        serde_json::json!({ MEMBER: self })
    }

    /// The facts in a STRUCT's value; `None` when it carries something else.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn from_struct(value: &serde_json::Value) -> Option<Result<Self, String>> {
        let facts = value.as_object()?.get(MEMBER)?;
        Some(json::object(facts).map_err(|e| json::reason(&e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_as_they_were_told_and_what_is_new_is_passed_over() {
        let told = r#"{"host":"desk-7","interfaces":[{"name":"eth0","addresses":
            [{"ip":"10.0.0.7","netmask":"255.255.255.0","broadcast":"10.0.0.255","new":1}]}],
            "monitors":[{"name":"HDMI-1","width":1920,"height":1080,"scale":100}],"new":[]}"#;
        let facts: Facts = json::parse_object(told.as_bytes()).expect("facts");
        assert_eq!(facts.interfaces[0].addresses[0].prefix(), 24);
        assert_eq!(Facts::from_struct(&facts.to_struct()), Some(Ok(facts)));
        for (other, is_facts) in [("[]", false), ("{}", false), (r#"{"facts":[]}"#, true)] {
            let value = serde_json::from_str(other).expect("JSON");
            let found = Facts::from_struct(&value);
            assert_eq!(found.is_some(), is_facts, "{other}");
            assert!(found.is_none_or(|facts| facts.is_err()), "{other}");
        }
        // As everywhere: objects are objects.
        let list = br#"{"monitors":[["HDMI-1",0,0,1,1,100]]}"#;
        assert!(json::parse_object::<Facts>(list).is_err());
    }
}
