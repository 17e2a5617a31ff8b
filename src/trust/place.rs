//! Where keys and lists are kept: one folder for each user, as SSH has one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folder of a user's keys and lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
    runtime: Option<PathBuf>,
}

/// Why there is no such folder.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nothing says where it should be.
    #[error("there is no home directory to keep keys in: set HIGHTOWER_CONFIG to a folder")]
    Homeless,
    /// It can't be made.
    #[error("can't make the folder {}: {cause}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

impl Place {
    /// This folder.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, runtime: None }
    }

    /// `$HIGHTOWER_CONFIG`, else `hightower` in the user's folder for configuration.
    ///
    /// # Errors
    /// [`PlaceError::Homeless`] when there is none.
    pub fn find() -> Result<Self, PlaceError> {
        let set = |name: &str| env::var_os(name).filter(|v: &OsString| !v.is_empty());
        if let Some(folder) = set("HIGHTOWER_CONFIG") {
            return Ok(Self::at(folder.into()));
        }
        let config = match (set("XDG_CONFIG_HOME"), env::home_dir()) {
            (Some(config), _) if Path::new(&config).is_absolute() => config.into(),
            (_, Some(home)) if home.is_absolute() => home.join(".config"),
            _ => return Err(PlaceError::Homeless),
        };
        let runtime = set("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime = runtime.filter(|folder| folder.is_absolute()).map(|f| f.join("hightower"));
        Ok(Self { folder: config.join("hightower"), runtime })
    }

    /// Makes the folder, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// When the system says no.
    pub fn make(&self) -> Result<(), PlaceError> {
        make(&self.folder).map_err(|cause| PlaceError::Io { path: self.folder.clone(), cause })
    }

    /// The folder of what is there while agents run: that of the keys where it was named by
    /// `$HIGHTOWER_CONFIG` or there is no other, else `hightower` in the user's folder for it.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.runtime.clone().unwrap_or_else(|| self.folder.clone())
    }

    /// Makes that folder, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// When the system says no, or the folder is another user's.
    #[cfg(unix)]
    pub fn make_runtime(&self) -> io::Result<()> {
        let folder = self.runtime();
        make(&folder)?;
        let about = fs::metadata(&folder)?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
        if super::key::is_own(&about) && mode & 0o022 == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("{} may be changed by others", folder.display())))
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The operator's secret key.
    #[must_use]
    pub fn operator_key(&self) -> PathBuf {
        self.folder.join("operator_key")
    }

    /// The agent's secret key.
    #[must_use]
    pub fn agent_key(&self) -> PathBuf {
        self.folder.join("agent_key")
    }

    /// The operators that the agent obeys.
    #[must_use]
    pub fn authorized_operators(&self) -> PathBuf {
        self.folder.join("authorized_operators")
    }

    /// The signed orders that the agent has seen lately.
    #[must_use]
    pub fn seen_orders(&self) -> PathBuf {
        self.folder.join("seen_orders")
    }

    /// The folder of the agent's audit log.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.folder.join("audit")
    }

    /// The users of a hub, and their passwords.
    #[must_use]
    pub fn hub_users(&self) -> PathBuf {
        self.folder.join("hub_users")
    }

    /// Who is signed in at the hub that listens on this port.
    #[must_use]
    pub fn hub_sessions(&self, port: u16) -> PathBuf {
        self.folder.join(format!("hub_sessions_{port}"))
    }

    /// Who has dialled in to the hub that listens on this port.
    #[must_use]
    pub fn hub_roster(&self, port: u16) -> PathBuf {
        self.folder.join(format!("hub_roster_{port}"))
    }

    /// Where files wait that go through the hub that listens on this port.
    #[must_use]
    pub fn hub_spool(&self, port: u16) -> PathBuf {
        self.folder.join(format!("hub_spool_{port}"))
    }

    /// A hub's certificate.
    #[must_use]
    pub fn hub_certificate(&self) -> PathBuf {
        self.folder.join("hub_certificate.pem")
    }

    /// The secret key of a hub's certificate.
    #[must_use]
    pub fn hub_key(&self) -> PathBuf {
        self.folder.join("hub_key.pem")
    }

    /// The operators whom a hub lets ask for the machines that dial in.
    #[must_use]
    pub fn hub_operators(&self) -> PathBuf {
        self.folder.join("hub_operators")
    }

    /// The hubs that are known by their certificates.
    #[must_use]
    pub fn known_hubs(&self) -> PathBuf {
        self.folder.join("known_hubs")
    }

    /// The agents that the operator knows.
    #[must_use]
    pub fn known_agents(&self) -> PathBuf {
        self.folder.join("known_agents")
    }
}

/// Makes a folder for its owner alone.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
