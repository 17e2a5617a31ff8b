//! What a viewer's link carries, seen from its acknowledgements, and what effort that is worth.

use super::messages::Encoded;
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

/// No viewer is further away, there and back, as long as nothing is known of that.
const FARTHEST: Duration = Duration::from_millis(600);

/// The round trip that is remembered moves towards a longer one by one part in so many.
const AGE: u32 = 16;

/// No estimate is beyond these: acknowledgements that come together look like no time at all, and
/// a pause like no link.
const ESTIMATES: (f64, f64) = (SLOW / 4.0, QUICK * 2.0);

/// How much of the estimate's logarithm the newest sample makes.
const WEIGHT: f64 = 0.25;

/// An update on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    version: Version,
    length: u64,
    /// How long it took to be encoded.
    took: Duration,
    at: Instant,
}

/// A viewer's link.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// Sent and not acknowledged, the oldest first. The credit bounds them.
    under_way: VecDeque<Sent>,
    /// When the last acknowledgement came.
    heard: Option<Instant>,
    /// The least time lately in which next to nothing was acknowledged, with nothing before it on
    /// its way.
    round_trip: Option<Duration>,
    /// Bytes a second, the time for decoding included.
    rate: Option<f64>,
    effort: Effort,
}

impl Link {
    /// Notes that an update is being sent.
    pub(crate) fn sent(&mut self, update: &Encoded, now: Instant) {
        let Encoded { version, length, took, .. } = *update;
        self.under_way.push_back(Sent { version, length, took, at: now });
    }

    /// How many updates are not acknowledged.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Since when nothing was acknowledged, though something is under way.
    pub(crate) fn unheard_since(&self) -> Option<Instant> {
        let oldest = self.under_way.front()?.at;
        Some(self.heard.map_or(oldest, |heard| heard.max(oldest)))
    }

    /// Forgets what is under way: it is not waited for any more.
    pub(crate) fn forget(&mut self) {
        self.under_way.clear();
    }

    /// Everything up to that version has arrived. False for a version that is not under way, which
    /// changes nothing.
    pub(crate) fn acknowledged(&mut self, version: Version, now: Instant) -> bool {
        let Some(last) = self.under_way.iter().position(|sent| sent.version == version) else {
            return false;
        };
        let heard = self.heard.replace(now);
        let arrived: Vec<Sent> = self.under_way.drain(..=last).collect();
        let (Some(first), Some(newest)) = (arrived.first(), arrived.last()) else { return true };
        let length: u64 = arrived.iter().map(|sent| sent.length).sum();
        let alone = arrived.len() == 1 && heard.is_none_or(|heard| heard <= first.at);
        if length <= NOTHING && alone {
            self.travelled(now.saturating_duration_since(first.at));
        } else if length >= LARGE {
            let took = newest.took;
            // Its bytes were not on their way before those of the one before had arrived, nor do
            // they arrive sooner than nothing would.
            let since = |way: Duration| {
                let begin = heard.map_or(first.at + way, |heard| heard.max(first.at + way));
                now.saturating_duration_since(begin)
            };
            let all = since(Duration::ZERO);
            if let Some(round_trip) = self.round_trip {
                self.sample(length, since(round_trip).max(all / LEAST_PART), took);
            } else {
                self.bound(length, (all, since(FARTHEST)), took);
            }
        }
        true
    }

    /// Next to nothing went there and back in this time.
    fn travelled(&mut self, time: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(least) if time > least => least + (time - least) / AGE,
            _ => time,
        });
    }

    /// An update took between the two times; a sample where even that says more than is known.
    fn bound(&mut self, length: u64, (most, least): (Duration, Duration), took: Duration) {
        let known = self.rate.unwrap_or(NOT_SLOW);
        if rate(length, most) > known {
            self.sample(length, most, took);
        } else if rate(length, least) < known {
            self.sample(length, least, took);
        }
    }

    fn sample(&mut self, length: u64, carried: Duration, took: Duration) {
        let sample = rate(length, carried);
        // A tenth and ten times as much count alike.
        let rate = self.rate.map_or(sample, |rate| rate * (sample / rate).powf(WEIGHT));
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
    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }
}

