//! Fetching: one request to each leader at a time, always for all of its partitions that are
//! wanted, so that none waits behind a long poll for another; and only when little of them is
//! buffered, so that memory is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bytes::Bytes;
use dohle_base::{BrokerId, ErrorCode, Instant, LeaderEpoch, Offset, TopicId};
use dohle_protocol::{
    RecordSet,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{FetchResponse, PartitionData},
    },
};

use super::{
    ConsumeError, Consumer, Tag,
    fetched::{FIRST, Fetched, end_of},
    positions::{Place, Stage},
    session::Wanted,
};
use crate::{
    Address, BrokerAddress, RequestError, TopicPartition,
    config::wire_ms,
    connections::{Body, Peer, Sending},
};

/// From this version on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;

impl<T> Consumer<T> {
    /// Sends the fetches that can be sent.
    pub(super) fn send_fetches(&mut self, now: Instant) {
        let wanted = self.wanted_by_broker(now);
        if wanted.is_empty() {
            return;
        }
        let full = self.full_partitions();
        for (broker, wanted) in wanted {
            // What is left to hand out comes first: then all are asked for together.
            if !wanted.keys().any(|partition| full.contains(partition))
                && self.cluster.ready(now, broker)
            {
                self.send_fetch(now, broker, wanted);
            }
        }
    }

    fn send_fetch(
        &mut self,
        now: Instant,
        broker: BrokerId,
        wanted: BTreeMap<TopicPartition, Wanted>,
    ) {
        let peer = Peer::Broker(broker);
        let ids_known = wanted.values().all(|wanted| wanted.topic_id != TopicId::ZERO);
        let cap = if ids_known { i16::MAX } else { TOPIC_IDS_FROM - 1 };
        let version = match self.cluster.version::<FetchRequest>(peer, cap) {
            Ok(version) => version,
            Err(error) => return self.report_request(now, wanted.keys(), error),
        };
        let session = self.sessions.entry(broker).or_default();
        let part = session.request(wanted, version >= TOPIC_IDS_FROM);
        let request = FetchRequest {
            max_wait_ms: wire_ms(self.config.fetch_max_wait),
            min_bytes: self.config.fetch_min_bytes,
            max_bytes: self.config.fetch_max_bytes,
            isolation_level: self.config.isolation_level.wire(),
            session_id: part.id,
            session_epoch: if version < 7 { -1 } else { part.epoch },
            topics: part.topics,
            forgotten_topics_data: part.forgotten,
            rack_id: self.config.client_rack.clone().unwrap_or_default(),
            ..Default::default()
        };
        // A broker that waits for records is not one that is silent.
        let timeout = self.config.client.request_timeout + self.config.fetch_max_wait;
        let sending = Sending { version, timeout, answered: true };
        self.fetching.insert(broker);
        self.cluster.send(now, peer, &request, sending, Tag::Fetch { broker });
    }

