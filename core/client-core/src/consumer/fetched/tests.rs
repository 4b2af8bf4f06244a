//! Goal: the application gets its records, all of them and no others. Method: batches built by
//! hand.

use dohle_base::{ProducerEpoch, Timestamp};
use dohle_records::{BatchBuilder, BatchMut, BatchSpec, Codec, EndTxnMarker, NewRecord, Producer};

use super::*;

const READ_ALL: Reading = Reading { isolation: IsolationLevel::ReadUncommitted, check_crcs: true };
const READ_COMMITTED: Reading =
    Reading { isolation: IsolationLevel::ReadCommitted, check_crcs: true };

fn batch(base_offset: i64, count: usize, producer: Option<i64>, codec: Codec) -> Bytes {
    let spec = BatchSpec {
        base_offset: Offset(base_offset),
        partition_leader_epoch: LeaderEpoch(3),
        producer: producer.map_or(Producer::NONE, |id| Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence: 0,
        }),
        transactional: producer.is_some(),
        compression: codec.into(),
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    for _ in 0..count {
        let value = Some(&b"value"[..]);
        builder
            .append(&NewRecord { timestamp: Timestamp(7), value, ..NewRecord::default() })
            .unwrap();
    }
    builder.finish()
}

fn marker(offset: i64, producer: i64, committed: bool) -> Bytes {
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    let bytes = marker.batch(ProducerId(producer), ProducerEpoch(0), Timestamp(7));
    let mut bytes = Vec::from(bytes);
    BatchMut::parse(&mut bytes).unwrap().set_base_offset(Offset(offset));
    bytes.into()
}

fn fetched(from: i64, batches: &[Bytes], aborted: &[(i64, i64)]) -> Fetched {
    let aborted = aborted.iter().map(|(producer, first)| AbortedTransaction {
        producer_id: ProducerId(*producer),
        first_offset: Offset(*first),
    });
    let from = Place { offset: Offset(from), epoch: LeaderEpoch::NONE };
    let partition = TopicPartition::new("t", 0);
    Fetched::new(partition, from, batches.concat().into(), Some(aborted.collect()))
}

/// All offsets, and where reading ended.
fn read(mut fetched: Fetched, reading: Reading) -> (Vec<i64>, i64) {
    let mut records = Vec::new();
    assert_eq!(fetched.take(usize::MAX, reading, &mut records), Ok(None));
    (records.iter().map(|record| record.offset.0).collect(), fetched.from.offset.0)
}

#[test]
fn records_come_in_order_from_the_offset_asked_for() {
    for codec in Codec::ALL {
        let batches = [batch(10, 3, None, codec), batch(13, 2, None, codec)];
        let whole = read(fetched(10, &batches, &[]), READ_ALL);
        assert_eq!(whole, (vec![10, 11, 12, 13, 14], 15), "{codec}");
        let rest = read(fetched(12, &batches, &[]), READ_ALL);
        assert_eq!(rest, (vec![12, 13, 14], 15), "{codec}");
        let behind = read(fetched(14, &batches, &[]), READ_ALL);
        assert_eq!(behind, (vec![14], 15), "{codec}");
    }
}

#[test]
fn records_come_in_portions() {
    let mut fetched =
        fetched(0, &[batch(0, 5, None, Codec::Lz4), batch(5, 5, None, Codec::None)], &[]);
    let mut seen = Vec::new();
    for expected in [4, 8, 10] {
        let more = fetched.take(4, READ_ALL, &mut seen).unwrap();
        assert_eq!(seen.len(), expected);
        assert_eq!(fetched.from.offset.0, i64::try_from(expected).unwrap());
        assert_eq!(more.is_some(), expected < 10);
    }
    assert_eq!(seen[9].leader_epoch, LeaderEpoch(3));
    assert_eq!(seen[9].timestamp, Timestamp(7));
}

#[test]
fn an_answer_cut_off_in_a_batch_ends_before_it() {
    let whole = [batch(0, 2, None, Codec::None), batch(2, 2, None, Codec::None)].concat();
    for cut in whole.len() / 2 + 1..whole.len() {
        let bytes = Bytes::copy_from_slice(&whole[..cut]);
        assert_eq!(end_of(&bytes).unwrap().offset, Offset(2), "cut at {cut}");
        assert_eq!(read(fetched(0, &[bytes], &[]), READ_ALL), (vec![0, 1], 2), "cut at {cut}");
    }
    assert_eq!(end_of(&whole[..10]), None);
    assert_eq!(end_of(&[]), None);
}

#[test]
fn markers_are_never_handed_out() {
    let batches = [batch(0, 2, Some(1), Codec::None), marker(2, 1, true)];
    assert_eq!(read(fetched(0, &batches, &[]), READ_ALL), (vec![0, 1], 3));
    assert_eq!(read(fetched(0, &batches, &[]), READ_COMMITTED), (vec![0, 1], 3));
}

#[test]
fn records_of_aborted_transactions_are_left_out_when_committed_ones_are_wanted() {
    // Producer 1 aborts, then commits; producer 2 commits in between; 4 and 5 are nobody's.
    let batches = [
        batch(0, 2, Some(1), Codec::Zstd),
        batch(2, 2, Some(2), Codec::None),
        batch(4, 2, None, Codec::None),
        marker(6, 1, false),
        batch(7, 1, Some(1), Codec::None),
        marker(8, 2, true),
        marker(9, 1, true),
    ];
    let all = read(fetched(0, &batches, &[(1, 0)]), READ_ALL);
    assert_eq!(all, (vec![0, 1, 2, 3, 4, 5, 7], 10));
    let committed = read(fetched(0, &batches, &[(1, 0)]), READ_COMMITTED);
    assert_eq!(committed, (vec![2, 3, 4, 5, 7], 10));
    // From the middle of the aborted transaction on.
    let later = read(fetched(1, &batches, &[(1, 0)]), READ_COMMITTED);
    assert_eq!(later, (vec![2, 3, 4, 5, 7], 10));
}

#[test]
fn aborted_transactions_may_be_listed_in_any_order() {
    let batches = [
        batch(0, 1, Some(1), Codec::None),
        marker(1, 1, false),
        batch(2, 1, Some(2), Codec::None),
        batch(3, 1, Some(1), Codec::None),
        marker(4, 1, false),
        marker(5, 2, true),
    ];
    let listed = read(fetched(0, &batches, &[(1, 3), (1, 0)]), READ_COMMITTED);
    assert_eq!(listed, (vec![2], 6));
}

#[test]
fn a_damaged_batch_is_told_with_its_place_and_what_is_before_it_is_read() {
    let mut damaged = batch(2, 2, None, Codec::None).to_vec();
    // A letter of the last value; behind it is only the count of headers.
    let letter = damaged.len() - 2;
    damaged[letter] ^= 1;
    let mut fetched = fetched(0, &[batch(0, 2, None, Codec::None), damaged.into()], &[]);
    let mut records = Vec::new();
    let error = fetched.take(usize::MAX, READ_ALL, &mut records).unwrap_err();
    assert!(matches!(error, BatchError::BadCrc { .. }), "{error}");
    assert_eq!((records.len(), fetched.from.offset), (2, Offset(2)));
    let unchecked = Reading { check_crcs: false, ..READ_ALL };
    assert_eq!(fetched.take(usize::MAX, unchecked, &mut records), Ok(None));
    assert_eq!(records.len(), 4);
}
