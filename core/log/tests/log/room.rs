//! A start after a crash needs no room. What a full disk does not take is kept in memory as long as it
//! is needed, and written when there is room again.
//!
//! Method: logs as a crash leaves them are opened with every number of bytes free that matters, so that
//! the disk is full at each write of the recovery in turn.

use std::{collections::BTreeMap, path::Path};

use dohle_base::Offset;
use dohle_log::{
    AbortedTransaction, AppendError, Disk, Log, LogError, OpenLog, Origin,
    sim::{Faults, SimDisk},
};

use crate::kit::*;

fn full(bytes_free: u64) -> Faults {
    Faults { bytes_free: Some(bytes_free), ..Faults::default() }
}

/// Side files and what is in them.
fn files(disk: &SimDisk, ending: &str) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let names = names.filter(|name| name.ends_with(ending));
    names.map(|name| (name.clone(), disk.peek(&Path::new(DIR).join(name)).unwrap())).collect()
}

fn remove(disk: &SimDisk, name: &str) {
    disk.remove(&Path::new(DIR).join(name)).unwrap();
}

/// Transactions of which most are aborted, some of them across segments.
fn transact(log: &mut Log<SimDisk>, rounds: std::ops::Range<i32>) {
    for round in rounds {
        records(1).by(8, 0, round).in_transaction().append(log).unwrap();
        records(1).by(9, 0, round).in_transaction().append(log).unwrap();
        append_marker(log, 8, false);
        append_marker(log, 9, round % 3 == 0);
    }
}

/// What read-committed consumers are told, wherever they begin, and up to where they may read.
fn told(log: &mut Log<SimDisk>) -> (Vec<Vec<AbortedTransaction>>, Offset) {
    let end = log.log_end_offset();
    let from = |from| log.aborted_transactions(Offset(from), end).unwrap();
    ((0..end.0).map(from).collect(), log.last_stable_offset(end))
}

/// A log with a transaction that is open, as some crash leaves it, and what it told before.
struct Crashed {
    disk: SimDisk,
    how: OpenLog,
    told: (Vec<Vec<AbortedTransaction>>, Offset),
}

impl Crashed {
    /// Of what was not flushed only the batches are left.
    fn without_what_was_not_flushed(flushed_rounds: i32) -> Self {
        let (disk, mut log) = empty(small());
        transact(&mut log, 0..flushed_rounds);
        log.flush().unwrap();
        let (kept, recovery_point) = (disk.fork(), log.recovery_point());
        records(1).by(7, 0, 0).in_transaction().append(&mut log).unwrap();
        transact(&mut log, flushed_rounds..10);
        let told = told(&mut log);
        for (name, _) in files(&disk, "") {
            match kept.peek(&Path::new(DIR).join(&name)) {
                _ if name.ends_with(".log") => {}
                Some(bytes) => disk.plant(&Path::new(DIR).join(name), &bytes),
                None => remove(&disk, &name),
            }
        }
        Self { disk, how: OpenLog { recovery_point, ..OpenLog::default() }, told }
    }

    /// All was flushed, but one index is damaged: its last bytes are gone, or the first is another.
    fn with_damage(is_shorter: bool) -> Self {
        let (disk, mut log) = empty(small());
        records(1).by(7, 0, 0).in_transaction().append(&mut log).unwrap();
        transact(&mut log, 0..10);
        log.flush().unwrap();
        let (told, recovery_point) = (told(&mut log), log.recovery_point());
        let (name, mut bytes) = files(&disk, ".txnindex").pop_first().unwrap();
        match is_shorter {
            true => bytes.truncate(bytes.len() - 5),
            false => bytes[0] ^= 1,
        }
        disk.plant(&Path::new(DIR).join(name), &bytes);
        Self { disk, how: OpenLog { recovery_point, ..OpenLog::default() }, told }
    }

