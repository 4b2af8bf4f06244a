//! A segment's `.txnindex`: the transactions whose abort marker is in the segment.
//!
//! ```text
//! 0         2             10             18            26                   34
//! | version | producer id | first offset | last offset | last stable offset | …   big-endian
//! ```
//!
//! The last offset is that of the marker, the last stable offset that of the partition at that
//! time: a reader who has it behind the end of what it reads need look no further. The file is made
//! with its first entry.

mod batches;
mod check;
mod told;

#[cfg(test)]
mod tests;

use std::{io::IoSlice, path::Path};

use dohle_base::{Offset, ProducerId};

use crate::{
    disk::{Disk, DiskFile, IoError, OpenMode, read_file},
    error::{Corruption, DamageReason, LogError},
};

pub(crate) use batches::{bear_out, bears_out_end, replay, walk};
pub(crate) use check::Part;
pub(crate) use told::{Told, read_told, told_of};

pub(crate) const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;
/// The largest index that is read: more aborted transactions than fit a segment's markers.
pub(crate) const FILE_SIZE_MAX: usize = 1 << 30;

/// A transaction that was aborted, as a read-committed consumer must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose transaction it was.
    pub producer_id: ProducerId,
    /// The offset of its first record in the partition.
    pub first_offset: Offset,
    /// The offset of its abort marker.
    pub last_offset: Offset,
    /// The last stable offset of the partition once the marker was there.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut entry = [0; ENTRY_SIZE];
        let fields = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        entry[..2].copy_from_slice(&VERSION.to_be_bytes());
        for (slot, field) in entry[2..].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    /// Whether its numbers can be true, with a marker at `from` or behind. There is no checksum.
    fn can_follow(&self, from: Offset) -> bool {
        self.producer_id.0 >= 0
            && self.first_offset >= Offset::ZERO
            && self.first_offset < self.last_offset
            && self.last_offset >= from
            && (Offset::ZERO..=self.last_offset.next()).contains(&self.last_stable_offset)
    }

    pub(crate) fn decode(entry: &[u8; ENTRY_SIZE]) -> Option<Self> {
        let (version, fields) = entry.split_at(2);
        let mut fields = fields.as_chunks::<8>().0.iter().map(|bytes| i64::from_be_bytes(*bytes));
        (version == VERSION.to_be_bytes()).then_some(Self {
            producer_id: ProducerId(fields.next()?),
            first_offset: Offset(fields.next()?),
            last_offset: Offset(fields.next()?),
            last_stable_offset: Offset(fields.next()?),
        })
    }
}

/// All entries of an index; none if there is no file.
pub(crate) fn read<D: Disk>(disk: &D, path: &Path) -> Result<Vec<AbortedTransaction>, LogError> {
    let bytes = read_file(disk, path, FILE_SIZE_MAX)?.unwrap_or_default();
    let (entries, rest) = bytes.as_chunks::<ENTRY_SIZE>();
    let corrupt = |index| not_an_entry(path, index);
    if !rest.is_empty() {
        return Err(corrupt(entries.len()));
    }
    let mut behind = Offset::ZERO;
    let decoded = entries.iter().enumerate().map(|(index, entry)| {
        let entry = AbortedTransaction::decode(entry).filter(|entry| entry.can_follow(behind));
        let entry = entry.ok_or_else(|| corrupt(index))?;
        behind = entry.last_offset.next();
        Ok(entry)
    });
    decoded.collect()
}

fn not_an_entry(path: &Path, index: usize) -> LogError {
    let position = (index as u64).saturating_mul(ENTRY_SIZE as u64);
    Corruption::new(path, position, DamageReason::NotAnEntry).into()
}

/// The bytes of a whole index.
pub(crate) fn encode(entries: &[AbortedTransaction]) -> Vec<u8> {
    entries.iter().flat_map(AbortedTransaction::encode).collect()
}

/// Adds an entry at the end, over what is left of one that was not written whole.
pub(crate) fn append<D: Disk>(
    disk: &D,
    path: &Path,
    entry: &AbortedTransaction,
) -> Result<(), IoError> {
    let file = disk.open(path, OpenMode::Create)?;
    let size = file.size()?;
    file.write_all_at(&[IoSlice::new(&entry.encode())], size - size % ENTRY_SIZE as u64)
}

/// Drops the transactions whose marker lies at `end` or behind.
pub(crate) fn truncate<D: Disk>(disk: &D, path: &Path, end: Offset) -> Result<(), LogError> {
    let entries = read(disk, path)?;
    let kept = entries.partition_point(|entry| entry.last_offset < end);
    if kept < entries.len() {
        disk.open(path, OpenMode::Write)?.truncate((kept * ENTRY_SIZE) as u64)?;
    }
    Ok(())
}
