//! A Fetch request of one partition, and its answer.

use std::time::Duration;

use anyhow::{Result, bail};
use dohle_base::{ErrorCode, Offset, PartitionId, Str};
use dohle_protocol::{
    RecordSet, Request, Writer,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData},
    },
    encode_response,
};

use super::{
    connection::{Connection, Slice},
    topics::Topics,
};

/// What is asked for; kept while it has to wait.
pub(super) struct Fetch {
    pub(super) time_max: Duration,
    topic: Str,
    index: i32,
    offset: Offset,
    size_max: usize,
    version: i16,
    correlation_id: i32,
}

/// What there is to say.
pub(super) enum Answer {
    /// It asks for the next record to come.
    NothingYet,
    /// It asks for what is not there.
    Refused(ErrorCode),
    /// These batches.
    Batches { slice: Slice, start: Offset, end: Offset },
}

impl Fetch {
    /// # Errors
    /// A request of none or several partitions.
    pub(super) fn of(request: &FetchRequest, version: i16, correlation_id: i32) -> Result<Self> {
        let [topic] = &request.topics[..] else { bail!("a fetch of one topic, please") };
        let [partition] = &topic.partitions[..] else { bail!("a fetch of one partition, please") };
        let size_max = partition.partition_max_bytes.min(request.max_bytes);
        Ok(Self {
            time_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            topic: topic.topic.clone(),
            index: partition.partition.0,
            offset: partition.fetch_offset,
            size_max: usize::try_from(size_max).unwrap_or(0),
            version,
            correlation_id,
        })
    }

    pub(super) fn answer(&self, topics: &mut Topics) -> Answer {
        let Some(partition) = topics.find(&self.topic, self.index) else {
            return Answer::Refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let log = &partition.log;
        let (start, end) = (log.start_offset(), log.end_offset());
        match log.read(self.offset, self.size_max) {
            Some(slice) => Answer::Batches { slice, start, end },
            None if self.offset == end => Answer::NothingYet,
            None => Answer::Refused(ErrorCode::OFFSET_OUT_OF_RANGE),
        }
    }

    /// Sends the answer; `NothingYet` is one without records.
    pub(super) fn put(&self, answer: &Answer, connection: &mut Connection) -> Result<()> {
        let (error_code, slice, start, end) = match answer {
            Answer::NothingYet => (ErrorCode::NONE, None, Offset::ZERO, self.offset),
            Answer::Refused(error) => (*error, None, Offset(-1), Offset(-1)),
            Answer::Batches { slice, start, end } => (ErrorCode::NONE, Some(slice), *start, *end),
        };
        let size = slice.map_or(0, |slice| slice.size);
        let data = PartitionData {
            partition_index: PartitionId(self.index),
            error_code,
            high_watermark: end,
            last_stable_offset: end,
            log_start_offset: start,
            records: Some(RecordSet::Spliced { len: u32::try_from(size)?, token: 0 }),
            ..PartitionData::default()
        };
        let topic = FetchableTopicResponse {
            topic: self.topic.clone(),
            partitions: [data].into(),
            ..FetchableTopicResponse::default()
        };
        let response = FetchResponse { responses: [topic].into(), ..FetchResponse::default() };
        let mut w = Writer::new();
        encode_response(&mut w, FetchRequest::KEY, self.version, self.correlation_id, &response)?;
        connection.put(w, slice)?;
        Ok(())
    }
}
