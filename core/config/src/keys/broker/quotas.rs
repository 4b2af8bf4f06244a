//! How much clients and replication may take.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// A class that decides on quotas instead of the stored ones.
    "client.quota.callback.class": Class, low;

    /// How many samples of client quotas are remembered.
    "quota.window.num": Int = 11, at_least(1), low;

    /// How long a sample of client quotas is.
    "quota.window.size.seconds": Int = 1, at_least(1), low;

    /// How many samples of quotas on metadata changes are remembered.
    "controller.quota.window.num": Int = 11, at_least(1), low;

    /// How long a sample of quotas on metadata changes is.
    "controller.quota.window.size.seconds": Int = 1, at_least(1), low;

    /// How many samples of replication throttles are remembered.
    "replication.quota.window.num": Int = 11, at_least(1), low;

    /// How long a sample of replication throttles is.
    "replication.quota.window.size.seconds": Int = 1, at_least(1), low;

    /// How many samples of the throttle on moves between directories are remembered.
    "alter.log.dirs.replication.quota.window.num": Int = 11, at_least(1), low;

    /// How long a sample of the throttle on moves between directories is.
    "alter.log.dirs.replication.quota.window.size.seconds": Int = 1, at_least(1), low;

    /// How many bytes a second leaders send to throttled replicas; only set dynamically.
    "leader.replication.throttled.rate": Long = i64::MAX, at_least(0), cluster_wide, dynamic_only;

    /// How many bytes a second followers fetch for throttled replicas; only set dynamically.
    "follower.replication.throttled.rate": Long = i64::MAX, at_least(0), cluster_wide, dynamic_only;

    /// How many bytes a second moves between directories take; only set dynamically.
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = i64::MAX, at_least(0), cluster_wide,
        dynamic_only, used;
};
