//! What can be set for one topic.

use crate::key::{ConfigKey, hours, keys, minutes, same};

pub(super) const KEYS: &[ConfigKey] = keys! {
    scope: Resource;

    /// At which size a segment is closed and a new one begun.
    "segment.bytes": Int = 1_073_741_824, at_least(1_048_576),
        synonyms(&[same("log.segment.bytes")]), used;

    /// At which age a segment is closed, even if it is not full.
    "segment.ms": Long = 604_800_000, at_least(1),
        synonyms(&[same("log.roll.ms"), hours("log.roll.hours")]), used;

    /// The most that is taken at random off the age of a segment, so that not all close at once.
    "segment.jitter.ms": Long = 0, at_least(0),
        synonyms(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]), used;

    /// The largest size of an offset or time index.
    "segment.index.bytes": Int = 10_485_760, at_least(4),
        synonyms(&[same("log.index.size.max.bytes")]), used;

    /// Size of a segment, below the limit of the public key; for tests.
    "internal.segment.bytes": Int, internal, used;

    /// After how many bytes of records an index gets an entry.
    "index.interval.bytes": Int = 4096, at_least(0), synonyms(&[same("log.index.interval.bytes")]),
        used;

    /// After how many records Kafka syncs the log to disk. Dohle syncs each write before it is
    /// acknowledged; with `dohle.durability=os` it does so where this is set, whatever the number.
    "flush.messages": Long = i64::MAX, at_least(1),
        synonyms(&[same("log.flush.interval.messages")]), used;

    /// After how long Kafka syncs a log with new records to disk. Dohle syncs each write before it is
    /// acknowledged; with `dohle.durability=os` it does so where this is set, whatever the number.
    "flush.ms": Long = i64::MAX, at_least(0),
        synonyms(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]), used;

    /// Whether room for a whole segment is set aside on the disk with its first record, which waits
    /// for that; its file grows as it is written all the same.
    "preallocate": Boolean = false, synonyms(&[same("log.preallocate")]), used;

    /// How long records are kept; -1 means for ever.
    "retention.ms": Long = 604_800_000, at_least(-1),
        synonyms(&[
            same("log.retention.ms"),
            minutes("log.retention.minutes"),
            hours("log.retention.hours")
        ]), used;

    /// How many bytes of a partition are kept; -1 means no limit.
    "retention.bytes": Long = -1, synonyms(&[same("log.retention.bytes")]), used;

    /// What happens to old records: `delete` removes segments, `compact` keeps the latest record of
    /// each key.
    "cleanup.policy": List = "delete", list_of(&["compact", "delete"]),
        synonyms(&[same("log.cleanup.policy")]), used;

    /// How long a deleted segment's files stay on disk, renamed.
    "file.delete.delay.ms": Long = 60_000, at_least(0),
        synonyms(&[same("log.segment.delete.delay.ms")]), used;

    /// How long tombstones and transaction markers stay readable in a compacted log.
    "delete.retention.ms": Long = 86_400_000, at_least(0),
        synonyms(&[same("log.cleaner.delete.retention.ms")]), used;

    /// Which share of the log must be uncleaned before it is worth a pass of the cleaner.
    "min.cleanable.dirty.ratio": Double = 0.5, share(0.0, 1.0),
        synonyms(&[same("log.cleaner.min.cleanable.ratio")]), used;

    /// How long a record stays uncompacted at least.
    "min.compaction.lag.ms": Long = 0, at_least(0),
        synonyms(&[same("log.cleaner.min.compaction.lag.ms")]), used;

    /// How long a record stays uncompacted at most.
    "max.compaction.lag.ms": Long = i64::MAX, at_least(1),
        synonyms(&[same("log.cleaner.max.compaction.lag.ms")]), used;

    /// The largest batch of records that is accepted, after compression.
    "max.message.bytes": Int = 1_048_588, at_least(0), synonyms(&[same("message.max.bytes")]), used;

    /// The largest size of one record once it is decompressed.
    "max.decompressed.message.bytes": Int = 2_147_483_639, between(1, 2_147_483_639),
        synonyms(&[same("max.decompressed.message.bytes")]), used;

    /// How batches are stored: recompressed with this codec, or as the producer sent them.
    "compression.type": String = "producer",
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        synonyms(&[same("compression.type")]), used;

    /// Level for gzip, when the broker compresses with it; -1 is the library's own default.
    "compression.gzip.level": Int = -1, between_or(1, 9, -1),
        synonyms(&[same("compression.gzip.level")]), used;

    /// Level for lz4, when the broker compresses with it.
    "compression.lz4.level": Int = 9, between(1, 17), synonyms(&[same("compression.lz4.level")]),
        used;

    /// Level for zstd, when the broker compresses with it.
    "compression.zstd.level": Int = 3, between(-131_072, 22),
        synonyms(&[same("compression.zstd.level")]), used;

    /// Whether a record carries the time of its producer or of its arrival.
    "message.timestamp.type": String = "CreateTime", one_of(&["CreateTime", "LogAppendTime"]),
        synonyms(&[same("log.message.timestamp.type")]), used;

    /// How far a producer's timestamp may lie in the past.
    "message.timestamp.before.max.ms": Long = i64::MAX, at_least(0),
        synonyms(&[same("log.message.timestamp.before.max.ms")]), used;

    /// How far a producer's timestamp may lie in the future.
    "message.timestamp.after.max.ms": Long = 3_600_000, at_least(0),
        synonyms(&[same("log.message.timestamp.after.max.ms")]), used;

    /// How many replicas must be in sync, if there are so many, for a write with `acks=all` to be
    /// accepted. Dohle refuses it too where another broker than itself is in sync: that would not get it.
    "min.insync.replicas": Int = 1, at_least(1), synonyms(&[same("min.insync.replicas")]), used;

    /// Whether a replica that is not in sync may become leader when no other is left, losing
    /// records.
    "unclean.leader.election.enable": Boolean = false,
        synonyms(&[same("unclean.leader.election.enable")]), used;

    /// Replicas whose leaders send no faster than the throttle, as `PARTITION:BROKER` pairs, or
    /// `*`.
    "leader.replication.throttled.replicas": List = "", throttled_replicas;

    /// Replicas that fetch no faster than the throttle, as `PARTITION:BROKER` pairs, or `*`.
    "follower.replication.throttled.replicas": List = "", throttled_replicas;

    /// Whether closed segments are copied to remote storage.
    "remote.storage.enable": Boolean = false;

    /// How long records stay on local disk once they are copied; -2 means as long as
    /// `retention.ms`.
    "local.retention.ms": Long = -2, at_least(-2), synonyms(&[same("log.local.retention.ms")]);

    /// How many bytes stay on local disk once they are copied; -2 means as many as
    /// `retention.bytes`.
    "local.retention.bytes": Long = -2, at_least(-2),
        synonyms(&[same("log.local.retention.bytes")]);

    /// How old a closed segment must be before it is copied; 0 means at once, -1 as old as the
    /// local retention.
    "remote.copy.lag.ms": Long = 0, at_least(-1), synonyms(&[same("log.remote.copy.lag.ms")]);

    /// How much newer data a segment must have behind it before it is copied; 0 means none, -1 as
    /// much as the local retention.
    "remote.copy.lag.bytes": Long = -1, at_least(-1),
        synonyms(&[same("log.remote.copy.lag.bytes")]);

    /// Whether copying to remote storage is stopped while what is there stays readable.
    "remote.log.copy.disable": Boolean = false;

    /// Whether switching remote storage off deletes what is there.
    "remote.log.delete.on.disable": Boolean = false;

    /// Whether share groups may use this topic for undeliverable records.
    "errors.deadletterqueue.group.enable": Boolean = false;
};
