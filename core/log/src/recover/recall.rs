//! The batches of each producer that come before the one that a snapshot tells of.
//!
//! A client that lost its connection in a crash sends again what it has heard nothing of, from the first
//! batch on. A snapshot knows of the last one alone, as Kafka's does: the others would be taken for ones
//! that are out of sequence, and the client, which cannot tell that they were written, numbers them anew
//! and writes them twice. So after a crash the end of what a snapshot was made of is read once more.

use dohle_base::Offset;

use crate::{
    disk::{Disk, DiskFile, IoError},
    error::LogError,
    log::Log,
    producer_state::Producers,
    scan::{BatchScan, Scanned},
};

/// How many bytes are read again at most: what has no answer yet is among the last ones. Five batches of
/// each of three producers with the usual `batch.size`.
const RECALL_SIZE: u32 = 256 << 10;

impl<D: Disk> Log<D> {
    /// Recalls the batches before `end`, for which the producers' state is that of a snapshot. It is of no
    /// harm if some cannot be read: they are not recalled, and whoever reads them is told.
    pub(super) fn recall_batches(&mut self, end: Offset) -> Result<(), LogError> {
        if !self.producers.have_batches() {
            return Ok(());
        }
        let mut read = Producers::default();
        for (index, position) in self.end_of(end)?.into_iter().rev() {
            let Some(segment) = self.segments.get_mut(index) else { continue };
            let is_open = segment.open_file().is_some();
            let file = segment.file(&self.dir)?.clone();
            // The size of a segment that will be read again is where that begins, for now.
            let (from, to) = (u64::from(position), file.size()?);
            // Of what is behind the end little is read.
            let most = 2 * u64::from(RECALL_SIZE);
            let mut scan = BatchScan::in_chunks(&file, from, to.min(from + most), most);
            while let Scanned::Entry(_, entry) = scan.next()? {
                if entry.last_offset() >= end {
                    break;
                }
                read.apply_entry(&entry);
            }
            if segment.indexes.is_none() && !is_open {
                segment.release();
            }
        }
        self.producers.recall(&read);
        Ok(())
    }

    /// Where to read in which segments, the newest first.
    fn end_of(&self, end: Offset) -> Result<Vec<(usize, u32)>, IoError> {
        let (mut places, mut left) = (Vec::new(), RECALL_SIZE);
        let last = Offset(end.0.saturating_sub(1));
        let newest = self.floor(last);
        for (index, segment) in self.segments.iter().enumerate().take(newest + 1).rev() {
            // A little before the end, where the index has its last entry, is near enough.
            let indexed = match index == newest {
                true => segment.index_floor(&self.dir, last)?,
                false => None,
            };
            let size = indexed.map_or(segment.size, |entry| entry.position);
            let from = match size.checked_sub(left) {
                Some(from) => segment.index_ceiling(&self.dir, from)?.map(|entry| entry.position),
                None => Some(0),
            };
            // Else a batch is larger than all that may be read.
            let Some(from) = from.filter(|from| *from <= size) else { break };
            places.push((index, from));
            left = left.saturating_sub(size);
            if left == 0 {
                break;
            }
        }
        Ok(places)
    }
}
