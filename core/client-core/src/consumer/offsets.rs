//! Where to begin: committed offsets from the coordinator, starts and ends from the leaders.

use std::collections::BTreeMap;

use dohle_base::{BrokerId, ErrorCode, Instant, LeaderEpoch, Offset, TopicId};
use dohle_protocol::api::{
    list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic},
    offset_fetch_request::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
        OffsetFetchRequestTopics,
    },
    offset_fetch_response::OffsetFetchResponse,
};

use super::{
    ConsumeError, Consumer, Tag,
    positions::{Place, Stage},
};
use crate::{
    RequestError, TopicPartition,
    config::wire_ms,
    connections::{Body, Peer, Sending},
};

/// From this version on, several groups go into one request.
const GROUPS_FROM: i16 = 8;
/// From this version on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 10;

/// What was found of partitions: an offset and the epoch before it.
type Found = BTreeMap<TopicPartition, (ErrorCode, Offset, LeaderEpoch)>;

impl<T> Consumer<T> {
    /// Asks for what is wanted and not asked for yet.
    pub(super) fn ask_for_offsets(&mut self, now: Instant) {
        self.ask_for_committed(now);
        self.ask_for_resets(now);
    }

    fn ask_for_committed(&mut self, now: Instant) {
        let wanted = self.positions.due(now, |stage| *stage == Stage::Unset);
        if wanted.is_empty() {
            return;
        }
        let Some(peer) = self.coordinator_peer(now) else { return };
        let metadata = &self.cluster.metadata;
        let ids_known = wanted.iter().all(|p| metadata.topic_id(&p.topic) != TopicId::ZERO);
        let cap = if ids_known { i16::MAX } else { TOPIC_IDS_FROM - 1 };
        let version = match self.cluster.version::<OffsetFetchRequest>(peer, cap) {
            Ok(version) => version,
            Err(error) => return self.report_group(error),
        };
        let request = self.committed_request(&wanted, version);
        for partition in &wanted {
            if let Some(position) = self.positions.get_mut(partition) {
                position.stage = Stage::AwaitingCommitted;
            }
        }
        let timeout = self.config.client.request_timeout;
        let sending = Sending { version, timeout, answered: true };
        self.cluster.send(now, peer, &request, sending, Tag::Committed { wanted });
    }

