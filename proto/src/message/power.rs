//! What is to become of a machine, or of the session on it.

use serde::{Deserialize, Serialize};

/// Operator to agent: what is to be done, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Power {
    /// What is to be done.
    pub act: Act,
    /// How long the person at the machine is told before, in milliseconds; `None` leaves it to the
    /// agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u32>,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Restart the machine.
    Reboot,
    /// Switch it off.
    Shutdown,
    /// End the session of the person at the machine.
    Logoff,
    /// Lock the screen, so that it takes their password; at once.
    LockScreen,
    /// Do not do what is counted down.
    Cancel,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 5] =
        [Self::Reboot, Self::Shutdown, Self::Logoff, Self::LockScreen, Self::Cancel];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Shutdown => "shutdown",
            Self::Logoff => "logoff",
            Self::LockScreen => "lock-screen",
            Self::Cancel => "cancel",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn acts_are_named_as_they_are_written() {
        for act in Act::ALL {
            let written = json::encode(&Power { act, delay_ms: None });
            let expected = format!(r#"{{"act":"{}"}}"#, act.name());
            assert_eq!(written, expected.as_bytes());
        }
        let full = br#"{"act":"reboot","delay_ms":9000}"#;
        let power = Power { act: Act::Reboot, delay_ms: Some(9000) };
        assert_eq!(json::parse_object(full), Ok(power));
        assert!(json::parse_object::<Power>(br#"{"act":"explode"}"#).is_err());
        assert!(json::parse_object::<Power>(br#"{"act":"reboot","delay_ms":-1}"#).is_err());
    }
}
