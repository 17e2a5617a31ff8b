//! The agents that an operator knows: the file `known_agents`.
//!
//! ```text
//! lab-07,192.168.1.17 ssh-ed25519 AAAAC3…
//! ```
//!
//! A name stands for one key. A key may go by several names.

use super::key::{PublicKey, PublicKeyError};
use crate::address::Target;
use crate::text::printable;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes: some ten thousand agents.
const MAX_FILE: u64 = 1 << 20;

/// What is known of the agent behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the one that goes by this name.
    Known,
    /// Nobody goes by this name yet.
    New,
    /// Another key goes by this name.
    Changed(PublicKey),
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// A line is wrong. None is passed over: it might be the one that counts.
    #[error("{}, line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It is too long.
    #[error("{} is longer than {MAX_FILE} bytes", .0.display())]
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

/// A file of known agents. It is read each time, as others may write it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgents(PathBuf);

/// An agent that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// The names by which it goes, as in the file.
    pub names: Vec<String>,
    /// Its key.
    pub key: PublicKey,
}

impl KnownAgent {
    /// Whether it goes by this name.
    #[must_use]
    pub fn is_called(&self, target: &Target) -> bool {
        self.names.iter().any(|one| is(one, target))
    }
}

impl KnownAgents {
    /// This file; it need not be there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The key that goes by this name.
    ///
    /// # Errors
    /// When the file is there and can't be read or is wrong.
    pub fn key_of(&self, target: &Target) -> Result<Option<PublicKey>, KnownError> {
        let found = self.entries()?.into_iter().find(|entry| entry.is_called(target));
        Ok(found.map(|entry| entry.key))
    }

    /// How a key stands to a name.
    ///
    /// # Errors
    /// When the file is there and can't be read or is wrong.
    pub fn standing(&self, target: &Target, key: &PublicKey) -> Result<Standing, KnownError> {
        Ok(match self.key_of(target)? {
            Some(known) if known == *key => Standing::Known,
            Some(other) => Standing::Changed(other),
            None => Standing::New,
        })
    }

    /// The names by which a key goes.
    ///
    /// # Errors
    /// When the file is there and can't be read or is wrong.
    pub fn names_of(&self, key: &PublicKey) -> Result<Vec<String>, KnownError> {
        let entries = self.entries()?.into_iter().filter(|entry| entry.key == *key);
        Ok(entries.flat_map(|entry| entry.names).collect())
    }

    /// All of them, each key once, in the order of the file.
    ///
    /// # Errors
    /// When the file is there and can't be read or is wrong.
    pub fn list(&self) -> Result<Vec<KnownAgent>, KnownError> {
        let mut agents = Vec::new();
        let mut places = HashMap::new();
        for entry in self.entries()? {
            match places.get(&entry.key) {
                None => {
                    places.insert(entry.key, agents.len());
                    agents.push(entry);
                }
                Some(&at) => {
                    let agent: &mut KnownAgent = &mut agents[at];
                    agent.names.extend(entry.names);
                }
            }
        }
        Ok(agents)
    }

    /// Remembers that this key goes by this name. The file is replaced as a whole, or not at all.
    ///
    /// # Errors
    /// When another key goes by that name already, or the file can't be read or written.
    pub fn add(&self, target: &Target, key: &PublicKey) -> Result<(), KnownError> {
        let io = |cause| KnownError::Io { path: self.0.clone(), cause };
        match self.standing(target, key)? {
            Standing::Known => return Ok(()),
            Standing::Changed(_) => return Err(io(io::ErrorKind::AlreadyExists.into())),
            Standing::New => {}
        }
        let mut text = self.text()?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{target} {key}\n"));
        self.replace(&text).map_err(io)
    }

