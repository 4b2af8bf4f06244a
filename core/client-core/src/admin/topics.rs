//! Topics: made, listed, described, grown, deleted.

use std::time::Duration;

use dohle_base::{BrokerId, ErrorCode, LeaderEpoch, PartitionId, Str, TopicId};
use dohle_protocol::api::{
    create_partitions_request::{
        CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
    },
    create_partitions_response::CreatePartitionsResponse,
    create_topics_request::{
        CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
    },
    create_topics_response::CreateTopicsResponse,
    delete_topics_request::{DeleteTopicState, DeleteTopicsRequest},
    delete_topics_response::DeleteTopicsResponse,
    describe_topic_partitions_request::{Cursor, DescribeTopicPartitionsRequest, TopicRequest},
    describe_topic_partitions_response::{
        DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponseTopic,
    },
    metadata_request::{MetadataRequest, MetadataRequestTopic},
    metadata_response::{MetadataResponse, MetadataResponseTopic},
};

use crate::{ServerError, Verdict, config::wire_ms};

/// A topic to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: Str,
    /// How many partitions; the broker's `num.partitions` if not given.
    pub partitions: Option<i32>,
    /// How many replicas of each; the broker's `default.replication.factor` if not given.
    pub replication_factor: Option<i16>,
    /// The replicas of each partition in order, instead of both numbers.
    pub assignments: Vec<Vec<BrokerId>>,
    /// Configurations that differ from the defaults.
    pub configs: Vec<(Str, Option<Str>)>,
}

/// A topic that was made, as far as the broker tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero from brokers before 2.8.
    pub id: TopicId,
    /// How many partitions it has; −1 if not told.
    pub partitions: i32,
    /// How many replicas each has; −1 if not told.
    pub replication_factor: i16,
}

/// How a topic shall grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub topic: Str,
    /// How many partitions it shall have then.
    pub total_count: i32,
    /// The replicas of each new partition in order; the broker chooses if not given.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// A topic in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: Str,
    /// Its id; zero from brokers before 2.8.
    pub id: TopicId,
    /// Whether Kafka itself uses it.
    pub internal: bool,
}

/// A topic with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: Str,
    /// Its id; zero from brokers before 2.8.
    pub id: TopicId,
    /// Whether Kafka itself uses it.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition with its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub id: PartitionId,
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// How often its leadership has been given out.
    pub leader_epoch: LeaderEpoch,
    /// All its replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
    /// Those not available.
    pub offline: Vec<BrokerId>,
    /// Those not in sync that can still lead without loss; none if not told (KIP-966).
    pub eligible_leaders: Option<Vec<BrokerId>>,
    /// Those that could, the last time that anybody could; none if not told.
    pub last_known_eligible_leaders: Option<Vec<BrokerId>>,
}

/// An outcome for each topic, in the order of the answer.
pub type ByTopic<T> = Vec<(Str, Result<T, ServerError>)>;

/// Makes topics; with `validate_only` it only says whether it could.
pub fn create(topics: &[NewTopic], validate_only: bool, timeout: Duration) -> CreateTopicsRequest {
    let topics = topics.iter().map(|topic| {
        let assignments =
            topic.assignments.iter().zip(0..).map(|(replicas, index)| CreatableReplicaAssignment {
                partition_index: PartitionId(index),
                broker_ids: replicas.clone(),
            });
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: value.clone() });
        CreatableTopic {
            name: topic.name.clone(),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
            assignments: assignments.collect(),
            configs: configs.collect(),
        }
    });
    CreateTopicsRequest { topics: topics.collect(), timeout_ms: wire_ms(timeout), validate_only }
}

/// What came of it.
pub fn created(answer: CreateTopicsResponse) -> ByTopic<CreatedTopic> {
    let outcomes = answer.topics.into_iter().map(|topic| {
        let made = CreatedTopic {
            id: topic.topic_id,
            partitions: topic.num_partitions,
            replication_factor: topic.replication_factor,
        };
        let checked = ServerError::check(topic.error_code, topic.error_message.as_ref());
        (topic.name, checked.map(|()| made))
    });
    outcomes.collect()
}

/// Whether an answer with these codes should be sought again: only if nothing was done.
pub fn judge(codes: impl Iterator<Item = ErrorCode>) -> Verdict {
    let mut verdict = Verdict::Done;
    for code in codes {
        match code {
            ErrorCode::NOT_CONTROLLER => return Verdict::RetryElsewhere(code),
            ErrorCode::THROTTLING_QUOTA_EXCEEDED => verdict = Verdict::Retry(code),
            _ => return Verdict::Done,
        }
    }
    verdict
}

/// Deletes topics.
pub fn delete(topics: &[Str], timeout: Duration, version: i16) -> DeleteTopicsRequest {
    let timeout_ms = wire_ms(timeout);
    if version >= 6 {
        let named =
            |name: &Str| DeleteTopicState { name: Some(name.clone()), ..Default::default() };
        let topics = topics.iter().map(named).collect();
        DeleteTopicsRequest { topics, timeout_ms, ..Default::default() }
    } else {
        DeleteTopicsRequest { topic_names: topics.to_vec(), timeout_ms, ..Default::default() }
    }
}

/// What came of it.
pub fn deleted(answer: DeleteTopicsResponse) -> ByTopic<()> {
    let outcomes = answer.responses.into_iter().map(|topic| {
        let outcome = ServerError::check(topic.error_code, topic.error_message.as_ref());
        (topic.name.unwrap_or_default(), outcome)
    });
    outcomes.collect()
}

