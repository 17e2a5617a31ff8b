//! What a viewer's link carries, seen from its acknowledgements, and what effort that is worth.

use crate::agent::messages::Encoded;
use crate::canvas::Version;
use crate::png::Effort;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Smaller updates say more of the way there and back than of how much it carries, in bytes.
const LARGE: u64 = 64 << 10;

/// Updates up to this length in bytes go there and back in the time that nothing takes.
const NOTHING: u64 = 4 << 10;

/// From so many bytes a second on an update is carried, and decoded, in less time than it takes to
/// compress noise; below the second figure that is over.
const QUICK: f64 = 200e6;
const NOT_QUICK: f64 = 100e6;

/// Below so many bytes a second, what is saved by a thorough search is carried in more time than
/// the search takes; above the second figure that is over.
const SLOW: f64 = 4e6;
const NOT_SLOW: f64 = 6e6;

/// A thorough search takes about four times as long. It is begun where encoding took one part in
/// so many of the time on the link, and given up where it takes more than one in the second figure:
/// the processor has other work then.
const EASY: u32 = 16;
const HARD: u32 = 4;

/// Of the time for a large update, one part in so many was spent on its bytes at least.
const LEAST_PART: u32 = 16;

/// How much of the estimate the newest sample makes.
const WEIGHT: f64 = 0.25;

/// An update on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    version: Version,
    length: u64,
    /// How long it took to encode.
    took: Duration,
    at: Instant,
}

/// A viewer's link.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Sent and not acknowledged, the oldest first. The credit bounds them.
    under_way: VecDeque<Sent>,
    /// When the last acknowledgement came.
    heard: Option<Instant>,
    /// The least time in which next to nothing was acknowledged.
    round_trip: Option<Duration>,
    /// Bytes a second, the time for decoding included.
    rate: Option<f64>,
    effort: Effort,
}

impl Link {
    /// Notes that an update is being sent.
    pub(super) fn sent(&mut self, update: &Encoded, now: Instant) {
        let Encoded { version, length, took, .. } = *update;
        self.under_way.push_back(Sent { version, length, took, at: now });
    }

    /// How many updates are not acknowledged.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Forgets what is under way: it is not waited for any more.
    pub(super) fn forget(&mut self) {
        self.under_way.clear();
    }

    /// Everything up to that version has arrived. False for a version that is not under way, which
    /// changes nothing.
    pub(super) fn acknowledged(&mut self, version: Version, now: Instant) -> bool {
        let Some(last) = self.under_way.iter().position(|sent| sent.version == version) else {
            return false;
        };
        let heard = self.heard.replace(now);
        let arrived: Vec<Sent> = self.under_way.drain(..=last).collect();
        let (Some(first), Some(newest)) = (arrived.first(), arrived.last()) else { return true };
        // What was sent before the last one was acknowledged had to wait behind it.
        let begin = heard.map_or(first.at, |heard| heard.max(first.at));
        let passed = now.saturating_duration_since(begin);
        let length: u64 = arrived.iter().map(|sent| sent.length).sum();
        if length <= NOTHING {
            let least = self.round_trip.map_or(passed, |least| least.min(passed));
            self.round_trip = Some(least);
        } else if length >= LARGE {
            let carried = passed.saturating_sub(self.round_trip.unwrap_or_default());
            self.sample(length, carried.max(passed / LEAST_PART), newest.took);
        }
        true
    }

    fn sample(&mut self, length: u64, carried: Duration, took: Duration) {
        let sample = length as f64 / carried.max(Duration::from_micros(1)).as_secs_f64();
        let rate = self.rate.map_or(sample, |rate| rate + (sample - rate) * WEIGHT);
        self.rate = Some(rate);
        self.effort = match self.effort {
            Effort::Least if rate >= NOT_QUICK => Effort::Least,
            Effort::Small if rate <= NOT_SLOW && took <= carried / HARD => Effort::Small,
            _ if rate >= QUICK => Effort::Least,
            Effort::Fast if rate <= SLOW && took <= carried / EASY => Effort::Small,
            _ => Effort::Fast,
        };
    }

