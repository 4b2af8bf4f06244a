//! One partition's log: what it holds and what it tells.
//!
//! ```text
//! log_start_offset        recovery_point              log_end_offset
//!        │                      │                           │
//! [── segment ──][── segment ──][──── segment, written ─────]
//!        └─ readable ──────────────────────────────────────┘
//!                               └─ lost by a power cut ────┘
//! ```
//!
//! Invariants: segments ascend and do not overlap; only the last is written; `log_start_offset` and
//! `recovery_point` are at most `log_end_offset`; what is not wholly written does not exist.
//!
//! Not here: the high watermark, replication, waiting, locks, threads. Callers hold a log behind
//! their own lock; `FlushPlan` is what they run without it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId};
use dohle_records::Producer;

use crate::{
    checkpoint,
    config::LogConfig,
    deleted::Deleted,
    disk::{Disk, IoError},
    epoch_cache::{EpochCache, EpochEnd, EpochStart},
    error::LogError,
    flush::SidesSaved,
    names::FileKind,
    names_sync::Names,
    producer_state::{ProducerState, Producers, snapshot},
    recent::Recent,
    recover::Recovery,
    sealed::SealedOpen,
    segment::{Dir, Segment},
};

/// A partition's log on a disk.
#[derive(Debug)]
pub struct Log<D: Disk> {
    pub(crate) dir: Dir<D>,
    /// Shared by the logs that go by the same.
    pub(crate) config: Arc<LogConfig>,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) recovery_point: Offset,
    /// In ascending order; never empty; the last one is written.
    pub(crate) segments: Vec<Segment<D::File>>,
    pub(crate) epochs: EpochCache,
    /// Whether the file of epochs lacks some. It is written before the recovery point passes them:
    /// until then the batches tell them, and an epoch without batches nobody misses.
    pub(crate) unsaved_epochs: bool,
    /// The topic, if `partition.metadata` is still to be written.
    pub(crate) unsaved_topic: Option<TopicId>,
    pub(crate) producers: Producers,
    /// The offsets of the producer snapshots in the directory.
    pub(crate) snapshots: BTreeSet<Offset>,
    pub(crate) recent: Recent,
    /// The files that wait to be unlinked.
    pub(crate) deleted: Deleted,
    /// Up to where it has been cleaned; 0 if it never was. May be stale: see `first_dirty`.
    pub(crate) cleaned_to: Offset,
    /// The sealed segments whose files are open; boxed, for few logs have any.
    pub(crate) sealed_open: Option<Box<SealedOpen>>,
    /// Whether names were made or removed since the directory was synced.
    pub(crate) names_changed: bool,
    /// How often the oldest segment was removed since the log was opened.
    pub(crate) removals: u64,
    /// Which names are known to be durable.
    pub(crate) names_synced: Names,
    /// Whether the directory was made and its own name is not durable.
    pub(crate) parent_changed: bool,
    /// How far the side files of the segment that is written go.
    pub(crate) sides_saved: SidesSaved,
    /// Whether files were closed with something in them that was not flushed.
    pub(crate) closed_unflushed: bool,
    /// Whether the flush that is planned makes up for such, and has not done it yet.
    pub(crate) closed_planned: bool,
    /// How often the log was truncated: a flush begun before says nothing about what came after.
    pub(crate) truncations: u64,
    /// Whether a write left something that could not be cut off.
    pub(crate) poisoned: bool,
    /// Whether the files are as a clean stop left them: then closing has nothing to do.
    pub(crate) as_closed: bool,
    pub(crate) recovery: Recovery,
}

