//! Keyed records, a clean in one call, and logs as a reader sees them.

use std::collections::BTreeMap;

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerId, Timestamp};
use dohle_log::{
    AbortedTransaction, CleanError, CleanMemory, Cleaned, Log, LogConfig, Origin, Pace,
    sim::SimDisk,
};
use dohle_records::{
    BatchBuilder, BatchSpec, BatchView, Compression, DECOMPRESSED_SIZE_MAX, EndTxnMarker,
    NewRecord, Producer,
};

use crate::kit::*;

pub(crate) const MEMORY: CleanMemory =
    CleanMemory { map_bytes: 1 << 20, load_factor: 0.9, io_bytes: 1 << 16 };
pub(crate) const RETENTION: i64 = 10_000;

/// A compacted log whose segments hold a few batches.
pub(crate) fn compacted() -> LogConfig {
    LogConfig { compacted: true, segment_bytes_max: 400, delete_retention_ms: RETENTION, ..small() }
}

pub(crate) fn later(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

/// Records of one batch: keys, and values or tombstones.
pub(crate) type Pairs<'a> = &'a [(&'a str, Option<&'a str>)];

/// How a batch is made.
#[derive(Clone, Copy)]
pub(crate) struct By {
    pub(crate) producer: Producer,
    pub(crate) transactional: bool,
    pub(crate) compression: Compression,
    pub(crate) timestamp: Timestamp,
}

impl Default for By {
    fn default() -> Self {
        let (producer, compression) = (Producer::NONE, Compression::NONE);
        Self { producer, transactional: false, compression, timestamp: NOW }
    }
}

pub(crate) fn batch_by(by: By, pairs: Pairs<'_>) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSpec {
        producer: by.producer,
        transactional: by.transactional,
        compression: by.compression,
        ..BatchSpec::default()
    });
    for (key, value) in pairs {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        let timestamp = by.timestamp;
        builder.append(&NewRecord { timestamp, key, value, headers: &[] }).unwrap();
    }
    builder.finish()
}

pub(crate) fn put_by(log: &mut Log<SimDisk>, by: By, pairs: Pairs<'_>) -> Offset {
    let batch = batch_by(by, pairs);
    log.append_as_leader(&batch, EPOCH, client(by.transactional), NOW).unwrap().base_offset
}

pub(crate) fn put(log: &mut Log<SimDisk>, pairs: Pairs<'_>) -> Offset {
    put_by(log, By::default(), pairs)
}

/// Begins a transaction's batch with the next sequence number of its producer.
pub(crate) fn put_in_transaction(log: &mut Log<SimDisk>, id: i64, pairs: Pairs<'_>) -> Offset {
    let sequence = log.producer(ProducerId(id)).map_or(0, |state| state.next_sequence());
    let by = By { producer: producer(id, 0, sequence), transactional: true, ..By::default() };
    put_by(log, by, pairs)
}

pub(crate) fn roll(log: &mut Log<SimDisk>) {
    log.roll(NOW).unwrap();
}

/// A whole clean, as the host makes it, of a log that is as it was written.
pub(crate) fn clean(log: &mut Log<SimDisk>, now: Timestamp) -> Option<Cleaned> {
    let high_watermark = log.log_end_offset();
    let cleaned = clean_with(log, high_watermark, now, MEMORY).unwrap();
    assert!(!cleaned.is_some_and(|cleaned| cleaned.stats().aborts_replayed), "no index is wrong");
    cleaned
}

pub(crate) fn clean_with(
    log: &mut Log<SimDisk>,
    high_watermark: Offset,
    now: Timestamp,
    memory: CleanMemory,
) -> Result<Option<Cleaned>, CleanError> {
    log.flush()?;
    let go: &mut Pace<'_> = &mut |_| true;
    let noted = log.recovery_point();
    let Some(plan) = log.begin_clean(high_watermark, noted, now)? else { return Ok(None) };
    let mut cleaning = plan.index(memory, go)?;
    while let Some(replacement) = cleaning.next(go)? {
        assert!(log.swap_in(replacement, now)?, "nothing else happened");
    }
    let cleaned = cleaning.finish();
    log.finish_clean(cleaned);
    Ok(Some(cleaned))
}

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) timestamp: i64,
    pub(crate) producer: i64,
    pub(crate) is_marker: bool,
}

