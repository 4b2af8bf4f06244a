//! The broker under test, and things of its that a test makes for itself.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dohle_client::{
    Admin, ClientConfig, Consumer, ConsumerConfig, ConsumerRecord, NewTopic, OffsetReset, Producer,
    ProducerConfig, Str, TopicPartition,
};

/// How long anything may take that the broker should do at once: several times as long as a busy disk needs for a
/// sync.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The broker, or `None` after saying so.
pub(crate) fn config() -> Option<ClientConfig> {
    let Ok(servers) = std::env::var("DOHLE_TEST_BOOTSTRAP") else {
        println!("SKIPPED: set DOHLE_TEST_BOOTSTRAP=host:port to test against a broker");
        return None;
    };
    Some(ClientConfig::parse(&servers).expect("DOHLE_TEST_BOOTSTRAP is host:port"))
}

/// A name that no other test and no other run has.
pub(crate) fn unique(prefix: &str) -> Str {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("{prefix}-{since_1970}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
        .into()
}

/// A topic of the test's own.
pub(crate) async fn topic(config: &ClientConfig, prefix: &str, partitions: i32) -> Str {
    let name = unique(prefix);
    let admin = Admin::new(config.clone()).unwrap();
    // Tests send records with times of long ago.
    let new = NewTopic::new(name.clone(), partitions, 1).with_config("retention.ms", "-1");
    let made = admin.create_topics(&[new], false).await;
    for (_, outcome) in made.expect("create topics is answered") {
        outcome.expect("the topic is made");
    }
    name
}

pub(crate) fn partitions(topic: &Str, count: i32) -> Vec<TopicPartition> {
    (0..count).map(|number| TopicPartition::new(topic.clone(), number)).collect()
}

pub(crate) fn producer(config: &ClientConfig) -> Producer {
    Producer::new(ProducerConfig::new(config.clone())).unwrap()
}

/// Reads from the start, without a group.
pub(crate) fn reader(config: &ClientConfig) -> Consumer {
    let auto_offset_reset = OffsetReset::Earliest;
    Consumer::new(ConsumerConfig { auto_offset_reset, ..ConsumerConfig::new(config.clone()) })
        .unwrap()
}

/// Reads from the start as a member of `group`, committing only when told.
pub(crate) fn member_config(config: &ClientConfig, group: &Str) -> ConsumerConfig {
    ConsumerConfig {
        group_id: Some(group.clone()),
        auto_offset_reset: OffsetReset::Earliest,
        enable_auto_commit: false,
        heartbeat_interval: Duration::from_millis(300),
        // No test waits for the end of a session.
        session_timeout: Duration::from_secs(60),
        ..ConsumerConfig::new(config.clone())
    }
}

/// Looks until there is something to see: what the controller decided reaches brokers a moment later.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "not seen after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Receives `count` records, or fails.
pub(crate) async fn receive(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::new();
    let all = async {
        while records.len() < count {
            records.push(consumer.recv().await.expect("records can be received"));
        }
    };
    if tokio::time::timeout(PATIENCE, all).await.is_err() {
        panic!("{} of {count} records after {PATIENCE:?}", records.len());
    }
    records
}
