//! The files of the metadata log: `quorum-state`, segments, snapshots.
//!
//! ```text
//! __cluster_metadata-0/
//!   quorum-state                                   replaced as a whole, durable before anyone is told
//!   00000000000000000000.log …                     synced after each round of appends
//!   00000000000000000042-0000000001.checkpoint     a snapshot; .part while it is written
//! ```
//!
//! The log starts at the end of the oldest snapshot: segments before it go when retention has that snapshot
//! be the oldest. Segments go before the snapshots that they follow, each the oldest first, and the newest
//! snapshot never does. So whatever call the power is cut behind,
//! there is a snapshot where the log begins or behind, up to which the log is not needed.
//!
//! Source: interop facts A.11.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use dohle_base::{Instant, LeaderEpoch, Now, Offset, Timestamp, TopicId};
use dohle_config::MetadataLog as Settings;
use dohle_controller::{NodeConfig, NodeLoader, OpenError, SnapshotJob};
use dohle_log::{
    AppendError, Disk, DiskFile, FlushPlan, IoError, Log, LogConfig, LogError, OpenLog, Origin,
    ReadError, ReadRange, Slice,
    checkpoint::SideFileError,
    disk::{read_file, replace_file},
    partition_metadata,
};
use dohle_os::OsDisk;
use dohle_raft::{METADATA_LOG_DIR, QUORUM_STATE_FILE, Retention};
use dohle_records::{BatchError, BatchView, Entry};
use tracing::{info, warn};

use super::snapshots::Snapshots;
use crate::log_dirs::is_short_of_handles;

/// The largest `quorum-state` that is read.
const QUORUM_STATE_SIZE_MAX: usize = 64 << 10;
/// The largest `bootstrap.checkpoint` that is read.
const BOOTSTRAP_SIZE_MAX: usize = 1 << 30;
/// The first records of Kafka up to 4.3, in the metadata directory.
const OLD_BOOTSTRAP: &str = "bootstrap.checkpoint";
/// How much of the log is read at once.
const READ_SIZE: usize = 4 << 20;
/// The largest batch. Source: Kafka 4.4, 8 MiB and its head.
const BATCH_SIZE_MAX: u32 = (8 << 20) + 1024;
/// How long after something was written it is looked whether there is too much. Source: Kafka 4.4,
/// which looks as often, written or not.
const LOOK_AFTER: Duration = Duration::from_secs(60);

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
    /// Bytes in the log are no batch: an old message, whose checksum may be right.
    #[error("metadata log: no batch in {} at {position}: {reason}", path.display())]
    NoBatch {
        /// The file.
        path: PathBuf,
        /// Where a batch should begin.
        position: u64,
        /// Why none does.
        reason: BatchError,
    },
    /// The log could not be written.
    #[error("metadata log: {0}")]
    Append(#[from] AppendError),
    /// A file does not say what it should, or does not fit those before it.
    #[error("{}: {error}", path.display())]
    Unfit {
        /// The file; the directory, if it is none alone.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<OpenError>,
    },
    /// A batch of the log cannot be decoded, or does not fit those before it.
    #[error("{} is damaged at {position}: {error}", path.display())]
    UnfitBatch {
        /// The file.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        error: Box<OpenError>,
    },
}

impl FilesError {
    /// Whether the same write may succeed later: there was no room for it, and what was there is
    /// intact. A log that could not be put back as it was says so at the next write.
    pub(super) fn may_pass(&self) -> bool {
        self.io().is_some_and(IoError::is_full)
    }

    /// Whether what was there before may be gone.
    pub(super) fn is_of_sync(&self) -> bool {
        self.io().is_some_and(IoError::is_of_sync)
    }

    fn io(&self) -> Option<&IoError> {
        match self {
            Self::Io(error)
            | Self::Log(LogError::Io(error))
            | Self::Append(AppendError::Log(LogError::Io(error))) => Some(error),
            _ => None,
        }
    }
}

