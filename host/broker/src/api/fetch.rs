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

mod answer;
mod findings;
mod request;

use std::{ops::RangeInclusive, sync::Arc};

use dohle_base::{ErrorCode, LeaderEpoch, TopicId};
use dohle_protocol::api::{
    fetch_request::FetchRequest,
    fetch_response::{AbortedTransaction, EpochEndOffset, FetchResponse, PartitionData},
};
use dohle_replication::{
    Found, Isolation, Leader, Read,
    fetch_session::{FetchPlan, SessionCache, WantedPartition},
    wait::{Satisfied, Wait},
};

use self::{
    findings::{Finding, Findings, Origin, failed, led_elsewhere, told, unread},
    request::{Terms, session_request},
};
use super::{Answer, Call, Endpoint};
use crate::{
    Broker, disk::NodeDisk, metadata::Published, metrics::Tally, partition::Partition, storage,
    time_limit::within,
};

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
        let mut asked = session_request(call.version, request);
        let plan = match asked.without_session() {
            Some(plan) => Ok(plan),
            None => call.broker.sessions().begin(now, asked),
        };
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
            wait.arrived(findings.available);
            // As above.
            drop(findings);
            // Either way the next reading tells what to do.
            within(deadline, Satisfied(wait)).await;
        }
    }
}

fn read_leader(
    leader: &mut Leader<NodeDisk>,
    wanted: &WantedPartition,
    read: Read,
    partition: &Partition,
) -> Finding {
    match diverging_epoch(leader, wanted) {
        Ok(None) => {}
        Ok(Some(diverging_epoch)) => {
            let standing = leader.standing();
            let data = PartitionData { diverging_epoch, ..told(wanted.partition, standing) };
            let (slice, copied, cold) = (None, None, None);
            return Finding { data, slice, copied, cold, goes_on: false, left_out: 0 };
        }
        Err(error) => return unread(wanted.partition, error),
    }
    match leader.read(read) {
        Ok(Found { slice, had_no_room, aborted, standing }) => {
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
            let left_out = if had_no_room { read.size_max } else { 0 };
            Finding { data, slice, copied: None, cold: None, goes_on, left_out }
        }
        Err(error) => unread(wanted.partition, storage::read_error(&error, partition)),
    }
}

/// Where the client's log and ours part, if they do (KIP-320, KIP-595). Nobody can tell where the
/// epoch is not known, or from an offset that is gone. Source: Kafka 4.4.
fn diverging_epoch(
    leader: &mut Leader<NodeDisk>,
    wanted: &WantedPartition,
) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if wanted.last_fetched_epoch == LeaderEpoch::NONE {
        return Ok(None);
    }
    let end = leader.log().epoch_end_offset(wanted.last_fetched_epoch);
    let is_unknown = end.epoch == LeaderEpoch::NONE || end.end.0 < 0;
    if is_unknown || wanted.fetch_offset < leader.standing().log_start {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    let parts = end.epoch < wanted.last_fetched_epoch || end.end < wanted.fetch_offset;
    Ok(parts.then_some(EpochEndOffset { epoch: end.epoch.0, end_offset: end.end }))
}

/// Whether an answer with this error says who leads: a client behind us must ask there, one ahead of
/// us knows better.
fn names_leader(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH)
}

/// Sessions are used only here, and counted for metrics.
impl Broker {
    pub(crate) fn sessions(&self) -> std::sync::MutexGuard<'_, SessionCache> {
        self.fetch_sessions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
