//! ListOffsets (2): offsets by time, and where a partition starts and ends.
//!
//! Versions: 2 has isolation; 4 leader epochs; 7 the newest record (−3); 8 the local start (−4); 9 the
//! end of what is tiered (−5); 11 what waits to be tiered (−6). Nothing is tiered here.
//! Authorises: Describe on the topics.

use std::ops::RangeInclusive;

use dohle_base::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use dohle_log::LogError;
use dohle_protocol::api::{
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest},
    list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
    },
};
use dohle_replication::Leader;

use super::{Answer, Call, Endpoint};
use crate::{disk::NodeDisk, metadata::Published, storage};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const READ_COMMITTED: i8 = 1;

/// The first version that tells leader epochs.
const LEADER_EPOCH_VERSION: i16 = 4;

pub(crate) struct ListOffsets;

impl Endpoint for ListOffsets {
    type Request = ListOffsetsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=11;

    fn handle(call: Call<'_>, request: ListOffsetsRequest) -> Answer<ListOffsetsResponse> {
        let published = call.broker.metadata();
        let look_up = LookUp {
            call,
            published: &published,
            is_committed: request.isolation_level == READ_COMMITTED,
        };
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            ListOffsetsTopicResponse {
                name: topic.name.clone(),
                partitions: partitions.map(|p| look_up.partition(&topic.name, p)).collect(),
            }
        });
        let topics = topics.collect();
        Answer::now(ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
    }
}

struct LookUp<'a> {
    call: Call<'a>,
    published: &'a Published,
    is_committed: bool,
}

impl LookUp<'_> {
    fn partition(&self, topic: &str, asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
        let found = self.find(topic, asked);
        let told = |error_code, place: Place| ListOffsetsPartitionResponse {
            partition_index: asked.partition_index,
            error_code,
            timestamp: place.timestamp.0,
            offset: place.offset,
            leader_epoch: match self.call.version {
                LEADER_EPOCH_VERSION.. => place.leader_epoch,
                _ => LeaderEpoch::NONE,
            },
        };
        match found {
            Ok(place) => told(ErrorCode::NONE, place),
            Err(error) => told(error, Place::NOWHERE),
        }
    }

    fn find(&self, topic: &str, asked: &ListOffsetsPartition) -> Result<Place, ErrorCode> {
        let partition = self.call.broker.led(self.published, topic, asked.partition_index)?;
        if !is_known(asked.timestamp, self.call.version) {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let found = partition.with_leader_in(asked.current_leader_epoch, |leader| {
            place(leader, asked.timestamp, self.is_committed)
        })?;
        found.map_err(|error| storage::log_error(&error, &partition))
    }
}

/// Whether a version may ask for this. Times are not negative; what is has a meaning of its own.
fn is_known(timestamp: i64, version: i16) -> bool {
    let since = match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => 1,
    };
    version >= since && timestamp >= EARLIEST_PENDING_UPLOAD
}

/// What is told of a place in the log.
#[derive(Clone, Copy)]
struct Place {
    timestamp: Timestamp,
    offset: Offset,
    leader_epoch: LeaderEpoch,
}

impl Place {
    const NOWHERE: Self =
        Self { timestamp: Timestamp::NONE, offset: Offset(-1), leader_epoch: LeaderEpoch::NONE };
}

fn place(
    leader: &mut Leader<NodeDisk>,
    timestamp: i64,
    is_committed: bool,
) -> Result<Place, LogError> {
    let standing = leader.standing();
    let end = if is_committed { standing.last_stable } else { standing.high_watermark };
    let at = |offset, leader_epoch| Place { offset, leader_epoch, ..Place::NOWHERE };
    let found = match timestamp {
        LATEST => return Ok(at(end, leader.epoch())),
        EARLIEST | EARLIEST_LOCAL => {
            let start = standing.log_start;
            return Ok(at(start, leader.log().epoch_of(start)));
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(Place::NOWHERE),
        MAX_TIMESTAMP => leader.log_mut().max_timestamp()?,
        timestamp => leader.log_mut().offset_for_timestamp(Timestamp(timestamp))?,
    };
    // What is not committed yet may be gone tomorrow.
    let found = found.filter(|found| found.offset < end);
    Ok(found.map_or(Place::NOWHERE, |found| Place {
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: found.leader_epoch,
    }))
}

#[cfg(test)]
mod tests;
