//! Inbox: the folder that receives. What arrives waits in a partial file beside the others until it
//! is whole.

use super::incoming::{Destination, Incoming, move_folder, settle};
use super::partial::Partials;
use super::space::{Promise, Space, Whole};
use super::{FileError, clean, clean_path, source};
use crate::text::printable;
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
    space: Space,
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
        Ok(Self { folder, partials, max_file, space: Space::default() })
    }

    /// The same, which has the space of its disk together with others.
    #[must_use]
    pub fn sharing(self, space: Space) -> Self {
        Self { space, ..self }
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
        self.begin_counted(owner, offer, || Ok(()))
    }

    /// As [`Inbox::begin`]; `count` says whether one more may come. It is not asked of what has arrived
    /// before, or goes on: that was counted when it began.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn begin_counted<E: From<FileError>>(
        &self,
        owner: &str,
        offer: &Offer,
        count: impl FnOnce() -> Result<(), E>,
    ) -> Result<Begun, E> {
        check(offer)?;
        let name = clean(&offer.name).map_err(FileError::from)?;
        let mut known = self.folder.join(&name);
        if let Some(path) = &offer.path {
            known.push(printable(path));
        }
        if let Some(arrived) = self.arrived(owner, offer).map_err(|e| e.of(&known))? {
            return Ok(Begun::Arrived(arrived));
        }
        // A picture is where partial files are as long as it is shown.
        if offer.show || !self.partials.has(owner, offer.hash) {
            count()?;
        }
        Ok(self.take(owner, offer, name, &known).map_err(|e| e.of(&known))?)
    }

    /// What is in its folder already, if this is of one.
    fn arrived(&self, owner: &str, offer: &Offer) -> Result<Option<Arrived>, FileError> {
        let (Some(id), Some(path)) = (offer.folder, &offer.path) else { return Ok(None) };
        let tree = self.partials.tree(owner, id);
        if let Some(path) = path.strip_suffix('/') {
            let path = clean_path(path)?;
            let (name, path) = (path.to_string_lossy().into_owned(), tree.join(path));
            return Ok(path.is_dir().then_some(Arrived { name, path }));
        }
        let (folder, name) = place_in(&tree, path)?;
        already(&folder, &name, offer.size, offer.hash)
    }

    fn take(
        &self,
        owner: &str,
        offer: &Offer,
        name: String,
        known: &Path,
    ) -> Result<Begun, FileError> {
        let (size, hash) = (offer.size, offer.hash);
        let tree = offer.folder.map(|id| self.partials.tree(owner, id));
        let tree = tree.as_deref();
        match (tree, &offer.path) {
            (Some(tree), None) => return self.complete(tree, &name, size).map(Begun::Arrived),
            (Some(tree), Some(path)) => {
                if let Some(path) = path.strip_suffix('/') {
                    self.promise(0, 0, Some(tree), offer.total)?;
                    return make_in(tree, path).map(Begun::Arrived);
                }
            }
            (None, _) => {}
        }
        if size > self.max_file {
            return Err(FileError::TooLarge { length: size, limit: self.max_file });
        }
        let partial = self.partials.open(owner, hash, size)?;
        let promise = match self.promise(size, partial.length(), tree, offer.total) {
            Ok(promise) => promise,
            Err(full) => {
                // What can't be removed now is after a day.
                if partial.length() == 0 {
                    drop(fs::remove_file(&partial.path));
                }
                if let Some(tree) = tree
                    && full.is_no_space_at_all()
                {
                    // What fills the disk already would be of no use without the rest.
                    drop(fs::remove_dir_all(tree));
                    self.space.forget(tree);
                }
                return Err(full);
            }
        };
        let to = match (tree, &offer.path) {
            (Some(tree), Some(path)) => in_tree(tree, path)?,
            _ if offer.show => Destination::Nowhere,
            _ => Destination::Folder(self.folder.clone(), name),
        };
        let known = known.to_owned();
        Ok(Begun::Incoming(Box::new(Incoming { partial, size, hash, to, known, promise })))
    }

    /// Keeps space for a file, of which so much is here; all of a folder has to fit, or nothing of it
    /// is begun.
    fn promise(
        &self,
        size: u64,
        held: u64,
        tree: Option<&Path>,
        total: Option<u64>,
    ) -> Result<Promise, FileError> {
        let whole = tree.map(|tree| {
            let here = || super::Survey::of(tree).map_or(0, |survey| survey.size);
            let total = total.filter(|_| !self.space.knows(tree));
            Whole {
                tree,
                missing: total.map(|total| total.saturating_sub(here()).saturating_sub(held)),
            }
        });
        let promise = || self.space.promise(size - held, whole.as_ref(), || free(&self.folder));
        match promise() {
            Err(FileError::NoSpace { needed, free, promised })
                if self.partials.make_room(needed.saturating_add(promised) - free, tree) =>
            {
                promise()
            }
            promised => promised,
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

    /// Removes what was made for this sender's partial files, where nothing has arrived of any.
    pub fn tidy(&self, owner: &str) {
        self.partials.tidy(owner);
    }

    /// Puts a folder in its place of which all has arrived.
    fn complete(&self, tree: &Path, name: &str, size: u64) -> Result<Arrived, FileError> {
        self.space.forget(tree);
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
    let (folder, name) = place_in(tree, path)?;
    super::place::make(&folder).map_err(FileError::io("make", &folder))?;
    Ok(Destination::Folder(folder, name))
}

/// The folder of a file in a folder, and its name there.
fn place_in(tree: &Path, path: &str) -> Result<(PathBuf, String), FileError> {
    let path = clean_path(path)?;
    let folder = tree.join(path.parent().unwrap_or(Path::new("")));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((folder, name))
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
pub(crate) fn free(folder: &Path) -> Option<u64> {
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
