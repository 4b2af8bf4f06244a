//! What leaves when, and what answers mean.
//!
//! One request to a broker takes one batch of each partition that it leads, as far as they fit; up
//! to `max.in.flight.requests.per.connection` of them are under way at once.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, ErrorCode, Instant, Offset, Timestamp, TopicId};
use dohle_protocol::{
    Few, RecordSet, Request,
    api::{
        init_producer_id_request::InitProducerIdRequest,
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::{PartitionProduceResponse, ProduceResponse},
    },
};

use super::{
    Acks, Batch, IdentityState, ProduceError, Producer, Tag,
    batch::Identity,
    idempotence::{Fate, fate},
};
use crate::{
    Address, BrokerAddress, RequestError, ServerError, TopicPartition,
    config::wire_ms,
    connections::{Body, Peer, Sending},
};

/// From this version on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;

/// Batches of one partition each.
type Load<T> = Vec<(TopicPartition, Batch<T>)>;

impl<T> Producer<T> {
    /// Asks for an identity if one is needed.
    pub(super) fn ask_for_identity(&mut self, now: Instant) {
        let IdentityState::Wanted { not_before, failures } = self.identity else { return };
        if not_before > now || self.closed {
            return;
        }
        let Some(peer) = self.cluster.any_ready(now) else { return };
        let version = match self.cluster.version::<InitProducerIdRequest>(peer, i16::MAX) {
            Ok(version) => version,
            Err(error) => return self.take_identity(now, Err(error)),
        };
        // Without a transactional id the time-out has no meaning.
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        let sending = self.sending(version, true);
        self.identity = IdentityState::Asked { failures };
        self.cluster.send(now, peer, &request, sending, Tag::Identity);
    }

    /// Takes the answer.
    pub(super) fn take_identity(&mut self, now: Instant, outcome: Result<Body, RequestError>) {
        let failures = match self.identity {
            IdentityState::Asked { failures } | IdentityState::Wanted { failures, .. } => failures,
            _ => 0,
        } + 1;
        let answer = outcome.and_then(Body::decode::<InitProducerIdRequest>).and_then(|answer| {
            ServerError::check(answer.error_code, None)?;
            Ok(Identity { id: answer.producer_id, epoch: answer.producer_epoch })
        });
        self.identity = match answer {
            Ok(identity) => IdentityState::Known(identity),
            Err(RequestError::Server(error)) if !error.code.is_retriable() => {
                IdentityState::Refused(error)
            }
            Err(RequestError::Unsupported { .. }) => {
                IdentityState::Refused(ErrorCode::UNSUPPORTED_VERSION.into())
            }
            Err(_) => {
                let wait = self.config.client.retry().delay(failures, &mut self.cluster.rng);
                IdentityState::Wanted { not_before: now + wait, failures }
            }
        };
    }

    /// Sends what may leave.
    pub(super) fn send_batches(&mut self, now: Instant) {
        if self.closed || self.identity_is_missing() {
            return;
        }
        self.renumber_broken();
        for (broker, mut partitions) in self.due_by_leader(now) {
            while self.requests.get(&broker).copied().unwrap_or(0) < self.config.max_in_flight {
                // Whom the last request left out goes first.
                let load = self.load(now, &mut partitions);
                if load.is_empty() || !self.send_load(now, broker, load) {
                    break;
                }
            }
        }
    }

    /// Without the identity that it needs, nothing can leave; if none is to be had, nothing ever.
    fn identity_is_missing(&mut self) -> bool {
        let refusal = match &self.identity {
            IdentityState::NotNeeded | IdentityState::Known(_) => return false,
            IdentityState::Refused(error) => ProduceError::Refused(error.clone()),
            IdentityState::Wanted { .. } | IdentityState::Asked { .. } => return true,
        };
        let queues = self.accumulator.queues.values_mut();
        let waiting: Vec<_> = queues.flat_map(|queue| std::mem::take(&mut queue.waiting)).collect();
        for batch in waiting {
            self.fail(batch, &refusal);
        }
        true
    }

    fn renumber_broken(&mut self) {
        for queue in self.accumulator.queues.values_mut() {
            if queue.sequences.is_broken() && queue.in_flight.is_empty() {
                queue.sequences.start_again(&mut self.identity, queue.waiting.iter_mut());
            }
        }
    }

    /// Partitions with a batch that may leave, by their leaders that can take a request.
    fn due_by_leader(&mut self, now: Instant) -> BTreeMap<BrokerId, Vec<TopicPartition>> {
        let pace = self.pace(now);
        let mut leaders: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for (partition, queue) in &self.accumulator.queues {
            if !queue.is_due(pace) || queue.sequences.is_broken() {
                continue;
            }
            match self.cluster.metadata.leader(partition) {
                Some(leader) => leaders.entry(leader).or_default().push(partition.clone()),
                None => self.cluster.request_update(),
            }
        }
        leaders.retain(|leader, _| self.cluster.ready(now, *leader));
        leaders
    }

