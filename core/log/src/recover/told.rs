//! What the files beside a log tell of where it begins and ends, and whether the log bears them out.
//!
//! A log ends before its start where its files were lost, or its end was in a power cut. It is started
//! anew there, and nothing is missed: all that was left of it had been deleted. But a start is one number
//! in a text file without a checksum, and a wrong digit would delete all that there is. So one that
//! nothing else confirms, while batches are there, is damage. Kafka deletes them.

use std::path::Path;

use dohle_base::Offset;

use super::OpenLog;
use crate::{
    checkpoint::{self, OffsetKind},
    disk::Disk,
    error::{Corruption, DamageReason, LogError, ToldSynced},
    log::Log,
    names::PartitionDir,
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
        let kind = OffsetKind::LogStart;
        let path = self.log_dir().join(kind.file_name());
        let name = self.dir.path().file_name().and_then(|name| name.to_str());
        let own = name.and_then(|name| PartitionDir::parse(name).ok());
        let position = match own {
            Some(own) => {
                let key = (&*own.topic, own.partition);
                checkpoint::position_of(&self.dir.disk, self.log_dir(), kind, key)?
            }
            None => 0,
        };
        let reason = DamageReason::StartBehindEnd { start: how.log_start, end: self.log_end };
        Err(Corruption::new(&path, position, reason).into())
    }

    /// The log directory, where the checkpoints and the write-ahead log are.
    fn log_dir(&self) -> &Path {
        self.dir.path().parent().unwrap_or(self.dir.path())
    }
}
