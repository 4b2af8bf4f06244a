//! What of a topic's configuration the log goes by.

use dohle_records::{Compression, TimestampType};

/// The settings of one log. They may change while it is open.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// A segment is rolled before it grows beyond this. `segment.bytes`.
    pub segment_bytes_max: u32,
    /// A segment is rolled when its records are older. `segment.ms`.
    pub segment_ms_max: i64,
    /// How much earlier than that at most, so that not all partitions roll at once: each segment by its
    /// own share. `segment.jitter.ms`.
    pub segment_jitter_ms_max: i64,
    /// What those shares are drawn from; the same as long as segments are not to have others.
    pub jitter_seed: u64,
    /// Whether room for a whole segment is set aside at once. `preallocate`.
    pub preallocate: bool,
    /// Bytes between two index entries. `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// The most bytes of an index. `segment.index.bytes`.
    pub segment_index_bytes_max: u32,
    /// The most bytes of a batch. `max.message.bytes`.
    pub message_bytes_max: u32,
    /// Whose clock stamps the records. `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// How much older than the log's clock a record may be. `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// How much younger. `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    /// How records are compressed on the disk. `compression.type`.
    pub compression: CompressionPolicy,
    /// Whether each record needs a key. `cleanup.policy` contains `compact`.
    pub compacted: bool,
    /// How long tombstones and transaction markers stay that a clean has found. `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// How long a record stays uncleaned at least. `min.compaction.lag.ms`.
    pub compaction_lag_ms_min: i64,
    /// How long at most. `max.compaction.lag.ms`.
    pub compaction_lag_ms_max: i64,
    /// The share of the log that has to be dirty before it is cleaned. `min.cleanable.dirty.ratio`.
    pub cleanable_ratio_min: f64,
    /// Producers that have written nothing for so long are forgotten. `producer.id.expiration.ms`.
    pub producer_expiration_ms: i64,
    /// A segment goes when its youngest record is older; `None` for ever. `retention.ms`, if
    /// `cleanup.policy` contains `delete`.
    pub retention_ms_max: Option<i64>,
    /// The oldest segments go while the log has as many bytes without them; `None` if bytes do not
    /// count. `retention.bytes`, if `cleanup.policy` contains `delete`.
    pub retention_bytes_max: Option<u64>,
    /// How long files stay that the log has done with. `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// Whether each record of a client's batch is looked at, though nothing else needs it.
    /// `dohle.produce.validation=records`.
    pub checks_records: bool,
    /// The most bytes that a batch may have decompressed, where it must be looked into.
    /// `max.decompressed.message.bytes`.
    pub decompressed_bytes_max: usize,
}

/// How records are compressed on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CompressionPolicy {
    /// As the producer sent them.
    #[default]
    Producer,
    /// With this codec and level: batches of another codec are built anew.
    Fixed(Compression),
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes_max: 1 << 30,
            segment_ms_max: 7 * 24 * 60 * 60 * 1_000,
            segment_jitter_ms_max: 0,
            jitter_seed: 0,
            preallocate: false,
            index_interval_bytes: 4_096,
            segment_index_bytes_max: 10 << 20,
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::Create,
            timestamp_before_ms_max: i64::MAX,
            timestamp_after_ms_max: 60 * 60 * 1_000,
            compression: CompressionPolicy::Producer,
            compacted: false,
            delete_retention_ms: 24 * 60 * 60 * 1_000,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: i64::MAX,
            cleanable_ratio_min: 0.5,
            producer_expiration_ms: 24 * 60 * 60 * 1_000,
            retention_ms_max: Some(7 * 24 * 60 * 60 * 1_000),
            retention_bytes_max: None,
            file_delete_delay_ms: 60_000,
            checks_records: false,
            decompressed_bytes_max: dohle_records::DECOMPRESSED_SIZE_MAX,
        }
    }
}
