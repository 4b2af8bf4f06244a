//! The checkpoints of a log directory: what they said when it was opened, and what they say now.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, MutexGuard, PoisonError},
};

use dohle_base::{Offset, PartitionId, Str};
use dohle_log::{
    IoError,
    checkpoint::{self, OffsetKind, PartitionOffsets},
};
use tracing::warn;

use super::{Key, LogDir};
use crate::{disk::NodeDisk, durability, partition::Partition};

impl LogDir {
    /// What the checkpoints said of a partition when the directory was opened.
    pub(super) fn known(&self, topic: &Str, index: PartitionId) -> Known {
        let key = (topic.clone(), index);
        let is_forgotten = self.is_forgotten(&key);
        let of = |offsets: &PartitionOffsets| {
            let told = offsets.get(&key).filter(|_| !is_forgotten);
            told.copied().unwrap_or(Offset::ZERO)
        };
        Known {
            recovery_point: of(&self.left.recovery_points),
            log_start: of(&self.left.log_starts),
            cleaned_to: of(&self.left.cleaned_to),
        }
    }

    /// Whether anything of a partition was flushed, as far as was known when the directory was opened.
    pub(crate) fn may_have_flushed(&self, topic: &Str, index: PartitionId) -> bool {
        let is_noted = self.known(topic, index).recovery_point > Offset::ZERO;
        is_noted || !self.left.knows_recovery_points
    }

    /// Up to where a start after a crash would take a partition's log for durable.
    pub(crate) fn noted_recovery_point(&self, partition: &Partition) -> Offset {
        self.noted_of(&key_of(partition)).recovery_point
    }

    /// What the checkpoints say of a partition now.
    pub(super) fn noted_of(&self, key: &Key) -> Known {
        let of = |offsets: &PartitionOffsets| offsets.get(key).copied().unwrap_or(Offset::ZERO);
        let noted = self.noted();
        Known {
            recovery_point: of(&noted.recovery_points),
            log_start: of(&noted.log_starts),
            cleaned_to: of(&noted.cleaned_to),
        }
    }

    /// Whether the checkpoints say anything of a partition, be it one that is forgotten.
    pub(crate) fn tells_of(&self, topic: &Str, index: PartitionId) -> bool {
        let (key, noted) = ((topic.clone(), index), self.noted());
        noted.tells_of(&key) || noted.unwritten.contains(&key)
    }

    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes what was appended and writes down how far. `partitions` says which there are when it comes to that: one
    /// that is new by then must not be left out. A disk that fails takes its partitions out of service.
    pub fn flush(&self, partitions: impl Fn() -> Vec<Arc<Partition>>) {
        durability::flush(&self.way, || self.write_checkpoints(&partitions));
        self.write_notes();
    }

    /// Writes the checkpoints of the partitions that lie here, as `flush` does.
    ///
    /// # Errors
    /// A file could not be replaced; it says what it said before. It is tried again in a while.
    pub(crate) fn write_checkpoints(
        &self,
        partitions: impl Fn() -> Vec<Arc<Partition>>,
    ) -> Result<(), IoError> {
        self.replace_checkpoints(partitions).inspect_err(|_| self.upkeep().try_again())
    }

    fn replace_checkpoints(
        &self,
        partitions: impl Fn() -> Vec<Arc<Partition>>,
    ) -> Result<(), IoError> {
        let _quiet = self.hold_checkpoints();
        let mut partitions = partitions();
        partitions.retain(|partition| partition.directory() == self.id);
        let unwritten = self.noted().unwritten.clone();
        let mut high_watermarks = PartitionOffsets::new();
        let mut recovery_points = PartitionOffsets::new();
        let mut log_starts = PartitionOffsets::new();
        let mut cleaned_to = PartitionOffsets::new();
        // What was known of a partition that is not served stays known.
        let mut unserved = self.withheld();
        for partition in &partitions {
            let key = || key_of(partition);
            let noted = partition.with_leader(|leader| {
                if !partition.goes(&self.way) {
                    // A move has ended since: that log is the copy, which lies elsewhere.
                    return false;
                }
                let standing = leader.standing();
                high_watermarks.insert(key(), standing.high_watermark);
                recovery_points.insert(key(), leader.log().recovery_point());
                if standing.log_start > leader.log().first_base_offset() {
                    log_starts.insert(key(), standing.log_start);
                }
                if leader.log().cleaned_to() > Offset::ZERO {
                    cleaned_to.insert(key(), leader.log().cleaned_to());
                }
                true
            });
            if noted != Ok(true) {
                unserved.push(key());
            }
        }
        for key in unserved {
            let known = self.noted_of(&key);
            recovery_points.insert(key.clone(), known.recovery_point);
            if known.log_start > Offset::ZERO {
                log_starts.insert(key.clone(), known.log_start);
            }
            if known.cleaned_to > Offset::ZERO {
                cleaned_to.insert(key, known.cleaned_to);
            }
        }
        let write = |kind, offsets: &PartitionOffsets| {
            checkpoint::write_offsets(&self.disk, &self.path, kind, offsets)
        };
        self.write_marked(&high_watermarks)?;
        write(OffsetKind::RecoveryPoint, &recovery_points)?;
        self.noted().recovery_points = recovery_points;
        write(OffsetKind::LogStart, &log_starts)?;
        self.noted().log_starts = log_starts;
        write(OffsetKind::CleanerPoint, &cleaned_to)?;
        self.noted().cleaned_to = cleaned_to;
        self.has_written(&unwritten);
        Ok(())
    }

