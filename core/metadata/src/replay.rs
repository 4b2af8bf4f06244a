//! What each record does to the image.
//!
//! A record that does not fit what came before it (a change of an unknown partition, a second topic
//! of the same name) is an error and changes nothing: going on would make an image that no other
//! node has. Source: interop C.1.

use std::sync::Arc;

use dohle_base::{BrokerId, PartitionId, ProducerId, Str, TopicId, Uuid};
use dohle_protocol::records::metadata::{
    broker_registration_change_record::BrokerRegistrationChangeRecord,
    client_quota_record::ClientQuotaRecord, config_record::ConfigRecord,
    feature_level_record::FeatureLevelRecord, partition_change_record::PartitionChangeRecord,
    partition_record::PartitionRecord, topic_record::TopicRecord,
};
use imbl::OrdMap;

use crate::partition::Contradiction;
use crate::{
    Broker, ConfigResource, Controller, METADATA_VERSION, MetadataImage, MetadataRecord,
    MetadataVersion, Partition, QuotaEntity, ScramKey, Topic,
};

/// Why a record does not fit. The image is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is no topic with this id.
    #[error("no topic has the id {id}")]
    UnknownTopicId {
        /// The id.
        id: TopicId,
    },
    /// There is no topic with this name.
    #[error("no topic is named {name}")]
    UnknownTopic {
        /// The name.
        name: Str,
    },
    /// The topic has no such partition.
    #[error("topic {id} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        id: TopicId,
        /// The partition.
        partition: PartitionId,
    },
    /// A topic with this name or id exists.
    #[error("topic {name} ({id}) exists already")]
    DuplicateTopic {
        /// The name.
        name: Str,
        /// The id.
        id: TopicId,
    },
    /// No broker registered with this id.
    #[error("no broker has the id {id}")]
    UnknownBroker {
        /// The id.
        id: BrokerId,
    },
    /// The broker registered again since.
    #[error("broker {id} has epoch {current}, not {epoch}")]
    StaleBrokerEpoch {
        /// The broker.
        id: BrokerId,
        /// The epoch in the record.
        epoch: i64,
        /// The epoch of its registration.
        current: i64,
    },
    /// No controller registered with this id.
    #[error("no controller has the id {id}")]
    UnknownController {
        /// The id.
        id: BrokerId,
    },
    /// There is no access control entry with this id.
    #[error("no access control entry has the id {id}")]
    UnknownAcl {
        /// The id.
        id: Uuid,
    },
    /// The user has no such credential.
    #[error("user {user} has no credential for SCRAM mechanism {mechanism}")]
    UnknownCredential {
        /// The user.
        user: Str,
        /// The mechanism.
        mechanism: i8,
    },
    /// Producer ids would be given out twice.
    #[error("next producer id {next} is not above {current}")]
    ProducerIdsDecrease {
        /// The id in the record.
        next: ProducerId,
        /// The id so far.
        current: ProducerId,
    },
    /// The log needs other software.
    #[error("metadata.version {level} is not supported")]
    UnsupportedMetadataVersion {
        /// The level.
        level: i16,
    },
    /// A field has a value that it cannot have here.
    #[error("{record}: field {field} does not fit")]
    BadField {
        /// The record.
        record: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A transaction begins within another.
    #[error("a transaction begins within another")]
    NestedTransaction,
    /// A transaction ends that never began.
    #[error("a transaction ends that never began")]
    NoTransaction,
}

