//! Goal: the head is where Kafka has it. Method: batches worked out by hand and by Kafka 4.4.

use dohle_base::{LeaderEpoch, Offset, Timestamp};

use crate::{BatchBuilder, BatchMut, BatchSpec, BatchView, NewRecord, TimestampType};

/// Two metadata records at offset 1, leader epoch 1, timestamps 0.
const METADATA: &str = "00000000000000010000005a0000000102c87cb92f000000000001000000000000000000\
    00000000000000ffffffffffffffffffffffffffff000000023a000000012e010c00116d657461646174612e7665\
    7273696f6e001e00001400000201080114000000";

pub(super) fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let digits = std::str::from_utf8(&digits).unwrap();
    (0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..][..2], 16).unwrap()).collect()
}

#[test]
fn the_builder_makes_the_metadata_batch_of_kafka() {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: Offset(1),
        partition_leader_epoch: LeaderEpoch(1),
        ..BatchSpec::default()
    });
    let level = bytes_of("010c00116d657461646174612e76657273696f6e001e00");
    let no_op = bytes_of("01140000");
    for value in [&level, &no_op] {
        let record =
            NewRecord { timestamp: Timestamp(0), value: Some(value), ..NewRecord::default() };
        builder.append(&record).unwrap();
    }
    assert_eq!(builder.finish(), bytes_of(METADATA));
}

#[test]
fn patching_offset_and_epoch_leaves_the_checksum() {
    let mut bytes = bytes_of(METADATA);
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.set_last_offset(Offset(1001));
    batch.set_partition_leader_epoch(LeaderEpoch(9));
    let view = batch.view();
    assert_eq!(view.check_crc(), Ok(()));
    assert_eq!((view.base_offset(), view.next_offset()), (Offset(1000), Offset(1002)));
    assert_eq!(view.partition_leader_epoch(), LeaderEpoch(9));
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
}
