//! How often something took how long.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The upper bounds of the buckets, in microseconds: from what a fast disk needs for a sync to what
/// no client waits for.
const BOUNDS_US: [u64; 15] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 10_000_000,
];

/// Counts durations. An observation is three additions; anyone may read at any time.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One more than there are bounds: what was longer than the last.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// The upper bound of each bucket in seconds, and how many were not above it.
    pub up_to: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they took together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < took);
        self.counts[at].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(took, Relaxed);
    }

    /// What was counted so far. Observations go on meanwhile, so the sum may know of one more.
    pub fn read(&self) -> Buckets {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(BOUNDS_US.len());
        for (bound, counted) in BOUNDS_US.iter().zip(&self.counts) {
            count += counted.load(Relaxed);
            up_to.push((*bound as f64 / 1e6, count));
        }
        count += self.counts[BOUNDS_US.len()].load(Relaxed);
        Buckets { up_to, count, sum: self.sum_us.load(Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_holds_what_is_not_above_its_bound() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000, 20_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let buckets = histogram.read();
        let at = |bound: f64| buckets.up_to.iter().find(|(b, _)| *b == bound).map(|(_, n)| *n);
        assert_eq!(at(0.000_05), Some(2), "bounds are inclusive");
        assert_eq!(at(0.000_1), Some(3));
        assert_eq!(at(0.001), Some(4));
        assert_eq!(at(10.0), Some(4));
        assert_eq!((buckets.count, buckets.sum), (5, 20.001_101));
    }
}
