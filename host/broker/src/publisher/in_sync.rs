//! Which partitions refuse to be written with `acks=all`.
//!
//! No other broker gets anything from this one. One that the metadata has in sync may be elected all the same,
//! by a Kafka that comes later, and would not have what was acknowledged. And where fewer are in sync than
//! `min.insync.replicas` asks for, those that left may be (KIP-966). Who has a single replica has neither.

use std::sync::Arc;

use dohle_base::BrokerId;
use tracing::{info, warn};

use super::Publisher;
use crate::{metadata::Published, partition::Partition, topic_config};

/// Whether it does so. `isr_min` is asked only where there are several replicas.
pub(super) fn refuses_acks_all(
    partition: &dohle_metadata::Partition,
    node_id: BrokerId,
    isr_min: impl FnOnce() -> i32,
) -> bool {
    let (replicas, isr) = (partition.replicas.len(), &partition.isr);
    if replicas <= 1 {
        return false;
    }
    let is_few = || isr.len() < usize::try_from(isr_min()).unwrap_or(0).min(replicas);
    isr.iter().any(|id| *id != node_id) || is_few()
}

impl Publisher {
    /// The metadata says something else of who is in sync, or the topic of how many must be.
    pub(super) fn judge_in_sync(&mut self, partition: &Partition, new: &Published) {
        let (topic, index) = partition.key();
        let Some(there) = new.image.topics.partition(topic, index) else { return };
        let settings = self.broker.settings();
        let isr_min = || {
            let config = topic_config::resolve(&settings, &new.image, partition.topic());
            config.min_insync_replicas
        };
        let refuses = refuses_acks_all(there, self.broker.node_id, isr_min);
        self.have_refusals_changed |= partition.set_refuses_acks_all(refuses);
    }

    /// Says how many there are, if that may be news.
    pub(super) fn tell_refusals(&mut self) {
        if !std::mem::take(&mut self.have_refusals_changed) {
            return;
        }
        let partitions = self.broker.partitions.all();
        let refuse = |partition: &&Arc<Partition>| partition.refuses_acks_all();
        let count = partitions.iter().filter(refuse).count();
        match std::mem::replace(&mut self.refusals_told, count) {
            told if told == count => {}
            _ if count == 0 => info!("acks=all is taken everywhere again"),
            _ => warn!(
                partitions = count,
                "acks=all is refused: other brokers are in sync, which get nothing from this one, or fewer than min.insync.replicas"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
