//! Directory: names of machines that this program knows beside the name system's.
//!
//! What is in the configuration file comes before the name system, as a hosts file does; a name
//! that is in neither is asked for on the networks, where that is allowed. The program opens it
//! once, at its start; a library that never does asks the name system alone.

use crate::address::Target;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static OPENED: OnceLock<Directory> = OnceLock::new();

/// Names, and whether the networks may be asked for others.
#[derive(Debug, Default)]
pub struct Directory {
    hosts: BTreeMap<String, Target>,
    discovery: bool,
    /// Where agents were found that go by a name.
    found: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

impl Directory {
    /// Opens it for the whole program. Only the first one counts.
    pub fn open(hosts: BTreeMap<String, Target>, discovery: bool) {
        // A second one would change what names mean while they are used.
        // Names are the same in capitals, as in the name system.
        let hosts = hosts.into_iter().map(|(name, target)| (name.to_lowercase(), target)).collect();
        drop(OPENED.set(Self { hosts, discovery, found: Mutex::default() }));
    }

    /// What the file says of a name.
    pub(crate) fn host(name: &str) -> Option<Target> {
        OPENED.get()?.hosts.get(&name.to_lowercase()).cloned()
    }

    /// Remembers where the agent of a name was found.
    pub fn remember(name: &str, at: Vec<SocketAddr>) {
        if let Some(directory) = OPENED.get() {
            directory.found().insert(name.to_lowercase(), at);
        }
    }

    /// Where the agent of a name was found.
    pub(crate) fn found_at(name: &str) -> Option<Vec<SocketAddr>> {
        OPENED.get()?.found().get(&name.to_lowercase()).cloned()
    }

    fn found(&self) -> MutexGuard<'_, HashMap<String, Vec<SocketAddr>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the networks may be asked for a name.
    pub(crate) fn discovers() -> bool {
        OPENED.get().is_some_and(|directory| directory.discovery)
    }
}
