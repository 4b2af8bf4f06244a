//! The consumer's handle and its task.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    time::Duration,
};

use dohle_base::{LeaderEpoch, Offset, Str};
use dohle_client_core::{
    CommitError, CommittedOffset, ConfigError, ConsumeError, Consumer as Machine, ConsumerConfig,
    ConsumerEvent, ConsumerRecord, Core, Polled, RequestError, SeekTo, TopicPartition,
};
use tokio::sync::{mpsc, oneshot};

use crate::{clock::Clock, clock::fresh_rng, links::Links};

/// Commands that wait for the task. There is one handle, which mostly waits for each.
const COMMANDS_MAX: usize = 16;

/// Reads records. There is one handle; dropping it leaves the group without a commit.
///
/// Asking for more ([`Consumer::next`], [`Consumer::poll`], [`Consumer::recv`] with nothing left of
/// the last batch) says that everything received before has been worked on: with
/// `enable.auto.commit` only such records are committed. All futures can be dropped and called
/// again without losing a record.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use dohle_client::{ClientConfig, Consumer, ConsumerConfig, OffsetReset};
///
/// let mut config = ConsumerConfig::new(ClientConfig::parse("localhost:9092")?);
/// config.group_id = Some("readers".into());
/// config.auto_offset_reset = OffsetReset::Earliest;
/// let mut consumer = Consumer::new(config)?;
/// consumer.subscribe(["greetings"]).await?;
/// let record = consumer.recv().await?;
/// println!("{:?} at {}", record.value, record.offset);
/// consumer.commit().await?;
/// consumer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer {
    commands: mpsc::Sender<Command>,
    /// A poll without an outcome, from a future that was dropped.
    polling: Option<oneshot::Receiver<Outcome>>,
    /// What a poll brought and was not taken.
    news: Option<Outcome>,
    /// Records that were handed to us and not taken.
    unread: VecDeque<ConsumerRecord>,
}

type Outcome = Result<Polled, ConsumeError>;

#[derive(Debug)]
enum Command {
    Subscribe { topics: BTreeSet<Str>, done: oneshot::Sender<Result<(), ConfigError>> },
    Assign { partitions: BTreeSet<TopicPartition>, done: oneshot::Sender<()> },
    Poll { outcome: oneshot::Sender<Outcome> },
    CancelPoll { done: oneshot::Sender<()> },
    Commit { what: What, outcome: oneshot::Sender<Result<(), CommitError>> },
    Seek { partition: TopicPartition, to: SeekTo, done: oneshot::Sender<bool> },
    Pause { partitions: Vec<TopicPartition>, paused: bool },
    Ask { question: Question },
    Close { unread: BTreeMap<TopicPartition, Offset>, done: oneshot::Sender<()> },
}

/// What to commit.
#[derive(Debug)]
enum What {
    These(BTreeMap<TopicPartition, CommittedOffset>),
    /// All that was handed out but for what is unread.
    Consumed {
        unread: BTreeMap<TopicPartition, Offset>,
    },
}

#[derive(Debug)]
enum Question {
    Assignment(oneshot::Sender<BTreeSet<TopicPartition>>),
    Position(TopicPartition, oneshot::Sender<Option<Offset>>),
    EndOffset(TopicPartition, oneshot::Sender<Option<Offset>>),
}

/// Who waits for an outcome.
#[derive(Debug)]
enum Waiter {
    Poll(oneshot::Sender<Outcome>),
    Commit(oneshot::Sender<Result<(), CommitError>>),
    Close(Option<oneshot::Sender<()>>),
}

