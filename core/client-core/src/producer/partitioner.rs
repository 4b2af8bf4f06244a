//! Which partition a record goes to.
//!
//! The key decides, by the hash that all of Kafka's clients use. Records without a key stick to one
//! partition until a batch worth of bytes has gone there, and then to another: full batches, and
//! over time the same share for each partition. Source: KIP-480, KIP-794.

use std::collections::BTreeMap;

use dohle_base::{PartitionId, Rng, Str, murmur2};

use crate::TopicMetadata;

/// Remembers which partition keyless records stick to.
#[derive(Debug, Default)]
pub(super) struct Partitioner {
    sticky: BTreeMap<Str, Sticky>,
}

#[derive(Clone, Copy, Debug)]
struct Sticky {
    partition: PartitionId,
    bytes: usize,
}

/// The partition of a key among `count`.
///
/// # Panics
/// When there are no partitions.
pub(super) fn partition_of_key(key: &[u8], count: usize) -> PartitionId {
    let positive = murmur2(key) & 0x7fff_ffff;
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    PartitionId(positive % count)
}

impl Partitioner {
    /// The partition for a record without a key that takes `bytes`; a batch has `batch_size`.
    /// `None` if the topic has no partitions.
    pub(super) fn stick(
        &mut self,
        topic: &TopicMetadata,
        bytes: usize,
        batch_size: usize,
        rng: &mut Rng,
    ) -> Option<PartitionId> {
        let known = self.sticky.get_mut(&topic.name);
        let usable = known.filter(|sticky| {
            let partition = topic.partitions.get(&sticky.partition);
            sticky.bytes < batch_size && partition.is_some_and(|p| p.leader.is_some())
        });
        if let Some(sticky) = usable {
            sticky.bytes += bytes;
            return Some(sticky.partition);
        }
        let partition = choose(topic, rng)?;
        self.sticky.insert(topic.name.clone(), Sticky { partition, bytes });
        Some(partition)
    }
}

/// Any partition that has a leader, or any at all if none has.
fn choose(topic: &TopicMetadata, rng: &mut Rng) -> Option<PartitionId> {
    let led: Vec<_> =
        topic.partitions.values().filter(|p| p.leader.is_some()).map(|p| p.id).collect();
    let all = || topic.partitions.keys().copied().collect::<Vec<_>>();
    let candidates = if led.is_empty() { all() } else { led };
    let at = usize::try_from(rng.below(candidates.len() as u64)).unwrap_or(0);
    candidates.get(at).copied()
}

#[cfg(test)]
mod tests;
