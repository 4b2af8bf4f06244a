//! The records that make an image again, in the order in which Kafka writes them.
//!
//! Only two places in the order matter to readers: metadata.version comes first, and a topic before
//! its partitions. Source: interop A.11.

use std::sync::Arc;

use dohle_base::{BrokerId, ProducerId};
use dohle_protocol::records::metadata::{
    client_quota_record::ClientQuotaRecord, config_record::ConfigRecord,
    feature_level_record::FeatureLevelRecord, producer_ids_record::ProducerIdsRecord,
    topic_record::TopicRecord,
};

use crate::{MetadataImage, MetadataRecord, MetadataVersion, Topic};

/// The records of a snapshot of `image`.
pub fn snapshot_records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> {
    let version = image.metadata_version();
    let features = image.features.iter().map(|(name, feature_level)| {
        FeatureLevelRecord { name: name.into(), feature_level }.into()
    });
    let brokers = image.brokers.values().map(move |broker| broker.to_record(version).into());
    let controllers =
        image.controllers.values().filter(move |_| version.has_controller_registration());
    let controllers = controllers.map(|controller| controller.to_record().into());
    let topics = image.topics.iter().flat_map(move |topic| topic_records(topic, version));
    features
        .chain(brokers)
        .chain(controllers)
        .chain(topics)
        .chain(config_records(image))
        .chain(quota_records(image))
        .chain(image.next_producer_id.map(producer_ids_record))
        .chain(image.acls.values().map(|acl| MetadataRecord::from((**acl).clone())))
        .chain(image.scram.values().map(|credential| MetadataRecord::from((**credential).clone())))
        .chain(image.delegation_tokens.values().map(|token| (**token).clone().into()))
}

fn topic_records(
    topic: &Arc<Topic>,
    version: MetadataVersion,
) -> impl Iterator<Item = MetadataRecord> {
    let id = topic.id;
    let partitions = topic.partitions.iter();
    let head = TopicRecord { name: topic.name.clone(), topic_id: id }.into();
    std::iter::once(head).chain(
        partitions.map(move |(number, partition)| partition.to_record(id, *number, version).into()),
    )
}

fn config_records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> {
    image.configs.iter().flat_map(|(resource, settings)| {
        settings.iter().map(|(name, value)| {
            let record = ConfigRecord {
                resource_type: resource.resource_type,
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            };
            record.into()
        })
    })
}

/// Whose block was the last is not told: a snapshot has no use for it.
fn producer_ids_record(next_producer_id: ProducerId) -> MetadataRecord {
    let broker_id = BrokerId::NONE;
    ProducerIdsRecord { broker_id, broker_epoch: -1, next_producer_id }.into()
}

fn quota_records(image: &MetadataImage) -> impl Iterator<Item = MetadataRecord> {
    image.client_quotas.iter().flat_map(|(entity, quotas)| {
        quotas.iter().map(|(key, value)| {
            let entity = entity.to_parts();
            ClientQuotaRecord { entity, key: key.clone(), value: *value, remove: false }.into()
        })
    })
}
