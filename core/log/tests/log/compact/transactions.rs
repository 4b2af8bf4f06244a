//! Committed, aborted and open transactions, their markers, and what their producers may go on with.

use dohle_base::{Offset, ProducerId};
use dohle_log::{
    Disk, Log, LogConfig, OpenLog,
    sim::{Faults, SimDisk},
};

use super::kit::*;
use crate::kit::*;

/// Cleans once more although nothing new has come but in the open segment.
fn clean_again(log: &mut Log<SimDisk>, now: i64) {
    put(log, &[("filler", Some("x"))]);
    roll(log);
    clean(log, later(now)).unwrap();
}

#[test]
fn aborted_records_go_at_once_and_their_marker_when_nobody_needs_it() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("kept"))]);
    put_in_transaction(&mut log, 1, &[("a", Some("aborted")), ("b", None)]);
    append_marker(&mut log, 1, false);
    put_in_transaction(&mut log, 1, &[("c", Some("committed"))]);
    append_marker(&mut log, 1, true);
    roll(&mut log);
    let before = folded(&mut log);
    assert_eq!(before.len(), 2);
    clean(&mut log, NOW).unwrap();
    // The aborted record did not supersede the one before.
    assert_eq!((offsets(&mut log), markers(&mut log)), (vec![0, 4], vec![3, 5]));
    assert_eq!(log.aborted_transactions(Offset(0), Offset(6)).unwrap().len(), 1);
    assert_eq!(folded(&mut log), before);

    // The next clean finds the marker bare, and sets its horizon; the index needs it no more.
    clean_again(&mut log, 1);
    assert_eq!(markers(&mut log), [3, 5]);
    assert!(log.aborted_transactions(Offset(0), Offset(6)).unwrap().is_empty());
    clean_again(&mut log, RETENTION);
    assert_eq!(markers(&mut log), [3, 5], "dropped too early");
    clean_again(&mut log, 1 + RETENTION);
    // The commit has its record still.
    assert_eq!(markers(&mut log), [5]);
    assert!(folded(&mut log).contains_key("c"));
}

/// The disk was full when the log was opened, and the clean comes before a flush.
#[test]
fn a_clean_knows_of_aborts_that_no_index_tells_yet() {
    let (disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("kept"))]);
    put_in_transaction(&mut log, 1, &[("a", Some("aborted"))]);
    roll(&mut log);
    log.flush().unwrap();
    let recovery_point = log.recovery_point();
    append_marker(&mut log, 1, false);
    roll(&mut log);
    put(&mut log, &[("b", Some("open segment"))]);
    let before = folded(&mut log);
    let names = disk.list(std::path::Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    for name in names.filter(|name| !name.ends_with(".log")) {
        disk.remove(&std::path::Path::new(DIR).join(name)).unwrap();
    }
    disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
    let how = OpenLog { recovery_point, ..OpenLog::default() };
    let mut log = open_how(&disk, compacted(), how).unwrap();
    disk.set_faults(Faults::default());
    let end = log.log_end_offset();
    let plan = log.begin_clean(end, Offset(i64::MAX), NOW).unwrap().unwrap();
    let mut cleaning = plan.index(MEMORY, &mut |_| true).unwrap();
    while let Some(replacement) = cleaning.next(&mut |_| true).unwrap() {
        assert!(log.swap_in(replacement, NOW).unwrap());
    }
    assert_eq!(offsets(&mut log), [0, 3]);
    assert_eq!(folded(&mut log), before);
}

#[test]
fn a_commit_marker_outlives_all_records_of_its_transaction() {
    let (_disk, mut log) = empty(compacted());
    put_in_transaction(&mut log, 1, &[("a", Some("1"))]);
    put_in_transaction(&mut log, 1, &[("b", Some("1"))]);
    append_marker(&mut log, 1, true);
    put_in_transaction(&mut log, 2, &[("z", Some("1"))]);
    append_marker(&mut log, 2, true);
    roll(&mut log);
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    clean(&mut log, NOW).unwrap();
    assert_eq!((offsets(&mut log), markers(&mut log)), (vec![1, 3, 5], vec![2, 4]));
    for (now, expected) in [(10 * RETENTION, vec![2, 4]), (20 * RETENTION, vec![2, 4])] {
        clean_again(&mut log, now);
        assert_eq!(markers(&mut log), expected, "{now}");
    }
    put(&mut log, &[("b", Some("2"))]);
    roll(&mut log);
    // Its last record goes; the batch stays, empty, for the producer's sake, and with it the marker.
    clean(&mut log, later(30 * RETENTION)).unwrap();
    assert_eq!((offsets(&mut log).contains(&1), markers(&mut log)), (false, vec![2, 4]));
    // Another batch of the producer frees it.
    put_in_transaction(&mut log, 1, &[("y", Some("1"))]);
    append_marker(&mut log, 1, true);
    roll(&mut log);
    clean(&mut log, later(31 * RETENTION)).unwrap();
    // That clean still met the batch, the next one finds the marker bare, the one after drops it.
    for (now, first) in [(32 * RETENTION, 2), (33 * RETENTION - 1, 2), (33 * RETENTION, 4)] {
        assert_eq!(markers(&mut log).first(), Some(&2));
        clean_again(&mut log, now);
        assert_eq!(markers(&mut log).first(), Some(&first), "{now}");
    }
}

