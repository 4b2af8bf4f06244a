//! From a topic's settings to what its log goes by.

use dohle_base::Str;
use dohle_config::{
    Durability, NodeSettings, ProduceValidation, Settings, TimestampType, TopicCompression,
    TopicConfig,
};
use dohle_log::{CompressionPolicy, LogConfig};
use dohle_metadata::{ConfigResource, MetadataImage};
use dohle_records::{Codec, Compression};
use dohle_replication::CommitRule;
use tracing::warn;

/// The settings of a resource, as text.
pub(crate) fn settings_of(image: &MetadataImage, resource: &ConfigResource) -> Settings {
    let configs = image.configs_of(resource).into_iter().flatten();
    configs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A topic's configuration. One that another version wrote and that is not valid here counts as if
/// nothing was set, with a warning: the topic must be served all the same.
pub(crate) fn resolve(node: &NodeSettings, image: &MetadataImage, topic: &Str) -> TopicConfig {
    let settings = settings_of(image, &ConfigResource::topic(topic.clone()));
    TopicConfig::resolve(node, &settings).unwrap_or_else(|error| {
        warn!(%topic, "its configuration is passed over: {error}");
        TopicConfig::resolve(node, &Settings::new()).expect("the broker's own values are valid")
    })
}

/// When what is appended to one of the topic's partitions is committed. One whose topic asks for
/// flushes of its own is not less durable than that.
pub(crate) fn commit_rule(topic: &TopicConfig) -> CommitRule {
    let is_flushed = topic.flush_messages < i64::MAX || topic.flush_ms < i64::MAX;
    match topic.durability {
        Durability::Os if !is_flushed => CommitRule::Written,
        Durability::Os | Durability::Disk => CommitRule::Synced,
    }
}

/// How long after their last write partitions forget producers.
pub(crate) fn producer_expiration_ms(node: &NodeSettings) -> i64 {
    i64::from(node.int("producer.id.expiration.ms"))
}

/// What the log of one of the topic's partitions goes by. `jitter_seed` is the node's.
pub(crate) fn log_config(
    topic: &TopicConfig,
    producer_expiration_ms: i64,
    jitter_seed: u64,
) -> LogConfig {
    let unsigned = |value: i32| u32::try_from(value).unwrap_or(0);
    LogConfig {
        segment_bytes_max: unsigned(topic.segment_bytes),
        segment_ms_max: topic.segment_ms_max(),
        segment_jitter_ms_max: topic.segment_jitter_ms_max(),
        jitter_seed,
        preallocate: topic.preallocate,
        index_interval_bytes: unsigned(topic.index_interval_bytes),
        segment_index_bytes_max: unsigned(topic.segment_index_bytes),
        message_bytes_max: unsigned(topic.max_message_bytes),
        timestamp_type: match topic.timestamp_type {
            TimestampType::CreateTime => dohle_records::TimestampType::Create,
            TimestampType::LogAppendTime => dohle_records::TimestampType::LogAppend,
        },
        timestamp_before_ms_max: topic.timestamp_before_max_ms,
        timestamp_after_ms_max: topic.timestamp_after_max_ms,
        compression: compression(topic.compression),
        compacted: topic.cleanup_policy.compact,
        delete_retention_ms: topic.compaction.delete_retention_ms,
        compaction_lag_ms_min: topic.compaction.min_lag_ms,
        compaction_lag_ms_max: topic.compaction.max_lag_ms,
        cleanable_ratio_min: topic.compaction.min_cleanable_dirty_ratio,
        producer_expiration_ms,
        retention_ms_max: topic.retention_ms.filter(|_| topic.cleanup_policy.delete),
        retention_bytes_max: topic
            .retention_bytes
            .filter(|_| topic.cleanup_policy.delete)
            .and_then(|bytes| u64::try_from(bytes).ok()),
        file_delete_delay_ms: topic.file_delete_delay_ms,
        checks_records: topic.produce_validation == ProduceValidation::Records,
        decompressed_bytes_max: usize::try_from(topic.max_decompressed_message_bytes)
            .unwrap_or(usize::MAX),
    }
}

fn compression(topic: TopicCompression) -> CompressionPolicy {
    let (codec, level) = match topic {
        TopicCompression::Producer => return CompressionPolicy::Producer,
        TopicCompression::Uncompressed => return CompressionPolicy::Fixed(Compression::NONE),
        TopicCompression::Snappy => return CompressionPolicy::Fixed(Codec::Snappy.into()),
        TopicCompression::Gzip(level) => (Codec::Gzip, level),
        TopicCompression::Lz4(level) => (Codec::Lz4, level),
        TopicCompression::Zstd(level) => (Codec::Zstd, level),
    };
    let with_level = Compression::with_level(codec, level);
    CompressionPolicy::Fixed(with_level.unwrap_or_else(|_| codec.into()))
}
