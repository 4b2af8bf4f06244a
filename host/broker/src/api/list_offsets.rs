//! ListOffsets (2): offsets by time, and where a partition starts and ends.
//!
//! Versions: 2 has isolation; 4 leader epochs; 7 the newest record (−3); 8 the local start (−4); 9 the
//! end of what is tiered (−5); 11 what waits to be tiered (−6). Nothing is tiered here.
//! What is asked for by time is searched for on another thread, where batches are decompressed, without the
//! partition's lock. Authorises: Describe on the topics.

use std::{
    collections::HashSet,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Timestamp};
use dohle_log::{LogError, TimeSearch, TimestampOffset};
use dohle_protocol::api::{
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest},
    list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
    },
};
use dohle_replication::Leader;

use super::{Answer, Call, Endpoint, elsewhere::elsewhere};
use crate::{
    Broker,
    disk::{NodeDisk, NodeFile},
    metadata::Published,
    partition::Partition,
    storage,
};

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
        let (mut searches, repeated) = (Vec::new(), repeated(&request));
        let topics = request.topics.iter().enumerate().map(|(topic, asked)| {
            let partitions = asked.partitions.iter().enumerate().map(|(partition, wanted)| {
                let found = match repeated.contains(&(&*asked.name, wanted.partition_index)) {
                    true => Err(ErrorCode::INVALID_REQUEST),
                    false => look_up.find(&asked.name, wanted),
                };
                let found = found.map(|found| match found {
                    Found::Place(place) => place,
                    Found::Search(search) => {
                        searches.push((topic, partition, search));
                        Place::NOWHERE
                    }
                });
                told(wanted.partition_index, call.version, found)
            });
            ListOffsetsTopicResponse { name: asked.name.clone(), partitions: partitions.collect() }
        });
        let topics = topics.collect();
        let response = ListOffsetsResponse { topics, ..ListOffsetsResponse::default() };
        match searches.is_empty() {
            true => Answer::now(response),
            false => {
                Answer::later(search(Arc::clone(call.broker), response, searches, call.version))
            }
        }
    }
}

/// The partitions that are named more than once, which are not looked at. Source: Kafka 4.4.
fn repeated(request: &ListOffsetsRequest) -> HashSet<(&str, PartitionId)> {
    let named = request.topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| (&*topic.name, partition.partition_index))
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect()
}

/// What is to be searched for, and where in the answer it belongs: the topic's index, and the partition's.
type Searches = Vec<(usize, usize, Search)>;

/// Ends the searches for an answer that nobody waits for any more: one that has begun may take long.
#[derive(Default)]
struct Asked {
    is_over: Arc<AtomicBool>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Fills in what is found by time.
async fn search(
    broker: Arc<Broker>,
    mut response: ListOffsetsResponse,
    searches: Searches,
    version: i16,
) -> ListOffsetsResponse {
    let asked = Asked::default();
    for (topic, partition, search) in searches {
        // Some of the threads are for readers of what lies on the disk only.
        let permit = broker.time_searches.acquire().await;
        let is_over = Arc::clone(&asked.is_over);
        let found = elsewhere(move || search.run(|| !is_over.load(Ordering::Relaxed))).await;
        drop(permit);
        // Else the node stops.
        let found = found.unwrap_or(Err(ErrorCode::KAFKA_STORAGE_ERROR));
        let partitions = response.topics.get_mut(topic).map(|topic| &mut topic.partitions);
        if let Some(slot) = partitions.and_then(|partitions| partitions.get_mut(partition)) {
            *slot = told(slot.partition_index, version, found);
        }
    }
    response
}

fn told(
    partition_index: PartitionId,
    version: i16,
    found: Result<Place, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let (error_code, place) = match found {
        Ok(place) => (ErrorCode::NONE, place),
        Err(error) => (error, Place::NOWHERE),
    };
    ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        timestamp: place.timestamp.0,
        offset: place.offset,
        leader_epoch: match version {
            LEADER_EPOCH_VERSION.. => place.leader_epoch,
            _ => LeaderEpoch::NONE,
        },
    }
}

/// What is known of an answer at once.
enum Found {
    Place(Place),
    Search(Search),
}