#[test]
fn nothing_is_cleaned_past_the_last_stable_offset() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1"))]);
    roll(&mut log);
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    let open = put_in_transaction(&mut log, 1, &[("a", Some("open"))]);
    roll(&mut log);
    put(&mut log, &[("a", Some("3"))]);
    roll(&mut log);
    let cleaned = clean(&mut log, NOW).unwrap();
    assert_eq!(cleaned.end(), open);
    assert_eq!(offsets(&mut log), [1, 2, 3]);
    append_marker(&mut log, 1, false);
    roll(&mut log);
    // The marker is not below the high watermark: it may still be taken back.
    assert!(clean_with(&mut log, Offset(4), NOW, MEMORY).unwrap().is_none());
    clean(&mut log, NOW).unwrap();
    assert_eq!((offsets(&mut log), markers(&mut log)), (vec![3], vec![4]));
}

#[test]
fn a_marker_far_behind_its_records_is_known_to_the_clean() {
    for marker_is_sealed in [true, false] {
        let (_disk, mut log) = empty(compacted());
        put(&mut log, &[("a", Some("kept"))]);
        put_in_transaction(&mut log, 1, &[("a", Some("aborted"))]);
        roll(&mut log);
        put(&mut log, &[("b", Some("1"))]);
        roll(&mut log);
        append_marker(&mut log, 1, false);
        // Else the batch would stay, empty, and with it the marker.
        let by = By { producer: producer(1, 0, 1), ..By::default() };
        put_by(&mut log, by, &[("c", Some("1"))]);
        if marker_is_sealed {
            roll(&mut log);
        }
        let before = folded(&mut log);
        clean(&mut log, NOW).unwrap();
        assert_eq!(offsets(&mut log), [0, 2, 4]);
        assert_eq!(folded(&mut log), before);
        assert_eq!(log.aborted_transactions(Offset(0), Offset(5)).unwrap().len(), 1);
        for round in 1..4 {
            clean_again(&mut log, RETENTION * 2 * round);
        }
        assert_eq!(markers(&mut log), Vec::<i64>::new());
        assert_eq!(folded(&mut log).get("a").map(String::as_str), Some("kept"));
    }
}

#[test]
fn a_transaction_behind_an_aborted_one_is_read_whatever_was_cleaned() {
    let (_disk, mut log) = empty(LogConfig { delete_retention_ms: 0, ..compacted() });
    for round in 0..6 {
        let value = format!("{round}");
        put_in_transaction(&mut log, 1, &[("a", Some(&value)), ("b", Some(&value))]);
        append_marker(&mut log, 1, round % 2 == 1);
        if round % 3 == 0 {
            roll(&mut log);
        }
        let before = folded(&mut log);
        clean(&mut log, later(round));
        assert_eq!(folded(&mut log), before, "{round}");
    }
    assert_eq!(folded(&mut log).get("b").map(String::as_str), Some("5"));
}

