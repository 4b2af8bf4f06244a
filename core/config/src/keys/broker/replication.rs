//! How followers copy from leaders, and when they count as in sync.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// After how long without catching up a follower leaves the in-sync set.
    "replica.lag.time.max.ms": Long = 30_000, high;

    /// How long a leader holds a follower's fetch that finds nothing new.
    "replica.fetch.wait.max.ms": Int = 500, high;

    /// How many bytes a follower's fetch waits for.
    "replica.fetch.min.bytes": Int = 1, high;

    /// How many bytes of one partition a follower's fetch asks for; a larger first batch still
    /// comes.
    "replica.fetch.max.bytes": Int = 1_048_576, at_least(0);

    /// How many bytes a follower's whole fetch asks for; a larger first batch still comes.
    "replica.fetch.response.max.bytes": Int = 10_485_760, at_least(0);

    /// How long a follower waits after a failed fetch of a partition.
    "replica.fetch.backoff.ms": Int = 1000, at_least(0);

    /// Connections over which a follower fetches from each leader.
    "num.replica.fetchers": Int = 1, at_least(1), high, cluster_wide;

    /// How long after a change a log directory is flushed and its checkpoints are written: high
    /// watermarks, recovery points and log starts. At least 100 ms.
    "replica.high.watermark.checkpoint.interval.ms": Long = 5000, high, used;

    /// How long a follower waits for an answer from its leader.
    "replica.socket.timeout.ms": Int = 30_000, high;

    /// SO_RCVBUF of a follower's connection to its leader.
    "replica.socket.receive.buffer.bytes": Int = 65_536, high;

    /// A class that chooses which replica a consumer reads from.
    "replica.selector.class": String;

    /// Whether a new follower starts at the end of what is in remote storage, instead of the log's
    /// start.
    "follower.fetch.last.tiered.offset.enable": Boolean = false, cluster_wide;

    /// Whether the controller gives leaderships back to preferred replicas by itself.
    "auto.leader.rebalance.enable": Boolean = true, high;

    /// How often the controller looks for partitions whose leader is not the preferred replica.
    "leader.imbalance.check.interval.seconds": Long = 300, at_least(1), high;

    /// How many bytes the answer to one fetch may hold.
    "fetch.max.bytes": Int = 57_671_680, at_least(1024), used;

    /// How many incremental fetch sessions a broker remembers, and never more than 250,000 partitions
    /// in all of them; who finds no room fetches without one.
    "max.incremental.fetch.session.cache.slots": Int = 1000, at_least(0), used;

    /// How many finished waiting fetches may pile up before they are swept out.
    "fetch.purgatory.purge.interval.requests": Int = 1000;

    /// How many finished waiting produce requests may pile up before they are swept out.
    "producer.purgatory.purge.interval.requests": Int = 1000;

    /// How many finished waiting DeleteRecords requests may pile up before they are swept out.
    "delete.records.purgatory.purge.interval.requests": Int = 1;

    /// How many finished waiting share fetches may pile up before they are swept out.
    "share.fetch.purgatory.purge.interval.requests": Int = 1000;
};
