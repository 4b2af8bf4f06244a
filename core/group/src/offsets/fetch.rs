//! OffsetFetch, of one group: a request for several groups is answered by several coordinators, so
//! the driver takes it apart and puts the answers together with the functions at the end.
//!
//! A group that nobody knows has no offsets: each partition is answered with −1 and no error.

use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, TopicId};
use dohle_protocol::api::{
    offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    offset_fetch_response::{
        OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
        OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
};

use super::CommittedOffset;
use crate::GroupMachine;

/// The first version with several groups.
const BATCH_VERSION: i16 = 8;
/// The first version with an error of its own, beside those of partitions.
const GROUP_ERROR_VERSION: i16 = 2;

/// The offsets that a group has committed. `require_stable` refuses those that an open transaction
/// may still change.
pub(crate) fn fetch(
    machine: &GroupMachine,
    request: &OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let question = Question { machine, group_id: &request.group_id, require_stable };
    let topics = match &request.topics {
        Some(topics) => topics.iter().map(|topic| question.topic(topic)).collect(),
        None => question.all_topics(),
    };
    let group_id = request.group_id.clone();
    OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
}

struct Question<'a> {
    machine: &'a GroupMachine,
    group_id: &'a Str,
    require_stable: bool,
}

impl Question<'_> {
    fn topic(&self, topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
        let partitions = topic.partition_indexes.iter().map(|id| {
            let offsets = self.machine.offsets();
            let committed = offsets
                .committed(self.group_id, &topic.name, *id)
                // The topic was deleted and created again since.
                .filter(|committed| is_same(committed.topic_id, topic.topic_id));
            self.partition(&topic.name, *id, committed)
        });
        OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn all_topics(&self) -> Vec<OffsetFetchResponseTopics> {
        let topics = self.machine.offsets().of_group(self.group_id).into_iter().flatten();
        topics
            .map(|(name, partitions)| OffsetFetchResponseTopics {
                name: name.clone(),
                // The driver knows the id that the name has now.
                topic_id: TopicId::ZERO,
                partitions: partitions
                    .iter()
                    .map(|(id, committed)| self.partition(name, *id, Some(committed)))
                    .collect(),
            })
            .collect()
    }

    fn partition(
        &self,
        topic: &Str,
        partition_index: PartitionId,
        committed: Option<&CommittedOffset>,
    ) -> OffsetFetchResponsePartitions {
        let offsets = self.machine.offsets();
        if self.require_stable && offsets.is_pending(self.group_id, topic, partition_index) {
            return no_offset(partition_index, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        }
        match committed {
            None => no_offset(partition_index, ErrorCode::NONE),
            Some(committed) => OffsetFetchResponsePartitions {
                partition_index,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(committed.metadata.clone()),
                error_code: ErrorCode::NONE,
            },
        }
    }
}

/// Whether two ids can mean the same topic: one that is not known can.
fn is_same(one: TopicId, other: TopicId) -> bool {
    one == other || one == TopicId::ZERO || other == TopicId::ZERO
}

fn no_offset(partition_index: PartitionId, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: Offset(-1),
        committed_leader_epoch: LeaderEpoch::NONE,
        metadata: Some(Str::default()),
        error_code,
    }
}

/// The groups that a request of any version asks for.
pub fn fetch_requests(request: &OffsetFetchRequest, version: i16) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCH_VERSION {
        return request.groups.clone();
    }
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            partition_indexes: topic.partition_indexes.clone(),
            ..OffsetFetchRequestTopics::default()
        });
        topics.collect()
    });
    let group_id = request.group_id.clone();
    vec![OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() }]
}

/// The answer for a group that failed as a whole, for a response of `version`.
pub fn fetch_failure(
    request: &OffsetFetchRequestGroup,
    error_code: ErrorCode,
    version: i16,
) -> OffsetFetchResponseGroup {
    let group_id = request.group_id.clone();
    if version >= GROUP_ERROR_VERSION {
        return OffsetFetchResponseGroup {
            group_id,
            error_code,
            ..OffsetFetchResponseGroup::default()
        };
    }
    let topics = request.topics.iter().flatten().map(|topic| OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(|id| no_offset(*id, error_code)).collect(),
    });
    let topics = topics.collect();
    OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
}

/// The response of any version; before version 8 it has place for one group only.
pub fn fetch_response(groups: Vec<OffsetFetchResponseGroup>, version: i16) -> OffsetFetchResponse {
    if version >= BATCH_VERSION {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let group = groups.into_iter().next().unwrap_or_default();
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        error_code: group.error_code,
        topics: topics.collect(),
        ..OffsetFetchResponse::default()
    }
}
