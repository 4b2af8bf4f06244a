//! Committed offsets of all groups of one coordinator partition, and those that open transactions
//! have pending.
//!
//! An offset that came in a transaction stays pending under its producer until the end marker: then
//! it becomes the committed one, unless a later record has overtaken it, or it is dropped.

mod commit;
mod delete;
mod fetch;

use std::collections::{BTreeMap, BTreeSet};

use dohle_base::{LeaderEpoch, Offset, PartitionId, ProducerId, Str, Timestamp, TopicId};
use dohle_protocol::records::group::{
    offset_commit_key::OffsetCommitKey, offset_commit_value::OffsetCommitValue,
};

use crate::GroupRecord;

pub(crate) use commit::{commit, commit_failure};
pub(crate) use delete::{delete, purge, purge_topics};
pub(crate) use fetch::fetch;
pub use fetch::{fetch_failure, fetch_requests, fetch_response};

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the last record read; [`LeaderEpoch::NONE`] if the client did not say.
    pub leader_epoch: LeaderEpoch,
    /// The client's own words.
    pub metadata: Str,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it goes, if the commit said so.
    pub expire_timestamp: Option<Timestamp>,
    /// The topic that was meant; [`TopicId::ZERO`] in records before version 4.
    pub topic_id: TopicId,
    /// Where the record lies: of two commits the later counts.
    pub record_offset: Offset,
}

/// Offsets by group, topic and partition.
pub(crate) type ByTopic = BTreeMap<Str, BTreeMap<PartitionId, CommittedOffset>>;
type ByGroup = BTreeMap<Str, ByTopic>;
type Place = (Str, PartitionId);

/// The offsets of a coordinator partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offsets {
    committed: ByGroup,
    pending: BTreeMap<ProducerId, ByGroup>,
    /// Which open transactions have offsets for a partition: always what `pending` says.
    open: BTreeMap<Str, BTreeMap<Place, BTreeSet<ProducerId>>>,
}

impl CommittedOffset {
    fn from_record(record_offset: Offset, value: &OffsetCommitValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            commit_timestamp: Timestamp(value.commit_timestamp),
            expire_timestamp: Some(Timestamp(value.expire_timestamp))
                .filter(|at| *at != Timestamp::NONE),
            topic_id: value.topic_id,
            record_offset,
        }
    }
}

impl Offsets {
    /// The committed offset of a group for a partition.
    pub fn committed(&self, group: &str, topic: &str, id: PartitionId) -> Option<&CommittedOffset> {
        self.committed.get(group)?.get(topic)?.get(&id)
    }

    /// All committed offsets of a group.
    pub(crate) fn of_group(&self, group_id: &str) -> Option<&ByTopic> {
        self.committed.get(group_id)
    }

    /// The groups that have offsets, committed or pending, behind `after`.
    pub(crate) fn groups_after(&self, after: Option<&Str>) -> BTreeSet<&Str> {
        let behind = |group: &&Str| after.is_none_or(|after| *group > after);
        self.committed.keys().chain(self.open.keys()).filter(behind).collect()
    }

    /// Whether an open transaction may still change this offset.
    pub(crate) fn is_pending(&self, group_id: &str, topic: &Str, id: PartitionId) -> bool {
        let open = self.open.get(group_id);
        open.is_some_and(|open| open.contains_key(&(topic.clone(), id)))
    }

    /// Whether open transactions have offsets for a group.
    pub(crate) fn has_pending(&self, group_id: &str) -> bool {
        self.open.contains_key(group_id)
    }

    /// The partitions of a group that have an offset, committed or pending, each once.
    pub(crate) fn places(&self, group_id: &str) -> BTreeSet<Place> {
        let committed = self.committed.get(group_id).into_iter().flatten();
        let committed = committed
            .flat_map(|(topic, partitions)| partitions.keys().map(move |id| (topic.clone(), *id)));
        let pending = self.open.get(group_id).into_iter().flat_map(|open| open.keys().cloned());
        committed.chain(pending).collect()
    }

