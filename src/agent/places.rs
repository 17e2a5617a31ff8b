//! Places: how many viewers, or guests, there may be at all, and of those how many of one operator.
//!
//! They are given at the door, so that whoever has their share takes no place from others while
//! they are told so.

use crate::trust::Holder;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// One operator has at most one part in so many of the places.
const PART: usize = 4;

/// And so many at least, where there are as many.
const LEAST: usize = 4;

/// How long somebody who is known waits for a place when all are taken.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    #[error("you have as many connections here already as one operator may: {0}")]
    Share(usize),
    #[error("there is no room")]
    Full,
}

/// All places.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    share: usize,
    taken: Arc<Mutex<HashMap<Holder, usize>>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    _seat: OwnedSemaphorePermit,
    _share: Option<Share>,
}

struct Share {
    holder: Holder,
    taken: Arc<Mutex<HashMap<Holder, usize>>>,
}

impl Places {
    /// Places for so many, and for some more who are told that there is none.
    pub(super) fn new(places: usize, more: usize) -> Self {
        let free = Arc::new(Semaphore::new(places + more));
        Self { free, share: (places / PART).max(LEAST), taken: Arc::default() }
    }

    /// Takes a place, which counts as the holder's, if there is one.
    pub(super) async fn take(&self, holder: Option<Holder>) -> Result<Place, NoPlace> {
        let share = holder.map(|holder| self.share(holder)).transpose()?;
        match timeout(PATIENCE, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(seat)) => Ok(Place { _seat: seat, _share: share }),
            _ => Err(NoPlace::Full),
        }
    }

    /// Takes a place if there is one now.
    pub(super) fn try_take(&self, holder: Option<Holder>) -> Result<Place, NoPlace> {
        let share = holder.map(|holder| self.share(holder)).transpose()?;
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(seat) => Ok(Place { _seat: seat, _share: share }),
            Err(_) => Err(NoPlace::Full),
        }
    }

    fn share(&self, holder: Holder) -> Result<Share, NoPlace> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(holder).or_default();
        if *count >= self.share {
            return Err(NoPlace::Share(self.share));
        }
        *count += 1;
        Ok(Share { holder, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::SecretKey;

    #[tokio::test]
    async fn an_operator_has_a_share_and_the_rest_is_for_others() {
        let places = Places::new(24, 1);
        let (one, other) =
            (Holder::Network([10, 0, 0, 1].into()), Holder::Key(SecretKey::generate().public()));
        let mut taken = Vec::new();
        for _ in 0..6 {
            taken.push(places.take(Some(one)).await.expect("of the share"));
        }
        assert_eq!(places.take(Some(one)).await.err(), Some(NoPlace::Share(6)));
        taken.push(places.take(Some(other)).await.expect("another's share"));
        // Whoever is the agent's own user has no share.
        for _ in 7..25 {
            taken.push(places.take(None).await.expect("there is room"));
        }
        taken.clear();
        assert!(places.taken.lock().expect("whole").is_empty());
        assert!(places.take(Some(one)).await.is_ok());
    }
}
