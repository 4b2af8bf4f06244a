//! What differs between two images, found in the time of what differs: parts that the images share
//! are not looked at.

use std::sync::Arc;

use dohle_base::{BrokerId, PartitionId};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::{ConfigResource, MetadataImage, Partition, QuotaEntity, Topic};

/// The difference of two images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataDelta {
    /// Topics that are new.
    pub created: Vec<Arc<Topic>>,
    /// Topics that are gone. One that was deleted and created again is in both lists.
    pub deleted: Vec<Arc<Topic>>,
    /// Topics of which some partitions differ.
    pub changed: Vec<TopicDelta>,
    /// Brokers whose registration is new, gone or different.
    pub brokers: Vec<BrokerId>,
    /// Controllers whose registration is new, gone or different.
    pub controllers: Vec<BrokerId>,
    /// Resources whose settings differ.
    pub configs: Vec<ConfigResource>,
    /// Entities whose quotas differ.
    pub client_quotas: Vec<QuotaEntity>,
    /// Whether finalised levels differ.
    pub features: bool,
    /// Whether access control entries differ.
    pub acls: bool,
    /// Whether SCRAM credentials differ.
    pub scram: bool,
    /// Whether delegation tokens differ.
    pub delegation_tokens: bool,
}

/// A topic that is in both images.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicDelta {
    /// The topic as it is now.
    pub topic: Arc<Topic>,
    /// The partitions that differ, ascending.
    pub partitions: Vec<PartitionDelta>,
}

/// A partition that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionDelta {
    /// Its number.
    pub id: PartitionId,
    /// As it was; none if it is new.
    pub before: Option<Arc<Partition>>,
    /// As it is.
    pub after: Arc<Partition>,
}

impl MetadataDelta {
    /// What must be told to whoever knows `before` so that it knows `after`.
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let mut delta = Self {
            brokers: keys(&before.brokers, &after.brokers),
            controllers: keys(&before.controllers, &after.controllers),
            configs: keys(&before.configs, &after.configs),
            client_quotas: keys(&before.client_quotas, &after.client_quotas),
            features: before.features != after.features,
            acls: differ(&before.acls, &after.acls),
            scram: differ(&before.scram, &after.scram),
            delegation_tokens: differ(&before.delegation_tokens, &after.delegation_tokens),
            ..Self::default()
        };
        for item in before.topics.by_id().diff(after.topics.by_id()) {
            match item {
                DiffItem::Add(_, topic) => delta.created.push(Arc::clone(topic)),
                DiffItem::Remove(_, topic) => delta.deleted.push(Arc::clone(topic)),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    delta.changed.push(TopicDelta::between(old, new));
                }
            }
        }
        delta
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl TopicDelta {
    fn between(before: &Topic, after: &Arc<Topic>) -> Self {
        let mut partitions = Vec::new();
        for item in before.partitions.diff(&after.partitions) {
            let (id, old, new) = match item {
                DiffItem::Add(id, new) => (id, None, new),
                DiffItem::Update { old: (_, old), new: (id, new) } => (id, Some(old), new),
                // Partitions are never taken from a topic.
                DiffItem::Remove(..) => continue,
            };
            partitions.push(PartitionDelta {
                id: *id,
                before: old.map(Arc::clone),
                after: Arc::clone(new),
            });
        }
        Self { topic: Arc::clone(after), partitions }
    }
}

/// The keys under which the maps differ.
fn keys<K: Ord + Clone, V: PartialEq>(before: &OrdMap<K, V>, after: &OrdMap<K, V>) -> Vec<K> {
    let items = before.diff(after).map(|item| match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key.clone(),
        DiffItem::Update { new: (key, _), .. } => key.clone(),
    });
    items.collect()
}

fn differ<K: Ord, V: PartialEq>(before: &OrdMap<K, V>, after: &OrdMap<K, V>) -> bool {
    before.diff(after).next().is_some()
}

#[cfg(test)]
mod tests;
