//! What is in a checkpoint file: the state of the machine at one offset, as records.
//!
//! ```text
//! | control batch: SnapshotHeader [KRaftVersion Voters] | data batches … | control batch: SnapshotFooter |
//! ```
//!
//! Offsets begin at 0, the batches bear the snapshot's epoch, nothing is compressed. A file without
//! a footer was not completed. Source: interop facts A.11.

use bytes::{Bytes, BytesMut};
use dohle_base::{Offset, Timestamp};
use dohle_protocol::records::raft::{
    kraft_version_record::KRaftVersionRecord, snapshot_footer_record::SnapshotFooterRecord,
    snapshot_header_record::SnapshotHeaderRecord,
};
use dohle_records::{BatchError, BatchView};

use crate::batch::{BATCH_SIZE_MAX, Place, control_batch, data_batch};
use crate::{ControlError, ControlRecord, SnapshotId, VoterSet, data_values};

/// What was read from a checkpoint file.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Which one.
    pub id: SnapshotId,
    /// When the newest record that it contains was appended.
    pub last_timestamp: Timestamp,
    /// The finalised kraft.version; 0 if it does not say.
    pub kraft_version: i16,
    /// The voters, if they are kept in the log.
    pub voters: Option<VoterSet>,
    /// The framed records, in order.
    pub records: Vec<Bytes>,
}

/// Why a checkpoint file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// A batch is broken.
    #[error("at {position}: {fault}")]
    BadBatch {
        /// Where the batch begins.
        position: usize,
        /// What is wrong.
        fault: BatchError,
    },
    /// A control record is broken.
    #[error("at {position}: {fault}")]
    BadControl {
        /// Where its batch begins.
        position: usize,
        /// What is wrong.
        fault: ControlError,
    },
    /// The file does not begin with a header.
    #[error("at 0: expected a header")]
    NoHeader,
    /// The file ends before its footer: it was never completed.
    #[error("at {size}: expected a footer, the file ends")]
    NoFooter {
        /// Where it ends.
        size: usize,
    },
    /// There is something behind the footer.
    #[error("at {position}: expected the end, behind the footer")]
    BehindFooter {
        /// Where it begins.
        position: usize,
    },
}

impl Checkpoint {
    /// Reads a whole file, checksums and all.
    ///
    /// # Errors
    /// The file is damaged or not complete.
    pub fn parse(id: SnapshotId, file: &Bytes) -> Result<Self, CheckpointError> {
        let mut reading = Reading::new(id);
        let mut position = 0;
        while let Some(rest) = file.get(position..).filter(|rest| !rest.is_empty()) {
            let at = |fault| CheckpointError::BadBatch { position, fault };
            let batch = BatchView::parse(rest).map_err(at)?;
            batch.check().map_err(at)?;
            batch.check_crc().map_err(at)?;
            reading.batch(position, &batch)?;
            position += batch.size();
        }
        reading.finish(position)
    }

    /// What the header of a file says of the time of the newest record in it. `head` is the beginning
    /// of the file; the rest may be damaged.
    ///
    /// # Errors
    /// The header is.
    pub fn last_timestamp(id: SnapshotId, head: &[u8]) -> Result<Timestamp, CheckpointError> {
        let at = |fault| CheckpointError::BadBatch { position: 0, fault };
        let batch = BatchView::parse(head).map_err(at)?;
        batch.check().map_err(at)?;
        batch.check_crc().map_err(at)?;
        let mut reading = Reading::new(id);
        reading.batch(0, &batch)?;
        Ok(reading.checkpoint.last_timestamp)
    }
}

/// A file of which some batches were read.
struct Reading {
    checkpoint: Checkpoint,
    header_seen: bool,
    footer_seen: bool,
}

impl Reading {
    fn new(id: SnapshotId) -> Self {
        let checkpoint = Checkpoint {
            id,
            last_timestamp: Timestamp::NONE,
            kraft_version: 0,
            voters: None,
            records: Vec::new(),
        };
        Self { checkpoint, header_seen: false, footer_seen: false }
    }

