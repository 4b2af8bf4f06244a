//! Where records are stored and how their logs are cut, flushed, kept and deleted.

use crate::key::{ConfigKey, Synonym, hours, keys, minutes, same};

/// How long until a segment is closed, in the order in which the keys count.
const ROLL: &[Synonym] = &[same("log.roll.ms"), hours("log.roll.hours")];

/// How much of that time is taken off at random.
const ROLL_JITTER: &[Synonym] = &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")];

/// How long records are kept.
const RETENTION: &[Synonym] =
    &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")];

/// How long records may stay unsynced.
const FLUSH: &[Synonym] = &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")];

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// The directories of the data, when `log.dirs` is absent.
    "log.dir": List = "/tmp/kafka-logs", non_empty_list, high, used;

    /// The directories of the data.
    "log.dirs": List, non_empty_list_or_null, high, used;

    /// Directories that get no new replicas; `*` means all.
    "cordoned.log.dirs": List = "", any_list_or_null, per_broker, used;

    /// At which size a segment is closed and a new one begun.
    "log.segment.bytes": Int = 1_073_741_824, at_least(1_048_576), high, cluster_wide, used;

    /// At which age a segment is closed, even if it is not full; `log.roll.hours` if absent.
    "log.roll.ms": Long, high, cluster_wide, synonyms(ROLL), used;

    /// At which age a segment is closed, in hours; `log.roll.ms` goes before it.
    "log.roll.hours": Int = 168, at_least(1), high, synonyms(ROLL), used;

    /// The most that is taken at random off the age of a segment; `log.roll.jitter.hours` if
    /// absent.
    "log.roll.jitter.ms": Long, high, cluster_wide, synonyms(ROLL_JITTER), used;

    /// The most that is taken at random off the age of a segment, in hours; `log.roll.jitter.ms`
    /// goes before it.
    "log.roll.jitter.hours": Int = 0, at_least(0), high, synonyms(ROLL_JITTER), used;

    /// How long records are kept, -1 for ever; `log.retention.minutes` if absent.
    "log.retention.ms": Long, high, cluster_wide, synonyms(RETENTION), used;

    /// How long records are kept, in minutes; `log.retention.ms` goes before it,
    /// `log.retention.hours` stands in for it.
    "log.retention.minutes": Int, high, synonyms(RETENTION), used;

    /// How long records are kept, in hours; the other two units go before it.
    "log.retention.hours": Int = 168, high, synonyms(RETENTION), used;

    /// How many bytes of a partition are kept; -1 means no limit.
    "log.retention.bytes": Long = -1, high, cluster_wide, used;

    /// How often logs are searched for segments that may be deleted.
    "log.retention.check.interval.ms": Long = 300_000, at_least(1), used;

    /// What happens to old records: `delete` removes segments, `compact` keeps the latest record of
    /// each key.
    "log.cleanup.policy": List = "delete", list_of(&["compact", "delete"]), cluster_wide, used;

    /// How long a deleted segment's files stay on disk, renamed.
    "log.segment.delete.delay.ms": Long = 60_000, at_least(0), high, cluster_wide, used;

    /// The largest size of an offset or time index.
    "log.index.size.max.bytes": Int = 10_485_760, at_least(4), cluster_wide, used;

    /// After how many bytes of records an index gets an entry.
    "log.index.interval.bytes": Int = 4096, at_least(0), cluster_wide, used;

    /// After how many records Kafka syncs a log to disk. Dohle syncs each write before it is
    /// acknowledged; with `dohle.durability=os` it does so where this is set, whatever the number.
    "log.flush.interval.messages": Long = i64::MAX, at_least(1), high, cluster_wide, used;

    /// After how long Kafka syncs a log with new records to disk; `log.flush.scheduler.interval.ms` if
    /// absent. Dohle syncs each write before it is acknowledged; with `dohle.durability=os` it does so
    /// where this is set, whatever the number.
    "log.flush.interval.ms": Long, high, cluster_wide, synonyms(FLUSH), used;

    /// How often Kafka searches for logs that must be synced; for Dohle it stands in for
    /// `log.flush.interval.ms`.
    "log.flush.scheduler.interval.ms": Long = i64::MAX, high, used;

    /// How often the offsets up to which logs are synced are written down for recovery.
    "log.flush.offset.checkpoint.interval.ms": Int = 60_000, at_least(0), high;

    /// How often the start offsets of logs are written down.
    "log.flush.start.offset.checkpoint.interval.ms": Int = 60_000, at_least(0), high;

    /// Whether room for a whole segment is set aside on the disk with its first record, which waits
    /// for that; its file grows as it is written all the same.
    "log.preallocate": Boolean = false, cluster_wide, used;

    /// Whether a record carries the time of its producer or of its arrival.
    "log.message.timestamp.type": String = "CreateTime", one_of(&["CreateTime", "LogAppendTime"]),
        cluster_wide, used;

    /// How far a producer's timestamp may lie in the past.
    "log.message.timestamp.before.max.ms": Long = i64::MAX, at_least(0), cluster_wide, used;

    /// How far a producer's timestamp may lie in the future.
    "log.message.timestamp.after.max.ms": Long = 3_600_000, at_least(0), cluster_wide, used;

    /// After how long a broker exits that cannot report a failed log directory holding leaders.
    "log.dir.failure.timeout.ms": Long = 30_000, at_least(1), low;

    /// How long after start the first checks of logs run.
    "log.initial.task.delay.ms": Long = 30_000, at_least(0), low, internal, used;

    /// Threads per directory that open and recover logs at start and flush them at stop; all directories at
    /// the same time.
    "num.recovery.threads.per.data.dir": Int = 2, at_least(1), high, cluster_wide, used;

    /// How many replicas are copied to other directories at a time; by default as many as there are directories.
    "num.replica.alter.log.dirs.threads": Int, high, used;

    /// The largest batch of records that is accepted, after compression.
    "message.max.bytes": Int = 1_048_588, at_least(0), high, cluster_wide, used;

    /// The largest size of one record once it is decompressed.
    "max.decompressed.message.bytes": Int = 2_147_483_639, between(1, 2_147_483_639),
        cluster_wide, used;

    /// How batches are stored: recompressed with this codec, or as the producer sent them.
    "compression.type": String = "producer",
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), high, cluster_wide,
        used;

    /// Level for gzip, when the broker compresses with it; -1 is the library's own default.
    "compression.gzip.level": Int = -1, between_or(1, 9, -1), cluster_wide, used;

    /// Level for lz4, when the broker compresses with it.
    "compression.lz4.level": Int = 9, between(1, 17), cluster_wide, used;

    /// Level for zstd, when the broker compresses with it.
    "compression.zstd.level": Int = 3, between(-131_072, 22), cluster_wide, used;
};
