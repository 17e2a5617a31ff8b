//! What of a talk outlives a connection.

use super::Line;
use hightower_proto::message::{Had, Say};
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// How long what was typed waits for a connection that was lost.
const KEPT: Duration = Duration::from_secs(300);

/// The same, once nothing more is typed. A connection that carries nothing any more is found out
/// within 12 s, and a call to a machine that does not answer ends within 15 s: there is time for
/// another one after either.
const LAST: Duration = Duration::from_secs(30);

/// What outlives a connection.
pub(crate) struct State {
    pub(super) member: u64,
    pub(super) had: Option<Had>,
    pub(super) waiting: VecDeque<(Say, Line)>,
    /// Whether the first of them may have been heard: it was sent, and not answered.
    pub(super) sent: bool,
    /// Since when there is no connection.
    pub(super) lost: Option<Instant>,
    /// Why there is none, as it was told last.
    pub(super) cause: Option<String>,
    /// Since when nothing more is typed.
    pub(super) last: Option<Instant>,
    /// Who this is in the room.
    pub(super) you: u64,
    /// How many more of its messages were taken than were shown to happen there.
    pub(super) unseen: i64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self::again(RandomState::new().build_hasher().finish(), None)
    }

    /// Of a talk that somebody goes on with who had this number in the room, and these events.
    pub(crate) fn again(member: u64, had: Option<Had>) -> Self {
        Self {
            member,
            had,
            waiting: VecDeque::new(),
            sent: false,
            lost: None,
            cause: None,
            last: None,
            you: 0,
            unseen: 0,
        }
    }

    /// Whether nothing more is to be said, or there was time enough for it.
    pub(super) fn is_over(&self) -> bool {
        let Some(last) = self.last else { return false };
        // What was typed may have been on its way for long before that was found to be lost.
        let since = self.lost.map_or(last, |lost| lost.max(last));
        self.waiting.is_empty() || since.elapsed() > LAST || last.elapsed() > KEPT
    }

    /// Whether what was typed has waited for a connection for too long.
    pub(super) fn is_late(&self) -> bool {
        self.lost.is_some_and(|lost| lost.elapsed() > KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn waiting(last: Instant) -> State {
        let (say, text) =
            (Say { member: 1, number: 1, text: "x".into(), behalf: None }, Arc::from("x"));
        let waiting = [(say, Line { typed: 1, text })].into();
        State { waiting, last: Some(last), ..State::new() }
    }

    /// The time itself is what counts here; a real cut takes 12 s to be noticed.
    #[tokio::test(start_paused = true)]
    async fn what_was_typed_last_is_tried_again_after_a_cut_that_was_noticed_late() {
        let sleep = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let mut state = waiting(Instant::now());
        sleep(12).await;
        state.lost = Some(Instant::now());
        assert!(!state.is_over(), "there was no other try");
        // A call that is not answered, and time for the next one.
        sleep(15).await;
        assert!(!state.is_over());
        sleep(16).await;
        assert!(state.is_over());
        // A connection that comes and goes does not keep it for ever.
        sleep(250).await;
        state.lost = Some(Instant::now());
        assert!(!state.is_over());
        sleep(10).await;
        assert!(state.is_over());
        state.waiting.clear();
        state.last = Some(Instant::now());
        assert!(state.is_over(), "nothing waits");
    }
}
