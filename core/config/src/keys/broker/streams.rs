//! Streams groups.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// After how long without a heartbeat a member leaves a streams group.
    "group.streams.session.timeout.ms": Int = 45_000, at_least(1);

    /// The shortest session timeout that a streams group can be given.
    "group.streams.min.session.timeout.ms": Int = 45_000, at_least(1);

    /// The longest session timeout that a streams group can be given.
    "group.streams.max.session.timeout.ms": Int = 60_000, at_least(1);

    /// How often members of a streams group are told to send a heartbeat.
    "group.streams.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The shortest heartbeat interval that a streams group can be given.
    "group.streams.min.heartbeat.interval.ms": Int = 5000, at_least(1);

    /// The longest heartbeat interval that a streams group can be given.
    "group.streams.max.heartbeat.interval.ms": Int = 15_000, at_least(1);

    /// How many members a streams group may have.
    "group.streams.max.size": Int = i32::MAX, at_least(1);

    /// How long an empty streams group waits for more members before its first assignment.
    "group.streams.initial.rebalance.delay.ms": Int = 3000, at_least(0);

    /// The assignors that streams groups may use; the first is the default.
    "group.streams.assignors": List = "sticky", non_empty_list;

    /// The least time between two assignments of a streams group.
    "group.streams.assignment.interval.ms": Int = 1000, at_least(0), cluster_wide;

    /// The shortest assignment interval that a streams group can be given.
    "group.streams.min.assignment.interval.ms": Int = 0, at_least(0);

    /// The longest assignment interval that a streams group can be given.
    "group.streams.max.assignment.interval.ms": Int = 15_000, at_least(0);

    /// Whether assignments of streams groups are computed off the coordinator's own threads.
    "group.streams.assignor.offload.enable": Boolean = true, cluster_wide, internal;

    /// How many standby copies each stateful task gets.
    "group.streams.num.standby.replicas": Int = 0, at_least(0);

    /// The most standby copies that a streams group can be given.
    "group.streams.max.standby.replicas": Int = 2, at_least(0);

    /// How many tasks may warm up on another member at once.
    "group.streams.num.warmup.replicas": Int = 2, at_least(0), internal;

    /// The most warm-up tasks that a streams group can be given.
    "group.streams.max.warmup.replicas": Int = 20, at_least(0), internal;

    /// How many records behind a member may be and still count as caught up on a task.
    "group.streams.acceptable.recovery.lag": Long = 10_000, at_least(0), internal;

    /// How often members of a streams group report the offsets of their tasks.
    "group.streams.task.offset.interval.ms": Int = 60_000, at_least(1), internal;

    /// The shortest such report interval that a streams group can be given.
    "group.streams.min.task.offset.interval.ms": Int = 15_000, at_least(1), internal;

    /// Client tags over which standby copies are spread.
    "group.streams.rack.aware.assignment.tags": List = "", any_list, low;

    /// A class that stores descriptions of streams topologies.
    "group.streams.topology.description.plugin.class": Class;
};
