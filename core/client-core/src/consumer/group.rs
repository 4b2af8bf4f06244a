//! The requests of a group member, in the order that `membership` describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_base::{ErrorCode, Instant, Str};
use dohle_protocol::{
    Request,
    api::{
        find_coordinator_request::FindCoordinatorRequest,
        heartbeat_request::HeartbeatRequest,
        join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
        join_group_response::JoinGroupResponse,
        leave_group_request::{LeaveGroupRequest, MemberIdentity},
        sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
        sync_group_response::SyncGroupResponse,
    },
};

use super::{
    Assignor, ConsumeError, Consumer, Notice, Tag,
    assignor::Members,
    membership::{Effect, Membership, Phase, Preparation, effect},
    positions::Stage,
    subscription::{Subscription, decode_assignment, encode_assignment},
};
use crate::{
    RequestError, TopicPartition,
    config::wire_ms,
    connections::{Body, Peer, Sending},
};

/// The kind of group that consumers form.
const PROTOCOL_TYPE: Str = Str::const_new("consumer");

/// How much longer than the rebalance itself a JoinGroup may take.
const JOIN_SLACK: Duration = Duration::from_secs(5);

impl<T> Consumer<T> {
    /// The coordinator, if a request can go to it now.
    pub(super) fn coordinator_peer(&mut self, now: Instant) -> Option<Peer> {
        let coordinator = self.coordinator.as_mut()?;
        if let Some((id, address)) = coordinator.known() {
            let peer = Peer::Coordinator(id);
            if self.cluster.coordinator_ready(now, id, address) {
                return Some(peer);
            }
            if self.cluster.is_backing_off(now, peer) {
                self.forget_coordinator(now);
            }
            return None;
        }
        if coordinator.due().is_some_and(|due| due <= now)
            && let Some(peer) = self.cluster.any_ready(now)
            && let Ok(version) = self.cluster.version::<FindCoordinatorRequest>(peer, i16::MAX)
        {
            let request = coordinator.ask(version);
            let sending = self.sending(version);
            self.cluster.send(now, peer, &request, sending, Tag::Coordinator);
        }
        None
    }

    pub(super) fn take_coordinator(&mut self, now: Instant, outcome: Result<Body, RequestError>) {
        let answer = outcome.and_then(Body::decode::<FindCoordinatorRequest>);
        let backoff = self.config.client.retry();
        let Some(coordinator) = &mut self.coordinator else { return };
        if let Err(error) = coordinator.take(now, backoff, &mut self.cluster.rng, answer) {
            self.report_group(error);
        }
    }

    /// Says to the coordinator's record what an error code says of it.
    pub(super) fn note_coordinator_error(&mut self, now: Instant, code: ErrorCode) {
        let misplaced = effect(code) == Effect::AgainElsewhere;
        if misplaced || code == ErrorCode::NETWORK_EXCEPTION {
            self.forget_coordinator(now);
        }
    }

