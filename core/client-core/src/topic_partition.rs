//! The name of a partition.

use std::fmt;

use dohle_base::{PartitionId, Str};

/// A partition of a topic that is known by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Str,
    /// Which partition of it.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Partition number `partition` of `topic`.
    pub fn new(topic: impl Into<Str>, partition: impl Into<PartitionId>) -> Self {
        Self { topic: topic.into(), partition: partition.into() }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
