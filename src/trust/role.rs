//! Roles: what an operator may do on an agent.

use std::fmt;
use std::str::FromStr;

/// One thing that an operator may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// See the screen: start and stop the monitoring.
    View = 1,
    /// Lock, free and move the pointer.
    Control = 2,
    /// Send messages to who sits there.
    Message = 4,
    /// Send and fetch files.
    Files = 8,
    /// Restart the machine, switch it off, end the session there. It is never part of `all`.
    Power = 16,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::View, Self::Control, Self::Message, Self::Files, Self::Power];

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Control => "control",
            Self::Message => "message",
            Self::Files => "files",
            Self::Power => "power",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// What `all` stands for: every role but [`Role::Power`], which has to be written out.
    pub const ALL: Self = Self(15);

    /// Whether the role is among them.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & role as u8 != 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |all, role| all | role as u8))
    }
}

/// Why a text names no roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no role: there are view, control, message, files, all of these, and power")]
pub struct RoleError(String);

impl FromStr for Roles {
    type Err = RoleError;

    /// Reads `view,control`, `all`, or `all,power`.
    fn from_str(text: &str) -> Result<Self, RoleError> {
        let roles = |name: &str| match Role::ALL.into_iter().find(|role| role.name() == name) {
            Some(role) => Ok(role as u8),
            None if name == "all" => Ok(Self::ALL.0),
            None => Err(RoleError(crate::text::printable(name))),
        };
        text.split(',').try_fold(Self(0), |all, name| Ok(Self(all.0 | roles(name)?)))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL.0 == Self::ALL.0;
        let rest = if all { self.0 & !Self::ALL.0 } else { self.0 };
        let named = Role::ALL.into_iter().filter(|role| Self(rest).has(*role)).map(Role::name);
        let names: Vec<_> = all.then_some("all").into_iter().chain(named).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_they_are_written() {
        for text in ["view", "view,control", "message,files", "all", "view,power", "all,power"] {
            let roles: Roles = text.parse().expect("roles");
            assert_eq!(roles.to_string(), text);
        }
        assert_eq!("view,control,message,files".parse(), Ok(Roles::ALL));
        assert!(!Roles::ALL.has(Role::Power), "it has to be written out");
        assert_eq!(
            "files,view".parse(),
            Ok([Role::View, Role::Files].into_iter().collect::<Roles>())
        );
        for text in ["", "view,", "View", "root"] {
            assert!(text.parse::<Roles>().is_err(), "{text}");
        }
    }
}
