//! A compacted topic keeps the last value of each key, and a consumer that comes late sees no others.

use std::collections::BTreeMap;

use bytes::Bytes;
use dohle_client::{
    Admin, AlterConfig, ConfigResource, ConfigResourceKind, NewTopic, Producer, ProducerRecord,
    Timestamp,
};

use crate::broker::{config, eventually, partitions, producer, reader, receive, unique};

/// Segments are closed by time here, and their records' times are far apart.
const CONFIGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "0"),
];
const KEYS: usize = 5;

async fn put(producer: &Producer, topic: &str, key: usize, round: i64, value: Option<String>) {
    let record = ProducerRecord {
        topic: topic.into(),
        value: value.map(Bytes::from),
        ..ProducerRecord::default()
    };
    let record = record
        .with_partition(0)
        .with_key(format!("key {key}"))
        .with_timestamp(Timestamp(1_700_000_000_000 + round * 2_000));
    producer.send(record).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn of_each_key_the_last_record_stays() {
    let Some(client) = config() else { return };
    let admin = Admin::new(client.clone()).unwrap();
    let all_brokers = ConfigResource { kind: ConfigResourceKind::Broker, name: "".into() };
    let often = (all_brokers, vec![AlterConfig::set("log.cleaner.backoff.ms", "200")]);
    assert!(admin.alter_configs(&[often], false).await.unwrap()[0].1.is_ok());
    let topic = unique("compacted");
    let new = CONFIGS.iter().fold(NewTopic::new(topic.clone(), 1, 1), |new, (name, value)| {
        new.with_config(*name, *value)
    });
    assert!(admin.create_topics(&[new], false).await.unwrap()[0].1.is_ok());
    let producer = producer(&client);
    for round in 0..20 {
        for key in 0..KEYS {
            put(&producer, &topic, key, round, Some(format!("{round} of {key}"))).await;
        }
    }
    put(&producer, &topic, 0, 20, None).await;
    // The segment that is written is not compacted: the last round stays as it is.
    put(&producer, &topic, KEYS, 21, Some("the end".to_owned())).await;

    let kept = eventually(async || {
        let mut consumer = reader(&client);
        consumer.assign(partitions(&topic, 1)).await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(key, _): &(Bytes, _)| *key != format!("key {KEYS}")) {
            let record = receive(&mut consumer, 1).await.remove(0);
            seen.push((record.key.unwrap(), (record.offset.0, record.value)));
        }
        consumer.close().await;
        (seen.len() <= KEYS + 1).then_some(seen)
    })
    .await;
    let kept: BTreeMap<_, _> = kept.into_iter().collect();
    assert_eq!(kept.len(), KEYS + 1, "{kept:?}");
    for (key, (offset, value)) in &kept {
        let number: usize = key[4..].iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
        let (last, text) = match number {
            0 => (20 * KEYS, None),
            KEYS => (20 * KEYS + 1, Some("the end".to_owned())),
            key => (19 * KEYS + key, Some(format!("19 of {key}"))),
        };
        assert_eq!((*offset, value), (last as i64, &text.map(Bytes::from)), "{key:?}");
    }
}
