//! Produce (0): appends batches.
//!
//! Versions: 3 has batches of magic 2, transactions; 5 tells the log start; 8 tells which records are
//! wrong (KIP-467); 10 the new leader (KIP-951); 13 names topics by id. Older clients need to be told
//! that 0 is served, see `api_versions`. Transactions are not built: a transactional id is refused, and
//! so are batches of a transaction that come without one.
//! Authorises: Write on the topics.
//!
//! An answer that acknowledges leaves when what it acknowledges is committed. That is the same for
//! `acks=1` and `acks=all`, for no other replica gets anything: where the metadata has others in sync, or
//! fewer than `min.insync.replicas`, as it may where Kafka was before, `acks=all` is refused.

mod appends;

use std::{mem, ops::RangeInclusive, time::Duration};

use dohle_base::{ErrorCode, Offset, PartitionId};
use dohle_net::wake_together;
use dohle_protocol::{
    RecordSet,
    api::{
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::{
            NodeEndpoint, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
        },
    },
};
use dohle_records::BatchView;
use smallvec::SmallVec;

use self::appends::Appends;
use super::{Answer, Asked, Call, Together, new_leader};
use crate::{commit::Uncommitted, metadata::Published, partition::Partition};

/// How long an answer waits for the disk at least, whatever the request allows: that limit is for other
/// replicas. Kafka asks it neither with `acks=1` nor where there are none, and who is told of a timeout without
/// having a sequence number writes twice. Source: as long as clients allow, unless they are told otherwise
/// (`request.timeout.ms`).
const DISK_WAIT_MIN: Duration = Duration::from_secs(30);

pub(crate) struct Produce;

impl Together for Produce {
    type Request = ProduceRequest;
    const VERSIONS: RangeInclusive<i16> = 3..=13;

    fn may_close(request: &ProduceRequest) -> bool {
        request.acks == 0
    }

    fn handle_all(
        call: Call<'_>,
        requests: &[Asked<ProduceRequest>],
        mut answer: impl FnMut(Answer<ProduceResponse>),
    ) {
        let published = call.broker.metadata();
        let mut appends = Appends::new(&published, requests.len());
        let mut drafts = SmallVec::<[Draft; 1]>::with_capacity(requests.len());
        for request in requests {
            drafts.push(Draft::default());
            let draft = drafts.last_mut().expect("just pushed");
            appends.draft(request.call(call), &request.body, draft);
        }
        // Who waits is woken when all is appended: the partition that a woken reader locks is free then.
        wake_together(|| appends.run(call.broker.clock.wall(), &mut drafts));
        for (request, draft) in requests.iter().zip(&mut drafts) {
            answer(draft.finish(call, &request.body, &published));
        }
    }
}

/// An answer in the making. It is large: it is filled where it lies, and moved once.
#[derive(Default)]
struct Draft {
    response: ProduceResponse,
    /// What it has to wait for.
    uncommitted: Uncommitted,
}

impl Draft {
    fn finish(
        &mut self,
        call: Call<'_>,
        request: &ProduceRequest,
        published: &Published,
    ) -> Answer<ProduceResponse> {
        let Self { response, uncommitted } = self;
        let partitions = || response.responses.iter().flat_map(|topic| &topic.partition_responses);
        if request.acks == 0 {
            // The only way to tell a producer that expects no answer.
            let has_error = partitions().any(|partition| partition.error_code.is_error());
            return if has_error { Answer::Close } else { Answer::Silent };
        }
        response.node_endpoints = new_leader::endpoints(
            partitions().map(|partition| partition.current_leader.leader_id),
            &published.image,
            &call.connection.listener_name,
            |node_id, host, port, rack| NodeEndpoint { node_id, host, port, rack },
        );
        if uncommitted.is_empty() {
            return Answer::now(mem::take(response));
        }
        let (mut response, uncommitted) = (mem::take(response), mem::take(uncommitted));
        let asked = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let time_max = asked.max(DISK_WAIT_MIN);
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

/// The error that all partitions get, whatever else is in them.
fn refusal_of_all(request: &ProduceRequest) -> Option<ErrorCode> {
    // Nobody could end it, and nobody could be asked who may begin it.
    if request.transactional_id.is_none() && has_transactional(request) {
        return Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    if !(-1..=1).contains(&request.acks) {
        return Some(ErrorCode::INVALID_REQUIRED_ACKS);
    }
    // Nobody here can end a transaction.
    request.transactional_id.is_some().then_some(ErrorCode::INVALID_TXN_STATE)
}

/// Whether a partition's first batch is of a transaction. Source: Kafka 4.4, for the first alone.
fn has_transactional(request: &ProduceRequest) -> bool {
    let mut partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.any(|data| match &data.records {
        Some(RecordSet::Bytes(bytes)) => {
            // What is no batch is refused later.
            BatchView::parse(bytes).is_ok_and(|batch| batch.attributes().is_transactional())
        }
        _ => false,
    })
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

#[cfg(test)]
mod tests;
