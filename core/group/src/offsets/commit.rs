//! OffsetCommit: from members of a group, and from clients and administrators outside of any.
//!
//! The driver has checked that topics exist and filled in both name and id, whatever the version
//! carried; the record keeps both.

use dohle_base::{ErrorCode, LeaderEpoch, Now, ProducerId, Str, TopicId};
use dohle_protocol::{
    api::{
        offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestPartition},
        offset_commit_response::{
            OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
        },
    },
    records::group::{offset_commit_key::OffsetCommitKey, offset_commit_value::OffsetCommitValue},
};

use crate::{
    Caller, Effect, Group, GroupDecision, GroupKind, GroupMachine, GroupRecord, Reply,
    classic::{GroupState, LiveGroup},
    session::{Session, Soft, Timer, after_ms},
};

/// The first version that knows GROUP_ID_NOT_FOUND.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 9;
/// "As the broker is configured." Source: the protocol's default.
const DEFAULT_RETENTION: i64 = -1;
/// How a record says that the offset has no expiry of its own.
const NO_EXPIRY: i64 = -1;

/// Decides on an OffsetCommit.
pub(crate) fn commit(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    caller: &Caller,
    request: &OffsetCommitRequest,
) -> GroupDecision {
    let answer =
        |response| Effect::Reply { token: caller.token, reply: Reply::OffsetCommit(response) };
    if let Err(error) = check(machine, session, caller.api_version, request) {
        return GroupDecision::effect(answer(commit_failure(request, error)));
    }
    let mut decision = GroupDecision::default();
    let expire_timestamp = match request.retention_time_ms {
        DEFAULT_RETENTION => NO_EXPIRY,
        retention_ms => now.wall.0.saturating_add(retention_ms),
    };
    let units_max = session.settings().offset_metadata_units_max;
    let mut response = OffsetCommitResponse::default();
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let partition_index = partition.partition_index;
            let error_code = if is_too_long(partition, units_max) {
                ErrorCode::OFFSET_METADATA_TOO_LARGE
            } else {
                let mut value = OffsetCommitValue {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.clone().unwrap_or_default(),
                    commit_timestamp: now.wall.0,
                    expire_timestamp,
                    topic_id: topic.topic_id,
                };
                if expire_timestamp != NO_EXPIRY {
                    // The version with an expiry has no place for these.
                    value.leader_epoch = LeaderEpoch::NONE;
                    value.topic_id = TopicId::ZERO;
                }
                decision.records.push(record(request, &topic.name, partition, value));
                ErrorCode::NONE
            };
            partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
        }
        let (name, topic_id) = (topic.name.clone(), topic.topic_id);
        response.topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
    }
    decision.soft.extend(refreshed_session(machine, session, now, request));
    decision.effects.push(answer(response));
    decision
}

fn record(
    request: &OffsetCommitRequest,
    topic: &Str,
    partition: &OffsetCommitRequestPartition,
    value: OffsetCommitValue,
) -> GroupRecord {
    let key = OffsetCommitKey {
        group: request.group_id.clone(),
        topic: topic.clone(),
        partition: partition.partition_index,
    };
    GroupRecord::OffsetCommit { key, value: Some(value), producer_id: ProducerId::NONE }
}

/// Kafka counts UTF-16 units, of which there are never more than bytes.
fn is_too_long(partition: &OffsetCommitRequestPartition, units_max: usize) -> bool {
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    metadata.len() > units_max && metadata.encode_utf16().count() > units_max
}

fn check(
    machine: &GroupMachine,
    session: &Session,
    version: i16,
    request: &OffsetCommitRequest,
) -> Result<(), ErrorCode> {
    let outside = request.generation_id_or_member_epoch < 0;
    match machine.group(&request.group_id) {
        // A simple group comes into being by its first offset.
        None if outside => Ok(()),
        None if version >= GROUP_ID_NOT_FOUND_VERSION => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        None => Err(ErrorCode::ILLEGAL_GENERATION),
        Some(Group::Modern(group)) if group.kind == GroupKind::Share => {
            // Share groups have no committed offsets.
            Err(ErrorCode::GROUP_ID_NOT_FOUND)
        }
        Some(Group::Modern(group)) if outside && group.members.is_empty() => Ok(()),
        Some(Group::Modern(_)) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        Some(Group::Classic(_)) => match machine.peek(session, &request.group_id) {
            Some(live) => check_classic(&live, request),
            None => Ok(()),
        },
    }
}

fn check_classic(live: &LiveGroup, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    let generation_id = request.generation_id_or_member_epoch;
    let instance_id = request.group_instance_id.as_ref();
    if live.state == GroupState::Empty && generation_id < 0 {
        return Ok(());
    }
    if generation_id < 0 && request.member_id.is_empty() && instance_id.is_none() {
        // Nobody may overrule the members.
        return match live.state {
            GroupState::Empty => Ok(()),
            _ => Err(ErrorCode::UNKNOWN_MEMBER_ID),
        };
    }
    live.check_member(&request.member_id, instance_id)?;
    if generation_id != live.group.generation_id {
        return Err(ErrorCode::ILLEGAL_GENERATION);
    }
    match live.state {
        GroupState::CompletingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
        _ => Ok(()),
    }
}

/// A commit of a member is a sign of life, too.
fn refreshed_session(
    machine: &GroupMachine,
    session: &Session,
    now: Now,
    request: &OffsetCommitRequest,
) -> Option<Soft> {
    let live = machine.peek(session, &request.group_id)?;
    let member = live.group.members.get(&request.member_id)?;
    let at = after_ms(now, i64::from(member.session_timeout_ms));
    let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
    Some(Soft::Arm(Timer::Heartbeat { group_id, member_id }, at))
}

/// The answer that gives one error to all partitions.
pub(crate) fn commit_failure(
    request: &OffsetCommitRequest,
    error_code: ErrorCode,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code,
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}
