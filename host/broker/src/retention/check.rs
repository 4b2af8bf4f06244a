//! One pass over all partitions: what is too old, who has not written for too long, and what is due to
//! be unlinked.

use std::sync::Arc;

use dohle_base::Timestamp;
use dohle_log::{Disk, Expired, LogError};
use dohle_replication::Leader;
use tracing::{error, info};

use crate::{Broker, disk::NodeDisk, log_dirs::LogDir, partition::Partition, topic_config};

/// Removes from all partitions the segments that are to go; says when the next file is due.
pub(super) fn remove_expired(broker: &Broker, stops: impl Fn() -> bool) -> Option<Timestamp> {
    let mut next = None;
    for partition in broker.partitions.all() {
        if stops() {
            break;
        }
        let now = broker.clock.wall();
        // One that moves meanwhile is looked at where it lies then.
        while let Removed::HasMoved = remove_expired_of(&partition, &partition.log_dir(), now) {}
        let due = partition.with_leader(|leader| leader.log().next_unlink());
        next = next.into_iter().chain(due.ok().flatten()).min();
    }
    next
}

/// What came of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Done,
    /// It lies in another directory, whose checkpoints may be written.
    HasMoved,
}

/// Removes what is to go from a partition that lies in `dir`.
pub(super) fn remove_expired_of(
    partition: &Arc<Partition>,
    dir: &LogDir,
    now: Timestamp,
) -> Removed {
    // A checkpoint that says nothing of a log's start relies on the names of its segments, so none
    // is written before they are durable.
    let _quiet = dir.hold_checkpoints();
    let (mut removed, mut has_moved) = (Vec::new(), false);
    loop {
        let first = partition.with_leader(|leader| {
            // Its directory changes under the same lock.
            has_moved = !partition.goes(dir.write_ahead());
            if has_moved { Ok(None) } else { remove_first(leader, now) }
        });
        match first {
            Ok(Ok(Some(expired))) => removed.push(expired),
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                error!(%partition, "old records stay: {error}");
                dir.judge_log(&error);
                break;
            }
            // It is led no longer, or offline.
            Err(_) => return Removed::Done,
        }
    }
    if has_moved {
        // What was removed before it did is not in the copy's names either.
        return Removed::HasMoved;
    }
    let (Some(first), Some(last)) = (removed.first(), removed.last()) else { return Removed::Done };
    info!(
        %partition, segments = removed.len(), from = %first.base, to = %last.end,
        "old records removed: {}", last.reason
    );
    let path = partition.with_leader(|leader| leader.log().dir().to_owned());
    if let Some(Err(error)) = path.ok().map(|path| dir.disk().sync_dir(&path)) {
        error!(%partition, "{error}");
        dir.judge(&error);
    }
    dir.upkeep().changed();
    Removed::Done
}

fn remove_first(
    leader: &mut Leader<NodeDisk>,
    now: Timestamp,
) -> Result<Option<Expired>, LogError> {
    let high_watermark = leader.standing().high_watermark;
    let expired = leader.log_mut().remove_expired(high_watermark, now)?;
    if expired.is_some() {
        // Whoever waits for what has gone must hear that it has.
        leader.interrupt();
    }
    Ok(expired)
}

/// Lets all partitions forget producers that have not written for `producer.id.expiration.ms`.
pub(super) fn expire_producers(broker: &Broker, stops: impl Fn() -> bool) {
    let expiration_ms = topic_config::producer_expiration_ms(&broker.settings());
    let now = broker.clock.wall();
    let mut count = 0;
    for partition in broker.partitions.all() {
        if stops() {
            break;
        }
        count += partition.expire_producers(now, expiration_ms);
    }
    if count > 0 {
        info!(producers = count, "forgotten, they have not written for producer.id.expiration.ms");
    }
}

/// Unlinks the files of all partitions that are due; says when the next one is.
pub(super) fn unlink(broker: &Broker, now: Timestamp) -> Option<Timestamp> {
    let mut next = None;
    for partition in broker.partitions.all() {
        let begun = |leader: &mut Leader<NodeDisk>| {
            let plan = leader.log_mut().begin_unlink(now);
            (plan, leader.log().next_unlink())
        };
        let Ok((plan, due)) = partition.with_leader(begun) else { continue };
        if let Some(Err(error)) = plan.map(|plan| plan.run()) {
            error!(%partition, "a deleted file stays until the next start: {error}");
            partition.log_dir().judge(&error);
        }
        next = next.into_iter().chain(due).min();
    }
    next
}
