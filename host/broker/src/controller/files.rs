//! The files of the metadata log: `quorum-state`, segments, snapshots.
//!
//! ```text
//! __cluster_metadata-0/
//!   quorum-state                                   replaced as a whole, durable before anyone is told
//!   00000000000000000000.log …                     synced after each round of appends
//!   00000000000000000042-0000000001.checkpoint     a snapshot; .part while it is written
//! ```
//! Source: interop facts A.11.

use std::{
    io::IoSlice,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Timestamp, TopicId};
use dohle_config::MetadataLog as Settings;
use dohle_controller::{NodeLoader, OpenError, SnapshotJob};
use dohle_log::{
    AppendError, Disk, DiskFile, IoError, Log, LogConfig, LogError, OpenLog, Origin, ReadError,
    ReadRange,
    checkpoint::SideFileError,
    disk::{OpenMode, read_file, replace_file},
    partition_metadata,
};
use dohle_os::OsDisk;
use dohle_raft::{METADATA_LOG_DIR, QUORUM_STATE_FILE, SnapshotId};
use dohle_records::{BatchError, BatchView};
use tracing::{info, warn};

/// The largest `quorum-state` that is read.
const QUORUM_STATE_SIZE_MAX: usize = 64 << 10;
/// The largest snapshot that is read.
const SNAPSHOT_SIZE_MAX: usize = 1 << 30;
/// The first records of Kafka up to 4.3, in the metadata directory.
const OLD_BOOTSTRAP: &str = "bootstrap.checkpoint";
/// The suffix of a snapshot that is being written.
const PART: &str = ".part";
/// The suffix of a snapshot that is being removed.
const DELETED: &str = ".deleted";
/// How much of the log is read at once.
const READ_SIZE: usize = 4 << 20;
/// The largest batch. Source: Kafka 4.4, 8 MiB and its head.
const BATCH_SIZE_MAX: u32 = (8 << 20) + 1024;

/// Why the metadata cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The log is damaged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A side file is damaged.
    #[error(transparent)]
    SideFile(#[from] SideFileError),
    /// A batch in the log is damaged.
    #[error("metadata log: {0}")]
    Batch(#[from] BatchError),
    /// The log could not be written.
    #[error("metadata log: {0}")]
    Append(#[from] AppendError),
    /// What is in the files does not fit together.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl FilesError {
    /// Whether the same write may succeed later: there was no room for it, and what was there is
    /// intact. A log that could not be put back as it was says so at the next write.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Io(error)
            | Self::Log(LogError::Io(error))
            | Self::Append(AppendError::Log(LogError::Io(error))) => error.is_full(),
            _ => false,
        }
    }
}

/// The metadata log of a node, open.
#[derive(Debug)]
pub struct MetadataFiles {
    disk: OsDisk,
    /// `__cluster_metadata-0`.
    dir: PathBuf,
    log: Log<OsDisk>,
    config: LogConfig,
}

impl MetadataFiles {
    /// Opens the files below the metadata directory.
    ///
    /// # Errors
    /// They cannot be read, or the log is damaged before its end.
    pub fn open(settings: &Settings, disk: OsDisk, now: Timestamp) -> Result<Self, FilesError> {
        let dir = Path::new(settings.dir.as_str()).join(METADATA_LOG_DIR);
        let config = LogConfig {
            segment_bytes_max: u32::try_from(settings.segment_bytes).unwrap_or(0),
            segment_ms_max: settings.segment_ms,
            message_bytes_max: BATCH_SIZE_MAX,
            ..LogConfig::default()
        };
        // Never taken as clean: what the controllers agreed on is checked at each start.
        let log = Log::open(disk, dir.clone(), config.clone(), OpenLog::default(), now)?;
        if let Some(cut) = &log.recovery().cut {
            warn!(file = %cut.path.display(), position = cut.position, "torn end cut off: {}", cut.reason);
        }
        if partition_metadata::read(&disk, &dir)?.is_none() {
            partition_metadata::write(&disk, &dir, TopicId::METADATA)?;
        }
        Ok(Self { disk, dir, log, config })
    }

