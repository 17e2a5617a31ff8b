//! The 'latest' slot that is shown from: where the network and the decoder meet those who show.

use super::view::{Counters, Event, View};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Events kept for those who read them; who falls behind by more misses the oldest.
const JOURNAL: usize = 256;

/// The latest view, and the latest events.
#[derive(Debug)]
pub(super) struct Slot {
    held: Mutex<Held>,
    changed: Condvar,
    /// The number of the last change, for those who await one.
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct Held {
    view: View,
    /// How often it was changed.
    changes: u64,
    journal: VecDeque<Event>,
    /// How many events have left the journal.
    left: u64,
}

impl Slot {
    pub(super) fn new(view: View) -> Self {
        let held = Held { view, changes: 0, journal: VecDeque::new(), left: 0 };
        Self { held: Mutex::new(held), changed: Condvar::new(), news: watch::Sender::new(0) }
    }

    /// Changes the view, and wakes whoever waits for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut View)) {
        let mut held = self.lock();
        change(&mut held.view);
        self.changed(held);
    }

    /// Changes the view, and notes what happened.
    pub(super) fn happened(&self, event: Event, change: impl FnOnce(&mut View)) {
        self.change_noting(|view| {
            change(view);
            event
        });
    }

    /// Changes the view, and notes what the change says has happened.
    pub(super) fn change_noting(&self, change: impl FnOnce(&mut View) -> Event) {
        let mut held = self.lock();
        let event = change(&mut held.view);
        if held.journal.len() == JOURNAL {
            held.journal.pop_front();
            held.left += 1;
        }
        held.journal.push_back(event);
        self.changed(held);
    }

    fn changed(&self, mut held: MutexGuard<'_, Held>) {
        held.changes += 1;
        self.news.send_replace(held.changes);
        drop(held);
        self.changed.notify_all();
    }

    /// The number of the last change, to await others.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Changes the counters, which nobody waits for.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().view.counters);
    }

    pub(super) fn view(&self) -> View {
        self.lock().view.clone()
    }

    /// The view and its change number, once that is another than `seen` or the time is over.
    pub(super) fn wait(&self, seen: u64, timeout: Duration) -> (View, u64) {
        let held = self.lock();
        let (held, _) = self
            .changed
            .wait_timeout_while(held, timeout, |held| held.changes == seen)
            .unwrap_or_else(PoisonError::into_inner);
        (held.view.clone(), held.changes)
    }

    /// The view and its change number, if that is another than `seen`.
    pub(super) fn news(&self, seen: u64) -> Option<(View, u64)> {
        let held = self.lock();
        (held.changes != seen).then(|| (held.view.clone(), held.changes))
    }

    /// The events from number `next` on (the first one ever is 0), and the number to ask for then.
    pub(super) fn events(&self, next: u64) -> (Vec<Event>, u64) {
        let held = self.lock();
        let skip = usize::try_from(next.saturating_sub(held.left)).unwrap_or(usize::MAX);
        let events = held.journal.iter().skip(skip).cloned().collect();
        (events, held.left + held.journal.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // A view is whole between any two lines that change it: a panic elsewhere does not matter.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_kept_in_order_and_not_for_ever() {
        let slot = Slot::new(View::new());
        let note = |n: usize| slot.happened(Event::Notice(n.to_string()), |_| {});
        (0..3).for_each(note);
        let (events, next) = slot.events(1);
        assert_eq!(events, [Event::Notice("1".into()), Event::Notice("2".into())]);
        assert_eq!((next, slot.events(next).0.len()), (3, 0));
        (3..3 + 2 * JOURNAL).for_each(note);
        let (events, next) = slot.events(next);
        assert_eq!((events.len(), next as usize), (JOURNAL, 3 + 2 * JOURNAL));
        assert_eq!(events.last(), Some(&Event::Notice((2 + 2 * JOURNAL).to_string())));
    }
}
