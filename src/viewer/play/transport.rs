//! Where in a recording it is: time that goes on, or rests.

use std::time::{Duration, Instant};

/// The speeds there are, in halves and doubles of the recording's own.
const SPEEDS: std::ops::RangeInclusive<i32> = -3..=5;

/// Where in a recording it is.
#[derive(Debug)]
pub(super) struct Transport {
    length: Duration,
    /// Where it was at `since`, or rests.
    position: Duration,
    /// Since when it goes on.
    since: Option<Instant>,
    /// The power of two that the speed is.
    speed: i32,
}

impl Transport {
    /// At this place, and at rest.
    pub(super) fn new(length: Duration, position: Duration) -> Self {
        Self { length, position: position.min(length), since: None, speed: 0 }
    }

    /// Where it is now. At the end it rests.
    pub(super) fn position(&mut self, now: Instant) -> Duration {
        let position = self.reached(now);
        if position >= self.length && self.since.take().is_some() {
            self.position = self.length;
        }
        position
    }

    pub(super) fn plays(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn speed(&self) -> f64 {
        2f64.powi(self.speed)
    }

    /// Goes on, or rests; at the end it begins anew.
    pub(super) fn toggle(&mut self, now: Instant) {
        self.position = self.position(now);
        self.since = match self.since {
            Some(_) => None,
            None => {
                if self.position >= self.length {
                    self.position = Duration::ZERO;
                }
                Some(now)
            }
        };
    }

    /// Rests at this place.
    pub(super) fn rest(&mut self, position: Duration) {
        (self.position, self.since) = (position.min(self.length), None);
    }

    /// Goes to this place, and goes on there if it did.
    pub(super) fn seek(&mut self, position: Duration, now: Instant) {
        self.position = position.min(self.length);
        self.since = self.since.map(|_| now);
    }

    /// Doubles the speed so often, or halves it.
    pub(super) fn faster(&mut self, by: i32, now: Instant) {
        self.position = self.position(now);
        self.since = self.since.map(|_| now);
        self.speed = (self.speed + by).clamp(*SPEEDS.start(), *SPEEDS.end());
    }

    /// How long it takes from this place to that one.
    pub(super) fn time_to(&self, from: Duration, to: Duration) -> Duration {
        to.saturating_sub(from).div_f64(self.speed())
    }

    fn reached(&self, now: Instant) -> Duration {
        let gone = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.position.saturating_add(gone.mul_f64(self.speed())).min(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_rests_and_ends() {
        let start = Instant::now();
        let (at, s) = (|ms: u64| start + Duration::from_millis(ms), Duration::from_secs);
        let mut t = Transport::new(s(10), s(1));
        assert_eq!((t.position(at(500)), t.plays()), (s(1), false));
        t.toggle(at(1000));
        assert_eq!(t.position(at(3000)), s(3));
        t.faster(1, at(3000));
        assert_eq!((t.position(at(4000)), t.speed()), (s(5), 2.0));
        t.faster(-9, at(4000));
        assert_eq!((t.position(at(12_000)), t.speed()), (s(6), 0.125));
        t.seek(s(2), at(12_000));
        assert_eq!((t.position(at(12_000)), t.plays()), (s(2), true));
        t.faster(3, at(12_000));
        t.toggle(at(13_000));
        assert_eq!((t.position(at(60_000)), t.plays()), (s(3), false));
        assert_eq!(t.time_to(s(3), s(4)), s(1));
        t.toggle(at(60_000));
        assert_eq!((t.position(at(90_000)), t.plays()), (s(10), false), "it rests at the end");
        t.toggle(at(90_000));
        assert_eq!((t.position(at(91_000)), t.plays()), (s(1), true), "and begins anew");
        t.rest(s(70));
        assert_eq!(t.position(at(99_000)), s(10));
    }
}
