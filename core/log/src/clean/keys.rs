//! The first pass: the last offset of each key in the dirty part goes to the map, until that is
//! full.

use dohle_base::Offset;
use dohle_records::{BatchError, Entry};

use crate::{
    disk::{Disk, OpenMode},
    names::FileKind,
};

use super::{
    CleanError, Meter,
    filter::control_type,
    offset_map::OffsetMap,
    plan::{Basis, Input},
    run::{Walk, damaged},
    transactions::Transactions,
};

/// The dirty part of a log.
pub(crate) struct Dirty<'a> {
    /// The segments that it lies in.
    pub(crate) inputs: &'a [Input],
    /// Where it begins: in the first of them.
    pub(crate) from: Offset,
    /// Where it ends: behind the last.
    pub(crate) to: Offset,
    /// How much of it is read at once.
    pub(crate) chunk_size: u64,
}

/// Puts the keys into the map. Aborted records have none.
pub(crate) fn collect<D: Disk>(
    basis: &Basis<D>,
    dirty: &Dirty<'_>,
    transactions: &mut Transactions,
    map: &mut OffsetMap,
    meter: &mut Meter<'_, '_>,
) -> Result<(), CleanError> {
    let limit = basis.config.decompressed_bytes_max;
    for (index, input) in dirty.inputs.iter().enumerate() {
        let file = basis.dir.open(input.base, FileKind::Log, OpenMode::Read)?;
        let mut walk = Walk::new(&file, input, dirty.chunk_size);
        while let Some((position, entry)) = walk.next()? {
            meter.read(entry.bytes().len())?;
            let has_room = match entry.batch() {
                Some(batch) if batch.attributes().is_control() => {
                    let kind = control_type(&batch).map_err(|e| damaged(&file, position, e))?;
                    transactions.pass_marker(&batch, kind);
                    true
                }
                Some(batch) if transactions.pass_records(&batch) => true,
                _ => put_keys(map, &entry, dirty.from, limit)
                    .map_err(|error| damaged(&file, position, error))?,
            };
            if !has_room {
                return Ok(());
            }
            if entry.last_offset() >= dirty.from {
                map.advance(entry.last_offset());
            }
        }
        // What an earlier clean took away counts as seen.
        let next = dirty.inputs.get(index + 1).map_or(dirty.to, |next| next.base);
        map.advance(Offset(next.0 - 1));
    }
    Ok(())
}

/// `false` if there was no room for all of them.
fn put_keys(
    map: &mut OffsetMap,
    entry: &Entry<'_>,
    from: Offset,
    limit: usize,
) -> Result<bool, BatchError> {
    if entry.last_offset() < from {
        return Ok(true);
    }
    // All of it first: no record makes way for one that nobody can read.
    let readable = entry.decompress(limit).and_then(|payload| {
        let fault = payload.records().find_map(Result::err);
        fault.map_or(Ok(payload), Err)
    });
    let payload = match readable {
        Ok(payload) => payload,
        // As its client made it. It stays, and has no keys.
        Err(_) if entry.batch().is_some() => return Ok(true),
        Err(error) => return Err(error),
    };
    for record in payload.records() {
        let record = record?;
        let Some(key) = record.key.filter(|_| record.offset >= from) else { continue };
        if !map.put(key, record.offset) {
            return Ok(false);
        }
    }
    Ok(true)
}
