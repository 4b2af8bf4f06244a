//! Joining, sharing out as the leader, and taking what is assigned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_base::{ErrorCode, Instant, Str};
use dohle_protocol::{
    Request,
    api::{
        join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
        join_group_response::JoinGroupResponse,
        sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment},
        sync_group_response::SyncGroupResponse,
    },
};

use super::super::{
    Assignor, Consumer, Notice, Tag,
    assignor::Members,
    membership::{Phase, Preparation},
    positions::Stage,
    subscription::{Subscription, decode_assignment, encode_assignment},
};
use crate::{
    RequestError, TopicPartition,
    config::wire_ms,
    connections::{Body, Sending},
};

/// The kind of group that consumers form.
const PROTOCOL_TYPE: Str = Str::const_new("consumer");

/// How much longer than the rebalance itself a JoinGroup may take.
const JOIN_SLACK: Duration = Duration::from_secs(5);

impl<T> Consumer<T> {
    pub(super) fn join(&mut self, now: Instant) {
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

    pub(in crate::consumer) fn take_join(
        &mut self,
        now: Instant,
        outcome: Result<Body, RequestError>,
    ) {
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

    pub(super) fn assign_when_known(&mut self, now: Instant) {
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
    pub(super) fn check_partition_counts(&mut self) {
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

    pub(in crate::consumer) fn take_sync(
        &mut self,
        now: Instant,
        outcome: Result<Body, RequestError>,
    ) {
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
}
