//! Grants and permits: what a peer may do, in types that leave no way around.
//!
//! A [`Gate`] is an agent's. It gives a [`Grant`] to a peer that it knows. Whatever the agent does
//! for a peer takes a [`Permit`] for its kind, and only a grant makes one, by looking at the list
//! of operators as it is at that moment. So a check that is forgotten does not compile, and a
//! line that is removed counts from the next command on.

use super::gate::Gate;
use super::key::PublicKey;
use super::operators::Unwelcome;
use super::role::Role;
use crate::audit::{Audit, Event, What, Whose};
use crate::rates::network;
use jiff::Timestamp;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tracing::Span;

/// What a key's fingerprint begins with.
const FINGERPRINT: &str = "SHA256:";

/// A kind of things that take a role.
pub trait Kind {
    /// The role.
    const ROLE: Role;
}

/// Restarting the machine, and the like.
#[derive(Debug, Clone, Copy)]
pub struct Power;

impl Kind for Power {
    const ROLE: Role = Role::Power;
}

/// Seeing the screen.
#[derive(Debug, Clone, Copy)]
pub struct View;

/// Moving the pointer.
#[derive(Debug, Clone, Copy)]
pub struct Control;

/// Saying something to those who sit at the machine, and to its other operators.
#[derive(Debug, Clone, Copy)]
pub struct Talk;
/// Sending and fetching files.
#[derive(Debug, Clone, Copy)]
pub struct Files;

/// Telling, or showing, something to who sits there.
#[derive(Debug, Clone, Copy)]
pub struct Message;

impl Kind for Files {
    const ROLE: Role = Role::Files;
}

impl Kind for Message {
    const ROLE: Role = Role::Message;
}

impl Kind for View {
    const ROLE: Role = Role::View;
}

impl Kind for Control {
    const ROLE: Role = Role::Control;
}

impl Kind for Talk {
    const ROLE: Role = Role::Message;
}

/// Who does something, for logs: `anna@desk (10.1.2.3:40000)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The operator's name, or a fingerprint where there is none; `None` where nobody was asked.
    pub name: Option<Arc<str>>,
    /// Where from: the hub's address where a hub has joined them with us.
    pub peer: SocketAddr,
    /// Whether they come by a hub.
    pub by_hub: bool,
}

impl By {
    /// Where from, for logs: `10.1.2.3:40000`, or `the hub at 10.1.2.3:18517`.
    #[must_use]
    pub fn place(&self) -> String {
        if self.by_hub { format!("the hub at {}", self.peer) } else { self.peer.to_string() }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if self.by_hub => write!(f, "{name} (by {})", self.place()),
            Some(name) => write!(f, "{name} ({})", self.place()),
            None => f.write_str(&self.place()),
        }
    }
}

/// The proof that somebody may do things of a kind now.
#[derive(Debug, Clone)]
#[must_use]
pub struct Permit<K> {
    by: By,
    audit: Audit,
    span: Span,
    kind: PhantomData<K>,
}

impl<K> Permit<K> {
    /// Who has it.
    #[must_use]
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Of what the lines of a log are that tell of this: the connection, where it is by one.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Writes down what its owner did.
    pub fn note(&self, what: What) {
        self.audit.note(Event::by(what, &self.by));
    }

    /// Writes down what its owner did, and what there is to say of it.
    pub fn note_with(&self, what: What, outcome: impl ToString) {
        self.audit.note(Event { outcome: outcome.to_string(), ..Event::by(what, &self.by) });
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
    by_hub: bool,
    span: Span,
}

impl Grant {
    /// Of somebody who need not be known.
    pub(super) fn plain(gate: Arc<Gate>, peer: SocketAddr) -> Self {
        Self { gate, who: Who::Plain, peer, by_hub: false, span: Span::none() }
    }

    /// Of the operator who has proven to have this key.
    pub(super) fn operator(
        gate: Arc<Gate>,
        key: PublicKey,
        peer: SocketAddr,
        by_hub: bool,
    ) -> Self {
        Self { gate, who: Who::Operator(key), peer, by_hub, span: Span::none() }
    }

    /// The same, of somebody whose connection has this span.
    #[must_use]
    pub fn within(self, span: Span) -> Self {
        Self { span, ..self }
    }

