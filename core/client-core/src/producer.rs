//! A producer: records in, outcomes out, batches to the leaders in between.
//!
//! ```text
//!   send ─▶ topic known? ─▶ partitioner ─▶ accumulator ─▶ sender ─▶ leader
//!             │ no                            ▲   batch per partition │
//!             └ unplaced, until max.block.ms  └──── put back ◀────────┘ tried again
//! ```
//!
//! Invariants: each record gets one outcome, within `delivery.timeout.ms` and one request's time;
//! with idempotence, records of a partition are written once and in order whatever is retried;
//! memory is bounded as long as callers respect [`Producer::has_room`].
//!
//! Not here: transactions, and how a caller waits: `T` is its own ticket.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use dohle_base::{BrokerId, Instant, Now, PartitionId, Rng, Str, Timestamp};

use crate::{
    ConfigError, Core, Input, Metadata, Output, TopicPartition, cluster::Cluster,
    connections::Answer,
};

mod accumulator;
mod batch;
mod config;
mod idempotence;
mod partitioner;
mod record;
mod sender;

pub use config::{Acks, ProducerConfig};
pub use record::{Delivered, ProduceError, ProducerRecord};

use accumulator::{Accumulator, Arrival, Pace};
use batch::Batch;
use idempotence::IdentityState;
use partitioner::{Partitioner, partition_of_key};

/// A producer. `T` is what a caller gives with a record or a flush to recognise the outcome.
pub struct Producer<T> {
    config: ProducerConfig,
    cluster: Cluster<Tag<T>>,
    accumulator: Accumulator<T>,
    partitioner: Partitioner,
    identity: IdentityState,
    /// Records whose topic or partition is not known, by topic.
    unplaced: BTreeMap<Str, VecDeque<Unplaced<T>>>,
    /// The numbers of batches and unplaced records without an outcome.
    incomplete: BTreeSet<u64>,
    /// Flushes, each with the first number that it does not wait for.
    flushes: VecDeque<(u64, T)>,
    /// Bytes of records without an outcome.
    memory: usize,
    requests: BTreeMap<BrokerId, usize>,
    events: VecDeque<ProducerEvent<T>>,
    /// How often metadata had been updated when unplaced records were last looked at.
    placed_at: u64,
    advanced_at: Instant,
    closed: bool,
}

/// What has become of something.
#[derive(Debug, PartialEq, Eq)]
pub enum ProducerEvent<T> {
    /// A record has an outcome.
    Delivered {
        /// What came with the record.
        token: T,
        /// Where it is, or why not.
        outcome: Result<Delivered, ProduceError>,
    },
    /// All records from before a flush have an outcome.
    Flushed {
        /// What came with the flush.
        token: T,
    },
}

#[derive(Debug)]
struct Unplaced<T> {
    id: u64,
    record: ProducerRecord,
    timestamp: Timestamp,
    deadline: Instant,
    token: T,
}

/// Whose request an answer is for.
#[derive(Debug)]
enum Tag<T> {
    Identity,
    Batches { broker: BrokerId, batches: Vec<(TopicPartition, Batch<T>)> },
}

