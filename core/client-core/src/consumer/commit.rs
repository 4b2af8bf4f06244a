//! Committing offsets: those that the application names, and on their own those of records that a
//! later poll has shown to be worked on.

use std::collections::BTreeMap;

use dohle_base::{ErrorCode, Instant, Str, TopicId};
use dohle_protocol::api::{
    offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    },
    offset_commit_response::OffsetCommitResponse,
};

use super::{
    CommitError, CommittedOffset, Consumer, ConsumerEvent, Tag,
    membership::{Effect, effect},
    positions::Place,
};
use crate::{RequestError, ServerError, TopicPartition, connections::Body};

/// From this version on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 10;

/// Commits that have no outcome yet.
#[derive(Debug)]
pub(super) struct Commits<T> {
    open: BTreeMap<u64, Commit<T>>,
    next: u64,
    /// When the next one is due without being asked for.
    pub(super) due: Instant,
}

#[derive(Debug)]
struct Commit<T> {
    offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Who waits; nobody, if we commit on our own.
    token: Option<T>,
    deadline: Instant,
    failures: u32,
    not_before: Instant,
    sent: bool,
    last_error: RequestError,
}

impl<T> Commits<T> {
    /// None.
    pub(super) fn new() -> Self {
        Self { open: BTreeMap::new(), next: 0, due: Instant::default() }
    }

    /// Whether none is without an outcome.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether one that nobody asked for is without an outcome.
    pub(super) fn is_committing_itself(&self) -> bool {
        self.open.values().any(|commit| commit.token.is_none())
    }

    /// When one needs attention.
    pub(super) fn next_due(&self) -> impl Iterator<Item = Instant> {
        self.open.values().flat_map(|commit| {
            let retry = (!commit.sent).then_some(commit.not_before);
            [Some(commit.deadline), retry].into_iter().flatten()
        })
    }

    /// Takes all of them.
    pub(super) fn take_tokens(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.open).into_values().filter_map(|commit| commit.token)
    }
}

impl<T> Consumer<T> {
    /// Commits what has been worked on. Says whether there was anything.
    pub(super) fn commit_processed(&mut self, now: Instant) -> bool {
        let offsets: BTreeMap<_, _> = self
            .positions
            .uncommitted()
            .into_iter()
            .map(|(partition, Place { offset, epoch })| {
                (partition, CommittedOffset { offset, leader_epoch: epoch, metadata: None })
            })
            .collect();
        self.commits.due = now + self.config.auto_commit_interval;
        if offsets.is_empty() {
            return false;
        }
        self.begin_commit(now, offsets, None);
        true
    }

    pub(super) fn begin_commit(
        &mut self,
        now: Instant,
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
        token: Option<T>,
    ) {
        // A rebalance waits for a commit of ours, so that one must not take too long.
        let patience = match token {
            Some(_) => self.config.client.api_timeout,
            None => self.config.client.request_timeout.min(self.config.max_poll_interval / 2),
        };
        let commit = Commit {
            offsets,
            token,
            deadline: now + patience,
            failures: 0,
            not_before: now,
            sent: false,
            last_error: RequestError::TimedOut,
        };
        self.commits.open.insert(self.commits.next, commit);
        self.commits.next += 1;
    }

    /// Sends what can be sent, and gives up what took too long.
    pub(super) fn advance_commits(&mut self, now: Instant) {
        let on_time = self.config.commits_itself() && self.commits.due <= now && !self.closing;
        if on_time && !self.commits.is_committing_itself() {
            self.commit_processed(now);
        }
        for id in self.commits.open.keys().copied().collect::<Vec<_>>() {
            let Some(commit) = self.commits.open.get(&id) else { continue };
            if commit.deadline <= now && !commit.sent {
                let error = CommitError::Request(commit.last_error.clone());
                self.finish_commit(id, Err(error));
            } else if !commit.sent && commit.not_before <= now {
                self.send_commit(now, id);
            }
        }
    }

