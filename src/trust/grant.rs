//! Grants and permits: what a peer may do, in types that leave no way around.
//!
//! A [`Gate`] is an agent's. It gives a [`Grant`] to a peer that it knows. Whatever the agent does
//! for a peer takes a [`Permit`] for its kind, and only a grant makes one, by looking at the list
//! of operators as it is at that moment. So a check that is forgotten does not compile, and a
//! line that is removed counts from the next command on.

use super::key::PublicKey;
use super::neighbour::{self, Transport};
use super::operators::{Operators, OperatorsError, Unwelcome};
use super::role::{Role, Roles};
use super::window::Window;
use crate::audit::{Audit, Event, What, Whose};
use crate::rates::network;
use jiff::Timestamp;
use std::fmt;
use std::fs::{self, Metadata};
use std::marker::PhantomData;
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

/// A kind of things that take a role.
pub trait Kind {
    /// The role.
    const ROLE: Role;
}

/// Seeing the screen.
#[derive(Debug, Clone, Copy)]
pub struct View;

/// Moving the pointer.
#[derive(Debug, Clone, Copy)]
pub struct Control;

impl Kind for View {
    const ROLE: Role = Role::View;
}

impl Kind for Control {
    const ROLE: Role = Role::Control;
}

/// Who does something, for logs: `anna@desk (10.1.2.3:40000)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The operator's name, or a fingerprint where there is none; `None` where nobody was asked.
    pub name: Option<Arc<str>>,
    /// Where from.
    pub peer: SocketAddr,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.peer),
            None => write!(f, "{}", self.peer),
        }
    }
}

/// The proof that somebody may do things of a kind now.
#[derive(Debug, Clone)]
#[must_use]
pub struct Permit<K> {
    by: By,
    audit: Audit,
    kind: PhantomData<K>,
}

impl<K> Permit<K> {
    /// Who has it.
    #[must_use]
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Writes down what its owner did.
    pub fn note(&self, what: What) {
        self.audit.note(Event::by(what, &self.by));
    }

    /// Writes down what its owner tried, and why nothing came of it.
    pub fn note_failure(&self, why: &str) {
        self.audit.note_refusal(Whose::Known, self.by.peer, 1, || Event {
            outcome: why.into(),
            ..Event::by(What::Refuse, &self.by)
        });
    }
}

/// Why somebody may not do things of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The key is not welcome any more.
    #[error(transparent)]
    Unwelcome(#[from] Unwelcome),
    /// It can't be written down, and so it is not allowed.
    #[error("the audit log can't be written, and until then this agent obeys nobody")]
    Unwritten,
    /// The key may do other things.
    #[error("your key does not have the role {0} on this agent")]
    Role(Role),
    /// Nobody watches for now.
    #[error("the machine shows a code for pairing, and nobody may watch meanwhile")]
    Pairing,
    /// Nobody watches for now.
    #[error("the person at the machine has paused the watching")]
    Paused,
}

#[derive(Debug, Clone)]
enum Who {
    /// Nobody was asked.
    Plain,
    Operator(PublicKey),
}

/// As whose a peer counts, where each may have a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The operator's with this key.
    Key(PublicKey),
    /// Whoever comes from this network, where nobody is asked.
    Network(IpAddr),
}

/// A peer that the agent knows, or need not know.
#[derive(Debug, Clone)]
pub struct Grant {
    gate: Arc<Gate>,
    who: Who,
    peer: SocketAddr,
}

impl Grant {
    /// A permit for things of this kind, by the list as it is now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn permit<K: Kind>(&self) -> Result<Permit<K>, Denied> {
        if self.gate.audit.forbids() {
            return Err(Denied::Unwritten);
        }
        if K::ROLE == Role::View {
            if self.gate.is_paused() {
                return Err(Denied::Paused);
            }
            // Who may see the code may do no more than that.
            if self.gate.window.is_open() {
                return Err(Denied::Pairing);
            }
        }
        let name = match &self.who {
            Who::Plain => None,
            Who::Operator(key) => {
                let list = self.gate.operators();
                let operator = list.find(key, self.peer.ip(), Timestamp::now())?;
                if !operator.roles.has(K::ROLE) {
                    return Err(Denied::Role(K::ROLE));
                }
                Some(called(&operator.name, key))
            }
        };
        let (by, audit) = (By { name, peer: self.peer }, self.gate.audit.clone());
        Ok(Permit { by, audit, kind: PhantomData })
    }

    /// Writes down that something was refused.
    pub fn note_refusal(&self, why: impl fmt::Display) {
        let operator = match &self.who {
            Who::Plain => None,
            Who::Operator(key) => Some(key.fingerprint().into()),
        };
        self.gate.audit.note_refusal(Whose::Known, self.peer, 1, || Event {
            operator,
            ..Event::refused(self.peer, why)
        });
    }

    /// As whose it counts; `None` on the agent's own machine, where nobody is asked.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match &self.who {
            Who::Operator(key) => Some(Holder::Key(*key)),
            Who::Plain if self.peer.ip().to_canonical().is_loopback() => None,
            Who::Plain => Some(Holder::Network(network(self.peer.ip()))),
        }
    }

    /// Whether the peer is known by a key.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.who, Who::Operator(_))
    }
}

/// How an operator is called in logs.
fn called(name: &str, key: &PublicKey) -> Arc<str> {
    if name.is_empty() { key.fingerprint().into() } else { name.into() }
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
        Ok(Grant { gate: Arc::clone(self), who: Who::Plain, peer })
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
        self.refresh();
        self.operators().find(key, peer.ip(), Timestamp::now())?;
        Ok(Grant { gate: Arc::clone(self), who: Who::Operator(*key), peer })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::SecretKey;
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
