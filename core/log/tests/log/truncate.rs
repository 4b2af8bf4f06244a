//! Records are taken away at either end, and what remains is as if they had never been.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    DamageReason, Log, LogConfig, LogError, OpenLog, Origin, ReadError, ReadRange, Synced,
    sim::{Faults, SimDisk},
};

use crate::kit::*;

/// Thirty batches of two records in several segments, epoch 0 up to 29, epoch 1 up to 59.
fn filled() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(small());
    for index in 0..30_i32 {
        let epoch = LeaderEpoch(index / 15);
        let batch = records(2).at(NOW.0 + i64::from(index)).by(5, 0, index * 2).bytes();
        log.append_as_leader(&batch, epoch, Origin::Client, NOW).unwrap();
    }
    assert!(log.segment_count() >= 4);
    (disk, log)
}

#[test]
fn a_log_cut_anywhere_is_as_one_that_never_had_more() {
    for end in 0..=60 {
        let (disk, mut log) = filled();
        log.flush().unwrap();
        // A batch is not split.
        let kept = end / 2 * 2;
        assert_eq!(log.truncate_to(Offset(end), NOW).unwrap(), Offset(kept), "{end}");
        let check = |log: &mut Log<SimDisk>| {
            assert_eq!(log.log_end_offset(), Offset(kept), "{end}");
            let values = read_values(log);
            assert_eq!(values.len() as i64, kept, "{end}");
            let newest = log.max_timestamp().unwrap();
            let expected = (kept > 0).then(|| Timestamp(NOW.0 + kept / 2 - 1));
            assert_eq!(newest.map(|newest| newest.timestamp), expected, "{end}");
            let epoch = match kept {
                0 => LeaderEpoch::NONE,
                1..=30 => LeaderEpoch(0),
                _ => LeaderEpoch(1),
            };
            assert_eq!(log.latest_epoch(), epoch, "{end}");
            let sequence =
                log.producer(5.into()).map(|producer| i64::from(producer.last_sequence()));
            assert_eq!(sequence, (kept > 0).then_some(kept - 1), "{end}");
        };
        check(&mut log);
        assert_eq!(log.recovery_point(), Offset(kept.min(60)));
        disk.restart(0);
        let how = OpenLog { recovery_point: Offset(kept), ..OpenLog::default() };
        let mut log = open_how(&disk, small(), how).unwrap();
        check(&mut log);
        let sequence = i32::try_from(kept).unwrap();
        let batch = records(2).by(5, 0, sequence).bytes();
        log.append_as_leader(&batch, LeaderEpoch(2), Origin::Client, NOW).unwrap();
        assert_eq!(read_values(&mut log).len() as i64, kept + 2);
    }
}

#[test]
fn a_log_that_was_cut_goes_on_where_it_was_cut() {
    for end in (0..60).step_by(2) {
        let (_disk, mut log) = filled();
        log.truncate_to(Offset(end), NOW).unwrap();
        for _ in 0..4 {
            let batch = records(3).bytes();
            log.append_as_leader(&batch, LeaderEpoch(2), Origin::Client, NOW).unwrap();
        }
        for from in end..end + 12 {
            let (from, up_to) = (Offset(from), Offset(end + 12));
            let range = ReadRange { from, up_to, size_max: 1, at_least_one: true };
            let slice = log.read(range).unwrap().unwrap();
            assert_eq!(slice.base_offset, Offset(end + (from.0 - end) / 3 * 3), "{end}: {from}");
            slice.read().unwrap();
        }
        assert_eq!(read_values(&mut log).len() as i64, end + 12, "{end}");
    }
}

#[test]
fn a_cut_that_the_power_cuts_short_leaves_the_log_or_what_it_should_be() {
    for power_after in 0.. {
        let mut done = false;
        for seed in 0..12 {
            let (disk, mut log) = filled();
            log.flush().unwrap();
            let power_after = Some(disk.changes() + power_after);
            disk.set_faults(Faults { power_after, ..Faults::default() });
            done = log.truncate_to(Offset(10), NOW).is_ok();
            disk.restart(seed);
            let recovery_point = if seed % 2 == 0 { Offset(10) } else { Offset(0) };
            let how = OpenLog { recovery_point, ..OpenLog::default() };
            let mut log = open_how(&disk, small(), how).unwrap_or_else(|e| panic!("{seed}: {e}"));
            let count = read_values(&mut log).len() as i64;
            assert_eq!(log.log_end_offset(), Offset(count));
            assert!(if done { count == 10 } else { (10..=60).contains(&count) }, "{count}");
        }
        if done {
            assert!(power_after > 10, "{power_after}");
            return;
        }
    }
}

