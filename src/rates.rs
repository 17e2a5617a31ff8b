//! Rates: how often addresses may do something, by token buckets.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses whose rate is kept in mind; all others share one.
const ADDRESSES: usize = 1024;

/// What one household has of addresses: a single one of IPv4, 64 bits of IPv6.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip => ip,
    }
}

/// How often each address does something.
#[derive(Debug)]
pub(crate) struct Rates {
    new: Bucket,
    by_address: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

impl Rates {
    /// So many a second of each address over a while, and so many at once.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        let new = Bucket::new(rate, burst);
        Self { new, by_address: HashMap::new(), others: new }
    }

    /// Counts one of this address; how long it has to wait for its turn. One that would have to
    /// wait longer than `patience` has no turn, and is not counted.
    pub(crate) fn take(
        &mut self,
        ip: IpAddr,
        now: Instant,
        patience: Duration,
    ) -> Option<Duration> {
        let ip = network(ip);
        if !self.by_address.contains_key(&ip) && self.by_address.len() >= ADDRESSES {
            self.by_address.retain(|_, bucket| !bucket.is_full(now));
        }
        let known = self.by_address.len();
        let bucket = match self.by_address.get_mut(&ip) {
            Some(bucket) => bucket,
            None if known < ADDRESSES => self.by_address.entry(ip).or_insert(self.new),
            None => &mut self.others,
        };
        bucket.take(now, patience)
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    filled: Option<Instant>,
}

impl Bucket {
    /// So many a second over a while, and so many at once.
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, filled: None }
    }

    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(Duration::ZERO, |t| now.saturating_duration_since(t));
        self.filled = Some(now);
        self.tokens = (self.tokens + since.as_secs_f64() * self.rate).min(self.burst);
    }

    /// Whether as many may come at once as ever.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    /// Takes a token, if it is there within `patience`; how long that is.
    pub(crate) fn take(&mut self, now: Instant, patience: Duration) -> Option<Duration> {
        self.fill(now);
        let wait = Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.rate);
        if wait > patience {
            return None;
        }
        self.tokens -= 1.0;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Duration = Duration::from_secs(3);

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10.0, 20.0);
        let start = Instant::now();
        assert!((0..20).all(|_| bucket.take(start, QUEUE) == Some(Duration::ZERO)));
        assert_eq!(bucket.take(start, Duration::ZERO), None);
        assert_eq!(bucket.take(start, QUEUE), Some(Duration::from_millis(100)));
        let later = start + Duration::from_secs(60);
        assert_eq!(bucket.take(later, QUEUE), Some(Duration::ZERO));
        // Who has no turn does not make it worse.
        let turns = (0..1000).filter_map(|_| bucket.take(later, QUEUE)).count();
        assert!((45..=50).contains(&turns), "{turns}");
        assert!(bucket.take(later + Duration::from_secs(1), QUEUE).is_some());
    }

    #[test]
    fn who_floods_is_slowed_and_nobody_else() {
        let mut rates = Rates::new(1.0, 2.0);
        let now = Instant::now();
        let flood: IpAddr = [10, 0, 0, 1].into();
        for _ in 0..100 {
            rates.take(flood, now, QUEUE);
        }
        assert_eq!(rates.take(flood, now, QUEUE), None);
        assert_eq!(rates.take([10, 0, 0, 2].into(), now, QUEUE), Some(Duration::ZERO));
        // One household of IPv6 counts as one, whatever it calls itself.
        for i in 0..100u16 {
            rates.take(Ipv6Addr::new(0xfd00, 1, 2, 3, 0, 0, 1, i).into(), now, QUEUE);
        }
        let neighbour = Ipv6Addr::new(0xfd00, 1, 2, 3, 9, 9, 9, 9);
        assert_eq!(rates.take(neighbour.into(), now, QUEUE), None);
        // However many there are, no more than so many are kept in mind.
        for i in 0..10_000u32 {
            rates.take(IpAddr::from((0x0b00_0000 + i).to_be_bytes()), now, QUEUE);
        }
        assert_eq!(rates.by_address.len(), ADDRESSES);
        rates.take([12, 0, 0, 1].into(), now + Duration::from_secs(600), QUEUE);
        assert_eq!(rates.by_address.len(), 1);
    }
}
