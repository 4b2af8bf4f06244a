//! Heartbeat, and what happens when none comes.

use dohle_base::{ErrorCode, Now, Str};
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest, heartbeat_response::HeartbeatResponse,
};

use super::{Draft, GroupState};
use crate::{
    Caller, Effect, GroupDecision, GroupMachine, Reply,
    session::{Session, Soft, Timer, after_ms},
};

/// Decides on a Heartbeat. It changes a timer and nothing else.
pub(crate) fn heartbeat(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    caller: &Caller,
    request: HeartbeatRequest,
) -> GroupDecision {
    let answer = |error| {
        let response = HeartbeatResponse { error_code: error, ..HeartbeatResponse::default() };
        Effect::Reply { token: caller.token, reply: Reply::Heartbeat(response) }
    };
    if request.group_id.is_empty() {
        return GroupDecision::effect(answer(ErrorCode::INVALID_GROUP_ID));
    }
    let Some(live) = machine.peek(session, &request.group_id) else {
        return GroupDecision::effect(answer(ErrorCode::UNKNOWN_MEMBER_ID));
    };
    let instance_id = request.group_instance_id.as_ref();
    if let Err(error) = live.check_member(&request.member_id, instance_id) {
        return GroupDecision::effect(answer(error));
    }
    if request.generation_id != live.group.generation_id {
        return GroupDecision::effect(answer(ErrorCode::ILLEGAL_GENERATION));
    }
    let error = match live.state {
        GroupState::Empty => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupState::PreparingRebalance => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupState::CompletingRebalance | GroupState::Stable => ErrorCode::NONE,
    };
    let mut decision = GroupDecision::effect(answer(error));
    if let Some(member) = live.group.members.get(&request.member_id) {
        let at = after_ms(now, i64::from(member.session_timeout_ms));
        let (group_id, member_id) = (request.group_id, request.member_id);
        decision.soft.push(Soft::Arm(Timer::Heartbeat { group_id, member_id }, at));
    }
    decision
}

/// Decides on a heartbeat timer that fired: the member is out, unless it waits for us.
pub(crate) fn expire_member(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    group_id: Str,
    member_id: Str,
) -> GroupDecision {
    let timer = Timer::Heartbeat { group_id: group_id.clone(), member_id: member_id.clone() };
    let Some(live) = machine.live(session, &group_id) else {
        return GroupDecision { soft: vec![Soft::Disarm(timer)], ..GroupDecision::default() };
    };
    let mut draft = Draft::new(session, now, group_id, live);
    draft.disarm(timer);
    if draft.live.pending_join.contains(&member_id) {
        draft.remove(&member_id);
        draft.complete_if_awaited_none();
    } else if !draft.waits_for_us(&member_id) && draft.remove(&member_id).is_some() {
        match draft.live.state {
            GroupState::Stable | GroupState::CompletingRebalance => draft.prepare_rebalance(),
            GroupState::PreparingRebalance => draft.complete_if_awaited_none(),
            GroupState::Empty => {}
        }
    }
    draft.finish()
}

/// A member has been answered: the time of its session begins.
pub(crate) fn told(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    group_id: Str,
    member_id: &Str,
) -> GroupDecision {
    let live = machine.live(session, &group_id);
    let Some(live) = live.filter(|live| live.untold.contains(member_id)) else {
        return GroupDecision::default();
    };
    let mut draft = Draft::new(session, now, group_id, live);
    draft.live.untold.remove(member_id);
    draft.refresh_session(member_id);
    draft.finish()
}

impl Draft<'_> {
    /// Whether a member's request, or the answer, is with us, so that it cannot send heartbeats. New members are
    /// the exception: their JoinGroup itself is given a time.
    fn waits_for_us(&self, member_id: &Str) -> bool {
        !self.live.newcomers.contains(member_id)
            && (self.live.joining.contains_key(member_id)
                || self.live.syncing.contains_key(member_id)
                || self.live.untold.contains(member_id))
    }

    /// Whoever is left is at the barrier: go on, even if the group was still gathering.
    fn complete_if_awaited_none(&mut self) {
        if self.live.state == GroupState::PreparingRebalance && self.live.all_joined() {
            self.complete_join();
        }
    }
}
