//! Users: who may sign in by a password, and what they may do: the hub's file `hub_users`.
//!
//! ```text
//! # roles        name   password, as argon2id keeps it
//! all            anna   $argon2id$v=19$m=19456,t=2,p=1$…
//! view,message   ben    $argon2id$v=19$…
//! ```
//!
//! `hightower hub-user` writes it. A line that is changed or taken out counts at once: who was signed
//! in by it is no more.

use crate::text::printable;
use crate::trust::{Roles, read_list, write_new};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use ssh_key::rand_core::OsRng;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The longest name, and the longest password, in bytes.
const MAX_NAME: usize = 64;
const MAX_PASSWORD: usize = 1024;

/// The shortest password, in characters (NIST SP 800-63B has 8 as the least).
const MIN_PASSWORD: usize = 8;

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
    /// Their password, as it is kept.
    hash: String,
}

/// Why the file can't be followed or changed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The system says no.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody could be called so.
    #[error("'{0}' is no name for a user: it has no blanks, and {MAX_NAME} bytes at most")]
    Name(String),
    /// Nobody should have such a password.
    #[error("a password has {MIN_PASSWORD} characters at least, and {MAX_PASSWORD} bytes at most")]
    Password,
    /// The library can't keep it.
    #[error("the password can't be kept: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The file, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(Vec<User>);

impl User {
    /// What changes with the password: who signed in by another one is signed in no more.
    pub(super) fn proof(&self) -> [u8; 32] {
        blake3::derive_key("hightower hub 2026-11 proof of a password", self.hash.as_bytes())
    }
}

impl Users {
    /// Reads the file; one that is not there has nobody in it.
    ///
    /// # Errors
    /// When it can't be read, or a line is wrong.
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        Self::parse(&text(path)?).map_err(|(line, why)| UsersError::Line {
            path: path.to_owned(),
            line,
            why,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut users: Vec<User> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why: String| (number, why);
            let mut words = line.split_whitespace();
            let (Some(roles), Some(name), Some(hash), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(wrong("it is not ROLES NAME and a password as it is kept".into()));
            };
            let roles = roles.parse().map_err(|e| wrong(format!("{e}")))?;
            PasswordHash::new(hash)
                .map_err(|e| wrong(format!("no password as it is kept: {e}")))?;
            if users.iter().any(|user| user.name == name) {
                return Err(wrong(format!("'{}' is there twice", printable(name))));
            }
            users.push(User { name: name.into(), roles, hash: hash.into() });
        }
        Ok(Self(users))
    }

    /// The user of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[User] {
        &self.0
    }

    /// Adds a user to the file, or changes one.
    ///
    /// # Errors
    /// When the name or the password won't do, or the file can't be changed.
    pub fn set(path: &Path, name: &str, roles: Roles, password: &str) -> Result<(), UsersError> {
        let bad = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(bad) || name.starts_with('#') {
            return Err(UsersError::Name(printable(name)));
        }
        if password.chars().count() < MIN_PASSWORD || password.len() > MAX_PASSWORD {
            return Err(UsersError::Password);
        }
        let salt = SaltString::generate(&mut OsRng);
        let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
        let hash = hash.map_err(UsersError::Hash)?.to_string();
        // Nothing is written where what is there is not understood.
        Self::load(path)?;
        save(path, &(without(&text(path)?, name) + &format!("{roles} {name} {hash}\n")))
    }

    /// Takes a user out of the file. False when they are not in it.
    ///
    /// # Errors
    /// When the file can't be read or changed.
    pub fn remove(path: &Path, name: &str) -> Result<bool, UsersError> {
        let found = Self::load(path)?.find(name).is_some();
        if found {
            save(path, &without(&text(path)?, name))?;
        }
        Ok(found)
    }

    /// Who has this name and this password. It takes as long where nobody has the name. Works for
    /// some tens of milliseconds.
    #[must_use]
    pub fn who(&self, name: &str, password: &str) -> Option<&User> {
        /// Of no password at all.
        const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                              AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let user = self.find(name).filter(|_| password.len() <= MAX_PASSWORD);
        let hash = PasswordHash::new(user.map_or(NOBODY, |user| &user.hash)).ok()?;
        let password = if password.len() <= MAX_PASSWORD { password } else { "" };
        Argon2::default().verify_password(password.as_bytes(), &hash).ok()?;
        user
    }
}

/// What is in the file; nothing where there is none.
fn text(path: &Path) -> Result<String, UsersError> {
    let io = |cause| UsersError::Io { path: path.to_owned(), cause };
    let long = || io(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    read_list(path, MAX_FILE).map_err(io)?.ok_or_else(long)
}

/// The lines of a file but for a user's; comments stay.
fn without(text: &str, name: &str) -> String {
    let is_theirs = |line: &&str| {
        !line.trim_start().starts_with('#') && line.split_whitespace().nth(1) == Some(name)
    };
    text.lines().filter(|line| !is_theirs(line)).map(|line| format!("{line}\n")).collect()
}

/// Replaces the file as a whole, or not at all.
fn save(path: &Path, text: &str) -> Result<(), UsersError> {
    let io = |cause| UsersError::Io { path: path.to_owned(), cause };
    let new = path.with_extension(format!("{}.new", std::process::id()));
    write_new(&new, text.as_bytes()).map_err(io)?;
    fs::rename(&new, path).inspect_err(|_| drop(fs::remove_file(&new))).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_passwords_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hub_users");
        assert_eq!(Users::load(&path).expect("nobody"), Users::default());
        let view: Roles = "view".parse().expect("roles");
        Users::set(&path, "anna", Roles::ALL, "correct horse").expect("set");
        Users::set(&path, "ben", view, "battery staple").expect("set");
        let users = Users::load(&path).expect("users");
        assert_eq!(users.who("anna", "correct horse").map(|user| user.roles), Some(Roles::ALL));
        assert_eq!(users.who("ben", "battery staple").map(|user| user.roles), Some(view));
        for (name, password) in [("anna", "battery staple"), ("anna", ""), ("kim", "correct horse")]
        {
            assert_eq!(users.who(name, password), None, "{name}");
        }
        Users::set(&path, "anna", view, "another horse").expect("changed");
        let users = Users::load(&path).expect("users");
        assert!(users.who("anna", "correct horse").is_none());
        assert_eq!(users.who("anna", "another horse").map(|user| user.roles), Some(view));
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, format!("# who may\n{text}")).expect("written");
        assert!(Users::remove(&path, "anna").expect("removed"));
        assert!(fs::read_to_string(&path).expect("a file").starts_with("# who may\n"));
        assert!(!Users::remove(&path, "anna").expect("gone"));
        assert_eq!(Users::load(&path).expect("users").list().len(), 1);
    }

    #[test]
    fn what_will_not_do_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hub_users");
        for name in ["", "a b", "#a", &"x".repeat(65)] {
            let set = Users::set(&path, name, Roles::ALL, "correct horse");
            assert!(matches!(set, Err(UsersError::Name(_))), "{name}");
        }
        for password in ["", "1234567", &"x".repeat(1025)] {
            let set = Users::set(&path, "anna", Roles::ALL, password);
            assert!(matches!(set, Err(UsersError::Password)), "{password}");
        }
        for (text, line) in
            [("all anna\n", 1), ("# x\nall anna secret\n", 2), ("root anna $x\n", 1)]
        {
            let (at, why) = Users::parse(text).expect_err(text);
            assert_eq!(at, line, "{why}");
        }
    }
}
