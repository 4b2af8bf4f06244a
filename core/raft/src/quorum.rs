//! The roles of a replica, and what leads from one to another.
//!
//! ```text
//! Unattached(epoch)       ── voter, may stand for election ──────────▶ Prospective(epoch)
//! Prospective(epoch)      ── a majority would vote for it ───────────▶ Candidate(epoch + 1), voted for itself
//! Candidate(epoch)        ── a majority voted for it ────────────────▶ Leader(epoch)
//! Leader(epoch)           ── shut down ──────────────────────────────▶ Resigned(epoch)
//! start, log is newer     ────────────────────────────────────────────▶ Unattached(epoch of the log)
//! start, leader was self  ────────────────────────────────────────────▶ Resigned(epoch)
//! start, vote was self    ────────────────────────────────────────────▶ Candidate(epoch)
//! start, otherwise        ────────────────────────────────────────────▶ Unattached(epoch)
//! Resigned(epoch)         ── voter, started again ───────────────────▶ Prospective(epoch)
//! ```
//!
//! A replica that led before it stopped cannot lead the same epoch again: it may have forgotten what
//! it told. A quorum of one passes from start to Leader at once. Roles that only messages lead to
//! (Follower) come with the messages. Source: interop B.2, KIP-595, KIP-996.

use dohle_base::{BrokerId, LeaderEpoch};

use crate::candidate::Candidate;
use crate::leader::Leader;
use crate::prospective::Prospective;
use crate::resigned::Resigned;
use crate::unattached::Unattached;
use crate::{ElectionState, ReplicaKey};

/// What a replica is at the moment.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Unattached(Unattached),
    Prospective(Prospective),
    Candidate(Candidate),
    Leader(Leader),
    Resigned(Resigned),
}

impl Role {
    /// What the replica starts as, given what it kept and the last epoch of its log.
    pub(crate) fn at_start(
        election: &ElectionState,
        log_epoch: LeaderEpoch,
        own: &ReplicaKey,
    ) -> Self {
        let ElectionState { epoch, leader, voted } = *election;
        if epoch < log_epoch {
            Self::Unattached(Unattached { epoch: log_epoch, leader: None })
        } else if leader == Some(own.id) {
            Self::Resigned(Resigned { epoch })
        } else if voted == Some(*own) {
            Self::Candidate(Candidate::new(epoch, own.id))
        } else {
            Self::Unattached(Unattached { epoch, leader })
        }
    }

    pub(crate) fn epoch(&self) -> LeaderEpoch {
        match self {
            Self::Unattached(role) => role.epoch,
            Self::Prospective(role) => role.epoch,
            Self::Candidate(role) => role.epoch,
            Self::Leader(role) => role.epoch(),
            Self::Resigned(role) => role.epoch,
        }
    }

    /// The leader of the epoch, as far as this replica knows. One that resigned still says that it
    /// led.
    pub(crate) fn leader(&self, own: BrokerId) -> Option<BrokerId> {
        match self {
            Self::Unattached(role) => role.leader,
            Self::Prospective(role) => role.leader,
            Self::Candidate(_) => None,
            Self::Leader(_) | Self::Resigned(_) => Some(own),
        }
    }
}

#[cfg(test)]
mod tests;
