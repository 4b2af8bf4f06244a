//! The oldest segments go when the settings say so, no later and no earlier, and whatever call the
//! power is cut behind, what is left is a suffix of the log without a gap.

use std::path::Path;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    AppendError, Disk, Expired, ExpiryReason, Log, LogConfig, LogError, OpenLog, Origin, Removal,
    sim::{Faults, SimDisk},
};

use crate::kit::*;

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn keeping(ms: Option<i64>, bytes: Option<u64>) -> LogConfig {
    let timestamp_after_ms_max = i64::MAX;
    LogConfig {
        retention_ms_max: ms,
        retention_bytes_max: bytes,
        timestamp_after_ms_max,
        ..small()
    }
}

/// Four segments of two records each, a day apart; the last one is written.
fn four_days(config: LogConfig) -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(config);
    for day in 0..4 {
        if day > 0 {
            log.roll(NOW).unwrap();
        }
        records(2).at(NOW.0 + day * DAY).by(5, 0, day as i32 * 2).append(&mut log).unwrap();
    }
    assert_eq!((log.segment_count(), log.log_end_offset()), (4, Offset(8)));
    (disk, log)
}

fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

/// A whole pass; the first offsets and reasons of what went.
fn expire(log: &mut Log<SimDisk>, high_watermark: i64, now: Timestamp) -> Vec<Expired> {
    let mut all = Vec::new();
    while let Some(expired) = log.remove_expired(Offset(high_watermark), now).unwrap() {
        all.push(expired);
    }
    all
}

#[test]
fn segments_go_by_the_age_of_their_youngest_record() {
    // (retention.ms, now, first offset left)
    let table = [
        (Some(DAY), 0, 0),
        (Some(DAY), DAY, 0),
        (Some(DAY), DAY + 1, 2),
        (Some(DAY), 2 * DAY, 2),
        (Some(DAY), 3 * DAY + 1, 6),
        (Some(DAY), 4 * DAY, 6),
        // The written one, too, when all of it is too old.
        (Some(DAY), 4 * DAY + 1, 8),
        (Some(0), 3 * DAY, 6),
        (Some(0), 3 * DAY + 1, 8),
        (Some(DAY), -1_000 * DAY, 0),
        (None, 1_000 * DAY, 0),
    ];
    for (ms, now, start) in table {
        let context = format!("{ms:?} at {now}");
        let (_disk, mut log) = four_days(keeping(ms, None));
        let gone = expire(&mut log, 8, at(now));
        assert_eq!(log.log_start_offset(), Offset(start), "{context}");
        assert_eq!(log.first_base_offset(), Offset(start), "{context}");
        assert_eq!(log.log_end_offset(), Offset(8), "{context}");
        assert_eq!(gone.len() as i64, start / 2, "{context}");
        for (day, expired) in (0..).zip(&gone) {
            assert_eq!((expired.base, expired.end), (Offset(day * 2), Offset(day * 2 + 2)));
            let youngest = at(day * DAY);
            assert_eq!(expired.reason, ExpiryReason::Time { youngest }, "{context}");
        }
        assert_eq!(read_values(&mut log).len() as i64, 8 - start, "{context}");
    }
}

#[test]
fn segments_go_by_the_bytes_that_are_left_without_them() {
    let (_disk, log) = four_days(keeping(None, None));
    let one = log.size() / 4;
    assert_eq!(one * 4, log.size(), "all of one size");
    let table = [
        (None, 0),
        (Some(i64::MAX as u64), 0),
        (Some(4 * one), 0),
        (Some(3 * one + 1), 0),
        (Some(3 * one), 2),
        (Some(2 * one + 1), 2),
        (Some(one), 6),
        (Some(1), 6),
        (Some(0), 8),
    ];
    for (bytes, start) in table {
        let (_disk, mut log) = four_days(keeping(None, bytes));
        let gone = expire(&mut log, 8, at(0));
        assert_eq!(log.log_start_offset(), Offset(start), "{bytes:?}");
        assert!(gone.iter().all(|expired| expired.reason == ExpiryReason::Bytes), "{gone:?}");
        assert!(gone.iter().all(|expired| u64::from(expired.size) == one), "{gone:?}");
    }
}