impl<D: Disk> Log<D> {
    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes the settings for what is appended from now on.
    pub fn set_config(&mut self, config: impl Into<Arc<LogConfig>>) {
        self.config = config.into();
    }

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end
    }

    /// Up to where the log survives a power cut.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Bytes of all batches, those before the log start that are still there included.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.size)).sum()
    }

    /// Bytes that a log has which starts at `start`: segments wholly before count no more.
    pub fn size_from(&self, start: Offset) -> u64 {
        let left = self.segments.iter().skip(self.floor(start));
        left.map(|segment| u64::from(segment.size)).sum()
    }

    /// How many segments there are; at least one.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The first offset of the first segment, which may lie before the log's start.
    pub fn first_base_offset(&self) -> Offset {
        self.segments.first().map_or(self.log_start, |segment| segment.base)
    }

    /// The first offset of the segment that is written.
    pub fn active_base_offset(&self) -> Offset {
        self.active().base
    }

    /// What opening the log found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Whether the directory does not say yet whose it is; the next flush writes that. Until then a
    /// start after a crash does not believe what checkpoints tell of the partition.
    pub fn has_unsaved_topic(&self) -> bool {
        self.unsaved_topic.is_some()
    }

    /// Whether a failed write has closed the log: it must be opened again.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The newest leader epoch in the log; `NONE` if there is none.
    pub fn latest_epoch(&self) -> LeaderEpoch {
        self.epochs.latest()
    }

    /// Where each leader epoch begins, in ascending order.
    pub fn epochs(&self) -> &[EpochStart] {
        self.epochs.entries()
    }

    /// The leader epoch of the record at `offset`; `NONE` if it is not known.
    pub fn epoch_of(&self, offset: Offset) -> LeaderEpoch {
        self.epochs.epoch_of(offset)
    }

    /// Where leader epoch `asked` ends, as a leader answers it.
    pub fn epoch_end_offset(&self, asked: LeaderEpoch) -> EpochEnd {
        self.epochs.end_of(asked, self.log_end)
    }

    /// Notes that this replica leads in `epoch` from the log's end on.
    ///
    /// # Errors
    /// The log is closed since a write failed.
    pub fn begin_leader_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), LogError> {
        self.check_usable()?;
        self.assign_epochs([EpochStart { epoch, start: self.log_end }]);
        Ok(())
    }

    /// What is remembered of each producer, by ascending id.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = &ProducerState> {
        self.producers.states()
    }

    /// What is remembered of one producer.
    pub fn producer(&self, id: ProducerId) -> Option<&ProducerState> {
        self.producers.state(id)
    }

    /// Whether a producer has a transaction open here in this epoch.
    pub fn in_transaction(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.in_transaction(Producer { id, epoch, base_sequence: -1 })
    }

    /// Where the oldest open transaction begins and when its producer last wrote.
    pub fn oldest_transaction(&self) -> Option<(Offset, Timestamp)> {
        self.producers.oldest_transaction()
    }

    /// A time before which no producer has last written that [`Log::expire_producers`] would forget;
    /// `None` if there is no producer.
    pub fn oldest_producer(&self) -> Option<Timestamp> {
        self.producers.oldest()
    }

    /// Forgets producers that have not written for long. Says how many. Looks at each only if one may
    /// be so old.
    pub fn expire_producers(&mut self, now: Timestamp) -> usize {
        self.producers.expire(now, self.config.producer_expiration_ms)
    }

    /// The end of what a read-committed consumer may see: before the first transaction that is open
    /// or whose end is not below `high_watermark`, which must not go back but by truncation. Where the
    /// transaction's start was deleted that is the log's start, as in Kafka 4.4: nothing is before it.
    pub fn last_stable_offset(&mut self, high_watermark: Offset) -> Offset {
        self.producers.release_ended(high_watermark);
        let unstable = self.producers.first_unstable_offset();
        unstable.map_or(high_watermark, |offset| offset.max(self.log_start).min(high_watermark))
    }

    /// Whether the log keeps files open: that of the segment that is written, or of others.
    pub fn has_open_files(&self) -> bool {
        self.active().open_file().is_some()
            || self.sealed_open.as_ref().is_some_and(|open| !open.is_empty())
    }

    /// How many files those are.
    pub fn open_file_count(&self) -> usize {
        let sealed = self.sealed_open.as_ref().map_or(0, |open| open.count());
        usize::from(self.active().open_file().is_some()) + sealed
    }

    /// Whether all that is in it is known to be durable.
    pub fn is_flushed(&self) -> bool {
        self.recovery_point >= self.log_end
    }

    /// Closes file handles until they are needed again.
    ///
    /// What the system could not write back is told to those who had the file open then: of one that
    /// was closed unflushed only a sync of the volume tells, see [`FlushPlan::needs_volume`].
    ///
    /// [`FlushPlan::needs_volume`]: crate::FlushPlan::needs_volume
    pub fn release_files(&mut self) {
        self.closed_unflushed |= !self.is_flushed();
        self.segments.iter_mut().for_each(Segment::release);
        self.sealed_open = None;
    }

    pub(crate) fn check_usable(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn active(&self) -> &Segment<D::File> {
        self.segments.last().expect("a log has at least one segment")
    }

    /// The index of the segment that holds `offset`, or would.
    pub(crate) fn floor(&self, offset: Offset) -> usize {
        let next = self.segments.partition_point(|segment| segment.base <= offset);
        next.saturating_sub(1)
    }

    /// Notes where epochs begin, if it is news.
    pub(crate) fn assign_epochs(&mut self, starts: impl IntoIterator<Item = EpochStart>) {
        for start in starts {
            if start.epoch > self.epochs.latest() {
                self.epochs.assign(start);
                self.unsaved_epochs = true;
            }
        }
    }

    /// Writes the file of epochs. Durable when it returns.
    pub(crate) fn save_epochs(&mut self) -> Result<(), IoError> {
        checkpoint::write_epochs(&self.dir.disk, self.dir.path(), self.epochs.entries())?;
        self.unsaved_epochs = false;
        Ok(())
    }

    /// Writes the producers' state at the log's end, unless that is there. Not synced.
    pub(crate) fn write_snapshot(&mut self) -> Result<(), IoError> {
        let offset = self.producers.end();
        if self.snapshots.last().is_some_and(|last| *last >= offset) || offset <= self.log_start {
            return Ok(());
        }
        let bytes = snapshot::encode(&self.producers);
        self.put_snapshot(offset, &bytes)
    }

    /// Writes a snapshot at an offset. Not synced.
    pub(crate) fn put_snapshot(&mut self, offset: Offset, bytes: &[u8]) -> Result<(), IoError> {
        self.dir.put(offset, FileKind::Snapshot, bytes)?;
        self.snapshots.insert(offset);
        self.names_changed = true;
        Ok(())
    }

    pub(crate) fn remove_snapshots(
        &mut self,
        which: impl Fn(Offset) -> bool,
    ) -> Result<(), IoError> {
        let removed = self.snapshots.iter().copied().filter(|offset| which(*offset));
        for offset in removed.collect::<Vec<_>>() {
            self.dir.remove(offset, FileKind::Snapshot)?;
            self.snapshots.remove(&offset);
            self.names_changed = true;
        }
        Ok(())
    }

    /// Removes the segments from `index` on when a log is opened, the last one first, and syncs
    /// between: whatever of it survives a power cut, no gap is left. The last one is for the caller
    /// to sync.
    pub(crate) fn remove_segments_from(&mut self, index: usize) -> Result<(), IoError> {
        self.as_closed = false;
        while let Some(segment) = self.segments.get(index..).and_then(<[_]>::last) {
            remove_segment_files(&self.dir, segment.base)?;
            self.segments.pop();
            self.names_changed = true;
            if self.segments.len() > index {
                self.dir.disk.sync_dir(self.dir.path())?;
            }
        }
        Ok(())
    }

    /// Takes the segments from `index` on out of the log, the last one first, and syncs between, as
    /// `remove_segments_from`.
    pub(crate) fn retire_segments_from(
        &mut self,
        index: usize,
        now: Timestamp,
    ) -> Result<(), IoError> {
        while let Some(base) = self.segments.get(index..).and_then(<[_]>::last).map(|s| s.base) {
            self.retire_segment(base, now)?;
            self.segments.pop();
            if self.segments.len() > index {
                self.dir.disk.sync_dir(self.dir.path())?;
            }
        }
        Ok(())
    }
}

/// Removes a segment's files, the batches first: indexes alone are swept up at the next start.
pub(crate) fn remove_segment_files<D: Disk>(dir: &Dir<D>, base: Offset) -> Result<(), IoError> {
    dir.remove(base, FileKind::Log)?;
    FileKind::INDEXES.iter().try_for_each(|kind| dir.remove(base, *kind))
}