/// Lets topics grow; with `validate_only` it only says whether it could.
pub fn create_partitions(
    topics: &[NewPartitions],
    validate_only: bool,
    timeout: Duration,
) -> CreatePartitionsRequest {
    let topics = topics.iter().map(|topic| CreatePartitionsTopic {
        name: topic.topic.clone(),
        count: topic.total_count,
        assignments: topic.assignments.as_ref().map(|partitions| {
            let replicas =
                |ids: &Vec<BrokerId>| CreatePartitionsAssignment { broker_ids: ids.clone() };
            partitions.iter().map(replicas).collect()
        }),
    });
    CreatePartitionsRequest {
        topics: topics.collect(),
        timeout_ms: wire_ms(timeout),
        validate_only,
    }
}

/// What came of it.
pub fn partitions_created(answer: CreatePartitionsResponse) -> ByTopic<()> {
    let outcomes = answer.results.into_iter().map(|topic| {
        (topic.name, ServerError::check(topic.error_code, topic.error_message.as_ref()))
    });
    outcomes.collect()
}

/// Asks for all topics.
pub fn list() -> MetadataRequest {
    MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() }
}

/// The topics that there are.
pub fn listed(answer: MetadataResponse) -> Vec<TopicListing> {
    let topics = answer.topics.into_iter().filter(|topic| !topic.error_code.is_error());
    let mut listed: Vec<_> = topics
        .filter_map(|topic| {
            let (id, internal) = (topic.topic_id, topic.is_internal);
            Some(TopicListing { name: topic.name?, id, internal })
        })
        .collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    listed
}

/// Asks for some topics, or all, the way that all brokers understand. No topic is made by it.
pub fn describe(topics: Option<&[Str]>, version: i16) -> MetadataRequest {
    let named =
        |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
    MetadataRequest {
        topics: topics.map(|topics| topics.iter().map(named).collect()),
        // Before version 4 there was no choice.
        allow_auto_topic_creation: version < 4,
        ..Default::default()
    }
}

/// What they are like.
pub fn described(answer: MetadataResponse) -> ByTopic<TopicDescription> {
    answer
        .topics
        .into_iter()
        .filter_map(|topic| {
            let name = topic.name.clone()?;
            let checked = ServerError::check(topic.error_code, None);
            Some((name, checked.map(|()| TopicDescription::from(topic))))
        })
        .collect()
}

/// Asks for some topics from `cursor` on, the way that tells who else can lead (KIP-966). Answers
/// come in pages.
pub fn describe_page(
    topics: &[Str],
    cursor: Option<(Str, PartitionId)>,
) -> DescribeTopicPartitionsRequest {
    // Topics before the cursor would be answered again.
    let start = cursor.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
    let mut names: Vec<_> = topics.iter().filter(|name| **name >= start).cloned().collect();
    names.sort();
    DescribeTopicPartitionsRequest {
        topics: names.into_iter().map(|name| TopicRequest { name }).collect(),
        cursor: cursor.map(|(topic_name, partition_index)| Cursor { topic_name, partition_index }),
        ..Default::default()
    }
}

/// Adds a page to what is known, and says where the next one begins.
pub fn take_page(
    answer: DescribeTopicPartitionsResponse,
    known: &mut ByTopic<TopicDescription>,
) -> Option<(Str, PartitionId)> {
    for topic in answer.topics {
        let Some(name) = topic.name.clone() else { continue };
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some((_, Ok(description))) => {
                description.partitions.extend(TopicDescription::from(topic).partitions);
            }
            Some(_) => {}
            None => {
                let checked = ServerError::check(topic.error_code, None);
                known.push((name, checked.map(|()| TopicDescription::from(topic))));
            }
        }
    }
    answer.next_cursor.map(|cursor| (cursor.topic_name, cursor.partition_index))
}

impl From<MetadataResponseTopic> for TopicDescription {
    fn from(topic: MetadataResponseTopic) -> Self {
        let partitions = topic.partitions.into_iter().map(|partition| PartitionDescription {
            id: partition.partition_index,
            leader: known(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            offline: partition.offline_replicas,
            eligible_leaders: None,
            last_known_eligible_leaders: None,
        });
        Self::sorted(topic.name, topic.topic_id, topic.is_internal, partitions.collect())
    }
}

impl From<DescribeTopicPartitionsResponseTopic> for TopicDescription {
    fn from(topic: DescribeTopicPartitionsResponseTopic) -> Self {
        let partitions = topic.partitions.into_iter().map(|partition| PartitionDescription {
            id: partition.partition_index,
            leader: known(partition.leader_id),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            offline: partition.offline_replicas,
            eligible_leaders: partition.eligible_leader_replicas,
            last_known_eligible_leaders: partition.last_known_elr,
        });
        Self::sorted(topic.name, topic.topic_id, topic.is_internal, partitions.collect())
    }
}

impl TopicDescription {
    fn sorted(
        name: Option<Str>,
        id: TopicId,
        internal: bool,
        mut partitions: Vec<PartitionDescription>,
    ) -> Self {
        partitions.sort_by_key(|partition| partition.id);
        Self { name: name.unwrap_or_default(), id, internal, partitions }
    }
}

fn known(leader: BrokerId) -> Option<BrokerId> {
    Some(leader).filter(|id| *id != BrokerId::NONE)
}

impl NewTopic {
    /// A topic with that many partitions and replicas.
    pub fn new(name: impl Into<Str>, partitions: i32, replication_factor: i16) -> Self {
        Self {
            name: name.into(),
            partitions: Some(partitions),
            replication_factor: Some(replication_factor),
            ..Self::default()
        }
    }

    /// With a configuration.
    #[must_use]
    pub fn with_config(mut self, name: impl Into<Str>, value: impl Into<Str>) -> Self {
        self.configs.push((name.into(), Some(value.into())));
        self
    }
}
