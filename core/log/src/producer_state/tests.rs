//! Producers are checked as Kafka checks them, and their snapshots are Kafka's bytes.

use bytes::Bytes;
use dohle_records::{BatchBuilder, BatchSpec, BatchView, NewRecord, Producer};
use proptest::prelude::*;

use super::{snapshot::SnapshotError, *};
use crate::error::ProducerError;

const ID: ProducerId = ProducerId(1_000);

fn producer(epoch: i16, base_sequence: i32) -> Producer {
    Producer { id: ID, epoch: ProducerEpoch(epoch), base_sequence }
}

fn check_of(epoch: i16, base_sequence: i32, count: i32) -> Batch {
    Batch {
        producer: producer(epoch, base_sequence),
        last_sequence: sequence_after(base_sequence, count - 1),
        transactional: false,
        verified: false,
    }
}

fn batch(offset: i64, producer: Producer, count: i32, transactional: bool) -> Bytes {
    let spec =
        BatchSpec { base_offset: Offset(offset), producer, transactional, ..BatchSpec::default() };
    let mut builder = BatchBuilder::new(spec);
    for _ in 0..count {
        let timestamp = Timestamp(1_700_000_000_000);
        builder.append(&NewRecord { timestamp, ..NewRecord::default() }).unwrap();
    }
    builder.finish()
}

fn apply(producers: &mut Producers, offset: i64, producer: Producer, count: i32) {
    apply_txn(producers, offset, producer, count, false);
}

fn apply_txn(p: &mut Producers, offset: i64, producer: Producer, count: i32, txn: bool) {
    p.apply_batch(&BatchView::parse(&batch(offset, producer, count, txn)).unwrap().header());
}

fn end_txn(producers: &mut Producers, offset: i64, epoch: i16) -> Option<EndedTransaction> {
    let marker = EndTxnMarker { committed: false, coordinator_epoch: 3 };
    let header = batch(offset, producer(epoch, -1), 1, true);
    let header = BatchView::parse(&header).unwrap().header();
    producers.apply_marker(&header, &marker, Timestamp(5))
}

#[test]
fn sequences_must_continue() {
    let mut producers = Producers::default();
    assert_eq!(producers.check_client(&check_of(0, 77, 2)), Ok(()), "nothing known, all fine");
    apply(&mut producers, 0, producer(2, 0), 10);
    let rows = [
        ((2, 10), None),
        ((2, 11), Some(10)),
        ((2, 9), Some(10)),
        ((2, 0), Some(10)),
        ((3, 0), None),
        ((3, 10), Some(0)),
    ];
    for ((epoch, sequence), expected) in rows {
        let result = producers.check_client(&check_of(epoch, sequence, 1));
        let out = |expected| ProducerError::OutOfSequence { producer_id: ID, sequence, expected };
        assert_eq!(result, expected.map_or(Ok(()), |e| Err(out(e))), "{epoch} {sequence}");
    }
    let stale = producers.check_client(&check_of(1, 10, 1)).unwrap_err();
    assert!(matches!(stale, ProducerError::StaleEpoch { .. }));
}

#[test]
fn sequences_wrap_behind_the_greatest() {
    let mut producers = Producers::default();
    apply(&mut producers, 0, producer(0, i32::MAX - 1), 2);
    assert_eq!(producers.check_client(&check_of(0, 0, 1)), Ok(()));
    apply(&mut producers, 2, producer(0, 0), 1);
    let mut producers = Producers::default();
    apply(&mut producers, 0, producer(0, i32::MAX - 1), 4);
    let batch = producers.state(ID).unwrap().batches()[0];
    assert_eq!((batch.base_sequence(), batch.last_sequence), (i32::MAX - 1, 1));
    assert!(producers.duplicate_of(&check_of(0, i32::MAX - 1, 4)).is_some());
    assert_eq!(producers.check_client(&check_of(0, 2, 1)), Ok(()));
}

#[test]
fn the_last_five_batches_are_known_again() {
    let mut producers = Producers::default();
    for index in 0..7 {
        apply(&mut producers, i64::from(index) * 3, producer(0, index * 3), 3);
    }
    for index in 0..7 {
        let found = producers.duplicate_of(&check_of(0, index * 3, 3));
        let expected = (index >= 2).then_some(Offset(i64::from(index) * 3));
        assert_eq!(found.map(ProducerBatch::base_offset), expected, "batch {index}");
    }
    assert_eq!(producers.duplicate_of(&check_of(0, 18, 2)), None, "another length");
    assert_eq!(producers.duplicate_of(&check_of(1, 18, 3)), None, "another epoch");
}

