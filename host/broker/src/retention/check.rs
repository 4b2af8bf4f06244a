//! One pass over all partitions: what is too old, who has not written for too long, and what is due to
//! be unlinked.

use std::sync::Arc;

use dohle_base::{ErrorCode, Timestamp};
use dohle_log::{IoError, LogError, NamesPlan, Removal, UnlinkPlan};
use dohle_replication::Leader;
use tracing::{error, info};

use crate::{Broker, disk::NodeDisk, log_dirs::LogDir, partition::Partition, topic_config};

/// Whose old segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those of logs that are not compacted.
    Plain,
    /// Those of logs that are, but for one that is being cleaned: what the cleaner writes would be in vain.
    Compacted,
}

impl Which {
    fn includes(self, broker: &Broker, partition: &Partition) -> bool {
        let is_compacted = partition.with_leader(|leader| leader.log().config().compacted);
        let is_this = is_compacted == Ok(self == Self::Compacted);
        is_this && !broker.cleaner.is_at(partition)
    }
}

/// Removes from such partitions the segments that are to go; says when the next file is due.
pub(super) fn remove_expired(
    broker: &Broker,
    which: Which,
    stops: impl Fn() -> bool,
) -> Option<Timestamp> {
    let mut next = None;
    for partition in broker.partitions.all() {
        if stops() {
            break;
        }
        if !which.includes(broker, &partition) {
            continue;
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
            if has_moved { Ok(Removal::Nothing) } else { remove_first(leader, now) }
        });
        // It is led no longer, or offline.
        let Ok(first) = first else { return Removed::Done };
        let goes_on = first.and_then(|removal| {
            match removal {
                Removal::Nothing => return Ok(false),
                Removal::Removed(expired) => removed.push(expired),
                Removal::AfterSync(plan) => sync_names(partition, plan)?,
            }
            Ok(true)
        });
        match goes_on {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                error!(%partition, "old records stay: {error}");
                dir.judge_log(&error);
                break;
            }
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
    let plan = partition.with_leader(|leader| leader.log().begin_sync_names());
    if let Some(Err(error)) = plan.ok().map(|plan| sync_names(partition, plan)) {
        error!(%partition, "{error}");
        dir.judge(&error);
    }
    dir.upkeep().changed();
    Removed::Done
}

fn remove_first(
    leader: &mut Leader<NodeDisk>,
    now: Timestamp,
) -> Result<Removal<NodeDisk>, LogError> {
    let high_watermark = leader.standing().high_watermark;
    let removal = leader.log_mut().begin_remove_expired(high_watermark, now)?;
    if matches!(removal, Removal::Removed(_)) {
        // Whoever waits for what has gone must hear that it has.
        leader.interrupt();
    }
    Ok(removal)
}

/// Makes names durable, without the partition's lock.
fn sync_names(partition: &Partition, plan: NamesPlan<NodeDisk>) -> Result<(), IoError> {
    let done = plan.run()?;
    // If it is led no longer, nobody wants to know.
    let _ = partition.with_leader(|leader| leader.log_mut().finish_sync_names(done));
    Ok(())
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
        let Ok((plan, due)) = begin_unlink(&partition, now) else { continue };
        plan.into_iter().for_each(|plan| plan.run(&partition));
        next = next.into_iter().chain(due).min();
    }
    next
}

/// Files that are due, and the directory that they lie in: the partition may move before they are unlinked.
pub(crate) struct Unlinking {
    plan: UnlinkPlan<NodeDisk>,
    dir: Arc<LogDir>,
}

/// The files of a partition that are due, if any are, and when the next one is.
pub(crate) fn begin_unlink(
    partition: &Partition,
    now: Timestamp,
) -> Result<(Option<Unlinking>, Option<Timestamp>), ErrorCode> {
    partition.with_leader(|leader| {
        let plan = leader.log_mut().begin_unlink(now);
        let begun = plan.map(|plan| Unlinking { plan, dir: partition.log_dir() });
        (begun, leader.log().next_unlink())
    })
}

impl Unlinking {
    pub(crate) fn run(self, partition: &Partition) {
        if let Err(error) = self.plan.run() {
            error!(%partition, "a deleted file stays until the next start: {error}");
            self.dir.judge(&error);
        }
    }
}
