//! Which log is cleaned next: of those that are due the dirtiest.

use std::sync::{Arc, PoisonError};

use dohle_base::Timestamp;
use dohle_log::{Dirtiness, LogError};
use tracing::error;

use super::Shared;
use crate::{Broker, partition::Partition};

/// What to do next.
pub(super) enum Choice {
    /// This log is due. It counts as busy from now on.
    Clean(Arc<Partition>),
    /// None is. One may be at that time, or when somebody rings.
    Wait(Option<Timestamp>),
}

/// What is known of a log that is compacted.
struct Candidate {
    dirt: Dirtiness,
    is_due: bool,
    /// Closed segments wait for a transaction to end or for records to be committed.
    is_held_up: bool,
}

pub(super) fn choose(broker: &Broker, shared: &Shared) -> Choice {
    let _one_at_a_time = shared.choosing.lock().unwrap_or_else(PoisonError::into_inner);
    let now = broker.clock.wall();
    let mut dirtiest: Option<(f64, Arc<Partition>)> = None;
    let mut next: Option<Timestamp> = None;
    for partition in broker.partitions.all() {
        // One of which a part was copied to another directory is cleaned when it is there.
        let is_copied = broker.moves.is_begun(partition.topic_id(), partition.index());
        if is_copied || !is_free(shared, &partition) {
            continue;
        }
        let candidate = match look_at(&partition, now) {
            Ok(Some(candidate)) => candidate,
            Ok(None) => continue,
            Err(error) => {
                error!(%partition, "not cleaned any more before the next start: {error}");
                shared.state().uncleanable.insert(partition.key());
                continue;
            }
        };
        let Candidate { dirt, is_due, is_held_up } = candidate;
        // Nobody rings when a transaction ends: look again when the back-off is over.
        let held_up = is_held_up.then_some(now);
        next = next.into_iter().chain(dirt.next_change).chain(held_up).min();
        if is_due && dirtiest.as_ref().is_none_or(|(ratio, _)| dirt.ratio() > *ratio) {
            dirtiest = Some((dirt.ratio(), partition));
        }
    }
    match dirtiest {
        Some((_, partition)) => {
            shared.state().busy.insert(partition.key());
            Choice::Clean(partition)
        }
        None => Choice::Wait(next),
    }
}

fn is_free(shared: &Shared, partition: &Partition) -> bool {
    let (state, key) = (shared.state(), partition.key());
    !state.busy.contains(&key) && !state.uncleanable.contains(&key)
}

/// `None` if the log is not compacted, or not here.
fn look_at(partition: &Partition, now: Timestamp) -> Result<Option<Candidate>, LogError> {
    let looked = partition.with_leader(|leader| {
        if !leader.log().config().compacted {
            return Ok(None);
        }
        let high_watermark = leader.standing().high_watermark;
        let log = leader.log_mut();
        let dirt = log.dirtiness(high_watermark, now)?;
        let is_held_up = dirt.next_change.is_none() && dirt.limit < log.active_base_offset();
        Ok(Some(Candidate { dirt, is_due: dirt.is_due(log.config()), is_held_up }))
    });
    // A partition that is not led here is not for us to clean.
    looked.unwrap_or(Ok(None))
}
