//! What a version can and cannot carry: defaults, refusals, what is dropped, and unknown tags.

use bytes::Bytes;
use dohle_base::{BrokerId, ErrorCode, Offset, PartitionId, TopicId, Uuid};
use dohle_protocol::{
    EncodeError, Fault, Message, RecordSet,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData},
        metadata_request::{MetadataRequest, MetadataRequestTopic},
        offset_commit_request::OffsetCommitRequest,
        produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData},
        vote_response::VoteResponse,
    },
    records::{
        group::consumer_group_member_metadata_value::ConsumerGroupMemberMetadataValue,
        transaction::transaction_log_value::TransactionLogValue,
    },
};

#[test]
fn versions_outside_the_range_are_refused_both_ways() {
    for version in [-1, 2, 14] {
        let refused = ProduceRequest::default().to_bytes(version);
        assert_eq!(
            refused,
            Err(EncodeError::UnsupportedVersion { message: "ProduceRequest", version })
        );
        let refused = ProduceRequest::from_bytes(Bytes::new(), version);
        assert_eq!(refused.map_err(|error| error.fault), Err(Fault::UnsupportedVersion(version)));
    }
}

#[test]
fn a_value_that_the_version_lacks_is_refused_unless_it_may_be_dropped() {
    let request = OffsetCommitRequest { group_instance_id: Some("i".into()), ..Default::default() };
    let refused = EncodeError::NotInVersion { field: "group_instance_id", version: 6 };
    assert_eq!(request.to_bytes(6), Err(refused));
    assert!(request.to_bytes(7).is_ok());

    // The retention is gone from version 5 on, and may be dropped.
    let request = OffsetCommitRequest { retention_time_ms: 7, ..Default::default() };
    let decoded = request.to_bytes(5).map(|bytes| OffsetCommitRequest::from_bytes(bytes, 5));
    assert_eq!(decoded.expect("encodes").expect("decodes").retention_time_ms, -1);
}

#[test]
fn a_tagged_value_that_the_version_lacks_is_refused_too() {
    let value = TransactionLogValue { client_transaction_version: 2, ..Default::default() };
    let refused = EncodeError::NotInVersion { field: "client_transaction_version", version: 0 };
    assert_eq!(value.to_bytes(0), Err(refused));
    assert!(value.to_bytes(1).is_ok());
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let everything = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(everything.to_bytes(0), Err(EncodeError::UnexpectedNull { field: "topics" }));
    assert_eq!(everything.to_bytes(1).as_deref(), Ok(&b"\xff\xff\xff\xff"[..]));
    let decoded = MetadataRequest::from_bytes(Bytes::from_static(b"\xff\xff\xff\xff"), 0);
    assert_eq!(decoded.map_err(|error| error.fault), Err(Fault::UnexpectedNull));
    let nameless = MetadataRequestTopic { name: None, ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![nameless]), ..Default::default() };
    assert_eq!(request.to_bytes(9), Err(EncodeError::UnexpectedNull { field: "name" }));
}

#[test]
fn fields_that_the_version_lacks_are_decoded_as_their_defaults() {
    let bytes = FetchRequest { replica_id: BrokerId(3), ..Default::default() }.to_bytes(4);
    let request = FetchRequest::from_bytes(bytes.expect("encodes"), 4).expect("decodes");
    assert_eq!(request.max_bytes, i32::MAX);
    assert_eq!((request.session_id, request.session_epoch), (0, -1));
    assert_eq!(request.replica_state.replica_id, BrokerId(-1));
}

#[test]
fn tagged_fields_at_their_default_are_not_written() {
    let mut partition = PartitionData { records: None, ..Default::default() };
    let plain = response(partition.clone());
    partition.diverging_epoch.end_offset = Offset(9);
    let tagged = response(partition);
    // One tag: number, size, epoch, offset, and an empty section of its own.
    assert_eq!(tagged.len(), plain.len() + 1 + 1 + 4 + 8 + 1);
}

fn response(partition: PartitionData) -> Bytes {
    let topic = FetchableTopicResponse { partitions: [partition].into(), ..Default::default() };
    let response = FetchResponse { responses: [topic].into(), ..Default::default() };
    response.to_bytes(12).expect("encodes")
}

#[test]
fn unknown_tags_are_passed_over() {
    // VoteResponse 0: error code, no topics; then tag 0 of version 1 and a tag of the future.
    let bytes = Bytes::from_static(b"\x00\x07\x01\x02\x00\x01\x01\x09\x03abc");
    let decoded = VoteResponse::from_bytes(bytes, 0).expect("decodes");
    assert_eq!(decoded, VoteResponse { error_code: ErrorCode(7), ..Default::default() });
}

#[test]
fn a_tagged_struct_that_is_null_is_marked_by_a_varint() {
    // As Kafka 4.4.0 writes it; null is not the default here, so it is written.
    let value =
        ConsumerGroupMemberMetadataValue { classic_member_metadata: None, ..Default::default() };
    let bytes = b"\x01\x01\x01\x01\x01\x01\xff\xff\xff\xff\x01\x01\x00\x01\x00";
    assert_eq!(value.to_bytes(0).as_deref(), Ok(&bytes[..]));
    assert_eq!(
        ConsumerGroupMemberMetadataValue::from_bytes(Bytes::from_static(bytes), 0),
        Ok(value)
    );
}

#[test]
fn records_are_slices_of_the_frame() {
    let partition = PartitionProduceData {
        index: PartitionId(1),
        records: Some(RecordSet::Bytes(Bytes::from_static(b"a batch, as far as we care"))),
    };
    let topic = TopicProduceData {
        topic_id: TopicId(Uuid(9)),
        partition_data: [partition].into(),
        ..Default::default()
    };
    let request = ProduceRequest { topic_data: [topic].into(), ..Default::default() };
    let frame = request.to_bytes(13).expect("encodes");
    let decoded = ProduceRequest::from_bytes(frame.clone(), 13).expect("decodes");
    let records = decoded.topic_data[0].partition_data[0].records.as_ref();
    let records = records.and_then(RecordSet::as_bytes).expect("bytes");
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
    assert_eq!(decoded, request);
}