impl MetadataImage {
    /// Applies a record that is not about transactions.
    pub(crate) fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::RegisterBroker(record) => {
                let broker = Broker::from_record(record);
                self.brokers.insert(broker.id, Arc::new(broker));
            }
            R::UnregisterBroker(record) => {
                self.registered(record.broker_id, record.broker_epoch)?;
                self.brokers.remove(&record.broker_id);
            }
            R::FenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = true)?;
            }
            R::UnfenceBroker(record) => {
                self.change_broker(record.id, record.epoch, |broker| broker.fenced = false)?;
            }
            R::BrokerRegistrationChange(record) => self.change_registration(record)?,
            R::RegisterController(record) => {
                let controller = Controller::from_record(record);
                self.controllers.insert(controller.id, Arc::new(controller));
            }
            R::UnregisterController(record) => {
                let id = record.controller_id;
                let removed = self.controllers.remove(&id);
                removed.ok_or(ReplayError::UnknownController { id })?;
            }
            R::Topic(record) => self.add_topic(record)?,
            R::RemoveTopic(record) => self.remove_topic(record.topic_id)?,
            R::Partition(record) => self.put_partition(record)?,
            R::PartitionChange(record) => self.change_partition(record)?,
            R::ClearElr(record) => self.clear_elr(&record.topic_name)?,
            R::Config(record) => self.configure(record),
            R::ClientQuota(record) => self.set_quota(record),
            R::ProducerIds(record) => {
                let next = record.next_producer_id;
                if let Some(current) = self.next_producer_id.filter(|current| next <= *current) {
                    return Err(ReplayError::ProducerIdsDecrease { next, current });
                }
                self.next_producer_id = Some(next);
            }
            R::FeatureLevel(record) => self.finalise(record)?,
            R::AccessControlEntry(record) => {
                self.acls.insert(record.id, Arc::new(record.clone()));
            }
            R::RemoveAccessControlEntry(record) => {
                let id = record.id;
                self.acls.remove(&id).ok_or(ReplayError::UnknownAcl { id })?;
            }
            R::UserScramCredential(record) => {
                let key = ScramKey { mechanism: record.mechanism, user: record.name.clone() };
                self.scram.insert(key, Arc::new(record.clone()));
            }
            R::RemoveUserScramCredential(record) => {
                let key = ScramKey { mechanism: record.mechanism, user: record.name.clone() };
                let removed = self.scram.remove(&key);
                let ScramKey { user, mechanism } = key;
                removed.ok_or(ReplayError::UnknownCredential { user, mechanism })?;
            }
            R::DelegationToken(record) => {
                self.delegation_tokens.insert(record.token_id.clone(), Arc::new(record.clone()));
            }
            R::RemoveDelegationToken(record) => {
                self.delegation_tokens.remove(&record.token_id);
            }
            // A migration from ZooKeeper leaves no state that anything here could use.
            R::NoOp(_) | R::ZkMigrationState(_) => {}
            R::BeginTransaction(_) | R::EndTransaction(_) | R::AbortTransaction(_) => {
                unreachable!("MetadataState handles transactions");
            }
        }
        Ok(())
    }

    fn registered(&self, id: BrokerId, epoch: i64) -> Result<&Arc<Broker>, ReplayError> {
        let broker = self.brokers.get(&id).ok_or(ReplayError::UnknownBroker { id })?;
        if broker.epoch == epoch {
            Ok(broker)
        } else {
            Err(ReplayError::StaleBrokerEpoch { id, epoch, current: broker.epoch })
        }
    }

    fn change_broker(
        &mut self,
        id: BrokerId,
        epoch: i64,
        change: impl FnOnce(&mut Broker),
    ) -> Result<(), ReplayError> {
        let mut broker = Arc::clone(self.registered(id, epoch)?);
        change(Arc::make_mut(&mut broker));
        self.brokers.insert(id, broker);
        Ok(())
    }

    fn change_registration(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let bad = |field| ReplayError::BadField { record: "BrokerRegistrationChange", field };
        let fenced = match record.fenced {
            0 => None,
            1 => Some(true),
            -1 => Some(false),
            _ => return Err(bad("Fenced")),
        };
        let shutting_down = match record.in_controlled_shutdown {
            0 => false,
            1 => true,
            _ => return Err(bad("InControlledShutdown")),
        };
        self.change_broker(record.broker_id, record.broker_epoch, |broker| {
            broker.fenced = fenced.unwrap_or(broker.fenced);
            broker.in_controlled_shutdown |= shutting_down;
            if !record.log_dirs.is_empty() {
                broker.directories.clone_from(&record.log_dirs);
            }
            if record.cordoned_log_dirs.is_some() {
                broker.cordoned_directories.clone_from(&record.cordoned_log_dirs);
            }
        })
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let (name, id) = (record.name.clone(), record.topic_id);
        if self.topics.named(&name).is_some() || self.topics.get(id).is_some() {
            return Err(ReplayError::DuplicateTopic { name, id });
        }
        self.topics.insert(Topic { name, id, partitions: OrdMap::new() });
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topic = self.topics.remove(id).ok_or(ReplayError::UnknownTopicId { id })?;
        self.configs.remove(&ConfigResource::topic(topic.name.clone()));
        Ok(())
    }

    fn put_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let partition = Partition::from_record(record).map_err(|Contradiction { field }| {
            ReplayError::BadField { record: "Partition", field }
        })?;
        let id = record.topic_id;
        if self.topics.insert_partition(id, record.partition_id, partition) {
            Ok(())
        } else {
            Err(ReplayError::UnknownTopicId { id })
        }
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let (id, partition) = (record.topic_id, record.partition_id);
        let topic = self.topics.get(id).ok_or(ReplayError::UnknownTopicId { id })?;
        let before = topic
            .partitions
            .get(&partition)
            .ok_or(ReplayError::UnknownPartition { id, partition })?;
        let after = before.merge(record).map_err(|Contradiction { field }| {
            ReplayError::BadField { record: "PartitionChange", field }
        })?;
        self.topics.insert_partition(id, partition, after);
        Ok(())
    }

    /// Empties the ELR of one topic's partitions, or of all if there is no name.
    fn clear_elr(&mut self, name: &Str) -> Result<(), ReplayError> {
        let ids: Vec<TopicId> = if name.is_empty() {
            self.topics.iter().map(|topic| topic.id).collect()
        } else {
            let unknown = || ReplayError::UnknownTopic { name: name.clone() };
            vec![self.topics.named(name).ok_or_else(unknown)?.id]
        };
        let emptied = PartitionChangeRecord {
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..PartitionChangeRecord::default()
        };
        for topic_id in ids {
            let Some(topic) = self.topics.get(topic_id).cloned() else { continue };
            for (partition_id, partition) in &topic.partitions {
                if !partition.elr.is_empty() || !partition.last_known_elr.is_empty() {
                    let change = PartitionChangeRecord {
                        partition_id: *partition_id,
                        topic_id,
                        ..emptied.clone()
                    };
                    self.change_partition(&change)?;
                }
            }
        }
        Ok(())
    }

    fn configure(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource {
            resource_type: record.resource_type,
            name: record.resource_name.clone(),
        };
        let mut settings = self.configs.get(&resource).cloned().unwrap_or_default();
        match &record.value {
            Some(value) => settings.insert(record.name.clone(), value.clone()),
            None => settings.remove(&record.name),
        };
        if settings.is_empty() {
            self.configs.remove(&resource);
        } else {
            self.configs.insert(resource, settings);
        }
    }

    fn set_quota(&mut self, record: &ClientQuotaRecord) {
        let entity = QuotaEntity::from_record(record);
        let mut quotas = self.client_quotas.get(&entity).cloned().unwrap_or_default();
        if record.remove {
            quotas.remove(&record.key);
        } else {
            quotas.insert(record.key.clone(), record.value);
        }
        if quotas.is_empty() {
            self.client_quotas.remove(&entity);
        } else {
            self.client_quotas.insert(entity, quotas);
        }
    }

    fn finalise(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        if record.name != METADATA_VERSION {
            self.features.set(record.name.clone(), record.feature_level);
            return Ok(());
        }
        let version = MetadataVersion(record.feature_level);
        if !version.is_supported() {
            return Err(ReplayError::UnsupportedMetadataVersion { level: version.0 });
        }
        self.features.set_metadata_version(version);
        Ok(())
    }
}
