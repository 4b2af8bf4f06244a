//! Reads a partition of `__consumer_offsets` into a group machine.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use dohle_base::{ErrorCode, Offset, ProducerId};
use dohle_group::{GroupMachine, GroupRecord, RecordError};
use dohle_log::{DiskFile, IoError, ReadError, Slice};
use dohle_machine::Runtime;
use dohle_records::{
    BatchError, ControlError, DECOMPRESSED_SIZE_MAX, EndTxnMarker, Entry, owned_records,
};
use dohle_replication::{Isolation, Read};

use crate::{disk::NodeFile, log_dirs::LogDir, partition::Partition};

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
    /// Nobody wants it any more.
    #[error("the coordinator has ended")]
    Unwanted,
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A batch is not what was written, or says what no version of Kafka writes.
    #[error("{} is damaged at {position}: {fault}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It is none, or its checksum is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// It does not lie between those before it and the end of the log: no checksum covers its first offset.
    #[error("it ends at offset {last}, expected {from} to {end}")]
    OutOfOrder {
        /// Its last offset.
        last: Offset,
        /// The least that it can be.
        from: Offset,
        /// The end of the log.
        end: Offset,
    },
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

impl LoadError {
    /// Takes the directory out of service if it was its disk that failed.
    fn told_to(self, dir: &LogDir) -> Self {
        match &self {
            Self::Read(ReadError::Log(error)) => dir.judge_log(error),
            Self::Io(error) => dir.judge(error),
            Self::Read(ReadError::OutOfRange { .. })
            | Self::NotLed(_)
            | Self::Unwanted
            | Self::Damaged { .. } => {}
        }
        self
    }
}

/// The machine after all records of the partition, while it is wanted. A disk that fails is out of service then.
pub(super) fn load(
    partition: &Partition,
    is_wanted: impl Fn() -> bool,
) -> Result<Runtime<GroupMachine>, LoadError> {
    let mut runtime = Runtime::default();
    let mut next = Offset::ZERO;
    loop {
        let (found, dir) = partition
            .with_leader(|leader| {
                next = next.max(leader.standing().log_start);
                let isolation = Isolation::LogEnd;
                let read = Read { from: next, size_max: READ_SIZE, at_least_one: true, isolation };
                // It may move before anybody looks at what the disk did.
                (leader.read(read), partition.log_dir())
            })
            .map_err(LoadError::NotLed)?;
        let found = found.map_err(|error| LoadError::from(error).told_to(&dir))?;
        // Of the read's own moment: others than the coordinator may append meanwhile.
        runtime.handle_high_watermark(found.standing.high_watermark);
        let Some(slice) = found.slice else { return Ok(runtime) };
        if !is_wanted() {
            return Err(LoadError::Unwanted);
        }
        next = replay_slice(&mut runtime, &slice, next, found.standing.log_end)
            .map_err(|error| error.told_to(&dir))?;
    }
}

/// Takes in the batches of a slice from `next` on; says where the next slice begins.
fn replay_slice(
    runtime: &mut Runtime<GroupMachine>,
    slice: &Slice<NodeFile>,
    mut next: Offset,
    end: Offset,
) -> Result<Offset, LoadError> {
    let bytes = slice.read()?;
    let mut read = 0;
    while read < bytes.len() {
        let damaged = |fault: Fault| LoadError::Damaged {
            path: slice.file.path().to_owned(),
            position: slice.position + read as u64,
            fault,
        };
        let entry = match Entry::parse(&bytes[read..]) {
            // What is cut off at the end comes with the next read: the first one is whole.
            Err(BatchError::Truncated { .. }) if read > 0 => break,
            entry => entry.map_err(|error| damaged(error.into()))?,
        };
        // What was flushed long ago nobody else has looked at since.
        entry.check_crc().map_err(|error| damaged(error.into()))?;
        let last = entry.last_offset();
        if last < next || last >= end {
            return Err(damaged(Fault::OutOfOrder { last, from: next, end }));
        }
        replay(runtime, &bytes, &entry).map_err(damaged)?;
        next = last.next();
        read += entry.bytes().len();
    }
    Ok(next)
}

fn replay(
    runtime: &mut Runtime<GroupMachine>,
    bytes: &bytes::Bytes,
    entry: &Entry<'_>,
) -> Result<(), Fault> {
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
            .map_err(|error| Fault::Record { offset, error })?;
        runtime.replay(offset, &record);
    }
    Ok(())
}