    fn forget_coordinator(&mut self, now: Instant) {
        let backoff = self.config.client.retry();
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.forget(now, backoff, &mut self.cluster.rng);
        }
    }

    pub(super) fn sending(&self, version: i16) -> Sending {
        Sending { version, timeout: self.config.client.request_timeout, answered: true }
    }

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

    fn join(&mut self, now: Instant) {
        if self.membership.not_before > now {
            return;
        }
        let Some(peer) = self.coordinator_peer(now) else { return };
        let version = match self.cluster.version::<JoinGroupRequest>(peer, i16::MAX) {
            Ok(version) => version,
            Err(error) => return self.report_group(error),
        };
        let request = match self.join_request(version) {
            Ok(request) => request,
            Err(source) => {
                let api = JoinGroupRequest::KEY;
                return self.report_group(RequestError::NotExpressible { api, version, source });
            }
        };
        let timeout = self.config.max_poll_interval + JOIN_SLACK;
        let sending = Sending { version, timeout, answered: true };
        self.membership.phase = Phase::Joining;
        self.membership.rejoin = false;
        self.cluster.send(now, peer, &request, sending, Tag::Join);
    }

    fn join_request(&self, version: i16) -> Result<JoinGroupRequest, dohle_protocol::EncodeError> {
        let subscription = Subscription {
            topics: self.topics.clone().unwrap_or_default(),
            owned: self.membership.owned.clone(),
            generation: self.membership.generation,
            instance_id: None,
        };
        let metadata = subscription.encode(self.config.client_rack.as_ref())?;
        let protocols = self.config.assignors.iter().map(|assignor| JoinGroupRequestProtocol {
            name: Str::const_new(assignor.name()),
            metadata: metadata.clone(),
        });
        Ok(JoinGroupRequest {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            session_timeout_ms: wire_ms(self.config.session_timeout),
            rebalance_timeout_ms: wire_ms(self.config.max_poll_interval),
            member_id: self.membership.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone().filter(|_| version >= 5),
            protocol_type: PROTOCOL_TYPE,
            protocols: protocols.collect(),
            reason: None,
        })
    }

    pub(super) fn take_join(&mut self, now: Instant, outcome: Result<Body, RequestError>) {
        if self.membership.phase != Phase::Joining {
            return;
        }
        let answer = match self.group_answer::<JoinGroupRequest>(now, outcome) {
            Some(answer) => answer,
            None => return,
        };
        if answer.error_code.is_error() {
            if !answer.member_id.is_empty() {
                self.membership.member_id = answer.member_id;
            }
            return self.take_group_error(now, answer.error_code, Phase::Joining);
        }
        self.joined(now, answer);
    }

    fn joined(&mut self, now: Instant, answer: JoinGroupResponse) {
        let name = answer.protocol_name.unwrap_or_default();
        let Some(assignor) = Assignor::from_name(&name) else {
            return self.report_group(ErrorCode::INCONSISTENT_GROUP_PROTOCOL.into());
        };
        let leads = answer.leader == answer.member_id && !answer.skip_assignment;
        self.membership.member_id = answer.member_id;
        self.membership.generation = answer.generation_id;
        self.membership.assignor = Some(assignor);
        self.membership.failures = 0;
        self.membership.confirmed_at = now;
        self.membership.heartbeat_at = now + self.config.heartbeat_interval;
        self.membership.counts = None;
        if !leads {
            return self.sync(now, Vec::new());
        }
        let mut members = Members::new();
        for member in answer.members {
            // A member whose words make no sense gets nothing, the others are served.
            let words = Subscription::decode(member.metadata, member.group_instance_id);
            members.insert(member.member_id, words.unwrap_or_default());
        }
        self.want_group_topics(&members);
        let since_update = self.cluster.update_count();
        self.membership.phase = Phase::Assigning { members, since_update };
    }

    /// As the leader we need to know topics that only others subscribe to.
    fn want_group_topics(&mut self, members: &Members) {
        let all = members.values().flat_map(|member| member.topics.iter().cloned());
        let mut topics: BTreeSet<Str> = all.collect();
        topics.extend(self.topics.iter().flatten().cloned());
        self.cluster.want_topics(topics);
        self.cluster.request_update();
    }

    fn assign_when_known(&mut self, now: Instant) {
        let Phase::Assigning { members, since_update } = &self.membership.phase else { return };
        // What was known before may be from before somebody made a topic and subscribed to it.
        if self.cluster.update_count() == *since_update {
            return;
        }
        let members = members.clone();
        let counts = self.partition_counts(&members);
        let Some(assignor) = self.membership.assignor else { return };
        let assignment = assignor.assign(&members, &counts);
        let mut assignments = Vec::new();
        for (member_id, partitions) in assignment {
            match encode_assignment(&partitions) {
                Ok(assignment) => {
                    assignments.push(SyncGroupRequestAssignment { member_id, assignment });
                }
                Err(source) => {
                    let (api, version) = (SyncGroupRequest::KEY, 0);
                    let error = RequestError::NotExpressible { api, version, source };
                    return self.report_group(error);
                }
            }
        }
        self.membership.counts = Some(counts);
        self.sync(now, assignments);
    }

    fn partition_counts(&self, members: &Members) -> BTreeMap<Str, usize> {
        let topics: BTreeSet<&Str> = members.values().flat_map(|member| &member.topics).collect();
        let counts = topics.into_iter().filter_map(|name| {
            Some((name.clone(), self.cluster.metadata.topic(name)?.partition_count()))
        });
        counts.collect()
    }

    /// As the leader we notice when there is more or less to share.
    fn check_partition_counts(&mut self) {
        let Some(counts) = &self.membership.counts else { return };
        if self.membership.phase != Phase::Stable {
            return;
        }
        let now_known = |topic: &Str| {
            self.cluster.metadata.topic(topic).map(crate::TopicMetadata::partition_count)
        };
        let changed = counts.iter().any(|(topic, count)| {
            // One that is not known at the moment may be known again soon.
            now_known(topic).is_some_and(|known| known != *count)
                || self.cluster.metadata.topic_error(topic)
                    == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        });
        let wanted = self.topics.iter().flatten();
        let appeared = wanted
            .filter(|topic| !counts.contains_key(*topic))
            .any(|topic| now_known(topic).is_some_and(|count| count > 0));
        if changed || appeared {
            self.membership.counts = None;
            self.membership.rejoin = true;
        }
    }

    fn sync(&mut self, now: Instant, assignments: Vec<SyncGroupRequestAssignment>) {
        self.membership.phase = Phase::Syncing;
        let Some(peer) = self.coordinator_peer(now) else {
            return self.rejoin_later(now);
        };
        let version = match self.cluster.version::<SyncGroupRequest>(peer, i16::MAX) {
            Ok(version) => version,
            Err(error) => return self.report_group(error),
        };
        let name = self.membership.assignor.map(|assignor| Str::const_new(assignor.name()));
        let request = SyncGroupRequest {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            generation_id: self.membership.generation,
            member_id: self.membership.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone().filter(|_| version >= 3),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: name,
            assignments,
        };
        // It is answered when the leader has made up its mind.
        let timeout = self.config.max_poll_interval + JOIN_SLACK;
        let sending = Sending { version, timeout, answered: true };
        self.cluster.send(now, peer, &request, sending, Tag::Sync);
    }

    pub(super) fn take_sync(&mut self, now: Instant, outcome: Result<Body, RequestError>) {
        if self.membership.phase != Phase::Syncing {
            return;
        }
        let answer: SyncGroupResponse = match self.group_answer::<SyncGroupRequest>(now, outcome) {
            Some(answer) => answer,
            None => return,
        };
        if answer.error_code.is_error() {
            return self.take_group_error(now, answer.error_code, Phase::Syncing);
        }
        match decode_assignment(answer.assignment) {
            Ok(assigned) => self.take_assignment(now, assigned),
            Err(source) => {
                let api = SyncGroupRequest::KEY;
                self.report_group(RequestError::Malformed { api, source });
            }
        }
    }

    fn take_assignment(&mut self, now: Instant, assigned: BTreeSet<TopicPartition>) {
        self.membership.confirmed_at = now;
        self.membership.heartbeat_at = now + self.config.heartbeat_interval;
        self.membership.failures = 0;
        let owned = self.membership.owned.clone();
        let revoked: BTreeSet<_> = owned.difference(&assigned).cloned().collect();
        let added: Vec<_> = assigned.difference(&owned).cloned().collect();
        self.membership.phase = Phase::Stable;
        if !revoked.is_empty() {
            // Nobody gets them before we join again without them.
            if self.config.commits_itself() {
                self.commit_processed(now);
            }
            self.remove_partitions(&revoked);
            self.notices.push_back(Notice::Revoked(revoked.into_iter().collect()));
            self.membership.rejoin = false;
            self.membership.phase = Phase::Preparing(Preparation::AwaitAcknowledgement);
        }
        for partition in &added {
            self.cluster.want_topic(&partition.topic);
            self.positions.add(partition.clone(), Stage::Unset);
        }
        self.membership.owned = assigned;
        self.notices.push_back(Notice::Assigned(added));
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
