//! Tiered storage.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Whether segments can be moved to remote storage at all.
    "remote.log.storage.system.enable": Boolean = false;

    /// The class that reads and writes remote storage.
    "remote.log.storage.manager.class.name": String, non_empty;

    /// Java class path of that class.
    "remote.log.storage.manager.class.path": String;

    /// Keys with this prefix are passed to that class.
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", non_empty;

    /// The class that keeps track of remote segments.
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        non_empty;

    /// Java class path of that class.
    "remote.log.metadata.manager.class.path": String;

    /// Keys with this prefix are passed to that class.
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", non_empty;

    /// The listener over which that class connects to its own broker.
    "remote.log.metadata.manager.listener.name": String, non_empty;

    /// The most that the storage class may attach to a segment.
    "remote.log.metadata.custom.metadata.max.bytes": Int = 128, at_least(0), low;

    /// How many bytes of remote segments' indexes are kept on local disk.
    "remote.log.index.file.cache.total.size.bytes": Long = 1_073_741_824, at_least(1), low,
        cluster_wide;

    /// After how long without use a kept index is dropped; -1 means never.
    "remote.log.index.file.cache.ttl.ms": Long = 900_000, at_least(-1), low, internal;

    /// An older name for `remote.log.manager.follower.thread.pool.size`.
    "remote.log.manager.thread.pool.size": Int = 2, at_least(1);

    /// Threads that find out, for followers, how far segments are copied.
    "remote.log.manager.follower.thread.pool.size": Int = 2, at_least(1), cluster_wide;

    /// Threads that copy segments to remote storage.
    "remote.log.manager.copier.thread.pool.size": Int = 10, at_least(1), cluster_wide;

    /// Threads that delete expired remote segments.
    "remote.log.manager.expiration.thread.pool.size": Int = 10, at_least(1), cluster_wide;

    /// How often copying and expiry of remote segments run.
    "remote.log.manager.task.interval.ms": Long = 30_000, at_least(1), low;

    /// The first pause after a failed remote task.
    "remote.log.manager.task.retry.backoff.ms": Long = 500, at_least(1), low, internal;

    /// The longest pause after failed remote tasks.
    "remote.log.manager.task.retry.backoff.max.ms": Long = 30_000, at_least(1), low, internal;

    /// How much those pauses vary at random.
    "remote.log.manager.task.retry.jitter": Double = 0.2, share(0.0, 0.5), low, internal;

    /// How many bytes a second the broker copies to remote storage.
    "remote.log.manager.copy.max.bytes.per.second": Long = i64::MAX, at_least(1), cluster_wide;

    /// How many samples of that limit are remembered.
    "remote.log.manager.copy.quota.window.num": Int = 11, at_least(1);

    /// How long a sample of that limit is.
    "remote.log.manager.copy.quota.window.size.seconds": Int = 1, at_least(1);

    /// How many bytes a second the broker reads from remote storage.
    "remote.log.manager.fetch.max.bytes.per.second": Long = i64::MAX, at_least(1), cluster_wide;

    /// How many samples of the limit on remote reads are remembered.
    "remote.log.manager.fetch.quota.window.num": Int = 11, at_least(1);

    /// How long a sample of the limit on remote reads is.
    "remote.log.manager.fetch.quota.window.size.seconds": Int = 1, at_least(1);

    /// Threads that read from remote storage.
    "remote.log.reader.threads": Int = 10, at_least(1), cluster_wide;

    /// How many remote reads may wait for a thread.
    "remote.log.reader.max.pending.tasks": Int = 100, at_least(1);

    /// How long a fetch waits for remote storage.
    "remote.fetch.max.wait.ms": Int = 500, at_least(1), cluster_wide;

    /// How long ListOffsets waits for remote storage.
    "remote.list.offsets.request.timeout.ms": Long = 30_000, at_least(1), cluster_wide;

    /// How long records stay on local disk once they are copied; -2 means as long as they are kept
    /// at all.
    "log.local.retention.ms": Long = -2, at_least(-2), cluster_wide;

    /// How many bytes stay on local disk once they are copied; -2 means as many as are kept at all.
    "log.local.retention.bytes": Long = -2, at_least(-2), cluster_wide;

    /// How old a closed segment must be before it is copied; 0 means at once, -1 as old as the
    /// local retention.
    "log.remote.copy.lag.ms": Long = 0, at_least(-1), cluster_wide;

    /// How much newer data a segment must have behind it before it is copied; 0 means none, -1 as
    /// much as the local retention.
    "log.remote.copy.lag.bytes": Long = -1, at_least(-1), cluster_wide;
};
