//! When a window is drawn: what changes after a rest at once, what follows closely together.

use std::time::{Duration, Instant};

/// The shortest time between two drawings: no display shows more.
const APART: Duration = Duration::from_millis(16);

/// How often a window is given its pixels even when they are the same: minifb does not tell when
/// it was uncovered.
const RENEW: Duration = Duration::from_secs(1);

/// The pace of one window.
#[derive(Debug)]
pub(super) struct Pace {
    given: Instant,
}

impl Pace {
    /// A window that was given nothing yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { given: now }
    }

    /// How long a picture that is there now has to wait, with those that come until then.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        APART.saturating_sub(now.saturating_duration_since(self.given))
    }

    /// Whether the same pixels are to be given again.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.given) >= RENEW
    }

    /// The window was given its pixels.
    pub(super) fn given(&mut self, now: Instant) {
        self.given = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws what comes at these milliseconds; gives when, and what was the newest then.
    fn drawn(news: &[u64]) -> Vec<(u64, u64)> {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        let (mut now, mut shown, mut drawn) = (0, None, Vec::new());
        while let Some(&next) = news.iter().find(|&&ms| shown.is_none_or(|shown| ms > shown)) {
            now = now.max(next);
            now += pace.wait(at(now)).as_millis() as u64;
            shown = news.iter().rev().find(|&&ms| ms <= now).copied();
            drawn.extend(shown.map(|newest| (now, newest)));
            pace.given(at(now));
        }
        drawn
    }

    #[test]
    fn after_a_rest_nothing_waits() {
        assert_eq!(drawn(&[100, 133, 166]), [(100, 100), (133, 133), (166, 166)]);
    }

    #[test]
    fn what_follows_closely_is_drawn_together_and_the_newest_wins() {
        assert_eq!(drawn(&[100, 103, 106, 115, 140]), [(100, 100), (116, 115), (140, 140)]);
        let flood: Vec<u64> = (1000..2000).collect();
        let drawn = drawn(&flood);
        assert_eq!(drawn.len(), 64, "no more than a display shows in a second");
        assert!(drawn.windows(2).all(|pair| pair[1].0 - pair[0].0 == 16));
        assert!(drawn[..63].iter().all(|(now, newest)| now == newest));
        assert_eq!(drawn.last().map(|last| last.1), Some(1999));
    }

    #[test]
    fn a_still_window_is_given_its_pixels_now_and_then() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!(!pace.is_stale(start + RENEW / 2) && pace.is_stale(start + RENEW));
        pace.given(start + RENEW);
        assert!(!pace.is_stale(start + RENEW * 3 / 2));
    }
}
