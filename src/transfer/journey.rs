//! A journey: one connection after another, until all is carried or there is no hope.

use super::{Carried, TransferError, Watcher};
use crate::address::Target;
use crate::call::{Call, Voice};
use crate::viewer::{Cause, Security};
use hightower_proto::{Command, Message};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait before the connection is made anew, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// A connection that lasted so long was a good one, whether something was carried on it or not.
const GOOD: Duration = Duration::from_secs(10);

/// What is carried to or from one agent.
pub(super) struct Journey<'a, W> {
    target: &'a Target,
    security: &'a Security,
    /// How long the connection may be away.
    patience: Duration,
    pub(super) watcher: &'a W,
    pub(super) carried: Carried,
    /// When something was carried last, or a good connection broke: the time away counts from then.
    moved: Instant,
}

/// One connection of it.
pub(super) struct Leg {
    pub(super) call: Call,
    pub(super) voice: Voice,
    begun: Instant,
}

impl Leg {
    fn on(call: Call) -> Self {
        Self { voice: call.voice(), call, begun: Instant::now() }
    }

    /// Says what is still to be said, and goodbye.
    pub(super) async fn end(self) {
        let Self { call, voice, .. } = self;
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
        Ok(Leg::on(call))
    }

    /// The connection is made anew after it broke.
    pub(super) async fn again(&mut self, leg: Leg, broke: Cause) -> Result<Leg, TransferError> {
        self.moved = away_since(self.moved, leg.begun, leg.call.heard());
        drop(leg);
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
                    return Ok(Leg::on(call));
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

/// Since when a connection is away that was heard last at this time. One that always breaks at once
/// gives no hope.
fn away_since(moved: Instant, begun: Instant, heard: Instant) -> Instant {
    if heard.saturating_duration_since(begun) < GOOD { moved } else { moved.max(heard) }
}

/// Whether trying again can't help.
fn is_final(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Foreign { .. }
            | Cause::Stream { .. }
            | Cause::NoKey(_)
            | Cause::Historical(_)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_away_counts_from_the_break() {
        let moved = Instant::now();
        let after = |seconds| moved + Duration::from_secs(seconds);
        // A large file was hashed there for two minutes, then the link broke.
        assert_eq!(away_since(moved, moved, after(120)), after(120));
        // Something was carried later than was heard.
        assert_eq!(away_since(after(130), moved, after(120)), after(130));
        // It is made anew, and breaks again at once.
        assert_eq!(away_since(moved, after(120), after(121)), moved);
    }
}
