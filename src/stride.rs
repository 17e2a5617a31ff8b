//! Stride: how long the chunks of a file are.
//!
//! An answer comes for a whole chunk, and a chunk of which a part has come is lost with the
//! connection. So on a slow link chunks are short; they grow where answers are quick.

use hightower_proto::limits::MAX_CHUNK;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The shortest, in bytes, and the first.
const SHORTEST: usize = 16 * 1024;

/// The longest where pictures go on the same connection: one that is due waits for what is begun.
const LONGEST_BESIDE: usize = 32 * 1024;

/// Answers that come sooner make chunks longer.
const QUICK: Duration = Duration::from_millis(500);

/// Answers that come later make them shorter.
const SLOW: Duration = Duration::from_secs(2);

/// How long the chunks of one transfer are.
#[derive(Debug, Clone)]
pub(crate) struct Stride {
    length: usize,
    longest: usize,
    /// Where the chunks end that are not answered, and when they were sent. There are as many as
    /// fit into the window.
    under_way: VecDeque<(u64, Instant)>,
}

impl Default for Stride {
    fn default() -> Self {
        Self { length: SHORTEST, longest: MAX_CHUNK, under_way: VecDeque::new() }
    }
}

impl Stride {
    /// For a connection that carries pictures, too.
    pub(crate) fn beside_pictures() -> Self {
        Self { longest: LONGEST_BESIDE, ..Self::default() }
    }

    /// How long the next chunk is at most, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// A chunk was sent that ends here.
    pub(crate) fn sent(&mut self, end: u64, now: Instant) {
        self.under_way.push_back((end, now));
    }

    /// All up to here has arrived.
    pub(crate) fn answered(&mut self, held: u64, now: Instant) {
        while let Some((_, sent)) = self.under_way.pop_front_if(|(end, _)| *end <= held) {
            let took = now.saturating_duration_since(sent);
            if took < QUICK {
                self.length = (self.length * 2).min(self.longest);
            } else if took > SLOW {
                self.length = (self.length / 2).max(SHORTEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_where_answers_are_quick_and_shrink_where_they_are_slow() {
        let (mut stride, mut now, mut end) = (Stride::default(), Instant::now(), 0);
        let mut chunk = |took: Duration| {
            end += stride.length() as u64;
            stride.sent(end, now);
            now += took;
            // Of a part of it nothing follows.
            stride.answered(end - 1, now + SLOW * 2);
            stride.answered(end, now);
            stride.length()
        };
        let fast = Duration::from_millis(20);
        let grown: Vec<usize> = (0..6).map(|_| chunk(fast)).collect();
        let most = MAX_CHUNK;
        assert_eq!(grown, [1 << 15, 1 << 16, 1 << 17, most, most, most]);
        assert_eq!(chunk(Duration::from_secs(1)), most);
        let shrunk: Vec<usize> = (0..6).map(|_| chunk(SLOW * 2)).collect();
        assert_eq!(shrunk, [1 << 17, 1 << 16, 1 << 15, SHORTEST, SHORTEST, SHORTEST]);
        assert!(stride.under_way.is_empty());
    }

    #[test]
    fn chunks_are_short_beside_pictures_however_quick_the_answers() {
        let (mut stride, now) = (Stride::beside_pictures(), Instant::now());
        for end in 1..10 {
            stride.sent(end, now);
            stride.answered(end, now);
        }
        assert_eq!(stride.length(), LONGEST_BESIDE);
    }
}