    /// Opens it, and once more after a kill; then again when there is room.
    fn check(&self, bytes_free: u64) {
        let disk = self.disk.fork();
        disk.set_faults(full(bytes_free));
        let open = |disk: &SimDisk, how| {
            open_how(disk, small(), how).unwrap_or_else(|e| panic!("{e}, {bytes_free} bytes free"))
        };
        for _ in 0..2 {
            let mut log = open(&disk, self.how);
            assert_eq!(told(&mut log), self.told, "{bytes_free} bytes free");
        }
        // Before there is room, and after.
        disk.set_faults(Faults::default());
        let mut log = open(&disk.fork(), self.how);
        assert_eq!(told(&mut log), self.told, "{bytes_free} bytes were free");
        disk.set_faults(full(bytes_free));
        let mut log = open(&disk, self.how);
        disk.set_faults(Faults::default());
        append_marker(&mut log, 7, false);
        transact(&mut log, 10..13);
        let more = told(&mut log);
        assert_eq!(more.1, log.log_end_offset());
        log.flush().unwrap();
        assert_eq!(told(&mut log), more, "{bytes_free} bytes were free");
        let how = OpenLog { recovery_point: log.recovery_point(), ..OpenLog::default() };
        drop(log);
        disk.restart(1);
        assert_eq!(told(&mut open(&disk, how)), more, "{bytes_free} bytes were free");
    }
}

#[test]
fn aborted_transactions_are_told_after_a_crash_on_a_full_disk() {
    for flushed_rounds in [0, 4] {
        let crashed = Crashed::without_what_was_not_flushed(flushed_rounds);
        assert!(crashed.told.0[0].len() > 12);
        (0..1_500).step_by(7).for_each(|bytes_free| crashed.check(bytes_free));
    }
}

#[test]
fn nor_does_a_damaged_index_of_them_need_room() {
    for is_shorter in [true, false] {
        let crashed = Crashed::with_damage(is_shorter);
        (0..400).step_by(3).for_each(|bytes_free| crashed.check(bytes_free));
    }
}

#[test]
fn an_abort_that_there_is_no_room_for_beside_its_marker_is_told_and_saved_later() {
    let mut times_kept = 0;
    for bytes_free in 0..150 {
        let (disk, mut log) = empty(small());
        for id in [7, 8] {
            records(1).by(id, 0, 0).in_transaction().append(&mut log).unwrap();
        }
        append_marker(&mut log, 8, false);
        disk.set_faults(full(bytes_free));
        let before = log.aborted_transactions(Offset(0), Offset(9)).unwrap();
        let origin = Origin::Marker { transaction_version: 0 };
        match log.append_as_leader(&marker(7, 0, false), EPOCH, origin, NOW) {
            Err(AppendError::Log(LogError::Io(error))) => {
                assert!(error.is_full() && !log.is_poisoned(), "{error}");
                assert_eq!(log.aborted_transactions(Offset(0), Offset(9)).unwrap(), before);
                continue;
            }
            appended => drop(appended.unwrap()),
        }
        let aborted = log.aborted_transactions(Offset(0), Offset(9)).unwrap();
        assert_eq!(aborted.len(), 2, "{bytes_free} bytes");
        times_kept += i32::from(files(&disk, ".txnindex").values().all(|index| index.len() == 34));
        disk.set_faults(Faults::default());
        log.flush().unwrap();
        let how = OpenLog { recovery_point: log.recovery_point(), ..OpenLog::default() };
        drop(log);
        disk.restart(1);
        let mut log = open_how(&disk, small(), how).unwrap();
        assert_eq!(log.aborted_transactions(Offset(0), Offset(9)).unwrap(), aborted);
    }
    assert_eq!(times_kept, 34, "with each part of an entry");
}

#[test]
fn a_cut_takes_what_no_index_tells_yet() {
    let crashed = [3, 4, 5].map(Crashed::without_what_was_not_flushed);
    let aborted =
        |log: &mut Log<SimDisk>| log.aborted_transactions(Offset(0), Offset(100)).unwrap();
    for (crashed, end) in crashed.iter().flat_map(|crashed| (0..41).map(move |end| (crashed, end)))
    {
        let disk = crashed.disk.fork();
        disk.set_faults(full(0));
        let mut log = open_how(&disk, small(), crashed.how).unwrap();
        let all = aborted(&mut log);
        disk.set_faults(Faults::default());
        for end in [end, (end - 3).max(0)].map(Offset) {
            log.truncate_to(end, NOW).unwrap();
            let left = all.iter().copied().filter(|entry| entry.last_offset < end);
            let left = left.collect::<Vec<_>>();
            assert_eq!(aborted(&mut log), left, "{end}");
            let kept = disk.fork();
            kept.restart(1);
            assert_eq!(aborted(&mut open(&kept, small()).unwrap()), left, "{end}");
        }
        let left = aborted(&mut log);
        log.flush().unwrap();
        let how = OpenLog { recovery_point: log.recovery_point(), ..OpenLog::default() };
        disk.restart(1);
        assert_eq!(aborted(&mut open_how(&disk, small(), how).unwrap()), left, "{end}");
    }
}

