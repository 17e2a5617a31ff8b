//! The configuration file, `hightower.toml`: machines and groups of machines by name, and what
//! commands do where their flags and the environment say nothing.
//!
//! ```toml
//! [hosts]
//! lab-01 = "192.168.7.11"
//!
//! [groups]
//! room2 = ["lab-01", "192.168.7.12:4000", "@others"]
//!
//! [agent]
//! autostart = true
//! ```
//!
//! A section that is neither `hosts` nor `groups` is of the command of that name, and its keys are
//! the command's flags. Whether there is such a command is for who runs it to say (`cli`).

mod error;

pub use error::{ConfigError, Fault};

use crate::address::Target;
use crate::text::printable;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use toml_edit::{Document, Item, Key, TableLike, Value};

/// The file's name, in Hightower's folder.
pub const FILE: &str = "hightower.toml";

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The longest name of a group, in bytes.
const MAX_NAME: usize = 64;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigFile {
    /// Machines by the names that the file gives them.
    pub hosts: BTreeMap<String, Target>,
    groups: BTreeMap<String, Vec<Member>>,
    /// What the sections of commands say, as it stands there.
    pub settings: Vec<Setting>,
    text: String,
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq)]
enum Member {
    Host(Target),
    Group(String),
}

/// A flag that a section gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The command.
    pub command: String,
    /// The flag, as it is called, without its dashes.
    pub flag: String,
    /// What it is set to.
    pub given: Given,
    /// Where the flag stands, and where its value does.
    pub at: (Range<usize>, Range<usize>),
}

/// What a flag is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// On or off.
    Switch(bool),
    /// Values, as they would be typed.
    Values(Vec<String>),
}

/// Why a group names no machines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It is not in the file.
    #[error("there is no group @{name} in {FILE}{}", listed(known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The groups that there are.
        known: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => ", which has no groups".into(),
        names => format!(", which has @{}", names.join(", @")),
    }
}

