//! Where what is fetched goes: a folder, or one in it for each machine.

use crate::files::{Inbox, Space};
use anyhow::Result;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The folders, by what the machines are called.
pub(super) struct Destinations {
    inboxes: HashMap<String, Inbox>,
    /// Folders that were not there.
    made: Vec<PathBuf>,
}

impl Destinations {
    /// For machines, each with the name of its own folder, which is in this one unless there is one
    /// machine alone.
    ///
    /// # Errors
    /// When they can't be made.
    pub(super) fn open(
        machines: impl Iterator<Item = (String, String)>,
        into: &Path,
        is_one: bool,
    ) -> Result<Self> {
        let (mut inboxes, mut made, space) = (HashMap::new(), Vec::new(), Space::default());
        for (machine, folder) in machines {
            let into = if is_one { into.to_owned() } else { into.join(folder) };
            made.extend(missing(&into));
            // All are on one disk, most likely; where they are not, less is taken at a time.
            inboxes.insert(machine, Inbox::open(into, u64::MAX)?.sharing(space.clone()));
        }
        Ok(Self { inboxes, made })
    }

    /// Where a machine's files go.
    pub(super) fn of(&self, machine: &str) -> Option<&Inbox> {
        self.inboxes.get(machine)
    }

    /// Removes what was made for nothing.
    pub(super) fn tidy(mut self) {
        for (machine, inbox) in self.inboxes {
            inbox.tidy(&machine);
        }
        self.made.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        for folder in self.made {
            // One in which something is stays.
            drop(std::fs::remove_dir(folder));
        }
    }
}

/// The folders on the way to this one, and itself, that are not there.
fn missing(folder: &Path) -> Vec<PathBuf> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    folder.ancestors().take_while(is_missing).map(Path::to_owned).collect()
}
