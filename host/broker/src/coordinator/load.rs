//! Reads a partition of `__consumer_offsets` into a group machine.

use dohle_base::{ErrorCode, Offset, ProducerId};
use dohle_group::{GroupMachine, GroupRecord, RecordError};
use dohle_log::{IoError, ReadError};
use dohle_machine::Runtime;
use dohle_records::{
    BatchError, ControlError, DECOMPRESSED_SIZE_MAX, EndTxnMarker, Entry, entries, owned_records,
};
use dohle_replication::{Isolation, Read};

use crate::partition::Partition;

/// How much is read at once.
const READ_SIZE: usize = 4 << 20;

/// Why a partition's groups cannot be known.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The partition is not led here, or offline.
    #[error("{0}")]
    NotLed(ErrorCode),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A batch is damaged.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A marker of a transaction is not one.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A record says something that no version of Kafka writes.
    #[error("offset {offset}: {error}")]
    Record {
        /// Where.
        offset: Offset,
        /// What is wrong.
        error: RecordError,
    },
}

/// The machine after all records of the partition.
pub(super) fn load(partition: &Partition) -> Result<Runtime<GroupMachine>, LoadError> {
    let mut runtime = Runtime::default();
    let standing = partition.with_leader(|leader| leader.standing()).map_err(LoadError::NotLed)?;
    let mut next = standing.log_start;
    while next < standing.log_end {
        let read = Read {
            from: next,
            size_max: READ_SIZE,
            at_least_one: true,
            isolation: Isolation::LogEnd,
        };
        let found =
            partition.with_leader(|leader| leader.read(read)).map_err(LoadError::NotLed)??;
        let Some(slice) = found.slice else { break };
        let bytes = slice.read()?;
        let before = next;
        for entry in entries(&bytes) {
            // What is cut off at the end comes with the next read.
            let Ok(entry) = entry else { break };
            if entry.last_offset() >= next {
                replay(&mut runtime, &bytes, &entry)?;
            }
            next = entry.last_offset().next();
        }
        if next == before {
            break;
        }
    }
    runtime.handle_high_watermark(standing.high_watermark);
    Ok(runtime)
}

fn replay(
    runtime: &mut Runtime<GroupMachine>,
    bytes: &bytes::Bytes,
    entry: &Entry<'_>,
) -> Result<(), LoadError> {
    let batch = entry.batch();
    let producer_id = match batch {
        Some(batch) if batch.attributes().is_transactional() => batch.producer_id(),
        _ => ProducerId::NONE,
    };
    if let Some(batch) = batch.filter(|batch| batch.attributes().is_control()) {
        let payload = batch.decompress(DECOMPRESSED_SIZE_MAX)?;
        for record in payload.records() {
            let record = record?;
            let marker = EndTxnMarker::parse(&record)?;
            let committed = marker.committed;
            runtime.replay(record.offset, &GroupRecord::EndMarker { producer_id, committed });
        }
        return Ok(());
    }
    for record in owned_records(bytes, entry, DECOMPRESSED_SIZE_MAX)? {
        let offset = record.offset;
        let Some(key) = record.key else { continue };
        let record = GroupRecord::decode(key, record.value, producer_id)
            .map_err(|error| LoadError::Record { offset, error })?;
        runtime.replay(offset, &record);
    }
    Ok(())
}
