//! Gate: an agent's rules. Whom it knows, and from whom it takes what is plain.

use super::grant::{self, Grant};
use super::key::PublicKey;
use super::neighbour::{self, Transport};
use super::operators::{Operators, OperatorsError, Unwelcome};
use super::role::Roles;
use super::window::Window;
use crate::audit::{Audit, Event, What};
use jiff::Timestamp;
use std::fs::{self, Metadata};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// How coarse file times are, at worst.
const SETTLED: Duration = Duration::from_secs(2);

/// From whom an agent takes what is neither encrypted nor signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plain {
    /// From nobody.
    Never,
    /// From this machine's loopback, if it is this user's or root's.
    #[default]
    OwnUser,
    /// From anybody who can reach it.
    Anyone,
}

/// Why a peer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It neither encrypts nor signs, and has to.
    #[error(
        "this agent asks who you are: connect with `hightower view`, by TLS and with a key that \
         it knows"
    )]
    Unknown,
    /// It is another user's, on this machine.
    #[error(
        "the connection is not of the user whom this agent serves, or was closed at once; other \
         users of this machine are served by an agent with --require-keys"
    )]
    OtherUser,
}

/// What tells one state of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    id: (u64, u32, i64, i64),
}

impl Stamp {
    /// Whether the file was not changed just now.
    fn is_settled(&self) -> bool {
        let age = self.modified.and_then(|time| time.elapsed().ok());
        age.is_some_and(|age| age > SETTLED)
    }

    fn of(about: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            modified: about.modified().ok(),
            length: about.len(),
            #[cfg(unix)]
            id: (about.ino(), about.mode(), about.ctime(), about.ctime_nsec()),
        }
    }
}

#[derive(Debug, Default)]
struct List {
    operators: Arc<Operators>,
    /// Another one for each list.
    number: u64,
}

/// An agent's rules: whom it knows, and from whom it takes what is plain.
#[derive(Debug)]
pub struct Gate {
    plain: Plain,
    /// Whether nobody may watch for now.
    paused: AtomicBool,
    /// When strangers may pair.
    window: Window,
    audit: Audit,
    /// `None` for an agent that knows nobody.
    path: Option<PathBuf>,
    list: RwLock<List>,
    /// Of the file as it was last read, or was not there; `None` where it must be read once more.
    /// Held while it is read.
    stamp: Mutex<Option<Option<Stamp>>>,
}

impl Gate {
    /// The gate of an agent that obeys this file's operators; it is read now, and followed by
    /// [`Gate::refresh`].
    #[must_use]
    pub fn new(plain: Plain, operators: Option<PathBuf>, audit: Audit) -> Arc<Self> {
        let (list, stamp) = (RwLock::default(), Mutex::new(None));
        let (paused, window) = (AtomicBool::new(false), Window::default());
        let gate = Self { plain, paused, window, audit, path: operators, list, stamp };
        gate.refresh();
        Arc::new(gate)
    }

    /// Where what happens is written down.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// When strangers may pair. While it is open nobody may watch, since the code is on the screen;
    /// those who watch already are to be told when it is opened.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Whether the person at the machine lets nobody watch for now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Lets nobody watch from now on, or again those who may. Those who watch already are to be
    /// told.
    pub fn pause(&self, paused: bool) {
        if self.paused.swap(paused, Ordering::Relaxed) != paused {
            let what = if paused { What::Pause } else { What::Resume };
            self.audit.note(Event::of(what, "by the person at the machine"));
        }
    }

