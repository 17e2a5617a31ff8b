//! The file that is recorded to: whole items, or none.

use super::RecordingError;
use super::index::{Index, Tail};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is left alone: an error.
    #[default]
    Refuse,
    /// It is gone on in, behind its last whole item.
    Append,
    /// It is replaced, once there is something to replace it by.
    Replace,
}

/// A file that items are written to. Nobody else may read it, unless they could before: it is
/// somebody's screen.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    /// What is whole in it, in bytes.
    length: u64,
    /// What is in it is thrown away when the first item comes.
    replaces: bool,
    /// It was made now.
    fresh: bool,
    /// So many bytes were half an item at its end, and are gone.
    cut: u64,
}

impl Writer {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it is there and may not be touched, can't be written, or is no recording that could be
    /// gone on in.
    pub fn open(path: &Path, existing: Existing) -> Result<Self, RecordingError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let writing = || RecordingError::writing(path);
        let (mut file, fresh) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // A pipe would wait for its reader.
                if !std::fs::metadata(path).map_err(writing())?.is_file() {
                    return Err(RecordingError::NoFile(path.to_owned()));
                }
                if existing == Existing::Refuse {
                    return Err(RecordingError::Exists(path.to_owned()));
                }
                (options.open(path).map_err(writing())?, false)
            }
            Err(e) => return Err(writing()(e)),
        };
        // Where locks keep readers out as well, there is none; nor where there are no locks.
        if cfg!(unix) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(RecordingError::InUse(path.to_owned()));
        }
        let (mut length, mut cut) = (0, 0);
        if !fresh && existing == Existing::Append {
            let index = Index::of(&file, path)?;
            length = index.end;
            match index.tail {
                Tail::Whole => {}
                Tail::Cut(bytes) => cut = bytes,
                Tail::Damaged(_) => {
                    return Err(RecordingError::Damaged { path: path.to_owned(), at: length });
                }
            }
            // What a crash has left behind the last whole item would hide all that follows.
            file.set_len(length).map_err(writing())?;
            file.seek(SeekFrom::Start(length)).map_err(writing())?;
        }
        let replaces = !fresh && existing == Existing::Replace;
        Ok(Self { path: path.to_owned(), file, length, replaces, fresh, cut })
    }

    /// How many bytes of half an item were at its end, and are gone.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one item, given in pieces. When it can't be written to its end, the file ends where
    /// it did before.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&mut self, item: &[impl AsRef<[u8]>]) -> Result<(), RecordingError> {
        self.try_write(item).map_err(|error| {
            // A reader finds the last whole item without this as well.
            let cut = self.file.set_len(self.length);
            let back = self.file.seek(SeekFrom::Start(self.length));
            if let Err(error) = cut.and(back.map(drop)) {
                tracing::warn!(file = %self.path.display(), %error, "half an item stays");
            }
            RecordingError::writing(&self.path)(error)
        })
    }

    fn try_write(&mut self, item: &[impl AsRef<[u8]>]) -> io::Result<()> {
        if std::mem::take(&mut self.replaces) {
            self.file.set_len(0)?;
        }
        for piece in item {
            self.file.write_all(piece.as_ref())?;
        }
        self.length += item.iter().map(|piece| piece.as_ref().len() as u64).sum::<u64>();
        Ok(())
    }

    /// Ends it. A file that was made for it, and has nothing in it, is gone then.
    ///
    /// # Errors
    /// When the disk has not taken all of it.
    pub fn finish(self) -> Result<(), RecordingError> {
        if self.fresh && self.length == 0 {
            return std::fs::remove_file(&self.path).map_err(RecordingError::writing(&self.path));
        }
        self.file.sync_data().map_err(RecordingError::writing(&self.path))
    }
}
