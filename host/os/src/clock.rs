//! The clocks of the machine, read together.

use std::time::{SystemTime, UNIX_EPOCH};

use dohle_base::{Instant, Now, Timestamp};

/// Reads the time. Copies agree: they count from the same origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose instants count from now.
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        Now { instant: self.instant(), wall: self.wall() }
    }

    /// The time on the clock that only goes forward.
    pub fn instant(&self) -> Instant {
        // 584 years fit.
        Instant(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time on the wall; 0 before 1970.
    pub fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The runtime's instant that stands for one of ours: for timers of the operating system.
    pub fn to_system(&self, instant: Instant) -> std::time::Instant {
        self.origin + std::time::Duration::from_nanos(instant.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_go_forward_and_convert_back() {
        let clock = Clock::start();
        let (first, second) = (clock.instant(), clock.now().instant);
        assert!(first <= second);
        let later = first + Duration::from_secs(5);
        assert_eq!(clock.to_system(later) - clock.to_system(first), Duration::from_secs(5));
    }

    #[test]
    fn the_wall_shows_this_century() {
        let wall = Clock::start().wall().0;
        assert!((1_700_000_000_000..4_100_000_000_000).contains(&wall));
    }
}