/// Bytes a second, as far as that can be told.
fn rate(length: u64, time: Duration) -> f64 {
    let rate = length as f64 / time.max(Duration::from_nanos(1)).as_secs_f64();
    rate.clamp(ESTIMATES.0, ESTIMATES.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Kind;

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

        /// One whose round trip is known: somebody has typed.
        fn known(rate: f64, round_trip_ms: u64) -> Self {
            let mut wire = Self::new(rate, round_trip_ms);
            wire.carry(100, 1);
            wire
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

        /// Sends updates of these lengths in turn, one in each `pause` while fewer than two are
        /// under way, as a session does.
        fn stream(&mut self, lengths: &[u64], pause: Duration, times: usize) {
            let mut arriving = VecDeque::new();
            let (mut free, mut due) = (self.now, self.now);
            for length in lengths.iter().cycle().take(times) {
                self.now = self.now.max(due);
                while let Some(&(version, at)) = arriving.front() {
                    if arriving.len() < 2 && at > self.now {
                        break;
                    }
                    self.now = self.now.max(at);
                    assert!(self.link.acknowledged(version, at));
                    arriving.pop_front();
                }
                self.send(*length);
                free = free.max(self.now) + self.time(*length);
                arriving.push_back((self.version, free + self.round_trip));
                due = self.now + pause;
            }
            for (version, at) in arriving {
                self.now = at;
                assert!(self.link.acknowledged(version, at));
            }
        }

        /// Whether the estimate is the link's rate, but for so much of it.
        fn is_known_to(&self, part: f64) -> bool {
            self.link.rate.is_some_and(|rate| (rate / self.rate - 1.0).abs() < part)
        }

        fn send(&mut self, length: u64) {
            self.version += 1;
            let took = Duration::from_secs_f64(length as f64 / self.encoded as f64 / 1e3);
            let (version, pieces) = (self.version, [].into());
            self.link.sent(&Encoded { version, kind: Kind::Key, pieces, length, took }, self.now);
        }
    }

    #[test]
    fn the_effort_follows_the_link() {
        assert_eq!(Wire::new(1e9, 0).carry(1_500_000, 5), Effort::Least);
        assert_eq!(Wire::known(1e9, 0).carry(1_500_000, 5), Effort::Least);
        assert_eq!(Wire::known(100e6, 0).carry(1_500_000, 50), Effort::Fast);
        assert_eq!(Wire::known(12e6, 0).carry(400_000, 50), Effort::Fast);
        assert_eq!(Wire::known(1e6, 0).carry(400_000, 5), Effort::Small);
        let mut wire = Wire::known(1e9, 0);
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
        // How far it is is not known yet, and that it is slow is no more than a guess.
        assert_eq!(wire.carry(100_000, 50), Effort::Fast);
        assert_eq!(wire.carry(200, 3), Effort::Fast, "small updates say nothing of the rate");
        assert_eq!(wire.carry(100_000, 50), Effort::Fast);
        assert!(wire.is_known_to(0.1), "{:?}", wire.link.rate);
        // A way that has become longer is found to be so.
        wire.round_trip *= 2;
        wire.carry(200, 100);
        wire.carry(400_000, 50);
        assert!(wire.is_known_to(0.1), "{:?}", wire.link.rate);
        // One that is shorter makes no link look as if it carried anything at once.
        wire.round_trip = Duration::ZERO;
        assert_eq!(wire.carry(100_000, 50), Effort::Fast);
    }

    #[test]
    fn what_is_slow_is_found_so_from_however_far() {
        assert_eq!(Wire::new(1e6, 100).carry(1_000_000, 50), Effort::Small);
    }

    #[test]
    fn a_link_is_known_while_updates_overtake_their_acknowledgements() {
        for (rate, round_trip, length, pause_ms) in [
            (47e6, 40, 1_500_000, 33),
            (25e6, 20, 300_000, 16),
            (118e6, 30, 1_500_000, 33),
            (3e6, 80, 200_000, 16),
        ] {
            let mut wire = Wire::known(rate, round_trip);
            wire.stream(&[length], Duration::from_millis(pause_ms), 300);
            assert!(wire.is_known_to(0.3), "{rate}: {:?}", wire.link.rate);
            // Where the way is not known, what it carries is not made more of.
            let mut wire = Wire::new(rate, round_trip);
            wire.stream(&[length], Duration::from_millis(pause_ms), 300);
            assert!(wire.link.rate.is_none_or(|known| known < rate * 1.3), "{:?}", wire.link.rate);
        }
    }

    #[test]
    fn small_updates_behind_others_say_nothing_of_the_way() {
        let mut wire = Wire::new(118e6, 100);
        wire.carry(100, 3);
        wire.stream(&[100_000, 100, 100], Duration::from_millis(20), 300);
        assert!(wire.link.round_trip.is_some_and(|time| time >= wire.round_trip));
        assert_eq!(wire.carry(200_000, 50), Effort::Fast);
    }

    #[test]
    fn acknowledgements_that_come_together_do_not_make_a_link_quick() {
        let mut wire = Wire::known(5e6, 0);
        wire.carry(200_000, 50);
        wire.send(200_000);
        wire.now += Duration::from_micros(20);
        assert!(wire.link.acknowledged(wire.version, wire.now));
        assert_ne!(wire.link.effort(), Effort::Least);
        wire.carry(200_000, 10);
        assert!(wire.is_known_to(0.1), "{:?}", wire.link.rate);
    }

    #[test]
    fn a_busy_processor_is_spared() {
        let mut wire = Wire::known(3e6, 0);
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
        assert!(wire.is_known_to(0.01));
        // One acknowledgement may stand for many.
        (0..3).for_each(|_| wire.send(1_000_000));
        wire.now += 3 * wire.time(1_000_000);
        assert!(wire.link.acknowledged(wire.version, wire.now));
        assert!(wire.is_known_to(0.01));
    }

    #[test]
    fn who_says_nothing_is_unheard_from_what_was_sent_or_heard_last() {
        let mut wire = Wire::new(1e9, 0);
        assert_eq!(wire.link.unheard_since(), None);
        let begin = wire.now;
        (0..2).for_each(|_| wire.send(1000));
        assert_eq!(wire.link.unheard_since(), Some(begin));
        wire.now += Duration::from_secs(1);
        assert!(wire.link.acknowledged(1, wire.now));
        assert_eq!(wire.link.unheard_since(), Some(wire.now));
        assert!(wire.link.acknowledged(2, wire.now));
        assert_eq!(wire.link.unheard_since(), None);
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
        assert_eq!(wire.link.rate, Some(ESTIMATES.1));
        wire.send(1_000_000);
        wire.link.forget();
        assert!(!wire.link.acknowledged(2, wire.now));
    }
}