impl Consumer {
    /// A consumer with its task, in the runtime that this is called in. It connects when it is used.
    ///
    /// # Errors
    /// A configuration that cannot work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: ConsumerConfig) -> Result<Self, ConfigError> {
        let machine = Machine::new(config, fresh_rng())?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        tokio::spawn(run(machine, receiver));
        Ok(Self { commands, polling: None, news: None, unread: VecDeque::new() })
    }

    /// Shares the partitions of `topics` with the other members of the group, from now on and
    /// instead of what was chosen before. Without topics the group is left.
    ///
    /// # Errors
    /// Without `group.id`.
    pub async fn subscribe(
        &mut self,
        topics: impl IntoIterator<Item = impl Into<Str>>,
    ) -> Result<(), ConfigError> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.settle().await;
        let (done, reply) = oneshot::channel();
        self.command(Command::Subscribe { topics, done }).await;
        reply.await.unwrap_or(Ok(()))
    }

    /// Reads these partitions, whoever else does, from now on and instead of what was chosen
    /// before. Those that stay keep their place; others begin at the committed offset, or as
    /// `auto.offset.reset` says; [`Consumer::seek`] goes elsewhere.
    pub async fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let partitions: BTreeSet<_> = partitions.into_iter().collect();
        self.settle().await;
        self.unread.retain(|record| partitions.contains(&record.topic_partition()));
        let (done, reply) = oneshot::channel();
        self.command(Command::Assign { partitions, done }).await;
        let _ = reply.await;
    }

    /// Gives up all partitions, and leaves the group.
    pub async fn unsubscribe(&mut self) {
        self.assign([]).await;
    }

    /// The next batch of records, or news of the group, as soon as there are any.
    ///
    /// # Errors
    /// See [`ConsumeError`]; what to do is said there. The next call goes on with other partitions.
    pub async fn next(&mut self) -> Result<Polled, ConsumeError> {
        if !self.unread.is_empty() {
            let records = mem::take(&mut self.unread);
            return Ok(Polled::Records(records.into()));
        }
        if let Some(news) = self.news.take() {
            return news;
        }
        if self.polling.is_none() {
            let (outcome, reply) = oneshot::channel();
            // Nothing is lost if this future is dropped here: the slot comes before the promise.
            let slot = self.commands.reserve().await.map_err(|_| ConsumeError::Closed)?;
            slot.send(Command::Poll { outcome });
            self.polling = Some(reply);
        }
        let Some(polling) = &mut self.polling else { return Err(ConsumeError::Closed) };
        let outcome = polling.await;
        self.polling = None;
        outcome.unwrap_or(Err(ConsumeError::Closed))
    }

    /// The next records, or none if none come within `timeout`. News of the group is passed over.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord>, ConsumeError> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(Ok(Polled::Records(records))) => return Ok(records),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(Vec::new()),
            }
        }
    }

    /// The next record, as soon as there is one. News of the group is passed over.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn recv(&mut self) -> Result<ConsumerRecord, ConsumeError> {
        loop {
            if let Some(record) = self.unread.pop_front() {
                return Ok(record);
            }
            if let Polled::Records(records) = self.next().await? {
                self.unread = records.into();
            }
        }
    }

    /// Commits all records received so far, and waits until that is done.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&mut self) -> Result<(), CommitError> {
        self.settle().await;
        let unread = self.unread_offsets();
        self.commit_what(What::Consumed { unread }).await
    }

    /// Commits these offsets, each of the next record to read, and waits until that is done.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit_offsets(
        &mut self,
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), CommitError> {
        self.commit_what(What::These(offsets)).await
    }

    async fn commit_what(&mut self, what: What) -> Result<(), CommitError> {
        let (outcome, reply) = oneshot::channel();
        self.command(Command::Commit { what, outcome }).await;
        reply.await.unwrap_or(Err(CommitError::Request(RequestError::Closed)))
    }

    /// Goes elsewhere in a partition. Says whether it is ours.
    pub async fn seek(&mut self, partition: &TopicPartition, to: SeekTo) -> bool {
        self.settle().await;
        self.unread.retain(|record| record.topic_partition() != *partition);
        let (done, reply) = oneshot::channel();
        self.command(Command::Seek { partition: partition.clone(), to, done }).await;
        reply.await.unwrap_or(false)
    }

    /// Receives no records of these partitions until they are resumed; those of the last batch are
    /// still handed out.
    pub async fn pause(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let partitions = partitions.into_iter().collect();
        self.command(Command::Pause { partitions, paused: true }).await;
    }

    /// Receives records of these partitions again.
    pub async fn resume(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let partitions = partitions.into_iter().collect();
        self.command(Command::Pause { partitions, paused: false }).await;
    }

    /// The partitions that are ours.
    pub async fn assignment(&self) -> BTreeSet<TopicPartition> {
        let (answer, reply) = oneshot::channel();
        self.command(Command::Ask { question: Question::Assignment(answer) }).await;
        reply.await.unwrap_or_default()
    }

    /// The offset of the next record to be received, if it is known yet.
    pub async fn position(&mut self, partition: &TopicPartition) -> Option<Offset> {
        self.settle().await;
        if let Some(offset) = self.unread_offsets().get(partition) {
            return Some(*offset);
        }
        let (answer, reply) = oneshot::channel();
        let question = Question::Position(partition.clone(), answer);
        self.command(Command::Ask { question }).await;
        reply.await.ok().flatten()
    }

    /// The end of what can be read of a partition, as the last answer from its leader had it.
    pub async fn end_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let (answer, reply) = oneshot::channel();
        let question = Question::EndOffset(partition.clone(), answer);
        self.command(Command::Ask { question }).await;
        reply.await.ok().flatten()
    }

    /// Commits what was received, with `enable.auto.commit`, leaves the group and closes.
    pub async fn close(mut self) {
        self.settle().await;
        let (unread, (done, closed)) = (self.unread_offsets(), oneshot::channel());
        self.command(Command::Close { unread, done }).await;
        let _ = closed.await;
    }

    async fn command(&self, command: Command) {
        // Without a task there is no answer either, which is what the caller sees.
        let _ = self.commands.send(command).await;
    }

    /// Ends a poll that a dropped future began; what it brought is kept.
    async fn settle(&mut self) {
        if self.polling.is_none() {
            return;
        }
        let (done, reply) = oneshot::channel();
        self.command(Command::CancelPoll { done }).await;
        let _ = reply.await;
        match self.polling.take().map(|mut polling| polling.try_recv()) {
            Some(Ok(Ok(Polled::Records(records)))) => self.unread.extend(records),
            Some(Ok(news)) => self.news = Some(news),
            Some(Err(_)) | None => {}
        }
    }

    fn unread_offsets(&self) -> BTreeMap<TopicPartition, Offset> {
        let mut first = BTreeMap::new();
        for record in &self.unread {
            first.entry(record.topic_partition()).or_insert(record.offset);
        }
        first
    }
}

