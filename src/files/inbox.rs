//! Inbox: the folder that receives. What arrives waits in a partial file beside the others until it
//! is whole.

use super::incoming::{Destination, Incoming, move_folder, settle};
use super::partial::Partials;
use super::{FileError, clean, clean_path, source};
use bytes::Bytes;
use hightower_proto::message::{Digest, Offer};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder that receives.
#[derive(Debug, Clone)]
pub struct Inbox {
    folder: PathBuf,
    partials: Partials,
    max_file: u64,
}

/// A file, or a folder, that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// What it is called now; of a file in a folder, its path there.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What came of an offer.
#[derive(Debug)]
pub enum Begun {
    /// Its bytes may come.
    Incoming(Box<Incoming>),
    /// There is nothing more to come.
    Arrived(Arrived),
}

impl Inbox {
    /// This folder, which is made when it is not there; files up to so many bytes.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(folder: PathBuf, max_file: u64) -> Result<Self, FileError> {
        super::place::make(&folder).map_err(FileError::io("make", &folder))?;
        let partials = Partials::of(&folder);
        Ok(Self { folder, partials, max_file })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes an offer of this sender. Reads what is there of the file already, which may take as
    /// long as that is.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn begin(&self, owner: &str, offer: &Offer) -> Result<Begun, FileError> {
        check(offer)?;
        let name = clean(&offer.name)?;
        let (size, hash) = (offer.size, offer.hash);
        let to = match (offer.folder, &offer.path) {
            (None, _) if offer.show => Destination::Nowhere,
            (None, _) => Destination::Folder(self.folder.clone(), name),
            (Some(id), None) => {
                let tree = self.partials.tree(owner, id);
                return self.complete(&tree, &name, size).map(Begun::Arrived);
            }
            (Some(id), Some(path)) => {
                let tree = self.partials.tree(owner, id);
                // It is looked for once: all of the folder has to fit, or nothing is begun.
                if fs::symlink_metadata(&tree).is_err() {
                    self.fits(offer.total.unwrap_or(0))?;
                }
                match path.strip_suffix('/') {
                    Some(path) => return make_in(&tree, path).map(Begun::Arrived),
                    None => in_tree(&tree, path)?,
                }
            }
        };
        if size > self.max_file {
            return Err(FileError::TooLarge { length: size, limit: self.max_file });
        }
        if let Destination::Folder(folder, name) = &to
            && offer.folder.is_some()
            && let Some(arrived) = already(folder, name, size, hash)?
        {
            return Ok(Begun::Arrived(arrived));
        }
        let partial = self.partials.open(owner, hash, size)?;
        if let Err(full) = self.fits(size - partial.length()) {
            // What can't be removed now is after a day.
            if partial.length() == 0 {
                drop(fs::remove_file(&partial.path));
            }
            if let Some(id) = offer.folder {
                // What fills the disk already would be of no use without the rest.
                drop(fs::remove_dir_all(self.partials.tree(owner, id)));
            }
            return Err(full);
        }
        Ok(Begun::Incoming(Box::new(Incoming { partial, size, hash, to })))
    }

    /// Whether there is space for so much more.
    fn fits(&self, needed: u64) -> Result<(), FileError> {
        match free(&self.folder) {
            Some(free) if free < needed => Err(FileError::NoSpace { needed, free }),
            _ => Ok(()),
        }
    }

    /// Puts a file that has come whole into its place.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn put(&self, owner: &str, name: &str, bytes: &Bytes) -> Result<Arrived, FileError> {
        let hash = Digest(*blake3::hash(bytes).as_bytes());
        let (name, size) = (name.to_owned(), bytes.len() as u64);
        let (folder, path, total, again, show) = (None, None, None, false, false);
        let offer = Offer { transfer: 0, name, size, hash, folder, path, total, again, show };
        match self.begin(owner, &offer)? {
            Begun::Arrived(arrived) => Ok(arrived),
            Begun::Incoming(mut incoming) => {
                let at = incoming.offset();
                // At most as long as it is.
                incoming.write(at, bytes.slice(at as usize..))?;
                incoming.finish()
            }
        }
    }

    /// Removes the partial files that nobody has written to for so long.
    ///
    /// # Errors
    /// When the system says no.
    pub fn clean(&self, age: Duration) -> io::Result<()> {
        self.partials.clean(age)
    }

    /// Removes the folders of this sender's partial files, where there are none.
    pub fn tidy(&self, owner: &str) {
        self.partials.tidy(owner);
    }

    /// Puts a folder in its place of which all has arrived.
    fn complete(&self, tree: &Path, name: &str, size: u64) -> Result<Arrived, FileError> {
        // A folder in which there was nothing has not been made.
        super::place::make(tree).map_err(FileError::io("make", tree))?;
        let got = super::Survey::of(tree)?.size;
        if got != size {
            fs::remove_dir_all(tree).map_err(FileError::io("remove", tree))?;
            return Err(FileError::Incomplete { expected: size, got });
        }
        settle(&self.folder, name, |path| move_folder(tree, path))
    }
}

/// Whether an offer is one thing: a file, something of a folder, a folder, or a picture that is
/// shown.
///
/// # Errors
/// When it is more than one.
pub fn check(offer: &Offer) -> Result<(), FileError> {
    match (&offer.folder, &offer.path, offer.show) {
        (None, Some(_), _) => Err(FileError::Odd("a path in no folder")),
        (Some(_), _, true) => Err(FileError::Odd("a folder can't be shown")),
        _ => Ok(()),
    }
}

/// Where a file of a folder goes.
fn in_tree(tree: &Path, path: &str) -> Result<Destination, FileError> {
    let path = clean_path(path)?;
    let folder = tree.join(path.parent().unwrap_or(Path::new("")));
    super::place::make(&folder).map_err(FileError::io("make", &folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Destination::Folder(folder, name))
}

/// Makes an empty folder in a folder.
fn make_in(tree: &Path, path: &str) -> Result<Arrived, FileError> {
    let path = clean_path(path)?;
    let whole = tree.join(&path);
    super::place::make(&whole).map_err(FileError::io("make", &whole))?;
    Ok(Arrived { name: path.to_string_lossy().into_owned(), path: whole })
}

/// The file that was offered, if it is in its folder already: the connection broke after that.
fn already(
    folder: &Path,
    name: &str,
    size: u64,
    hash: Digest,
) -> Result<Option<Arrived>, FileError> {
    let path = folder.join(name);
    let Ok(about) = fs::symlink_metadata(&path) else { return Ok(None) };
    if !about.is_file() || about.len() != size {
        return Ok(None);
    }
    let read = File::open(&path).and_then(|mut file| source::hash(&mut file, size));
    let (found, _) = read.map_err(FileError::io("read", &path))?;
    Ok((found == hash).then(|| Arrived { name: name.to_owned(), path }))
}

/// How many bytes the disk of a folder has free for us, where the system tells.
fn free(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder).ok()?;
        disk.f_bavail.checked_mul(disk.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
