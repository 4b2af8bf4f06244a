//! How dirty a log is, how far it may be cleaned, and what a clean has to know of it.

use std::{collections::BTreeMap, sync::Arc};

use dohle_base::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::aborted::Aborts;
use crate::{config::LogConfig, disk::Disk, error::LogError, log::Log, segment::Dir};

/// How much of a log a clean would deal with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirtiness {
    /// From where on keys have not been looked at.
    pub first_dirty: Offset,
    /// Up to where they may be: the first offset of a segment. Before `first_dirty` if nothing may.
    pub limit: Offset,
    /// Bytes of the segments that begin before the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes of the segments from there to the limit.
    pub cleanable_bytes: u64,
    /// Whether records have waited longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
    /// When time alone lets more be cleaned, or makes it overdue.
    pub next_change: Option<Timestamp>,
}

impl Dirtiness {
    /// The share of the log that a clean would look at for the first time.
    pub fn ratio(&self) -> f64 {
        let all = self.clean_bytes + self.cleanable_bytes;
        if all == 0 { 0.0 } else { self.cleanable_bytes as f64 / all as f64 }
    }

    /// Whether the log should be cleaned now.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        self.cleanable_bytes > 0 && (self.is_overdue || self.ratio() > config.cleanable_ratio_min)
    }
}

/// A sealed segment to be cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) base: Offset,
    pub(crate) size: u32,
    pub(crate) opened_at: Timestamp,
}

/// What must stay of a producer that may write again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// The end of its last batch, which tells its sequence number.
    pub(crate) data_offset: Option<Offset>,
    /// Without one its markers tell the epoch.
    pub(crate) epoch: ProducerEpoch,
}

/// What a clean goes by, from first to last.
#[derive(Debug)]
pub(crate) struct Basis<D> {
    pub(crate) dir: Dir<D>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) now: Timestamp,
    pub(crate) high_watermark: Offset,
    pub(crate) producers: BTreeMap<ProducerId, LastRecord>,
    /// As the log had it: a truncation since makes all of this void.
    pub(crate) truncations: u64,
}

/// What to clean, and how far.
#[derive(Debug)]
#[must_use = "nothing is cleaned before the plan has run"]
pub struct CleanPlan<D: Disk> {
    pub(crate) basis: Basis<D>,
    /// In ascending order, from the log's first segment to the limit.
    pub(crate) inputs: Vec<Input>,
    pub(crate) first_dirty: Offset,
    pub(crate) limit: Offset,
    pub(crate) aborts: Aborts,
    /// A snapshot of the producers from behind the limit, to be made durable: those before go.
    pub(crate) snapshot: Option<Offset>,
}