/// What a snapshot tells of the producers, which have written these batches: whose, in which epoch, and
/// with which sequence number. The offset is that in the list.
fn from_snapshot(batches: &[(i64, i16, i32)]) -> Producers {
    let mut producers = Producers::default();
    for (offset, (id, epoch, sequence)) in (0..).zip(batches) {
        apply(&mut producers, offset, by(*id, *epoch, *sequence), 1);
    }
    let bytes = snapshot::encode(&producers);
    Producers::from_states(snapshot::decode(&bytes).unwrap(), producers.end())
}

fn by(id: i64, epoch: i16, base_sequence: i32) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence }
}

/// Hands over a stretch of the log, as one who has read it.
fn read_back(
    producers: &mut Producers,
    batches: &[(i64, i16, i32)],
    stretch: std::ops::Range<i64>,
) {
    let bytes: Vec<_> = (0..)
        .zip(batches)
        .map(|(offset, (id, epoch, sequence))| batch(offset, by(*id, *epoch, *sequence), 1, false))
        .collect();
    let headers = bytes[stretch.start as usize..stretch.end as usize].iter();
    let headers = headers.map(|bytes| BatchView::parse(bytes).unwrap().header());
    let read: Vec<_> = headers.filter_map(|header| producers.recallable_batch(&header)).collect();
    producers.recall(&read, Offset(stretch.start)..Offset(stretch.end));
}

fn standing(producers: &Producers, id: i64, epoch: i16, sequence: i32) -> Option<Standing> {
    let (producer, last_sequence) = (by(id, epoch, sequence), sequence);
    producers
        .judge_client(&Batch { producer, last_sequence, transactional: false, verified: false })
        .ok()
}

fn sequences(producers: &Producers, id: i64) -> Vec<i32> {
    let state = producers.state(ProducerId(id)).unwrap();
    state.batches().iter().map(ProducerBatch::base_sequence).collect()
}

#[test]
fn what_a_snapshot_does_not_tell_of_is_unclear_until_it_is_read() {
    let log: Vec<_> = (0..7).map(|sequence| (1, 0, sequence)).collect();
    let mut producers = from_snapshot(&log);
    assert_eq!(standing(&producers, 1, 0, 7), Some(Standing::Next));
    assert!(matches!(standing(&producers, 1, 0, 6), Some(Standing::Repeats(_))));
    for (epoch, sequence, is_unclear) in [(0, 5, true), (0, 0, true), (0, 8, false), (1, 5, false)]
    {
        let standing = standing(&producers, 1, epoch, sequence);
        assert_eq!(standing, is_unclear.then_some(Standing::Unclear), "{epoch} {sequence}");
    }
    assert_eq!(producers.recall_from(ProducerId(1)), Some(Offset(6)));
    read_back(&mut producers, &log, 4..6);
    assert_eq!(sequences(&producers, 1), [4, 5, 6]);
    assert_eq!(standing(&producers, 1, 0, 3), Some(Standing::Unclear));
    assert_eq!(producers.recall_from(ProducerId(1)), Some(Offset(4)));
    read_back(&mut producers, &log, 0..4);
    assert_eq!(sequences(&producers, 1), [2, 3, 4, 5, 6]);
    assert_eq!(standing(&producers, 1, 0, 1), None, "more than five are never known");
    assert_eq!(producers.recall_from(ProducerId(1)), None);
}

#[test]
fn another_epoch_and_a_gap_end_what_can_be_known() {
    for (before, is_known) in [((1, 0, 3), true), ((1, 1, 3), false), ((1, 0, 2), false)] {
        let log = [(1, 0, 1), (1, 0, 2), before, (1, 0, 4)];
        let mut producers = from_snapshot(&[(2, 0, 0), (2, 0, 1), (2, 0, 2), (1, 0, 4)]);
        read_back(&mut producers, &log, 0..3);
        let known = if is_known { vec![1, 2, 3, 4] } else { vec![4] };
        assert_eq!(sequences(&producers, 1), known, "{before:?}");
    }
}

