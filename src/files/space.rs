//! Space: what is free on a disk, and how much of that was promised to what is under way already.

use super::FileError;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A folder's files come one after another, and each is hashed before it is offered. Of which none
/// has come for so long, that is not under way any more: its sender may be gone.
const LAPSE: Duration = Duration::from_secs(60);

/// What is promised of a disk; shared by all that receive onto it.
#[derive(Debug, Clone, Default)]
pub struct Space(Arc<Mutex<Promised>>);

#[derive(Debug, Default)]
struct Promised {
    /// To the files that are under way.
    files: u64,
    /// To the rest of folders, by where their files wait.
    folders: HashMap<PathBuf, Rest>,
}

#[derive(Debug)]
struct Rest {
    left: u64,
    moved: Instant,
}

impl Rest {
    fn is_under_way(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.moved) < LAPSE
    }
}

/// A folder, of which a file is part.
pub(super) struct Whole<'a> {
    pub(super) tree: &'a Path,
    /// What is missing of it, this file's part with it, where that is known.
    pub(super) missing: Option<u64>,
}

/// Space that is kept for a file, until it is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    left: u64,
    tree: Option<PathBuf>,
    space: Space,
}

impl Space {
    fn lock(&self) -> MutexGuard<'_, Promised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is left of a folder has its space already.
    pub(super) fn knows(&self, tree: &Path) -> bool {
        let now = Instant::now();
        self.lock().folders.get(tree).is_some_and(|rest| rest.is_under_way(now))
    }

    /// Keeps space for the rest of a file, and at the first one of a folder for all of that. `free`
    /// asks the disk, and is asked while nobody else is promised anything.
    pub(super) fn promise(
        &self,
        file: u64,
        whole: Option<&Whole<'_>>,
        free: impl FnOnce() -> Option<u64>,
    ) -> Result<Promise, FileError> {
        let (mut all, now) = (self.lock(), Instant::now());
        all.folders.retain(|_, rest| rest.is_under_way(now));
        let known = whole.and_then(|whole| all.folders.get(whole.tree)).map(|rest| rest.left);
        let rests = all.folders.values().fold(0, |sum: u64, rest| sum.saturating_add(rest.left));
        let promised = all.files.saturating_add(rests - known.unwrap_or(0));
        // What a folder was promised is looked for once.
        let missing = known.or(whole.and_then(|whole| whole.missing));
        let needed = if known.is_some() { file } else { missing.unwrap_or(0).max(file) };
        if let Some(free) = free()
            && free < promised.saturating_add(needed)
        {
            return Err(FileError::NoSpace { needed, free, promised });
        }
        if let (Some(whole), Some(missing)) = (whole, missing) {
            let rest = Rest { left: missing.saturating_sub(file), moved: now };
            all.folders.insert(whole.tree.to_owned(), rest);
        }
        all.files = all.files.saturating_add(file);
        let tree = whole.map(|whole| whole.tree.to_owned());
        Ok(Promise { left: file, tree, space: self.clone() })
    }

    /// A folder is whole, or is given up.
    pub(super) fn forget(&self, tree: &Path) {
        self.lock().folders.remove(tree);
    }
}

impl Promise {
    /// So much of it is on the disk.
    pub(super) fn written(&mut self, length: u64) {
        let length = length.min(self.left);
        self.left -= length;
        let mut all = self.space.lock();
        all.files = all.files.saturating_sub(length);
        if let Some(rest) = self.tree.as_ref().and_then(|tree| all.folders.get_mut(tree)) {
            rest.moved = Instant::now();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut all = self.space.lock();
        all.files = all.files.saturating_sub(self.left);
        // What did not come of a file is still missing of its folder.
        if let Some(rest) = self.tree.as_ref().and_then(|tree| all.folders.get_mut(tree)) {
            rest.left = rest.left.saturating_add(self.left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_and_not_written_yet_is_not_free() {
        let space = Space::default();
        let promise = |file, whole: Option<&Whole<'_>>, free| {
            space.promise(file, whole, || Some(free)).map_err(|e| match e {
                FileError::NoSpace { needed, free, promised } => (needed, free, promised),
                other => panic!("{other}"),
            })
        };
        let mut one = promise(60, None, 100).expect("there is room");
        assert_eq!(promise(60, None, 100).err(), Some((60, 100, 60)));
        one.written(50);
        assert_eq!(promise(60, None, 50).err(), Some((60, 50, 10)));
        drop(one);
        // All of a folder, and each of its files is a part of that.
        let tree = Path::new("tree");
        let whole = Whole { tree, missing: Some(80) };
        assert_eq!(promise(30, Some(&whole), 70).err(), Some((80, 70, 0)));
        assert!(!space.knows(tree));
        let mut part = promise(30, Some(&whole), 100).expect("there is room");
        assert!(space.knows(tree));
        assert_eq!(promise(30, None, 100).err(), Some((30, 100, 80)));
        part.written(20);
        drop(part);
        let rest = Whole { tree, missing: None };
        let part = promise(10, Some(&rest), 80).expect("it is its own");
        assert_eq!(promise(30, None, 80).err(), Some((30, 80, 60)));
        drop(part);
        space.forget(tree);
        assert!(promise(80, None, 80).is_ok() && space.lock().files == 0);
    }
}
