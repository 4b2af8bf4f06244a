//! The controller's thread, and the start of the node before there is a thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use dohle_base::{BrokerId, ErrorCode, PartitionId, TopicId, Uuid};
use dohle_controller::{Answer, ApiError, Node, NodeOutput, Reply, Request, RequestToken};
use dohle_log::Disk;
use dohle_os::{Clock, OsDisk};
use dohle_protocol::api::{
    assign_replicas_to_dirs_request::{
        AssignReplicasToDirsRequest, DirectoryData, PartitionData, TopicData,
    },
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_registration_request::BrokerRegistrationRequest,
};
use dohle_raft::Token;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
};
use tracing::{error, info, warn};

use super::{ControllerInbox, Event, FilesError, MetadataFiles};
use crate::{Broker, Publisher, log_dirs::Alarm, metadata::Published, metrics::Metrics, placement};

/// How many events are handled before what they wrote is synced.
const EVENTS_PER_ROUND: usize = 256;

/// How often a broker asks to go before it goes without: it gives up its leaderships, then it is fenced.
const LEAVE_TRIES: usize = 2;

/// How long to wait before a write is tried again that the disk refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The metadata cannot be written.
    #[error(transparent)]
    Files(Box<FilesError>),
    /// The controller refused this broker.
    #[error("the controller refuses this broker: {code}{}", message.as_ref().map_or(String::new(), |m| format!(", {m}")))]
    Refused {
        /// Why.
        code: ErrorCode,
        /// In words.
        message: Option<String>,
    },
    /// The system has no thread to give.
    #[error("cannot start the controller's thread: {0}")]
    Thread(#[from] io::Error),
}

impl From<FilesError> for DriverError {
    fn from(error: FilesError) -> Self {
        Self::Files(Box::new(error))
    }
}

/// Owns the metadata side of the node.
pub struct Driver<D: Disk = OsDisk> {
    node: Node,
    files: MetadataFiles<D>,
    clock: Clock,
    metrics: Arc<Metrics>,
    waiting: BTreeMap<RequestToken, oneshot::Sender<Reply>>,
    next_token: u64,
    /// The newest image that is committed and not published yet.
    unpublished: Option<dohle_controller::Published>,
    /// Replies that wait until it is.
    replies: Vec<Answer>,
    /// The last thing that was written and that the node does not know to be durable.
    written: Option<Token>,
    /// Whether batches were appended and not synced.
    unsynced: bool,
    /// What the disk refused; it is tried again.
    unwritten: Option<NodeOutput>,
    /// The directories that get no new partitions, as the controller was told since the broker
    /// registered. It is told of none, too: the registration alone leaves it open.
    cordoned: Option<BTreeSet<Uuid>>,
    /// As what this broker has registered, once it has.
    registered: Option<(BrokerId, i64)>,
}

/// It is time to look around.
struct Elapsed;

