//! Requests without a client that would try again: what a broker answers once.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use dohle_base::{ErrorCode, Offset, PartitionId};
use dohle_protocol::{
    RecordSet, Request, Writer,
    api::{
        create_topics_request::{CreatableTopic, CreateTopicsRequest},
        fetch_request::{FetchPartition, FetchRequest, FetchTopic},
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
    },
    decode_response, encode_request,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

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
    let mut batch = BatchBuilder::new(BatchSpec::default());
    let record = NewRecord { value: Some(value), ..NewRecord::default() };
    batch.append(&record).expect("it fits");
    let data = PartitionProduceData {
        index: PartitionId(0),
        records: Some(RecordSet::Bytes(batch.finish())),
    };
    let topic_data = TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic_data],
        ..ProduceRequest::default()
    };
    ask(address, 9, &request).responses[0].partition_responses[0].error_code
}

/// Reads partition 0 from its start.
pub(crate) fn fetch(address: &str, topic: &str) -> ErrorCode {
    let partition = FetchPartition {
        partition: PartitionId(0),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    ask(address, 12, &request).responses[0].partitions[0].error_code
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
