//! A segment's `.timeindex`: where to start looking for a timestamp.
//!
//! ```text
//! 0           8        12
//! | timestamp | offset | …     big-endian; the offset counts from the segment's base
//! ```
//!
//! The timestamp is the greatest so far in the segment, the offset the last one of the batch that
//! brought it. Timestamps strictly ascend, offsets do not descend. One slot is kept for the entry
//! that closes the segment. Kafka fills the file up with zeros while it writes.

#[cfg(test)]
mod tests;

use dohle_base::{Offset, Timestamp};

use crate::{
    disk::IoError,
    offset_index::relative,
    search::{Entries, InMemory},
};

pub(crate) const ENTRY_SIZE: usize = 12;

/// An entry of an index of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedTime {
    /// The greatest timestamp so far.
    pub timestamp: Timestamp,
    /// The last offset of the batch that brought it.
    pub offset: Offset,
}

impl IndexedTime {
    /// No timestamp yet in the segment that begins at `base`.
    pub(crate) fn none(base: Offset) -> Self {
        Self { timestamp: Timestamp::NONE, offset: base }
    }
}

/// The index of the segment that is being written, in memory as in the file.
#[derive(Clone, Debug)]
pub(crate) struct TimeIndex {
    base: Offset,
    bytes: Vec<u8>,
    entries_max: usize,
}

impl TimeIndex {
    pub(crate) fn new(base: Offset, size_max: usize) -> Self {
        Self { base, bytes: Vec::new(), entries_max: size_max / ENTRY_SIZE }
    }

    /// The index that a file holds. What is out of order in it, and all that follows, is left out.
    pub(crate) fn from_bytes(base: Offset, mut bytes: Vec<u8>, size_max: usize) -> Self {
        let (entries, _) = bytes.as_chunks::<ENTRY_SIZE>();
        let mut last = (-1, 0);
        let mut count = 0;
        for entry in entries.iter().map(split) {
            if entry.0 <= last.0 || entry.1 < last.1 || entry == (0, 0) {
                break;
            }
            last = entry;
            count += 1;
        }
        bytes.truncate(count * ENTRY_SIZE);
        Self { base, bytes, entries_max: size_max / ENTRY_SIZE }
    }

    /// Adds an entry if its timestamp is greater than the last one's.
    pub(crate) fn push(&mut self, entry: IndexedTime) {
        let last = self.last();
        let Some(relative) = relative(self.base, entry.offset) else { return };
        if entry.timestamp > last.timestamp && entry.offset >= last.offset {
            self.bytes.extend_from_slice(&entry.timestamp.0.to_be_bytes());
            self.bytes.extend_from_slice(&relative.to_be_bytes());
        }
    }

    /// How many entries may be added, the closing one aside.
    pub(crate) fn entries_left(&self) -> usize {
        self.entries_max.saturating_sub(1).saturating_sub(self.bytes.len() / ENTRY_SIZE)
    }

    /// The last entry; `NONE` at the base if there is none.
    pub(crate) fn last(&self) -> IndexedTime {
        let (entries, _) = self.bytes.as_chunks::<ENTRY_SIZE>();
        entries.last().map_or(IndexedTime::none(self.base), |entry| decode(self.base, entry))
    }

    /// The last entry with a timestamp up to `target`.
    pub(crate) fn floor(&self, target: Timestamp) -> Option<IndexedTime> {
        floor(&mut InMemory(&self.bytes), self.base, target).unwrap_or_default()
    }

    /// Drops the entries from offset `end` on.
    pub(crate) fn truncate(&mut self, end: Offset) {
        let before = |entry: &[u8; ENTRY_SIZE]| decode(self.base, entry).offset < end;
        let kept = InMemory(&self.bytes).partition_point(before).unwrap_or_default();
        self.bytes.truncate(kept * ENTRY_SIZE);
    }

    /// What belongs into the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The last entry with a timestamp up to `target` of an index wherever it is.
pub(crate) fn floor(
    entries: &mut impl Entries<ENTRY_SIZE>,
    base: Offset,
    target: Timestamp,
) -> Result<Option<IndexedTime>, IoError> {
    let before = |entry: &[u8; ENTRY_SIZE]| {
        *entry != [0; ENTRY_SIZE] && decode(base, entry).timestamp <= target
    };
    let next = entries.partition_point(before)?;
    let Some(index) = next.checked_sub(1) else { return Ok(None) };
    Ok(Some(decode(base, &entries.entry(index)?)))
}

pub(crate) fn decode(base: Offset, entry: &[u8; ENTRY_SIZE]) -> IndexedTime {
    let (timestamp, relative) = split(entry);
    let offset = Offset(base.0.saturating_add(i64::from(relative)));
    IndexedTime { timestamp: Timestamp(timestamp), offset }
}

fn split(&[t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3]: &[u8; ENTRY_SIZE]) -> (i64, i32) {
    let timestamp = i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    (timestamp, i32::from_be_bytes([o0, o1, o2, o3]))
}
