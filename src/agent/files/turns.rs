//! Turns: a file of a sender is received once at a time. When the same is offered anew, the
//! connection of before may be dead without anybody knowing; so the new one has the file.

use hightower_proto::message::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, oneshot};

type Key = (String, Digest);

/// Who has it, and how they are told to give it up.
struct Holding {
    turn: Arc<tokio::sync::Mutex<()>>,
    give_up: Option<oneshot::Sender<()>>,
}

/// All turns.
#[derive(Default, Clone)]
pub(super) struct Turns(Arc<Mutex<HashMap<Key, Holding>>>);

/// A turn, until it is dropped.
pub(super) struct Turn {
    key: Key,
    turns: Turns,
    turn: Arc<tokio::sync::Mutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
    /// Resolves when somebody else is to have it.
    pub(super) superseded: oneshot::Receiver<()>,
}

impl Turns {
    /// Takes the turn from whoever has it, and waits until they have given it up: what they have
    /// begun to write, or to read, may take its time. `None` when somebody else is to have it before
    /// that.
    pub(super) async fn take(&self, owner: &str, hash: Digest) -> Option<Turn> {
        let key = (owner.to_owned(), hash);
        let (give_up, mut superseded) = oneshot::channel();
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Holding { turn: Arc::default(), give_up: None };
            let holding = all.entry(key.clone()).or_insert_with(new);
            if let Some(before) = holding.give_up.replace(give_up) {
                // It may have ended meanwhile.
                let _ = before.send(());
            }
            Arc::clone(&holding.turn)
        };
        // Made first, so that what is in the table goes with it, also when this is given up.
        let lock = Arc::clone(&turn).lock_owned();
        let (_, never) = oneshot::channel();
        let mut turn = Turn { key, turns: self.clone(), turn, held: None, superseded: never };
        tokio::select! {
            held = lock => turn.held = Some(held),
            _ = &mut superseded => return None,
        }
        turn.superseded = superseded;
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut all = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and this one; who waits has another.
        if Arc::strong_count(&self.turn) <= 2 {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn whoever_comes_last_has_it_and_nothing_is_left() {
        let turns = Turns::default();
        let mut first = turns.take("anna", Digest([1; 32])).await.expect("nobody has it");
        let other = turns.take("ben", Digest([1; 32])).await.expect("it is another's");
        assert!(first.superseded.try_recv().is_err(), "nobody wants it");
        let (of, all) = (turns.clone(), turns.clone());
        let second = tokio::spawn(async move { of.take("anna", Digest([1; 32])).await });
        (&mut first.superseded).await.expect("told");
        // However long it takes, as on a disk that is slow; only who is superseded waits in vain.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(!second.is_finished());
        let of = turns.clone();
        let third = tokio::spawn(async move { of.take("anna", Digest([1; 32])).await });
        assert!(second.await.expect("no panic").is_none());
        drop(first);
        let second = third;
        let mut second = second.await.expect("no panic").expect("given up");
        assert!(second.superseded.try_recv().is_err());
        drop((second, other));
        assert!(all.0.lock().expect("whole").is_empty());
    }
}
