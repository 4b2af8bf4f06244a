//! A read finds what a linear search finds, wherever it starts and ends.

use std::path::Path;

use dohle_base::{Offset, Rng, Timestamp};
use dohle_log::{Disk, LogConfig, ReadError, ReadRange, Sought};
use dohle_records::{BatchView, split_batches};

use crate::kit::*;

fn range(from: i64, up_to: i64) -> ReadRange {
    let (from, up_to) = (Offset(from), Offset(up_to));
    ReadRange { from, up_to, size_max: usize::MAX, at_least_one: false }
}

#[test]
fn every_range_is_read_as_a_linear_search_would() {
    let (disk, mut log) = empty(small());
    let mut rng = Rng::from_seed(1);
    let mut batches = Vec::new();
    for _ in 0..60 {
        let appended = records(1 + rng.below(4) as usize).append(&mut log).unwrap();
        batches.push((appended.base_offset.0, appended.last_offset.0));
    }
    let end = log.log_end_offset().0;
    // Once with the index in memory and once with what a clean stop leaves on the disk.
    for _ in 0..2 {
        assert!(log.segment_count() > 3);
        let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
        let bases: Vec<i64> =
            names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
        assert_eq!(bases.len(), log.segment_count());
        for from in 0..end {
            for up_to in (from + 1)..=end {
                let within =
                    |(base, last): &(i64, i64)| *last >= from && *last < up_to && *base < up_to;
                let expected = batches.iter().copied().find(within);
                let starts = expected.filter(|(base, _)| *base <= from);
                let slice = log.read(range(from, up_to)).unwrap();
                let Some(slice) = slice else {
                    assert_eq!(starts, None, "{from}..{up_to}");
                    continue;
                };
                let bytes = slice.read().unwrap();
                let read = split_batches(&bytes).unwrap();
                let first = read[0].view();
                assert_eq!(Some((first.base_offset().0, first.last_offset().0)), starts);
                assert_eq!(
                    (slice.base_offset, slice.first_batch_size),
                    (first.base_offset(), first.size())
                );
                let mut later = bases.iter().filter(|base| **base > slice.base_offset.0);
                let goes_on = later.any(|base| *base < up_to);
                assert_eq!(slice.goes_on, goes_on, "{from}..{up_to}");
                let last = read.last().unwrap().view().last_offset().0;
                assert!(last < up_to, "{from}..{up_to}: {last}");
                let bound = log.bound_of(&slice).unwrap().0;
                assert!(last < bound && bound <= (last + 20).min(end), "{last} {bound}");
                let next = batches.iter().find(|(base, _)| *base == last + 1);
                let rolled = bytes.len() < slice.size || log.segment_count() > 1;
                assert!(next.is_none_or(|(_, next_last)| *next_last >= up_to) || rolled);
            }
        }
        let end = log.close().unwrap();
        let how = dohle_log::OpenLog { clean: true, recovery_point: end, ..Default::default() };
        log = open_how(&disk, small(), how).unwrap();
    }
}

#[test]
fn limits_are_kept_but_for_a_first_batch_that_must_be() {
    let (_disk, mut log) = empty(LogConfig::default());
    let size = records(3).append(&mut log).unwrap().size;
    records(3).append(&mut log).unwrap();
    let mut read = |size_max, at_least_one| {
        let range = ReadRange { size_max, at_least_one, ..range(0, 6) };
        log.read(range).unwrap().map(|slice| slice.size)
    };
    assert_eq!(read(size - 1, false), None);
    assert_eq!(read(size - 1, true), Some(size));
    assert_eq!(read(size + 5, false), Some(size + 5), "the second batch is cut off");
    assert_eq!(read(usize::MAX, false), Some(2 * size));
    assert_eq!(read(0, true), Some(size));
}

/// Who waits for more must know.
#[test]
fn a_batch_without_room_is_told_from_none_that_may_be_read() {
    let (_disk, mut log) = empty(LogConfig::default());
    records(3).append(&mut log).unwrap();
    // Compaction leaves such gaps.
    let behind = records(2).from(Offset(10), EPOCH);
    log.append_as_follower(&behind, EPOCH, NOW).unwrap();
    // (from, up to, whether there is one)
    for (from, up_to, is_there) in
        [(0, 12, true), (0, 2, false), (3, 10, false), (5, 8, false), (5, 11, false), (5, 12, true)]
    {
        let range = ReadRange { size_max: 10, ..range(from, up_to) };
        let had_no_room = matches!(log.seek(range).unwrap(), Sought::NoRoom);
        assert_eq!(had_no_room, is_there, "{from}..{up_to}");
        let is_found = log.read(ReadRange { at_least_one: true, ..range }).unwrap().is_some();
        assert_eq!(is_found, is_there, "{from}..{up_to}");
    }
}

