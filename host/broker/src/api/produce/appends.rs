//! What the requests of a connection append, partition by partition.

use std::sync::Arc;

use dohle_base::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId};
use dohle_log::{AppendError, Appended, Results};
use dohle_protocol::{
    RecordSet,
    api::{
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse,
            TopicProduceResponse,
        },
    },
};
use dohle_records::{BatchError, BatchView, Codec};
use smallvec::SmallVec;
use tracing::debug;

use super::{Call, Draft, refusal_of_all, refuse_topic, refused};
use crate::{metadata::Published, partition::Partition, storage, topic_names};

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 13;
/// From here on batches may be compressed with zstd (KIP-110).
const ZSTD_VERSION: i16 = 7;
/// From here on the answer says who leads instead (KIP-951).
const NEW_LEADER_VERSION: i16 = 10;

/// Acknowledged is what all have that are in sync.
const ACKS_ALL: i16 = -1;

/// How many batches are appended before others get the partition's lock.
const LOCKED_MAX: usize = 32;

/// Batches to be appended, in the order of their requests.
pub(super) struct Appends<'a> {
    published: &'a Published,
    list: SmallVec<[Append<'a>; 1]>,
    /// How many answers have been drafted.
    drafts: usize,
    /// How many must have what the request appends that is being drafted.
    acks: i16,
}

/// One of them.
struct Append<'a> {
    call: Call<'a>,
    topic: TopicId,
    partition: Arc<Partition>,
    data: &'a PartitionProduceData,
    batch: &'a [u8],
    place: Place,
}

/// Where its result goes: indices.
#[derive(Clone, Copy)]
struct Place {
    draft: usize,
    topic: usize,
    partition: usize,
}

impl<'a> Appends<'a> {
    /// Of so many requests.
    pub(super) fn new(published: &'a Published, requests: usize) -> Self {
        Self { published, list: SmallVec::with_capacity(requests), drafts: 0, acks: 0 }
    }

    /// Writes the answer to a request into the next draft, without the results of what it appends.
    pub(super) fn draft(&mut self, call: Call<'a>, request: &'a ProduceRequest, draft: &mut Draft) {
        let refusal = refusal_of_all(request);
        self.acks = request.acks;
        for (index, topic) in request.topic_data.iter().enumerate() {
            draft.response.responses.push(match refusal {
                Some(error) => refuse_topic(topic, error),
                None => self.topic(call, index, topic),
            });
        }
        self.drafts += 1;
    }

