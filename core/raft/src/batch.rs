//! The batches of the metadata log: uncompressed, without a producer, in the leader's epoch.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_records::{
    BatchBuilder, BatchError, BatchSpec, BatchView, DECOMPRESSED_SIZE_MAX, NewRecord,
};

use crate::ControlRecord;

/// The most bytes of a batch. Source: Kafka's raft buffers, 8 MiB.
pub const BATCH_SIZE_MAX: usize = 8 * 1024 * 1024;

/// Where a batch is to lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) base_offset: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) timestamp: Timestamp,
}

impl Place {
    fn builder(self, control: bool) -> BatchBuilder {
        BatchBuilder::new(BatchSpec {
            base_offset: self.base_offset,
            partition_leader_epoch: self.epoch,
            control,
            ..BatchSpec::default()
        })
    }
}

/// A batch of records without keys; none if it would exceed [`BATCH_SIZE_MAX`].
pub(crate) fn data_batch(place: Place, values: &[Bytes]) -> Option<Bytes> {
    let mut builder = place.builder(false);
    for value in values {
        let record =
            NewRecord { timestamp: place.timestamp, value: Some(value), ..NewRecord::default() };
        if !builder.fits(&record, BATCH_SIZE_MAX) {
            return None;
        }
        builder.append(&record).ok()?;
    }
    Some(builder.finish())
}

/// A batch of control records.
pub(crate) fn control_batch(place: Place, records: &[ControlRecord]) -> Bytes {
    let mut builder = place.builder(true);
    for record in records {
        let (key, value) = (record.key(), record.value());
        let record = NewRecord {
            timestamp: place.timestamp,
            key: Some(&key),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("a handful of control records fit a batch");
    }
    builder.finish()
}

/// The offsets and values of the records of a data batch; nothing for a control batch.
///
/// # Errors
/// The batch cannot be decoded.
pub fn data_values(batch: &BatchView<'_>) -> Result<Vec<(Offset, Bytes)>, BatchError> {
    if batch.attributes().is_control() {
        return Ok(Vec::new());
    }
    let payload = batch.decompress(DECOMPRESSED_SIZE_MAX)?;
    let records = payload.records().map(|record| {
        let record = record?;
        Ok((record.offset, Bytes::copy_from_slice(record.value.unwrap_or_default())))
    });
    records.collect()
}
