//! The controller's thread, and the start of the node before there is a thread.
//!
//! While the disk of its log is full the controller waits for room, and refuses whatever it is asked.
//! After any other error of that disk it stops: what it decided is not in the log.

use std::{collections::BTreeMap, io, sync::Arc, thread::JoinHandle, time::Duration};

use bytes::Bytes;
use dohle_base::{BrokerId, ErrorCode, Offset};
use dohle_controller::{Answer, Node, NodeOutput, Reply, Request, RequestToken};
use dohle_os::Clock;
use dohle_protocol::api::{
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_registration_request::BrokerRegistrationRequest,
};
use dohle_raft::Token;
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
    time::error::Elapsed,
};
use tracing::{error, info, warn};

use super::{ControllerInbox, Event, FilesError, MetadataFiles};
use crate::{Broker, Publisher, metadata::Published};

/// How many events are handled before what they wrote is synced.
const EVENTS_PER_ROUND: usize = 256;

/// How long the controller waits for room on its disk before it looks again.
const ROOM_INTERVAL: Duration = Duration::from_millis(500);

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The metadata cannot be written.
    #[error(transparent)]
    Files(#[from] FilesError),
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

/// What waits for the controller, and what waits for that.
type Asked<'a> = (&'a Runtime, &'a mut mpsc::Receiver<Event>);

/// Owns the metadata side of the node.
pub struct Driver {
    node: Node,
    files: MetadataFiles,
    clock: Clock,
    waiting: BTreeMap<RequestToken, oneshot::Sender<Reply>>,
    next_token: u64,
    /// The newest image that is committed and not published yet.
    unpublished: Option<dohle_controller::Published>,
    /// Replies that wait until it is.
    replies: Vec<Answer>,
}

impl Driver {
    /// A driver of a node that was just loaded.
    pub fn new(node: Node, files: MetadataFiles, clock: Clock) -> Self {
        Self {
            node,
            files,
            clock,
            waiting: BTreeMap::new(),
            next_token: 0,
            unpublished: None,
            replies: Vec::new(),
        }
    }

    /// Leads, registers this broker and lets clients come. Nothing is published yet.
    ///
    /// # Errors
    /// The metadata cannot be written, or the broker is refused.
    pub fn boot(&mut self, registration: BrokerRegistrationRequest) -> Result<(), DriverError> {
        self.carry_out(None)?;
        let broker_id = registration.broker_id;
        let broker_epoch = match self.ask_now(Request::RegisterBroker(registration))? {
            Reply::RegisterBroker(answer) if !answer.error_code.is_error() => answer.broker_epoch,
            Reply::RegisterBroker(answer) => {
                return Err(DriverError::Refused { code: answer.error_code, message: None });
            }
            reply => return Err(refused(reply)),
        };
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
        self.carry_out(None)?;
        let at = self.replies.iter().position(|answer| answer.token == token);
        Ok(self.replies.swap_remove(at.expect("a durable log answers")).reply)
    }

    fn token(&mut self) -> RequestToken {
        self.next_token += 1;
        RequestToken(self.next_token)
    }

    /// Publishes what was committed at the start.
    pub fn publish(&mut self, publisher: &mut Publisher) {
        self.settle(publisher);
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
        let thread = std::thread::Builder::new().name("controller".to_owned());
        let run = move || {
            if let Err(error) = self.run(&runtime, inbox.0, publisher) {
                // Without its log the node cannot change anything; what it serves it goes on serving.
                error!(node = %broker.node_id, "the controller has stopped: {error}");
            }
        };
        Ok(thread.spawn(run)?)
    }

    /// Only the waiting is asynchronous: publishing blocks, on disks and on other threads.
    fn run(
        mut self,
        runtime: &Runtime,
        mut events: mpsc::Receiver<Event>,
        mut publisher: Publisher,
    ) -> Result<(), FilesError> {
        loop {
            let deadline = self.node.poll_timeout();
            let wait = deadline.map(|deadline| deadline.since(self.clock.now().instant));
            let Ok(mut next) = runtime.block_on(next_event(&mut events, wait)) else {
                self.node.tick(self.clock.now());
                self.carry_out(Some((runtime, &mut events)))?;
                self.settle(&mut publisher);
                continue;
            };
            let mut stops = false;
            for _ in 0..EVENTS_PER_ROUND {
                match next {
                    None | Some(Event::Stop) => stops = true,
                    Some(event) => self.handle(event),
                }
                let Ok(event) = events.try_recv() else { break };
                next = Some(event);
            }
            self.carry_out(Some((runtime, &mut events)))?;
            self.settle(&mut publisher);
            if stops {
                return self.stop(&mut publisher);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
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

    /// Writes what the node wants written until it wants no more: one sync for all that is there.
    fn carry_out(&mut self, mut asked: Option<Asked<'_>>) -> Result<(), FilesError> {
        loop {
            let mut written: Option<Token> = None;
            let mut has_batches = false;
            while let Some(output) = self.node.poll_output() {
                match output {
                    NodeOutput::ResetLog { start } => {
                        self.files.reset(start, self.clock.now().wall)?;
                    }
                    NodeOutput::PersistElection { token, file } => {
                        self.files.persist_election(&file)?;
                        written = Some(token);
                    }
                    NodeOutput::Append { token, base_offset, batch, .. } => {
                        self.append(base_offset, &batch, asked.as_mut())?;
                        has_batches = true;
                        written = Some(token);
                    }
                    NodeOutput::Active { epoch } => info!(%epoch, "this controller is active"),
                    NodeOutput::Resigned { epoch } => info!(%epoch, "this controller resigned"),
                    NodeOutput::Publish(published) => self.unpublished = Some(published),
                    NodeOutput::Reply(answer) => self.replies.push(answer),
                    NodeOutput::Snapshot(job) => match self.files.write_snapshot(&job) {
                        Ok(()) => self.node.snapshot_written(self.clock.now(), job.id()),
                        Err(error) => {
                            error!("metadata snapshot not written: {error}");
                            self.node.snapshot_failed(self.clock.now());
                        }
                    },
                }
            }
            let Some(token) = written else { return Ok(()) };
            if has_batches {
                self.files.sync()?;
            }
            self.node.persisted(self.clock.now(), token);
        }
    }

    /// Writes a batch, as soon as there is room for it.
    fn append(
        &mut self,
        base: Offset,
        batch: &Bytes,
        mut asked: Option<&mut Asked<'_>>,
    ) -> Result<(), FilesError> {
        loop {
            let error = match self.files.append(base, batch, self.clock.now().wall) {
                Err(error) if error.is_full() => error,
                done => return done,
            };
            let Some((runtime, events)) = asked.as_deref_mut() else { return Err(error) };
            warn!("the controller waits for room on its disk: {error}");
            let stops = runtime.block_on(async {
                tokio::time::timeout(ROOM_INTERVAL, refuse_all(events)).await.is_ok()
            });
            if stops {
                return Err(error);
            }
        }
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
        for Answer { token, reply } in self.replies.drain(..) {
            if let Some(waiting) = self.waiting.remove(&token) {
                let _ = waiting.send(reply); // The client may have left.
            }
        }
    }

    fn stop(mut self, publisher: &mut Publisher) -> Result<(), FilesError> {
        self.node.shut_down(self.clock.now());
        self.carry_out(None)?;
        self.settle(publisher);
        self.files.close()
    }
}

/// Refuses whatever is asked until the controller is to stop.
async fn refuse_all(events: &mut mpsc::Receiver<Event>) {
    loop {
        match events.recv().await {
            None | Some(Event::Stop) => return,
            // Clients may have left.
            Some(Event::Ask { reply, .. }) => {
                let _ = reply.send(Reply::Refused(ErrorCode::KAFKA_STORAGE_ERROR.into()));
            }
            Some(Event::DescribeQuorum { reply }) => {
                let _ = reply.send(None);
            }
        }
    }
}

/// The next event; none when nobody can send any more.
///
/// # Errors
/// The time is over.
async fn next_event(
    events: &mut mpsc::Receiver<Event>,
    wait: Option<Duration>,
) -> Result<Option<Event>, Elapsed> {
    match wait {
        None => Ok(events.recv().await),
        Some(wait) => tokio::time::timeout(wait, events.recv()).await,
    }
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
