//! How fast all threads together read and write: `log.cleaner.io.max.bytes.per.second`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The longest that a thread sleeps before it looks whether it should go on.
const NAP_MAX: Duration = Duration::from_millis(200);
/// A rate that no disk reaches counts as none.
const RATE_MAX: f64 = 1e12;

/// Hands out time slots, one behind another.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When the bytes that were reserved so far are through.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Waits until `bytes` more may have been read and written at this many a second. `false` if
    /// `goes_on` said no meanwhile.
    pub(super) fn pass(&self, bytes: u64, rate: f64, goes_on: impl Fn() -> bool) -> bool {
        let until = self.reserve(bytes, rate, Instant::now());
        loop {
            if !goes_on() {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP_MAX));
        }
    }

    fn reserve(&self, bytes: u64, rate: f64, now: Instant) -> Instant {
        if !(rate > 0.0 && rate < RATE_MAX) {
            return now;
        }
        let took = Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(NAP_MAX);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let end = free_at.map_or(now, |free_at| free_at.max(now)) + took;
        *free_at = Some(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_together_stay_below_the_rate() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let mut end = start;
        for _ in 0..10 {
            end = throttle.reserve(500, 1_000.0, start);
        }
        assert_eq!(end - start, Duration::from_secs(5));
        // Time that nobody used is not saved up.
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.reserve(500, 1_000.0, later) - later, Duration::from_millis(500));
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for rate in [f64::MAX, f64::INFINITY, 0.0, -1.0, f64::NAN] {
            assert_eq!(throttle.reserve(u64::MAX, rate, now), now, "{rate}");
        }
    }

    #[test]
    fn a_wait_ends_when_it_should_not_go_on() {
        let throttle = Throttle::default();
        assert!(!throttle.pass(1_000_000, 1.0, || false));
        assert!(throttle.pass(1, f64::MAX, || true));
    }
}
