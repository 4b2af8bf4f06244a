//! A segment's `.index`: where to start looking for an offset.
//!
//! ```text
//! 0        4        8
//! | offset | position | …      big-endian; the offset counts from the segment's base
//! ```
//!
//! The offset is the *last* of the batch whose *first* byte the position names. Entries strictly
//! ascend. Kafka makes the file longer than its content while it writes: the rest is zeros, and no
//! entry is all zeros, for a segment's first batch never gets one.
//!
//! An index can cost time, never truth: whoever follows an entry checks the batch that it finds.

mod stretch;

#[cfg(test)]
mod tests;

use dohle_base::Offset;

use crate::{
    disk::IoError,
    search::{Entries, InMemory},
};

pub(crate) use stretch::Stretch;

pub(crate) const ENTRY_SIZE: usize = 8;

/// An entry of an index of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedOffset {
    /// The last offset of a batch.
    pub offset: Offset,
    /// Where the batch begins.
    pub position: u32,
}

/// The index of the segment that is being written, in memory as in the file.
#[derive(Clone, Debug)]
pub(crate) struct OffsetIndex {
    base: Offset,
    bytes: Vec<u8>,
    entries_max: usize,
}

impl OffsetIndex {
    pub(crate) fn new(base: Offset, size_max: usize) -> Self {
        Self { base, bytes: Vec::new(), entries_max: size_max / ENTRY_SIZE }
    }

    /// The index that a file holds. What is out of order in it, and all that follows, is left out.
    pub(crate) fn from_bytes(base: Offset, mut bytes: Vec<u8>, size_max: usize) -> Self {
        let (entries, _) = bytes.as_chunks::<ENTRY_SIZE>();
        let mut last = (-1, 0);
        let mut count = 0;
        for entry in entries.iter().map(split) {
            if entry.0 <= last.0 || entry.1 <= last.1 {
                break;
            }
            last = entry;
            count += 1;
        }
        bytes.truncate(count * ENTRY_SIZE);
        Self { base, bytes, entries_max: size_max / ENTRY_SIZE }
    }

    /// Adds an entry; it must ascend. `false` if it does not or cannot be told in 32 bits.
    pub(crate) fn push(&mut self, entry: IndexedOffset) -> bool {
        let Some(relative) = relative(self.base, entry.offset) else { return false };
        if self.last().is_some_and(|last| last.offset >= entry.offset) {
            return false;
        }
        self.bytes.extend_from_slice(&relative.to_be_bytes());
        self.bytes.extend_from_slice(&entry.position.to_be_bytes());
        true
    }

    /// How many entries may be added before the segment is rolled.
    pub(crate) fn entries_left(&self) -> usize {
        self.entries_max.saturating_sub(self.bytes.len() / ENTRY_SIZE)
    }

    pub(crate) fn last(&self) -> Option<IndexedOffset> {
        let (entries, _) = self.bytes.as_chunks::<ENTRY_SIZE>();
        entries.last().map(|entry| decode(self.base, entry))
    }

    /// The last entry up to `target`.
    pub(crate) fn floor(&self, target: Offset) -> Option<IndexedOffset> {
        floor(&mut InMemory(&self.bytes), self.base, target).unwrap_or_default()
    }

    /// The first entry from `position` on.
    pub(crate) fn ceiling(&self, position: u32) -> Option<IndexedOffset> {
        ceiling(&mut InMemory(&self.bytes), self.base, position).unwrap_or_default()
    }

    /// The entry behind this one.
    pub(crate) fn behind(&self, entry: IndexedOffset) -> Option<IndexedOffset> {
        self.ceiling(entry.position.checked_add(1)?)
    }

    /// Drops the entries from `end` on.
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

/// The last entry up to `target` of an index wherever it is.
pub(crate) fn floor(
    entries: &mut impl Entries<ENTRY_SIZE>,
    base: Offset,
    target: Offset,
) -> Result<Option<IndexedOffset>, IoError> {
    let next = count_up_to(entries, base, target)?;
    let Some(index) = next.checked_sub(1) else { return Ok(None) };
    Ok(Some(decode(base, &entries.entry(index)?)))
}

/// How many entries tell of batches up to `target`.
pub(crate) fn count_up_to(
    entries: &mut impl Entries<ENTRY_SIZE>,
    base: Offset,
    target: Offset,
) -> Result<usize, IoError> {
    entries.partition_point(is_up_to(base, target))
}

/// Whether an entry is one up to `target`. Zeros are none: they fill up a file that was not trimmed.
fn is_up_to(base: Offset, target: Offset) -> impl Fn(&[u8; ENTRY_SIZE]) -> bool {
    move |entry| *entry != [0; ENTRY_SIZE] && decode(base, entry).offset <= target
}

/// The first entry from `position` on of an index wherever it is.
pub(crate) fn ceiling(
    entries: &mut impl Entries<ENTRY_SIZE>,
    base: Offset,
    position: u32,
) -> Result<Option<IndexedOffset>, IoError> {
    // Zeros fill up a file that was not trimmed.
    let is_before = |entry: &[u8; ENTRY_SIZE]| {
        *entry != [0; ENTRY_SIZE] && decode(base, entry).position < position
    };
    let index = entries.partition_point(is_before)?;
    if index >= entries.count() {
        return Ok(None);
    }
    let entry = entries.entry(index)?;
    Ok((entry != [0; ENTRY_SIZE]).then(|| decode(base, &entry)))
}

/// An offset as an index tells it; `None` if it is not within 31 bits of the base.
pub(crate) fn relative(base: Offset, offset: Offset) -> Option<u32> {
    let relative = i32::try_from(offset.0.checked_sub(base.0)?).ok()?;
    u32::try_from(relative).ok()
}

pub(crate) fn decode(base: Offset, entry: &[u8; ENTRY_SIZE]) -> IndexedOffset {
    let (relative, position) = split(entry);
    IndexedOffset { offset: Offset(base.0.saturating_add(i64::from(relative))), position }
}

fn split(&[o0, o1, o2, o3, p0, p1, p2, p3]: &[u8; ENTRY_SIZE]) -> (i32, u32) {
    (i32::from_be_bytes([o0, o1, o2, o3]), u32::from_be_bytes([p0, p1, p2, p3]))
}
