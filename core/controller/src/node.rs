//! The metadata side of a node that is controller and broker in one process: raft, the controller
//! over it, and the images that were committed.
//!
//! ```text
//! NodeLoader: quorum-state, checkpoint, log ──▶ Node
//!
//! Node::request, persisted, tick, shut_down           what happened
//! Node::poll_output, poll_timeout                     what to do, and when to tick
//! ```
//!
//! Writes are carried out in the order in which they come out; one fsync may serve several, and
//! `persisted` with the last token speaks for all. Replies and images come out only when what they
//! rest on is committed. An image is published outside of transactions only.
//!
//! A node that is alone is not written to when nothing happens: the records without content with
//! which Kafka shows that a controller is alive are for others to see.

mod journal;
mod load;
mod output;

use std::collections::VecDeque;
use std::time::Duration;

use dohle_base::{ErrorCode, Instant, Now, Offset, Rng, Uuid};
use dohle_machine::{Rejected, Runtime};
use dohle_metadata::{Bootstrap, Listener, MetadataImage, supported_features};
use dohle_protocol::api::controller_registration_request::{
    ControllerRegistrationRequest, Feature as RegisteredFeature, Listener as RegisteredListener,
};
use dohle_raft::{Input, Output, Raft, SnapshotId, Token};

use crate::{Answer, Command, Context, Controller, Reply, Request, RequestToken, Settings};

pub use load::{NodeLoader, OpenError};
pub use output::{NodeOutput, Published, SnapshotJob};

use journal::{JournalError, RaftJournal};

/// What a node is told about itself.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who it is among the voters.
    pub raft: dohle_raft::Config,
    /// The controller's surroundings.
    pub settings: Settings,
    /// Random, one for each start: the controller registers with it.
    pub incarnation_id: Uuid,
    /// The controller's listeners, as it registers them.
    pub listeners: Vec<Listener>,
    /// When snapshots are written.
    pub snapshots: SnapshotPolicy,
    /// Seeds what the controller draws at random.
    pub seed: u64,
}

/// When a snapshot is written.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    /// After so many bytes of batches (`metadata.log.max.record.bytes.between.snapshots`).
    pub bytes_max: u64,
    /// After this time, if there is anything new (`metadata.log.max.snapshot.interval.ms`); none
    /// means that time does not count.
    pub interval: Option<Duration>,
}

/// Requests that the node makes to itself; nobody waits for the answers.
const OWN: RequestToken = RequestToken(u64::MAX);

/// The metadata side of a node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    raft: Raft,
    runtime: Runtime<Controller>,
    bootstrap: Bootstrap,
    rng: Rng,
    /// Whether the controller was activated in this epoch.
    active: bool,
    /// Images that wait to be committed, each with the end of the log that it shows.
    images: VecDeque<(Offset, MetadataImage)>,
    published: Published,
    snapshots: Snapshots,
    outputs: VecDeque<NodeOutput>,
}

/// What has happened since the last snapshot.
#[derive(Debug)]
struct Snapshots {
    bytes: u64,
    last_end: Offset,
    last_at: Instant,
    running: bool,
}

impl Node {
    /// A request for the controller. The answer comes out as [`NodeOutput::Reply`].
    pub fn request(&mut self, now: Now, token: RequestToken, request: Request) {
        if self.active {
            self.decide(now, token, request);
        } else {
            self.refuse(token, ErrorCode::NOT_CONTROLLER.into());
        }
        self.settle(now);
    }

    /// The write with this token and all before it are durable.
    pub fn persisted(&mut self, now: Now, token: Token) {
        self.raft.handle(now, Input::Persisted { token });
        self.settle(now);
    }

    /// To be called when [`Node::poll_timeout`] has come.
    pub fn tick(&mut self, now: Now) {
        if self.active && self.runtime.deadline().is_some_and(|deadline| deadline <= now.instant) {
            let mut journal = self.journal(now);
            let ticked = self.runtime.tick(now, &mut journal.over(&mut self.raft));
            // Nobody waits for what time leads to: it is tried again.
            drop(ticked);
            self.note_image();
        }
        self.settle(now);
    }

