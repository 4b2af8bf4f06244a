//! Goal: numbers without gaps under each epoch, and errors understood. Method: tables, and numbers
//! by hand.

use dohle_base::{Instant, ProducerId, Timestamp};
use dohle_records::Compression;

use super::*;
use crate::ProducerRecord;

fn identity(epoch: i16) -> Identity {
    Identity { id: ProducerId(7), epoch: ProducerEpoch(epoch) }
}

fn batch(records: usize) -> Batch<usize> {
    let mut batch = Batch::new(0, 0, Instant(0), Compression::NONE);
    for token in 0..records {
        batch.append(&ProducerRecord::new("t", "x"), Timestamp(0), 1_000, token).unwrap();
    }
    batch
}

#[test]
fn each_error_has_its_fate() {
    use ErrorCode as E;
    for (code, numbered, has_before, expected) in [
        (E::NONE, true, false, Fate::Written),
        (E::DUPLICATE_SEQUENCE_NUMBER, true, false, Fate::WrittenBefore),
        (E::OUT_OF_ORDER_SEQUENCE_NUMBER, true, true, Fate::Again),
        (E::OUT_OF_ORDER_SEQUENCE_NUMBER, true, false, Fate::AgainRenumbered),
        (E::OUT_OF_ORDER_SEQUENCE_NUMBER, false, false, Fate::Refused),
        (E::UNKNOWN_PRODUCER_ID, true, true, Fate::AgainRenumbered),
        (E::NOT_LEADER_OR_FOLLOWER, true, false, Fate::AgainElsewhere),
        (E::UNKNOWN_TOPIC_ID, true, false, Fate::AgainElsewhere),
        (E::KAFKA_STORAGE_ERROR, false, false, Fate::AgainElsewhere),
        (E::NOT_ENOUGH_REPLICAS, true, false, Fate::Again),
        (E::NOT_ENOUGH_REPLICAS_AFTER_APPEND, true, false, Fate::Again),
        (E::REQUEST_TIMED_OUT, true, false, Fate::Again),
        (E::CORRUPT_MESSAGE, true, false, Fate::Again),
        (E::MESSAGE_TOO_LARGE, true, false, Fate::Refused),
        (E::INVALID_RECORD, true, false, Fate::Refused),
        (E::TOPIC_AUTHORIZATION_FAILED, true, false, Fate::Refused),
        (E::INVALID_PRODUCER_EPOCH, true, false, Fate::Refused),
        (E(9_999), true, false, Fate::Refused),
    ] {
        assert_eq!(fate(code, numbered, has_before), expected, "{code}");
    }
}

#[test]
fn numbers_follow_one_another_and_wrap() {
    let mut sequences = Sequences::default();
    assert_eq!(sequences.number(3), None, "not idempotent");
    sequences.follow(identity(0));
    assert_eq!(sequences.number(3), Some((identity(0), 0)));
    assert_eq!(sequences.number(2), Some((identity(0), 3)));
    sequences.next = i32::MAX;
    assert_eq!(sequences.number(2), Some((identity(0), i32::MAX)));
    assert_eq!(sequences.number(1), Some((identity(0), 1)), "after 2^31 - 1 comes 0");
}

#[test]
fn a_lost_number_begins_a_new_epoch_from_0() {
    let mut state = IdentityState::Known(identity(0));
    let mut sequences = Sequences::default();
    sequences.follow(identity(0));
    let (mut first, mut second, mut unnumbered) = (batch(3), batch(2), batch(1));
    sequences.number(4);
    for batch in [&mut first, &mut second] {
        let stamp = sequences.number(batch.count());
        batch.seal(stamp);
    }
    sequences.break_off();
    assert!(sequences.is_broken());
    let waiting = [&mut first, &mut second, &mut unnumbered];
    assert!(sequences.start_again(&mut state, waiting.into_iter()));
    assert_eq!(state.known(), Some(identity(1)));
    assert_eq!(first.stamp, Some((identity(1), 0)));
    assert_eq!(second.stamp, Some((identity(1), 3)));
    assert_eq!(unnumbered.stamp, None);
    assert!(!sequences.is_broken());
    let bytes = second.bytes();
    let sealed = dohle_records::BatchView::parse(&bytes).unwrap();
    sealed.check_crc().expect("the numbers are under the checksum");
    assert_eq!((sealed.producer_epoch(), sealed.base_sequence()), (ProducerEpoch(1), 3));
}

#[test]
fn two_partitions_that_lose_numbers_take_one_step_together() {
    let mut state = IdentityState::Known(identity(0));
    let (mut a, mut b) = (Sequences::default(), Sequences::default());
    a.follow(identity(0));
    b.follow(identity(0));
    a.break_off();
    b.break_off();
    assert!(a.start_again::<usize>(&mut state, [].into_iter()));
    assert!(b.start_again::<usize>(&mut state, [].into_iter()));
    assert_eq!(state.known(), Some(identity(1)));
    assert!(a.is_of(identity(1)) && b.is_of(identity(1)));
}

#[test]
fn after_the_last_epoch_another_id_is_needed() {
    let mut state = IdentityState::Known(identity(i16::MAX));
    let mut sequences = Sequences::default();
    sequences.follow(identity(i16::MAX));
    sequences.break_off();
    assert!(!sequences.start_again::<usize>(&mut state, [].into_iter()));
    assert!(matches!(state, IdentityState::Wanted { .. }));
    assert!(sequences.is_broken());
}