    /// One batch of each partition, as far as one request takes them. Partitions that are still due
    /// remain in the list, those left out in front.
    fn load(&mut self, now: Instant, partitions: &mut Vec<TopicPartition>) -> Load<T> {
        let pace = self.pace(now);
        let (mut load, mut size) = (Vec::new(), 0);
        let (mut left_out, mut served) = (Vec::new(), Vec::new());
        for partition in partitions.drain(..) {
            let Some(queue) = self.accumulator.queues.get_mut(&partition) else { continue };
            if !queue.is_due(pace) {
                continue;
            }
            let next = queue.waiting.front().map_or(0, Batch::size);
            if !load.is_empty() && size + next > self.config.max_request_size {
                left_out.push(partition);
                continue;
            }
            if !prepare(queue, self.identity.known()) {
                continue;
            }
            let Some(mut batch) = queue.take() else { continue };
            let stamp = match batch.stamp {
                Some(stamp) => Some(stamp),
                None => queue.sequences.number(batch.count()),
            };
            batch.seal(stamp);
            batch.attempts += 1;
            size += batch.size();
            served.push(partition.clone());
            load.push((partition, batch));
        }
        left_out.append(&mut served);
        *partitions = left_out;
        load
    }

    /// Says whether the request left.
    fn send_load(&mut self, now: Instant, broker: BrokerId, batches: Load<T>) -> bool {
        let peer = Peer::Broker(broker);
        let ids_known =
            batches.iter().all(|(p, _)| self.cluster.metadata.topic_id(&p.topic) != TopicId::ZERO);
        let cap = if ids_known { i16::MAX } else { TOPIC_IDS_FROM - 1 };
        *self.requests.entry(broker).or_default() += 1;
        match self.cluster.version::<ProduceRequest>(peer, cap) {
            Ok(version) => {
                let request = self.request(&batches);
                let sending = self.sending(version, self.config.acks != Acks::None);
                let tag = Tag::Batches { broker, batches };
                self.cluster.send(now, peer, &request, sending, tag);
                true
            }
            Err(error) => {
                self.take_batches(now, peer, broker, batches, Err(error));
                false
            }
        }
    }

    fn sending(&self, version: i16, answered: bool) -> Sending {
        Sending { version, timeout: self.config.client.request_timeout, answered }
    }

    fn request(&self, batches: &Load<T>) -> ProduceRequest {
        let mut topics = Few::<TopicProduceData>::new();
        // They come in the order of their names, those of a topic together, unless some were left
        // out before; a topic may then come twice, which the protocol allows.
        for (partition, batch) in batches {
            let data = PartitionProduceData {
                index: partition.partition,
                records: Some(RecordSet::Bytes(batch.bytes())),
            };
            match topics.iter_mut().find(|topic| topic.name == partition.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(TopicProduceData {
                    name: partition.topic.clone(),
                    topic_id: self.cluster.metadata.topic_id(&partition.topic),
                    partition_data: [data].into(),
                }),
            }
        }
        ProduceRequest {
            transactional_id: None,
            acks: self.config.acks.wire(),
            timeout_ms: wire_ms(self.config.client.request_timeout),
            topic_data: topics,
        }
    }

    /// Takes the outcome of a request.
    pub(super) fn take_batches(
        &mut self,
        now: Instant,
        peer: Peer,
        broker: BrokerId,
        batches: Load<T>,
        outcome: Result<Body, RequestError>,
    ) {
        if let Some(count) = self.requests.get_mut(&broker) {
            *count = count.saturating_sub(1);
        }
        for (partition, batch) in &batches {
            if let Some(queue) = self.accumulator.queues.get_mut(partition) {
                queue.landed(batch.ordinal);
            }
        }
        let answer = match outcome {
            Ok(_) if self.config.acks == Acks::None => {
                for (partition, batch) in batches {
                    self.succeed(&partition, batch, None, None);
                }
                return;
            }
            Ok(body) => body.decode::<ProduceRequest>(),
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => self.take_answer(now, peer, batches, answer),
            Err(RequestError::Disconnected | RequestError::TimedOut) => {
                self.cluster.request_update();
                for (partition, batch) in batches {
                    self.try_again(now, &partition, batch, ErrorCode::NETWORK_EXCEPTION);
                }
            }
            Err(error) => {
                for (partition, batch) in batches {
                    self.refuse(&partition, batch, &ProduceError::Request(error.clone()));
                }
            }
        }
    }

