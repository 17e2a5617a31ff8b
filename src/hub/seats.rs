//! Seats: the pages in which somebody talks with a machine, so many at a time, by the numbers that
//! they call themselves. A page that comes with the number of another one of the same person takes
//! its seat: mostly it is that page itself, whose cut the hub has not noticed yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Pages of one person that talk at one machine: an agent has sixteen places for a hub's users.
pub(super) const OWN: usize = 2;

/// A person and a machine.
type Pair = (String, String);

/// Whoever holds it talks as this member: what another page of it has said before is over by then.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

struct Page {
    member: u64,
    /// Another one for each page.
    number: u64,
    turn: Turn,
    /// Gone when another page has its seat.
    _ousts: oneshot::Sender<()>,
}

#[derive(Default)]
struct Table {
    pages: HashMap<Pair, Vec<Page>>,
    count: u64,
}

/// The pages that talk.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Table>>);

/// A page's seat, until it is dropped.
pub(super) struct Seat {
    seats: Seats,
    pair: Pair,
    number: u64,
    pub(super) turn: Turn,
    /// Ends when another page has taken the seat.
    pub(super) ousted: oneshot::Receiver<()>,
}

impl Seats {
    /// A seat for somebody who talks with a machine as this member; `None` where they have as many as
    /// they may. Who has it ends.
    pub(super) fn take(&self, person: &str, machine: &str, member: u64) -> Option<Seat> {
        let pair = (person.to_owned(), machine.to_owned());
        let mut table = self.lock();
        table.count += 1;
        let number = table.count;
        let pages = table.pages.entry(pair.clone()).or_default();
        let (_ousts, ousted) = oneshot::channel();
        let turn = match pages.iter().position(|page| page.member == member) {
            Some(at) => pages.swap_remove(at).turn,
            None if pages.len() >= OWN => return None,
            None => Turn::default(),
        };
        pages.push(Page { member, number, turn: Arc::clone(&turn), _ousts });
        Some(Seat { seats: self.clone(), pair, number, turn, ousted })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.seats.lock();
        let Some(pages) = table.pages.get_mut(&self.pair) else { return };
        // Another one may have it by now.
        pages.retain(|page| page.number != self.number);
        if pages.is_empty() {
            table.pages.remove(&self.pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn whoever_comes_back_takes_the_seat_and_a_turn_after_who_had_it() {
        let seats = Seats::default();
        let mut old = seats.take("anna", "lab-07", 1).expect("a seat");
        let mut other = seats.take("anna", "lab-07", 2).expect("a seat");
        assert!(seats.take("anna", "lab-07", 3).is_none(), "no more");
        assert!(seats.take("ben", "lab-07", 1).is_some() && seats.take("anna", "lab", 3).is_some());
        let talks = Arc::clone(&old.turn).try_lock_owned().expect("its turn");
        let mut new = seats.take("anna", "lab-07", 1).expect("the seat");
        assert_eq!(old.ousted.try_recv(), Err(TryRecvError::Closed));
        assert!(Arc::clone(&new.turn).try_lock_owned().is_err(), "somebody talks still");
        drop((talks, old));
        assert!(Arc::clone(&new.turn).try_lock_owned().is_ok());
        for seat in [&mut new, &mut other] {
            assert_eq!(seat.ousted.try_recv(), Err(TryRecvError::Empty));
        }
        assert!(seats.take("anna", "lab-07", 3).is_none(), "who went late frees nothing");
        drop(other);
        assert!(seats.take("anna", "lab-07", 3).is_some());
        drop(new);
        assert!(seats.lock().pages.is_empty(), "nothing is left over");
    }
}
