//! Fetch (1): reads batches, and waits for them.
//!
//! Versions: 4 has isolation; 7 sessions (KIP-227); 9 leader epochs; 11 racks; 12 the last fetched
//! epoch, answered by a diverging one; 13 names topics by id; 15 moves the replica's id; 16 tells the
//! new leader (KIP-951). Replicas cannot fetch yet: there are no followers.
//!
//! Record bytes do not pass through here: an answer names ranges of segment files, unless answers hold
//! so many files that logs are short of them. Then they are copied: what is in memory here, what is not by
//! another thread, one partition after the other, so that no request holds many files meanwhile.
//! Authorises: Read on the topics.

use std::{mem, ops::RangeInclusive, os::fd::AsFd, sync::Arc, time::Duration};

use bytes::Bytes;
use dohle_base::{ErrorCode, LeaderEpoch, Offset, PartitionId, Str, TopicId};
use dohle_log::Slice;
use dohle_net::{Part, read_now};
use dohle_protocol::{
    Few, RecordSet,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{
            AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse,
            LeaderIdAndEpoch, NodeEndpoint, PartitionData,
        },
    },
};
use dohle_replication::{
    Found, Isolation, Leader, Read, Standing,
    fetch_session::{FetchPlan, PartitionNews, SessionCache, SessionRequest, WantedPartition},
    wait::{Satisfied, Wait},
};

use smallvec::SmallVec;

use super::{Answer, Body, Call, Endpoint, elsewhere::elsewhere, endpoint::Ranges, new_leader};
use crate::{
    Broker,
    disk::{NodeDisk, NodeFile},
    log_dirs::LogDir,
    metadata::Published,
    metrics::Tally,
    partition::Partition,
    storage,
    time_limit::within,
};

/// From here on topics come as ids.
const TOPIC_ID_VERSION: i16 = 13;
/// From here on the answer says who leads instead.
const NEW_LEADER_VERSION: i16 = 12;
/// From here on it says where, too (KIP-951).
const ENDPOINTS_VERSION: i16 = 16;
const READ_COMMITTED: i8 = 1;
/// For so many partitions nothing is allocated that the answer does not keep.
const FEW: usize = 4;
/// The most bytes of a partition that are copied, but for a larger batch, where file handles are short.
const COPIED_MAX: usize = 64 << 10;
/// The most bytes of a request that are copied, but for a larger first batch: a connection may have tens
/// of requests here that wait for a client which reads slowly.
const COPIED_IN_ALL_MAX: usize = 4 << 20;

pub(crate) struct Fetch;

impl Endpoint for Fetch {
    type Request = FetchRequest;
    const VERSIONS: RangeInclusive<i16> = 4..=18;

    fn handle(call: Call<'_>, request: FetchRequest) -> Answer<FetchResponse> {
        let is_replica = request.replica_id.0 >= 0 || request.replica_state.replica_id.0 >= 0;
        if is_replica {
            return Answer::now(refusal(ErrorCode::UNSUPPORTED_VERSION));
        }
        let terms = Terms::of(call, &request);
        let now = call.broker.clock.instant();
        let plan = session_request(call.version, request)
            .without_session()
            .or_else(|request| call.broker.sessions().begin(now, request));
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return Answer::now(refusal(error)),
        };
        let (broker, tally) = (Arc::clone(call.broker), Arc::clone(call.tally));
        let serving = Serving { broker, tally, terms, plan };
        let mut first = Findings::default();
        let cold = serving.read_on(&mut first, None);
        if cold.is_none() && first.is_ready(&serving.terms) {
            return Answer::Now(serving.answer(&mut first));
        }
        Answer::Later(Box::pin(async move {
            serving.read_cold(&mut first, cold, None).await;
            if first.is_ready(&serving.terms) {
                return serving.answer(&mut first);
            }
            // Its files may be closed meanwhile.
            drop(first);
            let mut last = serving.wait().await;
            serving.answer(&mut last)
        }))
    }
}

fn refusal(error_code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code, ..FetchResponse::default() }
}

