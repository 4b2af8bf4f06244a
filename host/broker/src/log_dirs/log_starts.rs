//! The log-start checkpoint of a log directory, which makes what clients have deleted stay deleted.
//!
//! A log that begins at its first segment is not in it. So while segments are removed whose names
//! are not durable yet, no checkpoint is written: after a power cut they would be served again.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    sync::{Arc, MutexGuard, PoisonError},
};

use dohle_base::{Offset, PartitionId, Str};
use dohle_log::{
    IoError,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    disk::Operation,
};
use dohle_replication::Leader;
use tracing::warn;

use super::{Key, LogDir, checkpoints::key_of};
use crate::{disk::NodeDisk, durability::sync_segments, partition::Partition};

impl LogDir {
    /// Keeps checkpoints from being written as long as what it returns is held.
    pub(crate) fn hold_checkpoints(&self) -> MutexGuard<'_, ()> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the logs here start, durably.
    ///
    /// # Errors
    /// The file could not be replaced; it says what it said before. It is tried again in a while.
    pub(crate) fn write_log_starts(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        let written = self.save_topics(partitions).and_then(|()| {
            let _quiet = self.hold_checkpoints();
            self.write_log_starts_with(partitions, None)
        });
        written.inspect_err(|_| self.upkeep().try_again())
    }

    /// Lets the directories of partitions say whose they are, whose start is to be noted: nobody
    /// believes it otherwise.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub(crate) fn save_topics(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        let is_unsaved = |partition: &Arc<Partition>| {
            let ask = |leader: &mut Leader<NodeDisk>| leader.log().has_unsaved_topic();
            partition.with_leader(ask).unwrap_or(false)
        };
        for partition in partitions {
            let is_here = partition.directory() == self.id;
            if !is_here || self.log_start_to_note(partition).is_none() || !is_unsaved(partition) {
                continue;
            }
            sync_segments(&self.way, partition)?;
            if is_unsaved(partition) {
                // There was no room for it.
                let kind = ErrorKind::StorageFull;
                return Err(IoError::of_kind(Operation::Write, &self.path, kind));
            }
        }
        Ok(())
    }

    /// For who holds the checkpoints and has saved the topics, and with one that is not here yet.
    ///
    /// # Errors
    /// As `write_log_starts`.
    pub(crate) fn write_log_starts_with(
        &self,
        partitions: &[Arc<Partition>],
        coming: Option<(Key, Offset)>,
    ) -> Result<(), IoError> {
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        let starts = here
            .filter_map(|partition| Some((key_of(partition), self.log_start_to_note(partition)?)));
        let withheld = self.withheld().into_iter();
        let withheld = withheld.filter_map(|key| Some((key.clone(), self.noted_log_start(&key)?)));
        let starts: PartitionOffsets = starts.chain(withheld).chain(coming).collect();
        checkpoint::write_offsets(&self.disk, &self.path, OffsetKind::LogStart, &starts)?;
        self.noted().log_starts = starts;
        Ok(())
    }

    /// Where a partition's log starts, if that is not the start of its first segment.
    fn log_start_to_note(&self, partition: &Partition) -> Option<Offset> {
        let noted = partition.with_leader(|leader| {
            let start = leader.log().log_start_offset();
            Some(start).filter(|start| *start > leader.log().first_base_offset())
        });
        // What was known of a partition that is offline stays known.
        noted.unwrap_or_else(|_| self.noted_log_start(&key_of(partition)))
    }

    /// What is noted of that.
    fn noted_log_start(&self, key: &Key) -> Option<Offset> {
        Some(self.noted_of(key).log_start).filter(|start| *start > Offset::ZERO)
    }

    /// What the checkpoints told of a partition at start counts no more: it was deleted. One that is
    /// made again under its name must not be taken for it.
    pub(crate) fn forget(&self, topic: &Str, index: PartitionId) {
        let key = (topic.clone(), index);
        self.withhold_no_more(&key);
        self.noted().forget(&key);
        self.forgotten().insert(key);
    }

    /// Writes down that partitions were forgotten, before any is made of their names: that would be taken for
    /// what is left of a longer one. Where no checkpoint can be written theirs are struck out.
    ///
    /// # Errors
    /// A checkpoint may still tell of them.
    pub(crate) fn write_forgotten(
        &self,
        partitions: impl Fn() -> Vec<Arc<Partition>>,
        forgotten: &BTreeSet<Key>,
    ) -> Result<(), IoError> {
        let Err(error) = self.write_checkpoints(partitions) else { return Ok(()) };
        self.judge(&error);
        if self.has_failed() {
            return Err(error);
        }
        warn!("checkpoints not written, partitions that are gone are struck out: {error}");
        self.strike_out(forgotten)
    }

    /// Strikes out of the checkpoints what they say of partitions that are forgotten.
    ///
    /// # Errors
    /// They may still tell of them.
    pub(crate) fn strike_out(&self, forgotten: &BTreeSet<Key>) -> Result<(), IoError> {
        let _quiet = self.hold_checkpoints();
        OffsetKind::ALL
            .into_iter()
            .try_for_each(|kind| checkpoint::strike_out(&self.disk, &self.path, kind, forgotten))?;
        self.has_written(forgotten);
        Ok(())
    }

    /// Forgets the partitions that are not among these; says which were forgotten since the directory was opened:
    /// the checkpoints still tell of them, and of some whose names others have by now.
    pub(crate) fn forget_others(&self, partitions: &[Arc<Partition>]) -> BTreeSet<Key> {
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        let here = here.map(|partition| key_of(partition));
        let here: BTreeSet<_> = here.chain(self.withheld()).collect();
        let told = self.left.log_starts.keys().chain(self.left.recovery_points.keys());
        let gone: BTreeSet<_> = told.filter(|key| !here.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.noted().forget(key));
        let mut forgotten = self.forgotten();
        forgotten.extend(gone);
        forgotten.clone()
    }

    pub(super) fn is_forgotten(&self, key: &Key) -> bool {
        self.forgotten().contains(key)
    }

    fn forgotten(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
