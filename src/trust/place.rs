//! Where keys and lists are kept: one folder for each user, as SSH has one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folder of a user's keys and lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(PathBuf);

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
        Self(folder)
    }

    /// `$HIGHTOWER_CONFIG`, else `hightower` in the user's folder for configuration.
    ///
    /// # Errors
    /// [`PlaceError::Homeless`] when there is none.
    pub fn find() -> Result<Self, PlaceError> {
        let set = |name: &str| env::var_os(name).filter(|v: &OsString| !v.is_empty());
        if let Some(folder) = set("HIGHTOWER_CONFIG") {
            return Ok(Self(folder.into()));
        }
        let config = match (set("XDG_CONFIG_HOME"), env::home_dir()) {
            (Some(config), _) if Path::new(&config).is_absolute() => config.into(),
            (_, Some(home)) if home.is_absolute() => home.join(".config"),
            _ => return Err(PlaceError::Homeless),
        };
        Ok(Self(config.join("hightower")))
    }

    /// Makes the folder, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// When the system says no.
    pub fn make(&self) -> Result<(), PlaceError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0).map_err(|cause| PlaceError::Io { path: self.0.clone(), cause })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The operator's secret key.
    #[must_use]
    pub fn operator_key(&self) -> PathBuf {
        self.0.join("operator_key")
    }

    /// The agent's secret key.
    #[must_use]
    pub fn agent_key(&self) -> PathBuf {
        self.0.join("agent_key")
    }

    /// The operators that the agent obeys.
    #[must_use]
    pub fn authorized_operators(&self) -> PathBuf {
        self.0.join("authorized_operators")
    }

    /// The signed orders that the agent has seen lately.
    #[must_use]
    pub fn seen_orders(&self) -> PathBuf {
        self.0.join("seen_orders")
    }

    /// The folder of the agent's audit log.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The agents that the operator knows.
    #[must_use]
    pub fn known_agents(&self) -> PathBuf {
        self.0.join("known_agents")
    }
}
