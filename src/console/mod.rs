//! The console: how the person at a machine asks its agent who watches, and has a say.
//!
//! A Unix socket in a folder that is theirs alone: a line of JSON to ask, lines of JSON to answer.
//! The kernel says whose the other end is, too.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod counter;

#[cfg(unix)]
pub use client::{Asked, ConsoleError, all, ask, path};
#[cfg(unix)]
pub use counter::Counter;

use crate::trust::Closed;
use hightower_proto::message::{Act, Join, Reply, Room, Say, State};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the person at the machine wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// How do things stand?
    Status,
    /// Let nobody watch from now on.
    Pause,
    /// Let those watch again who may.
    Resume,
    /// Do not restart the machine, or whatever is counted down.
    CancelPower,
    /// Pair with an operator who is to have these roles, while this connection lasts.
    Pair {
        /// As in the list of operators: `view,control`.
        roles: String,
    },
    /// Come into the chat's room, while this connection lasts.
    Chat(Join),
    /// Say something there.
    Say(Say),
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// How things stand.
    Status(Box<Status>),
    /// It is so.
    Done,
    /// It is not, and why.
    Refused {
        /// Why.
        why: String,
    },
    /// Somebody can pair; another answer says what came of it.
    Pairing {
        /// The code to show.
        code: String,
        /// For how long.
        seconds: u64,
    },
    /// Somebody has paired.
    Paired {
        /// What the operator is called.
        name: String,
        /// The operator's key.
        fingerprint: String,
    },
    /// What happened in the chat's room.
    Room(Room),
    /// What came of something that was said.
    Reply(Reply),
}

/// How an agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Where it listens.
    pub address: SocketAddr,
    /// Program and version.
    pub software: String,
    /// What it captures, for people.
    pub source: String,
    /// Its key, where it has one.
    pub fingerprint: Option<String>,
    /// What viewers are told.
    pub state: State,
    /// Who is connected to watch.
    pub viewers: Vec<Watcher>,
    /// Whether the person at the machine may pause the watching.
    pub may_pause: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether somebody can pair now.
    pub pairing: bool,
    /// What is to become of the machine, while it is counted down.
    #[serde(default)]
    pub counting: Option<Counting>,
}

/// What is to become of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counting {
    /// What is to be done.
    pub act: Act,
    /// Who wants it.
    pub who: String,
    /// In so many seconds.
    pub seconds: u64,
}

/// Somebody who is connected to watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watcher {
    /// The operator's name; none where nobody is asked.
    pub name: Option<String>,
    /// Where from: the hub's address where a hub has joined them with the agent.
    pub address: SocketAddr,
    /// Whether they come by a hub.
    #[serde(default)]
    pub by_hub: bool,
    /// For how long, in seconds.
    pub seconds: u64,
}

impl Answer {
    /// What came of a pairing; `None` when nobody paired in time.
    #[must_use]
    pub fn of_pairing(closed: Option<Closed>) -> Self {
        let why = match closed {
            Some(Closed::Paired { name, key }) => {
                return Self::Paired { name, fingerprint: key.fingerprint() };
            }
            Some(Closed::Unwritten(why)) => {
                format!("an operator had the code, and can't be written down: {why}")
            }
            Some(Closed::Guessed) => "three attempts did not have the code".into(),
            Some(Closed::Replaced) => "another pairing was begun".into(),
            None => "nobody paired in time".into(),
        };
        Self::Refused { why }
    }
}
