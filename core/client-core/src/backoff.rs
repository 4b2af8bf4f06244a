//! How long to wait before trying again: doubling from a base to a bound, spread by 20 percent so
//! that many clients of one failed broker do not come back together. Source: KIP-144, KIP-580.

use std::time::Duration;

use dohle_base::Rng;

/// Waits that double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The first wait.
    pub(crate) base: Duration,
    /// The longest wait, before it is spread.
    pub(crate) max: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row, of which there is at least one.
    pub(crate) fn delay(self, failures: u32, rng: &mut Rng) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let wait = self.base.saturating_mul(1 << doublings).min(self.max.max(self.base));
        // 800 to 1200 thousandths.
        let spread = 800 + u32::try_from(rng.below(401)).unwrap_or(0);
        wait.saturating_mul(spread) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_are_spread_by_a_fifth() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(1) };
        let mut rng = Rng::from_seed(1);
        for (failures, expected_ms) in
            [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (99, 1_000)]
        {
            let delay = backoff.delay(failures, &mut rng).as_millis();
            let (least, most) = (expected_ms * 8 / 10, expected_ms * 12 / 10);
            assert!((least..=most).contains(&delay), "{failures} failures: {delay} ms");
        }
    }
}
