//! The configuration of one topic, resolved: its own settings over those of the broker.
//!
//! A topic key that the topic does not set takes the value of its broker synonyms, the first that
//! has one, converted to the topic's unit; without synonyms, its own default.

use std::collections::BTreeMap;

use dohle_base::Str;

use crate::check::parse_checked;
use crate::error::ConfigError;
use crate::key::ConfigKey;
use crate::keys::TOPIC;
use crate::settings::{NodeSettings, Settings};
use crate::value::Value;

/// How a topic's partitions are kept. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// Size at which a segment is closed.
    pub segment_bytes: i32,
    /// Age at which a segment is closed.
    pub segment_ms: i64,
    /// What is taken off that age at most, at random.
    pub segment_jitter_ms: i64,
    /// The largest size of an index.
    pub segment_index_bytes: i32,
    /// Bytes of records between two entries of an index.
    pub index_interval_bytes: i32,
    /// Whether room for a whole segment is set aside at once.
    pub preallocate: bool,
    /// Records after which the log is synced.
    pub flush_messages: i64,
    /// Time after which the log is synced.
    pub flush_ms: i64,
    /// Time that records are kept; none means for ever.
    pub retention_ms: Option<i64>,
    /// Bytes of a partition that are kept; none means all.
    pub retention_bytes: Option<i64>,
    /// What happens to old records.
    pub cleanup_policy: CleanupPolicy,
    /// Time that a deleted segment's files stay.
    pub file_delete_delay_ms: i64,
    /// How the log is compacted.
    pub compaction: Compaction,
    /// The largest batch that is accepted.
    pub max_message_bytes: i32,
    /// The largest size of one record when it is decompressed.
    pub max_decompressed_message_bytes: i32,
    /// How batches are stored.
    pub compression: TopicCompression,
    /// Whose time records carry.
    pub timestamp_type: TimestampType,
    /// How far a producer's timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// How far a producer's timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// Replicas that must be in sync for `acks=all`.
    pub min_insync_replicas: i32,
    /// Whether a replica that is not in sync may become leader.
    pub unclean_leader_election: bool,
    /// Replicas whose leader is throttled.
    pub leader_throttled: ThrottledReplicas,
    /// Replicas that are throttled as followers.
    pub follower_throttled: ThrottledReplicas,
    /// What goes to remote storage.
    pub tiering: Tiering,
    /// When a write is acknowledged.
    pub durability: Durability,
    /// How closely a produced batch is looked at.
    pub produce_validation: ProduceValidation,
}

/// What happens to old records; neither is allowed, and then nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// Only the latest record of each key is kept.
    pub compact: bool,
}

/// How a log is compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// Time that tombstones stay readable.
    pub delete_retention_ms: i64,
    /// Share of the log that must be uncleaned.
    pub min_cleanable_dirty_ratio: f64,
    /// Time that a record stays uncompacted at least.
    pub min_lag_ms: i64,
    /// Time that a record stays uncompacted at most.
    pub max_lag_ms: i64,
}

/// How batches are stored. Levels are those of the codec's library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// With gzip; −1 is the library's default level.
    Gzip(i32),
    /// With snappy.
    Snappy,
    /// With lz4.
    Lz4(i32),
    /// With zstd.
    Zstd(i32),
}

/// Whose time records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's, at arrival.
    LogAppendTime,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives a power cut.
    Disk,
    /// Once the operating system has it: it survives the end of the process only.
    Os,
}

impl Durability {
    /// The durability of that name, of which the table allows no other.
    pub(crate) fn of(name: &str) -> Self {
        if name == "os" { Self::Os } else { Self::Disk }
    }
}

/// How closely a produced batch is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceValidation {
    /// What is not compressed, and the checksum over all of it.
    Header,
    /// Every record too, decompressed.
    Records,
}

/// Replicas under a throttle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// All of the topic.
    All,
    /// Partition and broker of each.
    These(Vec<(i32, i32)>),
}