#[test]
fn what_was_read_for_one_serves_all_whose_known_batches_begin_there() {
    let log = [(2, 0, 5), (1, 0, 5), (2, 0, 6), (1, 0, 6), (3, 0, 5), (3, 0, 6)];
    let mut producers = from_snapshot(&log);
    read_back(&mut producers, &log, 1..3);
    // Of the second one not all is known: what lies between was not read for it, but for the first.
    assert_eq!(sequences(&producers, 1), [5, 6]);
    assert_eq!(producers.recall_from(ProducerId(2)), Some(Offset(1)));
    assert_eq!(producers.recall_from(ProducerId(3)), Some(Offset(5)));
    read_back(&mut producers, &log, 0..1);
    assert_eq!(sequences(&producers, 2), [5, 6]);
    assert_eq!(sequences(&producers, 3), [6]);
    // Who writes on loses nothing of it, and who begins a new epoch forgets.
    apply(&mut producers, 6, by(2, 0, 7), 1);
    assert_eq!(standing(&producers, 2, 0, 4), Some(Standing::Unclear));
    apply(&mut producers, 7, by(2, 1, 0), 1);
    assert_eq!(standing(&producers, 2, 1, i32::MAX), None);
}

#[test]
fn the_last_stable_offset_waits_for_markers_to_be_replicated() {
    let mut producers = Producers::default();
    apply_txn(&mut producers, 10, producer(0, 0), 2, true);
    apply_txn(&mut producers, 12, producer(0, 2), 2, true);
    assert_eq!(producers.first_unstable_offset(), Some(Offset(10)));
    assert!(producers.in_transaction(producer(0, 0)));
    let ended = end_txn(&mut producers, 14, 0).unwrap();
    assert_eq!((ended.first_offset, ended.last_offset), (Offset(10), Offset(14)));
    assert_eq!(ended.last_stable_offset, Offset(15));
    assert_eq!(producers.first_unstable_offset(), Some(Offset(10)));
    producers.release_ended(Offset(14));
    assert_eq!(producers.first_unstable_offset(), Some(Offset(10)));
    producers.release_ended(Offset(15));
    assert_eq!(producers.first_unstable_offset(), None);
    assert_eq!(end_txn(&mut producers, 15, 0), None, "nothing was open");
    assert_eq!(producers.end(), Offset(16));
}

#[test]
fn in_a_transaction_only_its_records_are_taken() {
    let mut producers = Producers::default();
    apply_txn(&mut producers, 10, producer(0, 0), 2, true);
    let error = ProducerError::NotInTransaction { producer_id: ID };
    assert_eq!(producers.check_client(&check_of(0, 2, 1)), Err(error));
    let batch = Batch { transactional: true, ..check_of(0, 2, 1) };
    assert_eq!(producers.check_client(&batch), Ok(()));
}

#[test]
fn a_transaction_that_nobody_has_verified_is_not_begun() {
    let mut producers = Producers::default();
    let first = Batch { transactional: true, ..check_of(1, 0, 2) };
    let unverified = Err(ProducerError::UnverifiedTransaction { producer_id: ID });
    assert_eq!(producers.check_client(&first), unverified);
    assert_eq!(producers.check_client(&Batch { verified: true, ..first }), Ok(()));
    apply_txn(&mut producers, 0, producer(1, 0), 2, true);
    let next = |epoch, sequence| Batch { transactional: true, ..check_of(epoch, sequence, 1) };
    assert_eq!(producers.check_client(&next(1, 2)), Ok(()), "it goes on");
    assert_eq!(producers.check_client(&next(2, 0)), unverified, "another incarnation's");
    let stale = producers.check_client(&next(0, 0)).unwrap_err();
    assert!(matches!(stale, ProducerError::StaleEpoch { .. }), "that counts more");
    end_txn(&mut producers, 2, 1);
    assert_eq!(producers.check_client(&next(1, 2)), unverified, "it has ended");
    // One that is stored is answered, whatever became of its transaction.
    assert!(matches!(producers.judge_client(&first), Ok(Standing::Repeats(_))));
}

#[test]
fn late_markers_are_refused() {
    let mut producers = Producers::default();
    apply_txn(&mut producers, 10, producer(4, 0), 2, true);
    let marker = |coordinator_epoch| EndTxnMarker { committed: true, coordinator_epoch };
    // (epoch, transaction version, whether it may be appended while the transaction is open)
    let rows =
        [(3, 0, false), (4, 0, true), (4, 1, true), (3, 2, false), (4, 2, false), (5, 2, true)];
    for (epoch, version, fine) in rows {
        let result = producers.check_marker(producer(epoch, -1), &marker(3), version);
        assert_eq!(result.is_ok(), fine, "epoch {epoch}, version {version}");
    }
    end_txn(&mut producers, 12, 5);
    assert!(producers.check_marker(producer(5, -1), &marker(3), 2).is_ok(), "sent again");
    let error = producers.check_marker(producer(6, -1), &marker(2), 2).unwrap_err();
    assert!(matches!(error, ProducerError::StaleCoordinator { epoch: 2, current: 3, .. }));
}

