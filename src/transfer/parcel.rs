//! What is sent: a file or a folder, as a user has named it.

use crate::files::{FileError, Known, Survey};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called there.
    pub name: String,
    /// What is in it, if it is a folder.
    pub folder: Option<Survey>,
    /// Its length.
    pub size: u64,
    /// It is a picture, to be shown and not kept.
    pub show: bool,
    /// What it was when it was hashed, for all who get it.
    pub(super) known: Arc<OnceCell<Known>>,
}

impl Parcel {
    /// Looks at what a user has named.
    ///
    /// # Errors
    /// When it is not there, or can't be sent.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let about = std::fs::metadata(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => FileError::Missing(shown.clone()),
            _ => FileError::Io { what: "read", path: path.to_owned(), cause },
        })?;
        // What `.` and `..` are called.
        let named = match path.file_name() {
            Some(name) => name.to_owned(),
            None => std::fs::canonicalize(path)
                .ok()
                .and_then(|path| path.file_name().map(ToOwned::to_owned))
                .ok_or_else(|| FileError::Nameless(shown.clone()))?,
        };
        let name = named.to_string_lossy().into_owned();
        let folder = about.is_dir().then(|| Survey::of(path)).transpose()?;
        if folder.is_none() && !about.is_file() {
            return Err(FileError::Special(shown));
        }
        let size = folder.map_or(about.len(), |survey| survey.size);
        Ok(Self { path: path.to_owned(), name, folder, size, show: false, known: Arc::default() })
    }
}
