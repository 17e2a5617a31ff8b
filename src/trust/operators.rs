//! The operators that an agent obeys: its file `authorized_operators`.
//!
//! ```text
//! # roles       limits                                  key                    name
//! all                                                   ssh-ed25519 AAAAC3…    anna@desk
//! view,control  from=10.1.0.0/16,fd00::/8               ssh-ed25519 AAAAC3…    ben
//! view          expires=2027-01-31                      ssh-ed25519 AAAAC3…    a guest
//! ```

use super::key::{PublicKey, PublicKeyError};
use super::role::{RoleError, Roles};
use crate::text::printable;
use ipnet::IpNet;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes: some ten thousand operators.
const MAX_FILE: u64 = 1 << 20;

/// The longest name of an operator, in bytes.
const MAX_NAME: usize = 128;

/// Somebody whom the agent obeys, and in what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// What the line calls them; made harmless for terminals. May be empty.
    pub name: String,
    /// What they are known by.
    pub key: PublicKey,
    /// What they may do.
    pub roles: Roles,
    /// The networks they may come from; empty means any.
    from: Vec<IpNet>,
    /// When they are not obeyed any more.
    expires: Option<Timestamp>,
}

/// Why somebody is not obeyed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// The key is in no line of the file.
    #[error("this agent does not know the key")]
    Unknown,
    /// The line's `from` does not hold the address.
    #[error("the key is not accepted from this address")]
    Elsewhere,
    /// The line's `expires` is over.
    #[error("the key has expired here")]
    Expired,
}

impl Operator {
    /// Reads a line that is neither empty nor a comment.
    fn parse(line: &str) -> Result<Self, LineError> {
        let (words, key) = line.split_once("ssh-ed25519").ok_or(LineError::NoKey)?;
        let mut words = words.split_whitespace();
        let roles = words.next().ok_or(LineError::NoRoles)?.parse()?;
        let (mut from, mut expires) = (Vec::new(), None);
        for word in words {
            match word.split_once('=') {
                Some(("from", list)) if from.is_empty() => {
                    from = list.split(',').map(network).collect::<Result<_, _>>()?;
                }
                Some(("expires", time)) if expires.is_none() => expires = Some(moment(time)?),
                _ => return Err(LineError::Limit(printable(word))),
            }
        }
        let mut rest = key.split_whitespace();
        let key = rest.next().ok_or(LineError::NoKey)?;
        let key = format!("ssh-ed25519 {key}").parse()?;
        let name = printable(&rest.collect::<Vec<_>>().join(" "));
        let name = name[..name.floor_char_boundary(MAX_NAME)].to_owned();
        Ok(Self { name, key, roles, from, expires })
    }

    /// Whether they are obeyed at all, when they come from there now.
    ///
    /// # Errors
    /// Why not.
    pub fn welcome(&self, from: IpAddr, now: Timestamp) -> Result<(), Unwelcome> {
        let from = from.to_canonical();
        if self.expires.is_some_and(|end| now >= end) {
            Err(Unwelcome::Expired)
        } else if !self.from.is_empty() && !self.from.iter().any(|net| net.contains(&from)) {
            Err(Unwelcome::Elsewhere)
        } else {
            Ok(())
        }
    }

    /// Whether they are not obeyed any more from some moment on after the first and up to the
    /// second.
    /// Whether their line is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    pub(super) fn expires_within(&self, after: Timestamp, until: Timestamp) -> bool {
        self.expires.is_some_and(|end| after < end && end <= until)
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, LineError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| LineError::Network(printable(text)))
}

