//! Groups: listed, described, deleted, and their offsets.

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{Offset, Str};
use dohle_protocol::api::{
    consumer_group_describe_request::ConsumerGroupDescribeRequest,
    consumer_group_describe_response::{self, ConsumerGroupDescribeResponse},
    delete_groups_request::DeleteGroupsRequest,
    delete_groups_response::DeleteGroupsResponse,
    describe_groups_request::DescribeGroupsRequest,
    describe_groups_response::{self, DescribeGroupsResponse},
    list_groups_request::ListGroupsRequest,
    list_groups_response::ListGroupsResponse,
    offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    },
    offset_commit_response::OffsetCommitResponse,
    offset_delete_request::{
        OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    },
    offset_delete_response::OffsetDeleteResponse,
    offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup},
    offset_fetch_response::OffsetFetchResponse,
};

use super::offsets::ByPartition;
use crate::{CommittedOffset, ServerError, TopicPartition, consumer::decode_assignment};

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub id: Str,
    /// What its members speak, such as `consumer`; empty if it only has offsets.
    pub protocol_type: Str,
    /// Its state, such as `Stable`; empty if not told.
    pub state: Str,
    /// Its type, such as `classic`; empty if not told.
    pub kind: Str,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: Str,
    /// Its state, such as `Stable`.
    pub state: Str,
    /// `classic`, or `consumer` for groups of KIP-848.
    pub kind: Str,
    /// What its members speak, such as `consumer`.
    pub protocol_type: Str,
    /// How partitions are shared.
    pub assignor: Str,
    /// Its epoch, if it has one.
    pub epoch: Option<i32>,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub id: Str,
    /// Its name, if it is a static member.
    pub instance_id: Option<Str>,
    /// What it calls itself.
    pub client_id: Str,
    /// From where it is connected.
    pub host: Str,
    /// Its partitions.
    pub assignment: BTreeSet<TopicPartition>,
    /// Those that it shall have, if that differs in time.
    pub target: Option<BTreeSet<TopicPartition>>,
    /// Its epoch, if it has one.
    pub epoch: Option<i32>,
}

/// An outcome for each group, in the order of the answer.
pub type ByGroup<T> = Vec<(Str, Result<T, ServerError>)>;

/// From this version on, several groups go into one OffsetFetch.
const GROUPS_FROM: i16 = 8;

/// Asks a broker for the groups that it coordinates, of these states and types; empty means all.
pub fn list(states: &[Str], kinds: &[Str], version: i16) -> ListGroupsRequest {
    ListGroupsRequest {
        states_filter: if version >= 4 { states.to_vec() } else { Vec::new() },
        types_filter: if version >= 5 { kinds.to_vec() } else { Vec::new() },
    }
}

/// Which there are.
///
/// # Errors
/// What the broker said.
pub fn listed(answer: ListGroupsResponse) -> Result<Vec<GroupListing>, ServerError> {
    ServerError::check(answer.error_code, None)?;
    let groups = answer.groups.into_iter().map(|group| GroupListing {
        id: group.group_id,
        protocol_type: group.protocol_type,
        state: group.group_state,
        kind: group.group_type,
    });
    Ok(groups.collect())
}

/// Asks a coordinator for one of its classic groups.
pub fn describe(group: &Str) -> DescribeGroupsRequest {
    DescribeGroupsRequest { groups: vec![group.clone()], include_authorized_operations: false }
}

/// What they are like.
pub fn described(answer: DescribeGroupsResponse) -> ByGroup<GroupDescription> {
    let groups = answer.groups.into_iter().map(|group| {
        let checked = ServerError::check(group.error_code, group.error_message.as_ref());
        (group.group_id.clone(), checked.map(|()| classic(group)))
    });
    groups.collect()
}

fn classic(group: describe_groups_response::DescribedGroup) -> GroupDescription {
    let members = group.members.into_iter().map(|member| MemberDescription {
        id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: member.client_host,
        // Members other than consumers have words of their own.
        assignment: decode_assignment(member.member_assignment).unwrap_or_default(),
        target: None,
        epoch: None,
    });
    GroupDescription {
        id: group.group_id,
        state: group.group_state,
        kind: Str::const_new("classic"),
        protocol_type: group.protocol_type,
        assignor: group.protocol_data,
        epoch: None,
        members: members.collect(),
    }
}

/// Asks a coordinator for one of its groups of KIP-848.
pub fn describe_modern(group: &Str) -> ConsumerGroupDescribeRequest {
    ConsumerGroupDescribeRequest {
        group_ids: vec![group.clone()],
        include_authorized_operations: false,
    }
}

/// What they are like. A classic group is `GROUP_ID_NOT_FOUND` here.
pub fn described_modern(answer: ConsumerGroupDescribeResponse) -> ByGroup<GroupDescription> {
    let groups = answer.groups.into_iter().map(|group| {
        let checked = ServerError::check(group.error_code, group.error_message.as_ref());
        (group.group_id.clone(), checked.map(|()| modern(group)))
    });
    groups.collect()
}

fn modern(group: consumer_group_describe_response::DescribedGroup) -> GroupDescription {
    let members = group.members.into_iter().map(|member| MemberDescription {
        id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: member.client_host,
        assignment: partitions_of(member.assignment),
        target: Some(partitions_of(member.target_assignment)),
        epoch: Some(member.member_epoch),
    });
    GroupDescription {
        id: group.group_id,
        state: group.group_state,
        kind: Str::const_new("consumer"),
        protocol_type: Str::const_new("consumer"),
        assignor: group.assignor_name,
        epoch: Some(group.group_epoch),
        members: members.collect(),
    }
}