#[test]
fn a_producer_goes_on_with_its_next_number_after_a_clean_and_a_crash() {
    let (disk, mut log) = empty(compacted());
    for (id, sequence) in [(1, 0), (1, 2), (2, 0)] {
        let by = By { producer: producer(id, 0, sequence), ..By::default() };
        put_by(&mut log, by, &[("a", Some("1")), ("b", Some("1"))]);
    }
    put(&mut log, &[("a", Some("2")), ("b", Some("2"))]);
    roll(&mut log);
    put(&mut log, &[("a", Some("3"))]);
    let before = log.producers().cloned().collect::<Vec<_>>();
    clean(&mut log, NOW).unwrap();
    assert_eq!(offsets(&mut log), [6, 7, 8]);
    // One empty batch of each; of producer 1 the second.
    let bases = read_all(&mut log).iter().map(|b| b[7]).collect::<Vec<_>>();
    assert_eq!(bases, [2, 4, 6, 8]);
    log.flush().unwrap();
    drop(log);
    disk.restart(0);
    for recovery_point in [0, 9] {
        let disk = disk.fork();
        let how = OpenLog { recovery_point: Offset(recovery_point), ..OpenLog::default() };
        let mut log = open_how(&disk, compacted(), how).unwrap();
        for state in &before {
            let now = log.producer(state.id).unwrap();
            assert_eq!((now.epoch, now.last_sequence()), (state.epoch, state.last_sequence()));
        }
        for (id, sequence) in [(1, 4), (2, 2)] {
            let by = By { producer: producer(id, 0, sequence), ..By::default() };
            put_by(&mut log, by, &[("c", Some("1"))]);
        }
    }
}

#[test]
fn the_empty_batch_of_a_producer_that_has_expired_goes_at_the_next_clean() {
    let (disk, mut log) = empty(LogConfig { producer_expiration_ms: 1_000, ..compacted() });
    for (id, time) in [(1, NOW), (2, later(500))] {
        let by = By { producer: producer(id, 0, 7), timestamp: time, ..By::default() };
        put_by(&mut log, by, &[("a", Some("1"))]);
    }
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    put(&mut log, &[("b", Some("1"))]);
    let bases = |log: &mut _| read_all(log).iter().map(|batch| batch[7]).collect::<Vec<_>>();
    clean(&mut log, NOW).unwrap();
    assert_eq!(bases(&mut log), [0, 1, 2, 3]);
    assert_eq!(log.expire_producers(later(1_000)), 1);
    roll(&mut log);
    put(&mut log, &[("b", Some("2"))]);
    clean(&mut log, later(1_000)).unwrap();
    assert_eq!(bases(&mut log), [1, 2, 3, 4]);
    // It comes again, and nobody knows what its next number was.
    let by = By { producer: producer(1, 0, 9), timestamp: later(1_000), ..By::default() };
    assert_eq!(put_by(&mut log, by, &[("c", Some("1"))]), Offset(5));
    log.flush().unwrap();
    drop(log);
    disk.restart(0);
    let mut log = open(&disk, compacted()).unwrap();
    assert_eq!(bases(&mut log), [1, 2, 3, 4, 5]);
    assert_eq!(log.producer(ProducerId(1)).unwrap().next_sequence(), 10);
}

#[test]
fn no_transaction_seems_open_because_its_marker_went() {
    let (disk, mut log) = empty(LogConfig { delete_retention_ms: 0, ..compacted() });
    let large = "x".repeat(250);
    put(&mut log, &[("large 0", Some(&large))]);
    put_in_transaction(&mut log, 1, &[("a", Some("1"))]);
    roll(&mut log);
    // From here on a snapshot says that the transaction is open. The segment stays one of its own.
    append_marker(&mut log, 1, false);
    put(&mut log, &[("large 1", Some(&large))]);
    // No later marker of the producer may set it right.
    let by = By { producer: producer(1, 0, 1), ..By::default() };
    put_by(&mut log, by, &[("b", Some("1"))]);
    roll(&mut log);
    for now in 1..4 {
        put(&mut log, &[("x", Some("1"))]);
        roll(&mut log);
        clean(&mut log, later(now)).unwrap();
    }
    assert_eq!(markers(&mut log), Vec::<i64>::new());
    log.flush().unwrap();
    let end = log.log_end_offset();
    drop(log);
    // Luck keeps the snapshots, which nobody has synced.
    disk.restart(1);
    let bases = disk.list(DIR.as_ref()).unwrap();
    let is_marker_segment = |name: &str| name == "00000000000000000002.log";
    assert!(bases.iter().any(|entry| is_marker_segment(&entry.name)), "{bases:?}");
    for recovery_point in 0..=end.0 {
        let disk = disk.fork();
        let how = OpenLog { recovery_point: Offset(recovery_point), ..OpenLog::default() };
        let mut log = open_how(&disk, compacted(), how).unwrap();
        assert_eq!(log.last_stable_offset(end), end, "{recovery_point}");
        assert!(log.producer(ProducerId(1)).is_some(), "{recovery_point}");
    }
}
