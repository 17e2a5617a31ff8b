//! Saying: one message to machines, which each of them takes once.

use crate::address::Target;
use crate::call::Call;
use crate::chat::Unsaid;
use crate::text::printable;
use crate::viewer::{Cause, Security};
use hightower_proto::message::{Reply, Say};
use hightower_proto::{Command, Message};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an agent may take to answer. One without a chat never does. It is longer than a call
/// takes to find out that the network has fallen silent, which is another thing.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it is tried in all, when the connection breaks before the answer.
const TRIED: Duration = Duration::from_secs(40);

/// The wait before that.
const WAIT: Duration = Duration::from_millis(500);

/// Why a message was not said, or perhaps was not, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// The machine does not take it.
    #[error("{0}")]
    Refused(String),
    /// The machine was not reached, or has not answered.
    #[error("{0}")]
    Lost(String),
}

/// A message for the persons at machines, and for the operators in their chats.
#[derive(Debug, Clone)]
pub struct Saying(Message);

impl Saying {
    /// A message.
    ///
    /// # Errors
    /// When it is too long, or nothing.
    pub fn new(text: String) -> Result<Self, Unsaid> {
        Self::on_behalf(text, None)
    }

    /// A message of somebody who uses this program, where that is not whoever's key it is.
    ///
    /// # Errors
    /// As [`Saying::new`].
    pub fn on_behalf(text: String, behalf: Option<String>) -> Result<Self, Unsaid> {
        Unsaid::check(&text)?;
        let member = RandomState::new().build_hasher().finish();
        Ok(Self(Message::Say(Say { member, number: 1, text, behalf })))
    }

    /// To how many it was said, or why it was not. Said again when the connection broke before the
    /// answer: by its number it is taken once.
    ///
    /// # Errors
    /// Why it was not said.
    pub async fn deliver(&self, target: &Target, security: &Security) -> Result<u32, Unheard> {
        let start = Instant::now();
        let mut sent = false;
        loop {
            let cause = match attempt(target, security, &self.0, &mut sent).await {
                Ok(Some(Reply { ok: true, heard_by, .. })) => {
                    return Ok(heard_by.unwrap_or_default());
                }
                Ok(Some(Reply { error, .. })) => {
                    let why = error.as_deref().map(printable).unwrap_or_default();
                    return Err(Unheard::Refused(why));
                }
                Ok(None) => {
                    let why = "no answer: is its agent of an older version, without chat?";
                    return Err(Unheard::Lost(why.into()));
                }
                Err(cause) => cause,
            };
            if !sent {
                return Err(Unheard::Lost(cause.to_string()));
            }
            if start.elapsed() > TRIED {
                let why = format!("it was sent, and nobody knows whether it was heard: {cause}");
                return Err(Unheard::Lost(why));
            }
            sleep(WAIT).await;
        }
    }
}

/// How it went, for people.
#[must_use]
pub fn words(heard_by: u32) -> String {
    match heard_by {
        0 => "said; nobody is in the chat".into(),
        some => format!("said to {some} in the chat"),
    }
}

/// The answer, if one comes.
async fn attempt(
    target: &Target,
    security: &Security,
    say: &Message,
    sent: &mut bool,
) -> Result<Option<Reply>, Cause> {
    let mut call = Call::to(target, security).await?;
    *sent = true;
    call.say(say).await?;
    let answer = timeout(PATIENCE, async {
        loop {
            match call.hear().await {
                Ok(Message::Reply(reply)) if reply.of == Command::Say.code() => return Ok(reply),
                Ok(_) => {}
                Err(cause) => return Err(cause),
            }
        }
    });
    let answer = answer.await.ok().transpose()?;
    // It is said; whether the goodbye arrives is all the same.
    drop(call.close("that was all").await);
    Ok(answer)
}
