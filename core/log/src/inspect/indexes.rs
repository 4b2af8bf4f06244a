//! The entries of an index file, in the order of the file.

use dohle_base::Offset;

use super::window::Window;
use crate::{
    disk::{DiskFile, IoError},
    offset_index::{self, IndexedOffset},
    time_index::{self, IndexedTime},
    txn_index::{self, AbortedTransaction},
};

/// How much is read at once.
const PIECE_SIZE: usize = 1 << 16;

/// Walks all entries of an index, also zeros and what is out of order. What is left behind the last
/// whole entry is passed over.
#[derive(Debug)]
pub struct IndexEntries<'a, F, E> {
    window: Window<'a, F>,
    base: Offset,
    entry_size: usize,
    decode: fn(Offset, &[u8]) -> Option<E>,
    index: u64,
}

/// An aborted transaction, or the version of an entry that is not known.
pub type IndexedTransaction = Result<AbortedTransaction, i16>;

/// The entries of an `.index` whose segment begins at `base`.
///
/// # Errors
/// As the disk says.
pub fn offset_index<F: DiskFile>(
    file: &F,
    base: Offset,
) -> Result<IndexEntries<'_, F, IndexedOffset>, IoError> {
    IndexEntries::new(file, base, offset_index::ENTRY_SIZE, |base, bytes| {
        Some(offset_index::decode(base, bytes.try_into().ok()?))
    })
}

/// The entries of a `.timeindex` whose segment begins at `base`.
///
/// # Errors
/// As the disk says.
pub fn time_index<F: DiskFile>(
    file: &F,
    base: Offset,
) -> Result<IndexEntries<'_, F, IndexedTime>, IoError> {
    IndexEntries::new(file, base, time_index::ENTRY_SIZE, |base, bytes| {
        Some(time_index::decode(base, bytes.try_into().ok()?))
    })
}

/// The entries of a `.txnindex`.
///
/// # Errors
/// As the disk says.
pub fn transaction_index<F: DiskFile>(
    file: &F,
) -> Result<IndexEntries<'_, F, IndexedTransaction>, IoError> {
    IndexEntries::new(file, Offset::ZERO, txn_index::ENTRY_SIZE, |_, bytes| {
        let version = i16::from_be_bytes(*bytes.first_chunk()?);
        let entry = AbortedTransaction::decode(bytes.try_into().ok()?);
        Some(entry.ok_or(version))
    })
}

impl<'a, F: DiskFile, E> IndexEntries<'a, F, E> {
    fn new(
        file: &'a F,
        base: Offset,
        entry_size: usize,
        decode: fn(Offset, &[u8]) -> Option<E>,
    ) -> Result<Self, IoError> {
        let window = Window::new(file, PIECE_SIZE)?;
        Ok(Self { window, base, entry_size, decode, index: 0 })
    }

    /// How many entries there are.
    pub fn entry_count(&self) -> u64 {
        self.window.file_size() / self.entry_size as u64
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> u64 {
        self.window.file_size()
    }

    /// How many bytes an entry has.
    pub fn entry_size(&self) -> usize {
        self.entry_size
    }

    /// The entry at `index`, from 0; none behind the last one.
    ///
    /// # Errors
    /// As the disk says.
    pub fn at(&mut self, index: u64) -> Result<Option<E>, IoError> {
        if index >= self.entry_count() {
            return Ok(None);
        }
        let bytes = self.window.bytes(index * self.entry_size as u64, self.entry_size)?;
        Ok((self.decode)(self.base, bytes))
    }
}

impl<F: DiskFile, E> Iterator for IndexEntries<'_, F, E> {
    type Item = Result<E, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.at(self.index).transpose();
        self.index += 1;
        entry
    }
}