#[test]
fn outside_the_log_is_an_error_and_its_end_is_not() {
    let (_disk, mut log) = empty(small());
    for _ in 0..30 {
        records(1).append(&mut log).unwrap();
    }
    log.advance_log_start(Offset(20)).unwrap();
    let out = |offset| ReadError::OutOfRange {
        offset: Offset(offset),
        start: Offset(20),
        end: Offset(30),
    };
    assert_eq!(log.read(range(19, 30)).unwrap_err(), out(19));
    assert_eq!(log.read(range(31, 40)).unwrap_err(), out(31));
    assert!(log.read(range(30, 30)).unwrap().is_none());
    assert!(log.read(range(25, 22)).unwrap().is_none());
    assert_eq!(log.read(range(20, 30)).unwrap().unwrap().base_offset, Offset(20));
    assert_eq!(log.read(range(20, 99)).unwrap().unwrap().base_offset, Offset(20));
}

#[test]
fn a_slice_outlives_its_segment() {
    let (_disk, mut log) = empty(small());
    for _ in 0..30 {
        records(1).append(&mut log).unwrap();
    }
    let slice = log.read(range(0, 30)).unwrap().unwrap();
    log.advance_log_start(Offset(25)).unwrap();
    assert!(log.remove_old_segments(NOW).unwrap() > 0);
    let bytes = slice.read().unwrap();
    assert_eq!(BatchView::parse(&bytes).unwrap().base_offset(), Offset(0));
}

#[test]
fn records_are_found_by_their_time() {
    let (disk, mut log) = empty(small());
    // Times go up in steps, with an early straggler now and then.
    let times = (0..80_i64).map(|i| if i % 7 == 3 { 1_000 } else { 1_000 + i / 3 * 10 });
    let times = times.collect::<Vec<_>>();
    for time in &times {
        records(2).at(*time).append(&mut log).unwrap();
    }
    // Once with the time index in memory, once as a clean stop leaves it, and once without it.
    for round in 0..3 {
        for wanted in [0, 1_000, 1_001, 1_010, 1_100, 1_255, 1_260, 1_261, 9_999] {
            let expected = times.iter().position(|time| *time >= wanted).map(|at| at as i64 * 2);
            let found = log.offset_for_timestamp(Timestamp(wanted)).unwrap();
            assert_eq!(found.map(|found| found.offset.0), expected, "{wanted}");
            assert!(found.is_none_or(|found| found.leader_epoch == EPOCH));
        }
        let newest = log.max_timestamp().unwrap().unwrap();
        let greatest = *times.iter().max().unwrap();
        let at = times.iter().position(|time| *time == greatest).unwrap() as i64 * 2;
        assert_eq!((newest.timestamp.0, newest.offset.0), (greatest, at));
        let end = log.close().unwrap();
        let files = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
        for name in files.filter(|name| round == 1 && name.ends_with(".timeindex")) {
            disk.remove(&Path::new(DIR).join(name)).unwrap();
        }
        let how = dohle_log::OpenLog { clean: true, recovery_point: end, ..Default::default() };
        log = open_how(&disk, small(), how).unwrap();
    }
    log.advance_log_start(Offset(100)).unwrap();
    let found = log.offset_for_timestamp(Timestamp(0)).unwrap().unwrap();
    assert_eq!(found.offset, Offset(100));
}

#[test]
fn idle_files_can_be_closed() {
    let (_disk, mut log) = empty(LogConfig::default());
    records(1).append(&mut log).unwrap();
    log.release_files();
    records(1).append(&mut log).unwrap();
    log.release_files();
    assert_eq!(read_values(&mut log).len(), 2);
}

/// Where who looks stops to ask whether to go on.
#[test]
fn heads_are_looked_through_up_to_the_batch_that_passes_the_bound() {
    let (_, mut log) = empty(LogConfig::default());
    let appended: Vec<_> = (0..3).map(|_| records(2).append(&mut log).unwrap()).collect();
    let slice = log.read(range(0, log.log_end_offset().0)).unwrap().unwrap();
    let size = slice.first_batch_size as u32;
    for (bytes_max, batch) in
        [(0, 0), (1, 0), (size, 0), (size + 1, 1), (2 * size, 1), (u32::MAX, 2)]
    {
        let end = slice.end_without_gap(Offset(0), bytes_max).unwrap();
        assert_eq!(end, Some(appended[batch].last_offset.next()), "{bytes_max}");
    }
}