/// A day, to its end here; or a moment with its offset.
fn moment(text: &str) -> Result<Timestamp, LineError> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let end = |day: Date| day.checked_add(1.day())?.to_zoned(TimeZone::system());
    let end = text.parse::<Date>().and_then(end);
    end.map(|end| end.timestamp()).map_err(|_| LineError::Moment(printable(text)))
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There is no key in it.
    #[error("there is no ssh-ed25519 key in it")]
    NoKey,
    /// The key comes first.
    #[error(
        "it does not say what the key may do: it begins with view, control, message, files, \
         power or all"
    )]
    NoRoles,
    /// The first word names no roles.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// A word before the key is no limit, or is there twice.
    #[error("'{0}' is no limit, or the second of its kind: there are from=NETWORK and expires=DAY")]
    Limit(String),
    /// Not a network.
    #[error("'{0}' is no network: as in 10.1.0.0/16 or fd00::/8")]
    Network(String),
    /// Not a moment.
    #[error("'{0}' is no day or time: as in 2027-01-31 or 2027-01-31T18:00:00+01:00")]
    Moment(String),
    /// Not a key.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
    /// The key is in an earlier line, which holds.
    #[error("the key is in line {0} already, and that line holds")]
    Twice(usize),
}

/// A line that is not followed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: LineError,
}

/// Why the file can't be followed at all.
#[derive(Debug, thiserror::Error)]
pub enum OperatorsError {
    /// Others may write it.
    #[error(
        "{} may be changed by others (mode {mode:04o}, or another's file), so nobody in it is obeyed: `chmod go-w` it",
        path.display()
    )]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The key is in the file, and not welcome.
    #[error("{0}, by the line that is there already")]
    Unwelcome(#[from] Unwelcome),
    /// The agent has none.
    #[error("this agent asks nobody for a key, and keeps no list of operators")]
    None,
    /// It is too long.
    #[error("{} is longer than {MAX_FILE} bytes, so nobody in it is obeyed", .0.display())]
    Long(PathBuf),
    /// The system said no.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

/// The file, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Operators {
    list: Vec<Operator>,
    by_key: HashMap<PublicKey, usize>,
    by_id: HashMap<[u8; 16], usize>,
    /// Lines that are not followed.
    pub faults: Vec<Fault>,
}

impl Operators {
    /// Reads the file; one that is not there has nobody in it.
    ///
    /// # Errors
    /// When it is there and can't be read, is too long, or others can change it.
    pub fn load(path: &Path) -> Result<Self, OperatorsError> {
        let io = |cause| OperatorsError::Io { path: path.to_owned(), cause };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(io(e)),
        };
        guard(&file.metadata().map_err(io)?, path)?;
        let mut text = String::new();
        let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(io)?;
        if length as u64 > MAX_FILE {
            return Err(OperatorsError::Long(path.to_owned()));
        }
        Ok(Self::parse(&text))
    }

    /// Adds a line to the file, which is made if need be; a key that is in it already stays as it
    /// is there. Gives the roles that its line has.
    ///
    /// # Errors
    /// When the file can't be followed, the key's line does not let it come from there now, or the
    /// system says no.
    pub fn admit(
        path: &Path,
        key: &PublicKey,
        from: IpAddr,
        roles: Roles,
        name: &str,
    ) -> Result<Roles, OperatorsError> {
        let operators = Self::load(path)?;
        if operators.by_key.contains_key(key) {
            return Ok(operators.find(key, from, Timestamp::now())?.roles);
        }
        let io = |cause| OperatorsError::Io { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(io)?;
        // The last line may lack its end.
        let mut last = [b'\n'];
        if file.metadata().map_err(io)?.len() > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(io)?;
        }
        let begin = if last == *b"\n" { "" } else { "\n" };
        let line = format!("{begin}{roles} {key} {}", printable(name));
        file.write_all(format!("{}\n", line.trim_end()).as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        Ok(roles)
    }

    /// Reads the file's text. A line that is wrong is a fault, and the others hold.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut operators = Self::default();
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let operator = Operator::parse(line).and_then(|operator| {
                match lines.insert(operator.key, number) {
                    None => Ok(operator),
                    Some(first) => {
                        lines.insert(operator.key, first);
                        Err(LineError::Twice(first))
                    }
                }
            });
            match operator {
                Ok(operator) => {
                    let index = operators.list.len();
                    operators.by_key.insert(operator.key, index);
                    operators.by_id.insert(operator.key.id(), index);
                    operators.list.push(operator);
                }
                Err(error) => operators.faults.push(Fault { line: number, error }),
            }
        }
        operators
    }

    /// Whoever has this key, if they are welcome from there now.
    ///
    /// # Errors
    /// Why they are not.
    pub fn find(
        &self,
        key: &PublicKey,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<&Operator, Unwelcome> {
        let index = self.by_key.get(key).ok_or(Unwelcome::Unknown)?;
        let operator = &self.list[*index];
        operator.welcome(from, now).map(|()| operator)
    }

    /// Whoever has the key of this short name ([`PublicKey::id`]).
    #[must_use]
    pub fn by_id(&self, id: &[u8; 16]) -> Option<&Operator> {
        self.by_id.get(id).map(|index| &self.list[*index])
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[Operator] {
        &self.list
    }
}

#[cfg(unix)]
fn guard(about: &Metadata, path: &Path) -> Result<(), OperatorsError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o022 == 0 && super::key::is_own(about) {
        Ok(())
    } else {
        Err(OperatorsError::Loose { path: path.to_owned(), mode })
    }
}