#[test]
fn segments_wholly_before_the_start_go_whatever_the_settings_are() {
    for (start, base) in [(0, 0), (1, 0), (2, 2), (3, 2), (7, 6), (8, 6)] {
        let (_disk, mut log) = four_days(keeping(None, None));
        log.advance_log_start(Offset(start)).unwrap();
        let gone = expire(&mut log, 8, at(0));
        assert_eq!(log.first_base_offset(), Offset(base), "{start}");
        assert_eq!(log.log_start_offset(), Offset(start), "{start}");
        assert!(gone.iter().all(|expired| expired.reason == ExpiryReason::BeforeStart));
    }
}

#[test]
fn nothing_goes_that_is_not_committed() {
    for high_watermark in 0..=8 {
        let (_disk, mut log) = four_days(keeping(Some(0), Some(0)));
        expire(&mut log, high_watermark, at(9 * DAY));
        let start = high_watermark / 2 * 2;
        assert_eq!(log.log_start_offset(), Offset(start), "{high_watermark}");
        assert!(log.log_start_offset() <= Offset(high_watermark));
    }
}

#[test]
fn an_empty_log_stays_as_it_is() {
    let (disk, mut log) = empty(keeping(Some(0), Some(0)));
    let before = disk.changes();
    assert_eq!(expire(&mut log, 0, at(9 * DAY)), []);
    assert_eq!(disk.changes(), before);
}

#[test]
fn a_log_that_went_as_a_whole_goes_on_where_it_ended() {
    let (disk, mut log) = four_days(keeping(Some(DAY), None));
    assert_eq!(expire(&mut log, 8, at(9 * DAY)).len(), 4);
    assert_eq!((log.segment_count(), log.size()), (1, 0));
    assert_eq!(log.producer(5.into()).unwrap().last_sequence(), 7, "producers are remembered");
    assert_eq!(log.epochs().len(), 1);
    assert_eq!((log.epochs()[0].epoch, log.epochs()[0].start), (EPOCH, Offset(8)));
    let appended = records(1).by(5, 0, 8).append(&mut log).unwrap();
    assert_eq!(appended.base_offset, Offset(8));
    log.flush().unwrap();
    disk.restart(0);
    let mut log = open(&disk, keeping(Some(DAY), None)).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(8), Offset(9)));
    assert_eq!(log.producer(5.into()).unwrap().last_sequence(), 8);
    assert_eq!(read_values(&mut log).len(), 1);
}

#[test]
fn records_without_a_time_are_as_old_as_their_file_is_unchanged() {
    let (disk, mut log) = empty(keeping(Some(DAY), None));
    for day in 0..3 {
        if day > 0 {
            log.roll(NOW).unwrap();
        }
        disk.set_now(at(day * DAY));
        records(1).at(-1).append(&mut log).unwrap();
    }
    log.close().unwrap();
    let how = OpenLog { clean: true, ..OpenLog::default() };
    let mut log =
        Log::open(disk, Path::new(DIR).to_owned(), keeping(Some(DAY), None), how, at(9 * DAY))
            .unwrap();
    assert_eq!(expire(&mut log, 3, at(DAY)), []);
    let gone = expire(&mut log, 3, at(2 * DAY + 1));
    let youngest = gone.iter().map(|expired| expired.reason).collect::<Vec<_>>();
    let of = |day| ExpiryReason::Time { youngest: at(day * DAY) };
    assert_eq!(youngest, [of(0), of(1)]);
    assert_eq!(log.log_start_offset(), Offset(2));
}

#[test]
fn where_the_disk_tells_no_times_age_counts_from_the_opening() {
    let (_disk, mut log) = empty(keeping(Some(DAY), None));
    records(1).at(-1).append(&mut log).unwrap();
    assert_eq!(expire(&mut log, 1, at(DAY)), []);
    let youngest = at(0);
    assert_eq!(expire(&mut log, 1, at(DAY + 1))[0].reason, ExpiryReason::Time { youngest });
}

