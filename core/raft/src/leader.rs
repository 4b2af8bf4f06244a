//! The replica that appends: it knows how far the others are, and so what is committed.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{BrokerId, LeaderEpoch, Offset};

use crate::prospective::votes;
use crate::{Progress, VoterSet, majority_end};

/// The leader of an epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    epoch: LeaderEpoch,
    epoch_start: Offset,
    granting: BTreeSet<BrokerId>,
    progress: BTreeMap<BrokerId, Progress>,
    high_watermark: Option<Offset>,
}

impl Leader {
    pub(crate) fn new(
        epoch: LeaderEpoch,
        epoch_start: Offset,
        granting: BTreeSet<BrokerId>,
    ) -> Self {
        Self { epoch, epoch_start, granting, progress: BTreeMap::new(), high_watermark: None }
    }

    /// The epoch that it leads.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The end of the log when the epoch began: the offset of its first record.
    pub fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// Who voted for it.
    pub fn granting(&self, voters: &VoterSet) -> Vec<BrokerId> {
        assert!(votes(&self.granting, voters) >= voters.majority(), "a leader was elected");
        self.granting.iter().copied().collect()
    }

    /// Up to where records are committed; none until one of this epoch is.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// How far a replica is, as far as is known.
    pub fn progress(&self, replica: BrokerId) -> Progress {
        self.progress.get(&replica).copied().unwrap_or_default()
    }

    /// A replica keeps everything below `end` durably. Returns the high watermark if that moved it.
    ///
    /// The high watermark moves only beyond the start of the epoch: what earlier leaders appended
    /// is committed by a record of this one. It never goes back.
    pub fn replicated(
        &mut self,
        replica: BrokerId,
        end: Offset,
        voters: &VoterSet,
    ) -> Option<Offset> {
        let progress = self.progress.entry(replica).or_default();
        progress.end_offset = progress.end_offset.max(Some(end));
        let ends = voters.iter().map(|(id, _)| self.progress(id).end_offset);
        let candidate = majority_end(ends).filter(|end| *end > self.epoch_start)?;
        if self.high_watermark.is_some_and(|current| candidate <= current) {
            return None;
        }
        self.high_watermark = Some(candidate);
        Some(candidate)
    }
}

#[cfg(test)]
mod tests;
