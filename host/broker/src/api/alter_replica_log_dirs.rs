//! AlterReplicaLogDirs (34): moves partitions to other directories of this broker.
//!
//! The answer says that a move is accepted; DescribeLogDirs shows how far it is. A partition that is
//! not here yet will be made in that directory. Authorises: Alter on the cluster.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, PartitionId, Str, Uuid};
use dohle_log::{DirRole, PartitionDir};
use dohle_protocol::api::{
    alter_replica_log_dirs_request::AlterReplicaLogDirsRequest,
    alter_replica_log_dirs_response::{
        AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
        AlterReplicaLogDirsResponse,
    },
};

use super::{Answer, Call, Endpoint, by_topic::merge};
use crate::{Broker, log_dirs::LogDir, metadata::Published, placement};

/// The longest file name that file systems take.
const FILE_NAME_SIZE_MAX: usize = 255;

pub(crate) struct AlterReplicaLogDirs;

impl Endpoint for AlterReplicaLogDirs {
    type Request = AlterReplicaLogDirsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=2;

    fn handle(
        call: Call<'_>,
        request: AlterReplicaLogDirsRequest,
    ) -> Answer<AlterReplicaLogDirsResponse> {
        let published = call.broker.metadata();
        let wanted = request.dirs.iter().flat_map(|wanted| {
            wanted.topics.iter().map(move |topic| (&wanted.path, &topic.name, &topic.partitions))
        });
        let results = wanted.map(|(path, topic, partitions)| {
            let partitions = partitions.iter().map(|index| {
                let moved = alter(call.broker, &published, path, topic, *index);
                AlterReplicaLogDirPartitionResult {
                    partition_index: *index,
                    error_code: moved.err().unwrap_or(ErrorCode::NONE),
                }
            });
            AlterReplicaLogDirTopicResult {
                topic_name: topic.clone(),
                partitions: partitions.collect(),
            }
        });
        let results = merge(
            Vec::new(),
            results,
            |result| result.topic_name.clone(),
            |result, more| result.partitions.extend(more.partitions),
        );
        Answer::now(AlterReplicaLogDirsResponse { results, ..Default::default() })
    }
}

fn alter(
    broker: &Broker,
    published: &Published,
    path: &str,
    topic: &Str,
    index: PartitionId,
) -> Result<(), ErrorCode> {
    let current = PartitionDir::current(topic, index);
    let future = PartitionDir { role: DirRole::Future, ..current }.name(Uuid::ZERO);
    if future.len() > FILE_NAME_SIZE_MAX {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let target = directory(broker, path)?;
    if placement::cordoned(&broker.settings(), &broker.log_dirs).contains(&target.id) {
        return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    }
    let known = published.image.topics.named(topic);
    let Some(partition) = known.and_then(|topic| broker.partitions.get(topic.id, index)) else {
        broker.moves.prefer(topic.clone(), index, target.id);
        // Kafka's code for a partition that is elsewhere, as it was before there was another.
        return match known.is_some_and(|topic| topic.partitions.contains_key(&index)) {
            true => Err(ErrorCode::REPLICA_NOT_AVAILABLE),
            false => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        };
    };
    if let Err(code) = partition.with_leader(|_| ()) {
        return match code {
            ErrorCode::NOT_LEADER_OR_FOLLOWER => Err(ErrorCode::REPLICA_NOT_AVAILABLE),
            code => Err(code),
        };
    }
    if broker.has_failed_dirs() && partition.directory() != target.id {
        // A copy of it may lie in a directory that has failed.
        return Err(ErrorCode::KAFKA_STORAGE_ERROR);
    }
    broker.moves.request(&partition, &target, broker.random_id());
    Ok(())
}

/// The directory of that path, if it can be used.
fn directory(broker: &Broker, path: &str) -> Result<Arc<LogDir>, ErrorCode> {
    let mut known = broker.config.log_dirs.iter();
    let known = known.find(|dir| LogDir::shown(dir) == path).ok_or(ErrorCode::LOG_DIR_NOT_FOUND)?;
    let dir = broker.log_dirs.iter().find(|dir| dir.path.as_os_str() == known.as_str());
    let dir = dir.filter(|dir| !dir.has_failed()).ok_or(ErrorCode::KAFKA_STORAGE_ERROR)?;
    Ok(Arc::clone(dir))
}

#[cfg(test)]
mod tests;