/// The metadata log of a node, open.
pub struct MetadataFiles<D: Disk = OsDisk> {
    disk: D,
    /// `__cluster_metadata-0`.
    dir: PathBuf,
    log: Log<D>,
    snapshots: Snapshots<D>,
    retention: Retention,
    /// A batch was appended and not synced.
    is_unsynced: bool,
    /// There was no room for what lies beside the log.
    lacks_sides: bool,
    /// When to look whether something is to go; none as long as nothing happens.
    look_at: Option<Instant>,
}

impl<D: Disk> MetadataFiles<D> {
    /// Opens the files below the metadata directory.
    ///
    /// # Errors
    /// They cannot be read, or the log is damaged before its end.
    pub fn open(settings: &Settings, disk: D, now: Timestamp) -> Result<Self, FilesError> {
        let dir = Path::new(settings.dir.as_str()).join(METADATA_LOG_DIR);
        let config = LogConfig {
            segment_bytes_max: u32::try_from(settings.segment_bytes).unwrap_or(0),
            segment_ms_max: settings.segment_ms,
            message_bytes_max: BATCH_SIZE_MAX,
            file_delete_delay_ms: settings.delete_delay_ms,
            ..LogConfig::default()
        };
        let mut snapshots = Snapshots::open(disk.clone(), &dir, settings.delete_delay_ms)?;
        let oldest = snapshots.stored().first().map(|oldest| oldest.id.end_offset);
        // Never taken as clean: what the controllers agreed on is checked at each start. Nor is what the
        // system caches: the node ends when a sync of it fails, and no file would say so to the next.
        let how = OpenLog {
            log_start: oldest.unwrap_or(Offset::ZERO),
            // A snapshot of another node may reach further than the log.
            reached: Offset(i64::MAX),
            distrust_cache: true,
            ..OpenLog::default()
        };
        let mut log = Log::open(disk.clone(), dir.clone(), config, how, now)?;
        // Some had been done with when the last start ended.
        snapshots.remove_below(log.log_start_offset())?;
        if let Some(oldest) = snapshots.stored().first() {
            log.advance_log_start(oldest.id.end_offset.min(log.log_end_offset()))?;
        }
        if let Some(cut) = &log.recovery().cut {
            warn!(file = %cut.path.display(), position = cut.position, "torn end cut off: {}", cut.reason);
        }
        for mended in &log.recovery().mended {
            warn!("{mended}");
        }
        if partition_metadata::read(&disk, &dir)?.is_none() {
            partition_metadata::write(&disk, &dir, TopicId::METADATA)?;
        }
        let retention =
            Retention { bytes_max: settings.retention_bytes, ms_max: settings.retention_ms };
        let (is_unsynced, lacks_sides) = (!log.is_flushed(), false);
        Ok(Self { disk, dir, log, snapshots, retention, is_unsynced, lacks_sides, look_at: None })
    }

    /// Begins to load with the content of `quorum-state`, which is not there before the first election.
    ///
    /// # Errors
    /// It cannot be read, or does not say what it should.
    pub fn loader(&self, config: NodeConfig) -> Result<NodeLoader, FilesError> {
        let path = self.dir.join(QUORUM_STATE_FILE);
        let bytes = read_file(&self.disk, &path, QUORUM_STATE_SIZE_MAX)?;
        NodeLoader::new(config, bytes.as_deref())
            .map_err(|error| FilesError::Unfit { path, error: Box::new(error) })
    }

