//! What stays of one batch.
//!
//! | record | stays |
//! |---|---|
//! | behind what the map knows | yes |
//! | of an aborted transaction | no |
//! | without a key | no |
//! | not the last of its key | no |
//! | a tombstone, the last of its key | until the batch's delete horizon |
//! | a marker | until no batch of its transaction is left, and then until the horizon |
//! | any other | yes |
//!
//! A batch whose records cannot be read stays as it is, if the checksum is right: it lies as its client
//! made it (ADR 9). None of its keys is in the map.
//!
//! A horizon is set by the first clean that finds a tombstone, or a marker that nobody needs, and is
//! `delete.retention.ms` away: whoever began to read before the records went still sees what ended
//! them. A batch without records stays, empty, if it is the last one of a producer that may write
//! again, or the last one before the high watermark.

use bytes::Bytes;
use dohle_base::{Offset, Timestamp};
use dohle_records::{
    BatchBuilder, BatchError, BatchSpec, BatchView, ControlType, Entry, LegacyMessage, Payload,
    Record, TimestampType, empty_batch,
};

use super::{
    offset_map::OffsetMap,
    plan::Basis,
    transactions::{Marker, Transactions},
};
use crate::txn_index::AbortedTransaction;

/// What stays of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing.
    Nothing,
    /// All of it, as it is.
    Whole,
    /// Some of it, or all with a delete horizon.
    Rebuilt(Bytes),
}

/// What was found out about a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filtered {
    pub(crate) kept: Kept,
    /// The aborted transaction whose marker this is, if batches of it were met.
    pub(crate) ended: Option<AbortedTransaction>,
    /// Records that were looked at.
    pub(crate) records: u64,
    /// Records that stay.
    pub(crate) records_kept: u64,
    /// Whether it stays because nobody can read its records.
    pub(crate) is_unreadable: bool,
}

impl Filtered {
    fn of(kept: Kept, records: u64, records_kept: u64) -> Self {
        Self { kept, ended: None, records, records_kept, is_unreadable: false }
    }
}

/// Filters the batches of a log in turn.
pub(crate) struct Filter<'a, D> {
    pub(crate) basis: &'a Basis<D>,
    pub(crate) map: &'a OffsetMap,
    pub(crate) transactions: &'a mut Transactions,
}

/// What is decided for a batch before its records are looked at.
#[derive(Clone, Copy)]
struct Verdict {
    /// None of its records stays.
    drops_all: bool,
    /// All of its records stay: it is a marker.
    keeps_all: bool,
    /// It stays even without records.
    stays_empty: bool,
    /// It is a marker that nobody needs.
    is_bare: bool,
}

/// The type of a control batch's first record; `None` if there is no record. One that cannot be read
/// is one that is not known.
pub(crate) fn control_type(batch: &BatchView<'_>) -> Result<Option<ControlType>, BatchError> {
    /// Control records have tens of bytes, but for the raft voters'.
    const SIZE_MAX: usize = 1 << 20;
    let payload = batch.decompress(SIZE_MAX)?;
    let Some(first) = payload.records().next() else { return Ok(None) };
    Ok(Some(ControlType::of(&first?).unwrap_or(ControlType::Unknown(-1))))
}