impl<D: Disk> Driver<D> {
    /// A driver of a node that was just loaded.
    pub fn new(node: Node, files: MetadataFiles<D>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            node,
            files,
            clock,
            metrics,
            waiting: BTreeMap::new(),
            next_token: 0,
            unpublished: None,
            replies: Vec::new(),
            written: None,
            unsynced: false,
            unwritten: None,
            cordoned: None,
            registered: None,
        }
    }

    /// Leads, registers this broker and lets clients come. Nothing is published yet.
    ///
    /// # Errors
    /// The metadata cannot be written, or the broker is refused.
    pub fn boot(&mut self, registration: BrokerRegistrationRequest) -> Result<(), DriverError> {
        self.carry_out()?;
        let broker_id = registration.broker_id;
        let broker_epoch = match self.ask_now(Request::RegisterBroker(registration))? {
            Reply::RegisterBroker(answer) if !answer.error_code.is_error() => answer.broker_epoch,
            Reply::RegisterBroker(answer) => {
                return Err(DriverError::Refused { code: answer.error_code, message: None });
            }
            reply => return Err(refused(reply)),
        };
        self.registered = Some((broker_id, broker_epoch));
        let heartbeat = BrokerHeartbeatRequest {
            broker_id,
            broker_epoch,
            current_metadata_offset: self.node.published().offset(),
            want_fence: false,
            ..BrokerHeartbeatRequest::default()
        };
        match self.ask_now(Request::BrokerHeartbeat(heartbeat))? {
            Reply::BrokerHeartbeat(answer) if answer.error_code.is_error() => {
                Err(DriverError::Refused { code: answer.error_code, message: None })
            }
            Reply::BrokerHeartbeat(answer) if answer.is_fenced => Err(DriverError::Refused {
                code: ErrorCode::BROKER_NOT_AVAILABLE,
                message: Some("it stays fenced".to_owned()),
            }),
            Reply::BrokerHeartbeat(_) => Ok(()),
            reply => Err(refused(reply)),
        }
    }

    /// Asks without a thread: writes until the answer is there.
    fn ask_now(&mut self, request: Request) -> Result<Reply, DriverError> {
        let token = self.token();
        self.node.request(self.clock.now(), token, request);
        self.carry_out()?;
        let at = self.replies.iter().position(|answer| answer.token == token);
        Ok(self.replies.swap_remove(at.expect("a durable log answers")).reply)
    }

    fn token(&mut self) -> RequestToken {
        self.next_token += 1;
        RequestToken(self.next_token)
    }

    /// Publishes what was committed at the start.
    ///
    /// # Errors
    /// The metadata cannot be written.
    pub fn publish(&mut self, publisher: &mut Publisher) -> Result<(), DriverError> {
        Ok(self.settle_all(publisher)?)
    }

    /// Runs the driver on a thread of its own until it is stopped.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(
        self,
        inbox: ControllerInbox,
        publisher: Publisher,
        broker: Arc<Broker>,
    ) -> Result<JoinHandle<()>, DriverError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let fatal = broker.fatal.clone();
        let run = move || {
            if let Err(error) = self.run(&runtime, inbox.0, publisher) {
                broker.fatal.tell(format!("the controller has stopped: {error}"));
            }
        };
        Ok(fatal.start_thread("controller", run)?)
    }

    /// Only the waiting is asynchronous: publishing blocks, on disks and on other threads.
    fn run(
        mut self,
        runtime: &Runtime,
        mut events: mpsc::Receiver<Event>,
        mut publisher: Publisher,
    ) -> Result<(), FilesError> {
        loop {
            let now = self.clock.now();
            let wait = match self.unwritten {
                None => self.node.poll_timeout().map(|due| due.since(now.instant)),
                Some(_) => Some(RETRY_AFTER),
            };
            let wait = wait.into_iter().chain(self.files.idle_time(now)).min();
            let mut stops = false;
            let alarm = publisher.broker().alarm.clone();
            match runtime.block_on(next_event(&mut events, &alarm, wait)) {
                Ok(first) => stops = self.handle_round(first, &mut events),
                Err(_) if self.unwritten.is_none() => self.node.tick(self.clock.now()),
                Err(_) => {}
            }
            self.carry_out_or_stall()?;
            self.settle_all(&mut publisher)?;
            self.clean()?;
            if stops {
                return self.stop();
            }
        }
    }

    /// Removes snapshots and segments that need not be kept any more.
    fn clean(&mut self) -> Result<(), FilesError> {
        match self.files.clean(self.clock.now()) {
            Ok(log_start) => self.node.note_log_start(log_start),
            Err(error) if error.is_of_sync() => return Err(error),
            Err(error) => {
                error!("the metadata log cannot be shortened, it is tried again: {error}")
            }
        }
        Ok(())
    }

    /// Handles an event and those that have come meanwhile. Whether the thread shall end.
    fn handle_round(&mut self, first: Option<Event>, events: &mut mpsc::Receiver<Event>) -> bool {
        let mut stops = false;
        let mut next = first;
        for _ in 0..EVENTS_PER_ROUND {
            match next {
                None | Some(Event::Stop) => stops = true,
                Some(event) => self.handle(event),
            }
            let Ok(event) = events.try_recv() else { break };
            next = Some(event);
        }
        stops
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask { reply, .. } if self.unwritten.is_some() => {
                let message = "the metadata log cannot be written at the moment";
                let error = ApiError::new(ErrorCode::KAFKA_STORAGE_ERROR, message);
                let _ = reply.send(Reply::Refused(error)); // The client may have left.
            }
            Event::Ask { request, reply } => {
                let token = self.token();
                self.waiting.insert(token, reply);
                self.node.request(self.clock.now(), token, *request);
            }
            Event::DescribeQuorum { reply } => {
                // The client may have left.
                let _ = reply.send(self.node.raft().describe(self.clock.now()));
            }
            Event::Stop => {}
        }
    }

    /// Writes what the node wants written. What the disk has no room for is tried again later, and
    /// those who wait for it are told that they do not know what becomes of it.
    fn carry_out_or_stall(&mut self) -> Result<(), FilesError> {
        let was_stalled = self.unwritten.is_some();
        match self.carry_out() {
            Ok(()) if was_stalled => info!("the metadata log can be written again"),
            Ok(()) => {}
            Err(error) if self.unwritten.is_some() && error.may_pass() => {
                if !was_stalled {
                    error!("the metadata log cannot be written, it is tried again: {error}");
                }
                let refusal = ApiError::new(ErrorCode::REQUEST_TIMED_OUT, error.to_string());
                for (_, waiting) in std::mem::take(&mut self.waiting) {
                    let _ = waiting.send(Reply::Refused(refusal.clone())); // It may have left.
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes what the node wants written until it wants no more: one sync for all that is there.
    fn carry_out(&mut self) -> Result<(), FilesError> {
        loop {
            while let Some(output) = self.unwritten.take().or_else(|| self.node.poll_output()) {
                if let Err(error) = self.write(&output) {
                    self.unwritten = Some(output);
                    return Err(error);
                }
                match output {
                    NodeOutput::ResetLog { .. }
                    | NodeOutput::PersistElection { .. }
                    | NodeOutput::Append { .. } => {}
                    NodeOutput::Active { epoch } => info!(%epoch, "this controller is active"),
                    NodeOutput::Resigned { epoch } => info!(%epoch, "this controller resigned"),
                    NodeOutput::Publish(published) => self.unpublished = Some(published),
                    NodeOutput::Reply(answer) => self.replies.push(answer),
                    NodeOutput::Snapshot(job) => {
                        match self.files.write_snapshot(&job, self.clock.now()) {
                            Ok(()) => self.node.snapshot_written(self.clock.now(), job.id()),
                            // What it had to make durable may be lost, and would not be told of again.
                            Err(error) if error.is_of_sync() => return Err(error),
                            Err(error) => {
                                error!("metadata snapshot not written: {error}");
                                self.node.snapshot_failed(self.clock.now());
                            }
                        }
                    }
                }
            }
            let Some(token) = self.written.take() else { return Ok(()) };
            if std::mem::take(&mut self.unsynced) {
                let began = self.clock.now().instant;
                self.files.sync()?;
                self.metrics.flushes.observe(self.clock.now().instant.since(began));
            }
            self.node.persisted(self.clock.now(), token);
        }
    }

    /// Writes what goes into the log or beside it. If that fails nothing is left of it.
    fn write(&mut self, output: &NodeOutput) -> Result<(), FilesError> {
        match output {
            NodeOutput::ResetLog { start } => self.files.reset(*start, self.clock.now().wall)?,
            NodeOutput::PersistElection { token, file } => {
                self.files.persist_election(file)?;
                self.written = Some(*token);
            }
            NodeOutput::Append { token, base_offset, batch, .. } => {
                self.files.append(*base_offset, batch, self.clock.now())?;
                self.unsynced = true;
                self.written = Some(*token);
            }
            _ => {}
        }
        Ok(())
    }

    /// Shows what is committed, then tells those who asked for it.
    fn settle(&mut self, publisher: &mut Publisher) {
        if let Some(published) = self.unpublished.take() {
            let raft = self.node.raft();
            let control = raft.control();
            publisher.publish(Published {
                image: published.image,
                end_offset: published.end_offset,
                leader: raft.leader().unwrap_or(BrokerId::NONE),
                epoch: published.epoch,
                voters: control.voters.clone(),
                kraft_version: control.kraft_version,
            });
        }
        self.answer();
    }

    fn answer(&mut self) {
        for Answer { token, reply } in self.replies.drain(..) {
            if let Some(waiting) = self.waiting.remove(&token) {
                let _ = waiting.send(reply); // The client may have left.
            }
        }
    }

    /// As `settle`, until what was found out by publishing is in the metadata, too.
    fn settle_all(&mut self, publisher: &mut Publisher) -> Result<(), FilesError> {
        self.settle(publisher);
        while self.report(publisher) {
            self.carry_out_or_stall()?;
            self.settle(publisher);
        }
        Ok(())
    }

    /// Tells the controller of directories that have failed or get no new partitions, and in which ones
    /// partitions lie; `false` if there is nothing to tell.
    fn report(&mut self, publisher: &mut Publisher) -> bool {
        let Some(request) = self.directory_news(publisher) else { return false };
        // Nobody waits for the reply: what it says is in the next image.
        let token = self.token();
        self.node.request(self.clock.now(), token, request);
        true
    }

    fn directory_news(&mut self, publisher: &mut Publisher) -> Option<Request> {
        let broker = Arc::clone(publisher.broker());
        let (broker_id, broker_epoch) = (broker.node_id, broker.epoch());
        let failed = publisher.take_failed_offline();
        let cordoned = placement::cordoned(&broker.settings(), &broker.log_dirs);
        let is_news = self.cordoned.as_ref() != Some(&cordoned);
        if !failed.is_empty() || is_news {
            let cordoned_log_dirs = is_news.then(|| cordoned.iter().copied().collect());
            self.cordoned = Some(cordoned);
            return Some(Request::BrokerHeartbeat(BrokerHeartbeatRequest {
                broker_id,
                broker_epoch,
                current_metadata_offset: self.node.published().offset(),
                want_fence: false,
                want_shut_down: false,
                offline_log_dirs: failed,
                cordoned_log_dirs,
            }));
        }
        let assignments = publisher.take_assignments();
        if assignments.is_empty() || !broker.metadata().image.metadata_version().has_directories() {
            return None;
        }
        let directories = by_directory(assignments);
        let request = AssignReplicasToDirsRequest { broker_id, broker_epoch, directories };
        Some(Request::AssignReplicasToDirs(request))
    }

    /// What is published is not followed any more: nobody asks, and the partitions are closed as they are.
    fn stop(mut self) -> Result<(), FilesError> {
        match self.leave() {
            Err(DriverError::Files(error)) if error.may_pass() => {
                // What the node takes for written is not: nothing may follow it.
                warn!("this broker stays unfenced in the metadata: {error}");
                return self.files.close();
            }
            Err(DriverError::Files(error)) => return Err(*error),
            Err(error) => warn!("this broker stays unfenced in the metadata: {error}"),
            Ok(()) => {}
        }
        self.node.shut_down(self.clock.now());
        self.carry_out()?;
        self.answer();
        self.files.close()
    }

    /// This broker gives up its leaderships and is fenced, as at a stop of Kafka. Whoever leads the quorum
    /// next need not wait then until its session is over.
    fn leave(&mut self) -> Result<(), DriverError> {
        let Some((broker_id, broker_epoch)) = self.registered else { return Ok(()) };
        for _ in 0..LEAVE_TRIES {
            let heartbeat = BrokerHeartbeatRequest {
                broker_id,
                broker_epoch,
                current_metadata_offset: self.node.published().offset(),
                want_fence: false,
                want_shut_down: true,
                ..BrokerHeartbeatRequest::default()
            };
            match self.ask_now(Request::BrokerHeartbeat(heartbeat))? {
                Reply::BrokerHeartbeat(answer) if answer.error_code.is_error() => {
                    return Err(DriverError::Refused { code: answer.error_code, message: None });
                }
                Reply::BrokerHeartbeat(answer) if answer.should_shut_down => return Ok(()),
                Reply::BrokerHeartbeat(_) => {}
                reply => return Err(refused(reply)),
            }
        }
        let message = Some("other brokers do not know yet that it goes".to_owned());
        Err(DriverError::Refused { code: ErrorCode::BROKER_NOT_AVAILABLE, message })
    }
}

/// The next event; none when nobody can send any more.
///
/// # Errors
/// The time is over, or a log directory has failed: look around.
async fn next_event(
    events: &mut mpsc::Receiver<Event>,
    alarm: &Alarm,
    wait: Option<Duration>,
) -> Result<Option<Event>, Elapsed> {
    let over = async {
        match wait {
            None => std::future::pending().await,
            Some(wait) => tokio::time::sleep(wait).await,
        }
    };
    tokio::select! {
        event = events.recv() => Ok(event),
        () = alarm.heard() => Err(Elapsed),
        () = over => Err(Elapsed),
    }
}

/// Partitions by directory and topic.
fn by_directory(assignments: Vec<(TopicId, PartitionId, Uuid)>) -> Vec<DirectoryData> {
    let mut directories: BTreeMap<Uuid, BTreeMap<TopicId, Vec<PartitionData>>> = BTreeMap::new();
    for (topic, partition_index, directory) in assignments {
        let topics = directories.entry(directory).or_default();
        topics.entry(topic).or_default().push(PartitionData { partition_index });
    }
    let topic = |(topic_id, partitions)| TopicData { topic_id, partitions };
    let directory = |(id, topics): (Uuid, BTreeMap<_, _>)| DirectoryData {
        id,
        topics: topics.into_iter().map(topic).collect(),
    };
    directories.into_iter().map(directory).collect()
}

fn refused(reply: Reply) -> DriverError {
    match reply {
        Reply::Refused(error) => DriverError::Refused {
            code: error.code,
            message: error.message.map(|message| message.to_string()),
        },
        other => unreachable!("not an answer to what was asked: {other:?}"),
    }
}

#[cfg(test)]
mod tests;
