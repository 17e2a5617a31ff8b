//! Chance that can be repeated.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Another seed each time, or that of `HIGHTOWER_SOAK_SEED`: a failure is repeated, as far as time
/// allows, with its seed.
pub(crate) fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let given = std::env::var("HIGHTOWER_SOAK_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(now);
    println!("HIGHTOWER_SOAK_SEED={seed}");
    seed
}

/// Numbers that look random; the same seed gives the same ones.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 up to, not including, `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number of a range.
    pub(crate) fn of(&mut self, range: std::ops::Range<i32>) -> i32 {
        range.start + self.below((range.end - range.start) as usize) as i32
    }

    /// Whether something happens that does so once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A number that says nothing of the one it is made of.
pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
