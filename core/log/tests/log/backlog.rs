//! What it costs to read what was written long ago.
//!
//! Method: the disk counts what is opened and read.

use std::path::Path;

use dohle_base::Offset;
use dohle_log::{Log, LogConfig, OpenLog, ReadRange, sim::SimDisk};
use dohle_records::{BatchView, split_batches};

use crate::kit::*;

/// Segments whose indexes are longer than what a look-up reads at once.
fn long() -> LogConfig {
    LogConfig { segment_bytes_max: 150_000, index_interval_bytes: 100, ..LogConfig::default() }
}

/// A log with so many sealed segments, flushed, and none of its files open.
fn backlog(segments: usize) -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(long());
    while log.segment_count() <= segments {
        records(1).append(&mut log).unwrap();
    }
    log.flush().unwrap();
    log.release_files();
    (disk, log)
}

/// Reads a batch or two from `from` on, and says where to go on.
fn read_on(log: &mut Log<SimDisk>, from: Offset, up_to: Offset) -> Offset {
    let range = ReadRange { from, up_to, size_max: 200, at_least_one: true };
    let slice = log.read(range).unwrap().unwrap();
    let bytes = slice.read().unwrap();
    let first = BatchView::parse(&bytes).unwrap();
    assert!(first.base_offset() <= from && from < first.next_offset());
    first.next_offset()
}

/// A batch of two records with values of so many bytes.
fn pair(size: usize) -> Spec {
    Spec { values: vec!["x".repeat(size); 2], ..records(2) }
}

#[test]
fn who_reads_on_looks_at_no_index_again() {
    let (disk, mut log) = backlog(3);
    let (mut from, up_to, mut fetches) = (Offset::ZERO, log.active_base_offset(), 0);
    let (opens, reads) = (disk.opens(), disk.reads());
    while from < up_to {
        from = read_on(&mut log, from, up_to);
        fetches += 1;
    }
    let (opens, reads) = (disk.opens() - opens, disk.reads() - reads);
    assert!(fetches > 4_000, "{fetches}");
    // An index for each hundred fetches, a log for each segment.
    assert!(opens < fetches / 100, "{opens} files opened for {fetches} fetches");
    // One for the batch itself and one for the heads before it.
    assert!(reads < fetches * 21 / 10, "{reads} reads for {fetches} fetches");
}

#[test]
fn a_long_batch_is_found_by_its_own_entry() {
    // Of one segment that is written, and of several.
    for segment_bytes_max in [1 << 30, 900_000] {
        let (disk, mut log) = empty(LogConfig { segment_bytes_max, ..LogConfig::default() });
        // More than a log remembers, and now and then a few that are short.
        for number in 0..300 {
            let size = if number % 50 < 4 { 50 } else { 4_500 };
            pair(size).append(&mut log).unwrap();
        }
        let end = log.log_end_offset();
        for begins_with in [0, 1] {
            let before = disk.reads();
            for from in (begins_with..end.0).step_by(2) {
                let next = read_on(&mut log, Offset(from), end);
                assert_eq!(next, Offset(from + 2 - begins_with));
            }
            let reads = disk.reads() - before;
            // The batches themselves, a head of those that are not remembered, two of some, and now and then
            // an index.
            assert!(reads < 300 + 236 * 13 / 10, "{reads} in segments of {segment_bytes_max}");
        }
    }
}

#[test]
fn an_entry_that_leads_astray_costs_no_truth() {
    let config = LogConfig { segment_bytes_max: 200_000, ..LogConfig::default() };
    let (disk, mut log) = empty(config.clone());
    while log.segment_count() < 3 {
        pair(4_500).append(&mut log).unwrap();
    }
    let how = OpenLog { clean: true, recovery_point: log.close().unwrap(), ..OpenLog::default() };
    let path = Path::new(DIR).join("00000000000000000000.index");
    let good = disk.peek(&path).unwrap();
    let values = {
        let mut log = open_how(&disk, config.clone(), how).unwrap();
        read_values(&mut log)
    };
    // The position of one entry after the other is that of a later batch, of an earlier one, or of none.
    for at in (4..good.len()).step_by(8) {
        for position in [&good[good.len() - 4..], &good[4..8], &[0, 0, 0, 7], &[0x7F, 0, 0, 0]] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(position);
            disk.plant(&path, &bad);
            let mut log = open_how(&disk, config.clone(), how).unwrap();
            assert_eq!(read_values(&mut log), values, "{at}: {position:?}");
            let up_to = log.active_base_offset();
            for from in (0..up_to.0).rev() {
                read_on(&mut log, Offset(from), up_to);
            }
        }
    }
}