/// What the request says beside the partitions.
struct Terms {
    version: i16,
    listener: Arc<str>,
    wait: Duration,
    size_min: i64,
    size_max: usize,
    isolation: Isolation,
}

impl Terms {
    fn of(call: Call<'_>, request: &FetchRequest) -> Self {
        let bytes = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        let limit = bytes(call.broker.config.fetch.bytes_max);
        Self {
            version: call.version,
            listener: Arc::clone(&call.connection.listener_name),
            wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            size_min: i64::from(request.min_bytes.min(request.max_bytes)),
            size_max: bytes(request.max_bytes).min(limit),
            isolation: match request.isolation_level {
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
        }
    }
}

fn session_request(version: i16, request: FetchRequest) -> SessionRequest {
    let mut wanted = SmallVec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            wanted.push(WantedPartition {
                topic_id: topic.topic_id,
                topic: topic.topic.clone(),
                partition: partition.partition,
                fetch_offset: partition.fetch_offset,
                max_bytes: partition.partition_max_bytes,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
            });
        }
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data {
        let partitions = topic.partitions.iter();
        forgotten.extend(partitions.map(|index| (topic.topic_id, topic.topic.clone(), *index)));
    }
    SessionRequest {
        id: request.session_id,
        epoch: request.session_epoch,
        by_topic_id: version >= TOPIC_ID_VERSION,
        wanted,
        forgotten,
    }
}

/// What was found in one partition.
struct Finding {
    data: PartitionData,
    slice: Option<Slice<NodeFile>>,
    /// The bytes of the slice, if its file is not to be held until they are sent.
    copied: Option<Bytes>,
    /// Where the slice is from, if it is still to be copied, for which the disk has to be waited for.
    cold: Option<Origin>,
    /// Whether more can be read behind the slice at once, which has all that one answer takes of it.
    goes_on: bool,
}

/// Where a slice is from.
struct Origin {
    partition: Arc<Partition>,
    /// Where the partition lay when it was read. It may move meanwhile, and it is this disk that is read.
    dir: Arc<LogDir>,
}

impl Finding {
    /// Copies what was found where so many files are held by answers that logs are short of them, if that
    /// needs no waiting. One request may ask for more partitions than there are handles.
    fn copy_if_short_of_files(&mut self, origin: Origin) {
        let Some(slice) = &mut self.slice else { return };
        if !origin.dir.open_files().are_held_by_others() {
            return;
        }
        let size = slice.size.min(COPIED_MAX.max(slice.first_batch_size));
        self.goes_on |= size < slice.size;
        slice.size = size;
        let mut bytes = vec![0; slice.size];
        match read_now(slice.file.shared().as_fd(), &mut bytes, slice.position) {
            Ok(true) => (self.slice, self.copied) = (None, Some(bytes.into())),
            // What went wrong whoever waits finds out.
            Ok(false) | Err(_) => self.cold = Some(origin),
        }
    }

    /// Copies what is still to be copied, on another thread.
    async fn copy_cold(&mut self) {
        let (Some(slice), Some(origin)) = (self.slice.take(), self.cold.take()) else { return };
        match elsewhere(move || slice.read()).await {
            Ok(Ok(bytes)) => self.copied = Some(bytes),
            Ok(Err(error)) => {
                let error = storage::log_error_in(&origin.dir, &error.into(), &origin.partition);
                *self = unread(self.data.partition_index, error);
            }
            // The node stops.
            Err(_) => *self = unread(self.data.partition_index, ErrorCode::KAFKA_STORAGE_ERROR),
        }
    }

    /// Bytes of records.
    fn size(&self) -> usize {
        let copied = self.copied.as_ref().map_or(0, Bytes::len);
        self.slice.as_ref().map_or(copied, |slice| slice.size)
    }
}

/// What was found in all of them, or those before one.
#[derive(Default)]
struct Findings {
    of_partitions: SmallVec<[Finding; 1]>,
    size: i64,
    /// What of that is copied.
    copied: usize,
    /// Something must be told at once, whatever the size.
    is_urgent: bool,
}

