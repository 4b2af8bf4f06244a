//! Metadata (3): brokers, topics and who leads their partitions.
//!
//! Versions: 0 takes an empty list for all topics, later ones null; 4 can forbid auto-creation; 8 tells
//! operations; 12 may name topics by id; 13 has an error for the whole.
//! Authorises: Describe on topics, Create where a topic is made.

use std::{collections::HashSet, ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, Str, TopicId};
use dohle_metadata::{Partition, Topic};
use dohle_protocol::api::{
    metadata_request::{MetadataRequest, MetadataRequestTopic},
    metadata_response::{
        MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    },
};

use super::{Answer, Call, Endpoint};
use crate::{Broker, authorize, metadata::Published, topic_names};

/// The first version in which a topic may be wanted by its id, though earlier ones have a place for it.
/// Source: KIP-516.
const TOPIC_ID_VERSION: i16 = 12;

pub(crate) struct Metadata;

impl Endpoint for Metadata {
    type Request = MetadataRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=13;

    fn handle(call: Call<'_>, request: MetadataRequest) -> Answer<MetadataResponse> {
        let view = View {
            version: call.version,
            listener: call.connection.listener_name.clone(),
            topic_operations: authorize::told(
                request.include_topic_authorized_operations,
                authorize::ON_TOPIC,
            ),
            cluster_operations: authorize::told(
                request.include_cluster_authorized_operations,
                authorize::ON_CLUSTER,
            ),
        };
        let wanted = match request.topics {
            None => None,
            Some(topics) if topics.is_empty() && call.version == 0 => None,
            Some(topics) if !topics.iter().all(|topic| may_be_wanted(topic, call.version)) => {
                return Answer::now(refusal(topics));
            }
            Some(topics) => Some(distinct(topics)),
        };
        let published = call.broker.metadata();
        let missing = match &wanted {
            Some(wanted) if request.allow_auto_topic_creation => missing(wanted, &published),
            _ => Vec::new(),
        };
        if missing.is_empty() || !call.broker.config.new_topics.auto_create {
            return Answer::now(view.response(call.broker, &published, wanted.as_deref()));
        }
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            // What could not be made is still missing below, and told so.
            broker.auto_create(missing).await;
            view.response(&broker, &broker.metadata(), wanted.as_deref())
        })
    }
}

/// Whether a version may want a topic like this.
fn may_be_wanted(wanted: &MetadataRequestTopic, version: i16) -> bool {
    version >= TOPIC_ID_VERSION || (wanted.name.is_some() && wanted.topic_id == TopicId::ZERO)
}

/// The answer to a request that its version does not allow. Source: Kafka 4.4.
fn refusal(topics: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let topics = topics.into_iter().map(|wanted| MetadataResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        name: Some(wanted.name.unwrap_or_default()),
        topic_id: wanted.topic_id,
        ..MetadataResponseTopic::default()
    });
    MetadataResponse { topics: topics.collect(), ..MetadataResponse::default() }
}

/// Each topic once, in the order of first mention: a name takes some bytes of a request, and all of a
/// topic's partitions in the answer.
fn distinct(mut topics: Vec<MetadataRequestTopic>) -> Vec<MetadataRequestTopic> {
    if topics.len() > 1 {
        let mut seen = HashSet::with_capacity(topics.len());
        topics.retain(|topic| {
            let is_named = topic.topic_id == TopicId::ZERO;
            seen.insert((topic.topic_id, topic.name.clone().filter(|_| is_named)))
        });
    }
    topics
}

/// The wanted names that no topic has yet and that a topic may have.
fn missing(wanted: &[MetadataRequestTopic], published: &Published) -> Vec<Str> {
    let names = wanted.iter().filter(|topic| topic.topic_id == TopicId::ZERO);
    let names = names.filter_map(|topic| topic.name.clone());
    names
        .filter(|name| published.image.topics.named(name).is_none() && topic_names::is_valid(name))
        .collect()
}

/// How the answer is told: all but what it is about.
struct View {
    version: i16,
    listener: Arc<str>,
    topic_operations: i32,
    cluster_operations: i32,
}

impl View {
    fn response(
        &self,
        broker: &Broker,
        published: &Published,
        wanted: Option<&[MetadataRequestTopic]>,
    ) -> MetadataResponse {
        let topics = match wanted {
            None => {
                published.image.topics.iter().map(|topic| self.topic(published, topic)).collect()
            }
            Some(wanted) => wanted.iter().map(|wanted| self.wanted(published, wanted)).collect(),
        };
        MetadataResponse {
            brokers: self.brokers(published),
            cluster_id: Some(broker.cluster_id.clone()),
            controller_id: broker.node_id,
            topics,
            cluster_authorized_operations: self.cluster_operations,
            ..MetadataResponse::default()
        }
    }

    fn brokers(&self, published: &Published) -> Vec<MetadataResponseBroker> {
        let brokers = published.image.brokers.values().filter(|broker| !broker.fenced);
        let told = brokers.filter_map(|broker| {
            let at = broker.listener(&self.listener)?;
            Some(MetadataResponseBroker {
                node_id: broker.id,
                host: at.host.clone(),
                port: i32::from(at.port),
                rack: broker.rack.clone(),
            })
        });
        told.collect()
    }

    fn wanted(
        &self,
        published: &Published,
        wanted: &MetadataRequestTopic,
    ) -> MetadataResponseTopic {
        let topics = &published.image.topics;
        let refused = |error_code, name: Option<Str>| MetadataResponseTopic {
            error_code,
            topic_id: wanted.topic_id,
            is_internal: name.as_deref().is_some_and(topic_names::is_internal),
            name,
            ..MetadataResponseTopic::default()
        };
        if wanted.topic_id != TopicId::ZERO {
            return match topics.get(wanted.topic_id) {
                Some(topic) => self.topic(published, topic),
                None => refused(ErrorCode::UNKNOWN_TOPIC_ID, None),
            };
        }
        let Some(name) = &wanted.name else {
            return refused(ErrorCode::UNKNOWN_TOPIC_ID, None);
        };
        match topics.named(name) {
            Some(topic) => self.topic(published, topic),
            None if topic_names::is_valid(name) => {
                refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(name.clone()))
            }
            None => refused(ErrorCode::INVALID_TOPIC_EXCEPTION, Some(name.clone())),
        }
    }

    fn topic(&self, published: &Published, topic: &Topic) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|(index, partition)| MetadataResponsePartition {
            partition_index: *index,
            error_code: self.leader_error(published, partition),
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            offline_replicas: published.offline_replicas(partition),
        });
        MetadataResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic_names::is_internal(&topic.name),
            partitions: partitions.collect(),
            topic_authorized_operations: self.topic_operations,
            ..MetadataResponseTopic::default()
        }
    }

    fn leader_error(&self, published: &Published, partition: &Partition) -> ErrorCode {
        let leader = published.image.broker(partition.leader).filter(|broker| !broker.fenced);
        match leader {
            None => ErrorCode::LEADER_NOT_AVAILABLE,
            Some(leader) if leader.listener(&self.listener).is_none() => {
                // Version 0 has no code for it.
                if self.version == 0 {
                    ErrorCode::LEADER_NOT_AVAILABLE
                } else {
                    ErrorCode::LISTENER_NOT_FOUND
                }
            }
            Some(_) => ErrorCode::NONE,
        }
    }
}

#[cfg(test)]
mod tests;
