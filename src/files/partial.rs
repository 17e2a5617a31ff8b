//! Files that have not arrived yet: in a folder of their own in the inbox, one for each sender,
//! each named by its hash. So the same offer goes on where it broke off, and nobody writes into
//! what another sends.

use super::hashing::Hashing;
use super::{FileError, Survey, place, source};
use hightower_proto::message::Digest;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder's name; what arrives can't have one that begins so.
const FOLDER: &str = ".hightower-partial";

/// Partial files are kept for so long.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What nobody has written to for so long may go where space is short. So long a sender whose
/// connection broke tries to come back by itself, unless told otherwise: what it sends is not thrown
/// away under its hands. After that somebody who is there counts for more than who might come.
const GRACE: Duration = Duration::from_secs(300);

/// Something partial that nobody sends.
struct Idle {
    modified: SystemTime,
    size: u64,
    path: PathBuf,
}

/// The partial files of an inbox.
#[derive(Debug, Clone)]
pub(super) struct Partials {
    folder: PathBuf,
}

/// A partial file, open for us alone.
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Has seen what is there.
    pub(super) hashing: Hashing,
}

impl Partial {
    /// How many bytes are there.
    pub(super) fn length(&self) -> u64 {
        self.hashing.length()
    }
}

impl Partials {
    pub(super) fn of(inbox: &Path) -> Self {
        Self { folder: inbox.join(FOLDER) }
    }

    /// The folder of a sender.
    fn home(&self, owner: &str) -> PathBuf {
        // Whatever it is, it is no path.
        let name = blake3::hash(owner.as_bytes()).to_hex();
        self.folder.join(name.as_str())
    }

    /// Where the files of a folder wait for each other.
    pub(super) fn tree(&self, owner: &str, folder: Digest) -> PathBuf {
        self.home(owner).join(format!("{folder}.folder"))
    }

    /// Opens what there is of a file, which is at most so long.
    pub(super) fn open(&self, owner: &str, hash: Digest, size: u64) -> Result<Partial, FileError> {
        let home = self.home(owner);
        place::make(&home).map_err(FileError::io("write to", &home))?;
        let path = home.join(format!("{hash}.part"));
        let failed = || FileError::io("write to", &path);
        let mut file = own(&path)?;
        if file.metadata().map_err(failed())?.len() > size {
            file.set_len(0).map_err(failed())?;
        }
        let hashing = source::feed(&mut file, size).map_err(failed())?;
        file.seek(SeekFrom::Start(hashing.length())).map_err(failed())?;
        Ok(Partial { file, path, hashing })
    }

    /// Whether a file of a sender was begun.
    pub(super) fn has(&self, owner: &str, hash: Digest) -> bool {
        fs::symlink_metadata(self.home(owner).join(format!("{hash}.part"))).is_ok()
    }

    /// Removes what is there of a sender, where nothing is in it, and the folders.
    pub(super) fn tidy(&self, owner: &str) {
        let home = self.home(owner);
        let all = entries(&home).unwrap_or_default();
        let is_used = all.iter().any(|path| path.is_file() && unused(path).is_none());
        for path in all {
            if path.is_dir() {
                // The first file of a folder that comes now may be still to be put there.
                if !is_used && Survey::of(&path).is_ok_and(|survey| survey.files == 0) {
                    drop(fs::remove_dir_all(&path));
                }
            } else if let Some(file) = unused(&path)
                && file.metadata().is_ok_and(|about| about.len() == 0)
            {
                drop(fs::remove_file(&path));
            }
        }
        // A folder with something in it stays.
        drop(fs::remove_dir(home));
        drop(fs::remove_dir(&self.folder));
    }

