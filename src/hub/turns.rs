//! Turns: who may have something done that is work, and who waits for it; and how many tabs somebody
//! has.

use super::problem::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
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

/// How many tabs somebody has.
#[derive(Clone, Default)]
pub(super) struct Tabs(Arc<Mutex<HashMap<String, usize>>>);

/// A tab, until it is dropped.
pub(super) struct Place {
    name: String,
    tabs: Tabs,
}

impl Tabs {
    /// As many as somebody may have at a time: walls of two hundred machines in some browsers.
    const MOST: usize = 1000;

    /// One more, if there may be.
    pub(super) fn take(&self, name: &str) -> Result<Place, Problem> {
        let full = || Problem::often(format!("you look at {} machines already", Self::MOST));
        self.take_of(name, Self::MOST).ok_or_else(full)
    }

    /// One more, up to so many.
    pub(super) fn take_of(&self, name: &str, most: usize) -> Option<Place> {
        let mut tabs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut tabs = self.tabs.0.lock().unwrap_or_else(PoisonError::into_inner);
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
