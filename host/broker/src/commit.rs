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
    /// the reason that a client is told. What does not become committed here does not shorten the time
    /// that the others have.
    pub(crate) async fn committed(self, time_max: Duration) -> Vec<(Write, ErrorCode)> {
        let until = Instant::now() + time_max;
        let (mut open, mut lacking, mut is_late) = (self.writes, Vec::new(), false);
        let wait_for = |count: usize| Wait::new(i64::try_from(count).unwrap_or(i64::MAX));
        let mut wait = wait_for(open.len());
        loop {
            let undecided = open.into_iter().filter_map(|write| {
                match write.partition.is_committed(write.end, &wait) {
                    Ok(false) if !is_late => return Some(write),
                    Ok(false) => lacking.push((write, ErrorCode::REQUEST_TIMED_OUT)),
                    Ok(true) => {}
                    Err(error) => lacking.push((write, error)),
                }
                wait.arrived(1);
                None
            });
            open = undecided.collect();
            if open.is_empty() {
                return lacking;
            }
            if wait.is_satisfied() {
                // It was interrupted: those that are undecided still wait anew.
                wait = wait_for(open.len());
                continue;
            }
            // Satisfied, interrupted or too late: each says where it stands.
            is_late = within(until, Satisfied(Arc::clone(&wait))).await.is_none();
        }
    }
}
