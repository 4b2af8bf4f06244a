//! Goal: patches change what they say and nothing else. Method: before and after, byte by byte.

use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::{bytes_of, golden::METADATA};
use crate::{BatchMut, BatchView, Producer, TimestampType};

#[test]
fn patching_offset_and_epoch_leaves_the_checksum() {
    let mut bytes = bytes_of(METADATA);
    let before = bytes.clone();
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_last_offset(Offset(1001));
    batch.set_partition_leader_epoch(LeaderEpoch(9));
    let view = batch.view();
    assert_eq!(view.check_crc(), Ok(()));
    assert_eq!((view.base_offset(), view.next_offset()), (Offset(1000), Offset(1002)));
    assert_eq!(view.partition_leader_epoch(), LeaderEpoch(9));
    assert_eq!((&bytes[8..12], &bytes[16..]), (&before[8..12], &before[16..]));
}

#[test]
fn stamping_takes_a_new_checksum() {
    let mut bytes = bytes_of(METADATA);
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    let before = batch.view().crc();
    batch.set_max_timestamp(TimestampType::LogAppend, Timestamp(77));
    assert_ne!(batch.view().crc(), before);
    let view = BatchView::parse(&bytes).unwrap();
    assert_eq!(view.check_crc(), Ok(()));
    assert_eq!(view.attributes().timestamp_type(), TimestampType::LogAppend);
    assert_eq!(view.max_timestamp(), Timestamp(77));
    let payload = view.decompress(0).unwrap();
    assert!(payload.records().all(|record| record.unwrap().timestamp == Timestamp(77)));
}

#[test]
fn a_stamp_that_changes_nothing_costs_no_pass() {
    let mut bytes = bytes_of(METADATA);
    // A wrong checksum shows whether a new one was taken.
    bytes[17] ^= 1;
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_max_timestamp(TimestampType::Create, Timestamp(0));
    assert!(batch.view().check_crc().is_err());
}

#[test]
fn a_producer_is_set_where_others_read_it() {
    let mut bytes = bytes_of(METADATA);
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    let producer = Producer { id: ProducerId(5), epoch: ProducerEpoch(6), base_sequence: i32::MAX };
    batch.set_producer(producer, true);
    let view = batch.view();
    assert_eq!(view.check_crc(), Ok(()));
    assert_eq!((view.producer(), view.last_sequence()), (Some(producer), 0));
    assert!(view.attributes().is_transactional());
    batch.set_producer(Producer::NONE, false);
    batch.set_last_offset(Offset(2));
    batch.set_partition_leader_epoch(LeaderEpoch(1));
    assert_eq!(bytes, bytes_of(METADATA));
}

#[test]
fn bytes_behind_the_batch_are_left_alone() {
    let mut bytes = bytes_of(METADATA);
    let size = bytes.len();
    bytes.extend_from_slice(b"behind");
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_max_timestamp(TimestampType::LogAppend, Timestamp(77));
    assert_eq!(batch.view().check_crc(), Ok(()));
    assert_eq!(&bytes[size..], b"behind");
}
