//! Turns: who may have something done that is work, and who waits for it; and how many tabs somebody
//! has.

use super::problem::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many at a time, and so many who wait: whoever comes beyond is told to come again.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let all = Arc::new(Semaphore::new(at_once + waiting));
        Self { all, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// A turn, once there is one.
    pub(super) async fn turn(&self) -> Result<Turn, Problem> {
        let place = Arc::clone(&self.all).try_acquire_owned();
        let _place = place.map_err(|_| Problem::often("too many wait for this: try it again"))?;
        let _turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Problem::own)?;
        Ok(Turn { _place, _turn })
    }
}

/// Turns of which nobody has more than half, nor of the places to wait.
pub(super) struct Shares {
    turns: Turns,
    /// What one person may have: at a time, and waiting.
    share: (usize, usize),
    own: Mutex<HashMap<String, Weak<Turns>>>,
}

/// A turn of a person, until it is dropped.
pub(super) struct OwnTurn {
    _turn: Turn,
    _own: Turn,
    _share: Arc<Turns>,
}

impl Shares {
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let share = ((at_once / 2).max(1), waiting / 2);
        Self { turns: Turns::new(at_once, waiting), share, own: Mutex::default() }
    }

    /// A turn of somebody's, once there is one.
    pub(super) async fn turn_of(&self, name: &str) -> Result<OwnTurn, Problem> {
        let share = self.of(name);
        // Whoever waits for their own holds nobody else up.
        let own = share.turn().await?;
        Ok(OwnTurn { _turn: self.turns.turn().await?, _own: own, _share: share })
    }

    fn of(&self, name: &str) -> Arc<Turns> {
        let mut held = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get(name).and_then(Weak::upgrade) {
            return own;
        }
        held.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Turns::new(self.share.0, self.share.1));
        held.insert(name.to_owned(), Arc::downgrade(&own));
        own
    }
}

/// How many tabs somebody has.
#[derive(Clone)]
pub(super) struct Tabs {
    held: Arc<Mutex<HashMap<String, usize>>>,
    most: usize,
}

impl Default for Tabs {
    fn default() -> Self {
        Self::up_to(Self::MOST)
    }
}

/// A tab, until it is dropped.
pub(super) struct Place {
    name: String,
    tabs: Tabs,
}

impl Tabs {
    /// As many as somebody may have at a time: walls of two hundred machines in some browsers.
    const MOST: usize = 1000;

    /// As many of one person, and never more than [`Tabs::MOST`].
    pub(super) fn up_to(most: usize) -> Self {
        Self { held: Arc::default(), most: most.min(Self::MOST) }
    }

    /// One more, if there may be.
    pub(super) fn take(&self, name: &str) -> Result<Place, Problem> {
        let full = || Problem::often(format!("you have {} connections open already", self.most));
        self.take_of(name, self.most).ok_or_else(full)
    }

    /// One more, up to so many.
    pub(super) fn take_of(&self, name: &str, most: usize) -> Option<Place> {
        let mut tabs = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tabs.entry(name.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { name: name.to_owned(), tabs: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tabs = self.tabs.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = tabs.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                tabs.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let turns = Turns::new(1, 1);
        let first = turns.turn().await.expect("a turn");
        let second = turns.turn();
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(turns.turn().await.is_err());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn nobody_has_more_than_half_of_them() {
        let turns = Shares::new(4, 4);
        let mut all: Vec<_> = (0..4).map(|_| Box::pin(turns.turn_of("vera"))).collect();
        let mut had = Vec::new();
        for one in &mut all {
            had.push(futures_util::poll!(one));
        }
        assert_eq!(had.iter().filter(|one| one.is_ready()).count(), 2);
        assert!(turns.turn_of("vera").await.is_err(), "too many of hers wait");
        assert!(turns.turn_of("anna").await.is_ok());
        drop((had, all));
        assert!(turns.turn_of("vera").await.is_ok());
    }

    #[test]
    fn tabs_are_counted_by_person() {
        let tabs = Tabs::default();
        let all: Vec<_> = (0..Tabs::MOST).map(|_| tabs.take("anna")).collect();
        assert!(all.iter().all(Result::is_ok));
        assert!(tabs.take("anna").is_err() && tabs.take("ben").is_ok());
        drop(all);
        assert!(tabs.take("anna").is_ok());
    }
}
