//! Producing and consuming without a group.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use dohle_client::{
    Acks, Codec, Consumer, ConsumerConfig, IsolationLevel, Offset, OffsetReset, ProduceError,
    Producer, ProducerConfig, ProducerRecord, SeekTo, Timestamp, TopicPartition,
};

use crate::broker::{PATIENCE, config, partitions, producer, reader, receive, topic, unique};

#[tokio::test]
async fn records_come_back_as_they_were_sent_with_every_codec() {
    let Some(client) = config() else { return };
    for codec in Codec::ALL {
        let topic = topic(&client, "codec", 1).await;
        let compression = codec.into();
        let config = ProducerConfig { compression, ..ProducerConfig::new(client.clone()) };
        let producer = Producer::new(config).unwrap();
        let mut deliveries = Vec::new();
        for number in 0..1_000_i64 {
            let record = ProducerRecord::new(topic.clone(), format!("value {number} ").repeat(20))
                .with_key(format!("key {number}"))
                .with_header("number", number.to_be_bytes().to_vec())
                .with_timestamp(Timestamp(1_700_000_000_000 + number));
            deliveries.push(producer.send(record).await.unwrap());
        }
        for (number, delivery) in (0..).zip(deliveries) {
            let delivered = delivery.await.unwrap();
            assert_eq!(delivered.offset, Some(Offset(number)), "{codec}");
        }
        let mut consumer = reader(&client);
        consumer.assign(partitions(&topic, 1)).await;
        let records = receive(&mut consumer, 1_000).await;
        for (number, record) in (0_i64..).zip(&records) {
            assert_eq!(record.offset, Offset(number), "{codec}");
            assert_eq!(record.key, Some(Bytes::from(format!("key {number}"))), "{codec}");
            assert_eq!(record.value, Some(Bytes::from(format!("value {number} ").repeat(20))));
            assert_eq!(record.timestamp, Timestamp(1_700_000_000_000 + number), "{codec}");
            let header = &record.headers[0];
            assert_eq!(header.key, "number", "{codec}");
            assert_eq!(header.value, Some(Bytes::from(number.to_be_bytes().to_vec())), "{codec}");
        }
        consumer.close().await;
        producer.close().await;
    }
}

#[tokio::test]
async fn nulls_and_empties_stay_different() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "nulls", 1).await;
    let producer = producer(&client);
    let base = ProducerRecord { topic: topic.clone(), ..Default::default() };
    let empty = Some(Bytes::new());
    let sent = [
        base.clone(),
        ProducerRecord { key: empty.clone(), ..base.clone() },
        ProducerRecord { value: empty.clone(), ..base.clone() },
        ProducerRecord {
            headers: vec![("null".into(), None), ("empty".into(), empty), ("null".into(), None)],
            ..base
        },
    ];
    for record in &sent {
        producer.send(record.clone()).await.unwrap().await.unwrap();
    }
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 1)).await;
    for (sent, got) in sent.iter().zip(receive(&mut consumer, 4).await) {
        assert_eq!((&got.key, &got.value), (&sent.key, &sent.value));
        let headers: Vec<_> = got.headers.into_iter().map(|h| (h.key, h.value)).collect();
        let expected: Vec<_> = sent
            .headers
            .iter()
            .map(|(name, value)| (Bytes::copy_from_slice(name.as_bytes()), value.clone()))
            .collect();
        assert_eq!(headers, expected);
    }
}

#[tokio::test]
async fn a_hundred_thousand_records_are_in_order_in_each_partition() {
    let Some(client) = config() else { return };
    let count = 100_000_u32;
    let topic = topic(&client, "order", 4).await;
    let producer = producer(&client);
    for number in 0..count {
        let record = ProducerRecord::new(topic.clone(), number.to_be_bytes().to_vec())
            .with_partition((number % 4) as i32);
        producer.send(record).await.unwrap();
    }
    producer.flush().await.unwrap();
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 4)).await;
    let mut next: BTreeMap<i32, u32> = (0..4).map(|p| (p, p as u32)).collect();
    for record in receive(&mut consumer, count as usize).await {
        let expected = next.get_mut(&record.partition.0).unwrap();
        let number = u32::from_be_bytes(record.value.unwrap().as_ref().try_into().unwrap());
        assert_eq!(number, *expected);
        *expected += 4;
    }
    assert!(consumer.poll(Duration::from_millis(700)).await.unwrap().is_empty(), "nothing more");
}