    /// Hands the newest snapshot and the log behind it to `loader`.
    ///
    /// # Errors
    /// They cannot be read, or do not fit together.
    pub fn load(&mut self, loader: &mut NodeLoader) -> Result<(), FilesError> {
        let unfit = |path: &Path| {
            let path = path.to_owned();
            |error| FilesError::Unfit { path, error: Box::new(error) }
        };
        if let Some((id, file)) = self.snapshots.read_newest()? {
            loader.checkpoint(id, &file).map_err(unfit(&self.dir.join(id.file_name())))?;
        }
        let old_path = self.dir.parent().unwrap_or(&self.dir).join(OLD_BOOTSTRAP);
        if let Some(old) = read_file(&self.disk, &old_path, BOOTSTRAP_SIZE_MAX)? {
            loader.old_bootstrap(&old.into()).map_err(unfit(&old_path))?;
        }
        let (start, end) = (self.log.log_start_offset(), self.log.log_end_offset());
        let epochs = self.log.epochs().iter().map(|e| (e.epoch, e.start));
        loader.log(start, end, epochs).map_err(unfit(&self.dir))?;
        let mut next = loader.snapshot_end();
        while next < end {
            let range =
                ReadRange { from: next, up_to: end, size_max: READ_SIZE, at_least_one: true };
            let Some(slice) = self.log.read(range)? else { break };
            let (from, bytes) = (next, slice.read()?);
            let mut rest = &bytes[..];
            while let Some(batch) = first_batch(&slice, rest)? {
                loader.batch(&batch).map_err(|error| FilesError::UnfitBatch {
                    path: slice.file.path().to_owned(),
                    position: slice.position + (slice.size - rest.len()) as u64,
                    error: Box::new(error),
                })?;
                next = batch.next_offset();
                rest = &rest[batch.size()..];
            }
            if next == from {
                break; // The loader tells that the end is missing.
            }
        }
        Ok(())
    }

    /// Replaces `quorum-state`, durably.
    ///
    /// # Errors
    /// The node must not act on the vote.
    pub fn persist_election(&self, file: &Bytes) -> Result<(), FilesError> {
        Ok(replace_file(&self.disk, &self.dir.join(QUORUM_STATE_FILE), file)?)
    }

    /// Writes a batch at the end of the log, not synced yet. One is on its way at a time: with two, a
    /// power cut could take the first and leave the second, and that is what damage looks like.
    ///
    /// # Errors
    /// What the node decided is not in the log, and must be before it decides more.
    pub fn append(&mut self, base: Offset, batch: &Bytes, now: Now) -> Result<(), FilesError> {
        assert_eq!(self.log.log_end_offset(), base, "raft and the log agree on the end");
        let view = BatchView::parse(batch)?;
        if self.is_unsynced {
            self.sync()?;
        }
        let epoch = view.partition_leader_epoch();
        if epoch > self.log.latest_epoch() && epoch > LeaderEpoch::NONE {
            self.log.begin_leader_epoch(epoch)?;
        }
        self.log.append_as_leader(batch, epoch, Origin::Raft, now.wall)?;
        self.is_unsynced = true;
        self.look_in_time(now);
        Ok(())
    }

    /// Makes all that was written durable. On a full disk the files beside the log stay behind: a batch may
    /// have had room that was set aside. A start after a crash reads then from where they were saved last.
    ///
    /// # Errors
    /// The node must stop.
    pub fn sync(&mut self) -> Result<(), FilesError> {
        let flushed = self.log.begin_flush()?.map(FlushPlan::run).transpose();
        match flushed {
            Ok(done) => {
                done.into_iter().for_each(|done| self.log.finish_flush(done));
                if std::mem::take(&mut self.lacks_sides) {
                    info!("there is room again for what lies beside the metadata log");
                }
            }
            Err(error) if error.is_full() || is_short_of_handles(&error) => {
                if !std::mem::replace(&mut self.lacks_sides, true) {
                    warn!("the metadata log is synced without what lies beside it: {error}");
                }
                self.sync_batches()?;
            }
            Err(error) => return Err(error.into()),
        }
        self.is_unsynced = false;
        Ok(())
    }

    /// Makes the batches durable and leaves the rest to the next sync, for this one could not do it.
    fn sync_batches(&mut self) -> Result<(), FilesError> {
        self.log.give_up_flush();
        if let Some(mut plan) = self.log.begin_flush()? {
            plan.leave_out_sides();
            plan.sync()?;
            self.log.give_up_flush();
        }
        Ok(())
    }

    /// Drops the log and begins it anew behind a snapshot.
    ///
    /// # Errors
    /// The node must stop.
    pub fn reset(&mut self, start: Offset, now: Timestamp) -> Result<(), FilesError> {
        self.log.truncate_fully_and_start_at(start, now)?;
        Ok(self.snapshots.remove_below(start)?)
    }

