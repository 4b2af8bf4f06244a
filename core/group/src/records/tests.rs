//! Goal: bytes and records are the same thing, in all versions that a log may hold.

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, PartitionId, ProducerId, Str};
use dohle_protocol::records::group::group_metadata_value::MemberMetadata;

use super::*;

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex")
    });
    pairs.collect()
}

fn offset_commit() -> GroupRecord {
    GroupRecord::OffsetCommit {
        key: OffsetCommitKey {
            group: Str::from("g"),
            topic: Str::from("t"),
            partition: PartitionId(0),
        },
        value: Some(OffsetCommitValue {
            offset: Offset(42),
            leader_epoch: LeaderEpoch(5),
            commit_timestamp: 1_700_000_000_000,
            ..OffsetCommitValue::default()
        }),
        producer_id: ProducerId::NONE,
    }
}

#[test]
fn an_offset_commit_has_the_bytes_that_were_computed_by_hand() {
    let key = bytes("0001 0001 67 0001 74 00000000");
    let value = bytes("0004 000000000000002a 00000005 01 0000018bcfe56800 00");
    let stored = KeyValue { key: key.clone(), value: Some(value.clone()) };
    assert_eq!(offset_commit().encode(), Ok(Some(stored)));
    let read = GroupRecord::decode(key, Some(value), ProducerId::NONE);
    assert_eq!(read, Ok(offset_commit()));
}

#[test]
fn offset_commits_of_all_versions_are_read() {
    let key = bytes("0001 0001 67 0001 74 00000000");
    for (value, epoch, expires) in [
        ("0000 000000000000002a 0000 0000018bcfe56800", -1, -1),
        ("0001 000000000000002a 0000 0000018bcfe56800 0000018bcfe56801", -1, 1_700_000_000_001),
        ("0002 000000000000002a 0000 0000018bcfe56800", -1, -1),
        ("0003 000000000000002a 00000005 0000 0000018bcfe56800", 5, -1),
        ("0004 000000000000002a 00000005 01 0000018bcfe56800 00", 5, -1),
    ] {
        let read = GroupRecord::decode(key.clone(), Some(bytes(value)), ProducerId(3));
        let Ok(GroupRecord::OffsetCommit { value: Some(read), producer_id, .. }) = read else {
            panic!("{value} is not an offset commit: {read:?}");
        };
        assert_eq!((read.offset, read.commit_timestamp), (Offset(42), 1_700_000_000_000));
        assert_eq!((read.leader_epoch.0, read.expire_timestamp), (epoch, expires), "{value}");
        assert_eq!(producer_id, ProducerId(3));
    }
}

#[test]
fn type_0_is_read_as_type_1() {
    let key = bytes("0000 0001 67 0001 74 00000000");
    let value = bytes("0000 000000000000002a 0000 0000018bcfe56800");
    let read = GroupRecord::decode(key.clone(), Some(value), ProducerId::NONE);
    let Ok(GroupRecord::OffsetCommit { key: read_key, value: Some(read), .. }) = read else {
        panic!("not an offset commit: {read:?}");
    };
    assert_eq!((read_key.group.as_str(), read.offset), ("g", Offset(42)));
    let tombstone = GroupRecord::decode(key, None, ProducerId::NONE);
    assert!(matches!(tombstone, Ok(GroupRecord::OffsetCommit { value: None, .. })));
}

#[test]
fn an_own_expiry_makes_version_1() {
    let mut record = offset_commit();
    let GroupRecord::OffsetCommit { value: Some(value), .. } = &mut record else { unreachable!() };
    value.expire_timestamp = 1_700_000_000_001;
    let stored = record.encode().expect("it fits").expect("it has bytes");
    let expected = bytes("0001 000000000000002a 0000 0000018bcfe56800 0000018bcfe56801");
    assert_eq!(stored.value, Some(expected));
}

#[test]
fn a_group_is_written_in_version_3() {
    let record = GroupRecord::GroupMetadata {
        group_id: Str::from("g"),
        value: Some(GroupMetadataValue {
            protocol_type: Str::from("c"),
            generation: 7,
            protocol: Some(Str::from("r")),
            leader: Some(Str::from("m")),
            current_state_timestamp: 1_700_000_000_000,
            members: vec![MemberMetadata {
                member_id: Str::from("m"),
                group_instance_id: None,
                client_id: Str::from("x"),
                client_host: Str::from("/h"),
                rebalance_timeout: 2,
                session_timeout: 3,
                subscription: Bytes::from_static(b"s"),
                assignment: Bytes::from_static(b"a"),
            }],
        }),
    };
    let stored = record.encode().expect("it fits").expect("it has bytes");
    let expected = "0003 0001 63 00000007 0001 72 0001 6d 0000018bcfe56800 00000001
        0001 6d ffff 0001 78 0002 2f68 00000002 00000003 00000001 73 00000001 61";
    assert_eq!(stored.key, bytes("0002 0001 67"));
    assert_eq!(stored.value, Some(bytes(expected)));
    assert_eq!(GroupRecord::decode(stored.key, stored.value, ProducerId::NONE), Ok(record));
}

#[test]
fn old_groups_are_read_too() {
    let members = "00000001 0001 6d 0001 78 0002 2f68 00000003 00000001 73 00000001 61";
    let value = format!("0000 0001 63 00000007 0001 72 0001 6d {members}");
    let read = GroupRecord::decode(bytes("0002 0001 67"), Some(bytes(&value)), ProducerId::NONE);
    let Ok(GroupRecord::GroupMetadata { value: Some(read), .. }) = read else {
        panic!("not a group: {read:?}");
    };
    assert_eq!((read.generation, read.current_state_timestamp), (7, -1));
    assert_eq!((read.members[0].rebalance_timeout, read.members[0].session_timeout), (-1, 3));
}

#[test]
fn what_cannot_be_read_says_why() {
    let offset_key = bytes("0001 0001 67 0001 74 00000000");
    for (key, value, error) in [
        (bytes(""), None, RecordError::Key { kind: None }),
        (bytes("00"), None, RecordError::Key { kind: None }),
        (bytes("0001 0009 67"), None, RecordError::Key { kind: Some(1) }),
        (bytes("0002"), None, RecordError::Key { kind: Some(2) }),
        (offset_key.clone(), Some(bytes("00")), RecordError::Value { kind: 1 }),
        (offset_key.clone(), Some(bytes("0004 00")), RecordError::Value { kind: 1 }),
        (offset_key, Some(bytes("0005")), RecordError::UnknownVersion { kind: 1, version: 5 }),
        (
            bytes("0002 0001 67"),
            Some(bytes("ffff")),
            RecordError::UnknownVersion { kind: 2, version: -1 },
        ),
    ] {
        assert_eq!(GroupRecord::decode(key, value, ProducerId::NONE), Err(error));
    }
}

#[test]
fn unknown_types_pass_through_unchanged() {
    for key in ["7fff 01", "0003 7fff 01", "0005 0001 67", "ffff"] {
        let stored = KeyValue { key: bytes(key), value: Some(bytes("ffff")) };
        let read = GroupRecord::decode(stored.key.clone(), stored.value.clone(), ProducerId::NONE)
            .expect("unknown types are no error");
        assert!(matches!(read, GroupRecord::Other { meaning: None, .. }), "{key}: {read:?}");
        assert_eq!(read.encode(), Ok(Some(stored)));
    }
}