#[tokio::test]
async fn every_kind_of_acknowledgement_works() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "acks", 1).await;
    for (acks, knows_offset) in [(Acks::None, false), (Acks::Leader, true), (Acks::All, true)] {
        let enable_idempotence = acks == Acks::All;
        let config =
            ProducerConfig { acks, enable_idempotence, ..ProducerConfig::new(client.clone()) };
        let producer = Producer::new(config).unwrap();
        let delivered =
            producer.send(ProducerRecord::new(topic.clone(), "x")).await.unwrap().await.unwrap();
        assert_eq!(delivered.offset.is_some(), knows_offset, "{acks:?}");
        producer.close().await;
    }
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 1)).await;
    receive(&mut consumer, 3).await;
}

#[tokio::test]
async fn keys_go_to_the_partition_that_kafkas_clients_choose() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "keys", 7).await;
    let producer = producer(&client);
    // The hashes are from the vectors of the Java client.
    for (key, hash) in [("21", -973_932_308), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        let record = ProducerRecord::new(topic.clone(), "x").with_key(key);
        let delivered = producer.send(record).await.unwrap().await.unwrap();
        assert_eq!(delivered.partition.partition.0, (hash & 0x7fff_ffff) % 7, "{key}");
    }
}

#[tokio::test]
async fn large_records_pass_and_too_large_ones_are_refused() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "large", 1).await;
    let producer = producer(&client);
    let large = vec![7_u8; 1_000_000];
    producer.send(ProducerRecord::new(topic.clone(), large.clone())).await.unwrap().await.unwrap();
    let refused = producer
        .send(ProducerRecord::new(topic.clone(), vec![0; 1_100_000]))
        .await
        .unwrap()
        .await
        .unwrap_err();
    assert!(matches!(refused, ProduceError::RecordTooLarge { .. }), "{refused}");
    // What the broker refuses: its limit is 1,048,588 bytes of a batch.
    let config =
        ProducerConfig { max_request_size: 4_000_000, ..ProducerConfig::new(client.clone()) };
    let generous = Producer::new(config).unwrap();
    let record = ProducerRecord::new(topic.clone(), vec![0; 2_000_000]);
    let refused = generous.send(record).await.unwrap().await.unwrap_err();
    let code = match refused {
        ProduceError::Refused(error) => error.code,
        other => panic!("{other}"),
    };
    assert_eq!(code, dohle_client::ErrorCode::MESSAGE_TOO_LARGE);
    // The refused batch had sequence numbers; those behind it must still be accepted.
    let after = generous.send(ProducerRecord::new(topic.clone(), "after")).await.unwrap().await;
    assert_eq!(after.unwrap().offset, Some(Offset(1)));
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 1)).await;
    assert_eq!(receive(&mut consumer, 1).await[0].value.as_deref(), Some(large.as_slice()));
}

#[tokio::test]
async fn a_consumer_goes_where_it_is_told() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "seek", 1).await;
    let producer = producer(&client);
    for number in 0..100_i64 {
        let record = ProducerRecord::new(topic.clone(), number.to_string())
            .with_timestamp(Timestamp(1_700_000_000_000 + number * 1_000));
        producer.send(record).await.unwrap();
        if number % 10 == 9 {
            producer.flush().await.unwrap();
        }
    }
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut consumer = reader(&client);
    consumer.assign([partition.clone()]).await;
    for (to, first) in [
        (SeekTo::Offset(Offset(42)), 42),
        (SeekTo::Beginning, 0),
        (SeekTo::Timestamp(1_700_000_055_500), 56),
        (SeekTo::Offset(Offset(99)), 99),
    ] {
        assert!(consumer.seek(&partition, to).await);
        assert_eq!(receive(&mut consumer, 1).await[0].offset, Offset(first), "{to:?}");
        assert_eq!(consumer.position(&partition).await, Some(Offset(first + 1)), "{to:?}");
    }
    assert!(consumer.seek(&partition, SeekTo::End).await);
    assert!(consumer.poll(Duration::from_millis(700)).await.unwrap().is_empty());
    producer.send(ProducerRecord::new(topic.clone(), "last")).await.unwrap().await.unwrap();
    assert_eq!(receive(&mut consumer, 1).await[0].offset, Offset(100));
    assert!(!consumer.seek(&TopicPartition::new("other", 0), SeekTo::End).await);
}