async fn run(mut machine: Machine<Waiter>, mut commands: mpsc::Receiver<Command>) {
    let clock = Clock::start();
    let (mut links, mut inputs) = Links::new();
    let mut ending = false;
    loop {
        links.carry_out(&mut machine, clock);
        if tell(&mut machine) {
            return;
        }
        tokio::select! {
            Some(input) = inputs.recv() => machine.handle_input(clock.now(), input),
            command = commands.recv(), if !ending => match command {
                Some(command) => ending = obey(&mut machine, clock, command),
                None => {
                    ending = true;
                    machine.close(clock.now(), false, Waiter::Close(None));
                }
            },
            () = clock.sleep_until(machine.poll_timeout()) => machine.handle_timeout(clock.now()),
        }
    }
}

/// Does what the handle wants. Says whether that is to close. A handle that does not wait any more
/// need not be answered.
fn obey(machine: &mut Machine<Waiter>, clock: Clock, command: Command) -> bool {
    let now = clock.now();
    match command {
        Command::Subscribe { topics, done } => {
            let _ = done.send(machine.subscribe(now, topics));
        }
        Command::Assign { partitions, done } => {
            machine.assign(now, partitions);
            let _ = done.send(());
        }
        Command::Poll { outcome } => machine.poll(now, Waiter::Poll(outcome)),
        Command::CancelPoll { done } => {
            machine.cancel_poll();
            let _ = done.send(());
        }
        Command::Commit { what, outcome } => {
            let offsets = match what {
                What::These(offsets) => offsets,
                What::Consumed { unread } => without(machine.consumed(), &unread),
            };
            machine.commit(now, offsets, Waiter::Commit(outcome));
        }
        Command::Seek { partition, to, done } => {
            let _ = done.send(machine.seek(now, &partition, to));
        }
        Command::Pause { partitions, paused: true } => machine.pause(&partitions),
        Command::Pause { partitions, paused: false } => machine.resume(now, &partitions),
        Command::Ask { question } => answer(machine, question),
        Command::Close { unread, done } => {
            for (partition, offset) in unread {
                machine.put_back(now, &partition, offset);
            }
            machine.close(now, true, Waiter::Close(Some(done)));
            return true;
        }
    }
    false
}

fn without(
    mut consumed: BTreeMap<TopicPartition, CommittedOffset>,
    unread: &BTreeMap<TopicPartition, Offset>,
) -> BTreeMap<TopicPartition, CommittedOffset> {
    for (partition, offset) in unread {
        if let Some(committed) = consumed.get_mut(partition) {
            committed.offset = *offset;
            committed.leader_epoch = LeaderEpoch::NONE;
        }
    }
    consumed
}

fn answer(machine: &Machine<Waiter>, question: Question) {
    match question {
        Question::Assignment(answer) => {
            let _ = answer.send(machine.assignment().cloned().collect());
        }
        Question::Position(partition, answer) => {
            let _ = answer.send(machine.position(&partition));
        }
        Question::EndOffset(partition, answer) => {
            let _ = answer.send(machine.end_offset(&partition));
        }
    }
}

/// Tells the handle what it waits for. Says whether all is over.
fn tell(machine: &mut Machine<Waiter>) -> bool {
    let mut over = false;
    while let Some(event) = machine.poll_event() {
        match event {
            ConsumerEvent::Polled { token: Waiter::Poll(waiter), outcome } => {
                let _ = waiter.send(outcome);
            }
            ConsumerEvent::Committed { token: Waiter::Commit(waiter), outcome } => {
                let _ = waiter.send(outcome);
            }
            ConsumerEvent::Closed { token: Waiter::Close(done) } => {
                if let Some(done) = done {
                    let _ = done.send(());
                }
                over = true;
            }
            _ => unreachable!("polls have outcomes, commits have theirs"),
        }
    }
    over
}
