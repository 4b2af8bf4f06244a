//! Whatever call of a clean the power is cut behind, the log that is opened next says of each key
//! what it said before, and nothing is gone but what was superseded or aborted.
//!
//! Method: a log with all that a clean deals with is cleaned on a disk that stops after each call in
//! turn, several times with other luck about what is kept; then twice more, to see that the half
//! of a clean is a start for the next.

use std::collections::BTreeMap;

use dohle_base::Offset;
use dohle_log::{
    CleanError, Disk, Log, LogConfig, LogError, OpenLog,
    sim::{Faults, SimDisk},
};

use super::kit::*;
use crate::kit::*;

/// Several groups of segments, one of which nothing is left of, with transactions across them.
fn filled() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(config());
    for round in 0..4 {
        let value = format!("{round}");
        for key in ["a", "b", "c"] {
            put(&mut log, &[(key, Some(&value)), ("all", Some(&value))]);
        }
        let id = 1 + round % 2;
        put_in_transaction(&mut log, id, &[("t", Some(&value)), (&value, Some(&value))]);
        if round == 1 {
            put(&mut log, &[("b", None), ("gone", Some("1"))]);
            roll(&mut log);
        }
        append_marker(&mut log, id, round % 2 == 0);
        put(&mut log, &[("gone", None)]);
    }
    roll(&mut log);
    put(&mut log, &[("last", Some("1")), ("a", Some("last"))]);
    log.flush().unwrap();
    assert!(log.segment_count() >= 6, "{}", log.segment_count());
    (disk, log)
}

fn config() -> LogConfig {
    // No tombstone and no bare marker survives its second clean.
    LogConfig { delete_retention_ms: 0, ..compacted() }
}

/// Both cleans that it takes until a tombstone goes.
fn clean_twice(log: &mut Log<SimDisk>, disk: &SimDisk) -> Result<(), CleanError> {
    let end = log.log_end_offset();
    clean_with(log, end, later(1), MEMORY)?;
    for kept in disk.list(DIR.as_ref()).map_err(LogError::from)? {
        assert!(!kept.name.ends_with(".cleaned") && !kept.name.ends_with(".swap"));
    }
    log.roll(NOW)?;
    log.flush()?;
    clean_with(log, end, later(2), MEMORY)?;
    Ok(())
}

/// What files are called that are not in use, or not yet.
const STAGES: [&str; 3] = [".cleaned", ".swap", ".deleted"];

struct Before {
    records: Vec<Stored>,
    folded: BTreeMap<String, String>,
    end: Offset,
}

fn check(disk: &SimDisk, before: &Before, context: &str) {
    for (recovery_point, is_kept) in [(before.end, true), (Offset(0), false)] {
        let disk = disk.fork();
        let cleaned_to = if is_kept { before.end } else { Offset(0) };
        let how = OpenLog { recovery_point, cleaned_to, ..OpenLog::default() };
        let mut log = open_how(&disk, config(), how).unwrap_or_else(|e| panic!("{context}: {e}"));
        assert_eq!(log.log_end_offset(), before.end, "{context}");
        for record in stored(&mut log) {
            assert!(before.records.contains(&record), "{context}: {record:?}");
        }
        assert_eq!(folded(&mut log), before.folded, "{context}");
        let names = disk.list(DIR.as_ref()).unwrap();
        let is_over = |name: &str| STAGES.iter().any(|stage| name.ends_with(stage));
        assert!(!names.iter().any(|entry| is_over(&entry.name)), "{context}: {names:?}");
        log.roll(NOW).unwrap();
        clean_with(&mut log, before.end, later(3), MEMORY)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(folded(&mut log), before.folded, "{context}");
        goes_on(&mut log);
        log.close().unwrap();
    }
}

fn before() -> Before {
    let (_disk, mut log) = filled();
    let (records, folded, end) = (stored(&mut log), folded(&mut log), log.log_end_offset());
    Before { records, folded, end }
}

#[test]
fn a_power_cut_after_any_call_leaves_the_old_segments_or_the_new() {
    let before = before();
    let (whole, mut log) = filled();
    let start = whole.changes();
    clean_twice(&mut log, &whole).unwrap();
    let calls = whole.changes() - start;
    assert!(calls > 60, "{calls}");
    assert!(stored(&mut log).len() < before.records.len() / 2);
    for power_after in 0..=calls {
        for seed in [0, 1, 5] {
            let (disk, mut log) = filled();
            let power_after = Some(disk.changes() + power_after);
            disk.set_faults(Faults { power_after, ..Faults::default() });
            let done = clean_twice(&mut log, &disk);
            drop(log);
            disk.restart(seed);
            let context = format!("after call {power_after:?} with seed {seed}, {done:?}");
            check(&disk, &before, &context);
        }
    }
}