struct LookUp<'a> {
    call: Call<'a>,
    published: &'a Published,
    is_committed: bool,
}

impl LookUp<'_> {
    fn find(&self, topic: &str, asked: &ListOffsetsPartition) -> Result<Found, ErrorCode> {
        if !is_known(asked.timestamp, self.call.version) {
            return Err(ErrorCode::UNSUPPORTED_VERSION);
        }
        let partition = self.call.broker.led(self.published, topic, asked.partition_index)?;
        let epoch = asked.current_leader_epoch;
        let is_committed = self.is_committed;
        let place = partition
            .with_leader_in(epoch, |leader| place(leader, asked.timestamp, is_committed))?;
        let timestamp = asked.timestamp;
        let search = || Search { partition, epoch, timestamp, is_committed };
        Ok(place.map_or_else(|| Found::Search(search()), Found::Place))
    }
}

/// What is asked for by time.
struct Search {
    partition: Arc<Partition>,
    /// The leader epoch that the client knows.
    epoch: LeaderEpoch,
    timestamp: i64,
    is_committed: bool,
}

impl Search {
    /// Searches one segment after another, and holds the partition only in between. What it says once
    /// `goes_on` says no means nothing, and comes soon.
    fn run(&self, goes_on: impl Fn() -> bool) -> Result<Place, ErrorCode> {
        let mut from = Offset::ZERO;
        while goes_on() {
            let (begun, dir) = self.with_leader(|leader| {
                // It is this disk that is read, wherever the partition moves meanwhile.
                (self.begin(leader, from), self.partition.log_dir())
            })?;
            let failed = |error| storage::log_error_in(&dir, &error, &self.partition);
            let Some(search) = begun.map_err(failed)? else { return Ok(Place::NOWHERE) };
            let found = search.run(&goes_on);
            let (is_current, start, end) = self.with_leader(|leader| {
                let is_current = leader.log().is_current(&search);
                (is_current, leader.standing().log_start, end(leader, self.is_committed))
            })?;
            if !is_current {
                from = Offset::ZERO;
                continue;
            }
            match (found.map_err(failed)?, search.next()) {
                // It was removed meanwhile.
                (Some(found), _) if found.offset < start && self.timestamp != MAX_TIMESTAMP => {
                    from = start;
                }
                (None, Some(next)) => from = next,
                (found, _) => return Ok(committed(found, end)),
            }
        }
        // Nobody hears it.
        Err(ErrorCode::REQUEST_TIMED_OUT)
    }

    fn begin(
        &self,
        leader: &mut Leader<NodeDisk>,
        from: Offset,
    ) -> Result<Option<TimeSearch<NodeFile>>, LogError> {
        match self.timestamp {
            MAX_TIMESTAMP => leader.log_mut().begin_newest_search(),
            timestamp => leader.log_mut().begin_time_search(Timestamp(timestamp), from),
        }
    }

    fn with_leader<R>(&self, act: impl FnOnce(&mut Leader<NodeDisk>) -> R) -> Result<R, ErrorCode> {
        self.partition.with_leader_in(self.epoch, act)
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

/// Where is what is not asked for by time; `None` if it is.
fn place(leader: &mut Leader<NodeDisk>, timestamp: i64, is_committed: bool) -> Option<Place> {
    let at = |offset, leader_epoch| Place { offset, leader_epoch, ..Place::NOWHERE };
    match timestamp {
        LATEST => Some(at(end(leader, is_committed), leader.epoch())),
        EARLIEST | EARLIEST_LOCAL => {
            let start = leader.standing().log_start;
            Some(at(start, leader.log().epoch_of(start)))
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Some(Place::NOWHERE),
        _ => None,
    }
}

/// Where ends what the client may read.
fn end(leader: &mut Leader<NodeDisk>, is_committed: bool) -> Offset {
    let standing = leader.standing();
    if is_committed { standing.last_stable } else { standing.high_watermark }
}

/// What is not committed yet may be gone tomorrow.
fn committed(found: Option<TimestampOffset>, end: Offset) -> Place {
    found.filter(|found| found.offset < end).map_or(Place::NOWHERE, |found| Place {
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: found.leader_epoch,
    })
}

#[cfg(test)]
mod tests;
