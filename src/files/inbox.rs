//! Inbox: the folder that receives. What arrives is written to a partial file beside the others,
//! verified, and only then put in its place, under a name that nobody has.

use super::partial::{Partial, Partials};
use super::{FileError, clean, clean_path, numbered, source};
use hightower_proto::message::{Digest, Offer};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many files may have the same name but for a number.
const NUMBERS: usize = 10_000;

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

/// A file that arrives.
pub struct Incoming {
    partial: Partial,
    size: u64,
    hash: Digest,
    to: Destination,
}

/// Where it goes when it is whole.
enum Destination {
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
        let needed = size - partial.length;
        match free(&self.folder) {
            Some(free) if free < needed => {
                if partial.length == 0 {
                    // It was made just now; if it can't be removed, it is after a day.
                    drop(fs::remove_file(&partial.path));
                }
                Err(FileError::NoSpace { needed, free })
            }
            _ => Ok(Begun::Incoming(Box::new(Incoming { partial, size, hash, to }))),
        }
    }

    /// Puts a file that has come whole into its place.
    ///
    /// # Errors
    /// Why it could not be.
    pub fn put(&self, owner: &str, name: &str, bytes: &[u8]) -> Result<Arrived, FileError> {
        let hash = Digest(*blake3::hash(bytes).as_bytes());
        let (name, size) = (name.to_owned(), bytes.len() as u64);
        let (folder, path, again, show) = (None, None, false, false);
        let offer = Offer { transfer: 0, name, size, hash, folder, path, again, show };
        match self.begin(owner, &offer)? {
            Begun::Arrived(arrived) => Ok(arrived),
            Begun::Incoming(mut incoming) => {
                let at = incoming.offset();
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                incoming.write(at, rest.unwrap_or_default())?;
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

impl Incoming {
    /// How many bytes are here.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.partial.length
    }

    /// Whether all are.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.partial.length == self.size
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they are not the next, or too many, or can't be written.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), FileError> {
        let Partial { file, path, hasher, length } = &mut self.partial;
        if offset != *length {
            return Err(FileError::Order { expected: *length, got: offset });
        }
        if data.len() as u64 > self.size - *length {
            return Err(FileError::TooMuch);
        }
        // What was written of them before it failed is looked at anew when it goes on.
        file.write_all(data).map_err(FileError::io("write to", &*path))?;
        hasher.update(data);
        *length += data.len() as u64;
        Ok(())
    }

    /// The file, to be brought to the disk while more of it comes. An error of that is told only
    /// once, so whoever does it must not pass over it.
    ///
    /// # Errors
    /// When the system says no.
    pub fn file(&self) -> Result<File, FileError> {
        let file = self.partial.file.try_clone();
        file.map_err(FileError::io("write to", &self.partial.path))
    }

    /// Verifies it and puts it in its place.
    ///
    /// # Errors
    /// When it is not what was offered, and then it is gone; or can't be put there.
    pub fn finish(self: Box<Self>) -> Result<Arrived, FileError> {
        let Self { partial: Partial { file, path, hasher, length }, size, hash, to } = *self;
        if length != size || Digest(*hasher.finalize().as_bytes()) != hash {
            // Whether it can be removed or not, it is not what was offered.
            drop(fs::remove_file(&path));
            return Err(FileError::Differs);
        }
        // Who is told that it is there can rely on it, whatever happens to this machine.
        file.sync_data().map_err(FileError::io("write to", &path))?;
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

/// Puts something into a folder under the first name that is free.
fn settle(
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
fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
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
