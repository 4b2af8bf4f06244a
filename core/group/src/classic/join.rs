//! JoinGroup: who may come to the barrier, and whether coming starts a rebalance.
//!
//! A client that joins with an empty member id is new, or a static member that was restarted. Since
//! version 4 a new one is only given an id and asked to come back with it (KIP-394), so that clients
//! that retry do not leave ghosts behind.

use std::collections::BTreeSet;

use bytes::Bytes;
use dohle_base::{ErrorCode, Now, Str, Uuid};
use dohle_protocol::api::{
    join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
    join_group_response::JoinGroupResponse,
};

use super::{ClassicGroup, Draft, GroupState, Member, MemberProtocol, live::JoinWaiter};
use crate::{
    Caller, Effect, Group, GroupDecision, GroupMachine, Reply,
    reply::{fit_join, join_failure},
    session::Session,
};

/// The first version in which a member must know its id before it joins.
const KNOWN_ID_VERSION: i16 = 4;
/// The first version in which a leader can be told to keep the assignment (KIP-814).
const SKIP_ASSIGNMENT_VERSION: i16 = 9;
/// How long a new member may wait at the barrier: it cannot send heartbeats there. Source: Kafka.
const NEWCOMER_TIMEOUT_MS: i32 = 5 * 60 * 1_000;

/// A JoinGroup in the coordinator's terms.
struct Candidate {
    member_id: Str,
    member: Member,
    protocol_type: Str,
    waiter: JoinWaiter,
}

/// Decides on a JoinGroup. `fresh_id` makes a new member's id unique.
pub(crate) fn join(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    caller: Caller,
    request: JoinGroupRequest,
    fresh_id: Uuid,
) -> GroupDecision {
    let waiter = JoinWaiter { token: caller.token, version: caller.api_version };
    let known = match check(machine, session, &request) {
        Ok(known) => known,
        Err((member_id, error)) => {
            let response = fit_join(join_failure(&member_id, error), waiter.version);
            let reply = Reply::Join(response);
            return GroupDecision::effect(Effect::Reply { token: waiter.token, reply });
        }
    };
    let group_id = request.group_id.clone();
    let live = machine.live(session, &group_id).unwrap_or_default();
    let mut draft = Draft::new(session, now, group_id, live);
    let new_id = member_id(&caller.client_id, request.group_instance_id.as_ref(), fresh_id);
    let candidate = candidate(caller, request, waiter);
    let admitted = draft.admit(candidate, new_id);
    if !known {
        if !admitted {
            // Nothing came of it, so no group does either.
            return GroupDecision { effects: draft.decision.effects, ..GroupDecision::default() };
        }
        draft.record_birth(waiter);
    }
    draft.finish()
}

/// Whether the group is known; else whom to tell what is wrong with the request.
fn check(
    machine: &GroupMachine,
    session: &Session,
    request: &JoinGroupRequest,
) -> Result<bool, (Str, ErrorCode)> {
    let settings = session.settings();
    let session_timeouts = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
    let refuse = |error| Err((request.member_id.clone(), error));
    if request.group_id.is_empty() {
        return refuse(ErrorCode::INVALID_GROUP_ID);
    }
    if !session_timeouts.contains(&request.session_timeout_ms) {
        return refuse(ErrorCode::INVALID_SESSION_TIMEOUT);
    }
    match machine.group(&request.group_id) {
        Some(Group::Modern(_)) => Err((Str::default(), ErrorCode::INCONSISTENT_GROUP_PROTOCOL)),
        Some(Group::Classic(_)) => Ok(true),
        None if request.member_id.is_empty() => Ok(false),
        None => refuse(ErrorCode::UNKNOWN_MEMBER_ID),
    }
}

/// The id of a new member: telling, and unique.
fn member_id(client_id: &Str, instance_id: Option<&Str>, fresh: Uuid) -> Str {
    let hex = format!("{:032x}", fresh.0);
    let name = instance_id.unwrap_or(client_id);
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Str::from(format!("{name}-{}", groups.join("-")))
}

