//! SyncGroup: the leader brings everybody's assignment, the others wait for theirs.
//!
//! The answers leave when the record with the assignment is committed, so that what a member was
//! told survives a failover.

use std::collections::BTreeMap;

use bytes::Bytes;
use dohle_base::{ErrorCode, Now, Str};
use dohle_protocol::api::{
    sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
    sync_group_response::SyncGroupResponse,
};

use super::{Draft, GroupState, LiveGroup};
use crate::{
    Caller, Effect, GroupDecision, GroupMachine, Reply,
    session::{Session, Timer},
};

/// The first version that must name the protocol (KIP-559).
const NAMED_PROTOCOL_VERSION: i16 = 5;

/// Decides on a SyncGroup.
pub(crate) fn sync(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    caller: Caller,
    request: SyncGroupRequest,
) -> GroupDecision {
    let unnamed = request.protocol_type.is_none() || request.protocol_name.is_none();
    if caller.api_version >= NAMED_PROTOCOL_VERSION && unnamed {
        return refuse(&caller, ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    if request.group_id.is_empty() {
        return refuse(&caller, ErrorCode::INVALID_GROUP_ID);
    }
    let Some(live) = machine.live(session, &request.group_id) else {
        return refuse(&caller, ErrorCode::UNKNOWN_MEMBER_ID);
    };
    if let Err(error) = check(&live, &request) {
        return refuse(&caller, error);
    }
    let mut draft = Draft::new(session, now, request.group_id, live);
    draft.synced(&request.member_id);
    if draft.live.state == GroupState::CompletingRebalance {
        draft.await_sync(&request.member_id, caller.token);
        if draft.live.is_leader(&request.member_id) {
            draft.assign(request.assignments);
            draft.stabilize();
        }
    } else {
        let response = draft.assigned(&request.member_id);
        draft.reply(caller.token, Reply::Sync(response));
        draft.await_told(&request.member_id);
    }
    draft.finish()
}

fn refuse(caller: &Caller, error: ErrorCode) -> GroupDecision {
    let response = SyncGroupResponse { error_code: error, ..SyncGroupResponse::default() };
    GroupDecision::effect(Effect::Reply { token: caller.token, reply: Reply::Sync(response) })
}

fn check(live: &LiveGroup, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    live.check_member(&request.member_id, request.group_instance_id.as_ref())?;
    if request.generation_id != live.group.generation_id {
        return Err(ErrorCode::ILLEGAL_GENERATION);
    }
    if contradict(&request.protocol_type, &live.group.protocol_type)
        || contradict(&request.protocol_name, &live.group.protocol_name)
    {
        return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    match live.state {
        GroupState::Empty => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        GroupState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
        GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
    }
}

fn contradict(said: &Option<Str>, is: &Option<Str>) -> bool {
    matches!((said, is), (Some(said), Some(is)) if said != is)
}

impl Draft<'_> {
    /// A member has asked for its assignment; when all have, nobody is waited for any more.
    fn synced(&mut self, member_id: &Str) {
        self.live.pending_sync.remove(member_id);
        if self.live.pending_sync.is_empty() {
            self.disarm(Timer::Sync(self.group_id.clone()));
        }
    }

    /// Everybody gets what the leader says, and nothing if it says nothing. Shares live as long as
    /// the members, and would keep the buffer that the request came in.
    fn assign(&mut self, assignments: Vec<SyncGroupRequestAssignment>) {
        let mut shares: BTreeMap<Str, Bytes> = assignments
            .into_iter()
            .map(|assigned| (assigned.member_id, assigned.assignment))
            .collect();
        let member_ids: Vec<Str> = self.live.group.members.keys().cloned().collect();
        for member_id in member_ids {
            let share = shares.remove(&member_id).unwrap_or_default();
            let share = Bytes::copy_from_slice(&share);
            self.live.update(&member_id, |member| member.assignment = share);
        }
    }
}