    /// Forgets a name. False when nobody goes by it.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn forget(&self, target: &Target) -> Result<bool, KnownError> {
        let text = self.text()?;
        let mut found = false;
        let mut kept = String::with_capacity(text.len());
        for line in text.lines() {
            let Some((names, key)) = line.trim().split_once(char::is_whitespace) else {
                kept.push_str(line);
                kept.push('\n');
                continue;
            };
            let others: Vec<_> = names.split(',').filter(|other| !is(other, target)).collect();
            if others.len() == names.split(',').count() || names.starts_with('#') {
                kept.push_str(line);
                kept.push('\n');
            } else {
                found = true;
                if !others.is_empty() {
                    kept.push_str(&format!("{} {key}\n", others.join(",")));
                }
            }
        }
        if found {
            self.replace(&kept).map_err(|cause| KnownError::Io { path: self.0.clone(), cause })?;
        }
        Ok(found)
    }

    fn entries(&self) -> Result<Vec<KnownAgent>, KnownError> {
        let text = self.text()?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let entry = |(number, line): (usize, &str)| {
            let wrong = |why: String| KnownError::Line { path: self.0.clone(), line: number, why };
            let (names, key) = line.trim().split_once(char::is_whitespace).ok_or_else(|| {
                wrong(format!("'{}' is no NAME followed by a key", printable(line)))
            })?;
            let key = key.trim().parse().map_err(|e: PublicKeyError| wrong(e.to_string()))?;
            Ok(KnownAgent { names: names.split(',').map(str::to_owned).collect(), key })
        };
        lines.map(entry).collect()
    }

    fn text(&self) -> Result<String, KnownError> {
        let io = |cause| KnownError::Io { path: self.0.clone(), cause };
        let long = || KnownError::Long(self.0.clone());
        super::read_list(&self.0, MAX_FILE).map_err(io)?.ok_or_else(long)
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut name = self.0.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = PathBuf::from(name);
        super::key::write_new(&new, text.as_bytes())?;
        fs::rename(&new, &self.0).inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

/// Whether a name in the file is this machine's: capitals tell none apart (RFC 4343), and the usual
/// port may be written or left out.
fn is(name: &str, target: &Target) -> bool {
    name.parse().is_ok_and(|one: Target| {
        one.port == target.port && one.host.eq_ignore_ascii_case(&target.host)
    })
}

#[cfg(test)]
mod tests {
    use super::super::key::SecretKey;
    use super::*;

    fn target(name: &str) -> Target {
        name.parse().expect("a name")
    }

    #[test]
    fn a_name_stands_for_one_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let known = KnownAgents::at(folder.path().join("known_agents"));
        let [a, b] = std::array::from_fn(|_| SecretKey::generate().public());
        let standing = |name: &str, key| known.standing(&target(name), &key).expect("read");
        assert_eq!(standing("lab-07", a), Standing::New);
        known.add(&target("lab-07"), &a).expect("added");
        known.add(&target("10.0.0.7:99"), &a).expect("added");
        known.add(&target("lab-07"), &a).expect("as it was");
        assert_eq!(standing("lab-07:18516", a), Standing::Known);
        assert_eq!(standing("lab-07", b), Standing::Changed(a));
        assert_eq!(standing("10.0.0.7", b), Standing::New, "another port is another agent");
        assert_eq!(known.names_of(&a).expect("read"), ["lab-07", "10.0.0.7:99"]);
        known.add(&target("lab-08"), &b).expect("added");
        known.add(&target("old-07"), &a).expect("added");
        let list = known.list().expect("read");
        let names: Vec<_> = list.iter().map(|agent| agent.names.join(",")).collect();
        assert_eq!(names, ["lab-07,10.0.0.7:99,old-07", "lab-08"]);
        assert!(known.forget(&target("lab-08")).expect("written"));
        assert!(known.forget(&target("old-07")).expect("written"));
        assert!(known.add(&target("lab-07"), &b).is_err());
        assert!(known.forget(&target("lab-07")).expect("written"));
        assert!(!known.forget(&target("lab-07")).expect("read"));
        assert_eq!(known.names_of(&a).expect("read"), ["10.0.0.7:99"]);
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "nothing is left over");
    }

    #[test]
    fn the_usual_port_may_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_agents");
        let [a, b] = std::array::from_fn(|_| SecretKey::generate().public());
        let lines = format!("LAB-20:18516,[::1]:18516 {a}\n[fe80::2],lab-20:9 {b}\n");
        fs::write(&path, lines).expect("written");
        let known = KnownAgents::at(path.clone());
        let key_of = |name: &str| known.key_of(&target(name)).expect("read");
        for name in ["lab-20", "Lab-20:18516", "::1", "[::1]", "[::1]:18516"] {
            assert_eq!(key_of(name), Some(a), "{name}");
        }
        assert_eq!((key_of("fe80::2"), key_of("lab-20:9")), (Some(b), Some(b)));
        assert_eq!((key_of("lab-20:8"), key_of("[::1]:9")), (None, None));
        assert!(known.add(&target("lab-20"), &b).is_err(), "two keys of one name");
        known.add(&target("lab-20"), &a).expect("as it was");
        assert!(known.forget(&target("lab-20")).expect("written"));
        let left = fs::read_to_string(&path).expect("read");
        assert_eq!(left, format!("[::1]:18516 {a}\n[fe80::2],lab-20:9 {b}\n"));
    }

    #[test]
    fn a_line_that_is_wrong_is_named_and_nothing_is_guessed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_agents");
        let key = SecretKey::generate().public();
        let lines = format!("# mine\n\na,b,c {key} a comment\n");
        fs::write(&path, &lines).expect("written");
        let known = KnownAgents::at(path.clone());
        assert_eq!(known.key_of(&target("b")).expect("read"), Some(key));
        assert!(known.forget(&target("b")).expect("written"));
        let left = fs::read_to_string(&path).expect("read");
        assert_eq!(left, format!("# mine\n\na,c {key} a comment\n"));
        for wrong in ["lab-08\n", "lab-08 ssh-ed25519 AAAA\n"] {
            fs::write(&path, format!("{lines}{wrong}")).expect("written");
            let error = known.key_of(&target("a")).expect_err("wrong");
            assert!(matches!(error, KnownError::Line { line: 4, .. }), "{error}");
        }
    }
}