    fn send_commit(&mut self, now: Instant, id: u64) {
        let Some(peer) = self.coordinator_peer(now) else { return };
        let Some(commit) = self.commits.open.get_mut(&id) else { return };
        let metadata = &self.cluster.metadata;
        let ids_known = commit.offsets.keys().all(|p| metadata.topic_id(&p.topic) != TopicId::ZERO);
        let cap = if ids_known { i16::MAX } else { TOPIC_IDS_FROM - 1 };
        let version = match self.cluster.version::<OffsetCommitRequest>(peer, cap) {
            Ok(version) => version,
            Err(error) => return self.finish_commit(id, Err(error.into())),
        };
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for (partition, committed) in &commit.offsets {
            let part = OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                // Null is understood by newer brokers only.
                committed_metadata: Some(committed.metadata.clone().unwrap_or_default()),
            };
            match topics.last_mut().filter(|topic| topic.name == partition.topic) {
                Some(topic) => topic.partitions.push(part),
                None => topics.push(OffsetCommitRequestTopic {
                    name: partition.topic.clone(),
                    topic_id: metadata.topic_id(&partition.topic),
                    partitions: vec![part],
                }),
            }
        }
        commit.sent = true;
        let request = OffsetCommitRequest {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            generation_id_or_member_epoch: self.membership.generation,
            member_id: match self.membership.generation {
                -1 => Str::default(),
                _ => self.membership.member_id.clone(),
            },
            group_instance_id: self.config.group_instance_id.clone().filter(|_| version >= 7),
            topics,
            ..Default::default()
        };
        let sending = self.sending(version);
        self.cluster.send(now, peer, &request, sending, Tag::Commit { id });
    }

    pub(super) fn take_commit(
        &mut self,
        now: Instant,
        id: u64,
        outcome: Result<Body, RequestError>,
    ) {
        let judged = match outcome.and_then(Body::decode::<OffsetCommitRequest>) {
            Ok(answer) => self.judge_commit(answer),
            Err(RequestError::Disconnected | RequestError::TimedOut) => {
                Err(Refusal::Later(ErrorCode::NETWORK_EXCEPTION))
            }
            Err(error) => Err(Refusal::Final(error.into())),
        };
        match judged {
            Ok(()) => self.finish_commit(id, Ok(())),
            Err(Refusal::Final(error)) => self.finish_commit(id, Err(error)),
            Err(Refusal::Later(code)) => {
                self.note_coordinator_error(now, code);
                let backoff = self.config.client.retry();
                if let Some(commit) = self.commits.open.get_mut(&id) {
                    commit.failures += 1;
                    let wait = backoff.delay(commit.failures, &mut self.cluster.rng);
                    commit.not_before = now + wait;
                    commit.sent = false;
                    commit.last_error = match code {
                        ErrorCode::NETWORK_EXCEPTION => RequestError::Disconnected,
                        code => code.into(),
                    };
                }
            }
        }
    }

    fn judge_commit(&self, answer: OffsetCommitResponse) -> Result<(), Refusal> {
        for topic in answer.topics {
            for part in topic.partitions {
                let code = part.error_code;
                if !code.is_error() {
                    continue;
                }
                let known = self.cluster.metadata.topics().find(|known| known.id == topic.topic_id);
                let name = match known {
                    Some(known) if topic.name.is_empty() => known.name.clone(),
                    _ => topic.name.clone(),
                };
                let partition = TopicPartition::new(name, part.partition_index);
                return Err(match effect(code) {
                    Effect::Again | Effect::AgainElsewhere => Refusal::Later(code),
                    Effect::Rejoin | Effect::Dropped => {
                        Refusal::Final(CommitError::Rebalanced { code })
                    }
                    _ if code == ErrorCode::FENCED_INSTANCE_ID => {
                        Refusal::Final(CommitError::Fenced)
                    }
                    _ => {
                        let error = ServerError::from(code);
                        Refusal::Final(CommitError::Refused { partition, error })
                    }
                });
            }
        }
        Ok(())
    }

    fn finish_commit(&mut self, id: u64, outcome: Result<(), CommitError>) {
        let Some(commit) = self.commits.open.remove(&id) else { return };
        if outcome.is_ok() {
            for (partition, committed) in &commit.offsets {
                if let Some(position) = self.positions.get_mut(partition) {
                    let place = Place { offset: committed.offset, epoch: committed.leader_epoch };
                    position.committed = Some(place);
                }
            }
        }
        if let Some(token) = commit.token {
            self.events.push_back(ConsumerEvent::Committed { token, outcome });
        }
    }
}

/// Why a commit did not work.
enum Refusal {
    /// It may work later.
    Later(ErrorCode),
    /// It will not.
    Final(CommitError),
}
