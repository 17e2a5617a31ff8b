//! Asks an agent of this user.

use super::{Answer, Ask};
use crate::trust::Place;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest answer, in bytes: a thousand viewers.
const MAX_LINE: u64 = 256 << 10;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What sockets' names end with.
const ENDING: &str = "sock";

/// Why an agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// None runs.
    #[error("no agent of yours answers at {}: {cause}", path.display())]
    Absent {
        /// Its socket.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// The connection broke, or took too long.
    #[error("the agent at {} does not answer: {cause}", path.display())]
    Broken {
        /// Its socket.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// It said something else.
    #[error("the agent at {} is of another version, or no agent: {why}", path.display())]
    Odd {
        /// Its socket.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The socket of the agent that listens there.
#[must_use]
pub fn path(place: &Place, agent: SocketAddr) -> PathBuf {
    // A colon stands in no way in a file's name where there are Unix sockets.
    place.runtime().join(format!("{agent}.{ENDING}"))
}

/// The sockets of all agents of this user, by name; some may be of agents that were killed.
///
/// # Errors
/// When the folder is there and can't be read.
pub fn all(place: &Place) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(place.runtime()) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension() == Some(OsStr::new(ENDING)));
    paths.sort();
    Ok(paths)
}

/// A question under way.
#[derive(Debug)]
pub struct Asked {
    path: PathBuf,
    answers: BufReader<UnixStream>,
}

/// Asks the agent with this socket.
///
/// # Errors
/// When there is none.
pub fn ask(path: &Path, ask: &Ask) -> Result<Asked, ConsoleError> {
    let connected = UnixStream::connect(path);
    let mut stream =
        connected.map_err(|cause| ConsoleError::Absent { path: path.to_owned(), cause })?;
    let broken = |cause| ConsoleError::Broken { path: path.to_owned(), cause };
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    let line = serde_json::to_string(ask).map_err(|e| broken(e.into()))?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(broken)?;
    Ok(Asked { path: path.to_owned(), answers: BufReader::new(stream) })
}

impl Asked {
    /// The next answer.
    ///
    /// # Errors
    /// When none comes, or one that is none.
    pub fn answer(&mut self) -> Result<Answer, ConsoleError> {
        let mut line = String::new();
        let read = (&mut self.answers).take(MAX_LINE).read_line(&mut line);
        match read {
            Err(cause) => Err(ConsoleError::Broken { path: self.path.clone(), cause }),
            Ok(0) => {
                let cause = io::ErrorKind::UnexpectedEof.into();
                Err(ConsoleError::Broken { path: self.path.clone(), cause })
            }
            Ok(_) => serde_json::from_str(&line).map_err(|e| {
                let (path, why) = (self.path.clone(), e.to_string());
                ConsoleError::Odd { path, why }
            }),
        }
    }

    /// Lets the next answer take so much longer.
    ///
    /// # Errors
    /// When the system says no.
    pub fn wait(&mut self, more: Duration) -> Result<(), ConsoleError> {
        let set = self.answers.get_ref().set_read_timeout(Some(PATIENCE + more));
        set.map_err(|cause| ConsoleError::Broken { path: self.path.clone(), cause })
    }
}
