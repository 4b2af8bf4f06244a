//! All transactions that were aborted in a part of a log, from the indexes of its segments and of
//! those behind: a marker may be far from what it ends.
//!
//! A clean drops what was aborted for good, and lets it supersede nothing. So it does not take the
//! indexes' word, which have no checksum: where a batch contradicts one, or ends a transaction otherwise than
//! they tell, the batches of the log are read for what they should say.

use std::collections::BTreeSet;

use dohle_base::{Offset, ProducerId};

use super::{CleanError, Meter, transactions::Transactions};
use crate::{
    disk::Disk,
    error::LogError,
    names::FileKind,
    producer_state::Producers,
    segment::Dir,
    txn_index::{self, AbortedTransaction, Part},
};

/// Where a clean learns of them.
#[derive(Debug)]
pub(crate) struct Aborts {
    /// Sealed segments with a whole index, those behind the limit included.
    pub(crate) indexed: Vec<Offset>,
    /// What is known of those of the open segment, and of what no index tells.
    pub(crate) rest: Vec<AbortedTransaction>,
    /// All segments, by base and bytes.
    pub(crate) segments: Vec<(Offset, u32)>,
    /// Whether the batches were read for them.
    pub(crate) are_replayed: bool,
}

impl Aborts {
    /// Those with records before `end`, each once.
    pub(crate) fn read<D: Disk>(
        &mut self,
        dir: &Dir<D>,
        end: Offset,
        meter: &mut Meter<'_, '_>,
    ) -> Result<Vec<AbortedTransaction>, CleanError> {
        match self.indexed(dir, end) {
            Ok(aborted) if self.are_borne_out(dir, &aborted)? => Ok(aborted),
            Ok(_) | Err(LogError::Corrupt(_)) => self.replay(dir, end, meter),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, by the batches.
    pub(crate) fn replay<D: Disk>(
        &mut self,
        dir: &Dir<D>,
        end: Offset,
        meter: &mut Meter<'_, '_>,
    ) -> Result<Vec<AbortedTransaction>, CleanError> {
        self.are_replayed = true;
        let first = self.segments.first().map_or(end, |(base, _)| *base);
        let is_enough = |producers: &Producers| {
            let oldest = producers.oldest_transaction();
            producers.end() >= end && oldest.is_none_or(|(first, _)| first >= end)
        };
        let producers = Producers::from_states(Vec::new(), first);
        let read = |bytes| meter.read(bytes);
        let mut aborted = txn_index::replay(dir, &self.segments, producers, is_enough, read)?;
        aborted.retain(|entry| entry.first_offset < end);
        Ok(aborted)
    }

    /// Whether the markers that were met, and those behind `end` that end what was not ended there, are
    /// those that were to be expected.
    pub(crate) fn agree<D: Disk>(
        &self,
        dir: &Dir<D>,
        met: &Transactions,
        end: Offset,
    ) -> Result<bool, LogError> {
        if self.are_replayed || met.is_contradicted() {
            return Ok(self.are_replayed);
        }
        let mut unended: BTreeSet<ProducerId> = met.unended().clone();
        let mut agree = true;
        if unended.is_empty() {
            return Ok(true);
        }
        let walked = txn_index::walk(dir, &self.segments, end, |batch, _| {
            if let Part::Marker { committed } = batch.part
                && batch.base >= end
                && unended.remove(&batch.producer_id)
            {
                agree = committed != Some(false);
            }
            agree && !unended.is_empty()
        });
        known_or_damaged(walked.map(|()| agree))
    }

    fn indexed<D: Disk>(
        &self,
        dir: &Dir<D>,
        end: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let mut aborted = Vec::new();
        for base in &self.indexed {
            let entries = txn_index::read(&dir.disk, &dir.file(*base, FileKind::TxnIndex))?;
            aborted.extend(entries.into_iter().filter(|entry| entry.first_offset < end));
        }
        aborted.extend(self.rest.iter().filter(|entry| entry.first_offset < end));
        aborted.sort_unstable_by_key(|entry| (entry.first_offset, entry.producer_id));
        // A crash in a swap can leave an entry in two segments.
        aborted.dedup();
        Ok(aborted)
    }

    fn are_borne_out<D: Disk>(
        &self,
        dir: &Dir<D>,
        aborted: &[AbortedTransaction],
    ) -> Result<bool, LogError> {
        known_or_damaged(txn_index::bear_out(dir, &self.segments, aborted))
    }
}

/// What cannot be read contradicts nothing. If the clean needs it, it is told of it.
fn known_or_damaged(known: Result<bool, LogError>) -> Result<bool, LogError> {
    match known {
        Err(LogError::Corrupt(_)) => Ok(true),
        known => known,
    }
}
