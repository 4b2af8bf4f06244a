//! A replica that raised the epoch, voted for itself in it and asks for the others' votes.

use std::collections::BTreeSet;

use dohle_base::{BrokerId, LeaderEpoch, Offset};

use crate::VoterSet;
use crate::leader::Leader;
use crate::prospective::votes;

/// Counts the votes of its epoch.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) epoch: LeaderEpoch,
    granted: BTreeSet<BrokerId>,
}

impl Candidate {
    pub(crate) fn new(epoch: LeaderEpoch, own: BrokerId) -> Self {
        Self { epoch, granted: [own].into() }
    }

    /// Whether a majority of the voters voted for it.
    pub(crate) fn has_won(&self, voters: &VoterSet) -> bool {
        votes(&self.granted, voters) >= voters.majority()
    }

    /// Leads from `epoch_start` on: the end of its log.
    pub(crate) fn into_leader(self, epoch_start: Offset) -> Leader {
        Leader::new(self.epoch, epoch_start, self.granted)
    }
}
