//! A fetch session with one broker: after the first request only what changed is said, and only
//! what has news is answered. Source: KIP-227.
//!
//! ```text
//!   epoch 0   everything is named; the answer may give the session an id
//!   1, 2, …   only changes; after i32::MAX comes 1
//! ```
//!
//! After anything unexpected the next request has epoch 0 and the old id, which ends the session.

use std::collections::BTreeMap;

use dohle_base::{ErrorCode, LeaderEpoch, Offset, Str, TopicId};
use dohle_protocol::{
    Few,
    api::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic},
};

use crate::TopicPartition;

/// What is asked of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) topic_id: TopicId,
    pub(super) offset: Offset,
    pub(super) last_fetched_epoch: LeaderEpoch,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) max_bytes: i32,
}

/// What the broker remembers, as far as we know.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// The epoch of the next request.
    epoch: i32,
    by_id: bool,
    partitions: BTreeMap<TopicPartition, Wanted>,
}

/// The part of a request that belongs to the session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionPart {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) topics: Few<FetchTopic>,
    pub(super) forgotten: Vec<ForgottenTopic>,
}

impl Session {
    /// What to say so that the broker serves exactly `wanted`. `by_id`: topics go by their ids.
    pub(super) fn request(
        &mut self,
        wanted: BTreeMap<TopicPartition, Wanted>,
        by_id: bool,
    ) -> SessionPart {
        if by_id != self.by_id {
            self.restart();
            self.by_id = by_id;
        }
        let full = self.epoch == 0;
        let changed = wanted
            .iter()
            .filter(|(partition, new)| full || self.partitions.get(*partition) != Some(*new));
        let topics = topics_of(changed);
        // A topic with a new id is another topic: the old one has to be dropped by its old id.
        let gone = self.partitions.iter().filter(|(partition, old)| {
            !full && wanted.get(*partition).is_none_or(|new| new.topic_id != old.topic_id)
        });
        let forgotten = forgotten_of(gone);
        self.partitions = wanted;
        SessionPart { id: self.id, epoch: self.epoch, topics, forgotten }
    }

    /// Takes an answer's session. Says whether its partitions can be used.
    pub(super) fn take(&mut self, code: ErrorCode, id: i32) -> bool {
        if code.is_error() {
            self.restart();
            if code == ErrorCode::FETCH_SESSION_ID_NOT_FOUND {
                self.id = 0;
            }
            return false;
        }
        if self.epoch == 0 {
            // Without an id, every request is a full one.
            self.id = id;
            self.epoch = i32::from(id != 0);
        } else {
            self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        }
        true
    }

    /// The next request names everything.
    pub(super) fn restart(&mut self) {
        self.epoch = 0;
        self.partitions.clear();
    }

    /// The name of a topic that was asked for by its id.
    pub(super) fn name_of(&self, id: TopicId) -> Option<&Str> {
        let mut topics = self.partitions.iter();
        topics.find(|(_, wanted)| wanted.topic_id == id).map(|(partition, _)| &partition.topic)
    }

    /// What was last asked of a partition.
    pub(super) fn wanted(&self, partition: &TopicPartition) -> Option<&Wanted> {
        self.partitions.get(partition)
    }
}

fn topics_of<'a>(
    partitions: impl Iterator<Item = (&'a TopicPartition, &'a Wanted)>,
) -> Few<FetchTopic> {
    let mut topics = Few::<FetchTopic>::new();
    for (partition, wanted) in partitions {
        let data = FetchPartition {
            partition: partition.partition,
            current_leader_epoch: wanted.leader_epoch,
            fetch_offset: wanted.offset,
            last_fetched_epoch: wanted.last_fetched_epoch.0,
            partition_max_bytes: wanted.max_bytes,
            ..Default::default()
        };
        match topics.last_mut().filter(|topic| topic.topic == partition.topic) {
            Some(topic) => topic.partitions.push(data),
            None => topics.push(FetchTopic {
                topic: partition.topic.clone(),
                topic_id: wanted.topic_id,
                partitions: [data].into(),
            }),
        }
    }
    topics
}

fn forgotten_of<'a>(
    partitions: impl Iterator<Item = (&'a TopicPartition, &'a Wanted)>,
) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for (partition, wanted) in partitions {
        match topics.last_mut().filter(|topic| topic.topic == partition.topic) {
            Some(topic) => topic.partitions.push(partition.partition),
            None => topics.push(ForgottenTopic {
                topic: partition.topic.clone(),
                topic_id: wanted.topic_id,
                partitions: vec![partition.partition],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests;
