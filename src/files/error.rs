//! Why a file was not sent, or not received.

use super::name::NameError;
use super::size;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file was not sent, or not received.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The name can't be had.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It is several things at once, or what nobody has asked for.
    #[error("the offer makes no sense: {0}")]
    Odd(&'static str),
    /// It is longer than is taken.
    #[error("it is {} long, and {} is the most that is taken", size(*length), size(*limit))]
    TooLarge {
        /// Its length.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// It does not fit on the disk.
    #[error(
        "it needs {}, and the disk that receives has {} free{}",
        size(*needed),
        size(*free),
        reserved(*promised)
    )]
    NoSpace {
        /// What is missing of it.
        needed: u64,
        /// What there is.
        free: u64,
        /// How much of that is for what is being received already.
        promised: u64,
    },
    /// The disk filled up meanwhile.
    #[error(
        "the disk that receives is full; what has arrived is kept for a day, and goes on when it is sent again"
    )]
    Full,
    /// Another one receives it now.
    #[error("the same file is being received already")]
    Busy,
    /// It comes too soon, or once more.
    #[error("bytes from {got} on came where those from {expected} on should")]
    Order {
        /// What should have come.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// More came than was offered.
    #[error("more bytes came than were offered")]
    TooMuch,
    /// The bytes are not those that were offered.
    #[error(
        "what arrived is not what was offered: its BLAKE3 differs. It was thrown away; nothing else \
         was changed"
    )]
    Differs,
    /// The files of a folder are not those that were offered.
    #[error("the folder is not what was offered: {got} bytes of {expected} are there")]
    Incomplete {
        /// What was offered.
        expected: u64,
        /// What is there.
        got: u64,
    },
    /// The file was changed while it was sent.
    #[error("'{0}' was changed while it was sent: send it again when nobody writes to it")]
    Changed(String),
    /// There is no such file.
    #[error("there is no '{0}'")]
    Missing(String),
    /// It is the top of all folders.
    #[error("'{0}' has no name that it could be sent under: name what is in it")]
    Nameless(String),
    /// It is a device, a pipe, a link or the like.
    #[error("'{0}' is no file and no folder")]
    Special(String),
    /// A folder with more in it than is sent at once.
    #[error("'{name}' has more than {limit} files, or folders more than {depth} deep")]
    TooMany {
        /// The folder.
        name: String,
        /// How many files may be in it.
        limit: usize,
        /// How deep folders may be.
        depth: usize,
    },
    /// The system said no.
    #[error("can't {what} {}: {}", .path.display(), words(.cause))]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

impl FileError {
    /// An error of the system's.
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { what, path, cause },
        }
    }

    /// The same, of a file as a user knows it: under which name it waits to be whole is nothing to them.
    pub(super) fn of(self, path: &Path) -> Self {
        match self {
            Self::Io { what, cause, .. } => Self::Io { what, path: path.to_owned(), cause },
            other => other,
        }
    }

    /// Whether what had arrived is gone, so that it may work from the beginning.
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        matches!(self, Self::Differs | Self::Incomplete { .. })
    }

    /// Whether there is no space for it even when all that is received now is done with.
    pub(super) fn is_no_space_at_all(&self) -> bool {
        matches!(self, Self::NoSpace { needed, free, .. } if free < needed)
    }

    /// Whether what has arrived of it elsewhere is of no use any more.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Changed(_))
    }

    /// In words for the other end, which need not know the folders of this machine.
    #[must_use]
    pub fn abroad(&self) -> String {
        match self {
            Self::Io { what, path, cause } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("the machine there can't {what} '{name}': {}", words(cause))
            }
            other => other.to_string(),
        }
    }
}

/// A word on what of a disk is not to be had.
fn reserved(promised: u64) -> String {
    match promised {
        0 => String::new(),
        promised => format!(", {} of it for what is being received already", size(promised)),
    }
}

/// The system's words, without its error numbers.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
