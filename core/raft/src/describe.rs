//! What DescribeQuorum tells (KIP-836, KIP-853).

use dohle_base::{BrokerId, LeaderEpoch, Offset};

use crate::{Progress, ReplicaKey, VoterSet};

/// The quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct QuorumDescription {
    /// The leader: always the replica that answers.
    pub leader: BrokerId,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// Up to where records are committed; −1 until known.
    pub high_watermark: Offset,
    /// The voters, by ascending id.
    pub voters: Vec<ReplicaState>,
    /// The replicas that fetch but do not vote.
    pub observers: Vec<ReplicaState>,
    /// The voters with their endpoints.
    pub voter_set: VoterSet,
}

/// One replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// Which replica.
    pub key: ReplicaKey,
    /// How far it is.
    pub progress: Progress,
}
