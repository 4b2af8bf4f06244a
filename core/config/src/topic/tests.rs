//! Goal: a topic's configuration is its own settings over the broker's, in its own units.

use super::*;
use crate::settings::tests::{node_with, settings};

fn resolve(file: &str, topic: &[&str]) -> TopicConfig {
    TopicConfig::resolve(&node_with(file), &settings(topic)).expect("valid")
}

#[test]
fn defaults_are_those_of_kafka() {
    let topic = resolve("", &[]);
    assert_eq!(topic.segment_bytes, 1 << 30);
    assert_eq!(topic.segment_ms, 7 * 86_400_000);
    assert_eq!(topic.segment_jitter_ms, 0);
    assert_eq!(topic.segment_index_bytes, 10 << 20);
    assert_eq!(topic.index_interval_bytes, 4096);
    assert_eq!(topic.retention_ms, Some(7 * 86_400_000));
    assert_eq!(topic.retention_bytes, None);
    assert_eq!(topic.cleanup_policy, CleanupPolicy { delete: true, compact: false });
    assert_eq!((topic.flush_messages, topic.flush_ms), (i64::MAX, i64::MAX));
    assert_eq!(topic.max_message_bytes, 1_048_588);
    assert_eq!(topic.compression, TopicCompression::Producer);
    assert_eq!(topic.timestamp_type, TimestampType::CreateTime);
    assert_eq!(
        (topic.timestamp_before_max_ms, topic.timestamp_after_max_ms),
        (i64::MAX, 3_600_000)
    );
    assert_eq!(topic.min_insync_replicas, 1);
    assert_eq!(topic.leader_throttled, ThrottledReplicas::These(vec![]));
    assert_eq!(topic.tiering.local_retention_ms, topic.retention_ms);
    assert_eq!(topic.tiering.copy_lag_ms, Some(0));
    assert_eq!(topic.tiering.copy_lag_bytes, None);
}

#[test]
fn the_strongest_unit_counts_and_is_converted() {
    let retention = |file| resolve(file, &[]).retention_ms;
    assert_eq!(retention("log.retention.hours=2\n"), Some(7_200_000));
    assert_eq!(retention("log.retention.hours=2\nlog.retention.minutes=5\n"), Some(300_000));
    assert_eq!(retention("log.retention.minutes=5\nlog.retention.ms=7\n"), Some(7));
    assert_eq!(retention("log.retention.ms=-1\n"), None);
    assert_eq!(retention("log.retention.hours=-3\n"), None);
    assert_eq!(resolve("log.roll.hours=1\nlog.roll.jitter.hours=2\n", &[]).segment_ms, 3_600_000);
    assert_eq!(resolve("log.roll.jitter.hours=2\n", &[]).segment_jitter_ms, 7_200_000);
    assert_eq!(resolve("log.flush.scheduler.interval.ms=9\n", &[]).flush_ms, 9);
    assert_eq!(resolve("log.retention.hours=2\n", &["retention.ms=1"]).retention_ms, Some(1));
}

#[test]
fn own_settings_count_before_those_of_the_broker() {
    let file = "log.segment.bytes=2097152\ncompression.type=gzip\ncompression.gzip.level=3\n";
    let topic = resolve(file, &[]);
    assert_eq!(topic.segment_bytes, 2_097_152);
    assert_eq!(topic.compression, TopicCompression::Gzip(3));
    let topic = resolve(
        file,
        &[
            "segment.bytes=1048576",
            "compression.type=zstd",
            "cleanup.policy=compact",
            "message.timestamp.type=LogAppendTime",
            "leader.replication.throttled.replicas=*",
            "follower.replication.throttled.replicas=0:1, 2:3",
        ],
    );
    assert_eq!(topic.segment_bytes, 1_048_576);
    assert_eq!(topic.compression, TopicCompression::Zstd(3));
    assert_eq!(topic.cleanup_policy, CleanupPolicy { delete: false, compact: true });
    assert_eq!(topic.timestamp_type, TimestampType::LogAppendTime);
    assert_eq!(topic.leader_throttled, ThrottledReplicas::All);
    assert_eq!(topic.follower_throttled, ThrottledReplicas::These(vec![(0, 1), (2, 3)]));
    assert_eq!(resolve("", &["internal.segment.bytes=100"]).segment_bytes, 100);
}

#[test]
fn dynamic_settings_of_the_broker_count_too() {
    let node = node_with("log.retention.ms=5\n");
    let (node, _) = node.with_dynamic(&settings(&["log.retention.ms=6"]), &Settings::new());
    let topic = TopicConfig::resolve(&node, &Settings::new()).expect("valid");
    assert_eq!(topic.retention_ms, Some(6));
}

#[test]
fn local_limits_follow_the_whole_unless_they_are_set() {
    let topic = resolve("", &["retention.ms=100", "retention.bytes=50"]);
    assert_eq!(topic.tiering.local_retention_ms, Some(100));
    assert_eq!(topic.tiering.local_retention_bytes, Some(50));
    assert_eq!(topic.tiering.copy_lag_bytes, Some(50));
    let topic =
        resolve("", &["retention.ms=100", "local.retention.ms=20", "remote.copy.lag.ms=-1"]);
    assert_eq!(topic.tiering.local_retention_ms, Some(20));
    assert_eq!(topic.tiering.copy_lag_ms, Some(20));
    let topic = resolve("", &["retention.ms=-1", "local.retention.ms=-1"]);
    assert_eq!(topic.tiering.local_retention_ms, None);
}

#[test]
fn a_compacted_log_closes_its_segment_in_time_for_compaction() {
    assert_eq!(resolve("", &["segment.ms=50", "max.compaction.lag.ms=20"]).segment_ms_max(), 50);
    let compact = ["cleanup.policy=compact", "segment.ms=50", "max.compaction.lag.ms=20"];
    assert_eq!(resolve("", &compact).segment_ms_max(), 20);
}

#[test]
fn jitter_stays_below_its_limit() {
    assert_eq!(resolve("", &[]).segment_jitter_ms_max(), 0);
    assert_eq!(resolve("", &["segment.jitter.ms=10"]).segment_jitter_ms_max(), 10);
    assert_eq!(resolve("", &["segment.jitter.ms=10", "segment.ms=4"]).segment_jitter_ms_max(), 4);
}

#[test]
fn settings_of_another_version_are_faults() {
    let node = node_with("");
    for setting in ["future.key=1", "segment.bytes=1", "segment.ms=soon"] {
        let fault = TopicConfig::resolve(&node, &settings(&[setting])).expect_err(setting);
        assert!(setting.starts_with(fault.key()));
    }
}

#[test]
fn our_own_keys_are_inherited_and_checked_like_the_others() {
    let topic = resolve("", &[]);
    assert_eq!(topic.durability, Durability::Disk);
    assert_eq!(topic.produce_validation, ProduceValidation::Header);
    let file = "dohle.durability=os\ndohle.produce.validation=records\n";
    let topic = resolve(file, &[]);
    assert_eq!(topic.durability, Durability::Os);
    assert_eq!(topic.produce_validation, ProduceValidation::Records);
    let topic = resolve(file, &["dohle.durability=disk", "dohle.produce.validation=header"]);
    assert_eq!(topic.durability, Durability::Disk);
    assert_eq!(topic.produce_validation, ProduceValidation::Header);
    let fault = TopicConfig::resolve(&node_with(""), &settings(&["dohle.durability=ram"]));
    let fault = fault.expect_err("not one of the two").to_string();
    assert_eq!(fault, "dohle.durability = ram: must be one of disk, os");
}