#[tokio::test]
async fn a_paused_partition_is_silent_until_it_is_resumed() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "pause", 2).await;
    let producer = producer(&client);
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 2)).await;
    let first = TopicPartition::new(topic.clone(), 0);
    consumer.pause([first.clone()]).await;
    for partition in 0..2 {
        let record = ProducerRecord::new(topic.clone(), "x").with_partition(partition);
        producer.send(record).await.unwrap().await.unwrap();
    }
    assert_eq!(receive(&mut consumer, 1).await[0].partition.0, 1);
    assert!(consumer.poll(Duration::from_millis(700)).await.unwrap().is_empty());
    consumer.resume([first]).await;
    assert_eq!(receive(&mut consumer, 1).await[0].partition.0, 0);
}

#[tokio::test]
async fn a_dropped_poll_loses_nothing() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "drop", 1).await;
    let producer = producer(&client);
    let mut consumer = reader(&client);
    consumer.assign(partitions(&topic, 1)).await;
    let mut received = Vec::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for number in 0..50_u32 {
        producer.send(ProducerRecord::new(topic.clone(), number.to_string())).await.unwrap();
        // Most of these end in the middle of a poll.
        if let Ok(record) = tokio::time::timeout(Duration::from_millis(3), consumer.recv()).await {
            received.push(record.unwrap().offset);
        }
        let _ = consumer.position(&TopicPartition::new(topic.clone(), 0)).await;
    }
    while received.len() < 50 && tokio::time::Instant::now() < deadline {
        received.extend(receive(&mut consumer, 1).await.iter().map(|record| record.offset));
    }
    assert_eq!(received, (0..50).map(Offset).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_an_offset_and_a_rule_the_application_is_told() {
    let Some(client) = config() else { return };
    let topic = topic(&client, "none", 1).await;
    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::None,
        isolation_level: IsolationLevel::ReadCommitted,
        ..ConsumerConfig::new(client.clone())
    };
    let mut consumer = Consumer::new(config).unwrap();
    let partition = TopicPartition::new(topic.clone(), 0);
    consumer.assign([partition.clone()]).await;
    let error = consumer.recv().await.unwrap_err();
    assert_eq!(error, dohle_client::ConsumeError::NoOffset { partition: partition.clone() });
    producer(&client).send(ProducerRecord::new(topic, "x")).await.unwrap().await.unwrap();
    assert!(consumer.seek(&partition, SeekTo::Beginning).await);
    assert_eq!(receive(&mut consumer, 1).await[0].offset, Offset(0));
    assert!(consumer.seek(&partition, SeekTo::Offset(Offset(1_000))).await);
    let error = consumer.recv().await.unwrap_err();
    let offset = Offset(1_000);
    assert_eq!(error, dohle_client::ConsumeError::OutOfRange { partition, offset });
}

#[tokio::test]
async fn a_topic_that_nobody_makes_is_reported_in_time() {
    let Some(client) = config() else { return };
    let record = ProducerRecord::new("not a name!", "x");
    let error = producer(&client).send(record).await.unwrap().await.unwrap_err();
    assert!(
        matches!(&error, ProduceError::Refused(refusal)
        if refusal.code == dohle_client::ErrorCode::INVALID_TOPIC_EXCEPTION),
        "{error}"
    );
    let config = ProducerConfig {
        max_block: Duration::from_millis(500),
        ..ProducerConfig::new(client.clone())
    };
    let producer = Producer::new(config).unwrap();
    let missing = topic(&client, "few", 1).await;
    let record = ProducerRecord::new(missing, "x").with_partition(9);
    let error = producer.send(record).await.unwrap().await.unwrap_err();
    assert!(matches!(error, ProduceError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_an_error_in_time() {
    let mut client = dohle_client::ClientConfig::parse("127.0.0.1:1").unwrap();
    client.api_timeout = Duration::from_millis(400);
    let admin = dohle_client::Admin::new(client.clone()).unwrap();
    let error = admin.list_topics().await.unwrap_err();
    assert_eq!(error, dohle_client::RequestError::TimedOut);
    let config =
        ProducerConfig { max_block: Duration::from_millis(400), ..ProducerConfig::new(client) };
    let producer = Producer::new(config).unwrap();
    let error = producer.send(ProducerRecord::new(unique("x"), "x")).await.unwrap().await;
    assert!(matches!(error, Err(ProduceError::NotFound { .. })), "{error:?}");
}
