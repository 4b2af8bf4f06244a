//! The judge of keys sees each way in which a compacted topic can be wrong, and nothing else.

use dohle_client::{LeaderEpoch, OwnedHeader, PartitionId, Timestamp, TimestampType};

use super::*;

const SEED: u64 = 3;

/// A key whose first and second versions have values, and whose third deletes it.
fn key() -> u32 {
    let has = |key: &u32| {
        [1, 2, 3].map(|version| value_of(SEED, *key, version).is_some()) == [true, true, false]
    };
    (0..).find(has).unwrap()
}

fn record(key: u32, version: u64, offset: i64) -> ConsumerRecord {
    let value = Some(Bytes::copy_from_slice(&version.to_be_bytes()));
    ConsumerRecord {
        topic: TOPIC.into(),
        partition: PartitionId(partition_of(key)),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(0),
        timestamp: Timestamp(0),
        timestamp_type: TimestampType::Create,
        key: Some(Bytes::copy_from_slice(&key.to_be_bytes())),
        value: value_of(SEED, key, version),
        headers: vec![OwnedHeader { key: Bytes::from_static(VERSION.as_bytes()), value }],
    }
}

/// What is found if versions up to `sent` were acknowledged, each at ten times its number.
fn found(sent: u64, records: &[ConsumerRecord]) -> bool {
    let mut told = Told::default();
    told.sent.insert(key(), sent);
    told.offsets.extend((1..=sent).map(|version| ((key(), version), 10 * version as i64)));
    let mut findings = Findings::default();
    told.check(SEED, records, &mut findings);
    !findings.is_empty()
}

fn version(version: u64) -> ConsumerRecord {
    record(key(), version, 10 * version as i64)
}

#[test]
fn the_newest_value_of_a_key_is_what_counts() {
    assert!(!found(2, &[version(1), version(2)]), "not compacted yet");
    assert!(!found(2, &[version(2)]));
    assert!(found(2, &[version(1)]), "the newest is lost");
    assert!(found(2, &[]), "all are lost");
}

#[test]
fn a_key_that_was_deleted_stays_so() {
    assert!(!found(3, &[version(2), version(3)]));
    assert!(!found(3, &[version(3)]));
    assert!(!found(3, &[]), "what deleted it is forgotten");
    assert!(found(3, &[version(2)]), "what deleted it is gone before its value");
}

#[test]
fn what_was_not_sent_so_or_told_elsewhere_is_found() {
    assert!(found(2, &[version(2), version(2)]), "twice");
    assert!(found(2, &[record(key(), 2, 10), record(key(), 1, 20)]), "the other way round");
    assert!(found(2, &[record(key(), 2, 21)]), "at another offset");
    assert!(found(2, &[version(2), record(key(), 4, 40)]), "not sent yet");
    let other_value = ConsumerRecord { value: Some(Bytes::from_static(b"no")), ..version(2) };
    assert!(found(2, &[other_value]));
    let elsewhere =
        ConsumerRecord { partition: PartitionId(1 - partition_of(key())), ..version(2) };
    assert!(found(2, &[elsewhere]));
    assert!(found(2, &[version(2), ConsumerRecord { headers: Vec::new(), ..version(2) }]));
}

#[test]
fn what_is_compacted_has_each_key_once() {
    let found = |to, records: &[ConsumerRecord]| {
        let (compacted, mut findings) =
            (BTreeMap::from([(partition_of(key()), to)]), Findings::default());
        check_compacted(&compacted, records, &mut findings);
        !findings.is_empty()
    };
    assert!(!found(0, &[version(1), version(2)]), "not compacted yet");
    assert!(!found(20, &[version(1), version(2)]), "only before the second");
    assert!(found(21, &[version(1), version(2)]));
    assert!(!found(21, &[version(2), version(3)]));
    assert!(!found(21, &[version(1), record(key() + 2, 1, 20)]), "another key");
    assert!(!found(21, &[version(1), record(key() + 1, 1, 20)]), "another partition");
}
