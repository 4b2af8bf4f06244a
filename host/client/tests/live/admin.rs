//! Administration, there and back.

use std::collections::BTreeMap;

use dohle_client::{
    Admin, AlterConfig, CommittedOffset, ConfigResource, ConfigSource, Detail, ErrorCode,
    IsolationLevel, NewPartitions, NewTopic, Offset, OffsetSpec, ProducerRecord, Str, Timestamp,
    TopicDescription, TopicPartition,
};

use crate::broker::{
    config, eventually, member_config, partitions, producer, receive, topic, unique,
};

#[tokio::test]
async fn topics_are_made_described_grown_and_deleted() {
    let Some(client) = config() else { return };
    let admin = Admin::new(client).unwrap();
    let name = unique("admin");
    let new = NewTopic::new(name.clone(), 3, 1).with_config("retention.ms", "123456");
    let tried = admin.create_topics(std::slice::from_ref(&new), true).await.unwrap();
    assert!(tried[0].1.is_ok(), "{tried:?}");
    assert!(admin.list_topics().await.unwrap().iter().all(|topic| topic.name != name));

    let made = admin.create_topics(std::slice::from_ref(&new), false).await.unwrap();
    assert_eq!(made[0].1.as_ref().unwrap().partitions, 3);
    let again = admin.create_topics(&[new], false).await.unwrap();
    assert_eq!(again[0].1.as_ref().unwrap_err().code, ErrorCode::TOPIC_ALREADY_EXISTS);
    let id = eventually(async || {
        let listed = admin.list_topics().await.unwrap();
        listed.iter().find(|topic| topic.name == name).map(|topic| topic.id)
    })
    .await;
    assert_eq!(made[0].1.as_ref().unwrap().id, id);

    let grow = NewPartitions { topic: name.clone(), total_count: 5, assignments: None };
    let grown = admin.create_partitions(&[grow], false).await.unwrap();
    assert_eq!(grown, [(name.clone(), Ok(()))]);
    let names = [name.clone(), "nothing-like-it".into()];
    let described = eventually(async || {
        let described = admin.describe_topics(&names).await.unwrap();
        let grown = |(of, outcome): &(Str, Result<TopicDescription, _>)| {
            *of == name && outcome.as_ref().is_ok_and(|topic| topic.partitions.len() == 5)
        };
        described.iter().any(grown).then_some(described)
    })
    .await;
    let of = |name: &str| described.iter().find(|(other, _)| other == name).unwrap().1.clone();
    let description = of(&name).unwrap();
    assert_eq!(description.id, id);
    assert!(description.partitions.iter().all(|p| p.leader.is_some() && p.isr == p.replicas));
    assert_eq!(of("nothing-like-it").unwrap_err().code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);

    assert_eq!(
        admin.delete_topics(std::slice::from_ref(&name)).await.unwrap(),
        [(name.clone(), Ok(()))]
    );
    let again = admin.delete_topics(std::slice::from_ref(&name)).await.unwrap();
    assert_eq!(again[0].1.as_ref().unwrap_err().code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[tokio::test]
async fn configurations_are_set_and_unset() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "configs", 1).await;
    let admin = Admin::new(client).unwrap();
    let resource = ConfigResource::topic(topic.clone());
    let read = async || {
        let keys = ["max.message.bytes".into()];
        let detail = Detail { synonyms: true, documentation: false };
        let all =
            admin.describe_configs(std::slice::from_ref(&resource), Some(&keys), detail).await;
        let (of, entries) = all.unwrap().remove(0);
        assert_eq!(of, resource);
        entries.unwrap().remove(0)
    };
    assert_eq!(read().await.source, ConfigSource::Default);
    let set = (resource.clone(), vec![AlterConfig::set("max.message.bytes", "1000")]);
    let outcome = admin.alter_configs(&[set], false).await.unwrap();
    assert_eq!(outcome, [(resource.clone(), Ok(()))]);
    let altered =
        async || Some(read().await).filter(|entry| entry.value.as_deref() == Some("1000"));
    let entry = eventually(altered).await;
    assert_eq!(entry.source, ConfigSource::DynamicTopic);
    let bad = (resource.clone(), vec![AlterConfig::set("max.message.bytes", "soon")]);
    let outcome = admin.alter_configs(&[bad], false).await.unwrap();
    assert_eq!(outcome[0].1.as_ref().unwrap_err().code, ErrorCode::INVALID_CONFIG);
    let unset = (resource.clone(), vec![AlterConfig::delete("max.message.bytes")]);
    assert!(admin.alter_configs(&[unset], false).await.unwrap()[0].1.is_ok());
}

#[tokio::test]
async fn a_brokers_own_configuration_is_asked_of_that_broker() {
    let Some(client) = config() else { return };
    let admin = Admin::new(client).unwrap();
    let cluster = admin.describe_cluster(true).await.unwrap();
    assert!(!cluster.id.is_empty());
    let resources: Vec<_> = cluster.brokers.iter().map(|b| ConfigResource::broker(b.id)).collect();
    let described = admin.describe_configs(&resources, None, Detail::default()).await.unwrap();
    assert_eq!(described.len(), cluster.brokers.len());
    for (_, entries) in described {
        assert!(entries.unwrap().iter().any(|entry| entry.name == "log.retention.hours"));
    }
}

