//! A classic group while it has members: its record's content as it is becoming, the barrier, and
//! who waits for which answer.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{ErrorCode, Str};
use dohle_protocol::api::sync_group_response::SyncGroupResponse;
use imbl::{OrdMap, OrdSet};

use super::{ClassicGroup, GroupState, Member, MemberProtocol};
use crate::{
    Effect, Reply, ReplyToken,
    reply::{fit_join, join_failure},
    subscription,
};

/// The soft state of a classic group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveGroup {
    /// What the next record will say.
    pub group: ClassicGroup,
    /// Where it is in the making of a generation.
    pub state: GroupState,
    /// Members at the barrier, with whom to answer.
    pub(crate) joining: OrdMap<Str, JoinWaiter>,
    /// Members that wait for the leader's assignment.
    pub(crate) syncing: OrdMap<Str, ReplyToken>,
    /// Members whose answer rests on what is not committed yet.
    pub(crate) untold: OrdSet<Str>,
    /// Members that have not been through a rebalance yet: they cannot send heartbeats.
    pub(crate) newcomers: OrdSet<Str>,
    /// Member ids given out (KIP-394) whose owners have not come back with them.
    pub(crate) pending_join: OrdSet<Str>,
    /// Members of this generation that have not asked for their assignment.
    pub(crate) pending_sync: OrdSet<Str>,
    /// Set while an empty group gathers its first members.
    pub(crate) gathering: Option<Gathering>,
    /// Member ids by instance id.
    pub(crate) static_members: OrdMap<Str, Str>,
    /// How many members support each protocol.
    supported: OrdMap<Str, usize>,
}

/// Whom to answer when the barrier falls, and in which version of JoinGroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinWaiter {
    pub(crate) token: ReplyToken,
    pub(crate) version: i16,
}

/// The patience of an empty group with its first members: a round is added whenever somebody came
/// during the last one, up to the rebalance timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gathering {
    pub(crate) round_ms: i32,
    pub(crate) remaining_ms: i32,
    pub(crate) somebody_came: bool,
}

impl LiveGroup {
    /// The group as it is after a load: what its record says.
    pub(crate) fn restore(stored: &ClassicGroup) -> Self {
        let mut live = Self {
            group: ClassicGroup { members: OrdMap::new(), ..stored.clone() },
            state: if stored.members.is_empty() { GroupState::Empty } else { GroupState::Stable },
            ..Self::default()
        };
        for (member_id, member) in &stored.members {
            live.insert(member_id.clone(), member.clone());
        }
        live
    }

    /// Nothing of it is soft: its record says all.
    pub(crate) fn is_settled(&self) -> bool {
        self.state == GroupState::Empty
            && self.group.members.is_empty()
            && self.pending_join.is_empty()
    }

    /// Members and those who may become one.
    pub(crate) fn known_ids(&self) -> impl Iterator<Item = &Str> {
        self.group.members.keys().chain(&self.pending_join)
    }

    /// What everybody who waits is told when the coordinator goes away: to look for the new one.
    pub(crate) fn dismissals(&self) -> Vec<Effect> {
        let error = ErrorCode::NOT_COORDINATOR;
        let joins = self.joining.iter().map(|(member_id, waiter)| {
            let response = fit_join(join_failure(member_id, error), waiter.version);
            Effect::Reply { token: waiter.token, reply: Reply::Join(response) }
        });
        let syncs = self.syncing.values().map(|token| {
            let response = SyncGroupResponse { error_code: error, ..SyncGroupResponse::default() };
            Effect::Reply { token: *token, reply: Reply::Sync(response) }
        });
        joins.chain(syncs).collect()
    }

    pub(crate) fn is_leader(&self, member_id: &Str) -> bool {
        self.group.leader.as_ref() == Some(member_id)
    }

    pub(crate) fn all_joined(&self) -> bool {
        self.joining.len() == self.group.members.len() && self.pending_join.is_empty()
    }

    /// The longest that a member asks a rebalance to wait for it.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.group.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Adds a member. The first decides on the protocol type and leads until it leaves.
    pub(crate) fn insert(&mut self, member_id: Str, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        self.count_protocols(&member.protocols, true);
        self.group.leader.get_or_insert_with(|| member_id.clone());
        self.pending_join.remove(&member_id);
        self.group.members.insert(member_id, member);
    }

    /// Removes a member or a member id that was given out. If the leader goes, another leads.
    pub(crate) fn remove(&mut self, member_id: &Str) -> Option<Member> {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        self.newcomers.remove(member_id);
        self.joining.remove(member_id);
        self.syncing.remove(member_id);
        self.untold.remove(member_id);
        let member = self.group.members.remove(member_id)?;
        self.count_protocols(&member.protocols, false);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.group.leader = self.group.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Changes a member in place.
    pub(crate) fn update(&mut self, member_id: &Str, change: impl FnOnce(&mut Member)) {
        let Some(mut member) = self.group.members.get(member_id).cloned() else { return };
        self.count_protocols(&member.protocols, false);
        change(&mut member);
        self.count_protocols(&member.protocols, true);
        self.group.members.insert(member_id.clone(), member);
    }

    fn count_protocols(&mut self, protocols: &[MemberProtocol], add: bool) {
        for protocol in protocols {
            let count = self.supported.entry(protocol.name.clone()).or_default();
            if add {
                *count += 1;
            } else {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether somebody who offers this fits in: an empty group takes anybody who offers anything.
    pub(crate) fn accepts(&self, protocol_type: &Str, protocols: &[MemberProtocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.group.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.is_common(&protocol.name))
    }

    fn is_common(&self, protocol_name: &str) -> bool {
        self.supported.get(protocol_name).copied().unwrap_or(0) == self.group.members.len()
    }

    /// Every member votes for the first of its protocols that all support; the most votes win, and
    /// the name decides a tie. None without members.
    pub(crate) fn elect_protocol(&self) -> Option<Str> {
        let mut votes = BTreeMap::<&Str, usize>::new();
        for member in self.group.members.values() {
            let names = member.protocols.iter().map(|protocol| &protocol.name);
            if let Some(choice) = names.into_iter().find(|name| self.is_common(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.clone())
    }

    /// That whoever speaks is the member it says it is.
    pub(crate) fn check_member(
        &self,
        member_id: &Str,
        instance_id: Option<&Str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            let current = self.static_members.get(instance_id);
            let current = current.ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if current != member_id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        if self.group.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    /// The topics that members read; none if the coordinator cannot know.
    pub(crate) fn subscribed_topics(&self) -> Option<BTreeSet<Str>> {
        if !self.is_consumer() {
            return None;
        }
        if self.group.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let name = self.group.protocol_name.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.group.members.values() {
            topics.extend(subscription::topics(member.metadata(name)?)?);
        }
        Some(topics)
    }

    /// Whether the members are Kafka consumers, so that their subscriptions can be read.
    pub(crate) fn is_consumer(&self) -> bool {
        self.group.protocol_type.as_deref() == Some(subscription::PROTOCOL_TYPE)
    }
}

#[cfg(test)]
mod tests;
