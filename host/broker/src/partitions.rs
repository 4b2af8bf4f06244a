//! Every partition that this node holds, by topic id and number.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use dohle_base::{PartitionId, TopicId};

use crate::partition::Partition;

/// The registry. Reads are many and short, writes come with topics.
#[derive(Debug, Default)]
pub struct Partitions {
    by_id: RwLock<HashMap<(TopicId, PartitionId), Arc<Partition>, foldhash::fast::RandomState>>,
}

impl Partitions {
    /// A partition, if this node holds it.
    pub fn get(&self, topic: TopicId, index: PartitionId) -> Option<Arc<Partition>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.get(&(topic, index)).cloned()
    }

    /// Adds partitions, which replace those of the same name.
    pub fn insert(&self, partitions: impl IntoIterator<Item = Arc<Partition>>) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        for partition in partitions {
            by_id.insert((partition.topic_id(), partition.index()), partition);
        }
    }

    /// Takes a partition out; requests that hold it still finish.
    pub fn remove(&self, topic: TopicId, index: PartitionId) -> Option<Arc<Partition>> {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&(topic, index))
    }

    /// All partitions, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
