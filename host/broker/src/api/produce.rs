//! Produce (0): appends batches.
//!
//! Versions: 3 has batches of magic 2, transactions; 5 tells the log start; 8 tells which records are
//! wrong (KIP-467); 10 the new leader (KIP-951); 13 names topics by id. Older clients need to be told
//! that 0 is served, see `api_versions`. Transactions are not built: a transactional id is refused.
//! Authorises: Write on the topics.
//!
//! An answer that acknowledges leaves when what it acknowledges is committed. For now that is the same
//! for `acks=1` and `acks=all`: this replica is the only one.

use std::{ops::RangeInclusive, time::Duration};

use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Timestamp, TopicId};
use dohle_log::{AppendError, Origin};
use dohle_protocol::{
    RecordSet,
    api::{
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
            ProduceResponse, TopicProduceResponse,
        },
    },
};

use dohle_records::{BatchError, BatchView, Codec};
use tracing::debug;

use super::{Answer, Call, Endpoint, new_leader};
use crate::{commit::Uncommitted, metadata::Published, partition::Partition, storage, topic_names};

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 13;
/// From here on batches may be compressed with zstd (KIP-110).
const ZSTD_VERSION: i16 = 7;
/// From here on the answer says who leads instead (KIP-951).
const NEW_LEADER_VERSION: i16 = 10;

pub(crate) struct Produce;

impl Endpoint for Produce {
    type Request = ProduceRequest;
    const VERSIONS: RangeInclusive<i16> = 3..=13;

    fn handle(call: Call<'_>, request: ProduceRequest) -> Answer<ProduceResponse> {
        let published = call.broker.metadata();
        let refusal = refusal_of_all(&request);
        let mut append = Append {
            call,
            published: &published,
            now: call.broker.clock.wall(),
            uncommitted: Uncommitted::default(),
        };
        let mut response = ProduceResponse::default();
        let mut has_error = false;
        for topic in &request.topic_data {
            let topic = match refusal {
                Some(error) => refuse_topic(topic, error),
                None => append.topic(topic),
            };
            has_error |= topic.partition_responses.iter().any(|p| p.error_code.is_error());
            response.responses.push(topic);
        }
        if request.acks == 0 {
            // The only way to tell a producer that expects no answer.
            return if has_error { Answer::Close } else { Answer::Silent };
        }
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        response.node_endpoints = new_leader::endpoints(
            partitions.map(|partition| partition.current_leader.leader_id),
            &published.image,
            &call.connection.listener_name,
            |node_id, host, port, rack| NodeEndpoint { node_id, host, port, rack },
        );
        let uncommitted = append.uncommitted;
        if uncommitted.is_empty() {
            return Answer::now(response);
        }
        let time_max = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        Answer::later(async move {
            for (write, error) in uncommitted.committed(time_max).await {
                refuse_write(&mut response, &write.partition, error);
            }
            response
        })
    }
}

/// What was written to a partition is not acknowledged.
fn refuse_write(response: &mut ProduceResponse, partition: &Partition, error: ErrorCode) {
    let topics = response.responses.iter_mut();
    let topics = topics
        .filter(|topic| topic.topic_id == partition.topic_id() || topic.name == *partition.topic());
    let parts = topics.flat_map(|topic| &mut topic.partition_responses);
    for part in parts.filter(|part| part.index == partition.index()) {
        *part = failed(part.index, error);
    }
}

/// The error that all partitions get, whatever is in them.
fn refusal_of_all(request: &ProduceRequest) -> Option<ErrorCode> {
    if !(-1..=1).contains(&request.acks) {
        return Some(ErrorCode::INVALID_REQUIRED_ACKS);
    }
    // Nobody here can end a transaction.
    request.transactional_id.is_some().then_some(ErrorCode::INVALID_TXN_STATE)
}

fn refuse_topic(topic: &TopicProduceData, error: ErrorCode) -> TopicProduceResponse {
    let partitions = topic.partition_data.iter().map(|data| refused(data, error));
    TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: partitions.collect(),
    }
}

fn refused(data: &PartitionProduceData, error_code: ErrorCode) -> PartitionProduceResponse {
    failed(data.index, error_code)
}

fn failed(index: PartitionId, error_code: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code,
        base_offset: Offset(-1),
        ..PartitionProduceResponse::default()
    }
}

struct Append<'a> {
    call: Call<'a>,
    published: &'a Published,
    now: Timestamp,
    /// What the answer has to wait for.
    uncommitted: Uncommitted,
}