impl Findings {
    fn push(&mut self, finding: Finding) {
        self.size += i64::try_from(finding.size()).unwrap_or(i64::MAX);
        self.copied += finding.copied.as_ref().map_or(0, Bytes::len);
        // A slice ends with its segment, however much there is behind it: nothing has to arrive for
        // the client to go on. Source: Kafka 4.4, which waits on the last segment only.
        self.is_urgent |= finding.goes_on
            || finding.data.error_code.is_error()
            || finding.data.diverging_epoch != EpochEndOffset::default();
        self.of_partitions.push(finding);
    }

    /// How much may still be read.
    fn left(&self, terms: &Terms) -> usize {
        let left = terms.size_max.saturating_sub(usize::try_from(self.size).unwrap_or(usize::MAX));
        match self.copied {
            0 => left,
            copied => left.min(COPIED_IN_ALL_MAX.saturating_sub(copied)),
        }
    }

    fn is_ready(&self, terms: &Terms) -> bool {
        self.is_urgent
            // What does not fit any more may be a batch of any size.
            || self.copied > COPIED_IN_ALL_MAX / 2
            || self.size >= terms.size_min
            || terms.wait.is_zero()
            || self.of_partitions.is_empty()
    }
}

/// One request on its way.
struct Serving {
    broker: Arc<Broker>,
    /// Of the network thread that it came to.
    tally: Arc<Tally>,
    terms: Terms,
    plan: FetchPlan,
}

impl Serving {
    /// Reads on: each partition up to its own limit, all of them up to that of the request, but the first
    /// batch whole. From each partition's reading on `wait` hears of what arrives there. Stops at one that
    /// `read_cold` has to go on with.
    fn read_on(&self, findings: &mut Findings, wait: Option<&Arc<Wait>>) -> Option<Box<Finding>> {
        let published = self.broker.metadata();
        for wanted in self.plan.partitions.iter().skip(findings.of_partitions.len()) {
            let (left, is_first) = (findings.left(&self.terms), findings.size == 0);
            let finding = self.read_partition(&published, wanted, left, is_first, wait);
            if finding.cold.is_some() {
                // Boxed: requests that wait have room for it, and few need it.
                return Some(Box::new(finding));
            }
            findings.push(finding);
        }
        None
    }

    /// Reads the rest, of which another thread has to copy the first one.
    async fn read_cold(
        &self,
        findings: &mut Findings,
        mut cold: Option<Box<Finding>>,
        wait: Option<&Arc<Wait>>,
    ) {
        while let Some(mut finding) = cold {
            self.tally.copies_cold();
            finding.copy_cold().await;
            findings.push(*finding);
            cold = self.read_on(findings, wait);
        }
    }

