//! Why there is no connection, in the words that a person is shown.

use super::canvas::PictureError;
use crate::address::LookupError;
use crate::rendezvous::LineError;
use crate::text::printable;
use crate::trust::{KnownError, PublicKey, TlsError};
use hightower_proto::stream::{StreamError, guess_protocol};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a connection was not made, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// There is no such machine.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The machine is there, the agent is not.
    #[error("nothing listens at {0}: is the agent running?")]
    Refused(SocketAddr),
    /// Nobody answered.
    #[error("{peer} did not answer within {} s: is it on, and not behind a firewall?", limit.as_secs())]
    TimedOut {
        /// Who was called.
        peer: SocketAddr,
        /// How long was waited.
        limit: Duration,
    },
    /// The system could not connect, or the connection broke.
    #[error("{peer}: {}", network(source))]
    Network {
        /// Who was called.
        peer: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The agent is leaving.
    #[error("the agent said goodbye: {0}")]
    Goodbye(String),
    /// The other side closed the connection between two items.
    #[error("the agent closed the connection")]
    Closed,
    /// The other side closed the connection and had said nothing at all.
    #[error("{0} closed the connection without a word: is that a Hightower agent?")]
    Wordless(SocketAddr),
    /// The agent is connected and silent: it answers no pings.
    #[error("{peer} has not answered for {:.1} s", quiet.as_secs_f64())]
    Silent {
        /// Who.
        peer: SocketAddr,
        /// For how long.
        quiet: Duration,
    },
    /// The stream is another protocol's.
    #[error("{peer} is not a Hightower agent: that is {name}")]
    Foreign {
        /// Who.
        peer: SocketAddr,
        /// What it speaks.
        name: &'static str,
    },
    /// The stream breaks the format.
    #[error("{peer} does not speak this protocol: {error}")]
    Stream {
        /// Who.
        peer: SocketAddr,
        /// What is wrong, with its offset.
        error: StreamError,
    },
    /// The stream ended in the middle of something.
    #[error("{peer} broke off: {error}")]
    Truncated {
        /// Who.
        peer: SocketAddr,
        /// What is missing, with its offset.
        error: StreamError,
    },
    /// Several frames in a row could not be decoded.
    #[error("{in_a_row} frames in a row could not be shown, the last one: {last}")]
    BadFrames {
        /// How many.
        in_a_row: u32,
        /// The last one's fault.
        last: BadFrame,
    },
    /// There is no key to prove who we are with.
    #[error(
        "{0} is another machine, and you have no key to show it: `hightower keygen` makes one \
         (--insecure asks for none, where the agent allows that)"
    )]
    NoKey(SocketAddr),
    /// The agent's name is new.
    #[error(
        "{target} is not known yet; its key is {}{also}. `hightower trust {target}{way}` makes it \
         known, and so does --accept-new", key.fingerprint()
    )]
    UnknownAgent {
        /// What was called.
        target: String,
        /// The key that it showed.
        key: PublicKey,
        /// What else it is known as, in words.
        also: String,
        /// What is typed to go the way by which it was called, if that is not the usual one.
        way: String,
    },
    /// The agent's name is known, and its key is another one.
    #[error(
        "the key of {target} has changed, and nothing was sent: {} is known, and {} was shown{also}. \
         Somebody may be between you and it; or the machine was set up anew, or has another one's \
         address. When you are sure: `hightower trust --forget {target}` ({})",
        expected.fingerprint(), key.fingerprint(), file.display()
    )]
    ChangedKey {
        /// What was called.
        target: String,
        /// The key that it showed.
        key: PublicKey,
        /// The key that it is known by.
        expected: PublicKey,
        /// What the shown key is known as, in words.
        also: String,
        /// The file of known agents.
        file: PathBuf,
    },
    /// It is no agent, by its port.
    #[error(
        "{0} is a server of the historical system, which shows its screen and locks its mouse: it \
         knows nothing else"
    )]
    Historical(String),
    /// The known agents can't be read or written.
    #[error(transparent)]
    Known(KnownError),
    /// There was no handshake.
    #[error("{peer}: {}", tls(error))]
    Tls {
        /// Who was called.
        peer: SocketAddr,
        /// What went wrong.
        error: TlsError,
    },
    /// The hub that knows the way to it does not lead there.
    #[error(transparent)]
    Hub(Box<LineError>),
    /// A machine that dials in has not, or has gone.
    #[error("{0} is not connected to this hub: it is off, or no agent runs there with --hub")]
    Away(String),
    /// A machine that dials in was told to call, and did not.
    #[error("{0} is connected to this hub and did not call when it was told to: {1}")]
    NotCalled(String, &'static str),
    /// The client was told to stop.
    #[error("the viewer was closed")]
    Stopped,
}

/// A frame that is no picture.
#[derive(Debug, thiserror::Error)]
#[error("{peer}, frame at byte {offset}: {error}")]
pub struct BadFrame {
    /// Who sent it.
    pub peer: SocketAddr,
    /// Where on the stream it began.
    pub offset: u64,
    /// What is wrong with it.
    pub error: PictureError,
}

impl Cause {
    /// What a failure to connect means.
    pub(super) fn connecting(peer: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(peer),
            _ => Self::Network { peer, source },
        }
    }

    /// What a broken stream means, given the first bytes of it.
    pub(crate) fn stream(peer: SocketAddr, error: StreamError, first: &[u8]) -> Self {
        let at_the_beginning = match &error {
            StreamError::NoItem { offset, .. }
            | StreamError::FrameTooLong { offset, .. }
            | StreamError::Truncated { offset, .. } => *offset == 0,
            _ => false,
        };
        match (at_the_beginning, guess_protocol(first), &error) {
            (true, Some(name), _) => Self::Foreign { peer, name },
            (_, _, StreamError::Truncated { .. }) => Self::Truncated { peer, error },
            _ => Self::Stream { peer, error },
        }
    }

    /// A goodbye's reason, from the network.
    pub(crate) fn goodbye(reason: &str) -> Self {
        let reason = printable(reason.trim());
        if reason.is_empty() { Self::Closed } else { Self::Goodbye(reason) }
    }
}

/// What a handshake that failed means.
fn tls(error: &TlsError) -> String {
    match error {
        e if e.is_foreign() => "it does not speak TLS: is it an agent that was started with \
             --insecure? Then view it with --insecure"
            .into(),
        TlsError::Io(e) => format!("the handshake broke off: {}", network(e)),
        e => format!("no encrypted connection: {e}"),
    }
}

/// The system's words, without its error numbers.
pub(crate) fn network(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "the connection was reset".into(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            "the connection broke".into()
        }
        io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        io::ErrorKind::TimedOut => "the connection broke: no answer any more".into(),
        io::ErrorKind::HostUnreachable => "the machine can't be reached: is it on?".into(),
        io::ErrorKind::NetworkUnreachable => "there is no way to that network".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
    }
}