    /// The node stops: waiting requests are refused, and no more are taken.
    pub fn shut_down(&mut self, now: Now) {
        self.raft.handle(now, Input::Shutdown);
        self.settle(now);
    }

    /// What to do next; none for now.
    pub fn poll_output(&mut self) -> Option<NodeOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`Node::tick`] next; none if time alone changes nothing.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let controller = self.runtime.deadline().filter(|_| self.active);
        let snapshot = self.snapshot_deadline();
        [controller, snapshot, self.raft.poll_timeout()].into_iter().flatten().min()
    }

    /// The snapshot is written and durable.
    pub fn snapshot_written(&mut self, now: Now, id: SnapshotId) {
        self.raft.note_snapshot(id);
        self.snapshots.running = false;
        self.snapshots.last_end = id.end_offset;
        self.snapshots.last_at = now.instant;
        self.settle(now);
    }

    /// The snapshot could not be written; the next one is tried when it is due.
    pub fn snapshot_failed(&mut self, now: Now) {
        self.snapshots.running = false;
        self.snapshots.last_at = now.instant;
    }

    /// The log now begins at `log_start`: what was below is in a snapshot that is kept.
    pub fn note_log_start(&mut self, log_start: Offset) {
        self.raft.note_log_start(log_start);
    }

    /// What was published last.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// The quorum: for DescribeQuorum, epochs and offsets.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The controller, with what is not committed yet.
    pub fn controller(&self) -> &Controller {
        self.runtime.machine()
    }

    fn journal(&self, now: Now) -> RaftJournal {
        RaftJournal::new(now, self.runtime.machine().state().clone())
    }

    fn decide(&mut self, now: Now, token: RequestToken, request: Request) {
        let context = Context {
            token,
            next_offset: self.raft.log_end(),
            seed: self.rng.next_u64(),
            kraft_version: self.raft.control().kraft_version,
        };
        let mut journal = self.journal(now);
        let command = Command { context, request };
        let handled = self.runtime.handle(now, command, &mut journal.over(&mut self.raft));
        if let Err(Rejected { error, effects }) = handled {
            self.reject(&error, effects);
        }
        self.note_image();
    }

    fn reject(&mut self, error: &JournalError, answers: Vec<Answer>) {
        for answer in answers {
            self.refuse(answer.token, error.to_api_error());
        }
    }

    fn refuse(&mut self, token: RequestToken, error: crate::ApiError) {
        self.reply(Answer { token, reply: Reply::Refused(error) });
    }

    fn reply(&mut self, answer: Answer) {
        if answer.token != OWN {
            self.outputs.push_back(NodeOutput::Reply(answer));
        }
    }

    /// Keeps the image of what was just applied until it is committed.
    fn note_image(&mut self) {
        let machine = self.runtime.machine();
        assert!(machine.fault().is_none(), "the journal takes only records that fit");
        let end = self.runtime.applied_end();
        let is_new = self.images.back().map_or(self.published.end_offset, |(end, _)| *end) < end;
        if is_new && !machine.state().in_transaction() {
            self.images.push_back((end, machine.image().clone()));
        }
    }

    /// Carries out what raft wants, until nothing follows any more.
    fn settle(&mut self, now: Now) {
        loop {
            if self.raft.is_leader() && !self.active {
                self.lead(now);
            }
            let Some(output) = self.raft.poll_output() else { break };
            match output {
                Output::HighWatermark(end) => self.commit(end),
                Output::Resigned { epoch } => self.resign(epoch),
                Output::BecameLeader { epoch } => {
                    self.outputs.push_back(NodeOutput::Active { epoch });
                }
                Output::ResetLog { start } => {
                    self.outputs.push_back(NodeOutput::ResetLog { start })
                }
                Output::PersistElection { token, file } => {
                    self.outputs.push_back(NodeOutput::PersistElection { token, file });
                }
                Output::Append { token, base_offset, end_offset, batch } => {
                    self.snapshots.bytes += batch.len() as u64;
                    let append = NodeOutput::Append { token, base_offset, end_offset, batch };
                    self.outputs.push_back(append);
                }
            }
        }
        while let Some(answer) = self.runtime.poll_effect() {
            self.reply(answer);
        }
        self.begin_snapshot(now);
    }

    /// The log is this node's to write. The first appends need not wait until the election is
    /// durable: nothing that rests on them is told before.
    fn lead(&mut self, now: Now) {
        self.active = true;
        self.decide(now, OWN, Request::Activate(self.bootstrap.clone()));
        let image = self.runtime.machine().image();
        let known = image.controllers.get(&self.config.settings.node_id);
        let is_known =
            known.is_some_and(|known| known.incarnation_id == self.config.incarnation_id);
        if image.metadata_version().has_controller_registration() && !is_known {
            let registration = self.registration();
            self.decide(now, OWN, Request::RegisterController(registration));
        }
    }

    fn registration(&self) -> ControllerRegistrationRequest {
        let listeners = self.config.listeners.iter().map(|listener| RegisteredListener {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = supported_features().map(|feature| RegisteredFeature {
            name: feature.name.into(),
            min_supported_version: feature.min,
            max_supported_version: feature.max,
        });
        ControllerRegistrationRequest {
            controller_id: self.config.settings.node_id,
            incarnation_id: self.config.incarnation_id,
            zk_migration_ready: false,
            listeners: listeners.collect(),
            features: features.collect(),
        }
    }

    fn resign(&mut self, epoch: dohle_base::LeaderEpoch) {
        self.active = false;
        let waiting: Vec<Answer> = self.runtime.resign().collect();
        for answer in waiting {
            self.refuse(answer.token, ErrorCode::NOT_CONTROLLER.into());
        }
        self.outputs.push_back(NodeOutput::Resigned { epoch });
    }

    /// Everything below `end` is committed. The image comes out before the replies, so that whoever
    /// gets one can see what it speaks of.
    fn commit(&mut self, end: Offset) {
        self.runtime.handle_high_watermark(end);
        let mut newest = None;
        while let Some(image) = self.images.pop_front_if(|(shown, _)| *shown <= end) {
            newest = Some(image);
        }
        if let Some((end_offset, image)) = newest
            && image.features.metadata_version().is_some()
        {
            let epoch = self.raft.epoch_at(end_offset).unwrap_or(self.raft.epoch());
            self.published = Published { image, end_offset, epoch };
            self.outputs.push_back(NodeOutput::Publish(self.published.clone()));
        }
    }

    fn snapshot_deadline(&self) -> Option<Instant> {
        let anything_new = self.published.end_offset > self.snapshots.last_end;
        let interval = self.config.snapshots.interval;
        let interval = interval.filter(|_| anything_new && !self.snapshots.running)?;
        Some(self.snapshots.last_at + interval)
    }

    fn begin_snapshot(&mut self, now: Now) {
        let Published { image, end_offset, epoch } = &self.published;
        if self.snapshots.running || *end_offset <= self.snapshots.last_end {
            return;
        }
        let many_bytes = self.snapshots.bytes >= self.config.snapshots.bytes_max;
        let long_ago = self.snapshot_deadline().is_some_and(|deadline| deadline <= now.instant);
        if !many_bytes && !long_ago {
            return;
        }
        let id = SnapshotId { end_offset: *end_offset, epoch: *epoch };
        let control = self.raft.control_at(*end_offset).clone();
        let job = SnapshotJob::new(id, self.raft.last_timestamp(), control, image.clone());
        self.snapshots.running = true;
        self.snapshots.bytes = 0;
        self.outputs.push_back(NodeOutput::Snapshot(job));
    }
}

#[cfg(test)]
mod tests;