    /// What suits this link.
    pub(super) fn effort(&self) -> Effort {
        self.effort
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link that carries so many bytes a second, with that round trip; the encoder takes a
    /// millisecond for so many bytes.
    struct Wire {
        link: Link,
        rate: f64,
        round_trip: Duration,
        encoded: u64,
        now: Instant,
        version: Version,
    }

    impl Wire {
        fn new(rate: f64, round_trip_ms: u64) -> Self {
            let round_trip = Duration::from_millis(round_trip_ms);
            let (link, now) = (Link::default(), Instant::now());
            Self { link, rate, round_trip, encoded: 200_000, now, version: 0 }
        }

        fn time(&self, length: u64) -> Duration {
            Duration::from_secs_f64(length as f64 / self.rate)
        }

        /// Sends updates of that length, each acknowledged before the next one.
        fn carry(&mut self, length: u64, times: usize) -> Effort {
            for _ in 0..times {
                self.send(length);
                self.now += self.time(length) + self.round_trip;
                assert!(self.link.acknowledged(self.version, self.now));
            }
            self.link.effort()
        }

        fn send(&mut self, length: u64) {
            self.version += 1;
            let took = Duration::from_secs_f64(length as f64 / self.encoded as f64 / 1e3);
            let (version, pieces) = (self.version, [].into());
            self.link.sent(&Encoded { version, pieces, length, took }, self.now);
        }
    }

    #[test]
    fn the_effort_follows_the_link() {
        assert_eq!(Wire::new(1e9, 0).carry(1_500_000, 5), Effort::Least);
        assert_eq!(Wire::new(100e6, 0).carry(1_500_000, 50), Effort::Fast);
        assert_eq!(Wire::new(12e6, 0).carry(400_000, 50), Effort::Fast);
        assert_eq!(Wire::new(1e6, 0).carry(400_000, 5), Effort::Small);
        let mut wire = Wire::new(1e9, 0);
        for (rate, effort) in [
            (1e9, Effort::Least),
            (150e6, Effort::Least),
            (1e6, Effort::Small),
            (5e6, Effort::Small),
            (20e6, Effort::Fast),
            (5e6, Effort::Fast),
            (1e9, Effort::Least),
        ] {
            wire.rate = rate;
            assert_eq!(wire.carry(400_000, 50), effort, "at {rate}");
        }
    }

    #[test]
    fn what_is_far_is_not_slow() {
        let mut wire = Wire::new(12e6, 100);
        assert_eq!(wire.carry(200, 3), Effort::Fast, "small updates say nothing of the rate");
        assert_eq!(wire.carry(100_000, 50), Effort::Fast);
        // A way that has become shorter does not make a link look as if it carried anything at once.
        wire.round_trip = Duration::ZERO;
        wire.carry(100_000, 50);
        assert!(
            wire.link.rate.is_some_and(|rate| rate < 13e6 * f64::from(LEAST_PART)),
            "{:?}",
            wire.link.rate
        );
    }

    #[test]
    fn a_busy_processor_is_spared() {
        let mut wire = Wire::new(3e6, 0);
        wire.encoded = 10_000;
        assert_eq!(wire.carry(200_000, 50), Effort::Fast);
        wire.encoded = 100_000;
        assert_eq!(wire.carry(200_000, 50), Effort::Small);
        // As it is four times the work.
        wire.encoded /= 4;
        assert_eq!(wire.carry(200_000, 50), Effort::Small);
        wire.encoded /= 4;
        assert_eq!(wire.carry(200_000, 1), Effort::Fast);
    }

    #[test]
    fn updates_sent_at_once_share_the_link() {
        let mut wire = Wire::new(100e6, 0);
        for _ in 0..20 {
            // Three are under way, and acknowledged one after another.
            (0..3).for_each(|_| wire.send(1_000_000));
            for version in wire.version - 2..=wire.version {
                wire.now += wire.time(1_000_000);
                assert!(wire.link.acknowledged(version, wire.now));
            }
        }
        assert_eq!(wire.link.under_way(), 0);
        assert!(wire.link.rate.is_some_and(|rate| (rate / 100e6 - 1.0).abs() < 0.01));
        // One acknowledgement may stand for many.
        (0..3).for_each(|_| wire.send(1_000_000));
        wire.now += 3 * wire.time(1_000_000);
        assert!(wire.link.acknowledged(wire.version, wire.now));
        assert!(wire.link.rate.is_some_and(|rate| (rate / 100e6 - 1.0).abs() < 0.01));
    }

    #[test]
    fn what_was_never_sent_changes_nothing() {
        let mut wire = Wire::new(1e9, 0);
        wire.send(1_000_000);
        assert!(!wire.link.acknowledged(7, wire.now));
        assert_eq!((wire.link.under_way(), wire.link.rate), (1, None));
        // At once: no time has passed at all.
        assert!(wire.link.acknowledged(1, wire.now));
        assert!(!wire.link.acknowledged(1, wire.now), "twice");
        assert!(wire.link.rate.is_some_and(f64::is_finite));
        wire.send(1_000_000);
        wire.link.forget();
        assert!(!wire.link.acknowledged(2, wire.now));
    }
}