#[test]
fn files_of_what_went_wait_for_their_delay() {
    let (disk, mut log) =
        four_days(LogConfig { file_delete_delay_ms: 10, ..keeping(None, Some(0)) });
    expire(&mut log, 8, at(0));
    let waiting = |disk: &SimDisk| {
        let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
        names.filter(|name| name.ends_with(".deleted")).count()
    };
    // Three files a segment, and the snapshots of all but the first.
    assert_eq!(waiting(&disk), 4 * 3 + 3);
    assert_eq!(log.next_unlink(), Some(at(10)));
    log.begin_unlink(at(10)).unwrap().run().unwrap();
    assert_eq!(waiting(&disk), 0);
}

/// Whoever holds the log behind a lock is told what to sync, and makes it without.
#[test]
fn names_are_synced_between_removals_by_who_asks_and_once() {
    let (disk, mut log) = four_days(keeping(None, Some(0)));
    log.flush().unwrap();
    let mut seen = Vec::new();
    loop {
        let before = disk.syncs_of_names();
        let removal = log.begin_remove_expired(Offset(8), at(0)).unwrap();
        assert_eq!(disk.syncs_of_names(), before, "under the lock");
        match removal {
            Removal::Nothing => break,
            Removal::Removed(expired) => seen.push(expired.base.0),
            Removal::AfterSync(plan) => {
                let done = plan.run().unwrap();
                assert_eq!(disk.syncs_of_names(), before + 1);
                log.finish_sync_names(done);
                seen.push(-1);
            }
        }
    }
    // Of the one that is written the next one's name has to be durable, too.
    assert_eq!(seen, [0, -1, 2, -1, 4, -1, 6]);
}

/// An empty log has no file, and a flush of it makes none durable.
#[test]
fn the_first_segment_of_a_log_that_was_flushed_empty_has_its_name_before_the_next_begins() {
    for power_cut_seed in 0..20 {
        let (disk, mut log) = empty(LogConfig::default());
        log.flush().unwrap();
        records(3).append(&mut log).unwrap();
        log.roll(NOW).unwrap();
        records(2).append(&mut log).unwrap();
        drop(log);
        disk.restart(power_cut_seed);
        let mut names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
        assert!(names.any(|name| name == "00000000000000000000.log"), "{power_cut_seed}");
    }
}

/// What another has made durable need not be again.
#[test]
fn a_flush_between_removals_is_as_good_as_their_sync() {
    let (_, mut log) = four_days(keeping(None, Some(0)));
    log.flush().unwrap();
    for base in [0, 2, 4] {
        let removal = log.begin_remove_expired(Offset(8), at(0)).unwrap();
        assert!(matches!(removal, Removal::Removed(expired) if expired.base.0 == base));
        log.flush().unwrap();
    }
}

/// A sync that began before another removal, or before the log was cut, says nothing about it.
#[test]
fn a_sync_of_names_says_nothing_about_what_came_after_it_began() {
    let (_, mut log) = four_days(keeping(None, Some(0)));
    log.flush().unwrap();
    let done = log.begin_sync_names().run().unwrap();
    let removal = log.begin_remove_expired(Offset(8), at(0)).unwrap();
    assert!(matches!(removal, Removal::Removed(_)), "{removal:?}");
    log.finish_sync_names(done);
    let removal = log.begin_remove_expired(Offset(8), at(0)).unwrap();
    assert!(matches!(removal, Removal::AfterSync(_)), "{removal:?}");
    let done = log.begin_sync_names().run().unwrap();
    log.truncate_to(Offset(4), NOW).unwrap();
    log.finish_sync_names(done);
    records(2).append(&mut log).unwrap();
    log.roll(NOW).unwrap();
    // The name of the new one is not durable, although those up to 6 were.
    let removal = log.begin_remove_expired(Offset(6), at(0)).unwrap();
    assert!(matches!(removal, Removal::Removed(expired) if expired.base.0 == 2), "{removal:?}");
    let removal = log.begin_remove_expired(Offset(6), at(0)).unwrap();
    assert!(matches!(removal, Removal::AfterSync(_)), "{removal:?}");
}

