//! What the files beside a log tell of where it begins and ends, and whether the log bears them out.
//!
//! A log ends before its start where its files were lost, or its end was in a power cut. It is started
//! anew there, and nothing is missed: all that was left of it had been deleted. But a start is one number
//! in a text file without a checksum, and a wrong digit would delete all that there is. So one that
//! nothing else confirms, while batches are there, is damage. Kafka deletes them.
//!
//! Within the log it deletes what lies before. There is a second witness then: the first epoch is made to
//! begin where the log starts, here and in Kafka, some time after the start has moved, and by a clean stop at
//! the latest. After a crash a start behind the beginning of the first epoch is nothing special.

use std::path::Path;

use dohle_base::Offset;

use super::{OpenLog, WrongStart};
use crate::{
    checkpoint::{self, LEADER_EPOCH_FILE, OffsetKind},
    disk::{Disk, IoError, read_file},
    epoch_cache::EpochCache,
    error::{Corruption, DamageReason, LogError, ToldSynced},
    log::Log,
    names::PartitionDir,
    segment::Dir,
    wal,
};

impl<D: Disk> Log<D> {
    /// Up to where the batches were synced, by all that is known.
    pub(super) fn synced_to(&self, how: &OpenLog) -> Offset {
        let noted = how.synced.filter(|synced| synced.epoch >= self.epochs.latest());
        noted.map_or(how.recovery_point, |synced| synced.end.max(how.recovery_point))
    }

    /// The same, and which file says so.
    pub(super) fn synced_by(&self, how: &OpenLog) -> ToldSynced {
        let end = self.synced_to(how);
        let file = match end > how.recovery_point {
            true => wal::FILE_NAME,
            false => OffsetKind::RecoveryPoint.file_name(),
        };
        ToldSynced { end, told_by: self.log_dir().join(file) }
    }

    /// Where the log starts, if it is known to have come that far.
    pub(super) fn believed_start(&self, how: &OpenLog) -> Offset {
        let reached = self.synced_to(how).max(how.reached);
        if how.log_start <= reached { how.log_start } else { Offset::ZERO }
    }

    /// Whether a log that ends before its start may have come that far.
    pub(super) fn check_start(&self, how: &OpenLog) -> Result<(), LogError> {
        if self.size() == 0 || self.believed_start(how) == how.log_start {
            return Ok(());
        }
        let path = self.log_dir().join(OffsetKind::LogStart.file_name());
        let position = position_of_start(&self.dir)?;
        let reason = DamageReason::StartBehindEnd { start: how.log_start, end: self.log_end };
        Err(Corruption::new(&path, position, reason).into())
    }

    /// The log directory, where the checkpoints and the write-ahead log are.
    fn log_dir(&self) -> &Path {
        log_dir(&self.dir)
    }
}

fn log_dir<D: Disk>(dir: &Dir<D>) -> &Path {
    dir.path().parent().unwrap_or(dir.path())
}

/// The byte of the checkpoint at which the log's entry begins; 0 if it has none.
fn position_of_start<D: Disk>(dir: &Dir<D>) -> Result<u64, IoError> {
    let name = dir.path().file_name().and_then(|name| name.to_str());
    let Some(own) = name.and_then(|name| PartitionDir::parse(name).ok()) else { return Ok(0) };
    let key = (&*own.topic, own.partition);
    checkpoint::position_of(&dir.disk, log_dir(dir), OffsetKind::LogStart, key)
}

/// What is wrong with the start of a log that was left clean, if the first of its epochs, which the file
/// tells, begins before it. The earlier one is believed: records come back rather than go. One behind the
/// log's end is not judged here.
pub(super) fn wrong_start<D: Disk>(
    dir: &Dir<D>,
    how: &OpenLog,
    epochs: &EpochCache,
    was_left_clean: bool,
) -> Result<Option<WrongStart>, IoError> {
    let Some(first) = epochs.entries().first().filter(|_| was_left_clean) else { return Ok(None) };
    if !(first.start..=how.recovery_point).contains(&how.log_start) || first.start == how.log_start
    {
        return Ok(None);
    }
    let path = log_dir(dir).join(OffsetKind::LogStart.file_name());
    let position = usize::try_from(position_of_start(dir)?).unwrap_or(0);
    let bytes = read_file(&dir.disk, &path, checkpoint::FILE_SIZE_MAX)?.unwrap_or_default();
    let before = bytes.get(..position).unwrap_or_default();
    Ok(Some(WrongStart {
        path,
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
        told: how.log_start,
        believed: first.start,
        told_by: dir.path().join(LEADER_EPOCH_FILE),
    }))
}