    /// Makes room for so many bytes, if there is as much that nobody sends any more: the oldest goes
    /// first, and nothing goes in vain. A folder may be kept.
    pub(super) fn make_room(&self, missing: u64, keep: Option<&Path>) -> bool {
        // What can't be looked at stays.
        let mut idle = self.idle().unwrap_or_default();
        idle.retain(|one| Some(&*one.path) != keep);
        if idle.iter().map(|one| one.size).sum::<u64>() < missing {
            return false;
        }
        idle.sort_by_key(|one| one.modified);
        let mut room = 0;
        for Idle { size, path, .. } in idle {
            if room >= missing {
                break;
            }
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path).is_ok(),
                false => unused(&path).is_some() && fs::remove_file(&path).is_ok(),
            };
            if removed {
                tracing::info!("removed {} for lack of space", path.display());
                room += size;
            }
        }
        room >= missing
    }

    fn idle(&self) -> io::Result<Vec<Idle>> {
        let mut idle = Vec::new();
        let Some(before) = SystemTime::now().checked_sub(GRACE) else { return Ok(idle) };
        for home in entries(&self.folder)? {
            let (folders, files): (Vec<_>, Vec<_>) =
                entries(&home)?.into_iter().partition(|path| path.is_dir());
            // While one file of a folder comes, which may take long, the folder is not written to.
            let mut is_used = false;
            for path in files {
                let about = fs::symlink_metadata(&path)?;
                let (modified, size) = (about.modified()?, about.len());
                // What is young is not even asked, as that would be in the way of who comes back.
                if modified < before && unused(&path).is_some() {
                    idle.push(Idle { modified, size, path });
                } else {
                    is_used = true;
                }
            }
            for path in folders.into_iter().filter(|_| !is_used) {
                let modified = newest(&path)?;
                let size = Survey::of(&path).map_or(0, |survey| survey.size);
                if modified < before {
                    idle.push(Idle { modified, size, path });
                }
            }
        }
        Ok(idle)
    }

    /// Removes what nobody has written to for so long.
    pub(super) fn clean(&self, age: Duration) -> io::Result<()> {
        let Some(before) = SystemTime::now().checked_sub(age) else { return Ok(()) };
        for home in entries(&self.folder)? {
            for path in entries(&home)? {
                let about = fs::symlink_metadata(&path)?;
                if about.is_dir() {
                    // A folder is written to when something in it is.
                    if newest(&path)? < before {
                        fs::remove_dir_all(&path)?;
                    }
                } else if about.modified()? < before
                    && let Some(_ours) = unused(&path)
                {
                    fs::remove_file(&path)?;
                }
            }
            // It stays as long as there is something in it.
            drop(fs::remove_dir(&home));
        }
        Ok(())
    }
}

/// Opens a file for this process alone; it is made when it is not there.
fn own(path: &Path) -> Result<File, FileError> {
    let failed = || FileError::io("write to", path);
    // It may be removed between being opened and being ours, once.
    for _ in 0..8 {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(path).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::Busy),
            Err(TryLockError::Error(e)) => return Err(failed()(e)),
        }
        if is_there(&file.metadata().map_err(failed())?) {
            return Ok(file);
        }
    }
    Err(FileError::Busy)
}

/// A file that nobody receives: as long as this is open, nobody does.
fn unused(path: &Path) -> Option<File> {
    File::open(path).ok().filter(|file| file.try_lock().is_ok())
}

/// Whether a file has a name still.
#[cfg(unix)]
fn is_there(about: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(about) > 0
}

#[cfg(not(unix))]
fn is_there(_: &fs::Metadata) -> bool {
    true
}

/// When something below a folder was written last.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = fs::symlink_metadata(folder)?.modified()?;
    for path in entries(folder)? {
        let about = fs::symlink_metadata(&path)?;
        let time = if about.is_dir() { self::newest(&path)? } else { about.modified()? };
        newest = newest.max(time);
    }
    Ok(newest)
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(all) => all.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(e)
            if e.kind() == io::ErrorKind::NotFound || e.kind() == io::ErrorKind::NotADirectory =>
        {
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}
