//! Share groups and the coordinator of their state.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// After how long without a heartbeat a member leaves a share group.
    "group.share.session.timeout.ms": Int = 45_000, at_least(1);

    /// The shortest session timeout that a share group can be given.
    "group.share.min.session.timeout.ms": Int = 45_000, at_least(1);

    /// The longest session timeout that a share group can be given.
    "group.share.max.session.timeout.ms": Int = 60_000, at_least(1);

    /// How often members of a share group are told to send a heartbeat.
    "group.share.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The shortest heartbeat interval that a share group can be given.
    "group.share.min.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The longest heartbeat interval that a share group can be given.
    "group.share.max.heartbeat.interval.ms": Int = 15_000, at_least(1);

    /// How many members a share group may have.
    "group.share.max.size": Int = 200, between(1, 1000);

    /// How many share sessions a broker keeps.
    "group.share.max.share.sessions": Int = 2000, at_least(1);

    /// The assignor of share groups; exactly one.
    "group.share.assignors": List = "simple", non_empty_list;

    /// The least time between two assignments of a share group.
    "group.share.assignment.interval.ms": Int = 1000, at_least(0), cluster_wide;

    /// The shortest assignment interval that a share group can be given.
    "group.share.min.assignment.interval.ms": Int = 0, at_least(0);

    /// The longest assignment interval that a share group can be given.
    "group.share.max.assignment.interval.ms": Int = 15_000, at_least(0);

    /// Whether assignments of share groups are computed off the coordinator's own threads.
    "group.share.assignor.offload.enable": Boolean = true, cluster_wide, internal;

    /// How often a record is delivered before it is given up.
    "group.share.delivery.count.limit": Int = 5, between(2, 10);

    /// The lowest delivery limit that a share group can be given.
    "group.share.min.delivery.count.limit": Int = 2, between(2, 5);

    /// The highest delivery limit that a share group can be given.
    "group.share.max.delivery.count.limit": Int = 10, between(5, 25);

    /// How long a delivered record is locked for its consumer.
    "group.share.record.lock.duration.ms": Int = 30_000, between(1000, 3_600_000);

    /// The shortest lock that a share group can be given.
    "group.share.min.record.lock.duration.ms": Int = 15_000, between(1000, 30_000);

    /// The longest lock that a share group can be given.
    "group.share.max.record.lock.duration.ms": Int = 60_000, between(30_000, 3_600_000);

    /// How many records of a share partition may be in flight.
    "group.share.partition.max.record.locks": Int = 2000, between(100, 10_000);

    /// The lowest in-flight limit that a share group can be given.
    "group.share.min.partition.max.record.locks": Int = 100, between(100, 2000);

    /// The highest in-flight limit that a share group can be given.
    "group.share.max.partition.max.record.locks": Int = 4000, between(2000, 10_000);

    /// How long before the set-up of a share partition's state is tried again.
    "group.share.initialize.retry.interval.ms": Int = 30_000, at_least(1), low, internal;

    /// The class that keeps the state of share partitions.
    "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister",
        internal;

    /// The class that writes undeliverable records to dead-letter topics.
    "group.share.dlq.manager.class.name": String = "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager",
        internal;

    /// Threads of the share coordinator.
    "share.coordinator.threads": Int = 1, at_least(1);

    /// How long the share coordinator collects records before it writes them; -1 adapts to the
    /// load.
    "share.coordinator.append.linger.ms": Int = -1, at_least(-1);

    /// The largest write buffer that the share coordinator keeps for reuse.
    "share.coordinator.cached.buffer.max.bytes": Int = 1_048_588, at_least(524_288), cluster_wide;

    /// How many bytes are read at once when a share coordinator loads a partition.
    "share.coordinator.load.buffer.size": Int = 5_242_880, at_least(1), high;

    /// How long a write of the share coordinator waits for its replicas.
    "share.coordinator.write.timeout.ms": Int = 5000, at_least(1), high;

    /// How many updates of a share partition are written between two snapshots of it.
    "share.coordinator.snapshot.update.records.per.snapshot": Int = 500, between(0, 500);

    /// How often share partitions without traffic get a snapshot.
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = 300_000, at_least(1), low,
        internal;

    /// Partitions of the topic of share state; never change it on a running cluster.
    "share.coordinator.state.topic.num.partitions": Int = 50, at_least(1), high;

    /// Replicas of the topic of share state.
    "share.coordinator.state.topic.replication.factor": Short = 3, at_least(1), high;

    /// How many replicas of the topic of share state must be in sync for a write.
    "share.coordinator.state.topic.min.isr": Short = 2, at_least(1), high;

    /// Segment size of the topic of share state.
    "share.coordinator.state.topic.segment.bytes": Int = 104_857_600, at_least(1), high;

    /// Codec for share state, by its number in the record format: 0 is none.
    "share.coordinator.state.topic.compression.codec": Int = 0, high;

    /// How often superseded share state is deleted.
    "share.coordinator.state.topic.prune.interval.ms": Int = 300_000, at_least(1), low, internal;
};