/// A log of several segments, of which a crash has left nothing but the batches, and the indexes that its
/// sealed segments had.
fn without_indexes() -> (SimDisk, BTreeMap<String, Vec<u8>>) {
    let (disk, mut log) = empty(small());
    for sequence in 0..40 {
        records(1).by(9, 0, sequence).append(&mut log).unwrap();
    }
    let active = format!("{:020}.", log.active_base_offset().0);
    log.close().unwrap();
    let mut indexes = files(&disk, "index");
    indexes.retain(|name, _| !name.starts_with(&active));
    assert!(indexes.len() > 4, "{}", indexes.len());
    files(&disk, "").keys().filter(|name| !name.ends_with(".log")).for_each(|n| remove(&disk, n));
    (disk, indexes)
}

/// Whether the sealed segments have all of their indexes; none has another or a part of one.
fn has_all(disk: &SimDisk, indexes: &BTreeMap<String, Vec<u8>>) -> bool {
    let found = files(disk, "index");
    for (name, bytes) in indexes {
        assert!(found.get(name).is_none_or(|found| found == bytes), "{name}");
    }
    indexes.keys().all(|name| found.contains_key(name))
}

#[test]
fn indexes_that_there_was_no_room_for_are_made_when_there_is() {
    for closes in [false, true] {
        let (disk, indexes) = without_indexes();
        disk.set_faults(full(0));
        let mut log = open(&disk, small()).unwrap();
        assert!(!has_all(&disk, &indexes));
        disk.set_faults(Faults::default());
        if closes { log.close().map(|_| ()) } else { log.flush() }.unwrap();
        disk.restart(1);
        assert!(has_all(&disk, &indexes), "closed: {closes}");
        let how = OpenLog { clean: true, recovery_point: Offset(40), ..OpenLog::default() };
        let mut log = open_how(&disk, small(), how).unwrap();
        assert_eq!(read_values(&mut log).len(), 40);
        // The flush leaves those of the segment that is written to the stop.
        assert_eq!(log.recovery().segments_scanned, usize::from(!closes));
    }
}

#[test]
fn a_flush_does_not_fail_for_want_of_room_for_them() {
    let mut times_later = 0;
    for bytes_free in (0..1_000).step_by(3) {
        let (disk, indexes) = without_indexes();
        disk.set_faults(full(0));
        let mut log = open(&disk, small()).unwrap();
        disk.set_faults(full(bytes_free));
        let Some(mut plan) = log.begin_flush().unwrap() else { panic!("names have changed") };
        if plan.write().is_err() {
            // Not even for the epochs.
            log.give_up_flush();
        } else {
            log.finish_flush(plan.sync().unwrap());
            assert_eq!(log.recovery_point(), Offset(40));
            times_later += i32::from(!has_all(&disk, &indexes));
        }
        disk.set_faults(Faults::default());
        log.close().unwrap();
        assert!(has_all(&disk, &indexes), "{bytes_free} bytes were free");
    }
    assert!(times_later > 20, "{times_later}");
}

#[test]
fn indexes_that_a_flush_leaves_out_are_made_by_the_next_one() {
    let (disk, indexes) = without_indexes();
    disk.set_faults(full(0));
    let mut log = open(&disk, small()).unwrap();
    disk.set_faults(Faults::default());
    let mut plan = log.begin_flush().unwrap().expect("names have changed");
    plan.leave_out_indexes();
    plan.write().unwrap();
    log.finish_flush(plan.sync().unwrap());
    assert!(!has_all(&disk, &indexes));
    records(1).append(&mut log).unwrap();
    log.flush().unwrap();
    assert!(has_all(&disk, &indexes));
}
