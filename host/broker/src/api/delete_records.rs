//! DeleteRecords (21): drops what lies before an offset.
//!
//! Offset −1 means the high watermark. The answer waits until the new starts are durable, so that what was
//! deleted is not served again after a crash; Kafka notes them once a minute. Segments that lie wholly
//! before them go with the next check of the retention, as in Kafka. Authorises: Delete on the topics.

use std::{collections::BTreeSet, ops::RangeInclusive};

use dohle_base::{ErrorCode, Offset, PartitionId, Str, Uuid};
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
        let done = request.topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| (asked.partition_index, delete(call, &published, &topic.name, asked)));
            (topic.name.clone(), partitions.collect())
        });
        let done: Vec<(Str, Vec<Done>)> = done.collect();
        let deleted = done.iter().flat_map(|(_, partitions)| partitions);
        let dirs: BTreeSet<Uuid> =
            deleted.filter_map(|(_, done)| Some(done.as_ref().ok()?.directory)).collect();
        let noted: Vec<_> =
            dirs.into_iter().map(|dir| (dir, call.broker.retention.note_log_starts(dir))).collect();
        Answer::later(async move {
            let mut failed = BTreeSet::new();
            for (dir, noted) in noted {
                if !matches!(noted.await, Ok(Ok(()))) {
                    failed.insert(dir);
                }
            }
            response(done, &failed)
        })
    }
}

/// A partition, and what became of its records.
type Done = (PartitionId, Result<Deleted, ErrorCode>);

struct Deleted {
    low_watermark: Offset,
    /// The log directory, where it is noted.
    directory: Uuid,
}

fn delete(
    call: Call<'_>,
    published: &Published,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<Deleted, ErrorCode> {
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
    let low_watermark = deleted.map_err(|error| storage::read_error(&error, &partition))?;
    Ok(Deleted { low_watermark, directory: partition.directory() })
}

/// The answer, once it is noted; `failed` are the log directories where it could not be.
fn response(done: Vec<(Str, Vec<Done>)>, failed: &BTreeSet<Uuid>) -> DeleteRecordsResponse {
    let partition = |(partition_index, done): Done| {
        let noted = done.and_then(|done| match failed.contains(&done.directory) {
            true => Err(ErrorCode::KAFKA_STORAGE_ERROR),
            false => Ok(done.low_watermark),
        });
        let (low_watermark, error_code) = match noted {
            Ok(low_watermark) => (low_watermark, ErrorCode::NONE),
            Err(error) => (Offset(-1), error),
        };
        DeleteRecordsPartitionResult { partition_index, low_watermark, error_code }
    };
    let topics = done.into_iter().map(|(name, partitions)| DeleteRecordsTopicResult {
        name,
        partitions: partitions.into_iter().map(partition).collect(),
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}