impl Append<'_> {
    fn topic(&mut self, topic: &TopicProduceData) -> TopicProduceResponse {
        let by_id = self.call.version >= TOPIC_ID_VERSION;
        let topics = &self.published.image.topics;
        let known = if by_id { topics.get(topic.topic_id) } else { topics.named(&topic.name) };
        let Some(known) = known else {
            let error = match by_id {
                true => ErrorCode::UNKNOWN_TOPIC_ID,
                false if topic_names::is_valid(&topic.name) => {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                }
                false => ErrorCode::INVALID_TOPIC_EXCEPTION,
            };
            return refuse_topic(topic, error);
        };
        if topic_names::is_internal(&known.name) && !is_admin_client(&self.call) {
            return refuse_topic(topic, ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let partitions = topic.partition_data.iter().map(|data| self.partition(known.id, data));
        TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: partitions.collect(),
        }
    }

    fn partition(
        &mut self,
        topic: TopicId,
        data: &PartitionProduceData,
    ) -> PartitionProduceResponse {
        let Some(partition) = self.call.broker.partitions.get(topic, data.index) else {
            return self.not_here(topic, data);
        };
        let batch = match &data.records {
            Some(RecordSet::Bytes(batch)) => batch,
            _ => return refused(data, ErrorCode::INVALID_RECORD),
        };
        if self.call.version < ZSTD_VERSION
            && let Some(error) = too_new(batch)
        {
            return refused(data, error);
        }
        match partition.append(batch, Origin::Client, self.now) {
            Ok(Ok((appended, is_committed))) => {
                if !appended.duplicate {
                    let records = appended.last_offset.0 - appended.base_offset.0 + 1;
                    self.call.tally.appended(appended.size, records);
                }
                if !is_committed {
                    self.uncommitted.push(partition, appended.last_offset.next());
                }
                PartitionProduceResponse {
                    index: data.index,
                    base_offset: appended.base_offset,
                    log_append_time_ms: appended.log_append_time.0,
                    log_start_offset: appended.log_start_offset,
                    ..PartitionProduceResponse::default()
                }
            }
            Ok(Err(error)) => {
                let code = storage::append_error(&error, &partition);
                let log_start = partition.with_leader(|leader| leader.standing().log_start);
                explained(data, &error, code, log_start.unwrap_or(Offset(-1)))
            }
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) => self.not_here(topic, data),
            Err(error) => refused(data, error),
        }
    }

    /// A partition that this node does not lead, with who does.
    fn not_here(&self, topic: TopicId, data: &PartitionProduceData) -> PartitionProduceResponse {
        let Some(partition) = self.published.image.topics.partition(topic, data.index) else {
            return refused(data, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        if self.call.version < NEW_LEADER_VERSION {
            return refused(data, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        PartitionProduceResponse {
            current_leader: LeaderIdAndEpoch {
                leader_id: partition.leader,
                leader_epoch: LeaderEpoch(partition.leader_epoch.0),
            },
            ..refused(data, ErrorCode::NOT_LEADER_OR_FOLLOWER)
        }
    }
}

/// What older versions refuse in a batch before anything else is looked at.
fn too_new(batch: &[u8]) -> Option<ErrorCode> {
    // What is no batch is refused later, in the same words for all versions.
    match BatchView::parse(batch).ok()?.attributes().codec() {
        Some(Codec::Zstd) => Some(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE),
        Some(_) => None,
        None => Some(ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

/// Kafka's own tools may repair internal topics by this name. Source: Kafka 4.4.
fn is_admin_client(call: &Call<'_>) -> bool {
    call.client_id.is_some_and(|id| id == "__admin_client")
}

/// An error of the batch. Where a record is to blame it is named, in words too (KIP-467). What was
/// refused before the records were looked at does not come with the log's start, as in Kafka.
fn explained(
    data: &PartitionProduceData,
    error: &AppendError,
    code: ErrorCode,
    log_start: Offset,
) -> PartitionProduceResponse {
    debug!(partition = %data.index, "batch refused: {error}");
    let record_errors = match error {
        AppendError::NoKey { index } => vec![BatchIndexAndErrorMessage {
            batch_index: i32::try_from(*index).unwrap_or(i32::MAX),
            batch_index_error_message: Some("a compacted topic needs keys".into()),
        }],
        _ => Vec::new(),
    };
    let is_unknown_format =
        matches!(error, AppendError::Batch(BatchError::BadMagic { magic, .. }) if *magic > 2);
    let was_looked_into = match error {
        AppendError::Batch(error) => matches!(
            error,
            BatchError::BadCount { .. }
                | BatchError::ControlFromClient
                | BatchError::UnknownCodec { .. }
                | BatchError::BadCompression { .. }
                | BatchError::TooLarge { .. }
                | BatchError::BadRecord { .. }
                | BatchError::TrailingBytes { .. }
        ),
        AppendError::NoKey { .. } | AppendError::Timestamp { .. } | AppendError::Producer(_) => {
            true
        }
        _ => false,
    };
    PartitionProduceResponse {
        error_message: (!record_errors.is_empty() || is_unknown_format)
            .then(|| error.to_string().into()),
        record_errors,
        log_start_offset: if was_looked_into { log_start } else { Offset(-1) },
        ..refused(data, code)
    }
}
