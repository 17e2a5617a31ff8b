//! Pace: how fast somebody may say something.
//!
//! Whoever is faster waits for their turn, so that nothing is lost; only who has let too many wait
//! is refused.

use super::room::Owner;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// In the long run somebody may say one thing in such a time.
const EACH: Duration = Duration::from_millis(50);

/// So many at once, when they have said nothing for a while.
const AT_ONCE: u32 = 40;

/// Nobody waits longer for their turn.
const LONGEST: Duration = Duration::from_secs(5);

/// With so many who are followed, those are forgotten who have said nothing for a while.
const FOLLOWED: usize = 256;

/// Somebody says more than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "you say too much at a time, and this was not taken: at most {} messages a second are",
    1000 / EACH.as_millis()
)]
pub struct TooFast;

/// Everybody's pace.
#[derive(Debug, Default)]
pub struct Pace {
    /// When all that each has said will have had its time.
    due: HashMap<Owner, Instant>,
}

impl Pace {
    /// How long somebody has to wait before what they say now is taken. It counts as said.
    ///
    /// # Errors
    /// When that is too long; it does not count then.
    pub fn turn(&mut self, owner: Owner, now: Instant) -> Result<Duration, TooFast> {
        if self.due.len() >= FOLLOWED {
            self.due.retain(|_, due| *due > now);
        }
        let due = self.due.get(&owner).map_or(now, |due| (*due).max(now));
        let wait = (due + EACH).saturating_duration_since(now + EACH * AT_ONCE);
        if wait > LONGEST {
            return Err(TooFast);
        }
        self.due.insert(owner, due + EACH);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_one_waits_and_one_who_is_much_too_fast_is_refused() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut turn = |ms: u64| pace.turn(Owner::Person, start + Duration::from_millis(ms));
        for _ in 0..AT_ONCE {
            assert_eq!(turn(0), Ok(Duration::ZERO));
        }
        assert_eq!((turn(0), turn(0)), (Ok(EACH), Ok(EACH * 2)));
        // Whoever keeps to the pace from then on waits no longer than that.
        assert_eq!(turn(50), Ok(EACH * 2));
        let waits: Vec<_> = (0..1000).map_while(|_| turn(50).ok()).collect();
        assert_eq!(waits.last(), Some(&LONGEST), "{}", waits.len());
        assert_eq!(turn(50), Err(TooFast));
        // Nobody else has to wait, and after a rest nor do they.
        assert_eq!(turn(20_000), Ok(Duration::ZERO));
    }

    #[test]
    fn who_has_rested_is_forgotten() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for second in 0..10_000u64 {
            let owner = Owner::of_test(second);
            assert!(pace.turn(owner, start + Duration::from_secs(second)).is_ok());
        }
        assert!(pace.due.len() <= FOLLOWED, "{}", pace.due.len());
    }
}