    /// Whether there is something to follow: a list, or a log without which nobody is obeyed.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.path.is_some() || self.audit.may_forbid()
    }

    /// The list as it was last read.
    #[must_use]
    pub fn operators(&self) -> Arc<Operators> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&list.operators)
    }

    /// Reads the list again if its file has changed. A file that can't be followed leaves nobody in
    /// the list. Gives the list's number, which another list has not. Reads files: not for an async
    /// thread.
    pub fn refresh(&self) -> u64 {
        let Some(path) = &self.path else { return 0 };
        // One at a time; whoever asks what the list says does not wait for the disk.
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let found = fs::metadata(path).ok().map(|about| Stamp::of(&about));
        if *stamp == Some(found) {
            return self.number();
        }
        // What was written just now may be written once more without another stamp.
        *stamp = found.is_none_or(|stamp| stamp.is_settled()).then_some(found);
        let operators = Operators::load(path).unwrap_or_else(|e| {
            tracing::error!("{e}");
            Operators::default()
        });
        if operators == *self.operators() {
            return self.number();
        }
        for fault in &operators.faults {
            tracing::error!("{}, {fault}; the line is not followed", path.display());
        }
        let said = format!("{} operators in {}", operators.list().len(), path.display());
        tracing::info!("{said}");
        self.audit.note(Event::of(What::KeyChange, said));
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.operators = Arc::new(operators);
        list.number += 1;
        list.number
    }

    fn number(&self) -> u64 {
        self.list.read().unwrap_or_else(PoisonError::into_inner).number
    }

    /// Adds an operator who has paired from there; gives the roles that the list says they have. Writes
    /// files: not for an async thread.
    ///
    /// # Errors
    /// When there is no list, or it can't be written.
    pub fn admit(
        &self,
        key: &PublicKey,
        peer: SocketAddr,
        roles: Roles,
        name: &str,
    ) -> Result<Roles, OperatorsError> {
        let path = self.path.as_ref().ok_or(OperatorsError::None)?;
        let roles = Operators::admit(path, key, peer.ip(), roles, name)?;
        self.refresh();
        Ok(roles)
    }

    /// Whether somebody has expired after the first moment and up to the second.
    #[must_use]
    pub fn expired_within(&self, after: Timestamp, until: Timestamp) -> bool {
        self.operators().list().iter().any(|one| one.expires_within(after, until))
    }

    /// Whether anybody who can reach the agent may watch.
    #[must_use]
    pub fn takes_anybody(&self) -> bool {
        self.plain == Plain::Anyone
    }

    /// Whether the peer has to prove who it is: else [`Gate::plain`] is asked.
    #[must_use]
    pub fn asks(&self, peer: IpAddr) -> bool {
        match self.plain {
            Plain::Never => true,
            Plain::OwnUser => !peer.to_canonical().is_loopback(),
            Plain::Anyone => false,
        }
    }

    /// Lets in what is neither encrypted nor signed, if it may be so. `local` is this end's
    /// address. Reads files: not for an async thread.
    ///
    /// # Errors
    /// Why it may not.
    pub fn plain(
        self: &Arc<Self>,
        transport: Transport,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Result<Grant, Refused> {
        if self.asks(peer.ip()) {
            return Err(Refused::Unknown);
        }
        if self.plain == Plain::OwnUser && !neighbour::is_own(transport, peer, local) {
            return Err(Refused::OtherUser);
        }
        Ok(Grant::plain(Arc::clone(self), peer))
    }

    /// Lets in whoever has proven to have this key, if the list, read anew where it has changed,
    /// says so. Reads files: not for an async thread.
    ///
    /// # Errors
    /// Why they are not welcome.
    pub fn operator(
        self: &Arc<Self>,
        key: &PublicKey,
        peer: SocketAddr,
    ) -> Result<Grant, Unwelcome> {
        self.let_in(key, peer, false)
    }

    /// The same for whoever a hub has joined with us; `peer` is the hub.
    ///
    /// # Errors
    /// Why they are not welcome.
    pub fn operator_by_hub(
        self: &Arc<Self>,
        key: &PublicKey,
        peer: SocketAddr,
    ) -> Result<Grant, Unwelcome> {
        self.let_in(key, peer, true)
    }

    fn let_in(
        self: &Arc<Self>,
        key: &PublicKey,
        peer: SocketAddr,
        by_hub: bool,
    ) -> Result<Grant, Unwelcome> {
        self.refresh();
        self.operators().find(key, grant::from(peer, by_hub), Timestamp::now())?;
        Ok(Grant::operator(Arc::clone(self), *key, peer, by_hub))
    }
}

#[cfg(test)]
mod tests {
    use super::super::grant::{Control, Denied, View};
    use super::super::key::SecretKey;
    use super::super::role::Role;
    use super::*;

    fn peer() -> SocketAddr {
        ([10, 1, 2, 3], 40_000).into()
    }