    fn committed_request(&self, wanted: &[TopicPartition], version: i16) -> OffsetFetchRequest {
        let group_id = self.config.group_id.clone().unwrap_or_default();
        let mut topics: Vec<OffsetFetchRequestTopics> = Vec::new();
        for partition in wanted {
            match topics.last_mut().filter(|topic| topic.name == partition.topic) {
                Some(topic) => topic.partition_indexes.push(partition.partition),
                None => topics.push(OffsetFetchRequestTopics {
                    name: partition.topic.clone(),
                    topic_id: self.cluster.metadata.topic_id(&partition.topic),
                    partition_indexes: vec![partition.partition],
                }),
            }
        }
        // An offset that a transaction may still change is not one to begin at. Source: KIP-447.
        let require_stable = version >= 7;
        if version >= GROUPS_FROM {
            let group =
                OffsetFetchRequestGroup { group_id, topics: Some(topics), ..Default::default() };
            return OffsetFetchRequest {
                groups: vec![group],
                require_stable,
                ..Default::default()
            };
        }
        let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopic {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
        });
        let topics = Some(topics.collect());
        OffsetFetchRequest { group_id, topics, require_stable, ..Default::default() }
    }

    /// Takes the outcome of a question for committed offsets.
    pub(super) fn take_committed(
        &mut self,
        now: Instant,
        wanted: &[TopicPartition],
        outcome: Result<Body, RequestError>,
    ) {
        let answer = outcome.and_then(Body::decode::<OffsetFetchRequest>);
        let found = match answer.map(|answer| self.committed_of(answer)) {
            Ok((code, found)) if !code.is_error() => found,
            Ok((code, _)) => {
                self.note_coordinator_error(now, code);
                if !code.is_retriable() {
                    let group = self.config.group_id.clone().unwrap_or_default();
                    self.report(ConsumeError::Group { group, error: code.into() });
                }
                BTreeMap::new()
            }
            Err(error) => {
                self.note_coordinator_error(now, ErrorCode::NETWORK_EXCEPTION);
                self.report_request(now, [].iter(), error);
                BTreeMap::new()
            }
        };
        for partition in wanted {
            let Some(position) = self.positions.get_mut(partition) else { continue };
            if position.stage != Stage::AwaitingCommitted {
                continue;
            }
            position.stage = Stage::Unset;
            match found.get(partition) {
                Some((ErrorCode::NONE, offset, epoch)) if *offset >= Offset::ZERO => {
                    let place = Place { offset: *offset, epoch: *epoch };
                    position.set(place);
                    position.committed = Some(place);
                }
                Some((ErrorCode::NONE, ..)) => {
                    let partition = partition.clone();
                    self.reset(&partition.clone(), ConsumeError::NoOffset { partition });
                }
                Some((code, ..)) if !code.is_retriable() => {
                    let (topic, error) = (partition.topic.clone(), (*code).into());
                    self.lose(partition, ConsumeError::Refused { topic, error });
                }
                _ => self.set_back(now, partition),
            }
        }
    }

    fn committed_of(&self, answer: OffsetFetchResponse) -> (ErrorCode, Found) {
        let mut found = Found::new();
        for topic in answer.topics {
            for part in topic.partitions {
                let partition = TopicPartition::new(topic.name.clone(), part.partition_index);
                let (offset, epoch) = (part.committed_offset, part.committed_leader_epoch);
                found.insert(partition, (part.error_code, offset, epoch));
            }
        }
        let mut code = answer.error_code;
        for group in answer.groups {
            code = group.error_code;
            for topic in group.topics {
                let by_id = self.cluster.metadata.topics().find(|known| known.id == topic.topic_id);
                let name = if topic.name.is_empty() {
                    by_id.map(|t| t.name.clone())
                } else {
                    Some(topic.name)
                };
                let Some(name) = name else { continue };
                for part in topic.partitions {
                    let partition = TopicPartition::new(name.clone(), part.partition_index);
                    let (offset, epoch) = (part.committed_offset, part.committed_leader_epoch);
                    found.insert(partition, (part.error_code, offset, epoch));
                }
            }
        }
        (code, found)
    }

    fn ask_for_resets(&mut self, now: Instant) {
        let wanted = self.positions.due(now, |stage| matches!(stage, Stage::Reset { .. }));
        let mut by_leader: BTreeMap<BrokerId, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for partition in wanted {
            let stage = self.positions.get(&partition).map(|position| position.stage);
            let Some(Stage::Reset { timestamp }) = stage else { continue };
            match self.cluster.metadata.leader(&partition) {
                Some(leader) => by_leader.entry(leader).or_default().push((partition, timestamp)),
                None => self.cluster.request_update(),
            }
        }
        for (broker, wanted) in by_leader {
            if self.cluster.ready(now, broker) {
                self.send_list_offsets(now, broker, wanted);
            }
        }
    }

    fn send_list_offsets(
        &mut self,
        now: Instant,
        broker: BrokerId,
        wanted: Vec<(TopicPartition, i64)>,
    ) {
        let peer = Peer::Broker(broker);
        let version = match self.cluster.version::<ListOffsetsRequest>(peer, i16::MAX) {
            Ok(version) => version,
            Err(error) => {
                return self.report_request(now, wanted.iter().map(|(p, _)| p), error);
            }
        };
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for (partition, timestamp) in &wanted {
            let known = self.cluster.metadata.partition(partition);
            let part = ListOffsetsPartition {
                partition_index: partition.partition,
                current_leader_epoch: known.map_or(LeaderEpoch::NONE, |known| known.leader_epoch),
                timestamp: *timestamp,
            };
            match topics.last_mut().filter(|topic| topic.name == partition.topic) {
                Some(topic) => topic.partitions.push(part),
                None => topics.push(ListOffsetsTopic {
                    name: partition.topic.clone(),
                    partitions: vec![part],
                }),
            }
            if let Some(position) = self.positions.get_mut(partition) {
                position.stage = Stage::AwaitingReset { timestamp: *timestamp };
            }
        }
        let timeout = self.config.client.request_timeout;
        let request = ListOffsetsRequest {
            replica_id: BrokerId::NONE,
            isolation_level: if version < 2 { 0 } else { self.config.isolation_level.wire() },
            topics,
            timeout_ms: wire_ms(timeout),
        };
        let sending = Sending { version, timeout, answered: true };
        self.cluster.send(now, peer, &request, sending, Tag::Resets { wanted });
    }

    /// Takes the outcome of a question for starts and ends.
    pub(super) fn take_resets(
        &mut self,
        now: Instant,
        wanted: Vec<(TopicPartition, i64)>,
        outcome: Result<Body, RequestError>,
    ) {
        let mut found: BTreeMap<TopicPartition, (ErrorCode, Place)> = BTreeMap::new();
        match outcome.and_then(Body::decode::<ListOffsetsRequest>) {
            Ok(answer) => {
                for topic in answer.topics {
                    for part in topic.partitions {
                        let partition =
                            TopicPartition::new(topic.name.clone(), part.partition_index);
                        let place = Place { offset: part.offset, epoch: part.leader_epoch };
                        found.insert(partition, (part.error_code, place));
                    }
                }
            }
            Err(error) => {
                self.cluster.request_update();
                self.report_request(now, [].iter(), error);
            }
        }
        for (partition, timestamp) in wanted {
            let Some(position) = self.positions.get_mut(&partition) else { continue };
            if position.stage != (Stage::AwaitingReset { timestamp }) {
                continue;
            }
            position.stage = Stage::Reset { timestamp };
            match found.get(&partition) {
                Some((ErrorCode::NONE, place)) if place.offset >= Offset::ZERO => {
                    position.set(*place)
                }
                // No record is that young: what comes next will be.
                Some((ErrorCode::NONE, _)) if timestamp >= 0 => {
                    position.stage = Stage::Reset { timestamp: -1 };
                }
                Some((code, _)) if code.is_error() && !code.is_retriable() => {
                    let (topic, error) = (partition.topic.clone(), (*code).into());
                    self.lose(&partition, ConsumeError::Refused { topic, error });
                }
                _ => {
                    self.cluster.request_update();
                    self.set_back(now, &partition);
                }
            }
        }
    }
}
