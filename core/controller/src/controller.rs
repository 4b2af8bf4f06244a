//! The machine: which part decides on which request, and how records change the state.
//!
//! Invariant: the state is a function of the records. Decisions are made so that their records fit;
//! one that does not (a damaged or foreign log) is kept as a [`Fault`], after which nothing is
//! applied any more and the node must stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use dohle_base::{BrokerId, Instant, Now, Offset};
use dohle_config::NodeSettings;
use dohle_machine::{Decision, Machine};
use dohle_metadata::{ConfigResource, MetadataImage, MetadataRecord, MetadataState, ReplayError};

use crate::configs::settings_of;
use crate::{Answer, Command, Context, Reply, Request, Session, Settings, Soft};

/// What the controller wants to happen.
pub(crate) type Outcome = Decision<MetadataRecord, Soft, Answer>;

/// The controller's state.
#[derive(Clone, Debug)]
pub struct Controller {
    pub(crate) settings: Settings,
    pub(crate) state: MetadataState,
    /// The node's configuration with what was set dynamically.
    pub(crate) node: Arc<NodeSettings>,
    /// At which offset each broker registered, which its heartbeats must have reached.
    pub(crate) registered_at: BTreeMap<BrokerId, Offset>,
    fault: Option<Fault>,
}

/// A record in the log does not fit the records before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata log, offset {offset}: {error}")]
pub struct Fault {
    /// Where it is.
    pub offset: Offset,
    /// Why it does not fit.
    #[source]
    pub error: ReplayError,
}

impl Default for Controller {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Controller {
    /// A controller of an empty log.
    pub fn new(settings: Settings) -> Self {
        let node = Arc::new(settings.node.clone());
        let state = MetadataState::default();
        Self { settings, state, node, registered_at: BTreeMap::new(), fault: None }
    }

    /// The image with all records that were appended, committed or not.
    pub fn image(&self) -> &MetadataImage {
        self.state.image()
    }

    /// The image with its transaction, if one is open.
    pub fn state(&self) -> &MetadataState {
        &self.state
    }

    /// The record that did not fit, if there was one.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn reconfigure(&mut self) {
        let image = self.state.image();
        let all = settings_of(image, &ConfigResource::all_brokers());
        let own = settings_of(image, &ConfigResource::broker(self.settings.node_id));
        let (node, _) = self.settings.node.with_dynamic(&all, &own);
        self.node = Arc::new(node);
    }

    /// Notes what a record changes beside the image.
    fn note(&mut self, offset: Offset, record: &MetadataRecord) {
        match record {
            MetadataRecord::RegisterBroker(record) => {
                self.registered_at.insert(record.broker_id, offset);
            }
            MetadataRecord::UnregisterBroker(record) => {
                self.registered_at.remove(&record.broker_id);
            }
            MetadataRecord::Config(record)
                if record.resource_type == dohle_config::Resource::Broker.code() =>
            {
                self.reconfigure();
            }
            MetadataRecord::AbortTransaction(_) => self.reconfigure(),
            _ => {}
        }
    }
}

impl Machine for Controller {
    type Command = Command;
    type Record = MetadataRecord;
    type Effect = Answer;
    type Session = Session;
    type Soft = Soft;

    fn decide(&self, session: &Session, now: Now, command: Command) -> Outcome {
        let Command { context, request } = command;
        let at = now.instant;
        match request {
            Request::Activate(bootstrap) => self.activate(&context, &bootstrap),
            Request::RegisterController(request) => self.register_controller(&context, &request),
            Request::RegisterBroker(request) => {
                self.register_broker(session, at, &context, &request)
            }
            Request::BrokerHeartbeat(request) => self.heartbeat(session, &context, &request),
            Request::UnregisterBroker(request) => self.unregister_broker(&context, &request),
            Request::CreateTopics(request) => self.create_topics(&context, &request),
            Request::DeleteTopics(request) => self.delete_topics(&context, &request),
            Request::CreatePartitions(request) => self.create_partitions(&context, &request),
            Request::IncrementalAlterConfigs(request) => {
                self.incremental_alter_configs(&context, &request)
            }
            Request::AlterConfigs(request) => self.alter_configs(&context, &request),
            Request::AllocateProducerIds(request) => self.allocate_producer_ids(&context, &request),
            Request::AlterPartition(request) => self.alter_partition(&context, &request),
            Request::AssignReplicasToDirs(request) => {
                self.assign_replicas_to_dirs(&context, &request)
            }
        }
    }

    fn tick(&self, session: &Session, now: Now) -> Outcome {
        self.fence_stale_broker(session, now.instant)
    }

    fn apply(&mut self, offset: Offset, record: &MetadataRecord) {
        if self.fault.is_some() {
            return;
        }
        match self.state.apply(record) {
            Ok(()) => self.note(offset, record),
            Err(error) => self.fault = Some(Fault { offset, error }),
        }
    }

    fn apply_soft(&self, session: &mut Session, now: Now, change: Soft) {
        session.apply(now.instant, change);
    }

    fn deadline(&self, session: &Session) -> Option<Instant> {
        self.next_session_end(session)
    }
}

/// An answer without records.
pub(crate) fn answer(context: &Context, reply: Reply) -> Outcome {
    outcome(context, Vec::new(), reply)
}

/// Records, and the answer that follows them.
pub(crate) fn outcome(context: &Context, records: Vec<MetadataRecord>, reply: Reply) -> Outcome {
    let effects = vec![Answer { token: context.token, reply }];
    Decision { records, soft: Vec::new(), effects }
}

#[cfg(test)]
mod tests;
