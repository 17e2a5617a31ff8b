//! A connection to a room: by the network, or at the machine itself.

use crate::address::Target;
use crate::call::Call;
#[cfg(unix)]
use crate::console::Counter;
use crate::viewer::{Cause, Security};
use hightower_proto::Message;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;

/// Where a room is.
pub(crate) enum Place {
    Machine(Target, Security),
    /// The agent of this user with this socket.
    #[cfg(unix)]
    Here(PathBuf),
}

/// A connection.
pub(super) enum Wire {
    Call(Box<Call>),
    #[cfg(unix)]
    Counter(Counter),
}

/// Why there is none, in words.
pub(super) struct Gone {
    pub(super) why: String,
    /// Whether trying again can't help before somebody does something.
    pub(super) for_good: bool,
}

impl From<Cause> for Gone {
    fn from(cause: Cause) -> Self {
        let for_good = matches!(
            cause,
            Cause::NoKey(_)
                | Cause::Historical(_)
                | Cause::UnknownAgent { .. }
                | Cause::ChangedKey { .. }
                | Cause::Known(_)
                | Cause::Foreign { .. }
        );
        Self { why: cause.to_string(), for_good }
    }
}

impl From<io::Error> for Gone {
    /// At the machine itself there is no network that could come back.
    fn from(error: io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                "the agent has ended".into()
            }
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "no agent of yours runs there: `hightower status` lists those that do".into()
            }
            _ => error.to_string(),
        };
        Self { why, for_good: true }
    }
}

impl Place {
    pub(super) async fn connect(&self) -> Result<Wire, Gone> {
        match self {
            Self::Machine(target, security) => {
                Ok(Wire::Call(Box::new(Call::to(target, security).await?)))
            }
            #[cfg(unix)]
            Self::Here(path) => Ok(Wire::Counter(Counter::open(path).await?)),
        }
    }
}

impl Wire {
    pub(super) async fn say(&mut self, message: Message) -> Result<(), Gone> {
        match self {
            Self::Call(call) => call.say(&message).await?,
            #[cfg(unix)]
            Self::Counter(counter) => match message {
                Message::Join(join) => counter.join(join).await?,
                Message::Say(say) => counter.say(say).await?,
                _ => {}
            },
        }
        Ok(())
    }

    /// What comes next. May be given up and asked again without losing any.
    pub(super) async fn hear(&mut self) -> Result<Message, Gone> {
        match self {
            Self::Call(call) => Ok(call.hear().await?),
            #[cfg(unix)]
            Self::Counter(counter) => Ok(counter.hear().await?),
        }
    }

    /// Whether it is at the machine itself.
    pub(super) fn is_here(&self) -> bool {
        !matches!(self, Self::Call(_))
    }

    pub(super) async fn close(self) {
        match self {
            // All that was said is answered: whether the goodbye arrives is all the same.
            Self::Call(call) => drop(call.close("that was all").await),
            #[cfg(unix)]
            Self::Counter(_) => {}
        }
    }
}