    fn batch(&mut self, position: usize, batch: &BatchView<'_>) -> Result<(), CheckpointError> {
        if self.footer_seen {
            return Err(CheckpointError::BehindFooter { position });
        }
        let bad_batch = |fault| CheckpointError::BadBatch { position, fault };
        if !batch.attributes().is_control() {
            if !self.header_seen {
                return Err(CheckpointError::NoHeader);
            }
            let values = data_values(batch).map_err(bad_batch)?;
            self.checkpoint.records.extend(values.into_iter().map(|(_, value)| value));
            return Ok(());
        }
        let payload = batch.decompress(BATCH_SIZE_MAX).map_err(bad_batch)?;
        for record in payload.records() {
            let record = record.map_err(bad_batch)?;
            let control = ControlRecord::parse(record.key, record.value)
                .map_err(|fault| CheckpointError::BadControl { position, fault })?;
            self.control(control)?;
        }
        Ok(())
    }

    fn control(&mut self, control: ControlRecord) -> Result<(), CheckpointError> {
        match control {
            ControlRecord::SnapshotHeader(header) => {
                self.header_seen = true;
                self.checkpoint.last_timestamp = Timestamp(header.last_contained_log_timestamp);
            }
            _ if !self.header_seen => return Err(CheckpointError::NoHeader),
            ControlRecord::SnapshotFooter(_) => self.footer_seen = true,
            ControlRecord::KRaftVersion(record) => {
                self.checkpoint.kraft_version = record.kraft_version;
            }
            ControlRecord::Voters(record) => {
                self.checkpoint.voters = Some(VoterSet::from_record(&record));
            }
            // An epoch begins in the log, not in a snapshot of it; it says nothing about the state.
            ControlRecord::LeaderChange(_) => {}
        }
        Ok(())
    }

    fn finish(self, size: usize) -> Result<Checkpoint, CheckpointError> {
        match (self.header_seen, self.footer_seen) {
            (false, _) => Err(CheckpointError::NoHeader),
            (true, false) => Err(CheckpointError::NoFooter { size }),
            (true, true) => Ok(self.checkpoint),
        }
    }
}

/// A checkpoint file in the making.
#[derive(Debug)]
pub struct CheckpointBuilder {
    id: SnapshotId,
    timestamp: Timestamp,
    file: BytesMut,
    next_offset: Offset,
    /// Values that make up the next data batch, and their size.
    pending: Vec<Bytes>,
    pending_size: usize,
}

/// Data batches are closed at this size: large enough that heads do not count, small enough that a
/// reader needs little memory.
const DATA_BATCH_SIZE: usize = 1024 * 1024;

impl CheckpointBuilder {
    /// Begins a file. `last_timestamp` is the time of the newest record that it contains; the
    /// voters belong into it only from kraft.version 1 on.
    pub fn new(
        id: SnapshotId,
        last_timestamp: Timestamp,
        kraft_version: i16,
        voters: Option<&VoterSet>,
    ) -> Self {
        let mut control = vec![ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
            version: 0,
            last_contained_log_timestamp: last_timestamp.0,
        })];
        if kraft_version >= 1 {
            control.push(ControlRecord::KRaftVersion(KRaftVersionRecord {
                version: 0,
                kraft_version,
            }));
            control.extend(voters.map(|voters| ControlRecord::Voters(voters.to_record())));
        }
        let mut builder = Self {
            id,
            timestamp: last_timestamp,
            file: BytesMut::new(),
            next_offset: Offset::ZERO,
            pending: Vec::new(),
            pending_size: 0,
        };
        builder.put_control(&control);
        builder
    }

    /// Adds a framed record.
    pub fn push(&mut self, value: Bytes) {
        if !self.pending.is_empty() && self.pending_size + value.len() > DATA_BATCH_SIZE {
            self.close_batch();
        }
        self.pending_size += value.len();
        self.pending.push(value);
    }

    /// The whole file, complete.
    pub fn finish(mut self) -> Bytes {
        self.close_batch();
        self.put_control(&[ControlRecord::SnapshotFooter(SnapshotFooterRecord { version: 0 })]);
        self.file.freeze()
    }

    fn place(&self) -> Place {
        Place { base_offset: self.next_offset, epoch: self.id.epoch, timestamp: self.timestamp }
    }

    fn put_control(&mut self, records: &[ControlRecord]) {
        let batch = control_batch(self.place(), records);
        self.put(&batch, records.len());
    }

    fn close_batch(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let values = std::mem::take(&mut self.pending);
        self.pending_size = 0;
        let batch = data_batch(self.place(), &values)
            .expect("a record that was in a batch of the log fits one of a snapshot");
        self.put(&batch, values.len());
    }

    fn put(&mut self, batch: &Bytes, count: usize) {
        self.file.extend_from_slice(batch);
        self.next_offset = self.next_offset.plus(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
