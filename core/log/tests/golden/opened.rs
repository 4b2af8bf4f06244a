//! Opens the partitions of a log directory with the settings that their topics had.

use std::path::Path;

use dohle_base::{Offset, Timestamp, Uuid};
use dohle_log::{
    DirRole, Disk, Log, LogConfig, LogError, OpenLog, PartitionDir, checkpoint,
    checkpoint::OffsetKind, clean_stop, sim::SimDisk,
};

/// Where the log directory is on the simulated disk.
pub(crate) const DIR: &str = "/logs";

/// A partition of the directory, told by its directory's name.
pub(crate) struct Partition(PartitionDir);

impl std::ops::Deref for Partition {
    type Target = PartitionDir;

    fn deref(&self) -> &PartitionDir {
        &self.0
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.name(Uuid::ZERO))
    }
}

/// All partitions of the directory.
pub(crate) fn partitions(disk: &SimDisk) -> Vec<Partition> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    let dirs = entries.iter().filter(|entry| entry.is_dir);
    let dirs = dirs.filter_map(|entry| PartitionDir::parse(&entry.name).ok());
    dirs.filter(|dir| dir.role == DirRole::Current).map(Partition).collect()
}

/// The settings of a partition's topic.
pub(crate) fn config(partition: &Partition) -> LogConfig {
    let mut config = LogConfig { segment_index_bytes_max: 8192, ..LogConfig::default() };
    match partition.topic.as_str() {
        "default-index" => config.segment_index_bytes_max = 10 << 20,
        "many-index-entries" => config.index_interval_bytes = 256,
        "tiny-segments" | "compacted" | "compacted-transactions" | "records-deleted" => {
            config.segment_ms_max = 1_000;
        }
        _ => {}
    }
    config
}

/// Opens a partition as the files of the directory say.
pub(crate) fn open(
    disk: &SimDisk,
    partition: &Partition,
    now: Timestamp,
) -> Result<Log<SimDisk>, LogError> {
    let dir = Path::new(DIR);
    let key = (partition.topic.clone(), partition.partition);
    // A checkpoint that cannot be read says nothing.
    let offset = |kind| {
        let offsets = checkpoint::read_offsets(disk, dir, kind).unwrap_or_default();
        offsets.get(&key).copied().unwrap_or(Offset::ZERO)
    };
    let how = OpenLog {
        clean: clean_stop::read(disk, dir).unwrap().is_some(),
        recovery_point: offset(OffsetKind::RecoveryPoint),
        log_start: offset(OffsetKind::LogStart),
        ..OpenLog::default()
    };
    Log::open(disk.clone(), dir.join(partition.to_string()), config(partition), how, now)
}
