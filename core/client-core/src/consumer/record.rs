//! What comes out of a consumer.

use bytes::Bytes;
use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, Timestamp};
use dohle_records::{BatchError, TimestampType};

use crate::{RequestError, ServerError, TopicPartition};

/// A record as it was read. Its bytes are shared with the answer that it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: Str,
    /// Which partition of it.
    pub partition: PartitionId,
    /// Its place there.
    pub offset: Offset,
    /// The epoch of the leader that wrote it; unknown for records older than batches.
    pub leader_epoch: LeaderEpoch,
    /// Its time.
    pub timestamp: Timestamp,
    /// Whose clock that is from.
    pub timestamp_type: TimestampType,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// The headers, in order; keys are most likely UTF-8 and may repeat.
    pub headers: Vec<dohle_records::OwnedHeader>,
}

/// An offset to commit, or committed: of the next record to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: Offset,
    /// The epoch of the record before it, or none.
    pub leader_epoch: LeaderEpoch,
    /// The application's own words.
    pub metadata: Option<Str>,
}

/// Why a poll has no records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumeError {
    /// Neither topics nor partitions were chosen.
    #[error("nothing to consume: subscribe or assign first")]
    NothingChosen,
    /// No offset is committed and `auto.offset.reset` is `none`. Seek to go on.
    #[error("no committed offset for {partition}, and auto.offset.reset is none")]
    NoOffset {
        /// The partition.
        partition: TopicPartition,
    },
    /// The offset is gone or was never there, and `auto.offset.reset` is `none`. Seek to go on.
    #[error("offset {offset} of {partition} is out of range, and auto.offset.reset is none")]
    OutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset.
        offset: Offset,
    },
    /// Records that had been read are no longer part of the log, and `auto.offset.reset` is `none`.
    #[error("{partition} was cut off at {end_offset}, before {offset} where we had read to")]
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// Where we had read to.
        offset: Offset,
        /// Where the log that we had read now ends.
        end_offset: Offset,
    },
    /// What lies at this offset cannot be read. Seek behind it to go on.
    #[error("{partition} cannot be read at {offset}: {source}")]
    Corrupt {
        /// The partition.
        partition: TopicPartition,
        /// The first offset concerned.
        offset: Offset,
        /// What is wrong.
        source: BatchError,
    },
    /// The broker refused to let us read a topic.
    #[error("{topic}: {error}")]
    Refused {
        /// The topic.
        topic: Str,
        /// What it said.
        error: ServerError,
    },
    /// The coordinator does not let us be a member, or another instance has taken our place.
    #[error("group {group}: {error}")]
    Group {
        /// The group.
        group: Str,
        /// Why.
        error: RequestError,
    },
    /// A broker does not understand us, or we do not understand it. We keep trying.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The consumer was closed.
    #[error("the consumer was closed")]
    Closed,
}

/// Why offsets were not committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// There is no group to commit for.
    #[error("group.id is not set")]
    NoGroup,
    /// The group has gone on without us; others have our partitions now.
    #[error("the group has rebalanced: {code}")]
    Rebalanced {
        /// The coordinator's word for it.
        code: ErrorCode,
    },
    /// Another instance with our `group.instance.id` has taken our place.
    #[error("another instance has taken our place")]
    Fenced,
    /// The coordinator refused one of the offsets.
    #[error("{partition}: {error}")]
    Refused {
        /// The partition.
        partition: TopicPartition,
        /// What it said.
        error: ServerError,
    },
    /// No answer in time, or none that can be used. The offsets may have been committed.
    #[error("{0}")]
    Request(#[from] RequestError),
}

impl ConsumerRecord {
    /// Where it came from.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }
}

impl CommittedOffset {
    /// The offset alone.
    pub fn new(offset: impl Into<Offset>) -> Self {
        Self { offset: offset.into(), leader_epoch: LeaderEpoch::NONE, metadata: None }
    }
}
