//! Produce requests in one write of their client: each is answered as if it had come alone.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::Bytes;
use dohle_base::{ErrorCode, PartitionId, ProducerEpoch, ProducerId};
use dohle_protocol::{
    RecordSet, Request, Writer,
    api::{
        api_versions_request::ApiVersionsRequest,
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
    },
    decode_response, encode_request,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use crate::{
    process::Dev,
    wire::{create_topic, fetch_all},
};

/// A batch of one record.
fn batch(value: &str, producer: Producer) -> RecordSet {
    let mut batch = BatchBuilder::new(BatchSpec { producer, ..BatchSpec::default() });
    batch.append(&NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() }).unwrap();
    RecordSet::Bytes(batch.finish())
}

fn plain(value: &str) -> RecordSet {
    batch(value, Producer::NONE)
}

/// Of the producer with id 5.
fn numbered(value: &str, base_sequence: i32) -> RecordSet {
    batch(value, Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence })
}

fn request(acks: i16, data: Vec<(&str, i32, RecordSet)>) -> ProduceRequest {
    let topic_data = data.into_iter().map(|(name, index, records)| TopicProduceData {
        name: name.into(),
        partition_data: [PartitionProduceData {
            index: PartitionId(index),
            records: Some(records),
        }]
        .into(),
        ..TopicProduceData::default()
    });
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: topic_data.collect(),
        ..ProduceRequest::default()
    }
}

fn framed<R: Request>(version: i16, id: i32, request: &R) -> Vec<u8> {
    let mut frame = Writer::new();
    encode_request(&mut frame, version, id, Some("test"), request).unwrap();
    frame.into_bytes().to_vec()
}

/// All that a node answers to these bytes until it closes the connection, frame by frame.
fn exchange(node: &Dev, frames: &[Vec<u8>]) -> Vec<Bytes> {
    let mut stream = TcpStream::connect(&node.address).unwrap();
    stream.write_all(&frames.concat()).unwrap();
    let mut answers = Vec::new();
    let mut all = Vec::new();
    // A node that stops serving it in the middle may reset it.
    let _ = stream.read_to_end(&mut all);
    let mut all = Bytes::from(all);
    while !all.is_empty() {
        let size = u32::from_be_bytes(all.split_to(4)[..].try_into().unwrap());
        answers.push(all.split_to(size as usize));
    }
    answers
}

/// Id, and error and first offset of each partition, as the answer has them.
fn told(version: i16, answer: &Bytes) -> (i32, Vec<(i16, i64)>) {
    let (id, answer) = decode_response::<ProduceRequest>(answer.clone(), version).unwrap();
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    (id, partitions.map(|part| (part.error_code.0, part.base_offset.0)).collect())
}

/// What lies in partition 0 of a topic.
fn values(node: &Dev, topic: &str) -> Vec<String> {
    let values = fetch_all(&node.address, topic, 1).remove(0).unwrap();
    values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

#[test]
fn each_request_of_a_burst_is_answered_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    for topic in ["a", "b"] {
        assert_eq!(create_topic(&node.address, topic), ErrorCode::NONE);
    }
    let (none, unknown, out_of_order) = (
        ErrorCode::NONE.0,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0,
    );
    let answers = exchange(
        &node,
        &[
            framed(9, 1, &request(-1, vec![("a", 0, plain("a1")), ("b", 0, plain("b1"))])),
            framed(9, 2, &request(-1, vec![("b", 0, plain("b2")), ("a", 7, plain("lost"))])),
            framed(3, 3, &request(1, vec![("a", 0, numbered("a2", 0))])),
            framed(9, 4, &request(-1, vec![("a", 0, numbered("a2", 0)), ("b", 0, plain("b3"))])),
            framed(9, 5, &request(-1, vec![("a", 0, numbered("lost", 3))])),
            framed(9, 6, &request(-1, vec![("a", 0, numbered("a3", 1))])),
            framed(0, 7, &ApiVersionsRequest::default()),
            framed(9, 8, &request(-1, vec![("a", 0, plain("a4"))])),
            framed(9, 9, &request(0, vec![("a", 0, plain("a5"))])),
            // What wants no acknowledgement learns of its failure by the end of the connection.
            framed(9, 10, &request(0, vec![("a", 7, plain("lost"))])),
            framed(9, 11, &request(-1, vec![("a", 0, plain("never"))])),
        ],
    );
    assert_eq!(answers.len(), 8);
    assert_eq!(told(9, &answers[0]), (1, vec![(none, 0), (none, 0)]));
    assert_eq!(told(9, &answers[1]), (2, vec![(none, 1), (unknown, -1)]));
    assert_eq!(told(3, &answers[2]), (3, vec![(none, 1)]));
    assert_eq!(told(9, &answers[3]), (4, vec![(none, 1), (none, 2)]));
    assert_eq!(told(9, &answers[4]), (5, vec![(out_of_order, -1)]));
    assert_eq!(told(9, &answers[5]), (6, vec![(none, 2)]));
    assert_eq!(answers[6][..4], 7_i32.to_be_bytes());
    assert_eq!(told(9, &answers[7]), (8, vec![(none, 3)]));
    assert_eq!(values(&node, "a"), ["a1", "a2", "a3", "a4", "a5"]);
    assert_eq!(values(&node, "b"), ["b1", "b2", "b3"]);
}

#[test]
fn what_comes_behind_a_broken_request_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let node = Dev::start(dir.path());
    assert_eq!(create_topic(&node.address, "a"), ErrorCode::NONE);
    let good = |id, value: &str| framed(9, id, &request(-1, vec![("a", 0, plain(value))]));
    let mut cut = good(2, "cut");
    cut.truncate(40);
    let size = u32::try_from(cut.len() - 4).unwrap();
    cut[..4].copy_from_slice(&size.to_be_bytes());
    let mut unserved = good(2, "of no version");
    unserved[6..8].copy_from_slice(&99_i16.to_be_bytes());
    for (round, broken) in [cut, unserved].into_iter().enumerate() {
        let first = format!("first {round}");
        let answers = exchange(&node, &[good(1, &first), broken, good(3, "never")]);
        assert_eq!(answers.len(), 1, "round {round}");
        assert_eq!(told(9, &answers[0]), (1, vec![(0, round as i64)]));
    }
    assert_eq!(values(&node, "a"), ["first 0", "first 1"]);
}
