//! Single files of a log as they are, for those who look at them: tools, and people who search for
//! what is wrong.
//!
//! Nothing is repaired, skipped or written here, and no file needs another one. Where recovery asks
//! whether bytes can be trusted, this only asks whether they can be read at all, so that a batch
//! with a wrong checksum is still shown. Memory: one batch, or one piece of an index.
//!
//! | file | what reads it |
//! |---|---|
//! | `.log`, `.checkpoint` | [`Batches`] |
//! | `.index`, `.timeindex`, `.txnindex` | [`IndexEntries`] |
//! | `.snapshot` | [`producers`] |
//! | `dohle.wal` | [`WalFrames`](crate::wal::WalFrames) |

mod batches;
mod indexes;
mod window;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::{
    disk::{Disk, IoError, Operation, read_file},
    producer_state::{ProducerState, snapshot},
};

pub use crate::{
    offset_index::IndexedOffset, producer_state::snapshot::SnapshotError, time_index::IndexedTime,
};
pub use batches::{Batches, StoredBatch};
pub use indexes::{IndexEntries, IndexedTransaction, offset_index, time_index, transaction_index};

/// The largest producer snapshot that is read: more producers than the node keeps.
const SNAPSHOT_SIZE_MAX: usize = 1 << 30;

/// The producers that a `.snapshot` holds.
///
/// # Errors
/// Outside, what the disk says; inside, what is wrong with the bytes.
pub fn producers<D: Disk>(
    disk: &D,
    path: &Path,
) -> Result<Result<Vec<ProducerState>, SnapshotError>, IoError> {
    let bytes = read_file(disk, path, SNAPSHOT_SIZE_MAX)?;
    let missing = || IoError::of_kind(Operation::Open, path, std::io::ErrorKind::NotFound);
    Ok(snapshot::decode(&bytes.ok_or_else(missing)?))
}