#[test]
fn producers_expire_by_their_records_times() {
    let mut producers = Producers::default();
    apply(&mut producers, 0, producer(0, 0), 1);
    let time = 1_700_000_000_000;
    assert_eq!(producers.clone().expire(Timestamp(time + 99), 100), 0);
    assert_eq!(producers.clone().expire(Timestamp(time + 100), 100), 1);
    apply_txn(&mut producers, 1, producer(0, 1), 1, true);
    assert_eq!(producers.expire(Timestamp(time + 100), 100), 0, "a transaction is open");
}

#[test]
fn the_oldest_write_tells_when_it_is_worth_looking() {
    let mut producers = Producers::default();
    assert_eq!(producers.oldest(), None);
    apply(&mut producers, 0, producer(0, 0), 1);
    let time = Timestamp(1_700_000_000_000);
    assert_eq!(producers.oldest(), Some(time));
    let of_snapshot = Producers::from_states(producers.states().cloned().collect(), Offset(1));
    assert_eq!(of_snapshot, producers);
    assert_eq!(producers.expire(Timestamp(time.0 + 100), 100), 1);
    assert_eq!(producers.oldest(), None);
    // An open transaction counts from its marker on.
    apply_txn(&mut producers, 1, producer(0, 0), 1, true);
    assert_eq!(producers.expire(Timestamp(time.0 + 100), 100), 0);
    assert_eq!(producers.oldest(), None);
    end_txn(&mut producers, 2, 0);
    assert!(producers.oldest().is_some());
    assert_eq!(producers.expire(Timestamp(i64::MAX), 100), 1);
}

#[test]
fn snapshots_are_kafkas_bytes() {
    let empty = [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0];
    assert_eq!(snapshot::encode(&Producers::default()), empty);
    assert_eq!(snapshot::decode(&empty), Ok(vec![]));

    let mut state = ProducerState::new(ID);
    state.epoch = ProducerEpoch(2);
    state.last_timestamp = Timestamp(1_700_000_000_000);
    state.push(ProducerBatch {
        last_sequence: 9,
        last_offset: Offset(41),
        offset_delta: 4,
        timestamp: Timestamp(1_700_000_000_000),
    });
    let bytes = snapshot::encode(&Producers::from_states(vec![state.clone()], Offset(42)));
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected = "000144abb93e0000000100000000000003e8000200000009000000000000002900000004\
                    0000018bcfe56800ffffffffffffffffffffffff";
    assert_eq!(hex, expected);
    // It tells of the last batch alone.
    state.batches.has_earlier = true;
    assert_eq!(snapshot::decode(&bytes), Ok(vec![state]));
}

#[test]
fn a_snapshot_that_is_cut_or_changed_is_refused() {
    let mut producers = Producers::default();
    apply_txn(&mut producers, 0, producer(0, 0), 1, true);
    let bytes = snapshot::encode(&producers);
    for size in 0..bytes.len() {
        assert!(snapshot::decode(&bytes[..size]).is_err(), "{size}");
    }
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        assert!(snapshot::decode(&changed).is_err(), "{index}");
    }
    let mut lying = bytes;
    lying[6..10].copy_from_slice(&i32::MAX.to_be_bytes());
    let crc = crc32c::crc32c(&lying[6..]);
    lying[2..6].copy_from_slice(&crc.to_be_bytes());
    assert!(matches!(snapshot::decode(&lying), Err(SnapshotError::Size { count: i32::MAX, .. })));
}

proptest! {
    #[test]
    fn hostile_snapshots_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if bytes.len() > 10 {
            bytes[..2].copy_from_slice(&[0, 1]);
            let crc = crc32c::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        }
        if let Ok(states) = snapshot::decode(&bytes) {
            for state in states {
                let _ = state.next_sequence();
                for batch in state.batches() {
                    let _ = (batch.base_sequence(), batch.base_offset());
                }
            }
        }
    }
}