/// What goes to remote storage. Where a key says that another counts, it has been followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiering {
    /// Whether closed segments are copied.
    pub enabled: bool,
    /// Whether copying is stopped while what is there stays readable.
    pub copy_disabled: bool,
    /// Whether switching off deletes what is there.
    pub delete_on_disable: bool,
    /// Time that records stay on local disk; none means for ever.
    pub local_retention_ms: Option<i64>,
    /// Bytes that stay on local disk; none means all.
    pub local_retention_bytes: Option<i64>,
    /// Age of a segment that is copied; none if age does not count.
    pub copy_lag_ms: Option<i64>,
    /// Newer bytes behind a segment that is copied; none if they do not count.
    pub copy_lag_bytes: Option<i64>,
}

impl TopicConfig {
    /// Resolves the settings of a topic over those of the broker.
    ///
    /// # Errors
    /// A setting that is unknown or not valid. Whoever altered it was told, so the cause is
    /// another version; the log keeps the configuration that it has.
    pub fn resolve(node: &NodeSettings, topic: &Settings) -> Result<Self, ConfigError> {
        Ok(TopicValues::resolve(node, topic)?.typed())
    }

    /// What a segment's age limit is shortened by at most: what it is shortened by is less.
    pub fn segment_jitter_ms_max(&self) -> i64 {
        self.segment_jitter_ms.min(self.segment_ms)
    }

    /// The age at which a segment is closed: in a compacted log not later than its records must be
    /// compacted, because the open segment is never compacted.
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact && self.compaction.max_lag_ms > 0 {
            self.compaction.max_lag_ms.min(self.segment_ms)
        } else {
            self.segment_ms
        }
    }
}

/// Every topic key with its value, not null unless its default is.
#[derive(Clone, Debug)]
pub(crate) struct TopicValues {
    values: BTreeMap<&'static str, Option<Value>>,
}

