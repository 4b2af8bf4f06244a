//! A `.snapshot`: what a partition remembers of its producers.

use std::path::Path;

use dohle_log::inspect::{SnapshotError, producers};
use dohle_os::OsDisk;

use super::{fault::Fault, file::disk, page::Page, segment::OptionalLong};

/// Bytes before the entries: version, checksum and count.
const HEAD_SIZE: usize = 10;

/// Shows all producers. That the file is damaged is no fault: a node does without it.
pub(super) fn show(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    let states = match producers(&OsDisk, path).map_err(|error| disk(path, error))? {
        Ok(states) => states,
        Err(error) => return Ok(page.aside(words(error))?),
    };
    for state in states {
        page.put(format_args!(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} \
             lastTimestamp: {}",
            state.id.0,
            state.epoch.0,
            state.coordinator_epoch,
            OptionalLong(state.transaction_start.map(|offset| offset.0)),
            state.last_timestamp.0,
        ))?;
        if let Some(batch) = state.batches().last() {
            page.put(format_args!(
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                batch.base_sequence(),
                batch.last_sequence,
                batch.last_offset.0,
                batch.offset_delta,
                batch.timestamp.0,
            ))?;
        }
        page.line("")?;
    }
    Ok(())
}

/// In Kafka's words.
fn words(error: SnapshotError) -> String {
    let fault = match error {
        SnapshotError::Crc { stored, computed } => {
            return format!(
                "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
            );
        }
        SnapshotError::Version(version) => {
            format!("Snapshot contained an unknown file version {version}")
        }
        SnapshotError::Size { count: ..0, .. } => {
            "non-nullable field producerEntries was serialized as null".to_owned()
        }
        SnapshotError::Size { count, size } => match (count.unsigned_abs() as usize, size) {
            (count, HEAD_SIZE..) if count > size - HEAD_SIZE => format!(
                "Tried to allocate a collection of size {count}, but there are only {} bytes remaining.",
                size - HEAD_SIZE
            ),
            // The exception for bytes that end too early has no message.
            _ => "null".to_owned(),
        },
    };
    format!("Snapshot failed schema validation: {fault}")
}
