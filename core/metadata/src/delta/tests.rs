//! What changed is found, and nothing else.

use dohle_base::{BrokerId, TopicId, Uuid};
use dohle_protocol::records::metadata::{
    client_quota_record::{ClientQuotaRecord, EntityData},
    config_record::ConfigRecord,
    partition_change_record::PartitionChangeRecord,
    partition_record::PartitionRecord,
    register_broker_record::RegisterBrokerRecord,
    remove_topic_record::RemoveTopicRecord,
    topic_record::TopicRecord,
};

use super::*;
use crate::{MetadataRecord, MetadataState};

fn topic(id: u128, name: &str, partitions: i32) -> Vec<MetadataRecord> {
    let topic_id = TopicId(Uuid(id));
    let partition = |number| {
        PartitionRecord {
            partition_id: PartitionId(number),
            topic_id,
            replicas: vec![BrokerId(1)],
            isr: vec![BrokerId(1)],
            leader: BrokerId(1),
            ..PartitionRecord::default()
        }
        .into()
    };
    let head = TopicRecord { name: name.into(), topic_id }.into();
    std::iter::once(head).chain((0..partitions).map(partition)).collect()
}

fn apply(state: &mut MetadataState, records: Vec<MetadataRecord>) {
    for record in records {
        state.apply(&record).unwrap();
    }
}

#[test]
fn topics_and_partitions() {
    let mut state = MetadataState::default();
    for id in 0..500 {
        apply(&mut state, topic(1_000 + id, &format!("topic-{id}"), 3));
    }
    let before = state.image().clone();
    assert!(MetadataDelta::between(&before, state.image()).is_empty());
    apply(&mut state, topic(9_000, "new", 1));
    let gone = TopicId(Uuid(1_007));
    apply(&mut state, vec![RemoveTopicRecord { topic_id: gone }.into()]);
    apply(&mut state, topic(9_007, "topic-7", 1));
    let change = PartitionChangeRecord {
        topic_id: TopicId(Uuid(1_100)),
        partition_id: PartitionId(2),
        leader: BrokerId::NONE,
        ..PartitionChangeRecord::default()
    };
    let added = PartitionRecord {
        topic_id: TopicId(Uuid(1_100)),
        partition_id: PartitionId(3),
        ..PartitionRecord::default()
    };
    apply(&mut state, vec![change.into(), added.into()]);
    let delta = MetadataDelta::between(&before, state.image());
    let names = |topics: &[Arc<Topic>]| {
        topics.iter().map(|topic| format!("{} {}", topic.name, topic.id.0.0)).collect::<Vec<_>>()
    };
    assert_eq!(names(&delta.created), ["new 9000", "topic-7 9007"]);
    assert_eq!(names(&delta.deleted), ["topic-7 1007"]);
    assert_eq!(delta.changed.len(), 1);
    let partitions = &delta.changed[0].partitions;
    assert_eq!(partitions.iter().map(|p| p.id.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(partitions[0].before.as_ref().unwrap().leader, BrokerId(1));
    assert_eq!(partitions[0].after.leader, BrokerId::NONE);
    assert_eq!(partitions[1].before, None);
    assert!(!delta.features && delta.brokers.is_empty() && delta.configs.is_empty());
}

#[test]
fn everything_else() {
    let mut state = MetadataState::default();
    let before = state.image().clone();
    let entity = EntityData { entity_type: "user".into(), entity_name: None };
    apply(
        &mut state,
        vec![
            RegisterBrokerRecord { broker_id: BrokerId(5), ..Default::default() }.into(),
            ConfigRecord {
                resource_type: 4,
                name: "log.cleaner.threads".into(),
                value: Some("1".into()),
                ..Default::default()
            }
            .into(),
            ClientQuotaRecord {
                entity: vec![entity],
                key: "producer_byte_rate".into(),
                value: 1.0,
                remove: false,
            }
            .into(),
        ],
    );
    let delta = MetadataDelta::between(&before, state.image());
    assert_eq!(delta.brokers, [BrokerId(5)]);
    assert_eq!(delta.configs, [ConfigResource::all_brokers()]);
    assert_eq!(delta.client_quotas.len(), 1);
    assert!(!delta.acls && !delta.scram && delta.created.is_empty());
    // The way back shows the same keys.
    let back = MetadataDelta::between(state.image(), &before);
    assert_eq!((back.brokers, back.configs), (delta.brokers, delta.configs));
}
