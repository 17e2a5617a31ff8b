//! A journey: one connection after another, until all is carried or there is no hope.

use super::{Carried, TransferError, Watcher};
use crate::address::Target;
use crate::call::{Call, Voice};
use crate::viewer::{Cause, Security};
use hightower_proto::{Command, Message};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long to wait before the connection is made anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What is carried to or from one agent.
pub(super) struct Journey<'a, W> {
    target: &'a Target,
    security: &'a Security,
    /// How long the connection may be away.
    patience: Duration,
    pub(super) watcher: &'a W,
    pub(super) carried: Carried,
    /// When something was carried last.
    moved: Instant,
}

/// One connection of it.
pub(super) struct Leg {
    pub(super) call: Call,
    pub(super) voice: Voice,
}

impl Leg {
    /// Says what is still to be said, and goodbye.
    pub(super) async fn end(self) {
        let Self { call, voice } = self;
        drop(voice);
        // What was to be done is done, or not; whether the goodbye arrives is all the same.
        drop(call.close("that was all").await);
    }
}

impl<'a, W: Watcher> Journey<'a, W> {
    pub(super) fn new(
        target: &'a Target,
        security: &'a Security,
        patience: Duration,
        watcher: &'a W,
    ) -> Self {
        let (carried, moved) = (Carried::default(), Instant::now());
        Self { target, security, patience, watcher, carried, moved }
    }

    /// The first connection; who is not there at the beginning is not waited for.
    pub(super) async fn begin(&mut self) -> Result<Leg, TransferError> {
        let call = Call::to(self.target, self.security).await?;
        self.moved = Instant::now();
        Ok(Leg { voice: call.voice(), call })
    }

    /// The connection is made anew after it broke.
    pub(super) async fn again(&mut self, broke: Cause) -> Result<Leg, TransferError> {
        let (mut last, mut pause) = (broke, PAUSES.0);
        loop {
            if is_final(&last) {
                return Err(last.into());
            }
            if self.moved.elapsed() >= self.patience {
                return Err(TransferError::Lost { patience: self.patience, last });
            }
            self.watcher.waits(&last.to_string());
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match Call::to(self.target, self.security).await {
                Ok(call) => {
                    self.carried.reconnects += 1;
                    return Ok(Leg { voice: call.voice(), call });
                }
                Err(cause) => last = cause,
            }
        }
    }

    /// Something was carried: there is hope.
    pub(super) fn progress(&mut self) {
        self.moved = Instant::now();
    }
}

/// Whether trying again can't help.
fn is_final(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Foreign { .. }
            | Cause::Stream { .. }
            | Cause::NoKey(_)
            | Cause::UnknownAgent { .. }
            | Cause::ChangedKey { .. }
            | Cause::Known(_)
            | Cause::Stopped
    )
}

/// What an agent says that has to do with files; all else is passed over.
pub(super) async fn next(call: &mut Call) -> Result<Message, Cause> {
    loop {
        let message = call.hear().await?;
        match &message {
            Message::Offer(_) | Message::Accept(_) | Message::Chunk(_) | Message::Done(_) => {
                return Ok(message);
            }
            Message::Reply(reply) if !reply.ok => {
                let files = [Command::Offer, Command::Fetch];
                if files.iter().any(|command| command.code() == reply.of) {
                    return Ok(message);
                }
            }
            _ => {}
        }
    }
}

/// Runs what blocks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TransferError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| TransferError::Died)
}