impl ConfigFile {
    /// Reads the file; where there is none, it says nothing.
    ///
    /// # Errors
    /// When it can't be read, or what is wrong with it and where.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| {
            if file.metadata()?.len() > MAX_FILE {
                return Err(io::Error::other(format!("it is longer than {} MiB", MAX_FILE >> 20)));
            }
            file.take(MAX_FILE).read_to_end(&mut bytes)
        });
        match read {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(ConfigError::Unreadable { path: path.to_owned(), cause }),
            Ok(_) => Self::of_bytes(bytes).map_err(|fault| fault.of(path)),
        }
    }

    fn of_bytes(bytes: Vec<u8>) -> Result<Self, Fault> {
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(e) => {
                let text = String::from_utf8_lossy(e.as_bytes());
                // What is before the first byte at fault stands there unchanged.
                let at = e.utf8_error().valid_up_to();
                Err(Fault::new(&text, at, "what stands here is not UTF-8".into()))
            }
        }
    }

    /// Reads what a file says.
    ///
    /// # Errors
    /// What is wrong with it and where.
    pub fn parse(text: String) -> Result<Self, Fault> {
        let mut file = Self { text, ..Self::default() };
        let text = file.text.clone();
        let document = Document::parse(&text[..]).map_err(|e| {
            let at = e.span().unwrap_or(0..0);
            file.fault(&at, e.message())
        })?;
        for (section, item) in entries(document.as_table()) {
            let (name, at) = (section.get(), section.span().unwrap_or_default());
            let Some(table) = item.as_table_like() else {
                return Err(file.fault(&at, format!("'{}' is outside of any section", name)));
            };
            match name {
                "hosts" => file.hosts(table)?,
                "groups" => file.groups(table)?,
                command => file.settings(command, table)?,
            }
        }
        for members in file.groups.values() {
            for member in members {
                if let Member::Group(name) = member
                    && !file.groups.contains_key(name)
                {
                    let at = file.text.find(&format!("@{name}")).unwrap_or(0);
                    let at = at..at + name.len() + 1;
                    return Err(file.fault(&at, format!("there is no group @{name}")));
                }
            }
        }
        Ok(file)
    }

    fn hosts(&mut self, table: &dyn TableLike) -> Result<(), Fault> {
        for (key, item) in entries(table) {
            let at = span(item, key);
            let address = item
                .as_str()
                .ok_or_else(|| self.fault(&at, "a machine's address is text: \"192.168.7.11\""))?;
            let target = address.parse().map_err(|e| self.fault(&at, e))?;
            let name: Target = key.get().parse().map_err(|e| self.fault(&key_span(key), e))?;
            if name.port != hightower_proto::PORT || name.host.starts_with('@') {
                let fault = format!("'{}' is no name of a machine", printable(key.get()));
                return Err(self.fault(&key_span(key), fault));
            }
            self.hosts.insert(name.host, target);
        }
        for (key, item) in entries(table) {
            let named = item.as_str().and_then(|text| text.parse::<Target>().ok());
            if let Some(Target { host, .. }) = named
                && host != key.get()
                && self.hosts.contains_key(&host)
            {
                let fault = format!("'{host}' is a name of this file itself: give its address");
                return Err(self.fault(&span(item, key), fault));
            }
        }
        Ok(())
    }

    fn groups(&mut self, table: &dyn TableLike) -> Result<(), Fault> {
        for (key, item) in entries(table) {
            let name = group_name(key.get()).map_err(|e| self.fault(&key_span(key), e))?;
            let list = item.as_array().ok_or_else(|| {
                let fault = "a group is a list of machines: [\"lab-01\", \"192.168.7.12\"]";
                self.fault(&span(item, key), fault)
            })?;
            let members = list.iter().map(|value| self.member(value)).collect::<Result<_, _>>()?;
            self.groups.insert(name.into(), members);
        }
        for (key, item) in entries(table) {
            let (mut gone, mut any) = (HashSet::new(), false);
            self.gather(key.get(), &mut gone, &mut |_| any = true);
            // A group with nobody in it yet, or that is nowhere, is another matter.
            let empty = |name: &&str| self.groups.get(*name).is_none_or(Vec::is_empty);
            if !any && !gone.iter().any(empty) {
                let fault =
                    format!("'{}' has no machine: its groups have but each other", key.get());
                return Err(self.fault(&span(item, key), fault));
            }
        }
        Ok(())
    }

    fn member(&self, value: &Value) -> Result<Member, Fault> {
        let at = value.span().unwrap_or_default();
        let text = value.as_str().ok_or_else(|| self.fault(&at, "a machine's name is text"))?;
        match text.strip_prefix('@') {
            Some(name) => {
                let name = group_name(name).map_err(|e| self.fault(&at, e))?;
                Ok(Member::Group(name.into()))
            }
            None => text.parse().map(Member::Host).map_err(|e| self.fault(&at, e)),
        }
    }

    fn settings(&mut self, command: &str, table: &dyn TableLike) -> Result<(), Fault> {
        for (key, item) in entries(table) {
            let at = span(item, key);
            let given = given(item).ok_or_else(|| {
                self.fault(&at, "a flag is set to text, a number, true, false, or a list of these")
            })?;
            let (command, flag) = (command.to_owned(), key.get().to_owned());
            self.settings.push(Setting { command, flag, given, at: (key_span(key), at) });
        }
        Ok(())
    }

    /// What is wrong at a place of the file.
    #[must_use]
    pub fn fault(&self, at: &Range<usize>, what: impl ToString) -> Fault {
        Fault::new(&self.text, at.start, what.to_string())
    }

    /// The machines of a group, each once, in the file's order.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn group(&self, name: &str) -> Result<Vec<Target>, GroupError> {
        if !self.groups.contains_key(name) {
            let known = self.groups.keys().cloned().collect();
            return Err(GroupError::Unknown { name: printable(name), known });
        }
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        self.gather(name, &mut HashSet::new(), &mut |target: &Target| {
            if seen.insert(target.clone()) {
                found.push(target.clone());
            }
        });
        Ok(found)
    }

    /// Groups may have each other as members: each is gone through once.
    fn gather<'a>(
        &'a self,
        name: &'a str,
        gone: &mut HashSet<&'a str>,
        tell: &mut impl FnMut(&Target),
    ) {
        if !gone.insert(name) {
            return;
        }
        for member in self.groups.get(name).into_iter().flatten() {
            match member {
                Member::Host(target) => tell(target),
                Member::Group(name) => self.gather(name, gone, tell),
            }
        }
    }

    /// The names of the groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Every machine in the file, each once: those with names, then those of groups.
    #[must_use]
    pub fn machines(&self) -> Vec<Target> {
        let named = self.hosts.keys().cloned();
        let named = named.map(|host| Target { host, port: hightower_proto::PORT });
        let members = self.groups.values().flatten().filter_map(|member| match member {
            Member::Host(target) => Some(target.clone()),
            Member::Group(_) => None,
        });
        let mut seen = HashSet::new();
        named.chain(members).filter(|target| seen.insert(target.clone())).collect()
    }
}

/// A group's name, as it is typed after the @.
///
/// # Errors
/// When nobody could type it.
pub fn group_name(text: &str) -> Result<&str, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || "@,/\\\"'".contains(c);
    if text.is_empty() || text.len() > MAX_NAME || text.contains(bad) {
        return Err(format!("'{}' is no name of a group", printable(text)));
    }
    Ok(text)
}

/// The keys of a table, which know where they stand, and what they are set to.
fn entries(table: &(impl TableLike + ?Sized)) -> impl Iterator<Item = (&Key, &Item)> {
    table.iter().filter_map(|(name, _)| table.get_key_value(name))
}

fn key_span(key: &Key) -> Range<usize> {
    key.span().unwrap_or_default()
}