#[test]
fn an_error_at_any_call_loses_nothing() {
    let before = before();
    let (whole, mut log) = filled();
    let start = whole.changes();
    clean_twice(&mut log, &whole).unwrap();
    for nth in 1..=whole.changes() - start {
        let (disk, mut log) = filled();
        let io_error_at = Some(disk.changes() + nth);
        disk.set_faults(Faults { io_error_at, ..Faults::default() });
        let done = clean_twice(&mut log, &disk);
        if !log.is_poisoned() {
            // What failed had no part in the log yet, or had done its part.
            assert_eq!(folded(&mut log), before.folded, "error at call {nth}: {done:?}");
        }
        drop(log);
        disk.restart(nth % 3);
        check(&disk, &before, &format!("error at call {nth}: {done:?}"));
    }
}

#[test]
fn a_disk_that_is_full_anywhere_loses_nothing_and_can_go_on() {
    let before = before();
    for bytes_free in (0..3_000).step_by(37) {
        let (disk, mut log) = filled();
        disk.set_faults(Faults { bytes_free: Some(bytes_free), ..Faults::default() });
        if let Err(CleanError::Log(LogError::Io(error))) = clean_twice(&mut log, &disk) {
            assert!(error.is_full(), "{error}");
            assert!(!log.is_poisoned(), "nothing had been swapped: {error}");
        }
        disk.set_faults(Faults::default());
        assert_eq!(folded(&mut log), before.folded, "{bytes_free}");
        clean_twice(&mut log, &disk).unwrap();
        drop(log);
        disk.restart(1);
        check(&disk, &before, &format!("with {bytes_free} bytes"));
    }
}

#[test]
fn a_segment_that_nothing_is_left_of_takes_its_indexes_with_it() {
    let (disk, mut log) = empty(config());
    put_in_transaction(&mut log, 1, &[("a", Some("1"))]);
    append_marker(&mut log, 1, false);
    roll(&mut log);
    put_in_transaction(&mut log, 1, &[("a", Some("2"))]);
    append_marker(&mut log, 1, true);
    log.flush().unwrap();
    drop(log);
    // As a swap leaves it that is cut short before the old segment is out of the way.
    let dir = std::path::Path::new(DIR);
    for kind in ["log", "index", "timeindex"] {
        disk.plant(&dir.join(format!("00000000000000000000.{kind}.swap")), b"");
    }
    let how = OpenLog { recovery_point: Offset(4), ..OpenLog::default() };
    let mut log = open_how(&disk, config(), how).unwrap();
    assert_eq!(offsets(&mut log), [2]);
    // Told of the old transaction, a consumer would take the new one for it: its marker is gone.
    assert_eq!(log.aborted_transactions(Offset(0), Offset(4)).unwrap(), []);
    assert_eq!(folded(&mut log).get("a").map(String::as_str), Some("2"));
}

#[test]
fn a_power_cut_leaves_all_or_nothing_of_a_replacement_that_takes_several_segments() {
    let wide = LogConfig { segment_bytes_max: 20_000, index_interval_bytes: 0, ..config() };
    let narrow = LogConfig { segment_index_bytes_max: 64, ..wide.clone() };
    let filled = || {
        let (disk, mut log) = empty(wide.clone());
        for index in 0..48 {
            put(&mut log, &[(&format!("{}", index % 40), Some("a value"))]);
            if index % 16 == 15 {
                roll(&mut log);
            }
        }
        put(&mut log, &[("last", Some("1"))]);
        log.flush().unwrap();
        log.set_config(narrow.clone());
        (disk, log)
    };
    let (whole, mut log) = filled();
    let (start, values) = (whole.changes(), folded(&mut log));
    clean(&mut log, NOW).unwrap();
    assert!(log.segment_count() > 4, "{}", log.segment_count());
    for power_after in 0..=whole.changes() - start {
        for seed in [0, 1, 3, 4, 7] {
            let (disk, mut log) = filled();
            let power_after = Some(disk.changes() + power_after);
            disk.set_faults(Faults { power_after, ..Faults::default() });
            let end = log.log_end_offset();
            let done = clean_with(&mut log, end, NOW, MEMORY);
            disk.restart(seed);
            let context = format!("after call {power_after:?} with seed {seed}, {done:?}");
            let how = OpenLog { recovery_point: end, ..OpenLog::default() };
            let mut log = open_how(&disk, narrow.clone(), how)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(
                (log.log_end_offset(), folded(&mut log)),
                (end, values.clone()),
                "{context}"
            );
        }
    }
}