impl<T> Producer<T> {
    /// A producer that has not connected yet.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: ProducerConfig, rng: Rng) -> Result<Self, ConfigError> {
        config.check()?;
        let identity = if config.enable_idempotence {
            IdentityState::Wanted { not_before: Instant::default(), failures: 0 }
        } else {
            IdentityState::NotNeeded
        };
        Ok(Self {
            cluster: Cluster::new(config.client.clone(), rng, true),
            config,
            accumulator: Accumulator::new(),
            partitioner: Partitioner::default(),
            identity,
            unplaced: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            flushes: VecDeque::new(),
            memory: 0,
            requests: BTreeMap::new(),
            events: VecDeque::new(),
            placed_at: 0,
            advanced_at: Instant::default(),
            closed: false,
        })
    }

    /// Whether records may come: the memory for those without an outcome is not used up. A record
    /// that comes nevertheless is taken.
    pub fn has_room(&self) -> bool {
        self.memory < self.config.buffer_memory
    }

    /// What is known of the cluster.
    pub fn metadata(&self) -> &Metadata {
        &self.cluster.metadata
    }

    /// Takes a record. Call `handle_timeout` once after some of these, to get them going.
    pub fn send(&mut self, now: Now, record: ProducerRecord, token: T) {
        let size = record.size_bound();
        if self.closed {
            return self.finish(token, Err(ProduceError::Closed));
        }
        if size > self.config.max_request_size {
            let max = self.config.max_request_size;
            return self.finish(token, Err(ProduceError::RecordTooLarge { size, max }));
        }
        self.memory += size;
        let timestamp = record.timestamp.unwrap_or(now.wall);
        match self.place(&record) {
            Some(partition) => {
                self.append(now.instant, &partition, &record, timestamp, None, token);
            }
            None => self.wait_for_place(now.instant, record, timestamp, token),
        }
    }

    /// Sends everything without lingering; `token` comes back when all records taken so far have an
    /// outcome.
    pub fn flush(&mut self, token: T) {
        let end = self.accumulator.next_id();
        self.flushes.push_back((end, token));
    }

    /// The next thing that has an outcome.
    pub fn poll_event(&mut self) -> Option<ProducerEvent<T>> {
        self.events.pop_front()
    }

    /// Gives up all records without an outcome and closes all connections. Flush before.
    pub fn close(&mut self, now: Now) {
        self.closed = true;
        self.cluster.close_all(now.instant);
        self.advance(now.instant);
        let error = ProduceError::Closed;
        for unplaced in std::mem::take(&mut self.unplaced).into_values().flatten() {
            self.finish(unplaced.token, Err(error.clone()));
        }
        for queue in std::mem::take(&mut self.accumulator.queues).into_values() {
            for batch in queue.waiting {
                self.fail(batch, &error);
            }
        }
        self.incomplete.clear();
        self.complete_flushes();
    }

    fn append(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        record: &ProducerRecord,
        timestamp: Timestamp,
        id: Option<u64>,
        token: T,
    ) {
        let arrival = Arrival {
            now,
            id,
            batch_size: self.config.batch_size,
            compression: self.config.compression,
        };
        let batch = self.accumulator.append(partition, record, timestamp, arrival, token);
        self.incomplete.insert(batch);
        if let Some(id) = id.filter(|id| *id != batch) {
            self.incomplete.remove(&id);
        }
    }

    fn wait_for_place(
        &mut self,
        now: Instant,
        record: ProducerRecord,
        timestamp: Timestamp,
        token: T,
    ) {
        self.cluster.want_topic(&record.topic);
        self.cluster.request_update();
        let id = self.accumulator.next_id();
        self.incomplete.insert(id);
        let topic = record.topic.clone();
        let deadline = now + self.config.max_block;
        let unplaced = Unplaced { id, record, timestamp, deadline, token };
        self.unplaced.entry(topic).or_default().push_back(unplaced);
    }

    /// The partition for a record, if its topic is known and has it.
    fn place(&mut self, record: &ProducerRecord) -> Option<TopicPartition> {
        let topic = self.cluster.metadata.topic(&record.topic)?;
        let count = topic.partition_count();
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => topic.partitions.contains_key(&partition).then_some(partition),
            (None, Some(key)) => (count > 0).then(|| partition_of_key(key, count)),
            (None, None) => self.partitioner.stick(
                topic,
                record.size_bound(),
                self.config.batch_size,
                &mut self.cluster.rng,
            ),
        };
        partition.map(|partition| TopicPartition { topic: record.topic.clone(), partition })
    }

    /// Finds places for records that had none, now that more may be known.
    fn place_waiting(&mut self, now: Instant) {
        let news = self.placed_at != self.cluster.update_count();
        self.placed_at = self.cluster.update_count();
        for (topic, waiting) in std::mem::take(&mut self.unplaced) {
            let mut still = VecDeque::new();
            for unplaced in waiting {
                let place = news.then(|| self.place(&unplaced.record)).flatten();
                match place {
                    Some(partition) => {
                        let Unplaced { id, record, timestamp, token, .. } = unplaced;
                        self.append(now, &partition, &record, timestamp, Some(id), token);
                    }
                    None => still.extend(self.keep_waiting(now, unplaced)),
                }
            }
            if !still.is_empty() {
                self.cluster.request_update();
                self.unplaced.insert(topic, still);
            }
        }
    }

    /// Gives the record back unless it has waited too long or in vain.
    fn keep_waiting(&mut self, now: Instant, unplaced: Unplaced<T>) -> Option<Unplaced<T>> {
        let code = self.cluster.metadata.topic_error(&unplaced.record.topic);
        let hopeless = code.is_some_and(|code| !code.is_retriable());
        if unplaced.deadline > now && !hopeless {
            return Some(unplaced);
        }
        let partition = TopicPartition {
            topic: unplaced.record.topic.clone(),
            partition: unplaced.record.partition.unwrap_or(PartitionId(-1)),
        };
        self.memory = self.memory.saturating_sub(unplaced.record.size_bound());
        self.incomplete.remove(&unplaced.id);
        let error = match code {
            Some(code) if hopeless => ProduceError::Refused(code.into()),
            code => ProduceError::NotFound { partition, code },
        };
        self.finish(unplaced.token, Err(error));
        None
    }

    fn advance(&mut self, now: Instant) {
        self.advanced_at = now;
        self.take_answers(now);
        self.place_waiting(now);
        self.expire(now);
        self.ask_for_identity(now);
        self.send_batches(now);
        // Answers that came at once, because nothing could be sent.
        self.take_answers(now);
        self.complete_flushes();
    }

    fn take_answers(&mut self, now: Instant) {
        self.cluster.advance(now);
        while let Some(Answer { tag, outcome, peer }) = self.cluster.poll_answer() {
            match tag {
                Tag::Identity => self.take_identity(now, outcome),
                Tag::Batches { broker, batches } => {
                    self.take_batches(now, peer, broker, batches, outcome);
                }
            }
        }
    }

    /// Gives up batches that have waited for longer than a delivery may take.
    fn expire(&mut self, now: Instant) {
        let limit = self.config.delivery_timeout;
        if self.accumulator.oldest().is_none_or(|created| created + limit > now) {
            return;
        }
        let mut expired = Vec::new();
        for queue in self.accumulator.queues.values_mut() {
            while let Some(batch) = queue.waiting.pop_front_if(|b| b.created + limit <= now) {
                if batch.stamp.is_some() {
                    queue.sequences.break_off();
                }
                expired.push(batch);
            }
        }
        for batch in expired {
            let error = ProduceError::Expired { code: batch.last_error };
            self.fail(batch, &error);
        }
    }

    fn fail(&mut self, batch: Batch<T>, error: &ProduceError) {
        self.forget(&batch);
        self.events.extend(batch.fail(error).map(ProducerEvent::from));
    }

    fn forget(&mut self, batch: &Batch<T>) {
        self.memory = self.memory.saturating_sub(batch.memory);
        self.incomplete.remove(&batch.id);
    }

    fn finish(&mut self, token: T, outcome: Result<Delivered, ProduceError>) {
        self.events.push_back(ProducerEvent::Delivered { token, outcome });
    }

    fn complete_flushes(&mut self) {
        let oldest = self.incomplete.first().copied().unwrap_or(u64::MAX);
        while let Some((_, token)) = self.flushes.pop_front_if(|(end, _)| *end <= oldest) {
            self.events.push_back(ProducerEvent::Flushed { token });
        }
    }

    fn pace(&self, now: Instant) -> Pace {
        Pace {
            now,
            linger: self.config.linger,
            batch_size: self.config.batch_size,
            max_in_flight: self.config.max_in_flight,
            hurry: !self.flushes.is_empty() || !self.has_room() || self.closed,
        }
    }
}

impl<T> From<batch::Outcome<T>> for ProducerEvent<T> {
    fn from((token, outcome): batch::Outcome<T>) -> Self {
        Self::Delivered { token, outcome }
    }
}

impl<T> Core for Producer<T> {
    fn handle_input(&mut self, now: Now, input: Input) {
        self.cluster.handle_input(now.instant, input);
        self.advance(now.instant);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.advance(now.instant);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.cluster.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let batches = self.accumulator.next_due(self.pace(self.advanced_at));
        let expiry = self.accumulator.oldest().map(|b| b + self.config.delivery_timeout);
        let unplaced = self.unplaced.values().filter_map(|w| w.front()).map(|u| u.deadline).min();
        let identity = match self.identity {
            IdentityState::Wanted { not_before, .. } => Some(not_before),
            _ => None,
        };
        let throttle = self.cluster.throttled_until(self.advanced_at);
        let due = [batches, expiry, unplaced, identity, throttle].into_iter().flatten();
        // What was due at the last advance and could not be done waits for a connection.
        let due = due.filter(|due| *due > self.advanced_at);
        due.chain(self.cluster.poll_timeout()).min()
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("memory", &self.memory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
