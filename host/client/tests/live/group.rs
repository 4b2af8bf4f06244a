//! Groups: sharing, committing, resuming.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dohle_client::{
    Assignor, CommitError, CommittedOffset, Consumer, ConsumerConfig, Offset, Polled,
    ProducerRecord, Str, TopicPartition,
};

use crate::broker::{
    PATIENCE, config, member_config, partitions, producer, receive, topic, unique,
};

async fn fill(client: &dohle_client::ClientConfig, topic: &Str, partitions: i32, each: usize) {
    let producer = producer(client);
    for partition in 0..partitions {
        for number in 0..each {
            let record = ProducerRecord::new(topic.clone(), number.to_string());
            producer.send(record.with_partition(partition)).await.unwrap();
        }
    }
    producer.close().await;
}

/// Polls until the consumer has exactly `count` partitions; other records are passed over.
async fn settle(consumer: &mut Consumer, count: usize) -> BTreeSet<TopicPartition> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let _ = consumer.poll(Duration::from_millis(100)).await.expect("the group takes us");
        let assignment = consumer.assignment().await;
        if assignment.len() == count {
            return assignment;
        }
        assert!(tokio::time::Instant::now() < deadline, "{assignment:?}, not {count}");
    }
}

/// Polls both, since a rebalance needs both, until each has exactly `count` partitions.
async fn settle_both(
    first: &mut Consumer,
    second: &mut Consumer,
    count: usize,
) -> (BTreeSet<TopicPartition>, BTreeSet<TopicPartition>) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let tick = Duration::from_millis(100);
        let (ours, theirs) = tokio::join!(first.poll(tick), second.poll(tick));
        ours.and(theirs).expect("the group takes us");
        let (a, b) = (first.assignment().await, second.assignment().await);
        if a.len() == count && b.len() == count {
            return (a, b);
        }
        assert!(tokio::time::Instant::now() < deadline, "{a:?} and {b:?}, not {count} each");
    }
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "resume", 1).await, unique("group"));
    fill(&client, &topic, 1, 100).await;
    let mut first = Consumer::new(member_config(&client, &group)).unwrap();
    first.subscribe([topic.clone()]).await.unwrap();
    assert_eq!(receive(&mut first, 40).await.last().unwrap().offset, Offset(39));
    // Only what was received counts, not what was fetched or handed out with it.
    first.commit().await.unwrap();
    receive(&mut first, 10).await;
    first.close().await;
    let mut second = Consumer::new(member_config(&client, &group)).unwrap();
    second.subscribe([topic.clone()]).await.unwrap();
    assert_eq!(receive(&mut second, 1).await[0].offset, Offset(40));
    second.close().await;
}

#[tokio::test]
async fn commits_are_made_without_being_asked() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "auto", 2).await, unique("group"));
    fill(&client, &topic, 2, 10).await;
    let config = ConsumerConfig { enable_auto_commit: true, ..member_config(&client, &group) };
    let mut first = Consumer::new(config.clone()).unwrap();
    first.subscribe([topic.clone()]).await.unwrap();
    receive(&mut first, 15).await;
    first.close().await;
    let mut second = Consumer::new(config).unwrap();
    second.subscribe([topic.clone()]).await.unwrap();
    receive(&mut second, 5).await;
    assert!(second.poll(Duration::from_millis(700)).await.unwrap().is_empty(), "nothing twice");
    second.close().await;
}

#[tokio::test]
async fn two_members_share_and_one_inherits() {
    let Some(client) = config() else { return };
    for assignor in Assignor::ALL {
        let (topic, group) = (topic(&client, "share", 4).await, unique("group"));
        fill(&client, &topic, 4, 5).await;
        let config = ConsumerConfig { assignors: vec![assignor], ..member_config(&client, &group) };
        let mut first = Consumer::new(config.clone()).unwrap();
        first.subscribe([topic.clone()]).await.unwrap();
        settle(&mut first, 4).await;
        let mut second = Consumer::new(config).unwrap();
        second.subscribe([topic.clone()]).await.unwrap();
        let (a, b) = settle_both(&mut first, &mut second, 2).await;
        let all: BTreeSet<_> = a.union(&b).cloned().collect();
        assert_eq!(all, partitions(&topic, 4).into_iter().collect(), "{}", assignor.name());
        second.close().await;
        settle(&mut first, 4).await;
        first.close().await;
    }
}

