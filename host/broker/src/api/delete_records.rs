//! DeleteRecords (21): drops what lies before an offset.
//!
//! Offset −1 means the high watermark. Authorises: Delete on the topics.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, Offset};
use dohle_protocol::api::{
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest},
    delete_records_response::{
        DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
    },
};

use super::{Answer, Call, Endpoint};
use crate::{metadata::Published, storage};

const HIGH_WATERMARK: Offset = Offset(-1);

pub(crate) struct DeleteRecords;

impl Endpoint for DeleteRecords {
    type Request = DeleteRecordsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn handle(call: Call<'_>, request: DeleteRecordsRequest) -> Answer<DeleteRecordsResponse> {
        let published = call.broker.metadata();
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let (low_watermark, error_code) =
                    match delete(call, &published, &topic.name, partition) {
                        Ok(low_watermark) => (low_watermark, ErrorCode::NONE),
                        Err(error) => (Offset(-1), error),
                    };
                DeleteRecordsPartitionResult {
                    partition_index: partition.partition_index,
                    low_watermark,
                    error_code,
                }
            });
            DeleteRecordsTopicResult { name: topic.name.clone(), partitions: partitions.collect() }
        });
        let topics = topics.collect();
        Answer::now(DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() })
    }
}

fn delete(
    call: Call<'_>,
    published: &Published,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    let partition = call.broker.led(published, topic, asked.partition_index)?;
    if call.broker.is_only_compacted(published, topic) {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let deleted = partition.with_leader(|leader| {
        let to = match asked.offset {
            HIGH_WATERMARK => leader.standing().high_watermark,
            offset => offset,
        };
        leader.delete_records(to)
    })?;
    call.broker.upkeep.changed();
    deleted.map_err(|error| storage::read_error(&error, &partition))
}
