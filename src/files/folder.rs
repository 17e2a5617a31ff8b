//! All that is in a folder: files and empty folders, in the same order each time. Links, devices
//! and pipes are left out, and counted.

use super::name::MAX_DEPTH;
use super::{FileError, Source, beneath, source};
use hightower_proto::message::Digest;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The most files in one folder that are sent.
pub const MAX_FILES: usize = 100_000;

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file, by its path from the folder.
    File(PathBuf),
    /// A folder with nothing in it.
    Empty(PathBuf),
}

impl Entry {
    /// The path as it is sent.
    #[must_use]
    pub fn path(&self) -> String {
        let (path, end) = match self {
            Self::File(path) => (path, ""),
            Self::Empty(path) => (path, "/"),
        };
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        names.join("/") + end
    }
}

/// Goes through a folder, one thing after another.
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    /// For each folder on the way down: its path, and what is left of it, the next one last.
    open: Vec<(PathBuf, Vec<(std::ffi::OsString, bool)>)>,
    seen: usize,
    /// How much was no file and no folder.
    pub left_out: usize,
}

impl Walk {
    /// Begins with a folder.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn new(root: &Path) -> Result<Self, FileError> {
        let mut walk = Self { root: root.to_owned(), open: Vec::new(), seen: 0, left_out: 0 };
        let all = walk.list(Path::new(""))?;
        walk.open.push((PathBuf::new(), all));
        Ok(walk)
    }

    /// What comes next.
    ///
    /// # Errors
    /// When a folder can't be read, or there is too much.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, FileError> {
        while let Some((folder, left)) = self.open.last_mut() {
            let Some((name, is_folder)) = left.pop() else {
                self.open.pop();
                continue;
            };
            let path = folder.join(name);
            self.seen += 1;
            if self.seen > MAX_FILES || self.open.len() >= MAX_DEPTH {
                let name = self.root.file_name().unwrap_or_default().to_string_lossy().into();
                return Err(FileError::TooMany { name, limit: MAX_FILES, depth: MAX_DEPTH });
            }
            if !is_folder {
                return Ok(Some(Entry::File(path)));
            }
            let all = self.list(&path)?;
            if all.is_empty() {
                return Ok(Some(Entry::Empty(path)));
            }
            self.open.push((path, all));
        }
        Ok(None)
    }

    /// Opens and hashes a file that was found.
    ///
    /// # Errors
    /// When it is gone, can't be read, or has become something else.
    pub fn open(&self, path: &Path) -> Result<Source, FileError> {
        let whole = self.root.join(path);
        Source::of(beneath::open(&self.root, path), &whole, &path.to_string_lossy())
    }

    /// What is in a folder, in reverse order.
    fn list(&mut self, folder: &Path) -> Result<Vec<(std::ffi::OsString, bool)>, FileError> {
        let path = self.root.join(folder);
        let failed = || FileError::io("read", &path);
        let mut all = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let kind = entry.file_type().map_err(failed())?;
            if kind.is_file() || kind.is_dir() {
                all.push((entry.file_name(), kind.is_dir()));
            } else {
                self.left_out += 1;
            }
            if all.len() > MAX_FILES {
                break;
            }
        }
        all.sort_by(|one, other| other.0.cmp(&one.0));
        Ok(all)
    }
}

/// What a folder had in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survey {
    /// The length of all files together.
    pub size: u64,
    /// How many files.
    pub files: usize,
    /// How much was left out.
    pub left_out: usize,
    /// The same as long as no file comes, goes or changes, as far as the system tells.
    pub id: Digest,
}

impl Survey {
    /// Goes through a folder.
    ///
    /// # Errors
    /// When it can't be read, or there is too much.
    pub fn of(root: &Path) -> Result<Self, FileError> {
        let mut walk = Walk::new(root)?;
        let (mut size, mut files, mut all) = (0u64, 0, blake3::Hasher::new());
        while let Some(entry) = walk.next_entry()? {
            all.update(entry.path().as_bytes());
            let Entry::File(path) = entry else { continue };
            let path = root.join(path);
            let about = fs::symlink_metadata(&path);
            let about =
                about.map_err(|cause| source::missing(cause, &path, &path.to_string_lossy()))?;
            let modified = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            all.update(&[0]);
            all.update(&about.len().to_le_bytes());
            all.update(&modified.unwrap_or_default().as_nanos().to_le_bytes());
            size = size.saturating_add(about.len());
            files += 1;
        }
        let id = Digest(*all.finalize().as_bytes());
        Ok(Self { size, files, left_out: walk.left_out, id })
    }
}
