//! DeleteRecords (21): drops what lies before an offset.
//!
//! Offset −1 means the high watermark. The answer waits until the new starts are durable, so that what was
//! deleted is not served again after a crash; Kafka notes them once a minute. It does not wait longer than the
//! request allows. Segments that lie wholly before them go with the next check of the retention, as in Kafka.
//! Authorises: Delete on the topics.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

use dohle_base::{ErrorCode, Offset, PartitionId, Str, Uuid};
use dohle_protocol::api::{
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest},
    delete_records_response::{
        DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
    },
};

use tokio::time::Instant;

use super::{Answer, Call, Endpoint};
use crate::{log_dirs::LogDir, metadata::Published, storage, time_limit::within, topic_names};

const HIGH_WATERMARK: Offset = Offset(-1);

/// How long a disk is waited for at least, as the wait for other replicas is what clients limit: without any
/// Kafka answers as soon as its own log has moved, whatever the limit is.
const WAIT_MIN: Duration = Duration::from_secs(1);

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
        let deleted = deleted.filter_map(|(_, done)| done.as_ref().ok());
        let dirs = deleted.map(|deleted| (deleted.dir.id, &deleted.dir));
        // Of each directory once.
        let dirs: BTreeMap<Uuid, &Arc<LogDir>> = dirs.collect();
        let noted = dirs.into_iter().map(|(id, dir)| (id, dir.upkeep().note_log_starts()));
        let noted: Vec<_> = noted.collect();
        let wait = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let limit = Instant::now() + wait.max(WAIT_MIN);
        Answer::later(async move {
            let mut failed = BTreeMap::new();
            for (dir, noted) in noted {
                match within(limit, noted).await {
                    Some(Ok(Ok(()))) => {}
                    Some(_) => drop(failed.insert(dir, ErrorCode::KAFKA_STORAGE_ERROR)),
                    None => drop(failed.insert(dir, ErrorCode::REQUEST_TIMED_OUT)),
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
    dir: Arc<LogDir>,
}

fn delete(
    call: Call<'_>,
    published: &Published,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<Deleted, ErrorCode> {
    let led = call.broker.led(published, topic, asked.partition_index);
    if topic_names::is_internal(topic)
        && led.as_ref().err() != Some(&ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let partition = led?;
    if call.broker.is_only_compacted(published, topic) {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let (deleted, dir) = partition.with_leader(|leader| {
        let to = match asked.offset {
            HIGH_WATERMARK => leader.standing().high_watermark,
            offset => offset,
        };
        (leader.delete_records(to), partition.log_dir())
    })?;
    let low_watermark =
        deleted.map_err(|error| storage::read_error_in(&dir, &error, &partition))?;
    Ok(Deleted { low_watermark, dir })
}

/// The answer, once it is noted; `failed` are the log directories where it was not.
fn response(
    done: Vec<(Str, Vec<Done>)>,
    failed: &BTreeMap<Uuid, ErrorCode>,
) -> DeleteRecordsResponse {
    let partition = |(partition_index, done): Done| {
        let noted = done.and_then(|done| match failed.get(&done.dir.id) {
            Some(error) => Err(*error),
            None => Ok(done.low_watermark),
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

#[cfg(test)]
mod tests;
