//! All transactions that were aborted in a part of a log, from the indexes of its segments and of
//! those behind: a marker may be far from what it ends.

use dohle_base::Offset;

use crate::{
    disk::Disk,
    error::LogError,
    names::FileKind,
    segment::Dir,
    txn_index::{self, AbortedTransaction},
};

/// The aborted transactions with records before `end`, each once. `bases` are the sealed segments
/// that have an index; `rest` is what the index of the open one says.
pub(crate) fn read<D: Disk>(
    dir: &Dir<D>,
    bases: &[Offset],
    rest: &[AbortedTransaction],
    end: Offset,
) -> Result<Vec<AbortedTransaction>, LogError> {
    let mut aborted = Vec::new();
    for base in bases {
        let entries = txn_index::read(&dir.disk, &dir.file(*base, FileKind::TxnIndex))?;
        aborted.extend(entries.into_iter().filter(|entry| entry.first_offset < end));
    }
    aborted.extend(rest.iter().filter(|entry| entry.first_offset < end));
    aborted.sort_unstable_by_key(|entry| (entry.first_offset, entry.producer_id));
    // A crash in a swap can leave an entry in two segments.
    aborted.dedup();
    Ok(aborted)
}
