//! What is wrong with a configuration file, and where.

use crate::text::printable;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system does not let it be read.
    #[error("can't read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// It says something that is not understood.
    #[error("{}:{}:{}: {}", path.display(), fault.line, fault.column, fault.what)]
    Fault {
        /// The file.
        path: PathBuf,
        /// What it is.
        fault: Fault,
    },
}

/// Something that is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in it, counted from 1.
    pub column: usize,
    /// What is wrong, in a line of words.
    pub what: String,
}

impl Fault {
    /// What is wrong at this byte of a text.
    pub(super) fn new(text: &str, at: usize, what: String) -> Self {
        let before = text.get(..at.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let what = printable(&what.trim().replace('\n', ", "));
        Self { line, column, what }
    }

    /// As an error of a file.
    #[must_use]
    pub fn of(self, path: &Path) -> ConfigError {
        ConfigError::Fault { path: path.to_owned(), fault: self }
    }
}