    fn take_answer(
        &mut self,
        now: Instant,
        peer: Peer,
        batches: Load<T>,
        mut answer: <ProduceRequest as Request>::Response,
    ) {
        self.cluster.throttle(now, peer, answer.throttle_time_ms);
        for node in &answer.node_endpoints {
            if let Ok(port) = u16::try_from(node.port) {
                let address = Address { host: node.host.clone(), port };
                let (id, rack) = (node.node_id, node.rack.clone());
                self.cluster.metadata.update_broker(BrokerAddress { id, address, rack });
            }
        }
        for (partition, batch) in batches {
            match self.part_of(&partition, &mut answer) {
                Some(part) => self.take_part(now, &partition, batch, &part),
                // The topic got another id while the request was under way.
                None => {
                    self.cluster.request_update();
                    self.try_again(now, &partition, batch, ErrorCode::UNKNOWN_TOPIC_ID);
                }
            }
        }
    }

    /// The part of the answer that is about `partition`.
    fn part_of(
        &self,
        partition: &TopicPartition,
        answer: &mut ProduceResponse,
    ) -> Option<PartitionProduceResponse> {
        let id = self.cluster.metadata.topic_id(&partition.topic);
        let topics = answer.responses.iter_mut().filter(|topic| {
            topic.name == partition.topic
                || (topic.name.is_empty() && topic.topic_id == id && id != TopicId::ZERO)
        });
        let mut parts = topics.flat_map(|topic| &topic.partition_responses);
        parts.find(|part| part.index == partition.partition).cloned()
    }

    fn take_part(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        batch: Batch<T>,
        part: &PartitionProduceResponse,
    ) {
        let code = part.error_code;
        let numbered = batch.stamp.is_some();
        let queue = self.accumulator.queues.get(partition);
        let has_before = queue.is_some_and(|queue| queue.has_before(batch.ordinal));
        match fate(code, numbered, has_before) {
            Fate::Written => {
                let offset = Some(part.base_offset).filter(|offset| *offset >= Offset::ZERO);
                let time = Timestamp(part.log_append_time_ms);
                let time = Some(time).filter(|time| *time != Timestamp::NONE);
                self.succeed(partition, batch, offset, time);
            }
            Fate::WrittenBefore => self.succeed(partition, batch, None, None),
            Fate::Again => self.try_again(now, partition, batch, code),
            Fate::AgainElsewhere => {
                let leader = &part.current_leader;
                let metadata = &mut self.cluster.metadata;
                if !metadata.update_leader(partition, leader.leader_id, leader.leader_epoch) {
                    self.cluster.request_update();
                }
                self.try_again(now, partition, batch, code);
            }
            Fate::AgainRenumbered => {
                self.break_off(partition);
                self.try_again(now, partition, batch, code);
            }
            Fate::Refused => {
                let message = part.error_message.clone();
                let error = ProduceError::Refused(ServerError { code, message });
                self.refuse(partition, batch, &error);
            }
        }
    }

    fn succeed(
        &mut self,
        partition: &TopicPartition,
        batch: Batch<T>,
        base_offset: Option<Offset>,
        log_append_time: Option<Timestamp>,
    ) {
        self.forget(&batch);
        let outcomes = batch.succeed(partition, base_offset, log_append_time);
        self.events.extend(outcomes.map(super::ProducerEvent::from));
    }

    fn try_again(
        &mut self,
        now: Instant,
        partition: &TopicPartition,
        mut batch: Batch<T>,
        code: ErrorCode,
    ) {
        batch.last_error = Some(code);
        let expired = batch.created + self.config.delivery_timeout <= now;
        if expired || batch.attempts > self.config.retries {
            let error = ProduceError::Expired { code: Some(code) };
            return self.refuse(partition, batch, &error);
        }
        let wait = self.config.client.retry().delay(batch.attempts, &mut self.cluster.rng);
        batch.not_before = now + wait;
        match self.accumulator.queues.get_mut(partition) {
            Some(queue) => queue.put_back(batch),
            None => self.fail(batch, &ProduceError::Closed),
        }
    }

    /// Gives a batch up. The numbers that it had will never come.
    fn refuse(&mut self, partition: &TopicPartition, batch: Batch<T>, error: &ProduceError) {
        if batch.stamp.is_some() {
            self.break_off(partition);
        }
        self.fail(batch, error);
    }

    fn break_off(&mut self, partition: &TopicPartition) {
        if let Some(queue) = self.accumulator.queues.get_mut(partition) {
            queue.sequences.break_off();
        }
    }
}

/// Makes sure that the first batch can be numbered: the partition follows the producer's identity
/// as soon as no batch with an older one is without an outcome. Says whether it may leave.
fn prepare<T>(queue: &mut super::accumulator::Queue<T>, identity: Option<Identity>) -> bool {
    let Some(current) = identity else { return true };
    let Some(front) = queue.waiting.front() else { return false };
    if front.stamp.is_some() || queue.sequences.is_of(current) {
        return true;
    }
    let settled = queue.in_flight.is_empty();
    if settled {
        queue.sequences.follow(current);
    }
    settled
}
