//! A follower stores what its leader sends, as it is, once.

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{AppendError, DamageReason, EpochEnd, EpochStart, LogConfig, LogError};
use dohle_records::BatchError;

use crate::kit::*;

fn sent(base: i64, count: usize, epoch: i32) -> bytes::Bytes {
    records(count).from(Offset(base), LeaderEpoch(epoch))
}

#[test]
fn batches_are_stored_as_they_are_and_their_epochs_noted() {
    let (disk, mut log) = empty(small());
    let bytes = [sent(0, 2, 0), sent(2, 3, 0), sent(5, 1, 4)].concat();
    let appended = log.append_as_follower(&bytes, LeaderEpoch(4), NOW).unwrap().unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (Offset(0), Offset(5)));
    assert_eq!(read_all(&mut log).concat(), bytes);
    let start = |epoch, start| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) };
    assert_eq!(log.epochs(), [start(0, 0), start(4, 5)]);
    let end = EpochEnd { epoch: LeaderEpoch(0), end: Offset(5) };
    assert_eq!(log.epoch_end_offset(LeaderEpoch(2)), end);
    drop(log);
    assert_eq!(open(&disk, small()).unwrap().epochs(), [start(0, 0), start(4, 5)]);
}

#[test]
fn what_is_there_is_passed_over_and_what_is_cut_off_is_left() {
    let (_disk, mut log) = empty(LogConfig::default());
    let bytes = [sent(0, 2, 0), sent(2, 3, 0), sent(5, 1, 0)].concat();
    let cut = bytes.len() - 1;
    log.append_as_follower(&bytes[..cut], EPOCH, NOW).unwrap();
    assert_eq!(log.log_end_offset(), Offset(5));
    let appended = log.append_as_follower(&bytes, EPOCH, NOW).unwrap().unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (Offset(5), Offset(5)));
    assert_eq!(log.append_as_follower(&bytes, EPOCH, NOW).unwrap(), None);
    assert_eq!(log.append_as_follower(&[], EPOCH, NOW).unwrap(), None);
    assert_eq!(read_all(&mut log).concat(), bytes);
}

#[test]
fn gaps_that_compaction_left_are_kept() {
    let config = LogConfig { compacted: true, ..small() };
    let (disk, mut log) = empty(config.clone());
    let bytes = [sent(3, 2, 0), sent(100, 3, 0)].concat();
    log.append_as_follower(&bytes, EPOCH, NOW).unwrap();
    assert_eq!(log.log_end_offset(), Offset(103));
    let far = sent(5_000_000_000, 1, 0);
    log.append_as_follower(&far, EPOCH, NOW).unwrap();
    assert_eq!(log.active_base_offset(), Offset(5_000_000_000), "too far for the old segment");
    assert_eq!(read_all(&mut log).len(), 3);
    drop(log);
    assert_eq!(read_all(&mut open(&disk, config).unwrap()).len(), 3);
    // On other topics nobody takes records out of the middle: they were lost.
    let error = open(&disk, small()).unwrap_err();
    let LogError::Corrupt(corruption) = error else { panic!("{error}") };
    assert!(matches!(corruption.reason, DamageReason::Gap { expected: Offset(103), .. }));
}

#[test]
fn an_empty_segment_gives_way_to_one_that_can_tell_the_offsets() {
    let (disk, mut log) = empty(small());
    log.append_as_follower(&sent(5_000_000_000, 1, 0), EPOCH, NOW).unwrap();
    assert_eq!((log.segment_count(), log.active_base_offset()), (1, Offset(5_000_000_000)));
    drop(log);
    assert_eq!(read_all(&mut open(&disk, small()).unwrap()).len(), 1);
}

#[test]
fn what_does_not_follow_is_refused() {
    let (_disk, mut log) = empty(LogConfig::default());
    log.append_as_follower(&sent(0, 5, 0), EPOCH, NOW).unwrap();
    let error = log.append_as_follower(&sent(3, 5, 0), EPOCH, NOW).unwrap_err();
    let (expected, first, last) = (Offset(5), Offset(3), Offset(7));
    assert_eq!(error, AppendError::OutOfOrder { expected, first, last });
    let back = [sent(5, 5, 0), sent(5, 5, 0)].concat();
    let error = log.append_as_follower(&back, EPOCH, NOW).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrder { expected: Offset(10), .. }));
    let mut damaged = [sent(5, 5, 0), sent(10, 5, 0)].concat();
    *damaged.last_mut().unwrap() ^= 1;
    let error = log.append_as_follower(&damaged, EPOCH, NOW).unwrap_err();
    assert!(matches!(error, AppendError::Batch(BatchError::BadCrc { .. })));
    assert_eq!(log.log_end_offset(), Offset(5), "nothing of it was appended");
}

#[test]
fn batches_of_a_later_leader_wait() {
    let (_disk, mut log) = empty(LogConfig::default());
    let bytes = [sent(0, 1, 2), sent(1, 1, 3)].concat();
    log.append_as_follower(&bytes, LeaderEpoch(2), NOW).unwrap();
    assert_eq!((log.log_end_offset(), log.latest_epoch()), (Offset(1), LeaderEpoch(2)));
}

#[test]
fn one_response_can_fill_several_segments() {
    let (_disk, mut log) = empty(small());
    let batches = (0..40).map(|index| sent(index * 5, 5, 0)).collect::<Vec<_>>();
    let bytes = batches.concat();
    log.append_as_follower(&bytes, EPOCH, NOW).unwrap();
    assert!(log.segment_count() >= 5, "{}", log.segment_count());
    assert_eq!(read_all(&mut log).concat(), bytes);
    let large = records(1).sized(3_000).from(Offset(200), EPOCH);
    log.append_as_follower(&large, EPOCH, NOW).unwrap();
    assert_eq!(log.log_end_offset(), Offset(201), "larger than a segment, but a leader took it");
}

#[test]
fn producers_are_followed_without_checks() {
    let (_disk, mut log) = empty(LogConfig::default());
    let batch = records(2).by(7, 3, 40).in_transaction().from(Offset(0), EPOCH);
    log.append_as_follower(&batch, EPOCH, NOW).unwrap();
    let state = log.producer(7.into()).unwrap();
    assert_eq!((state.last_sequence(), state.transaction_start), (41, Some(Offset(0))));
    let other = records(2).by(7, 2, 9).from(Offset(2), EPOCH);
    log.append_as_follower(&other, EPOCH, NOW).unwrap();
    assert_eq!(log.producer(7.into()).unwrap().epoch.0, 2);
}
