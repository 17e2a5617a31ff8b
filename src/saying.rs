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

/// A message for the persons at machines, and for the operators in their chats.
#[derive(Debug, Clone)]
pub struct Saying(Message);

impl Saying {
    /// A message.
    ///
    /// # Errors
    /// When it is too long, or nothing.
    pub fn new(text: String) -> Result<Self, Unsaid> {
        Unsaid::check(&text)?;
        let member = RandomState::new().build_hasher().finish();
        Ok(Self(Message::Say(Say { member, number: 1, text })))
    }

    /// To how many it was said, or why it was not. Said again when the connection broke before the
    /// answer: by its number it is taken once.
    ///
    /// # Errors
    /// Why it was not said, in words.
    pub async fn deliver(&self, target: &Target, security: &Security) -> Result<u32, String> {
        let start = Instant::now();
        let mut sent = false;
        loop {
            let cause = match attempt(target, security, &self.0, &mut sent).await {
                Ok(Some(Reply { ok: true, heard_by, .. })) => {
                    return Ok(heard_by.unwrap_or_default());
                }
                Ok(Some(Reply { error, .. })) => {
                    return Err(error.as_deref().map(printable).unwrap_or_default());
                }
                Ok(None) => {
                    return Err("no answer: is its agent of an older version, without chat?".into());
                }
                Err(cause) => cause,
            };
            if !sent {
                return Err(cause.to_string());
            }
            if start.elapsed() > TRIED {
                return Err(format!("it was sent, and nobody knows whether it was heard: {cause}"));
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
