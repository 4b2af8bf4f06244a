//! A rebalance, from the first who must come back to the last who gets its share: what happens, but
//! not who causes it.

use dohle_base::{ErrorCode, Str};

use super::{Draft, GroupState, live::Gathering};
use crate::{Reply, ReplyToken, session::Timer};

/// How long at least a barrier at which nobody stands is left alone: a client may have named a
/// rebalance timeout of nothing, and would keep the coordinator busy until its session ends.
const ABSENT_RETRY_MIN_MS: i32 = 1_000;

impl Draft<'_> {
    fn enter(&mut self, state: GroupState) {
        self.live.state = state;
        self.live.group.state_timestamp = Some(self.now.wall);
    }

    /// Something changed who is in the group or what it can do: rebalance, or see whether the
    /// rebalance under way is complete.
    pub(crate) fn rebalance_or_complete(&mut self) {
        if self.live.state == GroupState::PreparingRebalance {
            self.complete_if_all_joined();
        } else {
            self.prepare_rebalance();
        }
    }

    /// Sends everybody back to the barrier.
    pub(crate) fn prepare_rebalance(&mut self) {
        if self.live.state == GroupState::CompletingRebalance {
            self.abandon_assignment();
        }
        self.live.pending_sync.clear();
        self.disarm(Timer::Sync(self.group_id.clone()));
        let first = self.live.state == GroupState::Empty;
        self.enter(GroupState::PreparingRebalance);
        if first {
            self.gather();
        } else if self.live.all_joined() {
            self.complete_join();
        } else {
            self.arm_join();
        }
    }

    fn abandon_assignment(&mut self) {
        let member_ids: Vec<Str> = self.live.group.members.keys().cloned().collect();
        for member_id in member_ids {
            self.live.update(&member_id, |member| member.assignment.clear());
            if let Some(token) = self.live.syncing.remove(&member_id) {
                self.refuse_sync(token, ErrorCode::REBALANCE_IN_PROGRESS);
                self.refresh_session(&member_id);
            }
        }
    }

    /// An empty group waits a little for more members, which spares them a second rebalance.
    fn gather(&mut self) {
        let round_ms = self.settings.initial_rebalance_delay_ms;
        let remaining_ms = self.live.rebalance_timeout_ms().saturating_sub(round_ms).max(0);
        self.live.gathering = Some(Gathering { round_ms, remaining_ms, somebody_came: false });
        self.arm(Timer::Join(self.group_id.clone()), round_ms);
    }

    fn arm_join(&mut self) {
        let timeout_ms = self.live.rebalance_timeout_ms();
        self.arm(Timer::Join(self.group_id.clone()), timeout_ms);
    }

    /// The join timer has fired.
    pub(crate) fn join_timed_out(&mut self) {
        if self.live.state != GroupState::PreparingRebalance {
            return self.disarm(Timer::Join(self.group_id.clone()));
        }
        match self.live.gathering {
            Some(Gathering { round_ms, remaining_ms, somebody_came: true }) if remaining_ms > 0 => {
                let next = Gathering {
                    round_ms: self.settings.initial_rebalance_delay_ms.min(remaining_ms),
                    remaining_ms: remaining_ms.saturating_sub(round_ms).max(0),
                    somebody_came: false,
                };
                self.live.gathering = Some(next);
                self.arm(Timer::Join(self.group_id.clone()), next.round_ms);
            }
            _ => self.complete_join(),
        }
    }

    /// Everybody is at the barrier, unless an empty group still gathers.
    pub(crate) fn complete_if_all_joined(&mut self) {
        let preparing = self.live.state == GroupState::PreparingRebalance;
        if preparing && self.live.gathering.is_none() && self.live.all_joined() {
            self.complete_join();
        }
    }

    /// The barrier falls: whoever is not there is out, except static members, whose session time
    /// is for them to use.
    pub(crate) fn complete_join(&mut self) {
        self.disarm(Timer::Join(self.group_id.clone()));
        self.remove_absent_members();
        if !self.elect_joined_leader() && !self.live.group.members.is_empty() {
            // Only absent static members are left: wait until they come or their sessions end.
            let patience_ms = self.live.rebalance_timeout_ms().max(ABSENT_RETRY_MIN_MS);
            self.arm(Timer::Join(self.group_id.clone()), patience_ms);
            return;
        }
        self.live.gathering = None;
        self.live.pending_sync.clear();
        self.live.group.generation_id = self.live.group.generation_id.wrapping_add(1);
        self.live.group.protocol_name = self.live.elect_protocol();
        if self.live.group.members.is_empty() {
            self.enter(GroupState::Empty);
            self.record();
        } else {
            self.enter(GroupState::CompletingRebalance);
            self.announce_generation();
        }
    }

    fn remove_absent_members(&mut self) {
        let members = self.live.group.members.iter();
        let absent: Vec<Str> = members
            .filter(|(id, member)| {
                member.instance_id.is_none() && !self.live.joining.contains_key(*id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for member_id in absent {
            self.remove(&member_id);
        }
    }

    /// Makes sure that the leader is at the barrier; false if nobody is.
    fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.live.group.leader else { return false };
        if self.live.joining.contains_key(leader) {
            return true;
        }
        let Some((successor, _)) = self.live.joining.get_min() else { return false };
        self.live.group.leader = Some(successor.clone());
        true
    }

    fn announce_generation(&mut self) {
        let member_ids: Vec<Str> = self.live.group.members.keys().cloned().collect();
        for member_id in member_ids {
            if let Some(waiter) = self.live.joining.remove(&member_id) {
                let response = self.joined(&member_id);
                self.answer_join(waiter, response);
                self.await_told(&member_id);
            }
            self.refresh_session(&member_id);
            self.live.newcomers.remove(&member_id);
            self.live.pending_sync.insert(member_id);
        }
        let timeout_ms = self.live.rebalance_timeout_ms();
        self.arm(Timer::Sync(self.group_id.clone()), timeout_ms);
    }

    /// The leader's assignment is known and logged: everybody gets its share.
    pub(crate) fn stabilize(&mut self) {
        // The record carries the time of the state before, as Kafka writes it.
        self.record();
        self.enter(GroupState::Stable);
        let waiting: Vec<(Str, ReplyToken)> =
            self.live.syncing.iter().map(|(id, token)| (id.clone(), *token)).collect();
        self.live.syncing.clear();
        for (member_id, token) in waiting {
            let response = self.assigned(&member_id);
            self.reply(token, Reply::Sync(response));
            self.await_told(&member_id);
            self.refresh_session(&member_id);
        }
    }

    /// The sync timer has fired: whoever received the generation and then fell silent is out.
    pub(crate) fn sync_timed_out(&mut self) {
        self.disarm(Timer::Sync(self.group_id.clone()));
        let completing =
            matches!(self.live.state, GroupState::CompletingRebalance | GroupState::Stable);
        if !completing || self.live.pending_sync.is_empty() {
            return;
        }
        let silent: Vec<Str> = self.live.pending_sync.iter().cloned().collect();
        for member_id in silent {
            self.remove(&member_id);
        }
        self.prepare_rebalance();
    }
}
