//! Offsets of partitions by time, and records deleted up to an offset.

use std::{collections::BTreeMap, time::Duration};

use dohle_base::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use dohle_protocol::api::{
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic},
    delete_records_response::DeleteRecordsResponse,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic},
    list_offsets_response::ListOffsetsResponse,
};

use crate::{IsolationLevel, TopicPartition, config::wire_ms};

/// Which offset of a partition. Source: ListOffsets of Kafka 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// Of the oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// Of the record with the greatest timestamp (version 7 and later).
    MaxTimestamp,
    /// Of the oldest record on the broker's own disks (version 8 and later).
    EarliestLocal,
    /// Behind the newest record that is in tiered storage (version 9 and later).
    LatestTiered,
    /// Of the oldest record that is still to be moved to tiered storage (version 11 and later).
    EarliestPendingUpload,
    /// Of the first record of this time, in ms since 1970, or later.
    Timestamp(i64),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; none if there is no such record.
    pub offset: Option<Offset>,
    /// The record's time in ms since 1970; none for the start and the end.
    pub timestamp: Option<i64>,
    /// The record's epoch, or none.
    pub leader_epoch: LeaderEpoch,
}

/// An error code or a value for each partition.
pub type ByPartition<T> = BTreeMap<TopicPartition, Result<T, ErrorCode>>;

/// Asks a leader for offsets of its partitions.
pub fn list(
    specs: &BTreeMap<TopicPartition, OffsetSpec>,
    isolation: IsolationLevel,
    timeout: Duration,
    version: i16,
) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (partition, spec) in specs {
        let part = ListOffsetsPartition {
            partition_index: partition.partition,
            current_leader_epoch: LeaderEpoch::NONE,
            timestamp: spec.timestamp(),
        };
        match topics.last_mut().filter(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(part),
            None => {
                let name = partition.topic.clone();
                topics.push(ListOffsetsTopic { name, partitions: vec![part] });
            }
        }
    }
    ListOffsetsRequest {
        replica_id: BrokerId::NONE,
        isolation_level: if version < 2 { 0 } else { isolation.wire() },
        topics,
        timeout_ms: wire_ms(timeout),
    }
}

/// What it found.
pub fn listed(answer: ListOffsetsResponse) -> ByPartition<ListedOffset> {
    let mut listed = ByPartition::new();
    for topic in answer.topics {
        for part in topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), part.partition_index);
            let found = ListedOffset {
                offset: Some(part.offset).filter(|offset| *offset >= Offset::ZERO),
                timestamp: Some(part.timestamp).filter(|timestamp| *timestamp >= 0),
                leader_epoch: part.leader_epoch,
            };
            let code = part.error_code;
            listed.insert(partition, if code.is_error() { Err(code) } else { Ok(found) });
        }
    }
    listed
}

/// Asks a leader to delete records before an offset; −1 is the high watermark.
pub fn delete_records(
    before: &BTreeMap<TopicPartition, Offset>,
    timeout: Duration,
) -> DeleteRecordsRequest {
    let mut topics: Vec<DeleteRecordsTopic> = Vec::new();
    for (partition, offset) in before {
        let part = DeleteRecordsPartition { partition_index: partition.partition, offset: *offset };
        match topics.last_mut().filter(|topic| topic.name == partition.topic) {
            Some(topic) => topic.partitions.push(part),
            None => {
                let name = partition.topic.clone();
                topics.push(DeleteRecordsTopic { name, partitions: vec![part] });
            }
        }
    }
    DeleteRecordsRequest { topics, timeout_ms: wire_ms(timeout) }
}

/// Where the partitions begin now.
pub fn records_deleted(answer: DeleteRecordsResponse) -> ByPartition<Offset> {
    let mut deleted = ByPartition::new();
    for topic in answer.topics {
        for part in topic.partitions {
            let partition = TopicPartition::new(topic.name.clone(), part.partition_index);
            let code = part.error_code;
            let outcome = if code.is_error() { Err(code) } else { Ok(part.low_watermark) };
            deleted.insert(partition, outcome);
        }
    }
    deleted
}

impl OffsetSpec {
    /// The number that stands for it on the wire.
    pub fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
            Self::Timestamp(timestamp) => timestamp.max(0),
        }
    }
}
