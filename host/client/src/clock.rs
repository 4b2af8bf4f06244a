//! Where the machines' time comes from.

use std::{
    hash::{BuildHasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

use dohle_base::{Instant, Now, Rng, Timestamp};

/// Both clocks of one client. The steady one is the runtime's, so tests can hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// Starts at nothing.
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// What time it is.
    pub(crate) fn now(self) -> Now {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        Now { instant: Instant(nanos), wall: Timestamp(wall) }
    }

    /// Waits until then; for ever, if there is no then.
    pub(crate) async fn sleep_until(self, then: Option<Instant>) {
        match then {
            Some(then) => {
                tokio::time::sleep_until(self.origin + then.since(Instant(0))).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// A generator that no other client has: its seed is what the standard library seeds its maps with.
pub(crate) fn fresh_rng() -> Rng {
    Rng::from_seed(RandomState::new().hash_one(std::process::id()))
}
