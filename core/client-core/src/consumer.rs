//! A consumer: partitions in, records out, one poll at a time.
//!
//! ```text
//!   subscribe ─▶ membership ─▶ partitions ─┐
//!   assign ────────────────────────────────┴▶ positions ─▶ fetcher ─▶ buffer ─▶ poll
//!                                              ▲ committed, reset, seek            │
//!                                              └────────── commit ◀── processed ◀──┘
//! ```
//!
//! A poll says that everything handed out before has been worked on: only such records are
//! committed without being asked, and only between polls does the application lose partitions.
//!
//! Not here: the consumer protocol of KIP-848 and regular expressions, and how a caller waits: `T`
//! is its own ticket.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use dohle_base::{BrokerId, Instant, LeaderEpoch, Now, Offset, Rng, Str};

use crate::{
    ConfigError, Core, Input, Metadata, Output, TopicPartition,
    cluster::Cluster,
    connections::Answer,
    coordinator::{Coordinator, CoordinatorKind},
};

mod assignor;
mod closing;
mod commit;
mod config;
mod fetched;
mod fetcher;
mod group;
mod membership;
mod offsets;
mod polling;
mod positions;
mod record;
mod session;
mod subscription;

pub use assignor::Assignor;
pub use config::{ConsumerConfig, IsolationLevel, OffsetReset};
pub use record::{CommitError, CommittedOffset, ConsumeError, ConsumerRecord};
pub(crate) use subscription::decode_assignment;

use closing::Close;
use commit::Commits;
use fetched::Fetched;
use membership::Membership;
use positions::{Place, Positions, Stage};
use session::Session;

/// A consumer. `T` is what a caller gives to recognise the outcome of what it asked for.
pub struct Consumer<T> {
    config: ConsumerConfig,
    cluster: Cluster<Tag>,
    /// What is subscribed to; `None` if partitions were assigned by hand, or nothing was chosen.
    topics: Option<BTreeSet<Str>>,
    positions: Positions,
    buffer: VecDeque<Fetched>,
    sessions: BTreeMap<BrokerId, Session>,
    /// Brokers with a fetch under way.
    fetching: BTreeSet<BrokerId>,
    coordinator: Option<Coordinator>,
    membership: Membership,
    /// Why the group will not have us.
    group_failed: Option<ConsumeError>,
    commits: Commits<T>,
    /// Who waits for records.
    poll: Option<T>,
    polled_at: Instant,
    notices: VecDeque<Notice>,
    events: VecDeque<ConsumerEvent<T>>,
    /// How often metadata had been updated when its errors were last looked at.
    checked_at: u64,
    advanced_at: Instant,
    closing: bool,
    close: Option<Close<T>>,
}

/// What has become of something that was asked for.
#[derive(Debug, PartialEq)]
pub enum ConsumerEvent<T> {
    /// A poll has something.
    Polled {
        /// What came with the poll.
        token: T,
        /// Records or news.
        outcome: Result<Polled, ConsumeError>,
    },
    /// A commit has an outcome.
    Committed {
        /// What came with the commit.
        token: T,
        /// Whether all offsets are committed.
        outcome: Result<(), CommitError>,
    },
    /// The group has been left and all is closed.
    Closed {
        /// What came with the call.
        token: T,
    },
}

/// What a poll can bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Records, those of a partition in order. Never empty.
    Records(Vec<ConsumerRecord>),
    /// The group has given us these besides those that we have; perhaps none.
    Assigned(Vec<TopicPartition>),
    /// The group takes these. Until the next poll, offsets for them can still be committed.
    Revoked(Vec<TopicPartition>),
    /// The group has already given these to others.
    Lost(Vec<TopicPartition>),
}

/// Where to go in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// This offset.
    Offset(Offset),
    /// The oldest record.
    Beginning,
    /// Behind the newest record.
    End,
    /// The first record of this time, in ms since 1970, or a later one; the end if there is none.
    Timestamp(i64),
}

/// What a poll shall be told.
#[derive(Debug)]
enum Notice {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    Error(ConsumeError),
}

/// Whose request an answer is for.
#[derive(Debug)]
enum Tag {
    Coordinator,
    Join,
    Sync,
    Heartbeat { generation: i32 },
    Leave,
    Committed { wanted: Vec<TopicPartition> },
    Resets { wanted: Vec<(TopicPartition, i64)> },
    Fetch { broker: BrokerId },
    Commit { id: u64 },
}

