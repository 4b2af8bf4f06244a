//! What the controller is asked, and what it answers: the messages of the protocol, so that a
//! handler passes them through.

use dohle_base::{ErrorCode, Offset, Str};
use dohle_metadata::Bootstrap;
use dohle_protocol::api::{
    allocate_producer_ids_request::AllocateProducerIdsRequest,
    allocate_producer_ids_response::AllocateProducerIdsResponse,
    alter_configs_request::AlterConfigsRequest, alter_configs_response::AlterConfigsResponse,
    alter_partition_request::AlterPartitionRequest,
    alter_partition_response::AlterPartitionResponse,
    assign_replicas_to_dirs_request::AssignReplicasToDirsRequest,
    assign_replicas_to_dirs_response::AssignReplicasToDirsResponse,
    broker_heartbeat_request::BrokerHeartbeatRequest,
    broker_heartbeat_response::BrokerHeartbeatResponse,
    broker_registration_request::BrokerRegistrationRequest,
    broker_registration_response::BrokerRegistrationResponse,
    controller_registration_request::ControllerRegistrationRequest,
    controller_registration_response::ControllerRegistrationResponse,
    create_partitions_request::CreatePartitionsRequest,
    create_partitions_response::CreatePartitionsResponse,
    create_topics_request::CreateTopicsRequest, create_topics_response::CreateTopicsResponse,
    delete_topics_request::DeleteTopicsRequest, delete_topics_response::DeleteTopicsResponse,
    incremental_alter_configs_request::IncrementalAlterConfigsRequest,
    incremental_alter_configs_response::IncrementalAlterConfigsResponse,
    unregister_broker_request::UnregisterBrokerRequest,
    unregister_broker_response::UnregisterBrokerResponse,
};

/// Names a request until it is answered. The driver chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(pub u64);

/// What a decision needs besides the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// To be handed back with the answer.
    pub token: RequestToken,
    /// The offset that the next record will have: a new registration takes it as its epoch.
    pub next_offset: Offset,
    /// Seeds what is drawn at random: topic ids, the start of placements.
    pub seed: u64,
    /// The finalised kraft.version, which the image does not hold.
    pub kraft_version: i16,
}

/// A request with its context.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What the decision needs besides.
    pub context: Context,
    /// What is asked.
    pub request: Request,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// This controller just became active: bring the log into a state to work with. Answered with
    /// [`Reply::Activated`].
    Activate(Bootstrap),
    /// A controller makes itself known.
    RegisterController(ControllerRegistrationRequest),
    /// A broker started.
    RegisterBroker(BrokerRegistrationRequest),
    /// A broker is alive.
    BrokerHeartbeat(BrokerHeartbeatRequest),
    /// A broker is gone for good.
    UnregisterBroker(UnregisterBrokerRequest),
    /// New topics. Their settings are told to whoever asks; the handler takes them out for those
    /// who may not see them.
    CreateTopics(CreateTopicsRequest),
    /// Topics that are to go, by name or by id.
    DeleteTopics(DeleteTopicsRequest),
    /// More partitions.
    CreatePartitions(CreatePartitionsRequest),
    /// Single settings.
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// All settings of a resource.
    AlterConfigs(AlterConfigsRequest),
    /// A block of producer ids.
    AllocateProducerIds(AllocateProducerIdsRequest),
    /// A leader saw its ISR change.
    AlterPartition(AlterPartitionRequest),
    /// A broker tells in which directories its replicas lie.
    AssignReplicasToDirs(AssignReplicasToDirsRequest),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To `Activate`.
    Activated,
    /// To `RegisterController`.
    RegisterController(ControllerRegistrationResponse),
    /// To `RegisterBroker`.
    RegisterBroker(BrokerRegistrationResponse),
    /// To `BrokerHeartbeat`.
    BrokerHeartbeat(BrokerHeartbeatResponse),
    /// To `UnregisterBroker`.
    UnregisterBroker(UnregisterBrokerResponse),
    /// To `CreateTopics`.
    CreateTopics(CreateTopicsResponse),
    /// To `DeleteTopics`.
    DeleteTopics(DeleteTopicsResponse),
    /// To `CreatePartitions`.
    CreatePartitions(CreatePartitionsResponse),
    /// To `IncrementalAlterConfigs`.
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    /// To `AlterConfigs`.
    AlterConfigs(AlterConfigsResponse),
    /// To `AllocateProducerIds`.
    AllocateProducerIds(AllocateProducerIdsResponse),
    /// To `AlterPartition`.
    AlterPartition(AlterPartitionResponse),
    /// To `AssignReplicasToDirs`.
    AssignReplicasToDirs(AssignReplicasToDirsResponse),
    /// To any request: nothing was done. `NOT_CONTROLLER` if this node is not the one to ask.
    Refused(ApiError),
}

/// An answer on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Whose.
    pub token: RequestToken,
    /// What.
    pub reply: Reply,
}

/// Why something was not done, in the protocol's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The code.
    pub code: ErrorCode,
    /// For people; none if the code says it all.
    pub message: Option<Str>,
}

impl ApiError {
    /// A code and a sentence.
    pub fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        Self { code, message: Some(message.as_ref().into()) }
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}
