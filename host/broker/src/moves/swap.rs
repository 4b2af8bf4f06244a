//! The end of a move: the copy becomes the partition.
//!
//! What is acknowledged before is on the disk in both directories; what is acknowledged after only in
//! the new one. The lock of the partition is held for one sync and one rename.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use dohle_base::{ErrorCode, Offset, Uuid};
use dohle_controller::{Reply, Request};
use dohle_log::{Disk, IoError};
use dohle_protocol::api::assign_replicas_to_dirs_request::{
    AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
};
use dohle_replication::Leader;
use tracing::warn;

use super::{
    Move,
    copy::{Copy, MoveError},
};
use crate::{
    Broker,
    disk::NodeDisk,
    log_dirs::LogDir,
    partition::{Partition, State},
    partition_dirs,
};

/// Tells the controller in which directory a partition lies.
///
/// # Errors
/// It does not take it.
pub(super) fn assign(
    broker: &Broker,
    partition: &Partition,
    directory: Uuid,
) -> Result<(), ErrorCode> {
    let request = AssignReplicasToDirsRequest {
        broker_id: broker.node_id,
        broker_epoch: broker.epoch(),
        directories: vec![DirectoryData {
            id: directory,
            topics: vec![TopicData {
                topic_id: partition.topic_id(),
                partitions: vec![PartitionData { partition_index: partition.index() }],
            }],
        }],
    };
    if !broker.metadata().image.metadata_version().has_directories() {
        // It does not know of directories.
        return Ok(());
    }
    let refusal = match broker.controller.ask_blocking(Request::AssignReplicasToDirs(request)) {
        Reply::AssignReplicasToDirs(answer) if !answer.error_code.is_error() => {
            let topics = answer.directories.iter().flat_map(|directory| &directory.topics);
            let mut partitions = topics.flat_map(|topic| &topic.partitions);
            partitions.find(|one| one.error_code.is_error()).map(|one| one.error_code)
        }
        Reply::AssignReplicasToDirs(answer) => Some(answer.error_code),
        Reply::Refused(error) => Some(error.code),
        other => unreachable!("not an answer to what was asked: {other:?}"),
    };
    refusal.map_or(Ok(()), Err)
}

/// Puts the copy in the place of the partition. Gives it back if it has to catch up first.
pub(super) fn swap(
    broker: &Broker,
    moving: &Arc<Move>,
    mut copy: Copy,
) -> Result<Option<Copy>, MoveError> {
    let (partition, target) = (&moving.partition, &moving.target);
    copy.make_durable(target)?;
    let source = partition.log_dir();
    // What could not be given another name when it left that directory is not to be taken for the copy.
    partition_dirs::clear_left(broker, target, partition.topic(), partition.index())
        .map_err(MoveError::TargetIo)?;
    target.save_topics(&broker.partitions.all()).map_err(MoveError::TargetIo)?;
    // Nobody cleans or flushes the old log while the new one takes its place, and no checkpoint of the new
    // directory forgets where the log starts.
    let uncleaned = partition.cleaning();
    let alone = copy.is_put_off_enough().then(|| source.write_ahead().alone());
    let quiet = target.hold_checkpoints();
    let log_start = partition
        .with_leader(|leader| leader.log().log_start_offset())
        .map_err(MoveError::NotServed)?;
    if log_start > copy.log.first_base_offset() {
        let own = (partition.topic().clone(), partition.index());
        target
            .write_log_starts_with(&broker.partitions.all(), Some((own, log_start)))
            .map_err(MoveError::TargetIo)?;
    }
    // Before it is there: of frames of a former stay in that directory a start would otherwise take what was
    // cleaned since for what was lost.
    let own = (partition.topic().clone(), partition.index());
    target.note_recovery_point(own, copy.log.recovery_point()).map_err(MoveError::TargetIo)?;
    // Last, for the new directory may take its time, and the old one's partitions would wait for it. It is not
    // waited for with the checkpoints held, for the same reason; unless it is flushed all the time.
    let Some(alone) = alone.or_else(|| source.write_ahead().try_alone()) else {
        copy.put_off();
        drop((quiet, uncleaned));
        drop(source.write_ahead().alone());
        return Ok(Some(copy));
    };
    let now = broker.clock.wall();
    {
        let mut state = partition.state();
        let State::Led(leader) = &mut *state else {
            drop(state);
            return Err(MoveError::NotServed(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        };
        // If it fails from here on, who takes its partitions out of service waits for the lock.
        if target.has_failed() {
            return Err(MoveError::TargetFailed);
        }
        if moving.is_cancelled()
            || leader.log().log_start_offset() != log_start
            || !copy.take_rest(leader, now)?
        {
            return Ok(Some(copy));
        }
        put_in_place(leader, copy, moving, log_start)?;
        source.write_ahead().forget(partition);
        partition.move_to(Arc::clone(target));
    }
    drop((quiet, alone));
    // The recovery point goes into the checkpoint of the new directory.
    partition.unflushed();
    clear(broker, &source, partition);
    // Not before: who deletes the partition waits for that, and a topic of its name may be made again, in the old
    // directory, which is to have nothing of this one then, nor to tell of it.
    drop(uncleaned);
    Ok(None)
}

/// Under the lock of the partition.
fn put_in_place(
    leader: &mut Leader<NodeDisk>,
    mut copy: Copy,
    moving: &Move,
    log_start: Offset,
) -> Result<(), MoveError> {
    copy.log.advance_log_start(log_start)?;
    copy.check_range(leader.log())?;
    if leader.epoch() > copy.log.latest_epoch() {
        copy.log.begin_leader_epoch(leader.epoch())?;
    }
    copy.make_durable(&moving.target)?;
    let path = moving.place();
    if let Err((error, is_in_place)) = rename(moving.target.disk(), &moving.path, &path) {
        moving.is_in_place.store(is_in_place, Ordering::Release);
        return Err(MoveError::TargetIo(error));
    }
    copy.log.take_place_of(leader.log(), path);
    drop(leader.replace_log(copy.log));
    Ok(())
}

/// Gives a directory another name, durably. If that fails it has the old one, as far as that can be: with the
/// new one it would be in the way of the next move there. Else the error comes with `true`.
fn rename<D: Disk>(disk: &D, from: &Path, to: &Path) -> Result<(), (IoError, bool)> {
    disk.rename(from, to).map_err(|error| (error, false))?;
    let synced = to.parent().map_or(Ok(()), |dir| disk.sync_dir(dir));
    synced.map_err(|error| (error, disk.rename(to, from).is_err()))
}

/// The old directory is scheduled for removal, and its checkpoints tell of the partition no more.
fn clear(broker: &Broker, old: &Arc<LogDir>, partition: &Partition) {
    let (topic, index) = (partition.topic(), partition.index());
    old.forget(topic, index);
    partition_dirs::clear(broker, old, topic, index);
    let gone = [(topic.clone(), index)].into();
    if let Err(error) = old.write_forgotten(|| broker.partitions.all(), &gone) {
        warn!(%partition, "the checkpoints of its old directory still tell of it: {error}");
        old.judge(&error);
    }
}

#[cfg(test)]
mod tests;