impl<D: Disk> Log<D> {
    /// Up to where the log has been cleaned, for the checkpoint; 0 if it never was.
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to
    }

    /// How dirty the log is. Opens each dirty segment once in its life.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn dirtiness(
        &mut self,
        high_watermark: Offset,
        now: Timestamp,
    ) -> Result<Dirtiness, LogError> {
        let first_dirty = self.first_dirty();
        let from = self.floor(first_dirty);
        let active = self.segments.len() - 1;
        let mut limit = self.last_stable_offset(high_watermark).min(self.active().base);
        let lag = self.config.compaction_lag_ms_min;
        let mut next_change = None;
        let mut oldest: Option<Timestamp> = None;
        for index in from..active {
            let (newest, first) = self.times_of(index)?;
            let cleanable_at = Timestamp(newest.0.saturating_add(lag));
            let base = self.segments.get(index).map_or(limit, |segment| segment.base);
            if lag > 0 && cleanable_at > now && base < limit {
                limit = base;
                next_change = Some(cleanable_at);
            }
            // Source: Kafka 4.4 leaves out what has no time, or 0.
            if first.0 > 0 {
                oldest = Some(oldest.map_or(first, |oldest| oldest.min(first)));
            }
        }
        let limit = self.segments.get(self.floor(limit)).map_or(limit, |segment| segment.base);
        let overdue_at = oldest
            .and_then(|first| first.0.checked_add(self.config.compaction_lag_ms_max))
            .and_then(|last| last.checked_add(1))
            .map(Timestamp);
        let waits = overdue_at.filter(|at| *at > now);
        Ok(Dirtiness {
            first_dirty,
            limit,
            clean_bytes: self.bytes_of(|base| base < first_dirty),
            cleanable_bytes: self
                .segments
                .iter()
                .skip(from)
                .filter(|segment| segment.base < limit)
                .map(|segment| u64::from(segment.size))
                .sum(),
            is_overdue: overdue_at.is_some_and(|at| at <= now),
            next_change: next_change.into_iter().chain(waits).min(),
        })
    }

    /// What to clean now; `None` if there is nothing that may be, or the log is not compacted any more. Not further
    /// than the recovery point, nor than `noted`, the one that is written down: a start after a crash takes a gap
    /// behind that for a loss, if the write-ahead log has batches of it.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn begin_clean(
        &mut self,
        high_watermark: Offset,
        noted: Offset,
        now: Timestamp,
    ) -> Result<Option<CleanPlan<D>>, LogError> {
        self.check_usable()?;
        if !self.config.compacted {
            return Ok(None);
        }
        let Dirtiness { first_dirty, limit, .. } = self.dirtiness(high_watermark, now)?;
        let durable = self.floor(limit.min(self.recovery_point).min(noted));
        let limit = self.segments.get(durable).map_or(limit, |segment| segment.base);
        let first = self.floor(first_dirty);
        if first >= durable {
            return Ok(None);
        }
        if self.snapshots.range(limit..).next().is_none() {
            self.write_snapshot()?;
        }
        let snapshot = self.snapshots.range(limit..).next().copied();
        let (sealed, active) = self.segments.split_at(self.segments.len() - 1);
        let inputs = sealed.iter().take(durable);
        let inputs =
            inputs.map(|s| Input { base: s.base, size: s.size, opened_at: s.opened_at }).collect();
        let (unsaved, saved): (Vec<_>, Vec<_>) =
            sealed.iter().filter(|s| s.has_aborts).partition(|s| s.unsaved_aborts.is_some());
        let mut rest = Vec::new();
        for segment in unsaved.into_iter().chain(active) {
            rest.extend(segment.aborts(&self.dir)?);
        }
        let aborts = Aborts {
            indexed: saved.iter().map(|s| s.base).collect(),
            rest,
            segments: self.extents(),
            are_replayed: false,
        };
        let producers = self.producers.states().map(|state| {
            let data_offset = state.batches().last().map(|batch| batch.last_offset);
            (state.id, LastRecord { data_offset, epoch: state.epoch })
        });
        let basis = Basis {
            dir: self.dir.clone(),
            config: self.config.clone(),
            now,
            high_watermark,
            producers: producers.collect(),
            truncations: self.truncations,
        };
        Ok(Some(CleanPlan { basis, inputs, first_dirty, limit, aborts, snapshot }))
    }

    /// Where the part begins whose keys have not been looked at. A checkpoint that cannot be true
    /// counts as none.
    fn first_dirty(&self) -> Offset {
        let known = self.log_start..=self.log_end;
        if known.contains(&self.cleaned_to) { self.cleaned_to } else { self.log_start }
    }

    /// The newest timestamp of a sealed segment and that of its first batch. A segment without
    /// timestamps is as old as its file, where that matters.
    fn times_of(&mut self, index: usize) -> Result<(Timestamp, Timestamp), LogError> {
        let Some(segment) = self.segments.get_mut(index) else {
            return Ok((Timestamp::NONE, Timestamp::NONE));
        };
        let is_open = segment.open_file().is_some();
        let mut newest = segment.newest(&self.dir)?.timestamp;
        let first = segment.first_timestamp(&self.dir)?;
        if newest == Timestamp::NONE && self.config.compaction_lag_ms_min > 0 {
            newest = segment.changed_at(&self.dir)?;
        }
        if !is_open {
            segment.release();
        }
        Ok((newest, first))
    }

    fn bytes_of(&self, which: impl Fn(Offset) -> bool) -> u64 {
        let segments = self.segments.iter().filter(|segment| which(segment.base));
        segments.map(|segment| u64::from(segment.size)).sum()
    }
}
