//! Goal: records in order from the right place, and a well-behaved member of its group. Method: a
//! consumer on the stage; here is what all stories share.

mod closing;
mod coordinator;
mod nonsense;
mod offsets;
mod reading;
mod rebalance;

use bytes::Bytes;
use dohle_base::{ErrorCode, PartitionId, ProducerEpoch, ProducerId, Timestamp};
use dohle_protocol::{
    RecordSet,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData},
        list_offsets_request::ListOffsetsRequest,
        list_offsets_response::{
            ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
        },
    },
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use super::*;
use crate::stage::{Asked, Stage, client_config, cluster, topic, topic_id};

type Play = Stage<Consumer<u32>>;

fn config() -> ConsumerConfig {
    let auto_offset_reset = OffsetReset::Earliest;
    ConsumerConfig { auto_offset_reset, ..ConsumerConfig::new(client_config()) }
}

fn group_config() -> ConsumerConfig {
    ConsumerConfig { group_id: Some("g".into()), ..config() }
}

fn stage(config: ConsumerConfig) -> Play {
    let mut metadata = cluster(2);
    metadata.topics = vec![topic("t", &[1, 2])];
    Stage::new(Consumer::new(config, Rng::from_seed(1)).unwrap(), metadata)
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn poll(stage: &mut Play, token: u32) {
    let now = stage.now;
    stage.core.poll(now, token);
}

fn events(stage: &mut Play) -> Vec<ConsumerEvent<u32>> {
    stage.settle();
    std::iter::from_fn(|| stage.core.poll_event()).collect()
}

/// The outcome of the poll that is open.
fn polled(stage: &mut Play) -> Result<Polled, ConsumeError> {
    let mut events = events(stage);
    assert_eq!(events.len(), 1, "{events:?}");
    match events.remove(0) {
        ConsumerEvent::Polled { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

fn offsets_of(outcome: Result<Polled, ConsumeError>) -> Vec<(i32, i64)> {
    match outcome {
        Ok(Polled::Records(records)) => {
            records.iter().map(|record| (record.partition.0, record.offset.0)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn records(base_offset: i64, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: Offset(base_offset),
        partition_leader_epoch: LeaderEpoch(1),
        producer: Producer { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence: 0 },
        ..BatchSpec::default()
    });
    for _ in 0..count {
        let value = Some(&b"v"[..]);
        builder
            .append(&NewRecord { timestamp: Timestamp(1), value, ..NewRecord::default() })
            .unwrap();
    }
    builder.finish()
}

/// An answer to a fetch: partition, code, records.
fn fetched(parts: &[(i32, ErrorCode, Bytes)]) -> FetchResponse {
    let partitions = parts.iter().map(|(partition, code, bytes)| PartitionData {
        partition_index: PartitionId(*partition),
        error_code: *code,
        high_watermark: Offset(100),
        last_stable_offset: Offset(90),
        records: Some(RecordSet::Bytes(bytes.clone())),
        ..Default::default()
    });
    let topic_response = FetchableTopicResponse {
        topic: "t".into(),
        topic_id: topic_id("t"),
        partitions: partitions.collect(),
    };
    FetchResponse { session_id: 42, responses: [topic_response].into(), ..Default::default() }
}

fn answer_fetch(stage: &mut Play, asked: &Asked, parts: &[(i32, ErrorCode, Bytes)]) {
    stage.answer::<FetchRequest>(asked, &fetched(parts));
}

/// Answers a question for offsets of partition `partition`.
fn answer_list(stage: &mut Play, asked: &Asked, partition: i32, offset: i64) {
    let part = ListOffsetsPartitionResponse {
        partition_index: PartitionId(partition),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(1),
        ..Default::default()
    };
    let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![part] };
    let answer = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
    stage.answer::<ListOffsetsRequest>(asked, &answer);
}

/// A consumer that reads partition 0 from offset 0, without a group.
fn reading(config: ConsumerConfig) -> Play {
    let mut stage = stage(config);
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    let (asked, request) = stage.expect::<ListOffsetsRequest>();
    assert_eq!(request.topics[0].partitions[0].timestamp, -2);
    answer_list(&mut stage, &asked, 0, 0);
    stage
}
