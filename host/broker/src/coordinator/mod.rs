//! The driver of the group coordinators: one thread that owns the machine of every partition of
//! `__consumer_offsets` that this node leads.
//!
//! ```text
//!   handler ──Ask──▶ inbox ──▶ Runtime<GroupMachine> ──append──▶ partition
//!      ▲                         ▲    │                             │
//!      │                         └────│──── loader's thread ◀──read─┘ when this node begins to lead
//!      └────────── oneshot ◀──────────┘ once the high watermark has passed
//! ```
//!
//! The thread sleeps while nobody asks and no timer of a group is due. It reads nothing: what is asked of groups
//! whose partition is still being read waits for a moment, and is then refused with COORDINATOR_LOAD_IN_PROGRESS.
//! Not here: what a group is (core/group), and which partition a group belongs to (the handlers).

mod journal;
mod led;
mod load;
mod loader;
mod loading;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc as jobs,
    },
    task::Poll,
    thread::JoinHandle,
    time::Duration,
};

use dohle_base::{ErrorCode, Instant, Now, PartitionId, Str, TopicId};
use dohle_config::Offsets;
use dohle_group::{Command, GroupSettings, Reply, ReplyToken};
use dohle_os::Clock;
use dohle_records::{Codec, Compression};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use self::{
    led::Led,
    loader::{Job, LoadId, Loader, Outcome},
    loading::Loading,
};
use crate::{fatal::Fatal, partition::Partition};

/// How many requests may wait for the coordinator thread before senders wait themselves. Source: more than a node has
/// members; a heartbeat that finds no room would not be known to have come.
const INBOX_MAX: usize = 65_536;

/// How many events are handled before replies that are due leave.
const EVENTS_PER_ROUND: usize = 128;

/// How long requests wait for a partition that is being read. Source: most are read by then, and whoever waits is
/// answered sooner than by asking again; it is less than clients take between heartbeats.
const LOAD_PATIENCE: Duration = Duration::from_secs(1);

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
    Ask(PartitionId, Asked),
    /// This node leads the partition from now on.
    Elected(Arc<Partition>),
    /// This node no longer leads it, or it is gone.
    Resigned(PartitionId),
    /// Topics were deleted.
    TopicsDeleted(Vec<(Str, TopicId)>),
    /// End of the thread.
    Stop,
}

/// A request, and who waits for the answer.
struct Asked {
    token: ReplyToken,
    command: Box<Command>,
    reply: oneshot::Sender<Reply>,
}

impl Asked {
    fn refuse(self, error: ErrorCode) {
        if let Some((_, refusal)) = self.command.refuse(error) {
            let _ = self.reply.send(refusal); // The client may have left.
        }
    }
}

/// Reaches the coordinator thread.
pub struct Coordinator {
    inbox: mpsc::Sender<Event>,
    next_token: AtomicU64,
}

impl Coordinator {
    /// Starts the thread, and the one that reads for it.
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
        let (Loader { jobs, outcomes }, loader) = Loader::start(fatal)?;
        let worker = Worker::new(settings, writes, jobs);
        let run = move || {
            runtime.block_on(worker.run(clock, events, outcomes));
            // A panic of its was told by itself.
            let _ = loader.join();
        };
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
        let event = Event::Ask(partition, Asked { token, command, reply });
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
    led: BTreeMap<PartitionId, Led>,
    /// Those that are not read to their end yet.
    loading: BTreeMap<PartitionId, Loading>,
    jobs: jobs::Sender<Job>,
    next_load: u64,
}

