//! Appending: at a leader, where batches get offsets and an epoch, and at a follower, where they
//! have them.
//!
//! What can go to the disk in one write does, and only then does the log's end move; a roll or a new
//! epoch that it needs comes before. If the write fails, what it left is cut off; if that fails, too,
//! the log is closed, and what kept it from being cut is the error, unless the disk is only full.
//!
//! The append path makes no sync, but for one: the roll of a log with one segment whose name no flush has
//! synced yet syncs the directory, for a power cut may not leave just the later name. As a rule that comes once in
//! a log's life, if at all. It opens files only to roll, which happens once in a segment.
//!
//! ```text
//!   leader     checks batches, gives them offsets     follower   takes them as they are
//!   each       what several clients sent, each batch for itself, in runs of one write
//!   recall     whether a client's batch repeats one that only the log tells of
//!   here       the write at the end of the active segment, and the rolls
//! ```

mod each;
mod follower;
mod leader;
mod recall;
mod run;

use std::io::IoSlice;

use dohle_base::{Offset, Rng, Timestamp};

pub use self::{each::Results, leader::Origin};
use crate::{
    disk::{Disk, DiskFile, IoError},
    error::LogError,
    log::{Log, remove_segment_files},
    offset_index::relative,
    partition_metadata,
    prepare::Prepared,
    producer_state::EndedTransaction,
    scan::Head,
    segment::Segment,
};

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The time that all records got, if the log's clock stamps; else `NONE`.
    pub log_append_time: Timestamp,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Bytes that were written; 0 for a duplicate.
    pub size: usize,
    /// Whether the batch was there before: the offsets are those that it has.
    pub duplicate: bool,
}

/// What a roll is decided by.
#[derive(Clone, Copy, Debug)]
struct Coming {
    size: usize,
    base: Offset,
    last: Offset,
    max_timestamp: Timestamp,
}

impl Coming {
    fn of(batch: &Prepared<'_>) -> Self {
        let header = batch.header();
        Self {
            size: batch.size(),
            base: header.base_offset(),
            last: header.last_offset(),
            max_timestamp: header.max_timestamp(),
        }
    }
}

impl<D: Disk> Log<D> {
    fn note(&mut self, head: Head, ended: Option<EndedTransaction>) -> Result<(), LogError> {
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        segment.note(&head, &self.config);
        self.recent.push(head);
        self.log_end = head.last.next();
        if let Some(ended) = ended.filter(|ended| !ended.committed) {
            self.names_changed |= !segment.has_aborts;
            // Without the entry a consumer would be shown aborted records.
            self.poisoned = true;
            segment.add_abort(&self.dir, ended.aborted())?;
            self.poisoned = false;
        }
        Ok(())
    }

    /// Writes at the end of the active segment. If that fails, nothing is left of it, or the log is closed.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<(), IoError> {
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        let position = u64::from(segment.size);
        if segment.is_unwritten() {
            self.names_changed = true;
            if let Some(topic) = self.unsaved_topic {
                partition_metadata::write_early(&self.dir.disk, self.dir.path(), topic)?;
            }
        }
        segment.ask_unasked(&self.dir)?;
        let coming = slices.iter().map(|slice| slice.len()).sum();
        segment.reserve(&self.dir, coming, &self.config)?;
        let file = segment.file(&self.dir)?;
        self.as_closed = false;
        let Err(error) = file.write_all_at(slices, position) else { return Ok(()) };
        let cut = file.truncate(position);
        segment.forget_room();
        let Err(uncut) = cut else { return Err(error) };
        self.poisoned = true;
        // A directory that is only full would stay in service.
        Err(if error.is_full() { uncut } else { error })
    }

    /// Source: interop facts A.7.
    fn should_roll(&mut self, coming: &Coming, now: Timestamp) -> Result<bool, LogError> {
        let config = &self.config;
        let segment = self.segments.last_mut().expect("a log has at least one segment");
        if relative(segment.base, coming.last).is_none() {
            return Ok(true);
        }
        if segment.size == 0 {
            return Ok(false);
        }
        let size = segment.size as usize + coming.size;
        if size > config.segment_bytes_max as usize
            || segment.indexes.as_ref().is_some_and(|indexes| indexes.are_full())
        {
            return Ok(true);
        }
        let first = segment.first_timestamp(&self.dir)?;
        let age = if first == Timestamp::NONE || coming.max_timestamp == Timestamp::NONE {
            now.0.saturating_sub(segment.opened_at.0)
        } else {
            coming.max_timestamp.0.saturating_sub(first.0)
        };
        let age_min = config.segment_ms_max.saturating_sub(config.segment_jitter_ms_max);
        Ok(age > age_min && age > config.segment_ms_max.saturating_sub(self.active_jitter_ms()))
    }

    /// How much earlier the segment that is written is rolled than others may be.
    fn active_jitter_ms(&self) -> i64 {
        let Ok(end) = u64::try_from(self.config.segment_jitter_ms_max) else { return 0 };
        let path = self.dir.path().as_os_str().as_encoded_bytes();
        let of_log = crc32c::crc32c(path);
        let base = (self.active().base.0 as u64).rotate_left(32);
        let seed = self.config.jitter_seed ^ base ^ u64::from(of_log);
        i64::try_from(Rng::from_seed(seed).below(end)).unwrap_or(0)
    }

    /// Ends the segment that is written and begins one at the log's end. Does nothing if the one
    /// that is written is empty.
    ///
    /// # Errors
    /// `Io`; the log goes on in the segment that it had.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), LogError> {
        self.check_usable()?;
        if self.active().size == 0 { Ok(()) } else { self.roll_to(self.log_end, now) }
    }

    /// Whether names are to be synced before another segment begins: as long as there is one only its name
    /// says where the log begins, and a power cut may leave just a later one.
    pub(crate) fn roll_needs_sync(&self) -> bool {
        self.segments.len() == 1 && !self.is_name_durable(self.active().base)
    }

    fn roll_to(&mut self, base: Offset, now: Timestamp) -> Result<(), LogError> {
        assert!(base >= self.log_end, "a segment begins behind the one before");
        self.as_closed = false;
        if self.roll_needs_sync() {
            self.sync_names()?;
        }
        self.producers.advance(base);
        let last = self.segments.last_mut().expect("a log has at least one segment");
        // First, for what follows needs some.
        last.give_back_most(&self.dir)?;
        self.write_snapshot()?;
        let last = self.segments.last_mut().expect("a log has at least one segment");
        last.write_indexes(&self.dir)?;
        let (old, old_is_empty) = (last.base, last.size == 0);
        let segment = Segment::create(&self.dir, base, &self.config, now)?;
        last.indexes = None;
        self.segments.push(segment);
        self.recent.clear();
        self.names_changed = true;
        if old_is_empty {
            // Its name does not fit what comes: the offsets are too far from its base.
            self.segments.remove(self.segments.len() - 2);
            remove_segment_files(&self.dir, old)?;
        } else if self.is_flushed() {
            let index = self.segments.len() - 2;
            self.segments.get_mut(index).into_iter().for_each(Segment::release);
        } else {
            // The next flush is to hear of what could not be written back.
            self.hold_open(old);
        }
        Ok(())
    }
}
