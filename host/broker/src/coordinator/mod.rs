//! The driver of the group coordinators: one thread that owns the machine of every partition of
//! `__consumer_offsets` that this node leads.
//!
//! ```text
//!   handler ──Ask──▶ inbox ──▶ Runtime<GroupMachine> ──append──▶ partition
//!      ▲                              │
//!      └────────── oneshot ◀──────────┘ once the high watermark has passed
//! ```
//!
//! The thread sleeps while nobody asks and no timer of a group is due.
//! Not here: what a group is (core/group), and which partition a group belongs to (the handlers).

mod journal;
mod load;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    thread::JoinHandle,
    time::Duration,
};

use dohle_base::{ErrorCode, Instant, Now, PartitionId, Str, TopicId};
use dohle_config::Offsets;
use dohle_group::{
    Command, Effect, GroupMachine, GroupSettings, Names, Reply, ReplyToken, append_error,
};
use dohle_machine::{Rejected, Runtime};
use dohle_os::Clock;
use dohle_records::{Codec, Compression};
use dohle_replication::wait::{Satisfied, Wait};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::{fatal::Fatal, partition::Partition};
use journal::OffsetsJournal;

/// How many requests may wait for the coordinator thread before senders wait themselves.
const INBOX_MAX: usize = 1_024;

/// How many events are handled before replies that are due leave.
const EVENTS_PER_ROUND: usize = 128;

/// How long a machine rests whose log refused what its timers wanted to write.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How coordinators write.
#[derive(Clone, Copy, Debug)]
pub struct GroupWrites {
    /// How the records are compressed.
    pub compression: Compression,
    /// How long an answer waits until what it rests on is committed. Source: Kafka 4.4 answers then as if
    /// there was no coordinator, and what was written stays.
    pub commit_max: Duration,
}

impl GroupWrites {
    /// As the node's configuration says.
    pub fn of(offsets: &Offsets) -> Self {
        let codec = Codec::from_id(offsets.compression_codec).unwrap_or_default();
        let commit_max = u64::try_from(offsets.commit_timeout_ms).unwrap_or(0);
        Self { compression: codec.into(), commit_max: Duration::from_millis(commit_max) }
    }
}

/// What reaches the coordinator thread.
enum Event {
    /// A request, for the group's partition.
    Ask {
        partition: PartitionId,
        token: ReplyToken,
        command: Box<Command>,
        reply: oneshot::Sender<Reply>,
    },
    /// This node leads the partition from now on.
    Elected(Arc<Partition>),
    /// This node no longer leads it, or it is gone.
    Resigned(PartitionId),
    /// Topics were deleted.
    TopicsDeleted(Vec<(Str, TopicId)>),
    /// End of the thread.
    Stop,
}

/// Reaches the coordinator thread.
pub struct Coordinator {
    inbox: mpsc::Sender<Event>,
    next_token: AtomicU64,
}

