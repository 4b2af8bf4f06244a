//! Raft as the controller's journal, with a gate before it.
//!
//! A record in the log that cannot be decoded or does not fit is fatal to every controller that ever
//! replays it. So each record is encoded, decoded again and applied to a copy of the state before
//! anything is appended. Source: interop 0.1, C.8.

use bytes::Bytes;
use dohle_base::{ErrorCode, Now, Offset};
use dohle_machine::Journal;
use dohle_metadata::{MetadataRecord, MetadataState, ReplayError, record_version};
use dohle_protocol::{DecodeError, EncodeError};
use dohle_raft::{AppendError, BATCH_SIZE_MAX, Raft};

use crate::ApiError;

/// The most records of a batch. Source: Kafka 4.4.
const BATCH_RECORDS_MAX: usize = 10_000;

/// What a record may take in a batch besides its value: its lengths, deltas and attributes.
const RECORD_OVERHEAD: usize = 32;

/// Bytes of values that surely fit a batch with its head.
const BATCH_VALUES_MAX: usize = BATCH_SIZE_MAX - 1024;

/// Why records were not appended. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// Raft refused.
    #[error("{0}")]
    Append(#[from] AppendError),
    /// A value does not fit the record.
    #[error("{record}: {fault}")]
    Encode { record: &'static str, fault: EncodeError },
    /// What was encoded is not what comes back.
    #[error("{record}: does not survive its encoding: {fault}")]
    Decode { record: &'static str, fault: DecodeError },
    /// The record does not fit those before it.
    #[error("{record}: {fault}")]
    Replay { record: &'static str, fault: ReplayError },
    /// One record exceeds a batch.
    #[error("{record}: too large for a batch")]
    TooLarge { record: &'static str },
}

impl JournalError {
    pub(crate) fn to_api_error(&self) -> ApiError {
        let code = match self {
            Self::Append(AppendError::NotLeader { .. }) => ErrorCode::NOT_CONTROLLER,
            Self::Append(AppendError::TooLarge { .. }) | Self::TooLarge { .. } => {
                ErrorCode::POLICY_VIOLATION
            }
            Self::Encode { .. } => ErrorCode::INVALID_REQUEST,
            Self::Decode { .. } | Self::Replay { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        ApiError::new(code, self.to_string())
    }
}

/// The gate: the moment, and the state before the records.
pub(crate) struct RaftJournal {
    now: Now,
    state: MetadataState,
}

/// The gate with the log behind it.
pub(crate) struct Gated<'a> {
    journal: &'a mut RaftJournal,
    raft: &'a mut Raft,
}

impl RaftJournal {
    pub(crate) fn new(now: Now, state: MetadataState) -> Self {
        Self { now, state }
    }

    pub(crate) fn over<'a>(&'a mut self, raft: &'a mut Raft) -> Gated<'a> {
        Gated { journal: self, raft }
    }

    /// The framed record, if it survives and fits.
    fn admit(&mut self, record: &MetadataRecord) -> Result<Bytes, JournalError> {
        let name = record.name();
        let version = record_version(record, self.state.image().metadata_version());
        let value = record
            .to_bytes(version)
            .map_err(|fault| JournalError::Encode { record: name, fault })?;
        if value.len() + RECORD_OVERHEAD > BATCH_VALUES_MAX {
            return Err(JournalError::TooLarge { record: name });
        }
        let (decoded, _) = MetadataRecord::decode(value.clone())
            .map_err(|fault| JournalError::Decode { record: name, fault })?;
        self.state.apply(&decoded).map_err(|fault| JournalError::Replay { record: name, fault })?;
        Ok(value)
    }
}

impl Journal<MetadataRecord> for Gated<'_> {
    type Error = JournalError;

    /// One batch, unless there are more records than a batch may hold: only a broker that comes or
    /// goes leads to so many, and what half of it has left out is done when it registers again.
    fn append(&mut self, records: &[MetadataRecord]) -> Result<Offset, JournalError> {
        let values = records
            .iter()
            .map(|record| self.journal.admit(record))
            .collect::<Result<Vec<_>, _>>()?;
        let first = self.raft.log_end();
        for batch in batches(&values) {
            self.raft.append(self.journal.now, batch)?;
        }
        Ok(first)
    }
}

/// The values, divided so that each part fits a batch.
fn batches(mut values: &[Bytes]) -> Vec<&[Bytes]> {
    let mut batches = Vec::new();
    while !values.is_empty() {
        let mut size = 0;
        let fitting = values.iter().take(BATCH_RECORDS_MAX).take_while(|value| {
            size += value.len() + RECORD_OVERHEAD;
            size <= BATCH_VALUES_MAX
        });
        let (batch, rest) = values.split_at(fitting.count());
        assert!(!batch.is_empty(), "each value was found to fit a batch");
        batches.push(batch);
        values = rest;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_a_batch_is_divided() {
        let sizes = |count: usize, size: usize| {
            let values = vec![Bytes::from(vec![0; size]); count];
            batches(&values).into_iter().map(<[Bytes]>::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(10_000, 10), [10_000]);
        assert_eq!(sizes(25_000, 10), [10_000, 10_000, 5_000]);
        assert_eq!(sizes(5, 3_000_000), [2, 2, 1]);
    }
}
