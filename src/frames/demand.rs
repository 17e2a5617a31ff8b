//! Demand: what makes the source thread look at the screen.
//!
//! Sessions leave here which version they have and want to get past; the thread waits until
//! somebody wants more than the canvas holds. Nothing is counted and nothing can pile up.

#[cfg(unix)]
use super::wake::{Wake, Woken};
use crate::canvas::Version;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Questions that may wait whether the screen is there.
const QUESTIONS: usize = 16;

/// Whether the screen is there, or why not.
pub(crate) type There = Result<(), String>;

/// The wishes of all sessions, and the switches of the source thread.
#[derive(Debug)]
pub(crate) struct Demand {
    wishes: Mutex<Wishes>,
    changed: Condvar,
    #[cfg(unix)]
    wake: Wake,
}

#[derive(Debug, Default)]
struct Wishes {
    /// Whether to capture at all.
    run: bool,
    /// Counts the times that `run` was switched on.
    runs: u64,
    /// The newest version that somebody has, wants to get past, and has room for.
    past: Option<Version>,
    /// Since when the thread has been looking at the screen.
    grabbing: Option<Instant>,
    /// Those who want to know whether the screen is there.
    questions: Vec<oneshot::Sender<There>>,
    stop: bool,
}

/// When the screen may be looked at again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// In the run that goes on.
    pub(crate) next: Instant,
    /// When a new run begins: nobody should wait long for the first picture.
    pub(crate) new_run: Instant,
}

/// What the source thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nobody watches: let the source rest, and ask again.
    Rest,
    /// Look at the screen; it is the `run`-th run.
    Grab {
        /// Counts the times that capturing was switched on.
        run: u64,
    },
    /// Find out whether the screen is there, without capturing it.
    Check,
    /// End.
    Stop,
}

impl Demand {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            wishes: Mutex::default(),
            changed: Condvar::new(),
            #[cfg(unix)]
            wake: Wake::new()?,
        })
    }

    /// Wakes the source thread, wherever it waits.
    fn wake(&self) {
        self.changed.notify_all();
        #[cfg(unix)]
        self.wake.wake();
    }

    /// Waits until a source has something to tell; false when there is something else to do
    /// before, so that [`Demand::wait`] is to be asked.
    #[cfg(unix)]
    pub(crate) fn wait_for(&self, events: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
        Ok(self.wake.wait(events)? == Woken::Ready)
    }

    /// A session has `version`, and room for a newer one.
    pub(crate) fn want_past(&self, version: Version) {
        let mut wishes = self.lock();
        if wishes.past < Some(version) {
            wishes.past = Some(version);
            self.changed.notify_all();
        }
    }

    /// Switches capturing on or off.
    pub(crate) fn run(&self, run: bool) {
        let mut wishes = self.lock();
        if wishes.run != run {
            wishes.run = run;
            wishes.runs += u64::from(run);
            self.wake();
        }
    }

    /// Whether somebody waits for what comes after `version`, so that the screen is looked at.
    pub(crate) fn is_wanted(&self, version: Version) -> bool {
        self.lock().past.is_some_and(|past| past >= version)
    }

    /// Has the screen looked at anew, and made a version of its own, changed or not.
    pub(crate) fn renew(&self) {
        self.lock().runs += 1;
        self.wake();
    }

    /// The thread begins to look at the screen, or has looked.
    pub(crate) fn grabbing(&self, since: Option<Instant>) {
        self.lock().grabbing = since;
    }

    /// For how long the thread has been looking at the screen, when it does so now.
    pub(crate) fn grabbing_for(&self) -> Option<Duration> {
        self.lock().grabbing.map(|since| since.elapsed())
    }

    /// Has it found out whether the screen is there; no answer where too many ask.
    pub(crate) fn check(&self) -> oneshot::Receiver<There> {
        let (answer, answered) = oneshot::channel();
        let mut wishes = self.lock();
        // Who has given up makes room.
        wishes.questions.retain(|answer| !answer.is_closed());
        if wishes.questions.len() < QUESTIONS {
            wishes.questions.push(answer);
            self.wake();
        }
        answered
    }

    /// Tells all who want to know.
    pub(crate) fn checked(&self, there: &There) {
        for answer in std::mem::take(&mut self.lock().questions) {
            // Who has given up need not know.
            drop(answer.send(there.clone()));
        }
    }

    /// Ends the source thread.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.wake();
    }

    /// Waits until the screen is wanted: capturing is on, the pace allows it, and somebody wants
    /// to get past `version`, or a run began that is not `run`. Where capturing is off and the
    /// source is not `resting` yet, that comes first.
    pub(crate) fn wait(
        &self,
        version: Version,
        run: u64,
        pace: Option<Pace>,
        resting: bool,
    ) -> Order {
        let mut wishes = self.lock();
        loop {
            if wishes.stop {
                return Order::Stop;
            }
            if !wishes.questions.is_empty() {
                return Order::Check;
            }
            if !wishes.run && !resting {
                return Order::Rest;
            }
            let began = wishes.runs != run;
            let wanted = wishes.past.is_some_and(|past| past >= version) || began;
            if wishes.run && wanted {
                let due = pace.map(|pace| if began { pace.new_run } else { pace.next });
                let Some(left) = due
                    .and_then(|due| due.checked_duration_since(Instant::now()))
                    .filter(|left| !left.is_zero())
                else {
                    return Order::Grab { run: wishes.runs };
                };
                wishes = match self.changed.wait_timeout(wishes, left) {
                    Ok((guard, _)) => guard,
                    Err(poisoned) => poisoned.into_inner().0,
                };
            } else {
                wishes = self.changed.wait(wishes).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// The wishes stay consistent even when a holder panics: every field is set whole.
    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_new_run_is_wanted_without_a_wish() {
        let demand = Demand::new().unwrap();
        demand.run(true);
        assert_eq!(demand.wait(0, 0, None, true), Order::Grab { run: 1 });
    }

    #[test]
    fn a_question_is_answered_though_nobody_watches_and_so_many_may_wait() {
        let demand = Demand::new().unwrap();
        let mut answers: Vec<_> = (0..=QUESTIONS).map(|_| demand.check()).collect();
        let mut beyond = answers.pop().unwrap();
        assert!(matches!(beyond.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert_eq!(demand.wait(0, 0, None, true), Order::Check);
        demand.checked(&Err("it is not".into()));
        assert!(answers.iter_mut().all(|answer| answer.try_recv() == Ok(Err("it is not".into()))));
        drop(demand.check());
        // The next one has its place.
        let mut answer = demand.check();
        demand.checked(&Ok(()));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn a_wish_for_an_older_version_is_already_served() {
        let demand = Demand::new().unwrap();
        demand.run(true);
        demand.want_past(3);
        assert_eq!(demand.wait(3, 1, None, true), Order::Grab { run: 1 });
        std::thread::scope(|s| {
            let waiter = s.spawn(|| demand.wait(4, 1, None, true));
            demand.stop();
            assert_eq!(waiter.join().ok(), Some(Order::Stop));
        });
    }
}