    fn wanted_by_broker(
        &mut self,
        now: Instant,
    ) -> BTreeMap<BrokerId, BTreeMap<TopicPartition, Wanted>> {
        let mut by_broker: BTreeMap<BrokerId, BTreeMap<_, _>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, position) in &self.positions.partitions {
            let Stage::At { fetched, .. } = position.stage else { continue };
            if position.paused || position.not_before > now {
                continue;
            }
            let metadata = &self.cluster.metadata;
            let Some(leader) = metadata.leader(partition) else {
                leaderless = true;
                continue;
            };
            let near = position
                .preferred
                .filter(|(broker, until)| *until > now && metadata.broker(*broker).is_some());
            let broker = near.map_or(leader, |(broker, _)| broker);
            if self.fetching.contains(&broker) {
                continue;
            }
            let known = metadata.partition(partition);
            let wanted = Wanted {
                topic_id: metadata.topic_id(&partition.topic),
                offset: fetched.offset,
                last_fetched_epoch: fetched.epoch,
                leader_epoch: known.map_or(LeaderEpoch::NONE, |known| known.leader_epoch),
                max_bytes: self.config.max_partition_fetch_bytes,
            };
            by_broker.entry(broker).or_default().insert(partition.clone(), wanted);
        }
        if leaderless {
            self.cluster.request_update();
        }
        by_broker
    }

    /// Partitions of which enough is buffered.
    fn full_partitions(&self) -> BTreeSet<TopicPartition> {
        let low_water = usize::try_from(self.config.max_partition_fetch_bytes).unwrap_or(0) / 2;
        let mut sizes: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
        for fetched in &self.buffer {
            *sizes.entry(&fetched.partition).or_default() += fetched.size();
        }
        let full = sizes.into_iter().filter(|(_, size)| *size > low_water);
        full.map(|(partition, _)| partition.clone()).collect()
    }

    /// Takes the outcome of a fetch.
    pub(super) fn take_fetch(
        &mut self,
        now: Instant,
        broker: BrokerId,
        outcome: Result<Body, RequestError>,
    ) {
        self.fetching.remove(&broker);
        match outcome.and_then(Body::decode::<FetchRequest>) {
            Ok(answer) => self.take_fetch_answer(now, broker, answer),
            Err(error) => {
                self.sessions.entry(broker).or_default().restart();
                self.cluster.request_update();
                let at = self.positions.due(now, |stage| matches!(stage, Stage::At { .. }));
                let led = |p: &TopicPartition| self.cluster.metadata.leader(p) == Some(broker);
                let led: Vec<_> = at.into_iter().filter(led).collect();
                self.report_request(now, led.iter(), error);
            }
        }
    }

    fn take_fetch_answer(&mut self, now: Instant, broker: BrokerId, answer: FetchResponse) {
        self.cluster.throttle(now, Peer::Broker(broker), answer.throttle_time_ms);
        let session = self.sessions.entry(broker).or_default();
        let mut parts = Vec::new();
        for topic in answer.responses {
            let by_id = topic.topic.is_empty();
            let name =
                if by_id { session.name_of(topic.topic_id).cloned() } else { Some(topic.topic) };
            // One that was not asked for is passed over.
            let Some(name) = name else { continue };
            for part in topic.partitions {
                let partition =
                    TopicPartition { topic: name.clone(), partition: part.partition_index };
                if let Some(wanted) = session.wanted(&partition).copied() {
                    parts.push((partition, wanted, part));
                }
            }
        }
        if !session.take(answer.error_code, answer.session_id) {
            if answer.error_code == ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR {
                self.cluster.request_update();
            }
            return;
        }
        for node in answer.node_endpoints {
            if let Ok(port) = u16::try_from(node.port) {
                let address = Address { host: node.host, port };
                let (id, rack) = (node.node_id, node.rack);
                self.cluster.metadata.update_broker(BrokerAddress { id, address, rack });
            }
        }
        for (partition, wanted, part) in parts {
            self.take_part(now, partition, wanted, part);
        }
    }

    fn take_part(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        wanted: Wanted,
        mut part: PartitionData,
    ) {
        let Some(position) = self.positions.get_mut(&partition) else { return };
        // The application may have gone elsewhere in the meantime.
        let Some(place) = position.fetched().filter(|p| p.offset == wanted.offset) else { return };
        match part.error_code {
            ErrorCode::NONE if part.diverging_epoch.end_offset >= FIRST => {
                self.take_divergence(partition, place, part.diverging_epoch.end_offset);
            }
            ErrorCode::NONE => {
                position.failures = 0;
                let end = match self.config.isolation_level {
                    super::IsolationLevel::ReadUncommitted => part.high_watermark,
                    super::IsolationLevel::ReadCommitted => part.last_stable_offset,
                };
                position.end_offset = Some(end).filter(|end| *end >= FIRST);
                if part.preferred_read_replica != BrokerId::NONE {
                    let until = now + self.config.client.metadata_max_age;
                    position.preferred = Some((part.preferred_read_replica, until));
                }
                let aborted = mem::take(&mut part.aborted_transactions);
                let records = part.records.and_then(bytes_of).unwrap_or_default();
                if let Some(end) = end_of(&records) {
                    position.fetch_to(end);
                    self.buffer.push_back(Fetched::new(partition, place, records, aborted));
                } else if !records.is_empty() {
                    self.report_unreadable(partition, place, records);
                }
            }
            ErrorCode::OFFSET_OUT_OF_RANGE if position.preferred.is_some() => {
                // Only that follower does not have it; the leader decides.
                position.preferred = None;
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let offset = place.offset;
                let error = ConsumeError::OutOfRange { partition: partition.clone(), offset };
                self.reset(&partition, error);
            }
            code if code.is_retriable() => {
                position.preferred = None;
                let leader = &part.current_leader;
                let metadata = &mut self.cluster.metadata;
                if !metadata.update_leader(&partition, leader.leader_id, leader.leader_epoch) {
                    self.cluster.request_update();
                }
                self.set_back(now, &partition);
            }
            code => {
                self.set_back(now, &partition);
                let topic = partition.topic;
                self.report(ConsumeError::Refused { topic, error: code.into() });
            }
        }
    }

    /// The log no longer has what we read last: it was cut off there. Source: KIP-320, KIP-595.
    fn take_divergence(&mut self, partition: TopicPartition, place: Place, end_offset: Offset) {
        self.discard_buffered(&partition);
        let error = ConsumeError::Truncated {
            partition: partition.clone(),
            offset: place.offset,
            end_offset,
        };
        if self.config.auto_offset_reset.timestamp().is_none() {
            return self.lose(&partition, error);
        }
        if let Some(position) = self.positions.get_mut(&partition) {
            let offset = end_offset.min(position.consumed().map_or(end_offset, |p| p.offset));
            position.set(Place { offset, epoch: LeaderEpoch::NONE });
        }
    }

    /// Bytes came that begin with nothing whole. A batch that was only cut off comes again, in
    /// front of another answer, where it is not cut.
    fn report_unreadable(&mut self, partition: TopicPartition, place: Place, records: Bytes) {
        let mut fetched = Fetched::new(partition.clone(), place, records, None);
        if let Err(source) = fetched.take(1, self.reading(), &mut Vec::new()) {
            let offset = place.offset;
            let error = ConsumeError::Corrupt { partition: partition.clone(), offset, source };
            self.lose(&partition, error);
        }
    }

    /// The partition has no usable place; by the configuration it gets another one, or the
    /// application hears of it.
    pub(super) fn reset(&mut self, partition: &TopicPartition, error: ConsumeError) {
        self.discard_buffered(partition);
        match self.config.auto_offset_reset.timestamp() {
            Some(timestamp) => {
                if let Some(position) = self.positions.get_mut(partition) {
                    position.stage = Stage::Reset { timestamp };
                }
            }
            None => self.lose(partition, error),
        }
    }

    /// The partition stays where it is until the application seeks.
    pub(super) fn lose(&mut self, partition: &TopicPartition, error: ConsumeError) {
        if let Some(position) = self.positions.get_mut(partition) {
            position.stage = Stage::Lost;
        }
        self.report(error);
    }

    /// A request about these partitions has no usable answer: they wait before they are asked for
    /// again. What waiting will not cure, the application hears.
    pub(super) fn report_request<'a>(
        &mut self,
        now: Instant,
        partitions: impl Iterator<Item = &'a TopicPartition>,
        error: RequestError,
    ) {
        for partition in partitions {
            self.set_back(now, partition);
        }
        if !error.is_retriable() {
            self.report(ConsumeError::Request(error));
        }
    }

    /// The partition waits before it is asked for again.
    pub(super) fn set_back(&mut self, now: Instant, partition: &TopicPartition) {
        if let Some(position) = self.positions.get_mut(partition) {
            position.failures += 1;
            let backoff = self.config.client.retry();
            position.not_before = now + backoff.delay(position.failures, &mut self.cluster.rng);
        }
    }

    /// Drops what was fetched of a partition and not handed out.
    pub(super) fn discard_buffered(&mut self, partition: &TopicPartition) {
        self.buffer.retain(|fetched| fetched.partition != *partition);
    }
}

fn bytes_of(records: RecordSet) -> Option<Bytes> {
    match records {
        RecordSet::Bytes(bytes) => Some(bytes),
        // Decoding never gives these.
        RecordSet::Spliced { .. } => None,
    }
}
