//! What an index tells a read-committed reader of some records, and by which entries.

use std::path::Path;

use dohle_base::Offset;

use super::{AbortedTransaction, ENTRY_SIZE, encode, not_an_entry};
use crate::{
    disk::{Disk, DiskFile, OpenMode},
    error::LogError,
    search::{Entries, InFile, InMemory},
};

/// The entries that what the reader is told rests on.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The last one that ends before the records, if there is one: so do all before it.
    pub(crate) before: Option<AbortedTransaction>,
    /// Those that end there or behind, up to one behind which no other concerns the reader. Those that begin
    /// behind the records do not concern the reader either.
    pub(crate) entries: Vec<AbortedTransaction>,
    /// Whether no later index has more of it.
    pub(crate) is_all: bool,
    /// Whether this index has no entries behind.
    pub(crate) is_to_end: bool,
}

/// What an index tells of the records from `from` on below `up_to`, read where that stands; nothing if
/// there is no file. With the entries that follow and lie between `from` and `ahead`.
pub(crate) fn read_told<D: Disk>(
    disk: &D,
    path: &Path,
    range: (Offset, Offset),
    ahead: Offset,
) -> Result<Told, LogError> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.is_not_found() => return Ok(Told::default()),
        file => file?,
    };
    let mut entries = InFile::new(&file)?;
    if file.size()? % ENTRY_SIZE as u64 != 0 {
        return Err(not_an_entry(path, entries.count()));
    }
    told(&mut entries, path, range, ahead)
}

/// The same of entries in memory.
pub(crate) fn told_of(
    entries: &[AbortedTransaction],
    path: &Path,
    range: (Offset, Offset),
    ahead: Offset,
) -> Result<Told, LogError> {
    told(&mut InMemory(&encode(entries)), path, range, ahead)
}

fn told(
    index: &mut impl Entries<ENTRY_SIZE>,
    path: &Path,
    (from, up_to): (Offset, Offset),
    ahead: Offset,
) -> Result<Told, LogError> {
    let ends_before = |entry: &[u8; ENTRY_SIZE]| {
        AbortedTransaction::decode(entry).is_some_and(|entry| entry.last_offset < from)
    };
    let start = index.partition_point(ends_before)?;
    let mut told = Told { is_to_end: true, ..Told::default() };
    if let Some(before) = start.checked_sub(1) {
        told.before = AbortedTransaction::decode(&index.entry(before)?);
    }
    let mut behind = from;
    for at in start..index.count() {
        if told.is_all && ahead <= up_to {
            told.is_to_end = false;
            break;
        }
        let entry = AbortedTransaction::decode(&index.entry(at)?);
        let entry = entry.filter(|entry| entry.can_follow(behind));
        let entry = entry.ok_or_else(|| not_an_entry(path, at))?;
        if told.is_all && (entry.first_offset < from || entry.last_offset >= ahead) {
            told.is_to_end = false;
            break;
        }
        // Those that end later begin at the last stable offset or behind, which lies behind the marker at
        // most.
        told.is_all |= entry.last_stable_offset.min(entry.last_offset.next()) >= up_to;
        told.entries.push(entry);
        behind = entry.last_offset.next();
    }
    Ok(told)
}