/// What somebody can do. A name can count only once in the vote. The metadata live as long as the
/// member, and would keep the buffer that the request came in.
fn protocols(offered: Vec<JoinGroupRequestProtocol>) -> Vec<MemberProtocol> {
    let mut names = BTreeSet::new();
    let distinct = offered.into_iter().filter(|offered| names.insert(offered.name.clone()));
    let owned = distinct.map(|offered| MemberProtocol {
        name: offered.name,
        metadata: Bytes::copy_from_slice(&offered.metadata),
    });
    owned.collect()
}

fn candidate(caller: Caller, request: JoinGroupRequest, waiter: JoinWaiter) -> Candidate {
    let rebalance_timeout_ms = match caller.api_version {
        // Version 0 has no field for it.
        0 => request.session_timeout_ms,
        _ => request.rebalance_timeout_ms,
    };
    let member = Member {
        instance_id: request.group_instance_id,
        client_id: caller.client_id,
        client_host: caller.client_host,
        rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: protocols(request.protocols),
        assignment: Bytes::new(),
    };
    let protocol_type = request.protocol_type;
    Candidate { member_id: request.member_id, member, protocol_type, waiter }
}

impl Draft<'_> {
    /// Lets a candidate in as far as it may come; false if the group is as it was.
    fn admit(&mut self, candidate: Candidate, new_id: Str) -> bool {
        let nobody = Str::default();
        if !self.has_room_for(&candidate.member_id) {
            self.remove(&candidate.member_id);
            self.refuse(&candidate, &nobody, ErrorCode::GROUP_MAX_SIZE_REACHED);
            // The others need not wait for it.
            self.complete_if_all_joined();
            return true;
        }
        let member_id = candidate.member_id.clone();
        if !self.live.accepts(&candidate.protocol_type, &candidate.member.protocols) {
            self.refuse(&candidate, &member_id, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
            return false;
        }
        if !member_id.is_empty() {
            self.rejoin(candidate);
            return true;
        }
        match &candidate.member.instance_id {
            Some(instance_id) => match self.live.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_static(old_id, new_id, candidate),
                None => self.add(new_id, candidate),
            },
            None if candidate.waiter.version >= KNOWN_ID_VERSION => {
                self.give_id(new_id, &candidate);
            }
            None => self.add(new_id, candidate),
        }
        true
    }

    fn refuse(&mut self, candidate: &Candidate, member_id: &Str, error: ErrorCode) {
        self.answer_join(candidate.waiter, join_failure(member_id, error));
    }

    /// Members that are in stay in; others come up to the maximum. At the barrier those who are
    /// there count, so that a group that is too big loses the last to come.
    fn has_room_for(&self, member_id: &Str) -> bool {
        let max = self.settings.group_size_max;
        match self.live.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                self.live.joining.contains_key(member_id) || self.live.joining.len() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                let members = &self.live.group.members;
                members.contains_key(member_id) || members.len() < max
            }
        }
    }

    /// Asks a new member to come back with this id, and remembers it for the time of a session.
    fn give_id(&mut self, new_id: Str, candidate: &Candidate) {
        self.arm(self.heartbeat_timer(&new_id), candidate.member.session_timeout_ms);
        self.refuse(candidate, &new_id, ErrorCode::MEMBER_ID_REQUIRED);
        self.live.pending_join.insert(new_id);
    }

    fn add(&mut self, member_id: Str, candidate: Candidate) {
        if let Some(gathering) = &mut self.live.gathering {
            gathering.somebody_came = true;
        }
        if self.live.group.members.is_empty() {
            self.live.group.protocol_type = Some(candidate.protocol_type);
        }
        self.live.insert(member_id.clone(), candidate.member);
        self.live.newcomers.insert(member_id.clone());
        self.await_join(&member_id, candidate.waiter);
        self.arm(self.heartbeat_timer(&member_id), NEWCOMER_TIMEOUT_MS);
        self.rebalance_or_complete();
    }

    fn rejoin(&mut self, candidate: Candidate) {
        let member_id = candidate.member_id.clone();
        let instance_id = candidate.member.instance_id.as_ref();
        if self.live.pending_join.contains(&member_id) && instance_id.is_none() {
            return self.add(member_id, candidate);
        }
        if let Err(error) = self.live.check_member(&member_id, instance_id) {
            return self.refuse(&candidate, &member_id, error);
        }
        let unchanged = self
            .live
            .group
            .members
            .get(&member_id)
            .is_some_and(|member| member.protocols == candidate.member.protocols);
        match self.live.state {
            GroupState::Empty => self.refuse(&candidate, &member_id, ErrorCode::UNKNOWN_MEMBER_ID),
            // It did not get the answer: say it again.
            GroupState::CompletingRebalance if unchanged => {
                let response = self.joined(&member_id);
                self.answer_join(candidate.waiter, response);
            }
            // The leader comes to have the group rebalanced; others to learn the generation.
            GroupState::Stable if unchanged && !self.live.is_leader(&member_id) => {
                let response = self.joined(&member_id);
                self.answer_join(candidate.waiter, response);
            }
            _ => {
                self.update(&member_id, &candidate);
                self.await_join(&member_id, candidate.waiter);
                self.rebalance_or_complete();
            }
        }
    }

    fn update(&mut self, member_id: &Str, candidate: &Candidate) {
        self.live.update(member_id, |member| {
            member.protocols.clone_from(&candidate.member.protocols);
            member.rebalance_timeout_ms = candidate.member.rebalance_timeout_ms;
            member.session_timeout_ms = candidate.member.session_timeout_ms;
        });
    }

    /// A static member was restarted: it takes the place of its former self under a new id. If
    /// nothing else changes, the group is not disturbed.
    fn replace_static(&mut self, old_id: Str, new_id: Str, candidate: Candidate) {
        let former_leader = self.live.group.leader.clone();
        self.rename(&old_id, &new_id);
        self.update(&new_id, &candidate);
        self.refresh_session(&new_id);
        match self.live.state {
            GroupState::Stable if self.live.elect_protocol() == self.live.group.protocol_name => {
                self.record();
                let mut response = self.joined(&new_id);
                if candidate.waiter.version >= SKIP_ASSIGNMENT_VERSION {
                    response.skip_assignment = self.live.is_leader(&new_id);
                } else {
                    // It must not take itself for the leader: it would assign.
                    response.leader = former_leader.unwrap_or_default();
                    response.members = Vec::new();
                }
                self.answer_join(candidate.waiter, response);
                self.await_told(&new_id);
            }
            GroupState::Stable | GroupState::CompletingRebalance => {
                // The leader's assignment would still name the former id.
                self.await_join(&new_id, candidate.waiter);
                self.prepare_rebalance();
            }
            GroupState::Empty | GroupState::PreparingRebalance => {
                self.await_join(&new_id, candidate.waiter);
                self.complete_if_all_joined();
            }
        }
    }

    /// Gives a member another id, keeps all it has, and fences whoever waits under the former one.
    fn rename(&mut self, old_id: &Str, new_id: &Str) {
        if let Some(waiter) = self.live.joining.remove(old_id) {
            let fenced = JoinGroupResponse {
                protocol_name: None,
                ..join_failure(old_id, ErrorCode::FENCED_INSTANCE_ID)
            };
            self.answer_join(waiter, fenced);
        }
        if let Some(token) = self.live.syncing.remove(old_id) {
            self.refuse_sync(token, ErrorCode::FENCED_INSTANCE_ID);
        }
        self.disarm(self.heartbeat_timer(old_id));
        let leads = self.live.is_leader(old_id);
        if let Some(member) = self.live.remove(old_id) {
            self.live.insert(new_id.clone(), member);
        }
        if leads {
            self.live.group.leader = Some(new_id.clone());
        }
    }

    /// The first record of a group says that it exists; the generation comes with the first sync.
    fn record_birth(&mut self, waiter: JoinWaiter) {
        if !self.decision.records.is_empty() {
            return;
        }
        let birth =
            ClassicGroup { state_timestamp: Some(self.now.wall), ..ClassicGroup::default() };
        self.decision.records.push(birth.to_record(&self.group_id));
        let parked = self.live.joining.values().any(|waiting| *waiting == waiter);
        if parked {
            let JoinWaiter { token, version } = waiter;
            self.decision.effects.push(Effect::ParkedJoin { token, version });
        }
    }
}