/// The segment that is begun for it has to be there: nothing else tells where offsets go on.
#[test]
fn a_power_cut_while_a_log_goes_as_a_whole_leaves_its_end() {
    let run = |power_after| {
        let disk = disk();
        let mut log = open(&disk, keeping(None, Some(0))).unwrap();
        records(2).append(&mut log).unwrap();
        log.flush().unwrap();
        let flushed_after = disk.changes();
        disk.set_faults(Faults { power_after, ..Faults::default() });
        let removed = log.remove_expired(Offset(2), NOW);
        (disk, flushed_after, removed.is_ok())
    };
    let (whole, flushed_after, _) = run(None);
    assert!(whole.changes() > flushed_after + 5);
    for power_after in flushed_after..=whole.changes() {
        for seed in 0..32 {
            let (disk, _, is_done) = run(Some(power_after));
            assert_eq!(is_done, power_after == whole.changes());
            disk.restart(seed);
            let log = open(&disk, small()).unwrap();
            assert_eq!(log.log_end_offset(), Offset(2), "call {power_after}, seed {seed}");
        }
    }
}

/// What was appended, after how many calls it was flushed, and whether all came through.
#[derive(Debug, Default)]
struct Ran {
    appended: Vec<(i64, String)>,
    flushed_after: u64,
    is_done: bool,
}

/// Passes that have something to do for each rule, over a log that was flushed.
fn run(disk: &SimDisk) -> Ran {
    let mut ran = Ran::default();
    ran.is_done = pass(disk, &mut ran).is_ok();
    ran
}

fn pass(disk: &SimDisk, ran: &mut Ran) -> Result<(), LogError> {
    let mut log = open(disk, keeping(Some(DAY), Some(600)))?;
    for index in 0..24 {
        let batch = records(2).at(NOW.0 + index * DAY / 8).by(5, 0, index as i32 * 2);
        let epoch = LeaderEpoch(index as i32 / 9);
        match log.append_as_leader(&batch.bytes(), epoch, Origin::Client, NOW) {
            Err(AppendError::Log(error)) => return Err(error),
            appended => appended.unwrap_or_else(|error| panic!("not the disk's fault: {error}")),
        };
        ran.appended.extend([(index * 2, "value 0".into()), (index * 2 + 1, "value 1".into())]);
    }
    log.flush()?;
    ran.flushed_after = disk.changes();
    log.advance_log_start(Offset(9)).unwrap();
    let end = log.log_end_offset();
    for now in [at(2 * DAY), at(9 * DAY)] {
        while log.remove_expired(end, now)?.is_some() {}
        if let Some(plan) = log.begin_unlink(now) {
            plan.run()?;
        }
    }
    log.flush()
}

/// Opens what is left of a log that was flushed before the pass.
fn check(disk: &SimDisk, ran: &Ran, context: &str) {
    let mut log = open(disk, small()).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(log.log_end_offset(), Offset(48), "{context}");
    let start = log.log_start_offset();
    assert_eq!(start, log.first_base_offset(), "{context}");
    assert!(!ran.is_done || start == Offset(48), "{context}: {start}");
    assert_eq!(read_values(&mut log), ran.appended[start.0 as usize..], "{context}");
    let appended = log.append_as_leader(&records(1).bytes(), LeaderEpoch(9), Origin::Client, NOW);
    assert_eq!(appended.unwrap().base_offset, Offset(48), "{context}");
}

#[test]
fn a_power_cut_after_any_call_of_a_pass_leaves_a_suffix() {
    let whole = disk();
    let all = run(&whole);
    let calls = whole.changes();
    assert!(all.is_done && calls - all.flushed_after > 30, "{calls}");
    for power_after in all.flushed_after..=calls {
        for seed in 0..8 {
            let disk = disk();
            disk.set_faults(Faults { power_after: Some(power_after), ..Faults::default() });
            let ran = run(&disk);
            assert_eq!(ran.is_done, power_after == calls);
            disk.restart(seed);
            check(&disk, &ran, &format!("after call {power_after} of {calls} with seed {seed}"));
        }
    }
}

#[test]
fn an_error_at_any_call_of_a_pass_leaves_a_suffix() {
    let whole = disk();
    let all = run(&whole);
    for io_error_at in all.flushed_after + 1..=whole.changes() {
        for seed in 0..4 {
            let disk = disk();
            disk.set_faults(Faults { io_error_at: Some(io_error_at), ..Faults::default() });
            let ran = run(&disk);
            assert!(!ran.is_done, "error at call {io_error_at}");
            disk.restart(seed);
            check(&disk, &ran, &format!("error at call {io_error_at} with seed {seed}"));
        }
    }
}