impl Coordinator {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread or runtime to give.
    pub fn start(
        settings: GroupSettings,
        writes: GroupWrites,
        clock: Clock,
        fatal: &Fatal,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (inbox, events) = mpsc::channel(INBOX_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let worker = Worker { settings, writes, clock, led: BTreeMap::new() };
        let run = move || runtime.block_on(worker.run(events));
        let thread = fatal.start_thread("coordinator", run)?;
        Ok((Self { inbox, next_token: AtomicU64::new(0) }, thread))
    }

    /// A name for whoever waits for an answer.
    pub fn token(&self) -> ReplyToken {
        ReplyToken(self.next_token.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks the coordinator of `partition` and waits for the answer.
    ///
    /// # Panics
    /// When the command is an event: nobody answers those.
    pub async fn ask(&self, partition: PartitionId, command: Command) -> Reply {
        let refusal = command.refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        let (token, refusal) = refusal.expect("a request has somebody who waits for an answer");
        let (reply, answer) = oneshot::channel();
        let command = Box::new(command);
        let event = Event::Ask { partition, token, command, reply };
        match self.inbox.send(event).await {
            // The thread answers all before it ends, unless it ends by a panic.
            Ok(()) => answer.await.unwrap_or(refusal),
            Err(_) => refusal,
        }
    }

    /// Tells that this node leads a partition of `__consumer_offsets`.
    pub fn elected(&self, partition: Arc<Partition>) {
        self.tell(Event::Elected(partition));
    }

    /// Tells that this node does not lead it any longer.
    pub fn resigned(&self, partition: PartitionId) {
        self.tell(Event::Resigned(partition));
    }

    /// Tells that topics were deleted, and their offsets with them.
    pub fn topics_deleted(&self, topics: Vec<(Str, TopicId)>) {
        self.tell(Event::TopicsDeleted(topics));
    }

    /// Ends the thread, once it has answered what reached it before.
    pub fn stop(&self) {
        self.tell(Event::Stop);
    }

    /// From threads that may block: the controller's and the main one.
    fn tell(&self, event: Event) {
        // Fails only when the thread has ended, and then there is nobody to tell.
        let _ = self.inbox.blocking_send(event);
    }
}

/// One partition that this node leads.
struct Led {
    partition: Arc<Partition>,
    writes: GroupWrites,
    runtime: Runtime<GroupMachine>,
    waiting: BTreeMap<ReplyToken, oneshot::Sender<Reply>>,
    /// Not ticked before: its log refused.
    resting_until: Option<Instant>,
    /// Effects are held until what they rest on is committed.
    commit: Option<Satisfied>,
}

/// Ready after `wait`; never if there is nothing to wait for.
async fn rest(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

struct Worker {
    settings: GroupSettings,
    writes: GroupWrites,
    clock: Clock,
    led: BTreeMap<PartitionId, Led>,
}

impl Worker {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        loop {
            let wait = self.deadline().map(|deadline| deadline.since(self.clock.now().instant));
            let mut next = tokio::select! {
                event = events.recv() => event,
                () = self.commits() => {
                    let now = self.clock.now();
                    self.led.values_mut().for_each(|led| led.release(now));
                    continue;
                }
                () = rest(wait) => {
                    self.tick();
                    continue;
                }
            };
            for _ in 0..EVENTS_PER_ROUND {
                match next {
                    None | Some(Event::Stop) => return self.resign_all(),
                    Some(event) => self.handle(event),
                }
                let Ok(event) = events.try_recv() else { break };
                next = Some(event);
            }
            self.tick();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.led.values().filter_map(Led::deadline).min()
    }

    /// Ready when something is committed that effects wait for.
    fn commits(&mut self) -> impl Future<Output = ()> {
        let led = &mut self.led;
        poll_fn(move |context| {
            let mut commits = led.values_mut().filter_map(|led| led.commit.as_mut());
            match commits.any(|commit| Pin::new(commit).poll(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask { partition, token, command, reply } => {
                let Some(led) = self.led.get_mut(&partition) else {
                    if let Some((_, refusal)) = command.refuse(ErrorCode::NOT_COORDINATOR) {
                        let _ = reply.send(refusal); // The client may have left.
                    }
                    return;
                };
                led.waiting.insert(token, reply);
                led.handle(&self.clock, *command);
            }
            Event::Elected(partition) => self.elect(partition),
            Event::Resigned(partition) => {
                if let Some(led) = self.led.remove(&partition) {
                    led.resign(&self.clock);
                }
            }
            Event::TopicsDeleted(topics) => {
                for led in self.led.values_mut() {
                    led.handle(&self.clock, Command::TopicsDeleted(topics.clone()));
                }
            }
            Event::Stop => {}
        }
    }

    fn elect(&mut self, partition: Arc<Partition>) {
        let index = partition.index();
        match load::load(&partition) {
            Ok(runtime) => {
                let waiting = BTreeMap::new();
                let (resting_until, commit, writes) = (None, None, self.writes);
                let mut led = Led { partition, writes, runtime, waiting, resting_until, commit };
                led.handle(&self.clock, Command::Configure(self.settings.clone()));
                led.handle(&self.clock, Command::Loaded);
                self.led.insert(index, led);
            }
            // Its groups have no coordinator until the partition is repaired; all others go on.
            Err(reason) => error!(%index, "offsets partition not loaded: {reason}"),
        }
    }

    fn tick(&mut self) {
        for led in self.led.values_mut() {
            led.tick(&self.clock);
            led.give_up(self.clock.now());
        }
    }

    fn resign_all(self) {
        let count = self.led.len();
        for led in self.led.into_values() {
            led.resign(&self.clock);
        }
        info!(partitions = count, "group coordinator stopped");
    }
}

impl Led {
    /// When to come back: for what is due, or for who has waited for too long.
    fn deadline(&self) -> Option<Instant> {
        let given_up = self.runtime.held_since().map(|since| since + self.writes.commit_max);
        self.due().into_iter().chain(given_up).min()
    }

    /// When the machine has something to do.
    fn due(&self) -> Option<Instant> {
        let deadline = self.runtime.deadline()?;
        Some(self.resting_until.map_or(deadline, |until| deadline.max(until)))
    }

    fn handle(&mut self, clock: &Clock, command: Command) {
        self.handle_at(clock.now(), command);
    }

    fn handle_at(&mut self, now: Now, command: Command) {
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let result = self.runtime.handle(now, command, &mut journal);
        self.settle(now, result);
    }

    /// One bounded portion of what is due. The worker comes back while more is.
    fn tick(&mut self, clock: &Clock) {
        let now = clock.now();
        if self.due().is_none_or(|due| due > now.instant) {
            return;
        }
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let result = self.runtime.tick(now, &mut journal);
        let refusal = result.as_ref().err().map(|rejected| rejected.error);
        self.settle(now, result);
        self.resting_until = match refusal {
            Some(error) if is_for_size(error) => {
                self.handle_at(now, Command::TickTooLarge);
                None
            }
            Some(_) => Some(now.instant + RETRY_AFTER),
            None => None,
        };
    }

    fn settle(&mut self, now: Now, result: Result<(), Rejected<Effect, ErrorCode>>) {
        if let Err(Rejected { error, effects }) = result {
            effects.into_iter().for_each(|effect| self.fail(effect, append_error(error)));
        }
        self.release(now);
    }

    /// Carries out the effects that rest on what is committed, and waits for what the others do.
    fn release(&mut self, now: Now) {
        self.commit = None;
        self.runtime.handle_high_watermark(self.partition.high_watermark());
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Reply { token, reply } => self.answer(token, reply),
                Effect::ParkedJoin { .. } => {}
                Effect::Told { group_id, member_id } => self.told(now, group_id, member_id),
                Effect::TombstoneTooLarge(names) => self.tell_too_large(&names),
            }
        }
        let Some(end) = self.runtime.awaited() else { return };
        let wait = Wait::new(1);
        match self.partition.is_committed(end, &wait) {
            // One that is not led any more is resigned soon, and its effects with it.
            Ok(false) | Err(_) => self.commit = Some(Satisfied(wait)),
            // Just now.
            Ok(true) => self.release(now),
        }
    }

    /// Answers who has waited for too long until something is committed.
    fn give_up(&mut self, now: Now) {
        let limit = self.writes.commit_max;
        if self.runtime.held_since().is_none_or(|since| since + limit > now.instant) {
            return;
        }
        // It may have been committed just now.
        self.release(now);
        while let Some(effect) = self.runtime.poll_overdue(now.instant, limit) {
            match effect {
                Effect::Told { group_id, member_id } => self.told(now, group_id, member_id),
                effect => self.fail(effect, append_error(ErrorCode::REQUEST_TIMED_OUT)),
            }
        }
        self.release(now);
    }

    /// A member has been answered: the time of its session begins.
    fn told(&mut self, now: Now, group_id: Str, member_id: Str) {
        let compression = self.writes.compression;
        let mut journal = OffsetsJournal { partition: &self.partition, compression, now };
        let told = Command::Told { group_id, member_id };
        let result = self.runtime.handle(now, told, &mut journal);
        result.unwrap_or_else(|_| unreachable!("that writes nothing"));
    }

    fn fail(&mut self, effect: Effect, error: ErrorCode) {
        if let Some((token, reply)) = effect.fail(error) {
            self.answer(token, reply);
        }
    }

    fn tell_too_large(&self, Names { group_id, topic }: &Names) {
        let (partition, topic) = (&self.partition, topic.as_deref().unwrap_or("none"));
        error!(%partition, %group_id, topic, "a tombstone exceeds max.message.bytes; it is tried again from time to time");
    }

    fn answer(&mut self, token: ReplyToken, reply: Reply) {
        if let Some(waiting) = self.waiting.remove(&token) {
            let _ = waiting.send(reply); // The client may have left.
        }
    }

    fn resign(mut self, clock: &Clock) {
        self.handle(clock, Command::Unloaded);
        let held: Vec<Effect> = self.runtime.resign().collect();
        for effect in held {
            self.fail(effect, ErrorCode::NOT_COORDINATOR);
        }
    }
}

/// Whether a log refused records for what they are: it takes others.
fn is_for_size(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE)
}

#[cfg(test)]
mod tests;
