//! Directory: names of machines that this program knows beside the name system's.
//!
//! What is in the configuration file comes before the name system, as a hosts file does; a name
//! that is in neither is asked for on the networks, where that is allowed. The program opens it
//! once, at its start; a library that never does asks the name system alone.

use crate::address::Target;
use std::collections::BTreeMap;
use std::sync::OnceLock;

static OPENED: OnceLock<Directory> = OnceLock::new();

/// Names, and whether the networks may be asked for others.
#[derive(Debug, Default)]
pub struct Directory {
    hosts: BTreeMap<String, Target>,
    discovery: bool,
}

impl Directory {
    /// Opens it for the whole program. Only the first one counts.
    pub fn open(hosts: BTreeMap<String, Target>, discovery: bool) {
        // A second one would change what names mean while they are used.
        drop(OPENED.set(Self { hosts, discovery }));
    }

    /// What the file says of a name.
    pub(crate) fn host(name: &str) -> Option<Target> {
        OPENED.get()?.hosts.get(name).cloned()
    }

    /// Whether the networks may be asked for a name.
    pub(crate) fn discovers() -> bool {
        OPENED.get().is_some_and(|directory| directory.discovery)
    }
}
