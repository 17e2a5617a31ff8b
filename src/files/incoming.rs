//! A file that arrives: it is written to a partial file, verified, and only then put in its place,
//! under a name that nobody has.

use super::inbox::Arrived;
use super::partial::Partial;
use super::space::Promise;
use super::{FileError, numbered};
use bytes::Bytes;
use hightower_proto::message::Digest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How many files may have the same name but for a number.
const NUMBERS: usize = 10_000;

/// A file that arrives.
pub struct Incoming {
    pub(super) partial: Partial,
    pub(super) size: u64,
    pub(super) hash: Digest,
    pub(super) to: Destination,
    /// What a user knows it as.
    pub(super) known: PathBuf,
    /// The space for what is missing of it.
    pub(super) promise: Promise,
}

/// Where it goes when it is whole.
pub(super) enum Destination {
    /// Into a folder, under this name.
    Folder(PathBuf, String),
    /// Nowhere: it stays where it is until it was shown.
    Nowhere,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("path", &self.partial.path).finish_non_exhaustive()
    }
}

impl Incoming {
    /// How many bytes are here.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.partial.length()
    }

    /// Whether all are.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.offset() == self.size
    }

    /// Takes the next bytes. Where they can't be written it is of no use any more.
    ///
    /// # Errors
    /// When they are not the next, or too many, or can't be written.
    pub fn write(&mut self, offset: u64, data: Bytes) -> Result<(), FileError> {
        let expected = self.offset();
        if offset != expected {
            return Err(FileError::Order { expected, got: offset });
        }
        if data.len() as u64 > self.size - expected {
            return Err(FileError::TooMuch);
        }
        let Partial { file, hashing, .. } = &mut self.partial;
        let length = data.len() as u64;
        // What was written of them before it failed is looked at anew when it goes on.
        hashing.update(data.clone());
        file.write_all(&data).map_err(FileError::io("write to", &self.known))?;
        self.promise.written(length);
        Ok(())
    }

    /// The file, to be brought to the disk while more of it comes. An error of that is told only
    /// once, so whoever does it must not pass over it.
    ///
    /// # Errors
    /// When the system says no.
    pub fn file(&self) -> Result<File, FileError> {
        let file = self.partial.file.try_clone();
        file.map_err(FileError::io("write to", &self.known))
    }

    /// Verifies it and puts it in its place.
    ///
    /// # Errors
    /// When it is not what was offered, and then it is gone; or can't be put there.
    pub fn finish(self: Box<Self>) -> Result<Arrived, FileError> {
        let Self { partial: Partial { file, path, hashing }, size, hash, to, known, .. } = *self;
        if hashing.length() != size || Digest(*hashing.finish().as_bytes()) != hash {
            // Whether it can be removed or not, it is not what was offered.
            drop(fs::remove_file(&path));
            return Err(FileError::Differs);
        }
        // Who is told that it is there can rely on it, whatever happens to this machine.
        file.sync_data().map_err(FileError::io("write to", known))?;
        match to {
            Destination::Folder(folder, name) => settle(&folder, &name, |to| move_file(&path, to)),
            Destination::Nowhere => Ok(Arrived { name: String::new(), path }),
        }
    }

    /// Throws away what has arrived.
    pub fn discard(self: Box<Self>) {
        // It is removed after a day if it can't be now.
        drop(fs::remove_file(&self.partial.path));
    }
}

/// Puts something into a folder under the first name that is free.
pub(super) fn settle(
    folder: &Path,
    name: &str,
    place: impl Fn(&Path) -> io::Result<()>,
) -> Result<Arrived, FileError> {
    let mut last = None;
    for number in 1..=NUMBERS {
        let name = numbered(name, number);
        let path = folder.join(&name);
        match place(&path) {
            Ok(()) => {
                // So that the name outlasts a crash, too, where folders can be synced.
                drop(File::open(folder).and_then(|folder| folder.sync_all()));
                return Ok(Arrived { name, path });
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => last = Some(e),
            Err(e) => return Err(FileError::io("write to", path)(e)),
        }
    }
    Err(FileError::io("write to", folder)(last.unwrap_or(io::ErrorKind::AlreadyExists.into())))
}

/// Gives a file its name, unless something has it.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return Ok(result?),
        }
    }
    // Takes the name first, so that nobody else has it.
    OpenOptions::new().write(true).create_new(true).open(to)?;
    fs::rename(from, to).inspect_err(|_| drop(fs::remove_file(to)))
}

/// Gives a folder its name, unless something has it.
pub(super) fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        // Takes the name first: an empty folder gives way to another.
        fs::create_dir(to)?;
        fs::rename(from, to).inspect_err(|_| drop(fs::remove_dir(to)))
    }
    #[cfg(not(unix))]
    {
        if to.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(from, to)
    }
}
