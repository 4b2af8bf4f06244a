//! A member of a group from day to day, in the order that `membership` describes: what is next, the
//! heartbeat, what errors mean, and leaving.

mod coordinator;
mod rebalance;

use std::collections::BTreeSet;

use dohle_base::{ErrorCode, Instant};
use dohle_protocol::{
    Request,
    api::{
        heartbeat_request::HeartbeatRequest,
        leave_group_request::{LeaveGroupRequest, MemberIdentity},
    },
};

use super::{
    ConsumeError, Consumer, Notice, Tag,
    membership::{Effect, Membership, Phase, Preparation, effect},
};
use crate::{
    RequestError, TopicPartition,
    connections::{Body, Sending},
};

impl<T> Consumer<T> {
    /// Does what is next for our membership.
    pub(super) fn advance_group(&mut self, now: Instant) {
        if self.topics.is_none() || self.closing || self.group_failed.is_some() {
            return;
        }
        self.check_poll_interval(now);
        self.check_session(now);
        self.check_partition_counts();
        loop {
            let before = self.membership.phase.clone();
            match self.membership.phase {
                Phase::Outside | Phase::Stable if self.membership.rejoin => {
                    self.membership.phase = Phase::Preparing(Preparation::AwaitPoll);
                }
                Phase::Preparing(preparation) => self.prepare(now, preparation),
                Phase::Assigning { .. } => self.assign_when_known(now),
                Phase::Outside | Phase::Joining | Phase::Syncing | Phase::Stable => {}
            }
            if self.membership.phase == before {
                break;
            }
        }
        self.beat(now);
    }

    fn prepare(&mut self, now: Instant, preparation: Preparation) {
        match preparation {
            Preparation::AwaitPoll => {
                let owned = !self.membership.owned.is_empty();
                // Without a poll nobody wants records; with partitions, a poll ends the work on
                // those handed out before.
                if self.poll.is_none() {
                    return;
                }
                let commits = self.config.commits_itself() && !self.membership.dropped && owned;
                self.membership.phase =
                    Phase::Preparing(if commits && self.commit_processed(now) {
                        Preparation::Commit
                    } else {
                        self.give_up()
                    });
            }
            Preparation::Commit => {
                if !self.commits.is_committing_itself() {
                    self.membership.phase = Phase::Preparing(self.give_up());
                }
            }
            Preparation::AwaitAcknowledgement => {}
            Preparation::Done => self.join(now),
        }
    }

    /// Gives up what has to be, and says whether the application must know.
    fn give_up(&mut self) -> Preparation {
        let topics = self.topics.clone().unwrap_or_default();
        let given_up = self.membership.to_give_up(&topics, self.is_cooperative());
        let dropped = std::mem::take(&mut self.membership.dropped);
        if given_up.is_empty() {
            return Preparation::Done;
        }
        self.remove_partitions(&given_up);
        let given_up: Vec<_> = given_up.into_iter().collect();
        let notice = if dropped { Notice::Lost(given_up) } else { Notice::Revoked(given_up) };
        self.notices.push_back(notice);
        Preparation::AwaitAcknowledgement
    }

    /// Members keep partitions through rebalances only if all strategies allow it.
    fn is_cooperative(&self) -> bool {
        self.config.assignors.iter().all(|assignor| assignor.is_cooperative())
    }

    pub(super) fn remove_partitions(&mut self, partitions: &BTreeSet<TopicPartition>) {
        for partition in partitions {
            self.membership.owned.remove(partition);
            self.positions.remove(partition);
            self.discard_buffered(partition);
        }
    }

    /// The application has seen what it loses.
    pub(super) fn acknowledge_loss(&mut self) {
        if self.membership.phase == Phase::Preparing(Preparation::AwaitAcknowledgement)
            && self.notices.is_empty()
        {
            self.membership.phase = Phase::Preparing(Preparation::Done);
        }
    }

    fn beat(&mut self, now: Instant) {
        let membership = &self.membership;
        if !membership.beats() || membership.heartbeat_in_flight || membership.heartbeat_at > now {
            return;
        }
        let Some(peer) = self.coordinator_peer(now) else { return };
        let Ok(version) = self.cluster.version::<HeartbeatRequest>(peer, i16::MAX) else { return };
        let request = HeartbeatRequest {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            generation_id: self.membership.generation,
            member_id: self.membership.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone().filter(|_| version >= 3),
        };
        let generation = self.membership.generation;
        self.membership.heartbeat_in_flight = true;
        self.membership.heartbeat_at = now + self.config.heartbeat_interval;
        let sending = Sending {
            timeout: self.config.session_timeout.min(self.config.client.request_timeout),
            ..self.sending(version)
        };
        self.cluster.send(now, peer, &request, sending, Tag::Heartbeat { generation });
    }

    pub(super) fn take_heartbeat(
        &mut self,
        now: Instant,
        generation: i32,
        outcome: Result<Body, RequestError>,
    ) {
        self.membership.heartbeat_in_flight = false;
        let answer = outcome.and_then(Body::decode::<HeartbeatRequest>);
        // What it says of an earlier generation is no longer true.
        if generation != self.membership.generation {
            return;
        }
        match answer {
            Ok(answer) if !answer.error_code.is_error() => self.membership.confirmed_at = now,
            Ok(answer) => match effect(answer.error_code) {
                Effect::Rejoin => {
                    self.membership.confirmed_at = now;
                    self.membership.rejoin |= self.membership.phase == Phase::Stable;
                }
                Effect::Dropped => self.membership.drop_out(answer.error_code),
                Effect::AgainElsewhere => self.forget_coordinator(now),
                Effect::Again | Effect::JoinWithId => {}
                Effect::Fatal => self.report_group(answer.error_code.into()),
            },
            Err(_) => self.forget_coordinator(now),
        }
    }