    /// The checkpoints do not tell any more of these, which are forgotten.
    pub(super) fn has_written(&self, forgotten: &BTreeSet<Key>) {
        self.noted().unwritten.retain(|key| !forgotten.contains(key));
    }

    /// Notes the recovery point of a partition that is about to lie here, for who holds the checkpoints.
    ///
    /// # Errors
    /// The file could not be replaced; it says what it said before.
    pub(crate) fn note_recovery_point(
        &self,
        of: (Str, PartitionId),
        point: Offset,
    ) -> Result<(), IoError> {
        let mut points = self.noted().recovery_points.clone();
        points.insert(of, point);
        let kind = OffsetKind::RecoveryPoint;
        checkpoint::write_offsets(&self.disk, &self.path, kind, &points)?;
        self.noted().recovery_points = points;
        Ok(())
    }
}

/// The checkpoints, as they were read or written last.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) recovery_points: PartitionOffsets,
    pub(super) log_starts: PartitionOffsets,
    pub(super) cleaned_to: PartitionOffsets,
    /// What is forgotten, and the files may tell of it until they are written anew.
    pub(super) unwritten: BTreeSet<Key>,
    /// Whether this process has marked the high watermarks as its own.
    pub(super) are_marked: bool,
}

impl Noted {
    pub(super) fn forget(&mut self, key: &Key) {
        if self.tells_of(key) {
            self.unwritten.insert(key.clone());
        }
        for offsets in [&mut self.recovery_points, &mut self.log_starts, &mut self.cleaned_to] {
            offsets.remove(key);
        }
    }

    fn tells_of(&self, key: &Key) -> bool {
        let tells =
            |offsets: &PartitionOffsets| offsets.get(key).is_some_and(|at| *at > Offset::ZERO);
        [&self.recovery_points, &self.log_starts, &self.cleaned_to].into_iter().any(tells)
    }
}

/// What the checkpoints say of a partition.
pub(super) struct Known {
    pub(super) recovery_point: Offset,
    pub(super) log_start: Offset,
    pub(super) cleaned_to: Offset,
}

pub(super) fn key_of(partition: &Partition) -> Key {
    (partition.topic().clone(), partition.index())
}

/// What the checkpoint says; `None` if it is damaged: then logs are read from their start, and nothing is cut
/// off at damage, for it may lie in what had been flushed.
pub(super) fn recovery_points(disk: &NodeDisk, path: &Path) -> Option<PartitionOffsets> {
    let kind = OffsetKind::RecoveryPoint;
    let damage = match checkpoint::read_offsets(disk, path, kind) {
        Ok(points) if !points.is_empty() => return Some(points),
        Ok(points) => match checkpoint::is_blank(disk, path, kind) {
            Ok(false) => return Some(points),
            Ok(true) => format!("{} is empty", path.join(kind.file_name()).display()),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    warn!("passed over, logs are read from their start and not cut off at damage: {damage}");
    None
}

/// Where logs start; damaged, it counts as empty: what was deleted is there again, as with Kafka.
pub(super) fn log_starts(disk: &NodeDisk, path: &Path) -> PartitionOffsets {
    checkpoint::read_offsets(disk, path, OffsetKind::LogStart).unwrap_or_else(|error| {
        warn!(
            "passed over, logs start at their first segments, deleted records may be back: {error}"
        );
        PartitionOffsets::new()
    })
}

/// Up to where logs were compacted; damaged, it counts as empty: they are compacted from their start. Kafka takes the
/// directory offline for it.
pub(super) fn cleaned_to(disk: &NodeDisk, path: &Path) -> PartitionOffsets {
    checkpoint::read_offsets(disk, path, OffsetKind::CleanerPoint).unwrap_or_else(|error| {
        warn!("passed over, logs are compacted from their start: {error}");
        PartitionOffsets::new()
    })
}
