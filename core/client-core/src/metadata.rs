//! What is known of the cluster: brokers, topics with their ids, and who leads each partition in
//! which epoch.
//!
//! Answers may come from brokers that are behind. Of the same topic id, an older leader epoch never
//! replaces a newer one. Source: KIP-320.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, ErrorCode, LeaderEpoch, PartitionId, Str, TopicId};
use dohle_protocol::api::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::{Address, TopicPartition};

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its number.
    pub id: BrokerId,
    /// Where it listens.
    pub address: Address,
    /// The rack that it says it is in.
    pub rack: Option<Str>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: Str,
    /// Its id; zero from brokers before 2.8.
    pub id: TopicId,
    /// Whether Kafka itself uses it, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions, by number.
    pub partitions: BTreeMap<PartitionId, PartitionMetadata>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number.
    pub id: PartitionId,
    /// Its leader, if it has one.
    pub leader: Option<BrokerId>,
    /// How often its leadership has been given out.
    pub leader_epoch: LeaderEpoch,
    /// All its replicas.
    pub replicas: Vec<BrokerId>,
    /// Those in sync.
    pub isr: Vec<BrokerId>,
    /// Those not available.
    pub offline: Vec<BrokerId>,
}

/// What is known of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    cluster_id: Option<Str>,
    controller: Option<BrokerId>,
    brokers: BTreeMap<BrokerId, BrokerAddress>,
    topics: BTreeMap<Str, TopicMetadata>,
    errors: BTreeMap<Str, ErrorCode>,
}

impl Metadata {
    /// The id of the cluster.
    pub fn cluster_id(&self) -> Option<&Str> {
        self.cluster_id.as_ref()
    }

    /// A broker that hands administrative requests on; with ZooKeeper, the controller.
    pub fn controller(&self) -> Option<BrokerId> {
        self.controller
    }

    /// All brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &BrokerAddress> {
        self.brokers.values()
    }

    /// A broker.
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerAddress> {
        self.brokers.get(&id)
    }

    /// All topics that are known, by name.
    pub fn topics(&self) -> impl Iterator<Item = &TopicMetadata> {
        self.topics.values()
    }

    /// A topic.
    pub fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.get(name)
    }

    /// Why a topic that was asked for is not known, as the last answer had it.
    pub fn topic_error(&self, name: &str) -> Option<ErrorCode> {
        self.errors.get(name).copied()
    }

    /// A partition.
    pub fn partition(&self, partition: &TopicPartition) -> Option<&PartitionMetadata> {
        self.topics.get(&partition.topic)?.partitions.get(&partition.partition)
    }

    /// The leader of a partition, if it has one and its address is known.
    pub fn leader(&self, partition: &TopicPartition) -> Option<BrokerId> {
        self.partition(partition)?.leader.filter(|leader| self.brokers.contains_key(leader))
    }

    /// The id of a topic; zero if it is not known.
    pub fn topic_id(&self, name: &str) -> TopicId {
        self.topics.get(name).map_or(TopicId::ZERO, |topic| topic.id)
    }

    /// Takes an answer. Topics that it does not mention stay as they are.
    pub(crate) fn update(&mut self, response: MetadataResponse) {
        self.cluster_id = response.cluster_id;
        self.controller = Some(response.controller_id).filter(|id| *id != BrokerId::NONE);
        let brokers = response.brokers.into_iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            let address = Address { host: broker.host, port };
            let id = broker.node_id;
            Some((id, BrokerAddress { id, address, rack: broker.rack }))
        });
        self.brokers = brokers.collect();
        for topic in response.topics {
            self.update_topic(topic);
        }
    }

    fn update_topic(&mut self, answer: MetadataResponseTopic) {
        let Some(name) = answer.name else { return };
        if answer.error_code.is_error() {
            // A leader that is being elected is no reason to forget the others.
            if answer.error_code != ErrorCode::LEADER_NOT_AVAILABLE {
                self.topics.remove(&name);
            }
            self.errors.insert(name, answer.error_code);
            return;
        }
        self.errors.remove(&name);
        let known = self.topics.get(&name).filter(|topic| topic.id == answer.topic_id);
        let partitions = answer.partitions.into_iter().map(|partition| {
            let fresh = PartitionMetadata::of(partition);
            let old = known.and_then(|topic| topic.partitions.get(&fresh.id));
            let newest = match old {
                Some(old) if old.leader_epoch > fresh.leader_epoch => old.clone(),
                _ => fresh,
            };
            (newest.id, newest)
        });
        let (id, internal) = (answer.topic_id, answer.is_internal);
        let topic =
            TopicMetadata { name: name.clone(), id, internal, partitions: partitions.collect() };
        self.topics.insert(name, topic);
    }

    /// Takes a new leader that a broker named in passing. Says whether it was news.
    /// Source: KIP-951.
    pub(crate) fn update_leader(
        &mut self,
        partition: &TopicPartition,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
    ) -> bool {
        let known = self.topics.get_mut(&partition.topic);
        let known = known.and_then(|topic| topic.partitions.get_mut(&partition.partition));
        match known {
            Some(known) if leader != BrokerId::NONE && leader_epoch > known.leader_epoch => {
                known.leader = Some(leader);
                known.leader_epoch = leader_epoch;
                self.brokers.contains_key(&leader)
            }
            _ => false,
        }
    }

    /// Takes the address of a broker that was named in passing.
    pub(crate) fn update_broker(&mut self, broker: BrokerAddress) {
        self.brokers.insert(broker.id, broker);
    }

    /// Forgets a topic.
    pub(crate) fn forget(&mut self, name: &str) {
        self.topics.remove(name);
        self.errors.remove(name);
    }
}

impl PartitionMetadata {
    fn of(answer: MetadataResponsePartition) -> Self {
        Self {
            id: answer.partition_index,
            leader: Some(answer.leader_id).filter(|id| *id != BrokerId::NONE),
            leader_epoch: answer.leader_epoch,
            replicas: answer.replica_nodes,
            isr: answer.isr_nodes,
            offline: answer.offline_replicas,
        }
    }
}

impl TopicMetadata {
    /// How many partitions there are.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }
}

#[cfg(test)]
mod tests;
