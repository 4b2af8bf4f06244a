//! What a log has done with is renamed at once, and unlinked when its time has come, not before.

use std::path::Path;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{Disk, Log, LogConfig, OpenLog, Origin, ReadRange, sim::SimDisk};

use crate::kit::*;

const DELAY: i64 = 1_000;

/// Twenty batches of two records in several segments, some of them of an aborted transaction.
fn filled() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(LogConfig { file_delete_delay_ms: DELAY, ..small() });
    for index in 0..20 {
        records(2).by(5, 0, index * 2).in_transaction().append(&mut log).unwrap();
        append_marker(&mut log, 5, false);
    }
    assert!(log.segment_count() >= 4);
    (disk, log)
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn deleted(disk: &SimDisk) -> Vec<String> {
    names(disk).into_iter().filter(|name| name.ends_with(".deleted")).collect()
}

fn later(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

#[test]
fn all_files_of_a_segment_are_renamed_and_unlinked_after_the_delay() {
    let (disk, mut log) = filled();
    let first = log.first_base_offset();
    log.advance_log_start(Offset(21)).unwrap();
    let removed = log.remove_old_segments(NOW).unwrap();
    let waiting = deleted(&disk);
    let kinds = |kind: &str| waiting.iter().filter(|name| name.contains(kind)).count();
    for kind in [".log.", ".index.", ".timeindex.", ".txnindex."] {
        assert_eq!(kinds(kind), removed, "{kind} in {waiting:?}");
    }
    // The first segment has none: nothing was known of producers before it.
    assert_eq!(kinds(".snapshot."), removed - 1, "{waiting:?}");
    let prefix = format!("{:020}.log", first.0);
    assert!(!names(&disk).contains(&prefix) && waiting.contains(&format!("{prefix}.deleted")));

    assert_eq!(log.next_unlink(), Some(later(DELAY)));
    assert!(log.begin_unlink(later(DELAY - 1)).is_none());
    let plan = log.begin_unlink(later(DELAY)).unwrap();
    assert_eq!(deleted(&disk), waiting, "only the plan unlinks");
    assert_eq!(plan.run().unwrap(), waiting.len());
    assert_eq!(deleted(&disk), Vec::<String>::new());
    assert_eq!(log.next_unlink(), None);
}

#[test]
fn what_is_removed_later_is_unlinked_later() {
    let (disk, mut log) = filled();
    log.advance_log_start(Offset(21)).unwrap();
    log.remove_old_segments(NOW).unwrap();
    let early = deleted(&disk);
    log.advance_log_start(Offset(50)).unwrap();
    log.remove_old_segments(later(400)).unwrap();
    assert_eq!(log.begin_unlink(later(DELAY)).unwrap().run().unwrap(), early.len());
    assert!(!deleted(&disk).is_empty());
    assert_eq!(log.next_unlink(), Some(later(DELAY + 400)));
    log.begin_unlink(later(DELAY + 400)).unwrap().run().unwrap();
    assert_eq!(deleted(&disk), Vec::<String>::new());
}

#[test]
fn a_reader_keeps_what_it_has() {
    let (_disk, mut log) = filled();
    let range = ReadRange { from: Offset(0), up_to: Offset(3), size_max: 1, at_least_one: true };
    let slice = log.read(range).unwrap().unwrap();
    let before = slice.read().unwrap();
    log.advance_log_start(Offset(40)).unwrap();
    log.remove_old_segments(NOW).unwrap();
    assert_eq!(slice.read().unwrap(), before);
    log.begin_unlink(later(DELAY)).unwrap().run().unwrap();
    assert_eq!(slice.read().unwrap(), before);
}

#[test]
fn a_truncated_log_goes_on_beside_what_it_was_cut_of() {
    let (disk, mut log) = filled();
    let cut = log.truncate_to(Offset(12), NOW).unwrap();
    let old = deleted(&disk);
    assert!(!old.is_empty());
    // The same names again, and once more to the side.
    for round in 1..3 {
        for _ in 0..12 {
            let batch = records(3).bytes();
            log.append_as_leader(&batch, LeaderEpoch(1), Origin::Client, NOW).unwrap();
        }
        log.truncate_to(cut, later(round)).unwrap();
    }
    let mut unlinked = 0;
    while let Some(due) = log.next_unlink() {
        unlinked += log.begin_unlink(due).unwrap().run().unwrap();
    }
    assert!(unlinked > old.len());
    assert_eq!(deleted(&disk), Vec::<String>::new());
    assert_eq!(read_values(&mut log).len() as i64, cut.0, "markers among them");
    log.flush().unwrap();
    drop(log);
    let how = OpenLog { recovery_point: cut, ..OpenLog::default() };
    assert_eq!(open_how(&disk, small(), how).unwrap().log_end_offset(), cut);
}

#[test]
fn a_start_unlinks_what_is_left() {
    for clean in [false, true] {
        let (disk, mut log) = filled();
        let end = log.log_end_offset();
        log.advance_log_start(Offset(21)).unwrap();
        log.remove_old_segments(NOW).unwrap();
        if clean {
            log.close().unwrap();
        } else {
            log.flush().unwrap();
            drop(log);
            disk.restart(0);
        }
        assert!(!deleted(&disk).is_empty());
        let how = OpenLog { clean, log_start: Offset(21), ..OpenLog::default() };
        let log = open_how(&disk, small(), how).unwrap();
        assert_eq!(deleted(&disk), Vec::<String>::new());
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(21), end));
    }
}
