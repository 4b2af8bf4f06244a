//! DescribeTopicPartitions (75): topics page by page, with eligible leader replicas (KIP-966).
//!
//! Topics come by name. The answer ends after a number of partitions and says where the next page
//! begins. Authorises: Describe on the topics.

use std::{collections::BTreeSet, ops::RangeInclusive};

use dohle_base::{ErrorCode, PartitionId, Str};
use dohle_metadata::Topic;
use dohle_protocol::api::{
    describe_topic_partitions_request::{Cursor as From, DescribeTopicPartitionsRequest},
    describe_topic_partitions_response::{
        Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
        DescribeTopicPartitionsResponseTopic,
    },
};

use super::{Answer, Call, Endpoint};
use crate::{authorize, metadata::Published, topic_names};

pub(crate) struct DescribeTopicPartitions;

impl Endpoint for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    fn handle(
        call: Call<'_>,
        request: DescribeTopicPartitionsRequest,
    ) -> Answer<DescribeTopicPartitionsResponse> {
        let published = call.broker.metadata();
        let limit_max = call.broker.settings().int("max.request.partition.size.limit");
        let limit = request.response_partition_limit.min(limit_max).max(1);
        let mut page = Page {
            published: &published,
            left: usize::try_from(limit).unwrap_or(1),
            response: DescribeTopicPartitionsResponse::default(),
        };
        // Nobody asks for a name that is not there when asking for all.
        let names: BTreeSet<Str> = if request.topics.is_empty() {
            published.image.topics.iter().map(|topic| topic.name.clone()).collect()
        } else {
            request.topics.into_iter().map(|topic| topic.name).collect()
        };
        page.fill(names, request.cursor);
        Answer::now(page.response)
    }
}

struct Page<'a> {
    published: &'a Published,
    /// How many partitions more.
    left: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    fn fill(&mut self, names: BTreeSet<Str>, cursor: Option<From>) {
        let (first_topic, first_partition) = match cursor {
            Some(cursor) => (cursor.topic_name, cursor.partition_index),
            None => (Str::default(), PartitionId(0)),
        };
        for name in names.range(first_topic.clone()..) {
            let from = if *name == first_topic { first_partition } else { PartitionId(0) };
            if self.left == 0 {
                let topic_name = name.clone();
                self.response.next_cursor = Some(Cursor { topic_name, partition_index: from });
                return;
            }
            match self.published.image.topics.named(name) {
                Some(topic) => {
                    if !self.topic(topic, from) {
                        return;
                    }
                }
                None => self.missing(name),
            }
        }
    }

    fn missing(&mut self, name: &Str) {
        let error_code = if topic_names::is_valid(name) {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        } else {
            ErrorCode::INVALID_TOPIC_EXCEPTION
        };
        self.response.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code,
            name: Some(name.clone()),
            is_internal: topic_names::is_internal(name),
            topic_authorized_operations: authorize::ON_TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
    }

    /// Adds a topic from a partition on; false if the page is full before its end.
    fn topic(&mut self, topic: &Topic, from: PartitionId) -> bool {
        let mut rest = topic.partitions.range(from..);
        let partitions: Vec<_> = rest
            .by_ref()
            .take(self.left)
            .map(|(index, partition)| describe(self.published, *index, partition))
            .collect();
        self.left -= partitions.len();
        self.response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic_names::is_internal(&topic.name),
            partitions,
            topic_authorized_operations: authorize::ON_TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        let Some((index, _)) = rest.next() else { return true };
        let topic_name = topic.name.clone();
        self.response.next_cursor = Some(Cursor { topic_name, partition_index: *index });
        false
    }
}

fn describe(
    published: &Published,
    partition_index: PartitionId,
    partition: &dohle_metadata::Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let leader = published.image.broker(partition.leader).filter(|broker| !broker.fenced);
    DescribeTopicPartitionsResponsePartition {
        error_code: match leader {
            Some(_) => ErrorCode::NONE,
            None => ErrorCode::LEADER_NOT_AVAILABLE,
        },
        partition_index,
        leader_id: partition.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.clone(),
        isr_nodes: partition.isr.clone(),
        eligible_leader_replicas: Some(partition.elr.clone()),
        last_known_elr: Some(partition.last_known_elr.clone()),
        offline_replicas: published.offline_replicas(partition),
    }
}
