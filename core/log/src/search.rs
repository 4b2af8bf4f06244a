//! Binary search in an index, be it in memory or in a file.
//!
//! Index files of segments that are not written any more stay on the disk: a look-up costs a few
//! small reads, and a hundred thousand partitions cost no memory.

use crate::disk::{DiskFile, IoError};

/// Fixed-size entries, one behind another.
pub(crate) trait Entries<const SIZE: usize> {
    /// How many entries there are.
    fn count(&self) -> usize;

    /// The entry at `index`, which is below `count`.
    fn entry(&self, index: usize) -> Result<[u8; SIZE], IoError>;

    /// How many entries at the front are `before`; those behind must not be.
    fn partition_point(&self, before: impl Fn(&[u8; SIZE]) -> bool) -> Result<usize, IoError> {
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

    fn entry(&self, index: usize) -> Result<[u8; SIZE], IoError> {
        let (entries, _) = self.0.as_chunks::<SIZE>();
        Ok(entries.get(index).copied().unwrap_or([0; SIZE]))
    }
}

/// Entries in a file.
pub(crate) struct InFile<'a, F> {
    file: &'a F,
    size: u64,
}

impl<'a, F: DiskFile> InFile<'a, F> {
    pub(crate) fn new(file: &'a F) -> Result<Self, IoError> {
        Ok(Self { file, size: file.size()? })
    }
}

impl<F: DiskFile, const SIZE: usize> Entries<SIZE> for InFile<'_, F> {
    fn count(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX) / SIZE
    }

    fn entry(&self, index: usize) -> Result<[u8; SIZE], IoError> {
        let mut entry = [0; SIZE];
        self.file.read_exact_at(&mut entry, (index * SIZE) as u64)?;
        Ok(entry)
    }
}
