//! Trust: who is who, and who may do what. The model is SSH's.
//!
//! Each operator and each agent has an Ed25519 key (`key`), kept in one folder (`place`). An agent
//! obeys the operators of its list (`operators`), each in what their roles allow (`role`); an
//! operator remembers the agents of theirs (`known`). Both prove their keys by TLS (`tls`), and
//! sign what goes by datagram (`desk`, `replay`). What a peer may do is a `grant`, by the rules of the
//! agent's `gate`. Those who share a short code exchange their keys by `pairing`, while a `window` is
//! open. Hubs are web servers, known by their certificates (`hubs`).

mod desk;
mod gate;
mod grant;
pub mod hubs;
mod key;
mod known;
mod list;
mod neighbour;
mod operators;
mod pairing;
mod place;
mod replay;
mod role;
pub(crate) mod tls;
mod window;

pub use desk::{Desk, Glance, Verdict, now_ms};
pub use gate::{Gate, Plain, Refused};
pub use grant::{
    By, Control, Denied, Files, Grant, Holder, Kind, Message, Permit, Power, Talk, View,
};
pub(crate) use key::write_new;
pub use key::{KeyError, PublicKey, PublicKeyError, SecretKey, load_public};
pub use known::{KnownAgent, KnownAgents, KnownError, Standing};
pub(crate) use list::read_list;
pub use neighbour::Transport;
pub use operators::{Fault, LineError, Operator, Operators, OperatorsError, Unwelcome};
pub use pairing::{Code, CodeError, Ends, Half, Proofs};
pub use place::{Place, PlaceError};
pub use role::{Role, RoleError, Roles};
pub use tls::{Acceptor, Connector, Hello, TlsError};
pub use window::{Attempt, Closed, Opened, Success, WINDOW, Window};
