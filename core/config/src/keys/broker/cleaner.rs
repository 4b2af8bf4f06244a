//! The cleaner, which compacts logs.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Whether the cleaner runs; without it compacted topics grow without bound.
    "log.cleaner.enable": Boolean = true, used;

    /// Threads that clean.
    "log.cleaner.threads": Int = 1, at_least(0), cluster_wide, used;

    /// How many bytes a second the cleaner reads and writes at most.
    "log.cleaner.io.max.bytes.per.second": Double = f64::MAX, cluster_wide, used;

    /// Memory for the map of keys, for all cleaner threads together.
    "log.cleaner.dedupe.buffer.size": Long = 134_217_728, cluster_wide, used;

    /// Memory for reading and writing, for all cleaner threads together.
    "log.cleaner.io.buffer.size": Int = 524_288, at_least(0), cluster_wide, used;

    /// How full the map of keys may get before a pass stops.
    "log.cleaner.io.buffer.load.factor": Double = 0.9, cluster_wide, used;

    /// How long the cleaner sleeps when no log needs it.
    "log.cleaner.backoff.ms": Long = 15_000, at_least(0), cluster_wide, used;

    /// Which share of a log must be uncleaned before it is worth a pass.
    "log.cleaner.min.cleanable.ratio": Double = 0.5, share(0.0, 1.0), cluster_wide, used;

    /// How long tombstones and transaction markers stay readable in a compacted log.
    "log.cleaner.delete.retention.ms": Long = 86_400_000, at_least(0), cluster_wide, used;

    /// How long a record stays uncompacted at least.
    "log.cleaner.min.compaction.lag.ms": Long = 0, at_least(0), cluster_wide, used;

    /// How long a record stays uncompacted at most.
    "log.cleaner.max.compaction.lag.ms": Long = i64::MAX, at_least(1), cluster_wide, used;
};
