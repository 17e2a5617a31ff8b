//! Looks: who sees what a machine shows, for the log. To the machine all of them are the hub; whoever
//! answers for its use has to be able to say who it was, from when to when.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever is back within so long was not away: a page that opens a machine large closes the small
/// picture of it first, and a network has its gaps.
const GAP: Duration = Duration::from_secs(30);

/// Who looks at which machine, by all their pages.
#[derive(Clone, Default)]
pub(super) struct Looks(Arc<Mutex<HashMap<Pair, Open>>>);

/// A person, where they are, and a machine.
type Pair = (String, IpAddr, String);

struct Open {
    pages: usize,
    began: Instant,
    /// When the last page closed, if none is open.
    ended: Option<Instant>,
}

/// A page of somebody's that shows a machine, until it is dropped.
pub(super) struct Look {
    pair: Pair,
    looks: Looks,
}

impl Looks {
    /// Counts a page of somebody's that begins to show a machine.
    pub(super) fn begin(&self, from: IpAddr, by: &str, machine: &str) -> Look {
        let pair = (by.to_owned(), from, machine.to_owned());
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = held.entry(pair.clone()).or_insert_with(|| {
            tracing::info!(by, machine, "begins to look");
            Open { pages: 0, began: Instant::now(), ended: None }
        });
        open.pages += 1;
        open.ended = None;
        Look { pair, looks: self.clone() }
    }

    /// Tells of those who have not looked for so long.
    fn end(&self, gap: Duration) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(by, from, machine), open| {
            let Some(ended) = open.ended.filter(|ended| ended.elapsed() >= gap) else {
                return true;
            };
            let seconds = ended.duration_since(open.began).as_secs();
            let ago = ended.elapsed().as_secs();
            tracing::info!(%from, by, machine, seconds, "looked for {seconds} s, until {ago} s ago");
            false
        });
    }

    /// Tells of those who do not look any more. To be called now and then.
    pub(super) fn tidy(&self) {
        self.end(GAP);
    }

    /// Tells of all, as the hub ends.
    pub(super) fn finish(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.values_mut().for_each(|open| open.ended = open.ended.or_else(|| Some(Instant::now())));
        drop(held);
        self.end(Duration::ZERO);
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut held = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = held.get_mut(&self.pair) {
            open.pages = open.pages.saturating_sub(1);
            if open.pages == 0 {
                open.ended = Some(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn known(looks: &Looks) -> usize {
        looks.0.lock().expect("the looks").len()
    }

    #[test]
    fn somebody_looks_until_the_last_of_their_pages_is_closed() {
        let looks = Looks::default();
        let first = looks.begin(HERE, "anna", "lab-07");
        let second = looks.begin(HERE, "anna", "lab-07");
        let other = looks.begin(HERE, "ben", "lab-07");
        drop(first);
        looks.end(Duration::ZERO);
        assert_eq!(known(&looks), 2);
        drop(second);
        // Whoever is back at once was not away.
        looks.tidy();
        assert_eq!(known(&looks), 2);
        let back = looks.begin(HERE, "anna", "lab-07");
        looks.end(Duration::ZERO);
        assert_eq!(known(&looks), 2);
        drop((back, other));
        looks.end(Duration::ZERO);
        assert_eq!(known(&looks), 0);
    }

    #[test]
    fn a_hub_that_ends_tells_of_all() {
        let looks = Looks::default();
        let look = looks.begin(HERE, "anna", "lab-07");
        looks.finish();
        assert_eq!(known(&looks), 0);
        // The page itself may end later.
        drop(look);
    }
}