#[tokio::test]
async fn offsets_are_found_and_records_deleted() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "offsets", 2).await;
    let producer = producer(&client);
    for number in 0..10_i64 {
        let record = ProducerRecord::new(topic.clone(), "x")
            .with_partition(0)
            .with_timestamp(Timestamp(1_700_000_000_000 + number));
        producer.send(record).await.unwrap().await.unwrap();
    }
    let admin = Admin::new(client).unwrap();
    let first = TopicPartition::new(topic.clone(), 0);
    let isolation = IsolationLevel::ReadUncommitted;
    for (spec, offset) in [
        (OffsetSpec::Earliest, Some(0)),
        (OffsetSpec::Latest, Some(10)),
        (OffsetSpec::MaxTimestamp, Some(9)),
        (OffsetSpec::Timestamp(1_700_000_000_004), Some(4)),
        (OffsetSpec::Timestamp(1_800_000_000_000), None),
    ] {
        let specs = BTreeMap::from([(first.clone(), spec)]);
        let listed = admin.list_offsets(&specs, isolation).await.unwrap();
        assert_eq!(listed[&first].unwrap().offset, offset.map(Offset), "{spec:?}");
    }
    let missing = TopicPartition::new(topic.clone(), 7);
    let specs = BTreeMap::from([(missing.clone(), OffsetSpec::Latest)]);
    let listed = admin.list_offsets(&specs, isolation).await.unwrap();
    assert_eq!(listed[&missing], Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let before = BTreeMap::from([(first.clone(), Offset(6))]);
    assert_eq!(admin.delete_records(&before).await.unwrap()[&first], Ok(Offset(6)));
    let specs = BTreeMap::from([(first.clone(), OffsetSpec::Earliest)]);
    let listed = admin.list_offsets(&specs, isolation).await.unwrap();
    assert_eq!(listed[&first].unwrap().offset, Some(Offset(6)));
    let before = BTreeMap::from([(first.clone(), Offset(99))]);
    let refused = admin.delete_records(&before).await.unwrap();
    assert_eq!(refused[&first], Err(ErrorCode::OFFSET_OUT_OF_RANGE));
}

#[tokio::test]
async fn groups_are_listed_described_rewound_and_deleted() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "groups", 1).await, unique("group"));
    let producer = producer(&client);
    for _ in 0..10 {
        producer.send(ProducerRecord::new(topic.clone(), "x")).await.unwrap().await.unwrap();
    }
    let mut config = member_config(&client, &group);
    config.client.client_id = "tester".into();
    let mut consumer = dohle_client::Consumer::new(config.clone()).unwrap();
    consumer.subscribe([topic.clone()]).await.unwrap();
    receive(&mut consumer, 10).await;
    consumer.commit().await.unwrap();

    let admin = Admin::new(client).unwrap();
    let listed = admin.list_groups(&[], &[]).await.unwrap();
    let found = listed.iter().find(|listed| listed.id == group).expect("it is listed");
    assert_eq!((found.protocol_type.as_str(), found.state.as_str()), ("consumer", "Stable"));
    let described = admin.describe_groups(std::slice::from_ref(&group)).await.unwrap();
    let description = described[0].1.as_ref().unwrap();
    assert_eq!(description.state, "Stable");
    assert_eq!(description.assignor, "range");
    assert_eq!(description.members.len(), 1);
    assert_eq!(description.members[0].client_id, "tester");
    let assigned: Vec<_> = description.members[0].assignment.iter().cloned().collect();
    assert_eq!(assigned, partitions(&topic, 1));

    let partition = TopicPartition::new(topic.clone(), 0);
    let committed = admin.list_group_offsets(&group, true).await.unwrap();
    assert_eq!(committed[&partition].as_ref().unwrap().offset, Offset(10));
    let busy = admin.delete_groups(std::slice::from_ref(&group)).await.unwrap();
    assert_eq!(busy[0].1.as_ref().unwrap_err().code, ErrorCode::NON_EMPTY_GROUP);
    consumer.close().await;

    let rewind = BTreeMap::from([(partition.clone(), CommittedOffset::new(3))]);
    let altered = admin.alter_group_offsets(&group, &rewind).await.unwrap();
    assert_eq!(altered[&partition], Ok(()));
    let mut consumer = dohle_client::Consumer::new(config).unwrap();
    consumer.subscribe([topic.clone()]).await.unwrap();
    assert_eq!(receive(&mut consumer, 1).await[0].offset, Offset(3));
    consumer.close().await;

    let forgotten = admin.delete_group_offsets(&group, &[partition.clone()].into()).await.unwrap();
    assert_eq!(forgotten[&partition], Ok(()));
    assert!(admin.list_group_offsets(&group, true).await.unwrap().is_empty());
    eventually(async || {
        let deleted = admin.delete_groups(std::slice::from_ref(&group)).await.unwrap();
        deleted[0].1.is_ok().then_some(())
    })
    .await;
    let listed = admin.list_groups(&[], &[]).await.unwrap();
    assert!(listed.iter().all(|listed| listed.id != group));
}
