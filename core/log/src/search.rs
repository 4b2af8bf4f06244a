//! Binary search in an index, be it in memory or in a file.
//!
//! Index files of segments that are not written any more stay on the disk, and a hundred thousand
//! partitions cost no memory. They are read a page at a time: where a look-up is told about where its
//! entry is, it costs one read or two, however large the index.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::disk::{DiskFile, IoError};

/// Fixed-size entries, one behind another.
pub(crate) trait Entries<const SIZE: usize> {
    /// How many entries there are.
    fn count(&self) -> usize;

    /// The entry at `index`, which is below `count`.
    fn entry(&mut self, index: usize) -> Result<[u8; SIZE], IoError>;

    /// How many entries at the front are `before`; those behind must not be.
    fn partition_point(&mut self, before: impl Fn(&[u8; SIZE]) -> bool) -> Result<usize, IoError> {
        let (mut start, mut end) = (0, self.count());
        while start < end {
            let middle = start + (end - start) / 2;
            if before(&self.entry(middle)?) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        Ok(start)
    }
}

/// Entries in memory, just as the file holds them.
pub(crate) struct InMemory<'a>(pub(crate) &'a [u8]);

impl<const SIZE: usize> Entries<SIZE> for InMemory<'_> {
    fn count(&self) -> usize {
        self.0.len() / SIZE
    }

    fn entry(&mut self, index: usize) -> Result<[u8; SIZE], IoError> {
        let (entries, _) = self.0.as_chunks::<SIZE>();
        Ok(entries.get(index).copied().unwrap_or([0; SIZE]))
    }
}

/// How much of a file is read at once.
const PAGE_SIZE: usize = 4096;

/// Entries in a file.
pub(crate) struct InFile<'a, F, const SIZE: usize> {
    file: &'a F,
    count: usize,
    /// Where to look first, if anything is known.
    guess: Option<usize>,
    page: [u8; PAGE_SIZE],
    /// Which entries are in `page`.
    held: Range<usize>,
}

impl<'a, F: DiskFile, const SIZE: usize> InFile<'a, F, SIZE> {
    /// How many entries are read at once.
    const HELD_MAX: usize = PAGE_SIZE / SIZE;

    pub(crate) fn new(file: &'a F) -> Result<Self, IoError> {
        let count = usize::try_from(file.size()?).unwrap_or(usize::MAX) / SIZE;
        Ok(Self { file, count, guess: None, page: [0; PAGE_SIZE], held: 0..0 })
    }

    /// Looks first where `part` of `whole` lies before. A guess that is wrong costs reads, not truth.
    pub(crate) fn guessing(mut self, part: u64, whole: u64) -> Self {
        let index = self.count as u128 * u128::from(part) / u128::from(whole.max(1));
        self.guess =
            usize::try_from(index).ok().map(|index| index.min(self.count.saturating_sub(1)));
        self
    }

    /// What is at hand of the entries from `index` on, at most so many, and whether the last of the
    /// file is among them.
    pub(crate) fn at_hand(&self, index: usize, count_max: usize) -> (&[u8], bool) {
        let end = self.held.end.min(index.saturating_add(count_max)).max(index);
        let bytes = self.bytes(index..end);
        (bytes, index + bytes.len() / SIZE == self.count)
    }

    /// Takes in the page with this entry.
    fn hold(&mut self, index: usize) -> Result<(), IoError> {
        if self.held.contains(&index) {
            return Ok(());
        }
        self.held = 0..0;
        let first = index - index % Self::HELD_MAX;
        let end = first.saturating_add(Self::HELD_MAX).min(self.count);
        let page = self.page.get_mut(..(end - first) * SIZE).unwrap_or_default();
        self.file.read_exact_at(page, (first * SIZE) as u64)?;
        self.held = first..end;
        Ok(())
    }

    /// Entries that are held; none if the first is not.
    fn bytes(&self, entries: Range<usize>) -> &[u8] {
        let start = entries.start.checked_sub(self.held.start);
        let range = start.map(|start| start * SIZE..(start + entries.len()) * SIZE);
        range.and_then(|range| self.page.get(range)).unwrap_or_default()
    }
}

impl<F: DiskFile, const SIZE: usize> Entries<SIZE> for InFile<'_, F, SIZE> {
    fn count(&self) -> usize {
        self.count
    }

    fn entry(&mut self, index: usize) -> Result<[u8; SIZE], IoError> {
        self.hold(index)?;
        InMemory(self.bytes(index..index + 1)).entry(0)
    }

    /// Searches pages, not entries: from the guess on in ever greater steps until the point lies
    /// between two of them, then by halves.
    fn partition_point(&mut self, before: impl Fn(&[u8; SIZE]) -> bool) -> Result<usize, IoError> {
        let (mut start, mut end) = (0, self.count);
        let (mut probe, mut step) = (self.guess.unwrap_or_default(), Self::HELD_MAX);
        while start < end {
            let is_between = start > 0 && end < self.count;
            if self.guess.is_none() || is_between || !(start..end).contains(&probe) {
                probe = start + (end - start) / 2;
            }
            self.hold(probe)?;
            let (first, last) = (self.held.start.max(start), self.held.end.min(end));
            let point = first + InMemory(self.bytes(first..last)).partition_point(&before)?;
            if point == first && start < first {
                end = first;
                probe = first.saturating_sub(step);
            } else if point == last && last < end {
                start = last;
                probe = last.saturating_add(step - 1);
            } else {
                return Ok(point);
            }
            step = step.saturating_mul(2);
        }
        Ok(start)
    }
}