#[test]
fn below_its_start_a_log_is_cut_to_nothing() {
    let (_disk, mut log) = filled();
    log.advance_log_start(Offset(20)).unwrap();
    assert_eq!(log.truncate_to(Offset(10), NOW).unwrap(), Offset(10));
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(10), Offset(10)));
    assert_eq!((log.segment_count(), log.producers().len()), (1, 0));
}

#[test]
fn a_log_can_be_started_anew_elsewhere() {
    let (disk, mut log) = filled();
    log.truncate_fully_and_start_at(Offset(1_000), NOW).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(1_000), Offset(1_000)));
    let batch = records(2).bytes();
    let appended = log.append_as_leader(&batch, LeaderEpoch(9), Origin::Client, NOW).unwrap();
    assert_eq!(appended.base_offset, Offset(1_000));
    log.flush().unwrap();
    drop(log);
    disk.restart(0);
    let log = open(&disk, small()).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(1_000), Offset(1_002)));
}

#[test]
fn deleted_records_are_out_of_reach_and_their_segments_go() {
    let (disk, mut log) = filled();
    let all = log.size();
    log.advance_log_start(Offset(31)).unwrap();
    log.advance_log_start(Offset(7)).unwrap();
    assert_eq!(log.log_start_offset(), Offset(31));
    let removed = log.remove_old_segments(NOW).unwrap();
    assert!(removed >= 1 && log.size() < all);
    assert_eq!(log.epochs().len(), 1, "{:?}", log.epochs());
    assert_eq!(log.epochs()[0].start, Offset(31));
    let error = log.advance_log_start(Offset(61)).unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { .. }));
    log.flush().unwrap();
    let how = OpenLog { log_start: Offset(31), ..OpenLog::default() };
    drop(log);
    disk.restart(0);
    let log = open_how(&disk, small(), how).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(31), Offset(60)));
    assert_eq!(log.producer(5.into()).unwrap().last_sequence(), 59);
}

#[test]
fn a_log_that_ends_before_its_start_is_started_anew() {
    let (disk, mut log) = filled();
    log.flush().unwrap();
    drop(log);
    let how = OpenLog { log_start: Offset(100), ..OpenLog::default() };
    // The log had come as far as that: by the recovery point, by what was noted of syncs, or by frames; or
    // nobody knows how much of it is gone.
    let synced = |end| Some(Synced { end: Offset(end), epoch: LeaderEpoch(1) });
    let known = [
        OpenLog { clean: true, recovery_point: Offset(100), ..how },
        OpenLog { recovery_point: Offset(100), ..how },
        OpenLog { synced: synced(100), ..how },
        OpenLog { reached: Offset(100), ..how },
        OpenLog { reached: Offset(i64::MAX), ..how },
    ];
    for how in known {
        let disk = disk.fork();
        let mut log = open_how(&disk, small(), how).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(100), Offset(100)));
        records(1).by(5, 0, 0).append(&mut log).unwrap_or_else(|error| panic!("{error}"));
    }
    let unknown = [
        how,
        OpenLog { clean: true, recovery_point: Offset(60), ..how },
        OpenLog { recovery_point: Offset(60), synced: synced(99), reached: Offset(99), ..how },
    ];
    for how in unknown {
        let error = open_how(&disk, small(), how).unwrap_err();
        let LogError::Corrupt(corruption) = error else { panic!("{error}") };
        let reason = DamageReason::StartBehindEnd { start: Offset(100), end: Offset(60) };
        assert_eq!(corruption.reason, reason);
        assert!(corruption.path.ends_with("log-start-offset-checkpoint"));
    }
}

#[test]
fn aborted_transactions_behind_the_cut_are_forgotten() {
    let (_disk, mut log) = empty(LogConfig::default());
    for _ in 0..2 {
        let sequence = log.producer(1.into()).map_or(0, |producer| producer.next_sequence());
        records(2).by(1, 0, sequence).in_transaction().append(&mut log).unwrap();
        append_marker(&mut log, 1, false);
    }
    assert_eq!(log.aborted_transactions(Offset(0), Offset(6)).unwrap().len(), 2);
    log.truncate_to(Offset(5), NOW).unwrap();
    assert_eq!(log.aborted_transactions(Offset(0), Offset(6)).unwrap().len(), 1);
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(3), "the second is open again");
}

#[test]
fn a_flush_that_began_before_a_cut_says_nothing_about_what_came_after() {
    let (_disk, mut log) = filled();
    let plan = log.begin_flush().unwrap().unwrap();
    log.truncate_to(Offset(10), NOW).unwrap();
    let batch = records(20).bytes();
    log.append_as_leader(&batch, LeaderEpoch(3), Origin::Client, NOW).unwrap();
    let flushed = plan.run().unwrap();
    log.finish_flush(flushed);
    assert!(log.recovery_point() <= Offset(10));
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), Offset(30));
    assert!(log.begin_flush().unwrap().is_none());
}
