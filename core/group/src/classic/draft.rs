//! A classic group in the hands of a decision: a copy to change, and what comes of it.

use dohle_base::{ErrorCode, Now, Str};
use dohle_protocol::api::{
    join_group_response::{JoinGroupResponse, JoinGroupResponseMember},
    sync_group_response::SyncGroupResponse,
};

use super::{LiveGroup, Member, live::JoinWaiter};
use crate::{
    Effect, GroupDecision, GroupSettings, Reply, ReplyToken,
    reply::{fit_join, join_failure},
    session::{self, Session, Soft, Timer},
};

/// The work on one group within one decision.
pub(crate) struct Draft<'a> {
    pub(crate) group_id: Str,
    pub(crate) live: LiveGroup,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) now: Now,
    pub(crate) decision: GroupDecision,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(session: &'a Session, now: Now, group_id: Str, live: LiveGroup) -> Self {
        let decision = GroupDecision::default();
        Self { group_id, live, settings: &session.settings, now, decision }
    }

    /// What was decided, with the group put back.
    pub(crate) fn finish(self) -> GroupDecision {
        let mut decision = self.decision;
        decision.soft.push(Soft::Put(self.group_id, Box::new(self.live)));
        decision
    }

    pub(crate) fn reply(&mut self, token: ReplyToken, reply: Reply) {
        self.decision.effects.push(Effect::Reply { token, reply });
    }

    /// Logs the group as it is now.
    pub(crate) fn record(&mut self) {
        self.decision.records.push(self.live.group.to_record(&self.group_id));
    }

    pub(crate) fn arm(&mut self, timer: Timer, after_ms: i32) {
        let at = session::after_ms(self.now, i64::from(after_ms));
        self.decision.soft.push(Soft::Arm(timer, at));
    }

    pub(crate) fn disarm(&mut self, timer: Timer) {
        self.decision.soft.push(Soft::Disarm(timer));
    }

    pub(crate) fn heartbeat_timer(&self, member_id: &Str) -> Timer {
        Timer::Heartbeat { group_id: self.group_id.clone(), member_id: member_id.clone() }
    }

    /// A member was heard of: its session starts anew.
    pub(crate) fn refresh_session(&mut self, member_id: &Str) {
        if let Some(member) = self.live.group.members.get(member_id) {
            let timeout_ms = member.session_timeout_ms;
            self.arm(self.heartbeat_timer(member_id), timeout_ms);
        }
    }

    /// Says when the member has the answer that was just decided: until then it sends no heartbeats, and its
    /// session does not end.
    pub(crate) fn await_told(&mut self, member_id: &Str) {
        self.live.untold.insert(member_id.clone());
        let (group_id, member_id) = (self.group_id.clone(), member_id.clone());
        self.decision.effects.push(Effect::Told { group_id, member_id });
    }

    pub(crate) fn answer_join(&mut self, waiter: JoinWaiter, response: JoinGroupResponse) {
        self.reply(waiter.token, Reply::Join(fit_join(response, waiter.version)));
    }

    pub(crate) fn refuse_sync(&mut self, token: ReplyToken, error: ErrorCode) {
        let response = SyncGroupResponse { error_code: error, ..SyncGroupResponse::default() };
        self.reply(token, Reply::Sync(response));
    }

    /// Puts a member's JoinGroup at the barrier. One that waited there already is sent back: the
    /// client has given up on it, but its connection may still be open.
    pub(crate) fn await_join(&mut self, member_id: &Str, waiter: JoinWaiter) {
        if let Some(stale) = self.live.joining.insert(member_id.clone(), waiter) {
            self.answer_join(stale, join_failure(member_id, ErrorCode::REBALANCE_IN_PROGRESS));
        }
    }

    /// As [`Self::await_join`], for a SyncGroup.
    pub(crate) fn await_sync(&mut self, member_id: &Str, token: ReplyToken) {
        if let Some(stale) = self.live.syncing.insert(member_id.clone(), token) {
            self.refuse_sync(stale, ErrorCode::REBALANCE_IN_PROGRESS);
        }
    }

    /// Removes a member, or a member id that was given out, and tells whoever waits in its name
    /// that it is unknown, so that a client that is still there starts over.
    pub(crate) fn remove(&mut self, member_id: &Str) -> Option<Member> {
        if let Some(waiter) = self.live.joining.remove(member_id) {
            let nobody = Str::default();
            self.answer_join(waiter, join_failure(&nobody, ErrorCode::UNKNOWN_MEMBER_ID));
        }
        if let Some(token) = self.live.syncing.remove(member_id) {
            self.refuse_sync(token, ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.disarm(self.heartbeat_timer(member_id));
        self.live.remove(member_id)
    }

    /// What a member is told of the present generation; the leader learns who is in it.
    pub(crate) fn joined(&self, member_id: &Str) -> JoinGroupResponse {
        let leads = self.live.is_leader(member_id);
        JoinGroupResponse {
            error_code: ErrorCode::NONE,
            generation_id: self.live.group.generation_id,
            protocol_type: self.live.group.protocol_type.clone(),
            protocol_name: self.live.group.protocol_name.clone(),
            leader: self.live.group.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            members: if leads { self.roster() } else { Vec::new() },
            ..JoinGroupResponse::default()
        }
    }

    fn roster(&self) -> Vec<JoinGroupResponseMember> {
        let protocol_name = self.live.group.protocol_name.clone().unwrap_or_default();
        let members = self.live.group.members.iter();
        members
            .map(|(member_id, member)| JoinGroupResponseMember {
                member_id: member_id.clone(),
                group_instance_id: member.instance_id.clone(),
                metadata: member.metadata(&protocol_name).cloned().unwrap_or_default(),
            })
            .collect()
    }

    /// What a member is told of its assignment.
    pub(crate) fn assigned(&self, member_id: &Str) -> SyncGroupResponse {
        let member = self.live.group.members.get(member_id);
        SyncGroupResponse {
            error_code: ErrorCode::NONE,
            protocol_type: self.live.group.protocol_type.clone(),
            protocol_name: self.live.group.protocol_name.clone(),
            assignment: member.map(|member| member.assignment.clone()).unwrap_or_default(),
            ..SyncGroupResponse::default()
        }
    }
}
