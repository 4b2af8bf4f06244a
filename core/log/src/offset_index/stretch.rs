//! A piece of a sealed segment's index, kept for who reads on from there.
//!
//! A reader of a backlog asks for what follows what it was given. So with the entry that it needs
//! those behind it are kept, as far as they came with the same read, and it needs no file for some
//! fetches. What is kept may be older than the file: it costs time then, as an index may.

#[cfg(test)]
mod tests;

use dohle_base::Offset;

use super::{ENTRY_SIZE, IndexedOffset, ceiling, decode, floor, is_up_to};
use crate::{
    disk::{DiskFile, IoError},
    search::{Entries, InFile, InMemory},
};

/// How many entries are kept at most. Source: half a MiB of batches by default, for a KiB of memory.
const COUNT_MAX: usize = 128;

/// Entries one behind another.
#[derive(Debug)]
pub(crate) struct Stretch {
    base: Offset,
    bytes: Box<[u8]>,
    /// Whether the index has none before.
    is_first: bool,
    /// Whether it has none behind.
    is_last: bool,
}

impl Stretch {
    /// The last entry up to `target`, and what is at hand of those from there on.
    pub(crate) fn read<F: DiskFile>(
        mut entries: InFile<'_, F, ENTRY_SIZE>,
        base: Offset,
        target: Offset,
    ) -> Result<(Option<IndexedOffset>, Self), IoError> {
        let next = entries.partition_point(is_up_to(base, target))?;
        let (mut found, mut first) = (None, 0);
        if let Some(index) = next.checked_sub(1) {
            (found, first) = (Some(decode(base, &entries.entry(index)?)), index);
        }
        let (bytes, is_last) = entries.at_hand(first, COUNT_MAX);
        // Zeros fill up a file that was not trimmed.
        let size = InMemory(bytes).partition_point(|entry| *entry != [0; ENTRY_SIZE])? * ENTRY_SIZE;
        let is_last = is_last || size < bytes.len();
        let bytes = bytes.get(..size).unwrap_or_default().into();
        Ok((found, Self { base, bytes, is_first: first == 0, is_last }))
    }

    /// The last entry up to `target`, or that there is none; `None` if that is not to be told from here.
    pub(crate) fn floor(&self, target: Offset) -> Option<Option<IndexedOffset>> {
        let (entries, _) = self.bytes.as_chunks::<ENTRY_SIZE>();
        let offset_of = |entry| decode(self.base, entry).offset;
        let begins = self.is_first || entries.first().is_some_and(|e| offset_of(e) <= target);
        let ends = self.is_last || entries.last().is_some_and(|e| offset_of(e) > target);
        let found = || floor(&mut InMemory(&self.bytes), self.base, target).unwrap_or_default();
        (begins && ends).then(found)
    }

    /// The entry behind one of these, if it is kept.
    pub(crate) fn behind(&self, entry: IndexedOffset) -> Option<IndexedOffset> {
        let position = entry.position.checked_add(1)?;
        ceiling(&mut InMemory(&self.bytes), self.base, position).unwrap_or_default()
    }
}
