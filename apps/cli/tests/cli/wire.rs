//! Requests without a client that would try again: what a broker answers once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{SystemTime, UNIX_EPOCH},
};

use dohle_base::{ErrorCode, Offset, PartitionId, Timestamp};
use dohle_protocol::{
    Few, RecordSet, Request, Writer,
    api::{
        alter_replica_log_dirs_request::{
            AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
        },
        create_topics_request::{CreatableTopic, CreateTopicsRequest},
        describe_log_dirs_request::DescribeLogDirsRequest,
        fetch_request::{FetchPartition, FetchRequest, FetchTopic},
        fetch_response::PartitionData,
        incremental_alter_configs_request::{
            AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
        },
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        produce_response::PartitionProduceResponse,
    },
    decode_response, encode_request,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer, entries};

/// One request on a connection of its own.
fn ask<R: Request>(address: &str, version: i16, request: &R) -> R::Response {
    let mut frame = Writer::new();
    encode_request(&mut frame, version, 7, Some("test"), request).expect("the version has it all");
    let mut stream = TcpStream::connect(address).expect("the node serves");
    stream.write_all(&frame.into_bytes()).expect("it is read");
    let mut size = [0; 4];
    stream.read_exact(&mut size).expect("it answers");
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).expect("it fits")];
    stream.read_exact(&mut answer).expect("it answers in whole");
    let (id, answer) = decode_response::<R>(answer.into(), version).expect("the answer to that");
    assert_eq!(id, 7);
    answer
}

/// Writes one record to partition 0.
pub(crate) fn produce(address: &str, topic: &str, value: &[u8]) -> ErrorCode {
    produce_to(address, topic, [record(0, value)].into())[0]
}

/// Writes one record to each of the first partitions, so many, in one request.
pub(crate) fn produce_all(
    address: &str,
    topic: &str,
    count: i32,
    value: impl Fn(i32) -> String,
) -> Vec<ErrorCode> {
    let data = (0..count).map(|index| record(index, value(index).as_bytes()));
    produce_to(address, topic, data.collect())
}

fn record(index: i32, value: &[u8]) -> PartitionProduceData {
    let mut batch = BatchBuilder::new(BatchSpec::default());
    let record = NewRecord { value: Some(value), ..NewRecord::default() };
    batch.append(&record).expect("it fits");
    let records = Some(RecordSet::Bytes(batch.finish()));
    PartitionProduceData { index: PartitionId(index), records }
}

/// Writes one record of a producer to partition 0, now; where it lies, by the answer.
pub(crate) fn produce_as(address: &str, topic: &str, producer: Producer) -> (ErrorCode, Offset) {
    let mut batch = BatchBuilder::new(BatchSpec { producer, ..BatchSpec::default() });
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
    let timestamp = Timestamp(i64::try_from(since_1970.as_millis()).expect("it is not so late"));
    let record = NewRecord { timestamp, value: Some(b"x"), ..NewRecord::default() };
    batch.append(&record).expect("it fits");
    let records = Some(RecordSet::Bytes(batch.finish()));
    let data = PartitionProduceData { index: PartitionId(0), records };
    let answer = answer_to(address, topic, [data].into()).swap_remove(0);
    (answer.error_code, answer.base_offset)
}

fn produce_to(
    address: &str,
    topic: &str,
    partition_data: Few<PartitionProduceData>,
) -> Vec<ErrorCode> {
    let answer = answer_to(address, topic, partition_data);
    answer.into_iter().map(|partition| partition.error_code).collect()
}

fn answer_to(
    address: &str,
    topic: &str,
    partition_data: Few<PartitionProduceData>,
) -> Few<PartitionProduceResponse> {
    let topic_data =
        TopicProduceData { name: topic.into(), partition_data, ..TopicProduceData::default() };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: [topic_data].into(),
        ..ProduceRequest::default()
    };
    ask(address, 9, &request).responses.swap_remove(0).partition_responses
}

/// Reads partition 0 from its start.
pub(crate) fn fetch(address: &str, topic: &str) -> ErrorCode {
    fetch_from(address, topic, 1)[0].error_code
}

/// The values of all records of the first partitions, so many, read in one request.
pub(crate) fn fetch_all(
    address: &str,
    topic: &str,
    count: i32,
) -> Vec<Result<Vec<Vec<u8>>, ErrorCode>> {
    let values = |data: PartitionData| match (data.error_code, data.records) {
        (ErrorCode::NONE, Some(RecordSet::Bytes(bytes))) => Ok(values(&bytes)),
        (error, _) => Err(error),
    };
    fetch_from(address, topic, count).into_iter().map(values).collect()
}

fn values(batches: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for entry in entries(batches) {
        let payload = entry.expect("it is whole").decompress(1 << 20).expect("it is well-formed");
        let records = payload.records().map(|record| record.expect("it is well-formed"));
        values.extend(records.map(|record| record.value.expect("it has one").to_vec()));
    }
    values
}

fn fetch_from(address: &str, topic: &str, count: i32) -> Vec<PartitionData> {
    let partitions = (0..count).map(|index| FetchPartition {
        partition: PartitionId(index),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: partitions.collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_bytes: 32 << 20,
        session_epoch: -1,
        topics: [topic].into(),
        ..FetchRequest::default()
    };
    ask(address, 12, &request).responses.swap_remove(0).partitions.into_vec()
}

/// Makes a topic.
pub(crate) fn create_topic(address: &str, name: &str) -> ErrorCode {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
        ..CreateTopicsRequest::default()
    };
    ask(address, 7, &request).topics[0].error_code
}

/// Moves partitions of a topic to another directory.
pub(crate) fn move_to(
    address: &str,
    path: &str,
    topic: &str,
    partitions: &[i32],
) -> Vec<ErrorCode> {
    let topic = AlterReplicaLogDirTopic {
        name: topic.into(),
        partitions: partitions.iter().copied().map(PartitionId).collect(),
    };
    let dir = AlterReplicaLogDir { path: path.into(), topics: vec![topic] };
    let request = AlterReplicaLogDirsRequest { dirs: vec![dir] };
    let answer = ask(address, 2, &request);
    answer.results[0].partitions.iter().map(|partition| partition.error_code).collect()
}

/// The partitions on their way to other directories, and how many bytes of each are there.
pub(crate) fn moving(address: &str) -> Vec<(i32, i64)> {
    let request = DescribeLogDirsRequest { topics: None };
    let dirs = ask(address, 4, &request).results.into_iter();
    let topics = dirs.flat_map(|dir| dir.topics);
    let partitions = topics.flat_map(|topic| topic.partitions);
    let future = partitions.filter(|partition| partition.is_future_key);
    future.map(|partition| (partition.partition_index.0, partition.partition_size)).collect()
}

/// Sets a key of all brokers.
pub(crate) fn configure(address: &str, key: &str, value: &str) -> ErrorCode {
    let config = AlterableConfig {
        name: key.into(),
        value: Some(value.into()),
        ..AlterableConfig::default()
    };
    let broker = AlterConfigsResource {
        resource_type: 4,
        configs: vec![config],
        ..AlterConfigsResource::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![broker],
        ..IncrementalAlterConfigsRequest::default()
    };
    ask(address, 1, &request).responses[0].error_code
}