    /// The partitions of a topic for which a group has an offset, committed or pending, that was
    /// meant for a topic of which `is_meant` holds.
    pub(crate) fn partitions_of(
        &self,
        group_id: &str,
        topic: &str,
        is_meant: impl Fn(TopicId) -> bool,
    ) -> BTreeSet<PartitionId> {
        let by_group = std::iter::once(&self.committed).chain(self.pending.values());
        let partitions = by_group.filter_map(|groups| groups.get(group_id)?.get(topic)).flatten();
        partitions.filter(|(_, offset)| is_meant(offset.topic_id)).map(|(id, _)| *id).collect()
    }

    /// Takes in an offset commit record. `producer_id` is set inside a transaction.
    pub(crate) fn put(
        &mut self,
        at: Offset,
        key: &OffsetCommitKey,
        value: &OffsetCommitValue,
        producer_id: ProducerId,
    ) {
        let committed = CommittedOffset::from_record(at, value);
        if producer_id == ProducerId::NONE {
            insert(&mut self.committed, key, committed);
        } else {
            insert(self.pending.entry(producer_id).or_default(), key, committed);
            let open = self.open.entry(key.group.clone()).or_default();
            open.entry((key.topic.clone(), key.partition)).or_default().insert(producer_id);
        }
    }

    /// Takes in a tombstone: it also ends what is pending for the partition.
    pub(crate) fn remove(&mut self, key: &OffsetCommitKey) {
        remove(&mut self.committed, key);
        let Some(open) = self.open.get_mut(&key.group) else { return };
        let producers = open.remove(&(key.topic.clone(), key.partition)).unwrap_or_default();
        if open.is_empty() {
            self.open.remove(&key.group);
        }
        for producer_id in producers {
            if let Some(offsets) = self.pending.get_mut(&producer_id) {
                remove(offsets, key);
                if offsets.is_empty() {
                    self.pending.remove(&producer_id);
                }
            }
        }
    }

    /// Takes in the end of a transaction.
    pub(crate) fn end_transaction(&mut self, producer_id: ProducerId, committed: bool) {
        for (group, topics) in self.pending.remove(&producer_id).unwrap_or_default() {
            for (topic, partitions) in topics {
                for (partition, offset) in partitions {
                    let key =
                        OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition };
                    self.close(&key, producer_id);
                    if committed && self.is_newer(&key, &offset) {
                        insert(&mut self.committed, &key, offset);
                    }
                }
            }
        }
    }

    fn close(&mut self, key: &OffsetCommitKey, producer_id: ProducerId) {
        let Some(open) = self.open.get_mut(&key.group) else { return };
        let place = (key.topic.clone(), key.partition);
        if let Some(producers) = open.get_mut(&place) {
            producers.remove(&producer_id);
            if producers.is_empty() {
                open.remove(&place);
            }
        }
        if open.is_empty() {
            self.open.remove(&key.group);
        }
    }

    fn is_newer(&self, key: &OffsetCommitKey, offset: &CommittedOffset) -> bool {
        self.committed(&key.group, &key.topic, key.partition)
            .is_none_or(|present| offset.record_offset > present.record_offset)
    }
}

fn insert(offsets: &mut ByGroup, key: &OffsetCommitKey, offset: CommittedOffset) {
    let topics = offsets.entry(key.group.clone()).or_default();
    topics.entry(key.topic.clone()).or_default().insert(key.partition, offset);
}

fn remove(offsets: &mut ByGroup, key: &OffsetCommitKey) {
    let Some(topics) = offsets.get_mut(&key.group) else { return };
    if let Some(partitions) = topics.get_mut(&key.topic) {
        partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
    }
    if topics.is_empty() {
        offsets.remove(&key.group);
    }
}

/// The record that an offset is gone.
pub(crate) fn tombstone(group_id: &Str, topic: &Str, partition: PartitionId) -> GroupRecord {
    GroupRecord::OffsetCommit {
        key: OffsetCommitKey { group: group_id.clone(), topic: topic.clone(), partition },
        value: None,
        producer_id: ProducerId::NONE,
    }
}

#[cfg(test)]
mod tests;