#[tokio::test]
async fn members_that_come_and_go_miss_nothing() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "churn", 6).await, unique("group"));
    fill(&client, &topic, 6, 500).await;
    let mut seen: BTreeSet<(i32, i64)> = BTreeSet::new();
    let config = ConsumerConfig {
        enable_auto_commit: true,
        max_poll_records: 100,
        assignors: vec![Assignor::CooperativeSticky],
        ..member_config(&client, &group)
    };
    let mut stayer = Consumer::new(config.clone()).unwrap();
    stayer.subscribe([topic.clone()]).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE * 2;
    let mut guests = 0;
    while seen.len() < 3_000 {
        assert!(tokio::time::Instant::now() < deadline, "{} of 3000", seen.len());
        let records = stayer.poll(Duration::from_millis(50)).await.unwrap();
        seen.extend(records.iter().map(|r| (r.partition.0, r.offset.0)));
        if guests < 3 && !records.is_empty() {
            guests += 1;
            let mut guest = Consumer::new(config.clone()).unwrap();
            guest.subscribe([topic.clone()]).await.unwrap();
            for _ in 0..20 {
                let (ours, theirs) = tokio::join!(
                    stayer.poll(Duration::from_millis(50)),
                    guest.poll(Duration::from_millis(50))
                );
                for record in ours.unwrap().iter().chain(&theirs.unwrap()) {
                    seen.insert((record.partition.0, record.offset.0));
                }
            }
            guest.close().await;
        }
    }
    stayer.close().await;
}

#[tokio::test]
async fn the_application_hears_what_it_gains_and_loses() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "news", 2).await, unique("group"));
    let config = ConsumerConfig {
        assignors: vec![Assignor::CooperativeSticky],
        ..member_config(&client, &group)
    };
    let mut first = Consumer::new(config.clone()).unwrap();
    first.subscribe([topic.clone()]).await.unwrap();
    let news = tokio::time::timeout(PATIENCE, first.next()).await.unwrap().unwrap();
    assert_eq!(news, Polled::Assigned(partitions(&topic, 2)));
    let mut second = Consumer::new(config).unwrap();
    second.subscribe([topic.clone()]).await.unwrap();
    let revoked = async {
        loop {
            if let Polled::Revoked(partitions) = first.next().await.unwrap() {
                return partitions;
            }
        }
    };
    let (revoked, _) = tokio::join!(
        async { tokio::time::timeout(PATIENCE, revoked).await.unwrap() },
        second.poll(Duration::from_millis(1))
    );
    assert_eq!(revoked.len(), 1);
    // What is being taken can still be committed.
    let offsets = BTreeMap::from([(revoked[0].clone(), CommittedOffset::new(0))]);
    first.commit_offsets(offsets).await.unwrap();
}

#[tokio::test]
async fn offsets_can_be_committed_without_membership() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "manual", 1).await, unique("group"));
    fill(&client, &topic, 1, 10).await;
    let mut first = Consumer::new(member_config(&client, &group)).unwrap();
    first.assign(partitions(&topic, 1)).await;
    receive(&mut first, 4).await;
    first.commit().await.unwrap();
    first.close().await;
    let mut second = Consumer::new(member_config(&client, &group)).unwrap();
    second.assign(partitions(&topic, 1)).await;
    assert_eq!(receive(&mut second, 1).await[0].offset, Offset(4));
    let mut alone = crate::broker::reader(&client);
    alone.assign(partitions(&topic, 1)).await;
    receive(&mut alone, 1).await;
    assert_eq!(alone.commit().await, Err(CommitError::NoGroup));
}

#[tokio::test]
async fn a_static_member_keeps_its_partitions_over_a_restart() {
    let Some(client) = config() else { return };
    let (topic, group) = (topic(&client, "static", 2).await, unique("group"));
    let config = ConsumerConfig {
        group_instance_id: Some("one".into()),
        // No session ends for it: nobody would wait for so long.
        session_timeout: PATIENCE * 4,
        ..member_config(&client, &group)
    };
    let mut first = Consumer::new(config.clone()).unwrap();
    first.subscribe([topic.clone()]).await.unwrap();
    let before = settle(&mut first, 2).await;
    first.close().await;
    let mut again = Consumer::new(config).unwrap();
    again.subscribe([topic.clone()]).await.unwrap();
    assert_eq!(settle(&mut again, 2).await, before);
    again.close().await;
}
