//! Stored records by their bytes. Source: interop facts, appendix 5; those of coordinators were
//! written by Kafka 4.4.0 itself.

use bytes::Bytes;
use dohle_base::{BrokerId, LeaderEpoch, Offset, PartitionId, ProducerId, TopicId, Uuid};

use super::super::{
    group::{
        GroupRecordKey, GroupRecordValue, consumer_group_metadata_key::ConsumerGroupMetadataKey,
        consumer_group_metadata_value::ConsumerGroupMetadataValue,
        offset_commit_key::OffsetCommitKey, offset_commit_value::OffsetCommitValue,
    },
    log::{
        RemoteLogRecord,
        remote_partition_delete_metadata_record::{
            RemotePartitionDeleteMetadataRecord, TopicIdPartitionEntry,
        },
    },
    metadata::{
        MetadataRecord, feature_level_record::FeatureLevelRecord, no_op_record::NoOpRecord,
        partition_change_record::PartitionChangeRecord, topic_record::TopicRecord,
    },
    transaction::{
        TransactionRecordKey, TransactionRecordValue, transaction_log_key::TransactionLogKey,
        transaction_log_value::TransactionLogValue,
    },
};
use crate::Fault;

const ID: TopicId = TopicId(Uuid(0x0123_4567_89ab_cdef_1032_5476_98ba_dcfe));

fn hex(text: &str) -> Bytes {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect::<Vec<u8>>().into()
}

#[test]
fn metadata_records_have_the_bytes_of_the_specification() {
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 };
    let topic = TopicRecord { name: "foo".into(), topic_id: ID };
    let change = PartitionChangeRecord {
        partition_id: PartitionId(0),
        topic_id: ID,
        isr: Some(vec![BrokerId(1), BrokerId(3)]),
        leader: BrokerId(3),
        ..Default::default()
    };
    let cases: [(MetadataRecord, i16, &str); 4] = [
        (NoOpRecord::default().into(), 0, "01 14 00 00"),
        (feature.into(), 0, "01 0c 00 11 6d657461646174612e76657273696f6e 001e 00"),
        (topic.into(), 0, "01 02 00 04 666f6f 0123456789abcdef1032547698badcfe 00"),
        (
            change.into(),
            2,
            "01 05 02 00000000 0123456789abcdef1032547698badcfe 02 00 09 03 00000001 00000003 01 04 00000003",
        ),
    ];
    for (record, version, bytes) in cases {
        assert_eq!(record.to_bytes(version), Ok(hex(bytes)), "{}", record.name());
        assert_eq!(MetadataRecord::decode(hex(bytes)), Ok((record, version)));
    }
}

#[test]
fn group_records_have_the_bytes_that_kafka_wrote() {
    let epoch_key = ConsumerGroupMetadataKey { group_id: "group-consumer".into() };
    let epoch = ConsumerGroupMetadataValue { epoch: 2, metadata_hash: 0x3cf6_ebe0_c790_9b6f };
    let key = OffsetCommitKey {
        group: "group-classic".into(),
        topic: "consumed".into(),
        partition: PartitionId(1),
    };
    let value = OffsetCommitValue {
        offset: Offset(10),
        leader_epoch: LeaderEpoch(0),
        metadata: "meta 1".into(),
        commit_timestamp: 0x0000_01a2_03d6_aac7,
        topic_id: TopicId("WvjtPNm4Q2OEMZ8f8UNEDA".parse().expect("an id")),
        ..Default::default()
    };
    let cases: [(GroupRecordKey, &str, GroupRecordValue, i16, &str); 2] = [
        (
            epoch_key.into(),
            "0003000e67726f75702d636f6e73756d6572",
            epoch.into(),
            0,
            "0000000000020100083cf6ebe0c7909b6f",
        ),
        (
            key.into(),
            "0001000d67726f75702d636c61737369630008636f6e73756d656400000001",
            value.into(),
            4,
            "0004000000000000000a00000000076d6574612031000001a203d6aac70100105af8ed3cd9b8436384319f1ff143440c",
        ),
    ];
    for (key, key_bytes, value, version, value_bytes) in cases {
        assert_eq!(key.to_bytes(), Ok(hex(key_bytes)));
        assert_eq!(GroupRecordKey::decode(hex(key_bytes)), Ok(key.clone()));
        assert_eq!(value.to_bytes(version), Ok(hex(value_bytes)));
        let decoded = GroupRecordValue::decode(key.record_type(), hex(value_bytes));
        assert_eq!(decoded, Ok((value, version)));
    }
}

