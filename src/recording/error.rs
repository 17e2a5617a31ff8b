//! What goes wrong with recordings, in words for people.

use std::io;
use std::path::{Path, PathBuf};

/// Why a recording can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file is there, and may not be touched.
    #[error("{} is there already: give another name, --append to go on in it, or --force to replace it", .0.display())]
    Exists(PathBuf),
    /// A directory, a device.
    #[error("{} is no ordinary file", .0.display())]
    NoFile(PathBuf),
    /// Somebody else records to it.
    #[error("{} is being recorded to by another program", .0.display())]
    InUse(PathBuf),
    /// The system can't read it.
    #[error("{} can't be read: {}", path.display(), words(error))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system can't write it.
    #[error("{} can't be written: {}", path.display(), words(error))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Its first bytes are no stream's.
    #[error("{} is no recording of Hightower", .0.display())]
    Foreign(PathBuf),
    /// Nothing is whole in it.
    #[error("{} has no whole picture", .0.display())]
    Empty(PathBuf),
    /// It can't be gone on in, as it would not be read beyond its fault.
    #[error("{} is damaged at byte {at} and can't be gone on in: give another name", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the fault is.
        at: u64,
    },
    /// A picture that none can be shown instead of.
    #[error("{}, picture {number}: {reason}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl RecordingError {
    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Read { path: path.to_owned(), error }
    }

    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Write { path: path.to_owned(), error }
    }
}

/// The system's words, without its error numbers.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::QuotaExceeded => "no more may be stored there (quota)".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        io::ErrorKind::PermissionDenied => "it is not permitted".into(),
        io::ErrorKind::NotFound => "there is no such file or directory".into(),
        io::ErrorKind::FileTooLarge => "files may not be that large there".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
    }
}
