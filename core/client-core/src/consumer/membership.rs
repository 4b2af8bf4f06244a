//! Membership in a classic group: joining, waiting for an assignment, heartbeats, leaving.
//!
//! ```text
//!   Outside ──▶ Preparing ──▶ Joining ──▶ Assigning (leader only) ──▶ Syncing ──▶ Stable
//!                   ▲            │ member id required: again                        │
//!                   └── rebalance, subscription or partitions changed, errors ◀─────┘
//! ```
//!
//! Preparing: the application has polled, so what it got before is worked on; offsets are
//! committed; if partitions are given up, the application is told and polls once more. Only then
//! the group hears of us: who has joined has given up what he must.
//!
//! This file has the states and what answers do to them. The requests are made in `group`.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{ErrorCode, Instant, Str};

use super::{Assignor, assignor::Members};
use crate::TopicPartition;

/// Where we are with the group.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// Not a member.
    Outside,
    /// About to join.
    Preparing(Preparation),
    /// JoinGroup is under way; it may take as long as the slowest member.
    Joining,
    /// We lead and need to know the partitions of all topics that members subscribe to.
    Assigning { members: Members, since_update: u64 },
    /// SyncGroup is under way.
    Syncing,
    /// A member with an assignment.
    Stable,
}

/// What has to happen before joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparation {
    /// The application must poll.
    AwaitPoll,
    /// Offsets are being committed.
    Commit,
    /// The application must see what it loses and poll again.
    AwaitAcknowledgement,
    /// Nothing.
    Done,
}

/// What we are in the group.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) phase: Phase,
    pub(super) member_id: Str,
    /// −1 while the group does not count on us.
    pub(super) generation: i32,
    /// The strategy of the generation.
    pub(super) assignor: Option<Assignor>,
    /// Our partitions.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// The group has to share anew.
    pub(super) rejoin: bool,
    /// We lost our place without being asked: no commit, no orderly revocation.
    pub(super) dropped: bool,
    /// As the leader: how many partitions each topic had when they were shared.
    pub(super) counts: Option<BTreeMap<Str, usize>>,
    pub(super) heartbeat_at: Instant,
    pub(super) heartbeat_in_flight: bool,
    /// When the coordinator last confirmed that it counts on us.
    pub(super) confirmed_at: Instant,
    pub(super) failures: u32,
    pub(super) not_before: Instant,
}

/// What an error of the coordinator means for our place in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: try the same again.
    Again,
    /// Try the same again at whoever is the coordinator now.
    AgainElsewhere,
    /// The group shares anew.
    Rejoin,
    /// The group has gone on without us.
    Dropped,
    /// Join with the member id that we were given.
    JoinWithId,
    /// We will never be a member like this.
    Fatal,
}

/// What `code` means, whichever request it answers.
pub(super) fn effect(code: ErrorCode) -> Effect {
    match code {
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => Effect::AgainElsewhere,
        ErrorCode::REBALANCE_IN_PROGRESS => Effect::Rejoin,
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => Effect::Dropped,
        ErrorCode::MEMBER_ID_REQUIRED => Effect::JoinWithId,
        code if code.is_retriable() => Effect::Again,
        _ => Effect::Fatal,
    }
}

impl Membership {
    /// Outside.
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Outside,
            member_id: Str::default(),
            generation: -1,
            assignor: None,
            owned: BTreeSet::new(),
            rejoin: true,
            dropped: false,
            counts: None,
            heartbeat_at: Instant::default(),
            heartbeat_in_flight: false,
            confirmed_at: Instant::default(),
            failures: 0,
            not_before: Instant::default(),
        }
    }

    /// Whether the group counts on us.
    pub(super) fn is_member(&self) -> bool {
        self.generation >= 0
    }

    /// Whether the coordinator expects heartbeats.
    pub(super) fn beats(&self) -> bool {
        self.is_member() && !matches!(self.phase, Phase::Outside | Phase::Joining)
    }

    /// Whether records may be handed out: not while what was handed out is being committed.
    pub(super) fn may_consume(&self) -> bool {
        self.phase != Phase::Preparing(Preparation::Commit)
    }

    /// The group has gone on without us. With an unknown member id we are also nobody any more.
    pub(super) fn drop_out(&mut self, code: ErrorCode) {
        if code != ErrorCode::ILLEGAL_GENERATION {
            self.member_id = Str::default();
        }
        self.generation = -1;
        self.counts = None;
        self.dropped = true;
        self.rejoin = true;
        if self.phase != Phase::Outside {
            self.phase = Phase::Preparing(Preparation::AwaitPoll);
        }
    }

    /// What has to be given up before joining: everything, or what is no longer subscribed to.
    pub(super) fn to_give_up(
        &self,
        topics: &BTreeSet<Str>,
        cooperative: bool,
    ) -> BTreeSet<TopicPartition> {
        let keeps = cooperative && !self.dropped;
        let given_up = self.owned.iter().filter(|p| !keeps || !topics.contains(&p.topic));
        given_up.cloned().collect()
    }
}

#[cfg(test)]
mod tests;