    /// The content of `quorum-state`; none before the first election.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn quorum_state(&self) -> Result<Option<Vec<u8>>, FilesError> {
        let path = self.dir.join(QUORUM_STATE_FILE);
        Ok(read_file(&self.disk, &path, QUORUM_STATE_SIZE_MAX)?)
    }

    /// Hands all that is in the files to `loader`.
    ///
    /// # Errors
    /// They cannot be read, or do not fit together.
    pub fn load(&mut self, loader: &mut NodeLoader) -> Result<(), FilesError> {
        if let Some(id) = self.newest_snapshot()? {
            let path = self.dir.join(id.file_name());
            let file = read_file(&self.disk, &path, SNAPSHOT_SIZE_MAX)?.unwrap_or_default();
            loader.checkpoint(id, &file.into())?;
        }
        let above = self.dir.parent().unwrap_or(&self.dir);
        let old = read_file(&self.disk, &above.join(OLD_BOOTSTRAP), SNAPSHOT_SIZE_MAX)?;
        if let Some(old) = old {
            loader.old_bootstrap(&old.into())?;
        }
        let (mut next, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        while next < end {
            let range =
                ReadRange { from: next, up_to: end, size_max: READ_SIZE, at_least_one: true };
            let Some(slice) = self.log.read(range)? else { break };
            let bytes = slice.read()?;
            let mut rest = &bytes[..];
            while let Ok(batch) = BatchView::parse(rest) {
                loader.batch(&batch)?;
                next = batch.next_offset();
                rest = &rest[batch.size()..];
            }
        }
        Ok(())
    }

    /// The newest complete snapshot. Half-written and half-removed ones are taken away.
    fn newest_snapshot(&self) -> Result<Option<SnapshotId>, FilesError> {
        let mut newest = None;
        for entry in self.disk.list(&self.dir)? {
            if entry.name.ends_with(PART) || entry.name.ends_with(DELETED) {
                self.disk.remove(&self.dir.join(&entry.name))?;
            } else if let Ok(id) = SnapshotId::from_file_name(&entry.name) {
                newest = newest.max(Some(id));
            }
        }
        Ok(newest)
    }

    /// Replaces `quorum-state`, durably.
    ///
    /// # Errors
    /// The node must not act on the vote.
    pub fn persist_election(&self, file: &Bytes) -> Result<(), FilesError> {
        Ok(replace_file(&self.disk, &self.dir.join(QUORUM_STATE_FILE), file)?)
    }

    /// Writes a batch at the end of the log, not synced yet.
    ///
    /// # Errors
    /// What the node decided is not in the log, and must be before it decides more.
    pub fn append(
        &mut self,
        base: Offset,
        batch: &Bytes,
        now: Timestamp,
    ) -> Result<(), FilesError> {
        assert_eq!(self.log.log_end_offset(), base, "raft and the log agree on the end");
        let epoch = BatchView::parse(batch)?.partition_leader_epoch();
        if epoch > self.log.latest_epoch() && epoch > LeaderEpoch::NONE {
            self.log.begin_leader_epoch(epoch)?;
        }
        self.log.append_as_leader(batch, epoch, Origin::Raft, now)?;
        Ok(())
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// The node must stop.
    pub fn sync(&mut self) -> Result<(), FilesError> {
        Ok(self.log.flush()?)
    }

    /// Drops the log and begins it anew behind a snapshot.
    ///
    /// # Errors
    /// The node must stop.
    pub fn reset(&mut self, start: Offset, now: Timestamp) -> Result<(), FilesError> {
        Ok(self.log.truncate_fully_and_start_at(start, now)?)
    }

    /// Writes a snapshot: under another name first, then durable and read-only, then under its own.
    ///
    /// # Errors
    /// The log still has everything.
    pub fn write_snapshot(&self, job: &SnapshotJob) -> Result<(), FilesError> {
        let path = self.dir.join(job.id().file_name());
        let part = self.dir.join(job.id().file_name() + PART);
        let file = self.disk.open(&part, OpenMode::Create)?;
        file.truncate(0)?;
        file.write_all_at(&mut [IoSlice::new(&job.file())], 0)?;
        file.sync()?;
        self.disk.seal(&part)?;
        self.disk.rename(&part, &path)?;
        self.disk.sync_dir(&self.dir)?;
        info!(file = %path.display(), "metadata snapshot written");
        Ok(())
    }

    /// Ends the log cleanly.
    ///
    /// # Errors
    /// The next start reads more than it would have to.
    pub fn close(self) -> Result<(), FilesError> {
        self.log.close()?;
        Ok(())
    }

    /// The settings of the log.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }
}