#[test]
fn offset_commits_have_the_bytes_of_the_specification() {
    let value = OffsetCommitValue {
        offset: Offset(42),
        leader_epoch: LeaderEpoch(5),
        commit_timestamp: 1_700_000_000_000,
        ..Default::default()
    };
    let bytes = "0004 000000000000002a 00000005 01 0000018bcfe56800 00";
    assert_eq!(GroupRecordValue::from(value).to_bytes(4), Ok(hex(bytes)));
}

#[test]
fn transaction_records_have_the_bytes_that_kafka_wrote() {
    let key = TransactionRecordKey::from(TransactionLogKey { transactional_id: "txn-a".into() });
    let value = TransactionRecordValue::from(TransactionLogValue {
        producer_id: ProducerId(1),
        previous_producer_id: ProducerId(1),
        transaction_timeout_ms: 600_000,
        transaction_partitions: None,
        transaction_last_update_timestamp_ms: 0x0000_01a2_03d6_a0cd,
        transaction_start_timestamp_ms: -1,
        ..Default::default()
    });
    let bytes = "000100000000000000010000000927c00000000001a203d6a0cdffffffffffffffff0100080000000000000001";
    assert_eq!(key.to_bytes(), Ok(hex("0000000574786e2d61")));
    assert_eq!(value.to_bytes(1), Ok(hex(bytes)));
    assert_eq!(TransactionRecordValue::decode(0, hex(bytes)), Ok((value, 1)));
}

#[test]
fn frames_that_are_not_known_are_refused() {
    for (bytes, fault) in [
        ("02 14 00 00", Fault::UnknownFrameVersion(2)),
        ("01 06 00 00", Fault::UnknownRecordType(6)),
        ("01 14 01 00", Fault::UnsupportedVersion(1)),
        ("01 14 00 00 00", Fault::TrailingBytes),
        ("01 14 00", Fault::Truncated),
        ("01 ffff7f 00", Fault::UnknownRecordType(i16::MAX)),
        ("01 14 ffff7f", Fault::UnsupportedVersion(i16::MAX)),
    ] {
        assert_eq!(MetadataRecord::decode(hex(bytes)).map_err(|e| e.fault), Err(fault), "{bytes}");
    }
    let retired = GroupRecordKey::decode(hex("0009 0001 67"));
    assert_eq!(retired.map_err(|error| error.fault), Err(Fault::UnknownRecordType(9)));
    let newer = GroupRecordValue::decode(3, hex("0001 00000002 00"));
    assert_eq!(newer.map_err(|error| error.fault), Err(Fault::UnsupportedVersion(1)));
}

#[test]
fn every_type_of_the_recorded_table_is_known() {
    assert_eq!(MetadataRecord::TYPES.len(), 27);
    assert_eq!(GroupRecordKey::TYPES, GroupRecordValue::TYPES);
    assert_eq!(GroupRecordKey::TYPES.len(), 22);
    assert_eq!(TransactionRecordKey::TYPES, [0]);
}

#[test]
fn remote_log_metadata_has_the_bytes_that_kafka_wrote() {
    let record = RemotePartitionDeleteMetadataRecord {
        topic_id_partition: TopicIdPartitionEntry {
            name: "t".into(),
            id: ID,
            partition: PartitionId(3),
        },
        broker_id: BrokerId(5),
        event_timestamp_ms: 1_700_000_000_000,
        remote_partition_delete_state: 0,
    };
    let bytes = "01 02 00 02 74 0123456789abcdef1032547698badcfe 00000003 00 00000005 0000018bcfe56800 00 00";
    let record = RemoteLogRecord::from(record);
    assert_eq!(record.to_bytes(0), Ok(hex(bytes)));
    assert_eq!(RemoteLogRecord::decode(hex(bytes)), Ok((record, 0)));
}
