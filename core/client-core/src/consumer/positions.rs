//! Where the consumer is in each of its partitions.
//!
//! ```text
//!   Unset ──committed offset──▶ At ◀──offset of the leader── Reset
//!     └───────── none ─────────────── auto.offset.reset ────────▲
//!                               At ── out of range ─────────────┘
//! ```
//!
//! At runs two places: up to where records have been handed out, and up to where they have been
//! fetched. Between them lies what is buffered.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, Instant, LeaderEpoch, Offset};

use crate::TopicPartition;

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The next record.
    pub(super) offset: Offset,
    /// The epoch of the record before it, or none.
    pub(super) epoch: LeaderEpoch,
}

/// How far a partition is from being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The committed offset is wanted.
    Unset,
    /// The committed offset is being asked for.
    AwaitingCommitted,
    /// The offset of a timestamp is wanted; −1 and −2 are the end and the start.
    Reset { timestamp: i64 },
    /// It is being asked for.
    AwaitingReset { timestamp: i64 },
    /// Nowhere: the application was told and has to seek.
    Lost,
    /// Somewhere.
    At {
        /// The next record to hand out.
        consumed: Place,
        /// The next record to fetch.
        fetched: Place,
    },
}

/// All about one partition.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) stage: Stage,
    /// The application does not want its records for now.
    pub(super) paused: bool,
    /// Errors in a row, for the backoff.
    pub(super) failures: u32,
    pub(super) not_before: Instant,
    /// The end of what can be read, as last heard.
    pub(super) end_offset: Option<Offset>,
    /// A follower that the leader prefers us to read from, and until when.
    pub(super) preferred: Option<(BrokerId, Instant)>,
    /// What has been handed out and, as a later poll shows, worked on.
    pub(super) processed: Option<Place>,
    /// What was last committed.
    pub(super) committed: Option<Place>,
}

impl Position {
    fn new(stage: Stage) -> Self {
        Self {
            stage,
            paused: false,
            failures: 0,
            not_before: Instant::default(),
            end_offset: None,
            preferred: None,
            processed: None,
            committed: None,
        }
    }

    /// The next record to hand out, if known.
    pub(super) fn consumed(&self) -> Option<Place> {
        match self.stage {
            Stage::At { consumed, .. } => Some(consumed),
            _ => None,
        }
    }

    /// The next record to fetch, if known.
    pub(super) fn fetched(&self) -> Option<Place> {
        match self.stage {
            Stage::At { fetched, .. } => Some(fetched),
            _ => None,
        }
    }

    /// Both places are here now.
    pub(super) fn set(&mut self, place: Place) {
        self.stage = Stage::At { consumed: place, fetched: place };
        self.failures = 0;
        self.not_before = Instant::default();
    }

    /// Records before `place` have been handed out.
    pub(super) fn consume_to(&mut self, place: Place) {
        if let Stage::At { consumed, .. } = &mut self.stage {
            *consumed = place;
        }
    }

    /// Records before `place` have been fetched.
    pub(super) fn fetch_to(&mut self, place: Place) {
        if let Stage::At { fetched, .. } = &mut self.stage {
            *fetched = place;
        }
    }

    /// What was handed out has been worked on.
    pub(super) fn mark_processed(&mut self) {
        if let Some(consumed) = self.consumed() {
            self.processed = Some(consumed);
        }
    }
}

/// All partitions of a consumer.
#[derive(Debug, Default)]
pub(super) struct Positions {
    pub(super) partitions: BTreeMap<TopicPartition, Position>,
}

impl Positions {
    /// Adds a partition; where it begins depends on whether offsets are committed for a group.
    pub(super) fn add(&mut self, partition: TopicPartition, first: Stage) {
        self.partitions.entry(partition).or_insert_with(|| Position::new(first));
    }

    /// Removes a partition.
    pub(super) fn remove(&mut self, partition: &TopicPartition) -> Option<Position> {
        self.partitions.remove(partition)
    }

    /// A partition.
    pub(super) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Position> {
        self.partitions.get_mut(partition)
    }

    /// A partition.
    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&Position> {
        self.partitions.get(partition)
    }

    /// Partitions for which `wanted` holds and whose backoff is over.
    pub(super) fn due(&self, now: Instant, wanted: impl Fn(&Stage) -> bool) -> Vec<TopicPartition> {
        let due = self
            .partitions
            .iter()
            .filter(|(_, position)| position.not_before <= now && wanted(&position.stage));
        due.map(|(partition, _)| partition.clone()).collect()
    }

    /// Whether something has been worked on and not been committed.
    pub(super) fn has_uncommitted(&self) -> bool {
        let mut all = self.partitions.values();
        all.any(|position| position.processed.is_some() && position.processed != position.committed)
    }

    /// What has been worked on and not been committed.
    pub(super) fn uncommitted(&self) -> Vec<(TopicPartition, Place)> {
        let changed = self.partitions.iter().filter_map(|(partition, position)| {
            let processed = position.processed.filter(|_| position.processed != position.committed);
            Some((partition.clone(), processed?))
        });
        changed.collect()
    }

    /// When the next backoff after `now` is over.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.partitions.values().map(|p| p.not_before).filter(|due| *due > now).min()
    }
}
