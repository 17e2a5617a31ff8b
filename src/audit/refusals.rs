//! How many refusals are written, one by one: whoever is refused could cause them all day, and
//! the files are only so long.

use crate::rates::{Bucket, Rates};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Refusals of strangers that are written one by one, in an hour and at once. A line takes half a
/// kilobyte or less, so that strangers alone take three weeks to fill all files.
const STRANGERS: f64 = 240.0;

/// Of those whose key is in the list.
const OPERATORS: f64 = 2400.0;

/// One address may have one part in so many of that.
const PART: f64 = 4.0;

const HOUR: f64 = 3600.0;

/// Lets some through, from each address its part, and counts the rest.
#[derive(Debug)]
pub(super) struct Refusals {
    rates: Rates,
    all: Bucket,
    /// Those that were not let through since that was last told.
    held_back: u64,
}

impl Refusals {
    pub(super) fn of_strangers() -> Self {
        Self::new(STRANGERS)
    }

    pub(super) fn of_operators() -> Self {
        Self::new(OPERATORS)
    }

    fn new(an_hour: f64) -> Self {
        let part = an_hour / PART;
        let rates = Rates::new(part / HOUR, part);
        Self { rates, all: Bucket::new(an_hour / HOUR, an_hour), held_back: 0 }
    }

    /// Whether a line of one from this address, who was refused so many times, is to be written.
    pub(super) fn pass(&mut self, from: IpAddr, times: u64, now: Instant) -> bool {
        let passes = self.rates.take(from, now, Duration::ZERO).is_some()
            && self.all.take(now, Duration::ZERO).is_some();
        if !passes {
            self.held_back += times;
        }
        passes
    }

    /// How many were not written since the last time.
    pub(super) fn count(&mut self) -> u64 {
        std::mem::take(&mut self.held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_part_and_all_have_their_hours_worth() {
        let mut refusals = Refusals::of_strangers();
        let start = Instant::now();
        let mut passed = |host: u8, times, at| {
            (0..times).filter(|_| refusals.pass([10, 0, 0, host].into(), 1, at)).count()
        };
        assert_eq!(passed(1, 10_000, start), 60);
        assert_eq!(passed(2, 10_000, start), 60);
        let others: usize = (3..250).map(|host| passed(host, 10, start)).sum();
        assert_eq!(others, 120);
        let hour = start + Duration::from_secs(3600);
        assert_eq!(passed(1, 10_000, hour), 60);
        assert_eq!(refusals.count(), 20_000 - 120 + 2470 - 120 + 10_000 - 60);
        assert_eq!(refusals.count(), 0);
    }
}
