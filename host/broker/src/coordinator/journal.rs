//! A partition of `__consumer_offsets` as the log under a group machine.

use std::sync::Arc;

use dohle_base::{ErrorCode, Now, Offset};
use dohle_group::GroupRecord;
use dohle_machine::Journal;
use dohle_records::{BatchBuilder, BatchSpec, Compression, NewRecord};

use dohle_log::Origin;

use crate::partition::Partition;

/// Appends the records of one decision as one batch.
pub(super) struct OffsetsJournal<'a> {
    pub(super) partition: &'a Arc<Partition>,
    pub(super) compression: Compression,
    pub(super) now: Now,
}

impl Journal<GroupRecord> for OffsetsJournal<'_> {
    type Error = ErrorCode;

    fn append(&mut self, records: &[GroupRecord]) -> Result<Offset, ErrorCode> {
        let spec = BatchSpec { compression: self.compression, ..BatchSpec::default() };
        let mut batch = BatchBuilder::new(spec);
        for record in records {
            let encoded = record.encode().map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
            let pair = encoded.ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
            let record = NewRecord {
                timestamp: self.now.wall,
                key: Some(&pair.key),
                value: pair.value.as_deref(),
                headers: &[],
            };
            batch.append(&record).map_err(|_| ErrorCode::RECORD_LIST_TOO_LARGE)?;
        }
        let batch = batch.finish();
        let appended = self.partition.append(&batch, Origin::Coordinator, self.now.wall)?;
        let (appended, _) = appended.map_err(|error| self.partition.append_error(&error))?;
        Ok(appended.base_offset)
    }
}
