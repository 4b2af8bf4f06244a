//! Who this node is, which roles it plays, and how it comes and goes.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Which roles this process plays: `broker`, `controller`, or both.
    "process.roles": List, required, non_empty_list_of(&["broker", "controller"]), high, used;

    /// The number of this node, unique among all brokers and controllers of the cluster.
    "node.id": Int, required, at_least(0), high, used;

    /// An older name for `node.id`; if both are given they must be equal.
    "broker.id": Int = -1, high, used;

    /// The rack or zone of this broker, so that replicas of a partition land in different ones.
    "broker.rack": String, used;

    /// How often a broker tells the controller that it is alive.
    "broker.heartbeat.interval.ms": Int = 2000;

    /// After how long without a heartbeat the controller fences a broker.
    "broker.session.timeout.ms": Int = 9000, used;

    /// How long a starting broker tries to register with the controller before it gives up and
    /// exits.
    "initial.broker.registration.timeout.ms": Int = 60_000;

    /// Whether a stopping broker first hands its leaderships to others.
    "controlled.shutdown.enable": Boolean = true;

    /// Names of the providers that replace `${name:path:key}` in values; each needs
    /// `config.providers.NAME.class`. Dohle takes what the file says at start: what is set while it
    /// runs has no effect.
    "config.providers": List = "", any_list, low, cluster_wide, used;

    /// Threads for housekeeping work.
    "background.threads": Int = 10, at_least(1), high, cluster_wide;

    /// Threads that handle requests.
    "num.io.threads": Int = 8, at_least(1), high, cluster_wide;

    /// How many requests may wait for a handler before the network stops reading.
    "queued.max.requests": Int = 500, at_least(1), high;

    /// How many bytes of requests may wait for a handler; -1 means no limit.
    "queued.max.request.bytes": Long = -1;

    /// How many partitions one DescribeTopicPartitions answer may hold.
    "max.request.partition.size.limit": Int = 2000, at_least(1), used;

    /// How long this node waits for an answer to a request it sent to another node.
    "request.timeout.ms": Int = 30_000, high;

    /// How long start-up may take before the process gives up; for tests.
    "server.max.startup.time.ms": Long = i64::MAX, at_least(0), internal;

    /// Whether request versions that are still in development are offered.
    "unstable.api.versions.enable": Boolean = false, high, internal;

    /// Whether feature levels that are still in development are offered.
    "unstable.feature.versions.enable": Boolean = false, high, internal;
};