impl<T> Consumer<T> {
    /// A consumer that has not connected yet.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(config: ConsumerConfig, rng: Rng) -> Result<Self, ConfigError> {
        config.check()?;
        let coordinator = |id: &Str| Coordinator::new(CoordinatorKind::Group, id.clone());
        Ok(Self {
            cluster: Cluster::new(config.client.clone(), rng, config.allow_auto_create_topics),
            topics: None,
            positions: Positions::default(),
            buffer: VecDeque::new(),
            sessions: BTreeMap::new(),
            fetching: BTreeSet::new(),
            coordinator: config.group_id.as_ref().map(coordinator),
            membership: Membership::new(),
            group_failed: None,
            commits: Commits::new(),
            poll: None,
            polled_at: Instant::default(),
            notices: VecDeque::new(),
            events: VecDeque::new(),
            checked_at: 0,
            advanced_at: Instant::default(),
            closing: false,
            close: None,
            config,
        })
    }

    /// What is known of the cluster.
    pub fn metadata(&self) -> &Metadata {
        &self.cluster.metadata
    }

    /// Shares the partitions of `topics` with the other members of the group, from now on and
    /// instead of what was chosen before. Without topics the group is left.
    ///
    /// # Errors
    /// Without `group.id`.
    pub fn subscribe(&mut self, now: Now, topics: BTreeSet<Str>) -> Result<(), ConfigError> {
        if self.config.group_id.is_none() {
            return Err(ConfigError::Missing { setting: "group.id" });
        }
        if topics.is_empty() {
            self.unsubscribe(now);
            return Ok(());
        }
        if self.topics.is_none() {
            self.clear_partitions();
        }
        self.cluster.want_topics(topics.clone());
        self.topics = Some(topics);
        self.group_failed = None;
        self.membership.rejoin = true;
        self.polled_at = now.instant;
        self.advance(now.instant);
        Ok(())
    }

    /// Reads these partitions, whoever else does, from now on and instead of what was chosen
    /// before. Those that stay keep their place; others begin at the committed offset, or as
    /// `auto.offset.reset` says.
    pub fn assign(&mut self, now: Now, partitions: BTreeSet<TopicPartition>) {
        if self.topics.is_some() {
            self.unsubscribe(now);
        }
        let gone: Vec<_> = self
            .positions
            .partitions
            .keys()
            .filter(|p| !partitions.contains(*p))
            .cloned()
            .collect();
        for partition in gone {
            self.positions.remove(&partition);
            self.discard_buffered(&partition);
        }
        let topics = partitions.iter().map(|partition| partition.topic.clone());
        self.cluster.want_topics(topics.collect());
        for partition in partitions {
            if self.positions.get(&partition).is_some() {
                continue;
            }
            self.positions.add(partition.clone(), Stage::Unset);
            if self.coordinator.is_none() {
                let error = ConsumeError::NoOffset { partition: partition.clone() };
                self.reset(&partition, error);
            }
        }
        self.advance(now.instant);
    }

    /// Gives up all partitions, and leaves the group.
    pub fn unsubscribe(&mut self, now: Now) {
        if self.topics.take().is_some() {
            self.send_leave(now.instant);
            self.membership = Membership::new();
            self.group_failed = None;
        }
        self.clear_partitions();
        self.advance(now.instant);
    }

    /// The partitions that are ours.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.positions.partitions.keys()
    }

    /// The offset of the next record to be handed out, if it is known yet.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition)?.consumed().map(|place| place.offset)
    }

    /// The end of what can be read, as the last answer had it.
    pub fn end_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.positions.get(partition)?.end_offset
    }

    /// Goes elsewhere in a partition. Says whether it is ours.
    pub fn seek(&mut self, now: Now, partition: &TopicPartition, to: SeekTo) -> bool {
        self.discard_buffered(partition);
        let Some(position) = self.positions.get_mut(partition) else { return false };
        match to {
            SeekTo::Offset(offset) => position.set(Place { offset, epoch: LeaderEpoch::NONE }),
            SeekTo::Beginning => position.stage = Stage::Reset { timestamp: -2 },
            SeekTo::End => position.stage = Stage::Reset { timestamp: -1 },
            SeekTo::Timestamp(timestamp) => {
                position.stage = Stage::Reset { timestamp: timestamp.max(0) };
            }
        }
        self.advance(now.instant);
        true
    }

    /// Goes back to what a caller was handed and has not looked at, so that it is neither committed
    /// nor lost. Says whether the partition is ours.
    pub fn put_back(&mut self, now: Now, partition: &TopicPartition, offset: Offset) -> bool {
        let consumed = self.position(partition);
        // Forwards it would pass over records.
        consumed.is_some_and(|consumed| offset < consumed)
            && self.seek(now, partition, SeekTo::Offset(offset))
    }

    /// Hands out no records of these partitions until they are resumed.
    pub fn pause(&mut self, partitions: &[TopicPartition]) {
        self.set_paused(partitions, true);
    }

    /// Hands out records of these partitions again.
    pub fn resume(&mut self, now: Now, partitions: &[TopicPartition]) {
        self.set_paused(partitions, false);
        self.advance(now.instant);
    }

    /// Asks for records or news; `token` comes back when there are some. What was handed out before
    /// counts as worked on.
    ///
    /// # Panics
    /// When another poll has no outcome yet.
    pub fn poll(&mut self, now: Now, token: T) {
        assert!(self.poll.is_none(), "one poll at a time");
        if self.closing {
            let outcome = Err(ConsumeError::Closed);
            return self.events.push_back(ConsumerEvent::Polled { token, outcome });
        }
        self.polled_at = now.instant;
        for position in self.positions.partitions.values_mut() {
            position.mark_processed();
        }
        self.acknowledge_loss();
        self.poll = Some(token);
        self.advance(now.instant);
    }

    /// Takes a poll back that has no outcome yet.
    pub fn cancel_poll(&mut self) -> Option<T> {
        self.poll.take()
    }

    /// Commits these offsets; `token` comes back with the outcome.
    pub fn commit(
        &mut self,
        now: Now,
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
        token: T,
    ) {
        if self.config.group_id.is_none() || self.closing {
            let outcome = Err(CommitError::NoGroup);
            return self.events.push_back(ConsumerEvent::Committed { token, outcome });
        }
        if offsets.is_empty() {
            let outcome = Ok(());
            return self.events.push_back(ConsumerEvent::Committed { token, outcome });
        }
        self.begin_commit(now.instant, offsets, Some(token));
        self.advance(now.instant);
    }

    /// What would be committed if all that was handed out were worked on.
    pub fn consumed(&self) -> BTreeMap<TopicPartition, CommittedOffset> {
        let places = self.positions.partitions.iter().filter_map(|(partition, position)| {
            let Place { offset, epoch } = position.consumed()?;
            let committed = CommittedOffset { offset, leader_epoch: epoch, metadata: None };
            Some((partition.clone(), committed))
        });
        places.collect()
    }

    /// The next thing that has an outcome.
    pub fn poll_event(&mut self) -> Option<ConsumerEvent<T>> {
        self.events.pop_front()
    }

    fn advance(&mut self, now: Instant) {
        self.advanced_at = now;
        self.take_answers(now);
        self.advance_group(now);
        self.advance_commits(now);
        self.ask_for_offsets(now);
        self.serve();
        if !self.closing {
            self.send_fetches(now);
        }
        // Answers that came at once, because nothing could be sent.
        self.take_answers(now);
        self.serve();
        self.advance_close(now);
    }

    fn take_answers(&mut self, now: Instant) {
        self.cluster.advance(now);
        while let Some(Answer { tag, outcome, .. }) = self.cluster.poll_answer() {
            match tag {
                Tag::Coordinator => self.take_coordinator(now, outcome),
                Tag::Join => self.take_join(now, outcome),
                Tag::Sync => self.take_sync(now, outcome),
                Tag::Heartbeat { generation } => self.take_heartbeat(now, generation, outcome),
                Tag::Leave => {}
                Tag::Committed { wanted } => self.take_committed(now, &wanted, outcome),
                Tag::Resets { wanted } => self.take_resets(now, wanted, outcome),
                Tag::Fetch { broker } => self.take_fetch(now, broker, outcome),
                Tag::Commit { id } => self.take_commit(now, id, outcome),
            }
        }
        self.check_topics();
    }

    /// Tells what brokers say of topics that will not get better.
    fn check_topics(&mut self) {
        if self.checked_at == self.cluster.update_count() {
            return;
        }
        self.checked_at = self.cluster.update_count();
        let subscribed = self.topics.iter().flatten().cloned();
        let assigned = self.positions.partitions.keys().map(|p| p.topic.clone());
        for topic in subscribed.chain(assigned).collect::<BTreeSet<_>>() {
            let code = self.cluster.metadata.topic_error(&topic);
            if let Some(code) = code.filter(|code| !code.is_retriable()) {
                self.report(ConsumeError::Refused { topic, error: code.into() });
            }
        }
    }

    fn clear_partitions(&mut self) {
        self.positions = Positions::default();
        self.buffer.clear();
        self.notices.clear();
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) {
        for partition in partitions {
            if let Some(position) = self.positions.get_mut(partition) {
                position.paused = paused;
            }
        }
    }
}

impl<T> Core for Consumer<T> {
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
        let uncommitted = self.config.commits_itself() && self.positions.has_uncommitted();
        let due = [
            self.next_group_deadline(),
            self.positions.next_due(self.advanced_at),
            uncommitted.then_some(self.commits.due),
            self.coordinator.as_ref().and_then(Coordinator::due),
            self.close.as_ref().map(|close| close.deadline),
            self.cluster.throttled_until(self.advanced_at),
        ];
        let due = due.into_iter().flatten().chain(self.commits.next_due());
        // What was due at the last advance and could not be done waits for a connection.
        let due = due.filter(|due| *due > self.advanced_at);
        due.chain(self.cluster.poll_timeout()).min()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
