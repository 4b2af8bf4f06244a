//! Removing the oldest segments, as the topic's settings say.
//!
//! A segment goes when all of this holds:
//! - its end is not above the high watermark, so that the log's start never is;
//! - its end is not above the log's start, or the log without it still has `retention.bytes`, or
//!   its youngest record is older than `retention.ms`, by its batches and not by its index alone;
//! - it is not the empty one that is written. If the one that is written goes, a new one is begun
//!   first: offsets go on.
//!
//! A segment without any time counts from the last change of its file.
//!
//! The log's start moves before the names go, and names go from the oldest on, so that after a
//! crash the log is a suffix of what it was, without a gap. One call removes one segment: whoever
//! holds the log behind a lock can let others in between.
//!
//! Not here: when to look (host/broker), and single records (the cleaner).
//!
//! Source: interop facts A.13; Kafka 4.4 for the order in which the reasons count.

use dohle_base::{Offset, Timestamp};

use crate::{disk::Disk, error::LogError, log::Log, names_sync::NamesPlan};

/// A segment that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Its first offset.
    pub base: Offset,
    /// The offset behind it.
    pub end: Offset,
    /// Its bytes.
    pub size: u32,
    /// Why it was removed.
    pub reason: ExpiryReason,
}

/// What came of the first segment.
#[derive(Debug)]
pub enum Removal<D: Disk> {
    /// It stays.
    Nothing,
    /// It was removed.
    Removed(Expired),
    /// It is to go once this has run, and `Log::finish_sync_names` knows: then ask again.
    AfterSync(NamesPlan<D>),
}

/// Why a segment was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryReason {
    /// Its records were deleted before.
    BeforeStart,
    /// There are enough bytes without it.
    Bytes,
    /// All of it is too old.
    Time {
        /// The time from which its age counts.
        youngest: Timestamp,
    },
}

impl std::fmt::Display for ExpiryReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BeforeStart => f.write_str("it lies before the log's start"),
            Self::Bytes => f.write_str("the log has retention.bytes without it"),
            Self::Time { .. } => f.write_str("its youngest record is older than retention.ms"),
        }
    }
}

impl<D: Disk> Log<D> {
    /// Removes the first segment, if it is to go; `None` if it stays. Syncs names where they have to
    /// be durable before.
    ///
    /// # Errors
    /// `Io`: the log's start may have moved; to try again is safe.
    pub fn remove_expired(
        &mut self,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<Option<Expired>, LogError> {
        loop {
            match self.begin_remove_expired(high_watermark, now)? {
                Removal::Nothing => return Ok(None),
                Removal::Removed(expired) => return Ok(Some(expired)),
                Removal::AfterSync(plan) => {
                    let done = plan.run()?;
                    self.finish_sync_names(done);
                }
            }
        }
    }

    /// The same for who holds the log behind a lock: where names have to be durable before, nothing
    /// goes, and it says what to sync.
    ///
    /// # Errors
    /// As `remove_expired`.
    pub fn begin_remove_expired(
        &mut self,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<Removal<D>, LogError> {
        self.check_usable()?;
        let end = self.segments.get(1).map_or(self.log_end, |second| second.base);
        let first = self.segments.first().expect("a log has at least one segment");
        let (base, size) = (first.base, first.size);
        let is_written = self.segments.len() == 1;
        if end > high_watermark || (is_written && size == 0) {
            return Ok(Removal::Nothing);
        }
        if self.expiry_reason(end, now, false)?.is_none() {
            return Ok(Removal::Nothing);
        }
        // Before the batches are looked at, or they would be again behind the sync.
        let needs_sync = match is_written {
            true => self.roll_needs_sync(),
            false => self.removal_needs_sync(end),
        };
        if needs_sync {
            return Ok(Removal::AfterSync(self.begin_sync_names()));
        }
        let Some(reason) = self.expiry_reason(end, now, true)? else { return Ok(Removal::Nothing) };
        if is_written {
            self.roll(now)?;
            if self.removal_needs_sync(end) {
                return Ok(Removal::AfterSync(self.begin_sync_names()));
            }
        }
        self.move_log_start(end);
        self.remove_first_segment(now)?;
        Ok(Removal::Removed(Expired { base, end, size, reason }))
    }

    /// Why the first segment, which ends at `end`, is to go: for sure, or as far as the index tells, which is
    /// no reason to remove anything.
    fn expiry_reason(
        &mut self,
        end: Offset,
        now: Timestamp,
        for_sure: bool,
    ) -> Result<Option<ExpiryReason>, LogError> {
        if self.segments.len() > 1 && end <= self.log_start {
            return Ok(Some(ExpiryReason::BeforeStart));
        }
        let first = self.segments.first().map_or(0, |first| u64::from(first.size));
        if self.config.retention_bytes_max.is_some_and(|max| self.size() - first >= max) {
            return Ok(Some(ExpiryReason::Bytes));
        }
        let Some(ms_max) = self.config.retention_ms_max else { return Ok(None) };
        let is_too_old = |youngest: Timestamp| now.0.saturating_sub(youngest.0) > ms_max;
        let youngest = self.youngest_of_first(for_sure)?;
        Ok(is_too_old(youngest).then_some(ExpiryReason::Time { youngest }))
    }

    /// The time from which the first segment's age counts; for sure if its batches are to be looked at.
    fn youngest_of_first(&mut self, for_sure: bool) -> Result<Timestamp, LogError> {
        let first = self.segments.first_mut().expect("a log has at least one segment");
        let newest = match for_sure {
            true => first.newest_for_sure(&self.dir)?,
            false => first.newest(&self.dir)?,
        };
        if newest.timestamp > Timestamp::NONE {
            return Ok(newest.timestamp);
        }
        Ok(first.changed_at(&self.dir)?)
    }
}