    #[test]
    fn a_permit_is_of_a_role_and_of_this_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_operators");
        let gate = Gate::new(Plain::Never, Some(path.clone()), Audit::default());
        let key = SecretKey::generate().public();
        assert_eq!(gate.operator(&key, peer()).err(), Some(Unwelcome::Unknown));
        std::fs::write(&path, format!("view {key} anna")).expect("written");
        let grant = gate.operator(&key, peer()).expect("the new file counts at once");
        assert_eq!(grant.permit::<View>().expect("may").by().to_string(), "anna (10.1.2.3:40000)");
        assert_eq!(grant.permit::<Control>().err(), Some(Denied::Role(Role::Control)));
        let number = gate.refresh();
        assert_eq!(gate.refresh(), number, "nothing has changed");

        std::fs::write(&path, format!("all {key}")).expect("written");
        // Whoever looks first, the number tells the others.
        assert!(gate.operator(&key, peer()).is_ok());
        assert_ne!(gate.refresh(), number);
        // As long, in the same moment.
        std::fs::write(&path, format!("#ll {key}")).expect("written");
        assert_eq!(gate.operator(&key, peer()).err(), Some(Unwelcome::Unknown));
        std::fs::write(&path, format!("all {key}")).expect("written");
        let number = gate.refresh();
        let permit = grant.permit::<Control>().expect("may now");
        assert!(permit.by().to_string().starts_with("SHA256:"), "{permit:?}");
        std::fs::remove_file(&path).expect("removed");
        assert_ne!(gate.refresh(), number);
        let gone = grant.permit::<View>().err();
        assert_eq!(gone, Some(Denied::Unwelcome(Unwelcome::Unknown)));
    }

    #[test]
    fn who_comes_by_a_hub_comes_from_there_and_never_from_this_machine() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_operators");
        let gate = Gate::new(Plain::OwnUser, Some(path.clone()), Audit::default());
        let key = SecretKey::generate().public();
        let (here, there) = (([127, 0, 0, 1], 9).into(), ([10, 1, 2, 3], 9).into());
        let allow = |from: &str| {
            let line = format!("all {from} {key} anna");
            std::fs::write(&path, line).expect("written");
        };
        allow("");
        let grant = gate.operator_by_hub(&key, here).expect("welcome");
        let by = grant.permit::<View>().expect("may").by().to_string();
        assert_eq!(by, "anna (by the hub at 127.0.0.1:9)");
        allow("from=127.0.0.0/8,::1");
        assert!(gate.operator(&key, here).is_ok());
        assert_eq!(gate.operator_by_hub(&key, here).err(), Some(Unwelcome::Elsewhere));
        assert!(grant.permit::<View>().is_err(), "nor may whoever was let in before");
        allow("from=10.1.0.0/16");
        assert!(gate.operator_by_hub(&key, there).is_ok());
        assert_eq!(gate.operator_by_hub(&key, here).err(), Some(Unwelcome::Elsewhere));
    }

    #[test]
    fn who_expires_is_noticed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_operators");
        let (key, end) = (SecretKey::generate().public(), Timestamp::now());
        std::fs::write(&path, format!("view expires={end} {key}")).expect("written");
        let gate = Gate::new(Plain::Never, Some(path), Audit::default());
        let second = jiff::SignedDuration::from_secs(1);
        assert!(gate.expired_within(end - second, end));
        assert!(!gate.expired_within(end, end + second));
        assert_eq!(gate.operator(&key, peer()).err(), Some(Unwelcome::Expired));
    }

    #[test]
    fn what_is_plain_is_taken_from_whom_it_may_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let local = listener.local_addr().expect("an address");
        let client = std::net::TcpStream::connect(local).expect("connected");
        let here = client.local_addr().expect("an address");
        let come = |plain, peer| {
            let gate = Gate::new(plain, None, Audit::default());
            gate.plain(Transport::Tcp, peer, local).map(|grant| grant.is_proven())
        };
        assert_eq!(come(Plain::Never, here), Err(Refused::Unknown));
        assert_eq!(come(Plain::OwnUser, here), Ok(false));
        assert_eq!(come(Plain::OwnUser, peer()), Err(Refused::Unknown));
        assert_eq!(come(Plain::Anyone, peer()), Ok(false));
    }
}
