//! FindCoordinator (10): which broker coordinates a group.
//!
//! Versions: 1 has key types and messages; 4 asks for many at once; 6 knows share groups' state.
//! Only groups (type 0) have a coordinator here; transactions (1) and share groups (2) are not built,
//! and are refused with UNSUPPORTED_VERSION instead of letting clients try for ever.
//! The topic of offsets is made by the first who asks. Authorises: Describe on the group.

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{BrokerId, ErrorCode, PartitionId, Str, partition_for_string};
use dohle_protocol::api::{
    find_coordinator_request::FindCoordinatorRequest,
    find_coordinator_response::{Coordinator, FindCoordinatorResponse},
};

use super::{Answer, Call, Endpoint};
use crate::{Broker, metadata::Published, topic_names::CONSUMER_OFFSETS};

/// The first version that asks for several at once.
const BATCHED_VERSION: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(crate) struct FindCoordinator;

impl Endpoint for FindCoordinator {
    type Request = FindCoordinatorRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    fn handle(call: Call<'_>, request: FindCoordinatorRequest) -> Answer<FindCoordinatorResponse> {
        let is_batched = call.version >= BATCHED_VERSION;
        let keys = if is_batched { request.coordinator_keys } else { vec![request.key] };
        let question = Question {
            keys,
            key_type: request.key_type,
            listener: call.connection.listener_name.clone(),
            is_batched,
        };
        let published = call.broker.metadata();
        let is_there = published.image.topics.named(CONSUMER_OFFSETS).is_some();
        if request.key_type != GROUP || is_there {
            return Answer::now(question.answer(&published));
        }
        let broker = Arc::clone(call.broker);
        Answer::later(async move {
            broker.create_offsets_topic().await;
            question.answer(&broker.metadata())
        })
    }
}

struct Question {
    keys: Vec<Str>,
    key_type: i8,
    listener: Arc<str>,
    is_batched: bool,
}

impl Question {
    fn answer(self, published: &Published) -> FindCoordinatorResponse {
        let found = self.keys.iter().map(|key| self.find(published, key));
        let mut coordinators: Vec<Coordinator> = found.collect();
        if self.is_batched {
            return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
        }
        let Coordinator { node_id, host, port, error_code, error_message, .. } =
            coordinators.pop().unwrap_or_default();
        // Success has a name in these versions, and no words in later ones.
        let error_message = if error_code.is_error() { error_message } else { Some("NONE".into()) };
        FindCoordinatorResponse {
            error_code,
            error_message,
            node_id,
            host,
            port,
            ..FindCoordinatorResponse::default()
        }
    }

    fn find(&self, published: &Published, key: &Str) -> Coordinator {
        let refusal = |error_code: ErrorCode, message: Option<&str>| Coordinator {
            key: key.clone(),
            node_id: BrokerId::NONE,
            port: -1,
            error_code,
            error_message: message.map(Str::from),
            ..Coordinator::default()
        };
        match self.key_type {
            GROUP => {}
            TRANSACTION | SHARE => {
                let message = "transactions and share groups are not supported yet";
                return refusal(ErrorCode::UNSUPPORTED_VERSION, Some(message));
            }
            _ => return refusal(ErrorCode::INVALID_REQUEST, Some("no such coordinator type")),
        }
        let found = leader_of_group(published, key)
            .and_then(|leader| published.image.broker(leader))
            .filter(|broker| !broker.fenced)
            .and_then(|broker| Some((broker.id, broker.listener(&self.listener)?)));
        match found {
            Some((node_id, at)) => Coordinator {
                key: key.clone(),
                node_id,
                host: at.host.clone(),
                port: i32::from(at.port),
                error_message: Some("".into()),
                ..Coordinator::default()
            },
            None => refusal(ErrorCode::COORDINATOR_NOT_AVAILABLE, None),
        }
    }
}

/// The partition of `__consumer_offsets` that a group belongs to; none before the topic exists.
pub(crate) fn partition_of_group(published: &Published, group: &str) -> Option<PartitionId> {
    let topic = published.image.topics.named(CONSUMER_OFFSETS)?;
    let count = i32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
    Some(PartitionId(partition_for_string(group, count)))
}

fn leader_of_group(published: &Published, group: &str) -> Option<BrokerId> {
    let index = partition_of_group(published, group)?;
    let topic = published.image.topics.named(CONSUMER_OFFSETS)?;
    Some(topic.partitions.get(&index)?.leader)
}

impl Broker {
    /// Makes `__consumer_offsets`, unless it is there.
    async fn create_offsets_topic(&self) {
        self.auto_create(vec![CONSUMER_OFFSETS.into()]).await;
    }
}
