//! Whether another process has written to a directory since this program was killed on it.
//!
//! ```text
//! marked high watermarks ─▶ the write-ahead log: taken over  …  the write-ahead log: left ─▶ Kafka's bytes
//! ```
//!
//! So they are marked wherever the process ends while the logs are taken over, and where they are not
//! then, somebody else has written them (`dohle_log::checkpoint::mark`).

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use dohle_log::{
    IoError,
    checkpoint::{self, OffsetKind, PartitionOffsets, mark},
};
use tracing::warn;

use super::LogDir;
use crate::{disk::NodeDisk, partition::Partition};

/// The high watermarks that a directory was left with, and whether they are marked. Damaged ones say nothing,
/// and are not: it may be the damage that looks like a mark. Kafka takes the directory offline for it; here the logs
/// are then opened as those that Kafka has left, by their own checksums.
pub(super) fn high_watermarks(disk: &NodeDisk, path: &Path) -> (PartitionOffsets, bool) {
    let read = checkpoint::read_offsets(disk, path, OffsetKind::HighWatermark);
    let told = read.and_then(|offsets| Ok((offsets, mark::is_there(disk, path)?)));
    told.unwrap_or_else(|error| {
        warn!("passed over, and it is not known who wrote to the directory last: {error}");
        (PartitionOffsets::new(), false)
    })
}

impl LogDir {
    /// Writes the high watermarks, marked, if that was not done yet.
    pub(super) fn mark(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        let _quiet = self.hold_checkpoints();
        if self.noted().are_marked {
            return Ok(());
        }
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        let high_watermarks = here.filter_map(|partition| {
            let standing = partition.with_leader(|leader| leader.standing()).ok()?;
            Some(((partition.topic().clone(), partition.index()), standing.high_watermark))
        });
        self.write_marked(&high_watermarks.collect())
    }

    /// For who holds the checkpoints.
    pub(super) fn write_marked(&self, high_watermarks: &PartitionOffsets) -> Result<(), IoError> {
        mark::write(&self.disk, &self.path, high_watermarks)?;
        self.noted().are_marked = true;
        Ok(())
    }
}