    /// Writes a snapshot.
    ///
    /// # Errors
    /// The log still has everything.
    pub fn write_snapshot(&mut self, job: &SnapshotJob, now: Now) -> Result<(), FilesError> {
        let path = self.snapshots.write(job.id(), &job.file())?;
        self.look_in_time(now);
        info!(file = %path.display(), "metadata snapshot written");
        Ok(())
    }

    /// How long there is nothing to remove; none as long as nothing is written.
    pub fn idle_time(&self, now: Now) -> Option<Duration> {
        let unlink = self.log.next_unlink().into_iter().chain(self.snapshots.next_unlink()).min();
        let unlink = unlink.map(|due| until(due, now.wall));
        let look = self.look_at.map(|due| due.since(now.instant));
        unlink.into_iter().chain(look).min()
    }

    /// Removes what retention says, if it is time to look; says where the log starts then.
    ///
    /// # Errors
    /// What could not be removed is there for the next time. After a failed sync the node must stop.
    pub fn clean(&mut self, now: Now) -> Result<Offset, FilesError> {
        if let Some(plan) = self.log.begin_unlink(now.wall) {
            plan.run()?;
        }
        self.snapshots.unlink(now.wall)?;
        if self.look_at.is_some_and(|due| due <= now.instant) {
            self.look_at = Some(now.instant + LOOK_AFTER);
            self.remove_old(now.wall)?;
            let expiry = self.retention.next_expiry(self.snapshots.stored());
            self.look_at = expiry.map(|due| now.instant + until(due, now.wall));
        }
        Ok(self.log.log_start_offset())
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.log.size()
    }

    #[cfg(test)]
    pub(super) fn is_flushed(&self) -> bool {
        self.log.is_flushed()
    }

    fn remove_old(&mut self, now: Timestamp) -> Result<(), FilesError> {
        let (log, stored) = (&self.log, self.snapshots.stored());
        let kept = self.retention.kept(stored, |start| log.size_from(start), now);
        let gone = stored.len() - kept.len();
        let Some(first) = kept.first().map(|first| first.id).filter(|_| gone > 0) else {
            return Ok(());
        };
        self.log.advance_log_start(first.end_offset)?;
        let segments = self.log.remove_old_segments(now)?;
        self.snapshots.retire_before(first, now)?;
        info!(start = %first.end_offset, snapshots = gone, segments, "the metadata log was shortened");
        Ok(())
    }

    /// Something was written: it will be looked whether that is too much.
    fn look_in_time(&mut self, now: Now) {
        let due = now.instant + LOOK_AFTER;
        self.look_at = Some(self.look_at.map_or(due, |look_at| look_at.min(due)));
    }

    /// Ends the log cleanly.
    ///
    /// # Errors
    /// The next start reads more than it would have to.
    pub fn close(self) -> Result<(), FilesError> {
        self.log.close()?;
        Ok(())
    }
}

/// The batch that `rest` begins with, which is the end of a slice. `None` behind the last one that is
/// there as a whole: the first one is.
fn first_batch<'a, F: DiskFile>(
    slice: &Slice<F>,
    rest: &'a [u8],
) -> Result<Option<BatchView<'a>>, FilesError> {
    let read = slice.size - rest.len();
    let error = match Entry::parse(rest) {
        Ok(Entry::Batch(batch)) => return Ok(Some(batch)),
        Ok(Entry::Legacy(message)) => BatchError::BadMagic { position: 0, magic: message.magic() },
        Err(BatchError::Truncated { .. }) if read > 0 => return Ok(None),
        Err(error) => error,
    };
    let position = slice.position + read as u64;
    let reason = error.at(usize::try_from(position).unwrap_or(usize::MAX));
    Err(FilesError::NoBatch { path: slice.file.path().to_owned(), position, reason })
}

/// How long it is to a time on the wall.
fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0))
}

#[cfg(test)]
pub(super) mod tests;
