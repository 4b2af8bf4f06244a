//! What a request asks for.

use std::{sync::Arc, time::Duration};

use dohle_base::LeaderEpoch;
use dohle_protocol::api::fetch_request::FetchRequest;
use dohle_replication::{
    Isolation,
    fetch_session::{SessionRequest, WantedPartition},
};
use smallvec::SmallVec;

use crate::api::Call;

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 13;
const READ_COMMITTED: i8 = 1;

/// What the request says beside the partitions.
pub(super) struct Terms {
    pub(super) version: i16,
    pub(super) listener: Arc<str>,
    pub(super) wait: Duration,
    pub(super) size_min: i64,
    pub(super) size_max: usize,
    pub(super) isolation: Isolation,
}

impl Terms {
    pub(super) fn of(call: Call<'_>, request: &FetchRequest) -> Self {
        let bytes = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let size_max = request.max_bytes.min(call.broker.config.fetch.bytes_max);
        Self {
            version: call.version,
            listener: Arc::clone(&call.connection.listener_name),
            wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            // Nobody waits for more than an answer may have.
            size_min: i64::from(request.min_bytes.min(size_max)),
            size_max: bytes(size_max),
            isolation: match request.isolation_level {
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
        }
    }
}

/// The partitions, in the terms of sessions (KIP-227).
pub(super) fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let mut wanted = SmallVec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            wanted.push(WantedPartition {
                topic_id: topic.topic_id,
                topic: topic.topic.clone(),
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
            });
        }
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        let partitions = topic.partitions.iter();
        forgotten.extend(partitions.map(|index| (topic.topic_id, topic.topic.clone(), *index)));
    }
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        by_topic_id: version >= TOPIC_ID_VERSION,
        wanted,
        forgotten,
    }
}
