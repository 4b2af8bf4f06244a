//! LeaveGroup: members say goodbye, or an administrator removes static ones by instance id.

use dohle_base::{ErrorCode, Now, Str};
use dohle_protocol::api::{
    leave_group_request::{LeaveGroupRequest, MemberIdentity},
    leave_group_response::{LeaveGroupResponse, MemberResponse},
};

use super::{Draft, GroupState};
use crate::{Caller, Effect, GroupDecision, GroupMachine, Reply, session::Session};

/// The first version that names several members and answers each.
const BATCH_VERSION: i16 = 3;

/// Decides on a LeaveGroup.
pub(crate) fn leave(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    caller: &Caller,
    request: LeaveGroupRequest,
) -> GroupDecision {
    let version = caller.api_version;
    let answer = |response| {
        let reply = Reply::Leave(fit(response, version));
        Effect::Reply { token: caller.token, reply }
    };
    if request.group_id.is_empty() {
        let error_code = ErrorCode::INVALID_GROUP_ID;
        let response = LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
        return GroupDecision::effect(answer(response));
    }
    let leaving = if version >= BATCH_VERSION {
        request.members
    } else {
        vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }]
    };
    let Some(live) = machine.live(session, &request.group_id) else {
        let members = leaving
            .into_iter()
            .map(|leaver| answered(leaver, Err(ErrorCode::UNKNOWN_MEMBER_ID)))
            .collect();
        let response = LeaveGroupResponse { members, ..LeaveGroupResponse::default() };
        return GroupDecision::effect(answer(response));
    };
    let mut draft = Draft::new(session, now, request.group_id, live);
    let mut members = Vec::with_capacity(leaving.len());
    let mut anybody_left = false;
    for leaver in leaving {
        let outcome = draft.let_go(&leaver);
        anybody_left |= outcome.is_ok();
        members.push(answered(leaver, outcome));
    }
    if anybody_left && draft.live.state != GroupState::Empty {
        draft.rebalance_or_complete();
    }
    let response = LeaveGroupResponse { members, ..LeaveGroupResponse::default() };
    draft.decision.effects.push(answer(response));
    draft.finish()
}

fn answered(leaver: MemberIdentity, outcome: Result<(), ErrorCode>) -> MemberResponse {
    MemberResponse {
        member_id: leaver.member_id,
        group_instance_id: leaver.group_instance_id,
        error_code: outcome.err().unwrap_or(ErrorCode::NONE),
    }
}

/// Old versions have one error, that of the one member.
fn fit(response: LeaveGroupResponse, version: i16) -> LeaveGroupResponse {
    if version >= BATCH_VERSION || response.error_code.is_error() {
        return response;
    }
    let error_code = response.members.first().map_or(ErrorCode::NONE, |member| member.error_code);
    LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
}

impl Draft<'_> {
    fn let_go(&mut self, leaver: &MemberIdentity) -> Result<(), ErrorCode> {
        let member_id = self.member_to_remove(leaver)?;
        self.remove(&member_id);
        Ok(())
    }

    fn member_to_remove(&self, leaver: &MemberIdentity) -> Result<Str, ErrorCode> {
        let instance_id = leaver.group_instance_id.as_ref();
        if leaver.member_id.is_empty() {
            let member_id = instance_id.and_then(|id| self.live.static_members.get(id));
            return member_id.cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !self.live.pending_join.contains(&leaver.member_id) {
            self.live.check_member(&leaver.member_id, instance_id)?;
        }
        Ok(leaver.member_id.clone())
    }
}
