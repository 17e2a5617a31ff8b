//! A throttle for what a peer can cause as often as it likes: log lines, answers to what is
//! refused.

use std::time::{Duration, Instant};

/// Lets so many a second through, and counts the rest.
#[derive(Debug)]
pub(crate) struct Throttle {
    a_second: u32,
    since: Instant,
    passed: u32,
    held_back: u64,
}

impl Throttle {
    pub(crate) fn new(a_second: u32) -> Self {
        Self { a_second, since: Instant::now(), passed: 0, held_back: 0 }
    }

    /// How many were held back since the last that passed; `None` when this one is held back too.
    pub(crate) fn pass(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.passed) = (now, 0);
        }
        if self.passed == self.a_second {
            self.held_back += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_counted_and_told_later() {
        let mut throttle = Throttle::new(2);
        let start = throttle.since;
        let mut pass = |ms| throttle.pass(start + Duration::from_millis(ms));
        assert_eq!([pass(0), pass(1), pass(2), pass(999)], [Some(0), Some(0), None, None]);
        assert_eq!([pass(1000), pass(1001)], [Some(2), Some(0)]);
    }
}