fn partitions_of(
    assignment: consumer_group_describe_response::Assignment,
) -> BTreeSet<TopicPartition> {
    let partitions = assignment.topic_partitions.into_iter().flat_map(|topic| {
        let name = topic.topic_name;
        topic.partitions.into_iter().map(move |p| TopicPartition::new(name.clone(), p))
    });
    partitions.collect()
}

/// Asks a coordinator to delete one of its groups.
pub fn delete(group: &Str) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups_names: vec![group.clone()] }
}

/// What came of it.
pub fn deleted(answer: DeleteGroupsResponse) -> ByGroup<()> {
    let groups = answer.results.into_iter().map(|group| {
        let outcome = ServerError::check(group.error_code, group.error_message.as_ref());
        (group.group_id, outcome)
    });
    groups.collect()
}

/// Asks a coordinator for all offsets of a group. Version 9 at most: later ones name topics by
/// their ids, which have to be looked up.
pub fn committed(group: &Str, require_stable: bool, version: i16) -> OffsetFetchRequest {
    let require_stable = require_stable && version >= 7;
    if version >= GROUPS_FROM {
        let group_id = group.clone();
        let group = OffsetFetchRequestGroup { group_id, topics: None, ..Default::default() };
        OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() }
    } else {
        let group_id = group.clone();
        OffsetFetchRequest { group_id, topics: None, require_stable, ..Default::default() }
    }
}

/// The newest version of OffsetFetch and OffsetCommit that names topics.
pub const COMMITTED_VERSION_MAX: i16 = 9;

/// What they are. Partitions without an offset are left out.
///
/// # Errors
/// What the coordinator said of the group.
pub fn committed_found(
    answer: OffsetFetchResponse,
) -> Result<ByPartition<CommittedOffset>, ServerError> {
    ServerError::check(answer.error_code, None)?;
    let mut found = ByPartition::new();
    let mut add =
        |topic: &Str, partition, code: dohle_base::ErrorCode, committed: CommittedOffset| {
            let partition = TopicPartition::new(topic.clone(), partition);
            if code.is_error() {
                found.insert(partition, Err(code));
            } else if committed.offset >= Offset::ZERO {
                found.insert(partition, Ok(committed));
            }
        };
    for topic in answer.topics {
        for part in topic.partitions {
            let (offset, leader_epoch) = (part.committed_offset, part.committed_leader_epoch);
            let committed = CommittedOffset { offset, leader_epoch, metadata: part.metadata };
            add(&topic.name, part.partition_index, part.error_code, committed);
        }
    }
    for group in answer.groups {
        ServerError::check(group.error_code, None)?;
        for topic in group.topics {
            for part in topic.partitions {
                let (offset, leader_epoch) = (part.committed_offset, part.committed_leader_epoch);
                let committed = CommittedOffset { offset, leader_epoch, metadata: part.metadata };
                add(&topic.name, part.partition_index, part.error_code, committed);
            }
        }
    }
    Ok(found)
}

/// Asks a coordinator to change offsets of a group that has no members.
pub fn alter_offsets(
    group: &Str,
    offsets: &BTreeMap<TopicPartition, CommittedOffset>,
) -> OffsetCommitRequest {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (partition, committed) in offsets {
        let part = OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            committed_metadata: Some(committed.metadata.clone().unwrap_or_default()),
        };
        match topics.last_mut().filter(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(part),
            None => topics.push(OffsetCommitRequestTopic {
                name: partition.topic.clone(),
                partitions: vec![part],
                ..Default::default()
            }),
        }
    }
    OffsetCommitRequest { group_id: group.clone(), topics, ..Default::default() }
}

/// What came of it.
pub fn offsets_altered(answer: OffsetCommitResponse) -> ByPartition<()> {
    let mut altered = ByPartition::new();
    for topic in answer.topics {
        for part in topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), part.partition_index);
            let code = part.error_code;
            altered.insert(partition, if code.is_error() { Err(code) } else { Ok(()) });
        }
    }
    altered
}

/// Asks a coordinator to forget offsets of a group.
pub fn delete_offsets(group: &Str, partitions: &BTreeSet<TopicPartition>) -> OffsetDeleteRequest {
    let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
    for partition in partitions {
        let part = OffsetDeleteRequestPartition { partition_index: partition.partition };
        match topics.last_mut().filter(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(part),
            None => {
                let name = partition.topic.clone();
                topics.push(OffsetDeleteRequestTopic { name, partitions: vec![part] });
            }
        }
    }
    OffsetDeleteRequest { group_id: group.clone(), topics }
}

/// What came of it.
///
/// # Errors
/// What the coordinator said of the group.
pub fn offsets_deleted(answer: OffsetDeleteResponse) -> Result<ByPartition<()>, ServerError> {
    ServerError::check(answer.error_code, None)?;
    let mut deleted = ByPartition::new();
    for topic in answer.topics {
        for part in topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), part.partition_index);
            let code = part.error_code;
            deleted.insert(partition, if code.is_error() { Err(code) } else { Ok(()) });
        }
    }
    Ok(deleted)
}
