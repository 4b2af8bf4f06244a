//! What goes into a producer and what comes out.

use bytes::Bytes;
use dohle_base::{ErrorCode, Offset, PartitionId, Str, Timestamp};

use crate::{RequestError, ServerError, TopicPartition};

/// A record to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: Str,
    /// The partition; if none is given, the key decides, or chance.
    pub partition: Option<PartitionId>,
    /// When it happened; now, if not given.
    pub timestamp: Option<Timestamp>,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value; null deletes the key on compacted topics.
    pub value: Option<Bytes>,
    /// Headers in order; names may repeat.
    pub headers: Vec<(Str, Option<Bytes>)>,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset; not known without acknowledgements, or if an earlier attempt had succeeded and
    /// the broker no longer remembers where.
    pub offset: Option<Offset>,
    /// The time that the record has in the log.
    pub timestamp: Timestamp,
}

/// Why a record was not, or perhaps not, written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The record alone exceeds `max.request.size`.
    #[error("a record of {size} bytes exceeds max.request.size, which is {max}")]
    RecordTooLarge {
        /// Its bytes, as far as they count.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The topic, or the partition asked for, did not appear within `max.block.ms`.
    #[error("{partition} was not found in time{}", reason(*code))]
    NotFound {
        /// The partition asked for; −1 if any would have done.
        partition: TopicPartition,
        /// What brokers said of the topic.
        code: Option<ErrorCode>,
    },
    /// Not delivered within `delivery.timeout.ms`. It may have been written.
    #[error("not acknowledged in time{}", reason(*code))]
    Expired {
        /// Why the last attempt failed.
        code: Option<ErrorCode>,
    },
    /// The broker refused, and will again.
    #[error("refused: {0}")]
    Refused(#[from] ServerError),
    /// The request could not be made or understood. It may have been written.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The producer was closed first. It may have been written.
    #[error("the producer was closed")]
    Closed,
}

fn reason(code: Option<ErrorCode>) -> String {
    code.map(|code| format!(": {code}")).unwrap_or_default()
}

impl ProducerRecord {
    /// A record without key.
    pub fn new(topic: impl Into<Str>, value: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), value: Some(value.into()), ..Self::default() }
    }

    /// With a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With a partition.
    #[must_use]
    pub fn with_partition(mut self, partition: i32) -> Self {
        self.partition = Some(PartitionId(partition));
        self
    }

    /// With a header behind those that it has.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Str>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// With the time when it happened.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Bytes that it takes in a batch at most, so that memory can be accounted before it is there.
    /// Source: record format v2, five varints of five or ten bytes at most.
    pub fn size_bound(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| 10 + name.len() + value.as_ref().map_or(0, Bytes::len));
        let fields = [&self.key, &self.value].into_iter().flatten().map(Bytes::len);
        36 + fields.sum::<usize>() + headers.sum::<usize>()
    }
}