/// Where a value stands, or its key.
fn span(item: &Item, key: &Key) -> Range<usize> {
    item.span().unwrap_or_else(|| key_span(key))
}

fn given(item: &Item) -> Option<Given> {
    let value = item.as_value()?;
    match value {
        Value::Boolean(on) => Some(Given::Switch(*on.value())),
        Value::Array(list) => {
            let values = list.iter().map(typed).collect::<Option<Vec<_>>>()?;
            (!values.is_empty()).then_some(Given::Values(values))
        }
        one => typed(one).map(|one| Given::Values(vec![one])),
    }
}

/// A value as it would be typed.
fn typed(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, Fault> {
        ConfigFile::parse(text.into())
    }

    fn names(targets: &[Target]) -> Vec<String> {
        targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn machines_and_groups_have_names() {
        let file = parse(
            r#"
            [hosts]
            lab-01 = "192.168.7.11"
            lab-02 = "[fe80::2]:4000"
            [groups]
            room2 = ["lab-01", "lab-02", "10.0.0.9:4000", "@all"]
            all = ["@room2", "lab-01", "lab-03"]
            none = []
            "#,
        )
        .expect("a file");
        assert_eq!(file.hosts["lab-02"].to_string(), "[fe80::2]:4000");
        let room = file.group("room2").expect("a group");
        assert_eq!(names(&room), ["lab-01", "lab-02", "10.0.0.9:4000", "lab-03"]);
        assert_eq!(names(&file.group("none").expect("a group")), Vec::<String>::new());
        assert_eq!(names(&file.machines()), ["lab-01", "lab-02", "lab-03", "10.0.0.9:4000"]);
        let unknown = file.group("room3").expect_err("no such group").to_string();
        assert_eq!(
            unknown,
            "there is no group @room3 in hightower.toml, which has @all, @none, @room2"
        );
    }

    #[test]
    fn commands_have_flags() {
        let text = "[agent]\nautostart = true\nmax-fps = 30\ngroup = [\"a\", \"b\"]\n";
        let file = parse(text).expect("a file");
        let said: Vec<_> = file
            .settings
            .iter()
            .map(|s| (s.command.as_str(), s.flag.as_str(), s.given.clone(), &text[s.at.1.clone()]))
            .collect();
        let values =
            |values: &[&str]| Given::Values(values.iter().map(ToString::to_string).collect());
        assert_eq!(
            said,
            [
                ("agent", "autostart", Given::Switch(true), "true"),
                ("agent", "max-fps", values(&["30"]), "30"),
                ("agent", "group", values(&["a", "b"]), "[\"a\", \"b\"]"),
            ]
        );
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let fault = ConfigFile::of_bytes(b"[hosts]\n\xc3\xa4 = \"\xff\"".to_vec());
        let fault = fault.expect_err("not UTF-8");
        assert_eq!((fault.line, fault.column), (2, 6), "{fault:?}");
    }

    #[test]
    fn groups_may_wait_for_their_machines() {
        let file = parse("[groups]\na = [\"@b\", \"@c\"]\nb = []\nc = [\"@a\"]\n");
        assert!(file.expect("a file").group("a").is_ok_and(|found| found.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, line, column, what) in [
            ("[hosts]\nlab-01 = 5\n", 2, 10, "text"),
            ("[hosts]\nlab-01 = \"a b\"\n", 2, 10, "'a b' is not a host name"),
            ("[hosts]\n\"lab 01\" = \"a\"\n", 2, 1, "'lab 01' is not a host name"),
            ("[hosts]\n\"@a\" = \"a\"\n", 2, 1, "host name"),
            ("[groups]\nroom = \"lab-01\"\n", 2, 8, "a list"),
            ("[groups]\nroom = [\"a\", \"b:x\"]\n", 2, 14, "'x' is not a port"),
            ("[groups]\nroom = [\"a\", \"@rom\"]\n", 2, 15, "there is no group @rom"),
            ("[groups]\n\"a b\" = []\n", 2, 1, "name of a group"),
            ("[groups]\na = [\"@b\"]\nb = [\"@a\"]\n", 2, 5, "'a' has no machine"),
            ("[hosts]\na = \"b\"\nb = \"c\"\n", 2, 5, "'b' is a name of this file"),
            ("\n  listen = 1\n", 2, 3, "outside of any section"),
            ("[agent]\nlisten = {}\n", 2, 10, "set to"),
            ("[agent]\nä = \"é\" x\n", 2, 9, ""),
            ("[agent]\nlisten = \"\nport = 1", 2, 11, ""),
            ("[agent\n", 1, 7, ""),
        ] {
            let fault = parse(text).expect_err(text);
            assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault:?}");
            assert!(fault.what.contains(what), "{text}: {fault:?}");
            assert!(!fault.what.contains('\n'), "{fault:?}");
        }
    }
}
