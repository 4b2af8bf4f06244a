//! What is known of logs before they are opened, and what is done once all of them are.

use std::sync::{Arc, PoisonError};

use dohle_base::{Offset, PartitionId, Str, TopicId};
use dohle_log::{IoError, OnDamage, OpenLog, Synced};
use dohle_replication::{CommitRule, Leader};
use tracing::warn;

use super::LogDir;
use crate::{disk::NodeDisk, durability, partition::Partition};

impl LogDir {
    /// Lets `take` have each run of batches that a partition's log may lack; `None` if it lacks none.
    pub(crate) fn redo<R>(
        &self,
        topic: TopicId,
        index: PartitionId,
        take: impl FnOnce(&mut dyn Iterator<Item = Result<Vec<u8>, IoError>>) -> R,
    ) -> Option<R> {
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        let unflushed = unflushed.as_ref().filter(|unflushed| unflushed.has(topic, index))?;
        Some(take(&mut unflushed.of(topic, index)))
    }

    /// Up to where a partition's segments were synced, by what the write-ahead log tells.
    fn synced(&self, topic: TopicId, index: PartitionId) -> Option<Synced> {
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        unflushed.as_ref()?.synced(topic, index)
    }

    /// Up to where a partition's log had come, if less may be left of it.
    fn reached(
        &self,
        topic: &Str,
        topic_id: TopicId,
        index: PartitionId,
        rule: CommitRule,
    ) -> Offset {
        if self.left.lost_cache == Some(true) && rule == CommitRule::Written {
            // Its end may be gone, and nothing tells how much: its start is believed, as Kafka does.
            return Offset(i64::MAX);
        }
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        let framed = unflushed.as_ref().map(|unflushed| unflushed.reached(topic_id, index));
        // Kafka syncs checkpoints and not logs: a power cut may leave less than was deleted.
        let committed = self.left.high_watermarks.get(&(topic.clone(), index)).copied();
        framed.max(committed).unwrap_or(Offset::ZERO)
    }

    /// All logs are open and have taken in what they lacked.
    ///
    /// What a crash left without a sync is synced now, so that the node starts with all that it has.
    pub(crate) fn logs_are_open(&self, partitions: &[Arc<Partition>]) {
        if self.sync_opened(partitions) {
            if let Err(error) = self.way.trust_cache() {
                warn!("the next start reads all of the disk again: {error}");
                self.judge(&error);
            }
            self.take_over(partitions);
        }
        self.unflushed.write().unwrap_or_else(PoisonError::into_inner).take();
        self.correct_starts(partitions);
    }

    /// Whether logs that were just opened hold what nobody knows to be durable.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Syncs what logs that were just opened hold and nobody knows to be durable; says whether the disk did it.
    pub(crate) fn sync_opened(&self, partitions: &[Arc<Partition>]) -> bool {
        let unsynced =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        let synced =
            durability::sync_all(&self.way, &unsynced, || self.flush(|| partitions.to_vec()));
        synced.inspect_err(|error| self.way.fail(error)).is_ok()
    }

    /// Writes down where logs start, if that was noted wrong of any: after a crash it would be believed.
    fn correct_starts(&self, partitions: &[Arc<Partition>]) {
        let is_wrong =
            |leader: &mut Leader<NodeDisk>| leader.log().recovery().wrong_start.is_some();
        let mut here = partitions.iter().filter(|partition| partition.directory() == self.id);
        if here.any(|partition| partition.with_leader(is_wrong).unwrap_or(false))
            && let Err(error) = self.write_log_starts(partitions)
        {
            warn!("where logs start is not corrected yet: {error}");
            self.judge(&error);
        }
    }

    /// A log that was just opened holds what is not known to be durable.
    pub(crate) fn sync_when_open(&self, partition: &Arc<Partition>) {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.push(Arc::clone(partition));
    }

    /// What is known of a partition's log before it is opened.
    pub fn how_to_open(
        &self,
        topic: &Str,
        topic_id: TopicId,
        index: PartitionId,
        rule: CommitRule,
    ) -> OpenLog {
        let known = self.known(topic, index);
        let on_damage = match (self.left.lost_cache, rule) {
            // Nobody knows what of it was flushed, and is in no frame any more.
            _ if !self.left.knows_recovery_points => OnDamage::Refuse,
            // Kafka left it, or may have: what its recovery points do not cover may have been acknowledged.
            (None, _) => OnDamage::Refuse,
            // What was acknowledged behind the recovery point is in the write-ahead log.
            (Some(_), CommitRule::Synced) => OnDamage::Cut,
            (Some(lost_cache), CommitRule::Written) => match lost_cache {
                true => OnDamage::Cut,
                false => OnDamage::Refuse,
            },
        };
        OpenLog {
            clean: self.left.is_clean,
            recovery_point: known.recovery_point,
            synced: self.synced(topic_id, index),
            log_start: known.log_start,
            reached: self.reached(topic, topic_id, index, rule),
            cleaned_to: known.cleaned_to,
            on_damage,
            leader_epoch: None,
            topic_id: Some(topic_id),
            distrust_cache: self.left.disk_failed,
        }
    }

    /// Whether damage in its logs may be a torn end: this program is known to have been the last one to write to
    /// them, and what was flushed is known.
    pub(crate) fn may_be_torn(&self) -> bool {
        self.left.lost_cache.is_some() && self.left.knows_recovery_points
    }

    /// Whether the last process had closed all of its logs.
    pub(crate) fn was_left_clean(&self) -> bool {
        self.left.is_clean
    }

    /// Whether what this program had written and not synced may be gone, in any order.
    pub(crate) fn has_lost_cache(&self) -> bool {
        self.left.lost_cache == Some(true) && !self.left.is_clean
    }

    /// Whether what the system caches of it was not to be believed when it was opened.
    pub(crate) fn distrusts_cache(&self) -> bool {
        self.left.disk_failed
    }
}
