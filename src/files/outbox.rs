//! Outbox: the folder that an agent gives from, and nothing else.

use super::{FileError, Source, beneath, clean_path, source};
use std::path::{Path, PathBuf};

/// The folder that gives.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// What was found there.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Source),
    /// A folder, by its path.
    Folder(PathBuf),
}

impl Outbox {
    /// This folder, which is made when it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(folder: PathBuf) -> Result<Self, FileError> {
        super::place::make(&folder).map_err(FileError::io("make", &folder))?;
        Ok(Self { folder })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks for a file or folder by its path, with slashes. A link is not followed.
    ///
    /// # Errors
    /// When it is not there, or leads out of the folder.
    pub fn find(&self, name: &str) -> Result<Found, FileError> {
        let name = name.trim_end_matches('/');
        // Asked for its faults alone: here a file is called as it is called.
        clean_path(name)?;
        let (path, whole) = (PathBuf::from(name), self.folder.join(name));
        let shown = crate::text::printable(name);
        let opened = beneath::open(&self.folder, &path);
        let file = opened.map_err(|cause| source::missing(cause, &whole, &shown))?;
        let about = file.metadata().map_err(FileError::io("read", &whole))?;
        if about.is_dir() {
            return Ok(Found::Folder(whole));
        }
        Source::of(Ok(file), &whole, &shown).map(Found::File)
    }
}