impl TopicValues {
    pub(crate) fn resolve(node: &NodeSettings, topic: &Settings) -> Result<Self, ConfigError> {
        if let Some(name) = topic.keys().find(|name| TOPIC.get(name).is_none()) {
            return Err(ConfigError::Unknown {
                name: name.clone(),
                resource: "topic",
                nearest: TOPIC.nearest(name),
            });
        }
        let mut values = BTreeMap::new();
        for key in TOPIC.iter() {
            let value = match topic.get(key.name) {
                Some(text) => Some(parse_checked(key, text)?),
                None => inherited(node, key),
            };
            values.insert(key.name, value);
        }
        Ok(Self { values })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).and_then(Option::as_ref)
    }

    pub(crate) fn long(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Integer(i)) => *i,
            other => panic!("{name} is {other:?}, not an integer"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).unwrap_or_else(|_| panic!("{name} is not an INT"))
    }

    pub(crate) fn boolean(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Boolean(b)) => *b,
            other => panic!("{name} is {other:?}, not a BOOLEAN"),
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[Str] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            other => panic!("{name} is {other:?}, not a LIST"),
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            other => panic!("{name} is {other:?}, not text"),
        }
    }

    /// A number of which negative ones mean that there is no limit.
    fn limit(&self, name: &str) -> Option<i64> {
        Some(self.long(name)).filter(|limit| *limit >= 0)
    }

    fn typed(&self) -> TopicConfig {
        TopicConfig {
            segment_bytes: match self.get("internal.segment.bytes") {
                Some(_) => self.int("internal.segment.bytes"),
                None => self.int("segment.bytes"),
            },
            segment_ms: self.long("segment.ms"),
            segment_jitter_ms: self.long("segment.jitter.ms"),
            segment_index_bytes: self.int("segment.index.bytes"),
            index_interval_bytes: self.int("index.interval.bytes"),
            preallocate: self.boolean("preallocate"),
            flush_messages: self.long("flush.messages"),
            flush_ms: self.long("flush.ms"),
            retention_ms: self.limit("retention.ms"),
            retention_bytes: self.limit("retention.bytes"),
            cleanup_policy: CleanupPolicy {
                delete: self.list("cleanup.policy").iter().any(|policy| policy == "delete"),
                compact: self.list("cleanup.policy").iter().any(|policy| policy == "compact"),
            },
            file_delete_delay_ms: self.long("file.delete.delay.ms"),
            compaction: Compaction {
                delete_retention_ms: self.long("delete.retention.ms"),
                min_cleanable_dirty_ratio: match self.get("min.cleanable.dirty.ratio") {
                    Some(Value::Double(ratio)) => *ratio,
                    other => panic!("min.cleanable.dirty.ratio is {other:?}, not a DOUBLE"),
                },
                min_lag_ms: self.long("min.compaction.lag.ms"),
                max_lag_ms: self.long("max.compaction.lag.ms"),
            },
            max_message_bytes: self.int("max.message.bytes"),
            max_decompressed_message_bytes: self.int("max.decompressed.message.bytes"),
            compression: self.compression(),
            timestamp_type: match self.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: self.long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: self.long("message.timestamp.after.max.ms"),
            min_insync_replicas: self.int("min.insync.replicas"),
            unclean_leader_election: self.boolean("unclean.leader.election.enable"),
            leader_throttled: self.throttled("leader.replication.throttled.replicas"),
            follower_throttled: self.throttled("follower.replication.throttled.replicas"),
            tiering: self.tiering(),
            durability: Durability::of(self.text("dohle.durability")),
            produce_validation: match self.text("dohle.produce.validation") {
                "records" => ProduceValidation::Records,
                _ => ProduceValidation::Header,
            },
        }
    }

    fn compression(&self) -> TopicCompression {
        match self.text("compression.type") {
            "uncompressed" => TopicCompression::Uncompressed,
            "gzip" => TopicCompression::Gzip(self.int("compression.gzip.level")),
            "snappy" => TopicCompression::Snappy,
            "lz4" => TopicCompression::Lz4(self.int("compression.lz4.level")),
            "zstd" => TopicCompression::Zstd(self.int("compression.zstd.level")),
            _ => TopicCompression::Producer,
        }
    }

    fn throttled(&self, name: &str) -> ThrottledReplicas {
        let items = self.list(name);
        if items.iter().any(|item| item == "*") {
            return ThrottledReplicas::All;
        }
        // Pairs were checked to be digits; one that overflows names no replica.
        let pair = |item: &Str| {
            let (partition, broker) = item.split_once(':')?;
            Some((partition.parse().ok()?, broker.parse().ok()?))
        };
        ThrottledReplicas::These(items.iter().filter_map(pair).collect())
    }

    /// −2 of a local retention stands for the retention, −1 of a lag for the local retention.
    fn tiering(&self) -> Tiering {
        let local = |name, whole| match self.long(name) {
            -2 => self.limit(whole),
            other => Some(other).filter(|limit| *limit >= 0),
        };
        let local_retention_ms = local("local.retention.ms", "retention.ms");
        let local_retention_bytes = local("local.retention.bytes", "retention.bytes");
        let lag = |name, local: Option<i64>| match self.long(name) {
            -1 => local,
            other => Some(other),
        };
        Tiering {
            enabled: self.boolean("remote.storage.enable"),
            copy_disabled: self.boolean("remote.log.copy.disable"),
            delete_on_disable: self.boolean("remote.log.delete.on.disable"),
            local_retention_ms,
            local_retention_bytes,
            copy_lag_ms: lag("remote.copy.lag.ms", local_retention_ms),
            copy_lag_bytes: lag("remote.copy.lag.bytes", local_retention_bytes),
        }
    }
}

/// The value of a topic key that the topic does not set.
fn inherited(node: &NodeSettings, key: &ConfigKey) -> Option<Value> {
    for synonym in key.synonyms {
        match node.get(synonym.name).and_then(|resolved| resolved.value.clone()) {
            None => continue,
            Some(Value::Integer(i)) => {
                let converted = i.saturating_mul(synonym.factor);
                // Every negative time of retention means for ever.
                let is_forever = key.name == "retention.ms" && converted < 0;
                return Some(Value::Integer(if is_forever { -1 } else { converted }));
            }
            Some(other) => return Some(other),
        }
    }
    key.default.value()
}

#[cfg(test)]
mod tests;