    /// Of what the lines of a log are that tell of this peer.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// From where they have to be allowed to come.
    fn from(&self) -> IpAddr {
        from(self.peer, self.by_hub)
    }

    /// A permit for things of this kind, by the list as it is now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn permit<K: Kind>(&self) -> Result<Permit<K>, Denied> {
        if self.gate.audit().forbids() {
            return Err(Denied::Unwritten);
        }
        if K::ROLE == Role::View {
            if self.gate.is_paused() {
                return Err(Denied::Paused);
            }
            // Who may see the code may do no more than that.
            if self.gate.window().is_open() {
                return Err(Denied::Pairing);
            }
        }
        let name = match &self.who {
            // An agent that asks nobody would do it for anybody.
            Who::Plain if K::ROLE == Role::Power && self.gate.takes_anybody() => {
                return Err(Denied::Role(K::ROLE));
            }
            Who::Plain => None,
            Who::Operator(key) => {
                let list = self.gate.operators();
                let operator = list.find(key, self.from(), Timestamp::now())?;
                if !operator.roles.has(K::ROLE) {
                    return Err(Denied::Role(K::ROLE));
                }
                Some(called(&operator.name, key))
            }
        };
        let by = By { name, peer: self.peer, by_hub: self.by_hub };
        let audit = self.gate.audit().clone();
        Ok(Permit { by, audit, span: self.span.clone(), kind: PhantomData })
    }

    /// Who it is, if they are still welcome, whatever they may do.
    ///
    /// # Errors
    /// Why they are not.
    pub fn standing(&self) -> Result<By, Denied> {
        if self.gate.audit().forbids() {
            return Err(Denied::Unwritten);
        }
        let name = match &self.who {
            Who::Plain => None,
            Who::Operator(key) => {
                let list = self.gate.operators();
                Some(called(&list.find(key, self.from(), Timestamp::now())?.name, key))
            }
        };
        Ok(By { name, peer: self.peer, by_hub: self.by_hub })
    }

    /// Writes down that they have come, and do not watch.
    pub fn note_visit(&self) {
        if let Ok(by) = self.standing() {
            self.gate.audit().note(Event::by(What::Visit, &by));
        }
    }

    /// Writes down that something was refused.
    pub fn note_refusal(&self, why: impl fmt::Display) {
        let operator = match &self.who {
            Who::Plain => None,
            Who::Operator(key) => Some(key.fingerprint().into()),
        };
        let place = By { name: None, peer: self.peer, by_hub: self.by_hub }.place();
        self.gate.audit().note_refusal(Whose::Known, self.peer, 1, || Event {
            operator,
            ..Event::refused(place, why)
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

    /// What an operator is called where others have to tell them apart: by the name in the list, as
    /// `shown` there, and by the key as well where that is shown twice. `None` where nobody was
    /// asked.
    #[must_use]
    pub fn title(&self, shown: impl Fn(&str) -> String) -> Option<String> {
        let Who::Operator(key) = &self.who else { return None };
        let list = self.gate.operators();
        let name = list.by_id(&key.id()).map(|operator| shown(&operator.name)).unwrap_or_default();
        if name.is_empty() {
            return Some(key.fingerprint());
        }
        let same = list.list().iter().filter(|operator| shown(&operator.name) == name).count();
        // Or a name that is made to look as if it was shown with another one's key.
        if same > 1 || name.to_ascii_uppercase().contains(FINGERPRINT) {
            return Some(format!("{name} {}", key.fingerprint()));
        }
        Some(name)
    }

    /// Whether the peer is known by a key.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.who, Who::Operator(_))
    }
}

/// From where somebody has to be allowed to come. Whoever comes by a hub comes from the hub, and
/// never from this machine, even where the hub is on it: others are behind it.
pub(super) fn from(peer: SocketAddr, by_hub: bool) -> IpAddr {
    match peer.ip() {
        ip if by_hub && ip.to_canonical().is_loopback() => Ipv6Addr::UNSPECIFIED.into(),
        ip => ip,
    }
}

/// How an operator is called in logs.
fn called(name: &str, key: &PublicKey) -> Arc<str> {
    if name.is_empty() { key.fingerprint().into() } else { name.into() }
}
