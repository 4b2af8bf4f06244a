//! As many tombstones as one tick appends: they are one batch, which must stay below the
//! `max.message.bytes` in use. Who begins again later finds only what is left.

use crate::GroupRecord;

/// How many bytes a portion has at first. Source: far below the default of `max.message.bytes`,
/// and some hundred tombstones of usual names.
pub(crate) const PORTION_BYTES: usize = 64 << 10;

/// What a tombstone takes beside its names, at most: two types and lengths, the partition, and
/// what a batch says of each record.
const TOMBSTONE_OVERHEAD: usize = 48;

/// Tombstones that fit.
#[derive(Debug)]
pub(crate) struct Portion {
    records: Vec<GroupRecord>,
    bytes_left: usize,
}

impl Portion {
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self { records: Vec::new(), bytes_left: bytes }
    }

    /// Takes a tombstone, the first one whatever its size; false if there is no room for it.
    pub(crate) fn take(&mut self, tombstone: GroupRecord) -> bool {
        let size = TOMBSTONE_OVERHEAD + size_of_names(&tombstone);
        if size > self.bytes_left && !self.records.is_empty() {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(size);
        self.records.push(tombstone);
        true
    }

    pub(crate) fn into_records(self) -> Vec<GroupRecord> {
        self.records
    }
}

fn size_of_names(tombstone: &GroupRecord) -> usize {
    match tombstone {
        GroupRecord::OffsetCommit { key, .. } => key.group.len() + key.topic.len(),
        GroupRecord::GroupMetadata { group_id, .. } => group_id.len(),
        GroupRecord::Other { key, .. } => key.len(),
        GroupRecord::EndMarker { .. } => 0,
    }
}
