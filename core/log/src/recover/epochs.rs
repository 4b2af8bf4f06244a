//! The file of leader epochs when a log is opened: it has no checksum, and an epoch in it that nobody has led
//! in would keep every leader from appending, and what the write-ahead log has from being taken in. So one
//! that is not what the leader's epoch and the batches that are read tell is not believed: the batches are
//! read for the epochs, all of them.

use dohle_base::LeaderEpoch;

use super::{OpenLog, Recovery};
use crate::{
    checkpoint::{self, LEADER_EPOCH_FILE, SideFileError},
    disk::Disk,
    epoch_cache::{EpochCache, EpochStart},
    error::LogError,
    scan::Head,
    segment::Dir,
};

/// What the file tells, or why it is not believed.
pub(super) fn read<D: Disk>(
    dir: &Dir<D>,
    how: &OpenLog,
) -> Result<Result<EpochCache, SideFileError>, LogError> {
    let entries = match checkpoint::read_epochs(&dir.disk, dir.path()) {
        Ok(entries) => entries,
        Err(SideFileError::Io(error)) => return Err(error.into()),
        Err(malformed) => return Ok(Err(malformed)),
    };
    let is_none = |epoch: LeaderEpoch| how.leader_epoch.is_some_and(|newest| epoch > newest);
    if let Some(index) = entries.iter().position(|entry| is_none(entry.epoch)) {
        return Ok(Err(wrong(dir, index, "nobody has led in this epoch yet")));
    }
    let mut pairs = entries.iter().zip(entries.iter().skip(1));
    let ascends =
        |(one, next): (&EpochStart, &EpochStart)| one.epoch < next.epoch && one.start < next.start;
    if let Some(index) = pairs.position(|pair| !ascends(pair)) {
        return Ok(Err(wrong(dir, index + 1, "epochs and offsets must ascend")));
    }
    Ok(Ok(EpochCache::from_entries(entries)))
}

fn wrong<D: Disk>(dir: &Dir<D>, index: usize, reason: &'static str) -> SideFileError {
    // Behind the version and the count.
    SideFileError::Malformed { path: dir.path().join(LEADER_EPOCH_FILE), line: index + 3, reason }
}

/// The epoch of a batch that is read, if anybody may have led in it: it is not under the checksum.
pub(super) fn of_batch(head: &Head, how: &OpenLog) -> Option<LeaderEpoch> {
    let epoch = head.leader_epoch;
    (epoch.0 >= 0 && how.leader_epoch.is_none_or(|newest| epoch <= newest)).then_some(epoch)
}

/// Compares what the file told with the batches that are read.
pub(super) struct Check<'a, D: Disk> {
    pub(super) dir: &'a Dir<D>,
    pub(super) how: &'a OpenLog,
}

impl<D: Disk> Check<'_, D> {
    /// Notes that the file is wrong if it tells another epoch of a batch.
    pub(super) fn batch(&self, head: &Head, epochs: &EpochCache, recovery: &mut Recovery) {
        if recovery.told_epoch.is_none() || recovery.wrong_epochs.is_some() {
            return;
        }
        let told = epochs.epoch_of(head.base);
        // After a crash the file may be older than the batches, and newer than where the log starts.
        let must_tell = self.how.clean && head.base >= self.how.log_start;
        let is_comparable = must_tell || told != LeaderEpoch::NONE;
        if is_comparable && of_batch(head, self.how).is_some_and(|epoch| epoch != told) {
            let index = epochs.entries().iter().rposition(|entry| entry.start <= head.base);
            let reason = "the batches there are of another epoch";
            recovery.wrong_epochs = Some(wrong(self.dir, index.unwrap_or(0), reason));
        }
    }
}