#[test]
fn a_place_in_a_long_index_is_found_in_one_read_or_two() {
    let (disk, mut log) = backlog(2);
    for from in (0..log.active_base_offset().0).rev().step_by(97) {
        log.release_files();
        let (opens, reads) = (disk.opens(), disk.reads());
        read_on(&mut log, Offset(from), Offset(i64::MAX));
        // The index and the segment; and of the latter some heads and the batch.
        assert!(disk.opens() - opens <= 2, "{from}");
        assert!(disk.reads() - reads <= 4, "{} reads from {from}", disk.reads() - reads);
    }
}

#[test]
fn records_that_may_be_read_beyond_a_segment_are_not_looked_for_in_it() {
    let (disk, mut log) = backlog(2);
    let up_to = log.active_base_offset();
    assert!(up_to < log.log_end_offset());
    let mut reads_up_to = |up_to| {
        log.release_files();
        let before = disk.reads();
        let range = ReadRange { from: Offset(5), up_to, size_max: 200, at_least_one: true };
        let slice = log.read(range).unwrap().unwrap();
        (disk.reads() - before, slice.size)
    };
    assert_eq!(reads_up_to(up_to), reads_up_to(Offset(i64::MAX)));
}

#[test]
fn readers_in_different_segments_do_not_close_each_others_files() {
    let (disk, mut log) = backlog(3);
    let step = log.active_base_offset().0 / 3;
    let mut readers = [10, 10 + step, 10 + 2 * step].map(Offset);
    let mut opens = 0;
    for round in 0..50 {
        if round == 1 {
            opens = disk.opens();
        }
        for from in &mut readers {
            *from = read_on(&mut log, *from, Offset(i64::MAX));
        }
    }
    assert_eq!(disk.opens(), opens, "files opened by who reads on");
}

#[test]
fn a_reader_does_not_close_what_waits_for_a_flush() {
    let (_disk, mut log) = backlog(6);
    records(3).append(&mut log).unwrap();
    log.roll(NOW).unwrap();
    records(3).append(&mut log).unwrap();
    let up_to = log.active_base_offset();
    // A reader passes through all of them, the one that was rolled just now included, and again.
    for _ in 0..2 {
        let mut from = Offset::ZERO;
        while from < up_to {
            let range = ReadRange { from, up_to, size_max: usize::MAX, at_least_one: true };
            let slice = log.read(range).unwrap().unwrap();
            let bytes = slice.read().unwrap();
            from = split_batches(&bytes).unwrap().last().unwrap().view().next_offset();
        }
    }
    let plan = log.begin_flush().unwrap().unwrap();
    assert!(!plan.needs_volume(), "a read has closed a file that is not flushed");
    let done = plan.run().unwrap();
    log.finish_flush(done);
}

#[test]
fn what_was_kept_of_an_index_is_forgotten_with_the_segment() {
    let (disk, mut log) = backlog(2);
    let cut = Offset(log.active_base_offset().0 / 2 + 700);
    read_on(&mut log, Offset(cut.0 - 20), Offset(i64::MAX));
    log.truncate_to(cut, NOW).unwrap();
    // Others take their place, of another size.
    while log.segment_count() < 4 {
        records(3).append(&mut log).unwrap();
    }
    let values = read_values(&mut log);
    assert_eq!(values.len() as i64, log.log_end_offset().0);
    let mut from = cut;
    while from < log.active_base_offset() {
        from = read_on(&mut log, from, Offset(i64::MAX));
    }
    let how = OpenLog { clean: true, recovery_point: log.close().unwrap(), ..OpenLog::default() };
    let mut log = open_how(&disk, long(), how).unwrap();
    assert_eq!(read_values(&mut log), values);
}
