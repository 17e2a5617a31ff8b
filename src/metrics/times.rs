//! Times: a histogram of how long something took.
//!
//! The library's own histogram takes a lock for each value; this one takes two atomic additions.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Up to how many microseconds each bucket goes; the last one has no end. A letter is encoded within
/// the first, and beyond the last somebody is waiting.
const BOUNDS: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// How long something took; a clone counts in the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times(Arc<Counts>);

impl Times {
    /// It took so long once more.
    pub(crate) fn took(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1000 < nanoseconds);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // In five hundred years it begins anew.
        self.0.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl TypedMetric for Times {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = seconds.zip(counts).collect();
        // Of what was read just now: the sum may be of one more, the count is not.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    #[test]
    fn a_time_is_in_all_buckets_that_go_as_far() {
        let times = Times::default();
        for micros in [0, 50, 51, 1_000_000, 1_000_001, 3_000_000_000] {
            times.took(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("x", "For the test", times);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        let value = |of: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(of));
            line.map(|value| value.trim().to_owned())
        };
        assert_eq!(value("x_bucket{le=\"0.00005\"}"), Some("2".into()), "{text}");
        assert_eq!(value("x_bucket{le=\"0.0001\"}"), Some("3".into()));
        assert_eq!(value("x_bucket{le=\"1.0\"}"), Some("4".into()));
        assert_eq!(value("x_bucket{le=\"+Inf\"}"), Some("6".into()));
        assert_eq!(value("x_count"), Some("6".into()));
        let sum: f64 = value("x_sum").expect("a sum").parse().expect("a number");
        assert!((sum - 3_002.000_102).abs() < 1e-6, "{sum}");
    }
}
