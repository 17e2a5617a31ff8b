//! Guard: follows the list of operators, so that who is taken off it is gone.

use super::messages::Recheck;
use crate::trust::Gate;
use actix::WeakRecipient;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

/// How often the list's file is looked at, for those who watch already. Who comes anew, or gives
/// a command, is held against the file as it is then.
const PERIOD: Duration = Duration::from_millis(500);

/// Follows the list.
pub(super) struct Guard {
    gate: Arc<Gate>,
    /// Of the list as it is known here.
    number: u64,
    told: Vec<WeakRecipient<Recheck>>,
}

impl Guard {
    /// `number` is of the list that those who are let in from now on are held against.
    pub(super) fn new(gate: Arc<Gate>, number: u64, told: Vec<WeakRecipient<Recheck>>) -> Self {
        Self { gate, number, told }
    }

    /// Begins, on a thread of its own: the threads that a runtime makes for reading files stay for
    /// as long as there is something to read now and then, and here there always is.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(self) -> io::Result<()> {
        if self.gate.follows() {
            thread::Builder::new().name("guard".into()).spawn(move || self.follow())?;
        }
        Ok(())
    }

    fn follow(mut self) {
        let mut seen = Timestamp::now();
        let mut forbids = false;
        loop {
            thread::sleep(PERIOD);
            let newest = self.gate.refresh();
            let since = std::mem::replace(&mut seen, Timestamp::now());
            let expired = self.gate.expired_within(since, seen);
            let forbade = std::mem::replace(&mut forbids, self.gate.audit().forbids());
            let told: Vec<_> = self.told.iter().filter_map(WeakRecipient::upgrade).collect();
            if told.is_empty() {
                return;
            }
            // Whoever has read the list first, it is another one than this knows.
            if newest != self.number || expired || forbids && !forbade {
                self.number = newest;
                told.iter().for_each(|told| told.do_send(Recheck));
            }
        }
    }
}
