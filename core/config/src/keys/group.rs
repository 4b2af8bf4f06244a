//! What can be set for one group.

use crate::key::{ConfigKey, keys, same};

pub(super) const KEYS: &[ConfigKey] = keys! {
    scope: Resource;

    /// After how long without a heartbeat a member leaves the consumer group.
    "consumer.session.timeout.ms": Int = 45_000, at_least(1),
        synonyms(&[same("group.consumer.session.timeout.ms")]);

    /// How often members of the consumer group send a heartbeat.
    "consumer.heartbeat.interval.ms": Int = 5000, at_least(1),
        synonyms(&[same("group.consumer.heartbeat.interval.ms")]);

    /// The least time between two assignments of the consumer group.
    "consumer.assignment.interval.ms": Int = 1000, at_least(0),
        synonyms(&[same("group.consumer.assignment.interval.ms")]);

    /// Whether the consumer group's assignment is computed off the coordinator's own threads.
    "consumer.assignor.offload.enable": Boolean = true,
        synonyms(&[same("group.consumer.assignor.offload.enable")]), internal;

    /// After how long without a heartbeat a member leaves the share group.
    "share.session.timeout.ms": Int = 45_000, at_least(1),
        synonyms(&[same("group.share.session.timeout.ms")]);

    /// How often members of the share group send a heartbeat.
    "share.heartbeat.interval.ms": Int = 5000, at_least(1),
        synonyms(&[same("group.share.heartbeat.interval.ms")]);

    /// The least time between two assignments of the share group.
    "share.assignment.interval.ms": Int = 1000, at_least(0),
        synonyms(&[same("group.share.assignment.interval.ms")]);

    /// Whether the share group's assignment is computed off the coordinator's own threads.
    "share.assignor.offload.enable": Boolean = true,
        synonyms(&[same("group.share.assignor.offload.enable")]), internal;

    /// Where the share group starts in a partition: `earliest`, `latest`, or a time ago.
    "share.auto.offset.reset": String = "latest", share_group_start;

    /// Whether the share group sees records of open and aborted transactions.
    "share.isolation.level": String = "read_uncommitted",
        one_of(&["read_committed", "read_uncommitted"]);

    /// How long a delivered record is locked for its consumer.
    "share.record.lock.duration.ms": Int = 30_000, at_least(1000),
        synonyms(&[same("group.share.record.lock.duration.ms")]);

    /// How often a record is delivered before it is given up.
    "share.delivery.count.limit": Int = 5, at_least(2),
        synonyms(&[same("group.share.delivery.count.limit")]);

    /// How many records of a share partition may be in flight.
    "share.partition.max.record.locks": Int = 2000, at_least(100),
        synonyms(&[same("group.share.partition.max.record.locks")]);

    /// Whether a consumer may prolong its lock on a record.
    "share.renew.acknowledge.enable": Boolean = true;

    /// The topic that gets the share group's undeliverable records; empty means none.
    "errors.deadletterqueue.topic.name": String = "";

    /// Whether a dead-letter record carries the record itself, not only where it was.
    "errors.deadletterqueue.copy.record.enable": Boolean = false;

    /// After how long without a heartbeat a member leaves the streams group.
    "streams.session.timeout.ms": Int = 45_000, at_least(1),
        synonyms(&[same("group.streams.session.timeout.ms")]);

    /// How often members of the streams group send a heartbeat.
    "streams.heartbeat.interval.ms": Int = 5000, at_least(1),
        synonyms(&[same("group.streams.heartbeat.interval.ms")]);

    /// How long the empty streams group waits for more members before its first assignment.
    "streams.initial.rebalance.delay.ms": Int = 3000, at_least(0),
        synonyms(&[same("group.streams.initial.rebalance.delay.ms")]);

    /// The least time between two assignments of the streams group.
    "streams.assignment.interval.ms": Int = 1000, at_least(0),
        synonyms(&[same("group.streams.assignment.interval.ms")]);

    /// Which of the broker's assignors the streams group uses; by default the first.
    "streams.assignor.name": String, synonyms(&[same("group.streams.assignors")]);

    /// Whether the streams group's assignment is computed off the coordinator's own threads.
    "streams.assignor.offload.enable": Boolean = true,
        synonyms(&[same("group.streams.assignor.offload.enable")]), internal;

    /// How many standby copies each stateful task gets.
    "streams.num.standby.replicas": Int = 0, at_least(0),
        synonyms(&[same("group.streams.num.standby.replicas")]);

    /// How many tasks may warm up on another member at once.
    "streams.num.warmup.replicas": Int = 2, at_least(0),
        synonyms(&[same("group.streams.num.warmup.replicas")]), internal;

    /// How many records behind a member may be and still count as caught up on a task.
    "streams.acceptable.recovery.lag": Long = 10_000, at_least(0),
        synonyms(&[same("group.streams.acceptable.recovery.lag")]), internal;

    /// How often members of the streams group report the offsets of their tasks.
    "streams.task.offset.interval.ms": Int = 60_000, at_least(1),
        synonyms(&[same("group.streams.task.offset.interval.ms")]), internal;

    /// Client tags over which standby copies are spread.
    "streams.rack.aware.assignment.tags": List = "", any_list, low,
        synonyms(&[same("group.streams.rack.aware.assignment.tags")]);
};
