//! Rendezvous: how an agent behind a router is reached by a hub that both ends can reach.
//!
//! ```text
//!  agent ──── control: "call 5e3f…" ◀──── hub ◀──── "lab-07?" ──── operator
//!    └─────── call 5e3f… ═════════════════ ╪ ══════════ pipe ════════┘
//!             (the agent's own TLS, from the operator to the agent)
//! ```
//!
//! An agent keeps a WebSocket to its hub, on which the hub tells it to call. For each call it opens
//! another one, whose binary messages are bytes and mean nothing to the hub, and takes what comes
//! there for somebody who has connected. An operator who asks a hub for a machine is told where it
//! says that it is, and goes there where that leads to it; else the hub joins the two. Both prove
//! their keys to the hub, and to each other by the TLS within: a hub sees nothing of what they say,
//! and can change nothing.
//!
//! | file | what |
//! |---|---|
//! | `url` | a hub as a user names it |
//! | `words` | what is said on such WebSockets, and how keys are proven there |
//! | `line` | a WebSocket to a hub |
//! | `pipe` | a WebSocket as a stream of bytes |
//! | `via` | the way of an operator's program to a machine by a hub |
//!
//! The agent's part is in `crate::agent`, the hub's in `crate::hub`.

mod line;
mod pipe;
mod url;
mod via;
pub(crate) mod words;

pub use line::LineError;
pub(crate) use line::{Heard, Line, PIECE, certificate};
pub use url::{HubUrl, UrlError};
pub use via::Via;
