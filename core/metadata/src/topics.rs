//! Topics, by id and by name.
//!
//! Invariant: the maps by id and by name hold the same topics; those whose names have a `.` or a `_`
//! are also found by the name that metrics give them.

use std::sync::Arc;

use dohle_base::{PartitionId, Str, TopicId};
use imbl::OrdMap;

use crate::Partition;
use crate::topic_name::metric_name;

/// A topic with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Str,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: OrdMap<PartitionId, Arc<Partition>>,
}

/// All topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    by_id: OrdMap<TopicId, Arc<Topic>>,
    by_name: OrdMap<Str, TopicId>,
    by_metric_name: OrdMap<Str, TopicId>,
}

impl Topics {
    /// The topic with this id.
    pub fn get(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// The topic with this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// The topic that metrics could not tell from one of this name.
    pub fn colliding(&self, name: &str) -> Option<&Arc<Topic>> {
        self.get(*self.by_metric_name.get(&metric_name(name)?)?)
    }

    /// A partition of a topic.
    pub fn partition(&self, id: TopicId, partition: PartitionId) -> Option<&Arc<Partition>> {
        self.get(id)?.partitions.get(&partition)
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All topics, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// All topics, by id.
    pub(crate) fn by_id(&self) -> &OrdMap<TopicId, Arc<Topic>> {
        &self.by_id
    }

    /// Puts a topic in the place of what had its id.
    pub(crate) fn insert(&mut self, topic: Topic) {
        self.by_name.insert(topic.name.clone(), topic.id);
        if let Some(name) = metric_name(&topic.name) {
            self.by_metric_name.insert(name, topic.id);
        }
        self.by_id.insert(topic.id, Arc::new(topic));
    }

    /// Takes a topic out.
    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        if let Some(name) = metric_name(&topic.name) {
            self.by_metric_name.remove(&name);
        }
        Some(topic)
    }

    /// Puts a partition in the place of what had its number; false if there is no such topic.
    pub(crate) fn insert_partition(
        &mut self,
        topic_id: TopicId,
        partition_id: PartitionId,
        partition: Partition,
    ) -> bool {
        let Some(topic) = self.by_id.get_mut(&topic_id) else { return false };
        Arc::make_mut(topic).partitions.insert(partition_id, Arc::new(partition));
        true
    }
}
