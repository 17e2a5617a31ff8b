//! What an agent is started with, wherever it is started from.

use anyhow::{Context, Result, ensure};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The option that is left out.
const INSTALL: &str = "--install";

/// What options and variables begin with that are Hightower's.
const PREFIX: &str = "HIGHTOWER_";

/// The options that name a folder. What is relative is so to where the user is now, which the agent
/// is not.
const FOLDERS: [&str; 3] = ["--audit", "--inbox", "--outbox"];

/// The variables that do.
const FOLDER_VARIABLES: [&str; 4] =
    ["HIGHTOWER_CONFIG", "HIGHTOWER_AUDIT", "HIGHTOWER_INBOX", "HIGHTOWER_OUTBOX"];

/// How an agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) program: PathBuf,
    /// Of the program.
    pub(super) arguments: Vec<String>,
    /// Names and values, in the order of the names.
    pub(super) variables: Vec<(String, String)>,
    /// The folders that are named in these; they are there.
    pub(super) folders: Vec<PathBuf>,
}

impl Start {
    /// As this program was started, but for `--install`.
    ///
    /// # Errors
    /// When something of it can't be written down, or a folder can't be made.
    pub(super) fn as_this() -> Result<Self> {
        let program = std::env::current_exe().context("can't find out where this program is")?;
        Self::of(program, std::env::args_os().skip(1), std::env::vars_os(), folder)
    }

    /// `folder` gives the whole path of a folder.
    fn of(
        program: PathBuf,
        arguments: impl Iterator<Item = OsString>,
        variables: impl Iterator<Item = (OsString, OsString)>,
        folder: impl Fn(&str) -> Result<PathBuf>,
    ) -> Result<Self> {
        let mut start =
            Self { program, arguments: Vec::new(), variables: Vec::new(), folders: Vec::new() };
        let mut names_folder = false;
        for argument in arguments {
            let argument = text(&argument)?;
            let option = argument.split_once('=');
            let option = option.filter(|(option, _)| FOLDERS.contains(option));
            let argument = match option {
                _ if names_folder => start.folder(&argument, &folder)?,
                Some((option, value)) => format!("{option}={}", start.folder(value, &folder)?),
                None => argument,
            };
            names_folder = !names_folder && FOLDERS.contains(&argument.as_str());
            if argument != INSTALL {
                start.arguments.push(argument);
            }
        }
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let mut value = text(&value).with_context(|| name.to_owned())?;
            if FOLDER_VARIABLES.contains(&name) && !value.is_empty() {
                value = start.folder(&value, &folder)?;
            }
            start.variables.push((name.to_owned(), value));
        }
        start.variables.sort();
        Ok(start)
    }

    fn folder(&mut self, value: &str, whole: impl Fn(&str) -> Result<PathBuf>) -> Result<String> {
        let folder = whole(value)?;
        let value = text(folder.as_os_str())?;
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
        Ok(value)
    }
}

/// The whole path of a folder, which is made if it is not there: what is not there can't be let into
/// a sandbox.
fn folder(value: &str) -> Result<PathBuf> {
    let path = Path::new(value);
    crate::files::make(path).with_context(|| format!("can't make the folder {value}"))?;
    let whole = if cfg!(windows) { std::path::absolute(path) } else { path.canonicalize() };
    whole.with_context(|| format!("can't find the folder {value}"))
}

/// What can be written down in a line.
fn text(words: &OsStr) -> Result<String> {
    let words = words.to_str().context("an option is no UTF-8, which can't be written down")?;
    ensure!(!words.contains(|c: char| c.is_control()), "an option has control characters");
    Ok(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Start> {
        let arguments = arguments.iter().map(OsString::from);
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let whole = |value: &str| Ok(Path::new("/here").join(value));
        Start::of("/opt/hightower".into(), arguments, variables, whole)
    }

    #[test]
    fn an_agent_is_started_with_all_that_was_said_and_whole_paths() {
        let arguments = ["agent", "--inbox", "in", "--install", "--audit=log", "--group", "--x"];
        let variables = [
            ("HOME", "/home/anna"),
            ("HIGHTOWER_OUTBOX", "out"),
            ("HIGHTOWER_CONSENT", "ask"),
            ("HIGHTOWER_CONFIG", ""),
        ];
        let start = of(&arguments, &variables).expect("a start");
        let expected = ["agent", "--inbox", "/here/in", "--audit=/here/log", "--group", "--x"];
        assert_eq!(start.arguments, expected);
        let variables = start.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let expected = [
            ("HIGHTOWER_CONFIG", ""),
            ("HIGHTOWER_CONSENT", "ask"),
            ("HIGHTOWER_OUTBOX", "/here/out"),
        ];
        assert_eq!(variables.collect::<Vec<_>>(), expected);
        let folders = ["/here/in", "/here/log", "/here/out"].map(PathBuf::from);
        assert_eq!(start.folders, folders);
        assert!(of(&["agent", "--group", "a\nb"], &[]).is_err());
        assert!(of(&["agent"], &[("HIGHTOWER_GROUPS", "a\u{1b}")]).is_err());
    }
}
