//! What a request has written and whose commit its answer waits for.

use std::{sync::Arc, time::Duration};

use dohle_base::{ErrorCode, Offset};
use dohle_replication::wait::{Satisfied, Wait};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{partition::Partition, time_limit::within};

/// Appends that are not committed yet.
#[derive(Default)]
pub(crate) struct Uncommitted {
    writes: SmallVec<[Write; 1]>,
}

/// One of them.
pub(crate) struct Write {
    pub(crate) partition: Arc<Partition>,
    /// The end of the log behind it.
    pub(crate) end: Offset,
}

impl Uncommitted {
    /// Everything below `end` is to be waited for.
    pub(crate) fn push(&mut self, partition: Arc<Partition>, end: Offset) {
        self.writes.push(Write { partition, end });
    }

    /// Whether there is nothing to wait for.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Waits until all of it is committed, but no longer than `time_max`. Returns what is not, with
    /// the reason that a client is told.
    pub(crate) async fn committed(self, time_max: Duration) -> Vec<(Write, ErrorCode)> {
        let wait = Wait::new(i64::try_from(self.writes.len()).unwrap_or(i64::MAX));
        for write in &self.writes {
            match write.partition.is_committed(write.end, &wait) {
                Ok(true) => wait.arrived(1),
                Ok(false) => {}
                // It does not become committed here, whatever the others do.
                Err(_) => wait.interrupt(),
            }
        }
        // Satisfied, interrupted or too late: each says where it stands.
        within(Instant::now() + time_max, Satisfied(Arc::clone(&wait))).await;
        let lacking = self.writes.into_iter().filter_map(|write| {
            match write.partition.is_committed(write.end, &wait) {
                Ok(true) => None,
                Ok(false) => Some((write, ErrorCode::REQUEST_TIMED_OUT)),
                Err(error) => Some((write, error)),
            }
        });
        lacking.collect()
    }
}
