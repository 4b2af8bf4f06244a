//! What the metadata says, for tests.

use dohle_base::{BrokerId, PartitionId, TopicId, Uuid};
use dohle_metadata::{METADATA_VERSION, MetadataRecord, MetadataState, MetadataVersion};
use dohle_protocol::records::metadata::{
    feature_level_record::FeatureLevelRecord, partition_change_record::PartitionChangeRecord,
    partition_record::PartitionRecord, topic_record::TopicRecord,
};

/// A cluster without topics, of the newest version.
pub(crate) fn no_topics() -> MetadataState {
    let mut state = MetadataState::default();
    let level = FeatureLevelRecord {
        name: METADATA_VERSION.into(),
        feature_level: MetadataVersion::LATEST.0,
    };
    state.apply(&MetadataRecord::FeatureLevel(level)).unwrap();
    state
}

/// A topic is made, with so many partitions that are led here and lie in this directory.
pub(crate) fn make_topic(
    state: &mut MetadataState,
    name: &str,
    topic_id: TopicId,
    partitions: i32,
    directory: Uuid,
) {
    let topic = TopicRecord { name: name.into(), topic_id };
    state.apply(&MetadataRecord::Topic(topic)).unwrap();
    for index in 0..partitions {
        let partition = PartitionRecord {
            partition_id: PartitionId(index),
            topic_id,
            replicas: vec![BrokerId(1)],
            isr: vec![BrokerId(1)],
            leader: BrokerId(1),
            directories: vec![directory],
            ..PartitionRecord::default()
        };
        state.apply(&MetadataRecord::Partition(partition)).unwrap();
    }
}

/// A topic's first partition has these replicas, of which those are in sync.
pub(crate) fn replicate(topic_id: TopicId, replicas: &[i32], isr: &[i32]) -> MetadataRecord {
    let ids = |ids: &[i32]| Some(ids.iter().copied().map(BrokerId).collect());
    let directories = replicas.iter().map(|id| Uuid(6 + *id as u128));
    let change = PartitionChangeRecord {
        topic_id,
        partition_id: PartitionId(0),
        replicas: ids(replicas),
        isr: ids(isr),
        directories: Some(directories.collect()),
        ..PartitionChangeRecord::default()
    };
    change.into()
}
