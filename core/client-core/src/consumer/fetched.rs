//! An answer's bytes for one partition, turned into records bit by bit.
//!
//! Batches are checked and decompressed when their records are wanted. Control batches are passed
//! over, and with `read_committed` so are the batches of aborted transactions: the broker lists
//! where they begin, and each ends with its producer's abort marker. Source: KIP-98.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerId};
use dohle_protocol::api::fetch_response::AbortedTransaction;
use dohle_records::{
    BatchError, BatchView, ControlType, DECOMPRESSED_SIZE_MAX, Entry, OwnedRecord, TimestampType,
    entries, owned_records,
};

use super::{ConsumerRecord, IsolationLevel, positions::Place};
use crate::TopicPartition;

/// Bytes of one partition that have not been handed out yet.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: TopicPartition,
    /// Where its first unread record is; bytes may begin before.
    pub(super) from: Place,
    bytes: Bytes,
    /// Where in `bytes` the next batch begins.
    at: usize,
    /// Aborted transactions whose begin has not been passed, by first offset.
    aborted: VecDeque<AbortedTransaction>,
    /// Producers within an aborted transaction.
    aborting: BTreeSet<ProducerId>,
    /// What is left of the batch last opened.
    open: Option<OpenBatch>,
}

#[derive(Debug)]
struct OpenBatch {
    records: VecDeque<OwnedRecord>,
    epoch: LeaderEpoch,
    timestamp_type: TimestampType,
    /// The place behind the batch, which may be beyond its last record.
    end: Place,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) isolation: IsolationLevel,
    pub(super) check_crcs: bool,
}

/// The place behind the last whole batch in `bytes`; `None` if there is none.
pub(super) fn end_of(bytes: &[u8]) -> Option<Place> {
    let last = entries(bytes).map_while(Result::ok).last()?;
    let epoch = last.batch().map_or(LeaderEpoch::NONE, |b| b.header().partition_leader_epoch());
    Some(Place { offset: last.last_offset().next(), epoch })
}

impl Fetched {
    /// The bytes of an answer that was asked for from `from` on.
    pub(super) fn new(
        partition: TopicPartition,
        from: Place,
        bytes: Bytes,
        aborted: Option<Vec<AbortedTransaction>>,
    ) -> Self {
        let mut aborted = aborted.unwrap_or_default();
        // Brokers other than Kafka do not always sort them.
        aborted.sort_by_key(|transaction| transaction.first_offset);
        let (at, aborting, open) = (0, BTreeSet::new(), None);
        Self { partition, from, bytes, at, aborted: aborted.into(), aborting, open }
    }

    /// Bytes that are kept for it.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes up to `max` records, appends them to `records`, and says how far it got; `None` at the
    /// end.
    ///
    /// # Errors
    /// A batch that cannot be read, and the place where it begins. Nothing behind it is tried.
    pub(super) fn take(
        &mut self,
        max: usize,
        reading: Reading,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<Option<Place>, BatchError> {
        let mut taken = 0;
        loop {
            if let Some(open) = &mut self.open {
                while taken < max
                    && let Some(record) = open.records.pop_front()
                {
                    self.from = Place { offset: record.offset.next(), epoch: open.epoch };
                    records.push(finish(&self.partition, open, record));
                    taken += 1;
                }
                if !open.records.is_empty() {
                    return Ok(Some(self.from));
                }
                self.from = open.end;
                self.open = None;
            }
            if !self.open_next(reading)? {
                return Ok(None);
            }
        }
    }

    /// Opens the next batch with records to hand out. Says whether there is one.
    fn open_next(&mut self, reading: Reading) -> Result<bool, BatchError> {
        let bytes = self.bytes.clone();
        while self.open.is_none() {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let entry = match entries(rest).next() {
                // What the answer's limit has cut off comes again with the next one.
                None | Some(Err(BatchError::Truncated { .. })) => return Ok(false),
                Some(entry) => entry?,
            };
            if reading.check_crcs {
                entry.check_crc()?;
            }
            let size = entry.bytes().len();
            self.open_entry(&bytes, &entry, reading)?;
            self.at += size;
        }
        Ok(true)
    }

    fn open_entry(
        &mut self,
        bytes: &Bytes,
        entry: &Entry<'_>,
        reading: Reading,
    ) -> Result<(), BatchError> {
        let batch = entry.batch();
        let header = batch.as_ref().map(BatchView::header);
        let epoch = header.map_or(LeaderEpoch::NONE, |header| header.partition_leader_epoch());
        let end = Place { offset: entry.last_offset().next(), epoch };
        if end.offset <= self.from.offset || self.is_hidden(entry, reading)? {
            if end.offset > self.from.offset {
                self.from = end;
            }
            return Ok(());
        }
        let timestamp_type =
            header.map_or(TimestampType::Create, |h| h.attributes().timestamp_type());
        let mut records: VecDeque<_> = owned_records(bytes, entry, DECOMPRESSED_SIZE_MAX)?.into();
        while records.front().is_some_and(|record| record.offset < self.from.offset) {
            records.pop_front();
        }
        self.open = Some(OpenBatch { records, epoch, timestamp_type, end });
        Ok(())
    }

    /// Whether the records of a batch are not for the application: control records, or those of an
    /// aborted transaction.
    fn is_hidden(&mut self, entry: &Entry<'_>, reading: Reading) -> Result<bool, BatchError> {
        let Some(batch) = entry.batch() else { return Ok(false) };
        let header = batch.header();
        let producer = header.producer_id();
        if reading.isolation == IsolationLevel::ReadUncommitted || producer == ProducerId::NONE {
            return Ok(header.attributes().is_control());
        }
        let passed =
            |transaction: &mut AbortedTransaction| transaction.first_offset <= header.last_offset();
        while let Some(begun) = self.aborted.pop_front_if(passed) {
            self.aborting.insert(begun.producer_id);
        }
        if !header.attributes().is_control() {
            return Ok(header.attributes().is_transactional() && self.aborting.contains(&producer));
        }
        if is_abort_marker(&batch)? {
            self.aborting.remove(&producer);
        }
        Ok(true)
    }
}

fn is_abort_marker(batch: &BatchView<'_>) -> Result<bool, BatchError> {
    let payload = batch.decompress(DECOMPRESSED_SIZE_MAX)?;
    let Some(first) = payload.records().next() else { return Ok(false) };
    Ok(ControlType::of(&first?) == Ok(ControlType::Abort))
}

fn finish(partition: &TopicPartition, batch: &OpenBatch, record: OwnedRecord) -> ConsumerRecord {
    ConsumerRecord {
        topic: partition.topic.clone(),
        partition: partition.partition,
        offset: record.offset,
        leader_epoch: batch.epoch,
        timestamp: record.timestamp,
        timestamp_type: batch.timestamp_type,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

/// The least offset that a fetch can ask for.
pub(super) const FIRST: Offset = Offset::ZERO;

#[cfg(test)]
mod tests;
