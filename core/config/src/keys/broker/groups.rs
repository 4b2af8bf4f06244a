//! Consumer groups, their coordinator and the topic of committed offsets.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// Which kinds of groups are served; `classic` must be among them.
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams",
        non_empty_list_of(&["consumer", "classic", "share", "streams"]);

    /// Threads of the group coordinator.
    "group.coordinator.threads": Int = 4, at_least(1), high;

    /// Threads on which the group coordinator computes assignments and matches topic patterns.
    "group.coordinator.background.threads": Int = 2, at_least(1), high;

    /// How long the group coordinator collects records before it writes them; -1 adapts to the
    /// load.
    "group.coordinator.append.linger.ms": Int = -1, at_least(-1);

    /// The largest write buffer that the group coordinator keeps for reuse.
    "group.coordinator.cached.buffer.max.bytes": Int = 1_048_588, at_least(524_288), cluster_wide;

    /// Partitions of the topic of committed offsets; never change it on a running cluster.
    "offsets.topic.num.partitions": Int = 50, at_least(1), high, used;

    /// Replicas of the topic of committed offsets.
    "offsets.topic.replication.factor": Short = 3, at_least(1), high, used;

    /// Segment size of the topic of committed offsets.
    "offsets.topic.segment.bytes": Int = 104_857_600, at_least(1), high, used;

    /// How coordinators compress what they write, by the codec's number in the record format: 0 none,
    /// 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    "offsets.topic.compression.codec": Int = 0, high, used;

    /// How many bytes are read at once when a coordinator loads a partition of offsets.
    "offsets.load.buffer.size": Int = 5_242_880, at_least(1), high;

    /// How long an answer of the coordinator waits until what it wrote is committed; the client is told
    /// to ask again then.
    "offsets.commit.timeout.ms": Int = 5000, at_least(1), high, used;

    /// The longest note that may go with a committed offset.
    "offset.metadata.max.bytes": Int = 4096, high, used;

    /// How long the offsets of an empty group, or of a topic that it left, are kept.
    "offsets.retention.minutes": Int = 10_080, at_least(1), high, used;

    /// How often expired offsets are searched for.
    "offsets.retention.check.interval.ms": Long = 600_000, at_least(1), high, used;

    /// The shortest session timeout that a member of a classic group may ask for.
    "group.min.session.timeout.ms": Int = 6000, used;

    /// The longest session timeout that a member of a classic group may ask for.
    "group.max.session.timeout.ms": Int = 1_800_000, used;

    /// How long an empty classic group waits for more members before its first assignment.
    "group.initial.rebalance.delay.ms": Int = 3000, used;

    /// How many members a classic group may have.
    "group.max.size": Int = i32::MAX, at_least(1), used;

    /// After how long without a heartbeat a member leaves a group of the consumer protocol.
    "group.consumer.session.timeout.ms": Int = 45_000, at_least(1);

    /// The shortest session timeout that a consumer group can be given.
    "group.consumer.min.session.timeout.ms": Int = 45_000, at_least(1);

    /// The longest session timeout that a consumer group can be given.
    "group.consumer.max.session.timeout.ms": Int = 60_000, at_least(1);

    /// How often members of a consumer group are told to send a heartbeat.
    "group.consumer.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The shortest heartbeat interval that a consumer group can be given.
    "group.consumer.min.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The longest heartbeat interval that a consumer group can be given.
    "group.consumer.max.heartbeat.interval.ms": Int = 15_000, at_least(1);

    /// How many members a group of the consumer protocol may have.
    "group.consumer.max.size": Int = i32::MAX, at_least(1);

    /// The assignors that consumer groups may use; the first is the default.
    "group.consumer.assignors": List = "uniform,range", non_empty_list;

    /// Whether groups with members may move between the classic and the consumer protocol.
    "group.consumer.migration.policy": String = "bidirectional",
        one_of_any_case(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]);

    /// The least time between two assignments of a consumer group.
    "group.consumer.assignment.interval.ms": Int = 1000, at_least(0), cluster_wide;

    /// The shortest assignment interval that a consumer group can be given.
    "group.consumer.min.assignment.interval.ms": Int = 0, at_least(0);

    /// The longest assignment interval that a consumer group can be given.
    "group.consumer.max.assignment.interval.ms": Int = 15_000, at_least(0);

    /// Whether assignments of consumer groups are computed off the coordinator's own threads.
    "group.consumer.assignor.offload.enable": Boolean = true, cluster_wide, internal;

    /// How often topic patterns of consumer groups are matched anew.
    "group.consumer.regex.refresh.interval.ms": Int = 600_000, at_least(10_000), internal;
};
