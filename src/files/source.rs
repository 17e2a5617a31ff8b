//! A file that is sent: what it was when it was offered, and whether it still is.

use super::buffers::Buffers;
use super::hashing::Hashing;
use super::{FileError, PIECE};
use bytes::Bytes;
use hightower_proto::message::Digest;
use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

/// A file that is sent.
#[derive(Debug)]
pub struct Source {
    file: File,
    name: String,
    buffers: Buffers,
    at: u64,
    /// Its length when it was hashed.
    pub size: u64,
    modified: Option<SystemTime>,
    /// The hash of what it was then.
    pub hash: Digest,
}

/// What a file was when it was hashed, so that it need not be hashed for each who gets it.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    size: u64,
    modified: Option<SystemTime>,
    hash: Digest,
}

impl Source {
    /// Opens and hashes a file that a user has named; `name` is for people.
    ///
    /// # Errors
    /// When it is not there, is no file, or can't be read.
    pub fn open(path: &Path, name: &str) -> Result<Self, FileError> {
        Self::of(File::open(path), path, name)
    }

    /// Opens a file again that was hashed before.
    ///
    /// # Errors
    /// When it can't be read, or is not any more what it was.
    pub fn reopen(path: &Path, name: &str, known: &Known) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|cause| missing(cause, path, name))?;
        let &Known { size, modified, hash } = known;
        let (name, buffers) = (name.to_owned(), Buffers::default());
        let source = Self { file, name, buffers, at: 0, size, modified, hash };
        source.check()?;
        Ok(source)
    }

    /// What it was when it was hashed.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { size: self.size, modified: self.modified, hash: self.hash }
    }

    /// Hashes what was opened.
    pub(super) fn of(opened: io::Result<File>, path: &Path, name: &str) -> Result<Self, FileError> {
        let mut file = opened.map_err(|cause| missing(cause, path, name))?;
        let about = file.metadata().map_err(FileError::io("read", path))?;
        if !about.is_file() {
            return Err(FileError::Special(name.into()));
        }
        let (hash, size) = hash(&mut file, u64::MAX).map_err(FileError::io("read", path))?;
        let (name, buffers, modified) =
            (name.to_owned(), Buffers::default(), about.modified().ok());
        let source = Self { file, name, buffers, at: size, size, modified, hash };
        if about.len() != size {
            return Err(source.changed());
        }
        Ok(source)
    }

    /// The bytes from `offset` on, up to so many; none at the end.
    ///
    /// # Errors
    /// When it can't be read, or is not any more what it was.
    pub fn read(&mut self, offset: u64, most: usize) -> Result<Bytes, FileError> {
        if offset != self.at {
            let sought = self.file.seek(SeekFrom::Start(offset));
            sought.map_err(FileError::io("read", &self.name))?;
        }
        let length = self.size.saturating_sub(offset).min(most as u64) as usize;
        let bytes = self.buffers.read(&mut self.file, length);
        let bytes = bytes.map_err(FileError::io("read", &self.name))?;
        if bytes.len() < length {
            return Err(self.changed());
        }
        self.at = offset + length as u64;
        Ok(bytes)
    }

    /// Whether it is still what it was when it was hashed, as far as the system tells.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), FileError> {
        let about = self.file.metadata().map_err(FileError::io("read", &self.name))?;
        if !self.is_like(&about) { Err(self.changed()) } else { Ok(()) }
    }

    fn is_like(&self, about: &Metadata) -> bool {
        about.len() == self.size && about.modified().ok() == self.modified
    }

    fn changed(&self) -> FileError {
        FileError::Changed(self.name.clone())
    }
}

/// The hash of a file's bytes from where it stands, up to so many, and how many they were.
pub(super) fn hash(file: &mut File, most: u64) -> io::Result<(Digest, u64)> {
    let hashing = feed(file, most)?;
    let length = hashing.length();
    Ok((Digest(*hashing.finish().as_bytes()), length))
}

/// The hash, still being made, of a file's bytes from where it stands, up to so many.
pub(super) fn feed(file: &mut File, most: u64) -> io::Result<Hashing> {
    let (mut hashing, mut buffers) = (Hashing::default(), Buffers::default());
    loop {
        let left = most - hashing.length();
        let bytes = buffers.read(file, PIECE.min(usize::try_from(left).unwrap_or(PIECE)))?;
        if bytes.is_empty() {
            return Ok(hashing);
        }
        hashing.update(bytes);
    }
}

/// What an error in opening means.
pub(super) fn missing(cause: io::Error, path: &Path, name: &str) -> FileError {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing(name.into()),
        _ if is_link(&cause) => FileError::Special(name.into()),
        _ => FileError::io("open", path)(cause),
    }
}

/// Whether it was not opened since it is a link: the word for that is Linux's, or the BSDs'.
fn is_link(cause: &io::Error) -> bool {
    #[cfg(unix)]
    {
        let error = rustix::io::Errno::from_io_error(cause);
        matches!(error, Some(rustix::io::Errno::LOOP | rustix::io::Errno::MLINK))
    }
    #[cfg(not(unix))]
    {
        let _ = cause;
        false
    }
}
