//! What new topics get, and who may create and delete them.

use crate::key::{ConfigKey, keys};

pub(in crate::keys) const KEYS: &[ConfigKey] = keys! {
    scope: ReadOnly;

    /// How many partitions a topic gets whose creator gives no number.
    "num.partitions": Int = 1, at_least(1), used;

    /// How many replicas a topic gets whose creator gives no number.
    "default.replication.factor": Int = 1, used;

    /// Whether asking for the metadata of a missing topic may create it.
    "auto.create.topics.enable": Boolean = true, high, used;

    /// Whether topics can be deleted at all.
    "delete.topic.enable": Boolean = true, high, used;

    /// How many replicas must be in sync, if there are so many, for a write with `acks=all` to be
    /// accepted. Dohle refuses it too where another broker than itself is in sync: that would not get it.
    "min.insync.replicas": Int = 1, at_least(1), high, cluster_wide, used;

    /// Whether a replica that is not in sync may become leader when no other is left, losing
    /// records.
    "unclean.leader.election.enable": Boolean = false, high, cluster_wide, used;

    /// How often the controller looks for partitions that wait for an unclean election.
    "unclean.leader.election.interval.ms": Long = 300_000, at_least(1), internal;

    /// A class that may refuse the creation of topics.
    "create.topic.policy.class.name": Class, low;

    /// A class that may refuse changes of configuration.
    "alter.config.policy.class.name": Class, low;

    /// Whether a missing dead-letter topic of a share group is created.
    "errors.deadletterqueue.auto.create.topics.enable": Boolean = false, cluster_wide;

    /// How the names of dead-letter topics must begin that are created automatically.
    "errors.deadletterqueue.topic.name.prefix": String = "dlq.", cluster_wide;
};