    /// The answer to a request of a member, unless there is none: then joining begins again.
    fn group_answer<M: Request>(
        &mut self,
        now: Instant,
        outcome: Result<Body, RequestError>,
    ) -> Option<M::Response> {
        match outcome.and_then(Body::decode::<M>) {
            Ok(answer) => Some(answer),
            Err(RequestError::Disconnected | RequestError::TimedOut) => {
                self.forget_coordinator(now);
                self.rejoin_later(now);
                None
            }
            Err(error) => {
                self.report_group(error);
                None
            }
        }
    }

    fn take_group_error(&mut self, now: Instant, code: ErrorCode, during: Phase) {
        match effect(code) {
            Effect::Again => self.rejoin_later(now),
            Effect::AgainElsewhere => {
                self.forget_coordinator(now);
                self.rejoin_later(now);
            }
            Effect::Rejoin | Effect::JoinWithId => {
                // Nothing was given up that we still have, so nothing is left to prepare.
                self.membership.phase = Phase::Preparing(Preparation::Done);
            }
            Effect::Dropped => {
                let joining = during == Phase::Joining;
                self.membership.drop_out(code);
                if joining && self.membership.owned.is_empty() {
                    self.membership.phase = Phase::Preparing(Preparation::Done);
                }
            }
            Effect::Fatal => self.report_group(code.into()),
        }
    }

    /// Joins again after a wait, with what is still ours.
    fn rejoin_later(&mut self, now: Instant) {
        self.membership.failures += 1;
        let backoff = self.config.client.retry();
        let wait = backoff.delay(self.membership.failures, &mut self.cluster.rng);
        self.membership.not_before = now + wait;
        self.membership.phase = Phase::Preparing(Preparation::Done);
    }

    /// An application that does not poll is not at work; others shall have its partitions.
    fn check_poll_interval(&mut self, now: Instant) {
        let idle = self.poll.is_none() && self.polled_at + self.config.max_poll_interval <= now;
        if idle && self.membership.is_member() {
            self.send_leave(now);
            self.membership.drop_out(ErrorCode::UNKNOWN_MEMBER_ID);
        }
    }

    /// A coordinator that has not confirmed us for so long has given us up, or is gone.
    fn check_session(&mut self, now: Instant) {
        let silent = self.membership.confirmed_at + self.config.session_timeout <= now;
        if silent && self.membership.beats() {
            self.membership.confirmed_at = now;
            self.forget_coordinator(now);
        }
    }

    /// Says goodbye, unless we are a static member, whose place is kept.
    pub(super) fn send_leave(&mut self, now: Instant) -> bool {
        if self.membership.member_id.is_empty() || self.config.group_instance_id.is_some() {
            return false;
        }
        let Some(peer) = self.coordinator_peer(now) else { return false };
        let Ok(version) = self.cluster.version::<LeaveGroupRequest>(peer, i16::MAX) else {
            return false;
        };
        let member_id = self.membership.member_id.clone();
        let group_id = self.config.group_id.clone().unwrap_or_default();
        let request = if version >= 3 {
            let members = vec![MemberIdentity { member_id, ..Default::default() }];
            LeaveGroupRequest { group_id, members, ..Default::default() }
        } else {
            LeaveGroupRequest { group_id, member_id, ..Default::default() }
        };
        let sending = self.sending(version);
        self.cluster.send(now, peer, &request, sending, Tag::Leave);
        true
    }

    /// The group will not have us. Every poll says so until another subscription is made.
    pub(super) fn report_group(&mut self, error: RequestError) {
        let group = self.config.group_id.clone().unwrap_or_default();
        let given_up = self.membership.owned.clone();
        self.remove_partitions(&given_up);
        self.membership = Membership::new();
        self.group_failed = Some(ConsumeError::Group { group, error });
    }

    /// An error that the next poll tells. One that is still to be told is not told twice.
    pub(super) fn report(&mut self, error: ConsumeError) {
        let known = |notice: &Notice| matches!(notice, Notice::Error(other) if *other == error);
        if !self.notices.iter().any(known) {
            self.notices.push_back(Notice::Error(error));
        }
    }

    /// When membership needs attention.
    pub(super) fn next_group_deadline(&self) -> Option<Instant> {
        if self.topics.is_none() || self.closing {
            return None;
        }
        let membership = &self.membership;
        let beat = (membership.beats() && !membership.heartbeat_in_flight)
            .then_some(membership.heartbeat_at);
        let session =
            membership.beats().then(|| membership.confirmed_at + self.config.session_timeout);
        let poll = (membership.is_member() && self.poll.is_none())
            .then(|| self.polled_at + self.config.max_poll_interval);
        let joining =
            matches!(membership.phase, Phase::Preparing(_)).then_some(membership.not_before);
        let deadlines = [beat, session, poll, joining].into_iter().flatten();
        deadlines.filter(|due| *due > self.advanced_at).min()
    }
}
