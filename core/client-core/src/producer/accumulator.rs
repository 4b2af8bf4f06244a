//! The batches of each partition that wait to be sent, in the order in which they were begun.
//!
//! A batch that comes back is put where it was before, and goes out again only when nothing else of
//! its partition is in flight: so records stay in order whatever fails.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use dohle_base::{Instant, Timestamp};
use dohle_records::Compression;

use super::{ProducerRecord, batch::Batch, idempotence::Sequences};
use crate::TopicPartition;

/// Batches by partition.
#[derive(Debug)]
pub(super) struct Accumulator<T> {
    pub(super) queues: BTreeMap<TopicPartition, Queue<T>>,
    next_batch: u64,
}

/// The batches of one partition.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Those to be sent; those that came back are in front.
    pub(super) waiting: VecDeque<Batch<T>>,
    /// The ordinals of those being sent, ascending.
    pub(super) in_flight: Vec<u64>,
    /// The numbers of its records.
    pub(super) sequences: Sequences,
    next_ordinal: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            sequences: Sequences::default(),
            next_ordinal: 0,
        }
    }
}

/// What decides whether a batch may leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) now: Instant,
    pub(super) linger: Duration,
    pub(super) batch_size: usize,
    pub(super) max_in_flight: usize,
    /// Nothing lingers: somebody flushes, or memory is short.
    pub(super) hurry: bool,
}

impl<T> Accumulator<T> {
    /// Nothing to send.
    pub(super) fn new() -> Self {
        Self { queues: BTreeMap::new(), next_batch: 0 }
    }

    /// A number for something that a flush has to wait for.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_batch += 1;
        self.next_batch - 1
    }

    /// Appends a record to the newest batch of its partition, or to a new one with the number that
    /// `id` gives. Returns the number of the batch.
    pub(super) fn append(
        &mut self,
        partition: &TopicPartition,
        record: &ProducerRecord,
        timestamp: Timestamp,
        arrival: Arrival,
        token: T,
    ) -> u64 {
        if !self.queues.contains_key(partition) {
            self.queues.insert(partition.clone(), Queue::default());
        }
        let queue = self.queues.get_mut(partition).expect("it was put there just now");
        let memory = record.size_bound();
        let mut token = token;
        if let Some(last) = queue.waiting.back_mut().filter(|batch| batch.stamp.is_none()) {
            match last.append(record, timestamp, arrival.batch_size, token) {
                Ok(()) => {
                    last.memory += memory;
                    return last.id;
                }
                Err(returned) => token = returned,
            }
        }
        let id = arrival.id.unwrap_or_else(|| {
            self.next_batch += 1;
            self.next_batch - 1
        });
        let mut batch = Batch::new(id, queue.next_ordinal, arrival.now, arrival.compression);
        queue.next_ordinal += 1;
        let appended = batch.append(record, timestamp, arrival.batch_size, token);
        assert!(appended.is_ok(), "an empty batch takes any record of up to a gigabyte");
        batch.memory = memory;
        queue.waiting.push_back(batch);
        id
    }

    /// When the next batch may leave, if time is all it waits for.
    pub(super) fn next_due(&self, pace: Pace) -> Option<Instant> {
        self.queues.values().filter_map(|queue| queue.due(pace)).min()
    }

    /// When the oldest batch that waits was begun.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.queues.values().filter_map(|queue| queue.waiting.front()).map(|b| b.created).min()
    }
}

/// How a record arrives at the accumulator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) now: Instant,
    /// The number that a new batch shall have, if the record already has one.
    pub(super) id: Option<u64>,
    pub(super) batch_size: usize,
    pub(super) compression: Compression,
}

impl<T> Queue<T> {
    /// When the first batch may leave; `None` if that depends on batches in flight.
    pub(super) fn due(&self, pace: Pace) -> Option<Instant> {
        let front = self.waiting.front()?;
        if front.attempts > 0 {
            return self.in_flight.is_empty().then_some(front.not_before);
        }
        if self.in_flight.len() >= pace.max_in_flight {
            return None;
        }
        let full = self.waiting.len() > 1 || front.size() >= pace.batch_size;
        Some(if full || pace.hurry { front.created } else { front.created + pace.linger })
    }

    /// Whether the first batch may leave now.
    pub(super) fn is_due(&self, pace: Pace) -> bool {
        self.due(pace).is_some_and(|due| due <= pace.now)
    }

    /// Takes the first batch out; it is in flight from now on.
    pub(super) fn take(&mut self) -> Option<Batch<T>> {
        let batch = self.waiting.pop_front()?;
        self.in_flight.push(batch.ordinal);
        Some(batch)
    }

    /// A batch is no longer in flight.
    pub(super) fn landed(&mut self, ordinal: u64) {
        self.in_flight.retain(|other| *other != ordinal);
    }

    /// Puts a batch back to where it was.
    pub(super) fn put_back(&mut self, batch: Batch<T>) {
        let at = self.waiting.partition_point(|other| other.ordinal < batch.ordinal);
        self.waiting.insert(at, batch);
    }

    /// Whether a batch before `ordinal` has no outcome yet.
    pub(super) fn has_before(&self, ordinal: u64) -> bool {
        self.in_flight.iter().any(|other| *other < ordinal)
            || self.waiting.iter().any(|other| other.ordinal < ordinal)
    }
}

#[cfg(test)]
mod tests;