impl Worker {
    fn new(settings: GroupSettings, writes: GroupWrites, jobs: jobs::Sender<Job>) -> Self {
        let (led, loading) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, writes, led, loading, jobs, next_load: 0 }
    }

    async fn run(
        mut self,
        clock: Clock,
        mut events: mpsc::Receiver<Event>,
        mut outcomes: mpsc::UnboundedReceiver<Outcome>,
    ) {
        while self.turn(&clock, &mut events, &mut outcomes).await.is_continue() {}
        self.resign_all(clock.now());
    }

    /// What comes next; breaks at the end.
    async fn turn(
        &mut self,
        clock: &Clock,
        events: &mut mpsc::Receiver<Event>,
        outcomes: &mut mpsc::UnboundedReceiver<Outcome>,
    ) -> ControlFlow<()> {
        let wait = self.deadline().map(|deadline| deadline.since(clock.now().instant));
        tokio::select! {
            event = events.recv() => self.round(clock, event, events)?,
            Some(outcome) = outcomes.recv() => self.take_over(clock.now(), outcome),
            () = self.commits() => {
                let now = clock.now();
                self.led.values_mut().for_each(|led| led.release(now));
                return ControlFlow::Continue(());
            }
            () = rest(wait) => {}
        }
        self.tick(clock.now(), events)
    }

    fn round(
        &mut self,
        clock: &Clock,
        first: Option<Event>,
        events: &mut mpsc::Receiver<Event>,
    ) -> ControlFlow<()> {
        self.handle(clock.now(), first.unwrap_or(Event::Stop))?;
        for _ in 1..EVENTS_PER_ROUND {
            let Ok(event) = events.try_recv() else { break };
            self.handle(clock.now(), event)?;
        }
        ControlFlow::Continue(())
    }

    fn deadline(&self) -> Option<Instant> {
        let led = self.led.values().filter_map(Led::deadline);
        led.chain(self.loading.values().filter_map(Loading::deadline)).min()
    }

    /// Ready when something is committed that effects wait for.
    fn commits(&mut self) -> impl Future<Output = ()> {
        let led = &mut self.led;
        poll_fn(move |context| {
            match led.values_mut().any(|led| led.poll_commit(context).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
    }

    /// Breaks at the end of the thread.
    fn handle(&mut self, now: Now, event: Event) -> ControlFlow<()> {
        match event {
            Event::Ask(partition, asked) => {
                if let Some(led) = self.led.get_mut(&partition) {
                    led.ask(now, asked);
                } else if let Some(loading) = self.loading.get_mut(&partition) {
                    loading.ask(now.instant, asked);
                } else {
                    asked.refuse(ErrorCode::NOT_COORDINATOR);
                }
            }
            Event::Elected(partition) => self.elect(now, partition),
            Event::Resigned(partition) => self.resign(now, partition),
            Event::TopicsDeleted(topics) => {
                for led in self.led.values_mut() {
                    led.handle(now, Command::TopicsDeleted(topics.clone()));
                }
                self.loading.values_mut().for_each(|loading| loading.topics_deleted(&topics));
            }
            Event::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn elect(&mut self, now: Now, partition: Arc<Partition>) {
        let index = partition.index();
        self.resign(now, index);
        let id = LoadId(self.next_load);
        self.next_load += 1;
        self.loading.insert(index, Loading::new(id, now.instant, LOAD_PATIENCE));
        // Fails only when the loader has panicked, which ends the node.
        let _ = self.jobs.send(Job { id, partition });
    }

    /// A partition is read: its groups are coordinated, if this node still leads it.
    fn take_over(&mut self, now: Now, outcome: Outcome) {
        let Outcome { id, partition, machine } = outcome;
        let index = partition.index();
        if self.loading.get(&index).is_none_or(|loading| loading.id != id) {
            return;
        }
        let Some(mut loading) = self.loading.remove(&index) else { return };
        match machine {
            Ok(runtime) => {
                let mut led = Led::new(partition, self.writes, runtime);
                led.handle(now, Command::Configure(self.settings.clone()));
                led.handle(now, Command::Loaded);
                let (waiting, deleted) = loading.loaded();
                waiting.into_iter().for_each(|asked| led.ask(now, asked));
                deleted.into_iter().for_each(|deleted| led.handle(now, deleted));
                self.led.insert(index, led);
            }
            // Its groups have no coordinator until the partition is repaired; all others go on.
            Err(reason) => {
                error!(%index, "offsets partition not loaded: {reason}");
                loading.refuse(ErrorCode::NOT_COORDINATOR);
            }
        }
    }

    /// One portion of what is due. All that has come by now is heard first: a member may have sent its heartbeat in
    /// time and only the thread be late.
    fn tick(&mut self, now: Now, events: &mut mpsc::Receiver<Event>) -> ControlFlow<()> {
        if self.deadline().is_none_or(|deadline| deadline > now.instant) {
            return ControlFlow::Continue(());
        }
        for _ in 0..events.len() {
            let Ok(event) = events.try_recv() else { break };
            self.handle(now, event)?;
        }
        for led in self.led.values_mut() {
            led.tick(now);
            led.give_up(now);
        }
        self.loading.values_mut().for_each(|loading| loading.tick(now.instant));
        ControlFlow::Continue(())
    }

    fn resign(&mut self, now: Now, index: PartitionId) {
        if let Some(led) = self.led.remove(&index) {
            led.resign(now);
        }
        if let Some(mut loading) = self.loading.remove(&index) {
            loading.refuse(ErrorCode::NOT_COORDINATOR);
        }
    }

    fn resign_all(mut self, now: Now) {
        let count = self.led.len();
        let all = self.led.keys().chain(self.loading.keys()).copied();
        all.collect::<Vec<_>>().into_iter().for_each(|index| self.resign(now, index));
        info!(partitions = count, "group coordinator stopped");
    }
}

#[cfg(test)]
mod tests;