    fn topic(
        &mut self,
        call: Call<'a>,
        index: usize,
        topic: &'a TopicProduceData,
    ) -> TopicProduceResponse {
        let by_id = call.version >= TOPIC_ID_VERSION;
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
        if topic_names::is_internal(&known.name) && !is_admin_client(&call) {
            return refuse_topic(topic, ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let partitions = topic.partition_data.iter().enumerate().map(|(partition, data)| {
            let place = Place { draft: self.drafts, topic: index, partition };
            self.partition(call, known.id, data, place)
        });
        TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: partitions.collect(),
        }
    }

    fn partition(
        &mut self,
        call: Call<'a>,
        topic: TopicId,
        data: &'a PartitionProduceData,
        place: Place,
    ) -> PartitionProduceResponse {
        let Some(partition) = call.broker.partitions.get(topic, data.index) else {
            return not_here(self.published, call, topic, data);
        };
        let Some(RecordSet::Bytes(batch)) = &data.records else {
            return refused(data, ErrorCode::INVALID_RECORD);
        };
        if call.version < ZSTD_VERSION
            && let Some(error) = too_new(batch)
        {
            return refused(data, error);
        }
        if self.acks == ACKS_ALL && partition.refuses_acks_all() {
            return refused(data, ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        self.list.push(Append { call, topic, partition, data, batch, place });
        PartitionProduceResponse::default()
    }

    /// Appends all, what goes to the same partition at once, and puts the results into the drafts.
    pub(super) fn run(&mut self, now: Timestamp, drafts: &mut [Draft]) {
        // Those of a partition stay in the order of their requests.
        self.list.sort_by_key(|append| Arc::as_ptr(&append.partition));
        for all in self.list.chunk_by(|a, b| Arc::ptr_eq(&a.partition, &b.partition)) {
            let append = |these: &[Append<'_>]| {
                let partition = &these.first().expect("a turn has one at least").partition;
                partition.append_each(these.iter().map(|append| append.batch), now)
            };
            append_in_turns(all, append, |append, outcome| match outcome {
                Ok((result, committed)) => append.done(result, committed, drafts),
                Err(error) => {
                    append.place.put(append.refused(self.published, error), drafts);
                }
            });
        }
    }
}

/// What became of a batch, and up to where all is committed; or that the partition takes nothing.
type Outcome = Result<(Result<Appended, AppendError>, Offset), ErrorCode>;

/// Appends all that goes to one partition, so many at a time. Behind what failed, nothing is tried: it
/// could be the first to find room, before what was sent before it.
fn append_in_turns<T>(
    all: &[T],
    mut append: impl FnMut(&[T]) -> Result<(Results, Offset), ErrorCode>,
    mut tell: impl FnMut(&T, Outcome),
) {
    let mut turns = all.chunks(LOCKED_MAX);
    while let Some(these) = turns.next() {
        let (results, committed) = match append(these) {
            Ok(appended) => appended,
            Err(error) => {
                let untried = turns.flatten();
                return these.iter().chain(untried).for_each(|one| tell(one, Err(error)));
            }
        };
        let failure = match turns.len() {
            0 => None,
            _ => results.iter().find_map(|result| match result {
                Err(error @ AppendError::Log(_)) => Some(error.clone()),
                _ => None,
            }),
        };
        for (one, result) in these.iter().zip(results) {
            tell(one, Ok((result, committed)));
        }
        if let Some(failure) = failure {
            let untried = turns.flatten();
            return untried.for_each(|one| tell(one, Ok((Err(failure.clone()), committed))));
        }
    }
}

impl Append<'_> {
    /// Everything before `committed` is committed.
    fn done(&self, result: Result<Appended, AppendError>, committed: Offset, drafts: &mut [Draft]) {
        let response = match result {
            Ok(appended) => {
                if !appended.duplicate {
                    let records = appended.last_offset.0 - appended.base_offset.0 + 1;
                    self.call.tally.appended(appended.size, records);
                }
                let end = appended.last_offset.next();
                if end > committed {
                    let draft = &mut drafts[self.place.draft];
                    draft.uncommitted.push(Arc::clone(&self.partition), end);
                }
                PartitionProduceResponse {
                    index: self.data.index,
                    base_offset: appended.base_offset,
                    log_append_time_ms: appended.log_append_time.0,
                    log_start_offset: appended.log_start_offset,
                    ..PartitionProduceResponse::default()
                }
            }
            Err(error) => {
                let code = storage::append_error(&error, &self.partition);
                let log_start = self.partition.with_leader(|leader| leader.standing().log_start);
                explained(self.data, &error, code, log_start.unwrap_or(Offset(-1)))
            }
        };
        self.place.put(response, drafts);
    }

    /// The partition takes nothing.
    fn refused(&self, published: &Published, error: ErrorCode) -> PartitionProduceResponse {
        match error {
            ErrorCode::NOT_LEADER_OR_FOLLOWER => {
                not_here(published, self.call, self.topic, self.data)
            }
            error => refused(self.data, error),
        }
    }
}

impl Place {
    fn put(self, response: PartitionProduceResponse, drafts: &mut [Draft]) {
        let topic = &mut drafts[self.draft].response.responses[self.topic];
        topic.partition_responses[self.partition] = response;
    }
}

/// A partition that this node does not lead, with who does.
fn not_here(
    published: &Published,
    call: Call<'_>,
    topic: TopicId,
    data: &PartitionProduceData,
) -> PartitionProduceResponse {
    let Some(partition) = published.image.topics.partition(topic, data.index) else {
        return refused(data, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    };
    if call.version < NEW_LEADER_VERSION {
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
        AppendError::NoKey { .. }
        | AppendError::Timestamp { .. }
        | AppendError::StampedByClient
        | AppendError::Producer(_) => true,
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

#[cfg(test)]
mod tests;