    fn read_partition(
        &self,
        published: &Published,
        wanted: &WantedPartition,
        left: usize,
        at_least_one: bool,
        wait: Option<&Arc<Wait>>,
    ) -> Finding {
        let topics = &published.image.topics;
        let by_id = wanted.topic_id != TopicId::ZERO;
        let topic = if by_id { topics.get(wanted.topic_id) } else { topics.named(&wanted.topic) };
        let Some(topic) = topic else {
            return failed(
                wanted.partition,
                match by_id {
                    true => ErrorCode::UNKNOWN_TOPIC_ID,
                    false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                },
            );
        };
        let Some(partition) = self.broker.partitions.get(topic.id, wanted.partition) else {
            return match topic.partitions.get(&wanted.partition) {
                Some(known) => led_elsewhere(wanted.partition, known),
                None => failed(wanted.partition, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            };
        };
        let size_max = left.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
        let read = Read {
            from: wanted.fetch_offset,
            size_max,
            at_least_one,
            isolation: self.terms.isolation,
        };
        // Beside the result: a finding is large, and would be moved at each step of the way back.
        let mut found = None;
        let result = partition.with_leader_in(wanted.current_leader_epoch, |leader| {
            if let Some(wait) = wait {
                leader.waiting().park(wait);
            }
            let finding = found.insert(read_leader(leader, wanted, read, &partition));
            finding.slice.is_some().then(|| partition.log_dir())
        });
        match result {
            Ok(dir) => {
                let mut finding = found.expect("the leader was asked");
                if let Some(dir) = dir {
                    finding.copy_if_short_of_files(Origin { partition, dir });
                }
                finding
            }
            Err(error) => match topic.partitions.get(&wanted.partition) {
                Some(known) if names_leader(error) => {
                    let mut finding = led_elsewhere(wanted.partition, known);
                    finding.data.error_code = error;
                    finding
                }
                _ => unread(wanted.partition, error),
            },
        }
    }

    /// Waits until enough has arrived or the time is over.
    async fn wait(&self) -> Findings {
        let deadline = tokio::time::Instant::now() + self.terms.wait;
        loop {
            let wait = Wait::new(self.terms.size_min);
            let mut findings = Findings::default();
            let cold = self.read_on(&mut findings, Some(&wait));
            self.read_cold(&mut findings, cold, Some(&wait)).await;
            if findings.is_ready(&self.terms) || tokio::time::Instant::now() >= deadline {
                return findings;
            }
            // What was read before the wait could hear of it.
            wait.arrived(findings.size);
            // As above.
            drop(findings);
            // Either way the next reading tells what to do.
            within(deadline, Satisfied(wait)).await;
        }
    }

    /// The answer, of what was found: taken out of `findings`.
    fn answer(&self, findings: &mut Findings) -> Body<FetchResponse> {
        let shape = self.plan.shape_without_session().unwrap_or_else(|| {
            let news: SmallVec<[PartitionNews; FEW]> =
                findings.of_partitions.iter().map(news_of).collect();
            let now = self.broker.clock.instant();
            self.broker.sessions().finish(now, &self.plan, &news)
        });
        let mut response =
            FetchResponse { session_id: shape.session_id, ..FetchResponse::default() };
        let mut ranges = Ranges::new();
        let partitions = self.plan.partitions.iter().zip(&mut findings.of_partitions);
        for ((wanted, finding), included) in partitions.zip(shape.included) {
            if !included {
                continue;
            }
            let (slice, copied) = (finding.slice.take(), finding.copied.take());
            finding.data.records = Some(records(slice, copied, &mut ranges));
            if self.terms.version < NEW_LEADER_VERSION {
                finding.data.current_leader = LeaderIdAndEpoch::default();
            }
            topic_entry(&mut response.responses, wanted.topic_id, &wanted.topic)
                .partitions
                .push(mem::take(&mut finding.data));
        }
        response.node_endpoints = self.endpoints(&response.responses);
        Body { message: response, ranges }
    }

    /// Where the leaders are that the answer names.
    fn endpoints(&self, topics: &[FetchableTopicResponse]) -> Vec<NodeEndpoint> {
        if self.terms.version < ENDPOINTS_VERSION {
            return Vec::new();
        }
        let partitions = topics.iter().flat_map(|topic| &topic.partitions);
        new_leader::endpoints(
            partitions.map(|partition| partition.current_leader.leader_id),
            &self.broker.metadata().image,
            &self.terms.listener,
            |node_id, host, port, rack| NodeEndpoint { node_id, host, port, rack },
        )
    }
}

fn read_leader(
    leader: &mut Leader<NodeDisk>,
    wanted: &WantedPartition,
    read: Read,
    partition: &Partition,
) -> Finding {
    if let Some(diverging) = diverging_epoch(leader, wanted) {
        let standing = leader.standing();
        let data = PartitionData { diverging_epoch: diverging, ..told(wanted.partition, standing) };
        return Finding { data, slice: None, copied: None, cold: None, goes_on: false };
    }
    match leader.read(read) {
        Ok(Found { slice, aborted, standing }) => {
            let aborted = aborted.iter().map(|transaction| AbortedTransaction {
                producer_id: transaction.producer_id,
                first_offset: transaction.first_offset,
            });
            let aborted_transactions = match read.isolation {
                Isolation::ReadCommitted => Some(aborted.collect()),
                Isolation::ReadUncommitted | Isolation::LogEnd => None,
            };
            let data = PartitionData { aborted_transactions, ..told(wanted.partition, standing) };
            let goes_on = slice.as_ref().is_some_and(|slice| slice.goes_on);
            Finding { data, slice, copied: None, cold: None, goes_on }
        }
        Err(error) => unread(wanted.partition, storage::read_error(&error, partition)),
    }
}

/// Where the client's log and ours part, if they do (KIP-320, KIP-595).
fn diverging_epoch(leader: &Leader<NodeDisk>, wanted: &WantedPartition) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return None;
    }
    let end = leader.log().epoch_end_offset(wanted.last_fetched_epoch);
    if end.epoch == LeaderEpoch::NONE || end.end.0 < 0 {
        return None;
    }
    (end.epoch < wanted.last_fetched_epoch || end.end < wanted.fetch_offset)
        .then_some(EpochEndOffset { epoch: end.epoch.0, end_offset: end.end })
}