impl<D> Filter<'_, D> {
    /// Says what stays of an entry.
    pub(crate) fn apply(&mut self, entry: &Entry<'_>) -> Result<Filtered, BatchError> {
        match entry {
            Entry::Batch(batch) => self.batch(batch),
            Entry::Legacy(message) => self.legacy(message),
        }
    }

    fn batch(&mut self, batch: &BatchView<'_>) -> Result<Filtered, BatchError> {
        let (verdict, ended) = self.judge(batch)?;
        let records = u64::try_from(batch.record_count()).unwrap_or(0);
        let mut filtered = Filtered::of(Kept::Nothing, records, 0);
        filtered.ended = ended;
        if verdict.drops_all || filtered.records == 0 {
            if verdict.stays_empty {
                let is_empty = filtered.records == 0;
                filtered.kept = if is_empty { Kept::Whole } else { Kept::Rebuilt(emptied(batch)) };
            }
            return Ok(filtered);
        }
        let horizon = batch.delete_horizon();
        let limit = self.basis.config.decompressed_bytes_max;
        let chosen = batch.decompress(limit).and_then(|payload| {
            let stays = |record: &Record<'_>| verdict.keeps_all || self.stays(record, horizon);
            Choice::of(&payload, stays).map(|choice| (payload, choice))
        });
        let (payload, choice) = match chosen {
            Ok(chosen) => chosen,
            Err(error) if batch.attributes().is_control() => return Err(error),
            Err(_) => {
                return Ok(Filtered {
                    is_unreadable: true,
                    ..Filtered::of(Kept::Whole, records, records)
                });
            }
        };
        filtered.records_kept = choice.count;
        let needs_horizon = (choice.has_tombstones || verdict.is_bare) && horizon.is_none();
        filtered.kept = if choice.count == 0 {
            if verdict.stays_empty { Kept::Rebuilt(emptied(batch)) } else { Kept::Nothing }
        } else if choice.count == filtered.records && !needs_horizon {
            Kept::Whole
        } else {
            let mut spec = BatchSpec::of(&batch.header());
            if needs_horizon {
                spec.delete_horizon = Some(self.horizon());
            }
            rebuild(spec, &payload, &choice, Some(batch.last_offset()))?
        };
        Ok(filtered)
    }

    /// Old messages become batches. Their tombstones get a horizon like any other.
    fn legacy(&mut self, message: &LegacyMessage<'_>) -> Result<Filtered, BatchError> {
        let payload = message.decompress(self.basis.config.decompressed_bytes_max)?;
        let choice = Choice::of(&payload, |record| self.stays(record, None))?;
        let kept = match choice.first {
            None => Kept::Nothing,
            Some(first) => {
                let attributes = message.attributes();
                let log_append = attributes.timestamp_type() == TimestampType::LogAppend;
                let spec = BatchSpec {
                    base_offset: first,
                    log_append_time: log_append.then(|| message.timestamp()),
                    delete_horizon: choice.has_tombstones.then(|| self.horizon()),
                    compression: attributes.codec().unwrap_or_default().into(),
                    ..BatchSpec::default()
                };
                rebuild(spec, &payload, &choice, None)?
            }
        };
        let records = choice.stays.len() as u64;
        Ok(Filtered::of(kept, records, choice.count))
    }

    fn judge(
        &mut self,
        batch: &BatchView<'_>,
    ) -> Result<(Verdict, Option<AbortedTransaction>), BatchError> {
        let stays_empty =
            self.is_last_of_producer(batch) || batch.next_offset() == self.basis.high_watermark;
        if !batch.attributes().is_control() {
            let drops_all = self.transactions.pass_records(batch);
            let verdict = Verdict { drops_all, keeps_all: false, stays_empty, is_bare: false };
            return Ok((verdict, None));
        }
        let marker = self.transactions.pass_marker(batch, control_type(batch)?);
        let is_bare = marker == Marker::Bare;
        let is_past = batch.delete_horizon().is_some_and(|horizon| horizon <= self.basis.now);
        let drops_all = is_bare && is_past;
        let ended = match marker {
            Marker::Ends(transaction) => Some(transaction),
            Marker::Needed | Marker::Bare => None,
        };
        Ok((Verdict { drops_all, keeps_all: true, stays_empty, is_bare }, ended))
    }

    fn is_last_of_producer(&self, batch: &BatchView<'_>) -> bool {
        let Some(last) = self.basis.producers.get(&batch.producer_id()) else { return false };
        batch.has_producer_id()
            && match last.data_offset {
                Some(offset) => batch.last_offset() == offset,
                None => batch.attributes().is_control() && batch.producer_epoch() == last.epoch,
            }
    }

    fn stays(&self, record: &Record<'_>, horizon: Option<Timestamp>) -> bool {
        if self.map.latest().is_none_or(|latest| record.offset > latest) {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_last = self.map.get(key).is_none_or(|last| record.offset >= last);
        let is_readable = horizon.is_none_or(|horizon| self.basis.now < horizon);
        is_last && (record.value.is_some() || is_readable)
    }

    fn horizon(&self) -> Timestamp {
        let retention = self.basis.config.delete_retention_ms;
        Timestamp(self.basis.now.0.saturating_add(retention))
    }
}

/// Which records of a batch stay.
struct Choice {
    stays: Vec<bool>,
    count: u64,
    has_tombstones: bool,
    /// The offset of the first that stays.
    first: Option<Offset>,
}

impl Choice {
    fn of(payload: &Payload<'_>, stays: impl Fn(&Record<'_>) -> bool) -> Result<Self, BatchError> {
        let mut choice = Self { stays: Vec::new(), count: 0, has_tombstones: false, first: None };
        for record in payload.records() {
            let record = record?;
            let this_stays = stays(&record);
            if this_stays {
                choice.count += 1;
                choice.has_tombstones |= record.value.is_none();
                choice.first.get_or_insert(record.offset);
            }
            choice.stays.push(this_stays);
        }
        Ok(choice)
    }
}

fn rebuild(
    spec: BatchSpec,
    payload: &Payload<'_>,
    choice: &Choice,
    last_offset: Option<Offset>,
) -> Result<Kept, BatchError> {
    let mut builder = BatchBuilder::new(spec);
    for (record, stays) in payload.records().zip(&choice.stays) {
        let record = record?;
        if *stays && builder.copy(&record).is_err() {
            // More than a gibibyte: it cannot be built again, so none of it goes.
            return Ok(Kept::Whole);
        }
    }
    Ok(Kept::Rebuilt(match last_offset {
        Some(offset) => builder.finish_at(offset),
        None => builder.finish(),
    }))
}

fn emptied(batch: &BatchView<'_>) -> Bytes {
    let spec = BatchSpec::of(&batch.header());
    let timestamp_type = batch.attributes().timestamp_type();
    empty_batch(spec, batch.last_offset(), timestamp_type, batch.max_timestamp())
}