/// Checks of a log what must hold whatever was cleaned, and returns its records, markers included.
pub(crate) fn stored(log: &mut Log<SimDisk>) -> Vec<Stored> {
    let mut records = Vec::new();
    let mut end = log.log_start_offset();
    for bytes in read_all(log) {
        let batch = BatchView::parse(&bytes).unwrap();
        batch.check().unwrap();
        assert!(batch.base_offset() >= end, "batches ascend");
        end = batch.next_offset();
        for record in batch.decompress(DECOMPRESSED_SIZE_MAX).unwrap().records() {
            let record = record.unwrap();
            assert!((batch.base_offset()..end).contains(&record.offset));
            let is_marker = batch.attributes().is_control();
            // The key of a marker is no text.
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            records.push(Stored {
                offset: record.offset.0,
                key: record.key.map(text),
                value: record.value.map(text),
                timestamp: record.timestamp.0,
                producer: batch.producer_id().0,
                is_marker,
            });
        }
    }
    assert!(end <= log.log_end_offset());
    assert!(records.is_sorted_by_key(|record| record.offset));
    records
}

/// Offsets of the records that are no markers.
pub(crate) fn offsets(log: &mut Log<SimDisk>) -> Vec<i64> {
    let records = stored(log).into_iter().filter(|record| !record.is_marker);
    records.map(|record| record.offset).collect()
}

pub(crate) fn markers(log: &mut Log<SimDisk>) -> Vec<i64> {
    let records = stored(log).into_iter().filter(|record| record.is_marker);
    records.map(|record| record.offset).collect()
}

/// What a read-committed consumer makes of a log that it reads from its start: the last value of
/// each key. It leaves out what the broker tells it was aborted, by the rules of the Java client.
pub(crate) fn folded(log: &mut Log<SimDisk>) -> BTreeMap<String, String> {
    let high_watermark = log.log_end_offset();
    let up_to = log.last_stable_offset(high_watermark);
    let mut told = log.aborted_transactions(log.log_start_offset(), up_to).unwrap();
    told.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
    let mut aborting: Vec<ProducerId> = Vec::new();
    let mut values = BTreeMap::new();
    for bytes in read_all(log) {
        let batch = BatchView::parse(&bytes).unwrap();
        if batch.base_offset() >= up_to {
            break;
        }
        while let Some(AbortedTransaction { producer_id, .. }) =
            told.pop_if(|next| next.first_offset <= batch.last_offset())
        {
            aborting.push(producer_id);
        }
        let payload = batch.decompress(DECOMPRESSED_SIZE_MAX).unwrap();
        if batch.attributes().is_control() {
            let first = payload.records().next().transpose().unwrap();
            if first.is_some_and(|first| !EndTxnMarker::parse(&first).unwrap().committed) {
                aborting.retain(|id| *id != batch.producer_id());
            }
            continue;
        }
        if batch.attributes().is_transactional() && aborting.contains(&batch.producer_id()) {
            continue;
        }
        for record in payload.records() {
            let record = record.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let Some(key) = record.key.map(text) else { continue };
            match record.value {
                Some(value) => values.insert(key, text(value)),
                None => values.remove(&key),
            };
        }
    }
    values
}

/// Appends in a later leader epoch, to see that the log goes on.
pub(crate) fn goes_on(log: &mut Log<SimDisk>) {
    let end = log.log_end_offset();
    let epoch = LeaderEpoch(log.latest_epoch().0.max(0) + 1);
    let batch = records(1).bytes();
    let appended = log.append_as_leader(&batch, epoch, Origin::Client, NOW).unwrap();
    assert_eq!(appended.base_offset, end);
}
