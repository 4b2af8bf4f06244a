//! A `.txnindex`: the transactions that were aborted in a segment.

use std::path::Path;

use dohle_log::inspect::transaction_index;

use super::{
    fault::{Fault, Problem},
    file::{disk, open, start},
    page::Page,
};

/// Shows all entries, or none if one of them is of a version that is not known.
pub(super) fn show(path: &Path, page: &mut Page<'_>) -> Result<(), Fault> {
    start(path)?;
    let file = open(path)?;
    let entries = || transaction_index(&file).map_err(|error| disk(path, error));
    for (index, entry) in (0..).zip(entries()?) {
        if let Err(version) = entry.map_err(|error| disk(path, error))? {
            let position = index * entries()?.entry_size() as u64;
            return Err(Fault::at(path, Some(position), Problem::TransactionVersion(version)));
        }
    }
    for entry in entries()? {
        let Ok(transaction) = entry.map_err(|error| disk(path, error))? else { continue };
        page.line(format_args!(
            "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            transaction.producer_id.0,
            transaction.first_offset.0,
            transaction.last_offset.0,
            transaction.last_stable_offset.0,
        ))?;
    }
    Ok(())
}
