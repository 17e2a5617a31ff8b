//! How far the agent's clock is from ours, found out from pings.

use hightower_proto::message::Pong;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The samples that are compared: half a minute's worth, so that a drifting clock is followed.
const SAMPLES: usize = 16;

/// Pings that may be unanswered at a time.
const OPEN: usize = 8;

/// Our own clock, in microseconds since 1970.
#[must_use]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What the best ping of late said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The time to the agent and back.
    pub round_trip: Duration,
    /// What to add to our clock to get the agent's, in microseconds.
    pub offset_us: i64,
}

impl Estimate {
    /// How long ago something happened that the agent's clock dated so, when ours says `now_us`;
    /// never below zero, as the estimate may be off by half a round trip.
    #[must_use]
    pub fn since(&self, agent_us: u64, now_us: u64) -> Duration {
        let gone = i128::from(now_us) + i128::from(self.offset_us) - i128::from(agent_us);
        Duration::from_micros(u64::try_from(gone.max(0)).unwrap_or(u64::MAX))
    }
}

/// The pings of one connection.
#[derive(Debug, Default)]
pub(super) struct Clock {
    open: VecDeque<(u64, Instant)>,
    samples: VecDeque<Estimate>,
}

impl Clock {
    /// Notes a ping that is being sent, with our clock in it.
    pub(super) fn ping(&mut self, ping_us: u64, now: Instant) {
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back((ping_us, now));
    }

    /// Takes the answer; gives the best estimate of late, or `None` for an answer to no ping.
    pub(super) fn pong(&mut self, pong: &Pong, now: Instant) -> Option<Estimate> {
        let at = self.open.iter().position(|&(us, _)| us == pong.ping_us)?;
        let (_, sent) = self.open.drain(..=at).next_back()?;
        let round_trip = now.duration_since(sent);
        let half = i128::try_from(round_trip.as_micros() / 2).ok()?;
        let offset = i128::from(pong.clock_us) - i128::from(pong.ping_us) - half;
        let offset_us = i64::try_from(offset).ok()?;
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Estimate { round_trip, offset_us });
        self.samples.iter().min_by_key(|s| s.round_trip).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1000;

    #[test]
    fn the_quickest_answer_wins() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut clock = Clock::default();
        // The agent's clock is an hour ahead; the first answer dawdles on its way back.
        let hour = 3_600_000 * MS;
        clock.ping(1_000 * MS, at(0));
        let slow = Pong { ping_us: 1_000 * MS, clock_us: hour + 1_001 * MS };
        let first = clock.pong(&slow, at(100)).expect("an estimate");
        assert_eq!(first.offset_us, (hour - 49 * MS) as i64);
        clock.ping(3_000 * MS, at(2000));
        let quick = Pong { ping_us: 3_000 * MS, clock_us: hour + 3_001 * MS };
        let second = clock.pong(&quick, at(2002)).expect("an estimate");
        assert_eq!(second.offset_us, hour as i64);
        assert_eq!(second.round_trip, Duration::from_millis(2));
        clock.ping(5_000 * MS, at(4000));
        let slow = Pong { ping_us: 5_000 * MS, clock_us: hour + 5_040 * MS };
        assert_eq!(clock.pong(&slow, at(4050)), Some(second));
        assert_eq!(second.since(hour + 6_000 * MS, 6_033 * MS), Duration::from_millis(33));
        assert_eq!(second.since(hour + 6_000 * MS, 5_999 * MS), Duration::ZERO);
    }

    #[test]
    fn answers_to_nothing_are_ignored() {
        let now = Instant::now();
        let mut clock = Clock::default();
        assert_eq!(clock.pong(&Pong { ping_us: 5, clock_us: 5 }, now), None);
        for us in 0..1000 {
            clock.ping(us, now);
        }
        assert_eq!(clock.open.len(), OPEN);
        assert_eq!(clock.pong(&Pong { ping_us: 3, clock_us: 5 }, now), None);
        let far = Pong { ping_us: 999, clock_us: u64::MAX };
        assert_eq!(clock.pong(&far, now), None, "an offset that no clock has");
    }
}
