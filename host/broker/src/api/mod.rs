//! The feature list: one file per API key, and the registry that says which are served.
//!
//! An API is served if it stands in `REGISTRY`; ApiVersions tells exactly that. Each file holds the
//! key's version notes, what it will authorise, and its handler. No keys: `endpoint` is what they
//! implement, `by_topic`, `elsewhere`, `group_call`, `controller_call` and `new_leader` are what several
//! share.

pub(crate) mod alter_configs;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod api_versions;
pub(crate) mod by_topic;
pub(crate) mod controller_call;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod elsewhere;
pub(crate) mod endpoint;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod group_call;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod new_leader;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sync_group;

use std::ops::RangeInclusive;

use dohle_net::{ConnectionContext, Frames};
use dohle_protocol::{ApiKey, Reader, Request};

use crate::{ListenerKind, dispatch::Dispatcher};
pub(crate) use controller_call::{Refusal, refuse_each};
pub(crate) use endpoint::{Answer, Asked, Body, Call, Endpoint, Together};

/// One row of the registry.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) versions: RangeInclusive<i16>,
    pub(crate) run: Run,
}

type Run = fn(&Dispatcher, &ConnectionContext, Asked<Reader>, &mut Frames<'_>);

const fn api<E: Endpoint>() -> Api {
    Api { key: <E::Request as Request>::KEY, versions: E::VERSIONS, run: Dispatcher::run::<E> }
}

const fn together<E: Together>() -> Api {
    let (key, versions) = (<E::Request as Request>::KEY, E::VERSIONS);
    Api { key, versions, run: Dispatcher::run_together::<E> }
}

/// Every API that is served, by ascending key.
pub(crate) const REGISTRY: &[Api] = &[
    together::<produce::Produce>(),
    api::<fetch::Fetch>(),
    api::<list_offsets::ListOffsets>(),
    api::<metadata::Metadata>(),
    api::<offset_commit::OffsetCommit>(),
    api::<offset_fetch::OffsetFetch>(),
    api::<find_coordinator::FindCoordinator>(),
    api::<join_group::JoinGroup>(),
    api::<heartbeat::Heartbeat>(),
    api::<leave_group::LeaveGroup>(),
    api::<sync_group::SyncGroup>(),
    api::<describe_groups::DescribeGroups>(),
    api::<list_groups::ListGroups>(),
    api::<api_versions::ApiVersions>(),
    api::<create_topics::CreateTopics>(),
    api::<delete_topics::DeleteTopics>(),
    api::<delete_records::DeleteRecords>(),
    api::<init_producer_id::InitProducerId>(),
    api::<offset_for_leader_epoch::OffsetForLeaderEpoch>(),
    api::<describe_configs::DescribeConfigs>(),
    api::<alter_configs::AlterConfigs>(),
    api::<alter_replica_log_dirs::AlterReplicaLogDirs>(),
    api::<describe_log_dirs::DescribeLogDirs>(),
    api::<create_partitions::CreatePartitions>(),
    api::<delete_groups::DeleteGroups>(),
    api::<incremental_alter_configs::IncrementalAlterConfigs>(),
    api::<offset_delete::OffsetDelete>(),
    api::<describe_quorum::DescribeQuorum>(),
    api::<describe_cluster::DescribeCluster>(),
    api::<describe_producers::DescribeProducers>(),
    api::<list_config_resources::ListConfigResources>(),
    api::<describe_topic_partitions::DescribeTopicPartitions>(),
];

/// The row of `key`, if it is served at listeners of that kind.
pub(crate) fn find(key: ApiKey, listener: ListenerKind) -> Option<&'static Api> {
    let at = REGISTRY.binary_search_by_key(&key.key(), |api| api.key.key()).ok()?;
    listener.serves(key).then(|| &REGISTRY[at])
}

#[cfg(test)]
mod tests;