fn told(partition_index: PartitionId, standing: Standing) -> PartitionData {
    PartitionData {
        partition_index,
        high_watermark: standing.high_watermark,
        last_stable_offset: standing.last_stable,
        log_start_offset: standing.log_start,
        aborted_transactions: None,
        ..PartitionData::default()
    }
}

fn failed(partition_index: PartitionId, error_code: ErrorCode) -> Finding {
    let data = PartitionData {
        partition_index,
        error_code,
        high_watermark: Offset(-1),
        ..PartitionData::default()
    };
    Finding { data, slice: None, copied: None, cold: None, goes_on: false }
}

/// A partition that is there and could not be read. As in Kafka there is no list of transactions then,
/// where one that is not there comes with an empty one.
fn unread(partition_index: PartitionId, error_code: ErrorCode) -> Finding {
    let mut finding = failed(partition_index, error_code);
    finding.data.aborted_transactions = None;
    finding
}

/// Whether an answer with this error says who leads: a client behind us must ask there, one ahead of
/// us knows better.
fn names_leader(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH)
}

fn led_elsewhere(partition_index: PartitionId, known: &dohle_metadata::Partition) -> Finding {
    let mut finding = unread(partition_index, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    finding.data.current_leader =
        LeaderIdAndEpoch { leader_id: known.leader, leader_epoch: known.leader_epoch };
    finding
}

fn news_of(finding: &Finding) -> PartitionNews {
    PartitionNews {
        error: finding.data.error_code,
        high_watermark: finding.data.high_watermark,
        log_start_offset: finding.data.log_start_offset,
        has_records: finding.size() > 0,
        has_advice: finding.data.diverging_epoch != EpochEndOffset::default(),
    }
}

/// The place of a slice in the answer. Nothing is told as no bytes: old clients do not take null.
fn records(
    slice: Option<Slice<NodeFile>>,
    copied: Option<Bytes>,
    ranges: &mut Ranges,
) -> RecordSet {
    let Some(slice) = slice else { return RecordSet::Bytes(copied.unwrap_or_default()) };
    let len = u32::try_from(slice.size).expect("a slice lies in one segment, below 2 GiB");
    let token = u32::try_from(ranges.len()).expect("a request has fewer partitions");
    ranges.push(Part::File { file: slice.file.shared(), position: slice.position, len });
    RecordSet::Spliced { len, token }
}

/// The entry of a topic: partitions of one topic that follow one another share it.
fn topic_entry<'a>(
    topics: &'a mut Few<FetchableTopicResponse>,
    topic_id: TopicId,
    name: &Str,
) -> &'a mut FetchableTopicResponse {
    let is_last = topics.last().is_some_and(|t| t.topic_id == topic_id && t.topic == *name);
    if !is_last {
        topics.push(FetchableTopicResponse {
            topic: name.clone(),
            topic_id,
            partitions: Few::new(),
        });
    }
    topics.last_mut().expect("just made sure of it")
}

/// Sessions are used only here, and counted for metrics.
impl Broker {
    pub(crate) fn sessions(&self) -> std::sync::MutexGuard<'_, SessionCache> {
        self.fetch_sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