#[cfg(not(unix))]
fn guard(_: &Metadata, _: &Path) -> Result<(), OperatorsError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::key::SecretKey;
    use super::super::role::Role;
    use super::*;

    fn now(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    #[test]
    fn lines_are_followed_one_by_one() {
        let [anna, ben, guest] = std::array::from_fn(|_| SecretKey::generate().public());
        let text = format!(
            "# who may\r\n\nall {anna} anna@desk\n\
             view,control from=10.1.0.0/16,::1 expires=2027-01-31T18:00:00+01:00 {ben}\n\
             root {guest}\nview {anna} again\n {guest} no roles\nview frm=1 {guest}\n\
             view from=10.1 {guest}\nview expires=soon {guest}\nview ssh-rsa AAAA\n\
             view ssh-ed25519 AAAA x\nview {guest} a \u{1b}[2J guest"
        );
        let operators = Operators::parse(&text);
        let names: Vec<_> = operators.list().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["anna@desk", "", "a \u{fffd}[2J guest"]);
        let lines: Vec<_> = operators.faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(operators.faults[1].error, LineError::Twice(3));

        let (inside, outside) = ([10, 1, 9, 9].into(), [10, 2, 0, 1].into());
        let (before, after) = (now("2027-01-31T16:59:59Z"), now("2027-01-31T17:00:00Z"));
        let found = operators.find(&anna, outside, after).expect("welcome");
        assert_eq!(found.roles, Roles::ALL);
        let found = operators.find(&ben, inside, before).expect("welcome");
        assert!(found.roles.has(Role::Control) && !found.roles.has(Role::Files));
        let mapped = "::ffff:10.1.9.9".parse().expect("an address");
        assert!(operators.find(&ben, mapped, before).is_ok());
        assert_eq!(operators.find(&ben, outside, before), Err(Unwelcome::Elsewhere));
        assert_eq!(operators.find(&ben, inside, after), Err(Unwelcome::Expired));
        let stranger = SecretKey::generate().public();
        assert_eq!(operators.find(&stranger, inside, before), Err(Unwelcome::Unknown));
        assert_eq!(operators.by_id(&ben.id()).map(|o| o.key), Some(ben));
    }

    #[test]
    fn a_day_lasts_to_its_end() {
        let end = moment("2027-01-31").expect("a day").to_zoned(TimeZone::system());
        assert_eq!(end.date(), jiff::civil::date(2027, 2, 1));
        assert_eq!((end.hour(), end.minute()), (0, 0));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_change_is_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_operators");
        assert!(Operators::load(&path).expect("nobody").list().is_empty());
        let line = format!("all {} anna\n", SecretKey::generate().public());
        std::fs::write(&path, line).expect("written");
        let set = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("changed");
        };
        set(0o644);
        assert_eq!(Operators::load(&path).expect("one").list().len(), 1);
        set(0o664);
        assert!(matches!(Operators::load(&path), Err(OperatorsError::Loose { .. })));
        set(0o600);
        std::fs::write(&path, "#".repeat(1 << 21)).expect("written");
        assert!(matches!(Operators::load(&path), Err(OperatorsError::Long(_))));
    }
}
