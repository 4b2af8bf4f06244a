//! What the produce path checks of a client's batch before it appends it.
//!
//! One pass over the bytes, for the checksum, and no look at single records: what a consumer could
//! not decode is the consumer's to notice, as is a max timestamp that is not the greatest. Nothing
//! is allocated.
//!
//! How many records there are is the client's word, too, and each takes an offset. It is taken as far
//! as a stream of that size could hold so many: as many offsets could be taken by real records, and
//! of more than some 300 million by none that anybody could decompress.

use dohle_base::Timestamp;

use crate::{
    BatchError, BatchView, Codec, DECOMPRESSED_SIZE_MAX, Producer, TimestampType, sequence_after,
};

/// What an append needs to know of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// Bytes of the whole batch.
    pub size: usize,
    /// Records in it, at least one.
    pub count: i32,
    /// One less than `count`.
    pub last_offset_delta: i32,
    /// How the records are compressed.
    pub codec: Codec,
    /// Whose clock the timestamps are from.
    pub timestamp_type: TimestampType,
    /// What the records' timestamps count from.
    pub base_timestamp: Timestamp,
    /// The greatest timestamp, on the client's word.
    pub max_timestamp: Timestamp,
    /// Who numbered the records; `None` unless idempotent.
    pub producer: Option<Producer>,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
}

impl BatchSummary {
    /// The sequence number of the last record; −1 without a producer.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.producer.map_or(-1, |p| sequence_after(p.base_sequence, self.last_offset_delta))
    }
}

/// Checks what a client wants appended to one partition: exactly one batch of magic 2, made by the
/// rules for clients, with the right checksum.
///
/// # Errors
/// `Truncated`, `BadMagic`, `BadLength`, `NotAlone`; `UnknownCodec`, `BadOffsets` (the base offset
/// must be 0), `BadCount` (one record for each offset, at least one, and no more
/// than the payload could hold), `ControlFromClient`, `BadSequence`; `BadCrc`.
pub fn check_produce_batch(bytes: &[u8]) -> Result<BatchSummary, BatchError> {
    let batch = BatchView::parse(bytes)?;
    if batch.size() != bytes.len() {
        return Err(BatchError::NotAlone { size: bytes.len(), batch_size: batch.size() });
    }
    // The checksum comes first: of damaged bytes no field means anything.
    batch.check_crc()?;
    batch.check()?;
    check_client_rules(&batch)?;
    let attributes = batch.attributes();
    Ok(BatchSummary {
        size: batch.size(),
        count: batch.record_count(),
        last_offset_delta: batch.last_offset_delta(),
        codec: attributes.codec().unwrap_or_default(),
        timestamp_type: attributes.timestamp_type(),
        base_timestamp: batch.base_timestamp(),
        max_timestamp: batch.max_timestamp(),
        producer: batch.producer(),
        transactional: attributes.is_transactional(),
    })
}

fn check_client_rules(batch: &BatchView<'_>) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (batch.record_count(), batch.last_offset_delta());
    if batch.base_offset().0 != 0 {
        let base_offset = batch.base_offset().0;
        return Err(BatchError::BadOffsets { base_offset, last_offset_delta });
    }
    if count == 0
        || count - 1 != last_offset_delta
        || batch.plain_size_min() > plain_size_max(batch)
    {
        return Err(BatchError::BadCount { count, last_offset_delta });
    }
    if batch.attributes().is_control() {
        return Err(BatchError::ControlFromClient);
    }
    match batch.producer() {
        Some(producer) if producer.base_sequence < 0 => Err(BatchError::BadSequence {
            producer_id: producer.id.0,
            base_sequence: producer.base_sequence,
        }),
        _ => Ok(()),
    }
}

/// The most bytes that the payload could decompress to.
fn plain_size_max(batch: &BatchView<'_>) -> u64 {
    // A codec that has no meaning was refused before.
    let ratio_max = batch.attributes().codec().map_or(0, Codec::ratio_max);
    let size_max = (batch.payload_size() as u64).saturating_mul(ratio_max);
    size_max.min(DECOMPRESSED_SIZE_MAX as u64)
}
