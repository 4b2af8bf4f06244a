//! A replica that asks whether it could win before it disturbs anyone with a new epoch (KIP-996).

use std::collections::BTreeSet;

use dohle_base::{BrokerId, LeaderEpoch};

use crate::VoterSet;
use crate::candidate::Candidate;

/// Counts who would vote for it; nothing of it is persisted.
#[derive(Clone, Debug)]
pub(crate) struct Prospective {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Option<BrokerId>,
    granted: BTreeSet<BrokerId>,
}

impl Prospective {
    pub(crate) fn new(epoch: LeaderEpoch, leader: Option<BrokerId>, own: BrokerId) -> Self {
        Self { epoch, leader, granted: [own].into() }
    }

    /// Whether a majority of the voters would vote for it.
    pub(crate) fn would_win(&self, voters: &VoterSet) -> bool {
        votes(&self.granted, voters) >= voters.majority()
    }

    /// Raises the epoch and votes for itself.
    pub(crate) fn into_candidate(self, own: BrokerId) -> Candidate {
        let epoch = self.epoch.0.checked_add(1).expect("fewer elections than 31 bits count");
        Candidate::new(LeaderEpoch(epoch), own)
    }
}

/// How many of those who granted are voters.
pub(crate) fn votes(granted: &BTreeSet<BrokerId>, voters: &VoterSet) -> usize {
    granted.iter().filter(|id| voters.voter(**id).is_some()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_voters_count() {
        let three = VoterSet::from_static("1@a:1,2@a:2,3@a:3", "C").unwrap();
        let mut role = Prospective::new(LeaderEpoch(4), None, BrokerId(1));
        assert!(!role.would_win(&three));
        role.granted.insert(BrokerId(9));
        assert!(!role.would_win(&three), "an observer's vote is none");
        role.granted.insert(BrokerId(3));
        assert!(role.would_win(&three));
        assert_eq!(role.into_candidate(BrokerId(1)).epoch, LeaderEpoch(5));
    }
}
