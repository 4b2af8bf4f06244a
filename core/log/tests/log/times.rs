//! What the index of a segment's times tells is true of its batches: it gets to the disk, and where it
//! is short or damaged it is not believed.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dohle_base::{Offset, Timestamp};
use dohle_log::{Log, LogConfig, OpenLog, Origin, TimeSearch, sim::SimDisk};
use dohle_records::{BatchBuilder, BatchSpec, Codec, NewRecord};

use crate::kit::*;

const MINUTE: i64 = 60_000;

/// Batches in a segment.
const COUNT: i64 = 12;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes_max: 1 << 20,
        index_interval_bytes: 100,
        retention_ms_max: Some(60 * MINUTE),
        timestamp_after_ms_max: i64::MAX,
        ..LogConfig::default()
    }
}

fn index(extension: &str) -> PathBuf {
    Path::new(DIR).join(format!("00000000000000000000.{extension}"))
}

/// A time so many minutes behind all that others have.
fn at(minute: i64) -> Timestamp {
    Timestamp(NOW.0 + minute * MINUTE)
}

fn append(log: &mut Log<SimDisk>, minute: i64) {
    records(1).at(at(minute).0).append(log).unwrap();
}

/// A segment whose records are a minute apart, flushed, and one behind it that is begun.
fn two_segments() -> (SimDisk, Log<SimDisk>) {
    let (disk, mut log) = empty(config());
    (0..COUNT).for_each(|minute| append(&mut log, minute));
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), log.log_end_offset());
    log.roll(NOW).unwrap();
    append(&mut log, COUNT);
    (disk, log)
}

/// All that there is of the two segments' first index files.
fn indexes(disk: &SimDisk) -> [Vec<u8>; 2] {
    ["index", "timeindex"].map(|kind| disk.peek(&index(kind)).unwrap_or_default())
}

#[test]
fn the_indexes_of_a_segment_that_is_sealed_after_its_flush_are_synced_by_the_next() {
    // A flush, a stop, and the flush of a process that found them.
    let ends: [fn(SimDisk, Log<SimDisk>); 3] = [
        |_, mut log| log.flush().unwrap(),
        |_, log| assert_eq!(log.close(), Ok(Offset(COUNT + 1))),
        |disk, log| {
            let recovery_point = log.recovery_point();
            disk.kill();
            let how = OpenLog { recovery_point, ..OpenLog::default() };
            open_how(&disk, config(), how).unwrap().flush().unwrap();
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let (disk, log) = two_segments();
        let whole = indexes(&disk);
        assert!(whole.iter().all(|bytes| bytes.len() >= 40), "{whole:?}");
        end(disk.clone(), log);
        disk.restart(0);
        assert!(indexes(&disk) == whole, "{number}: {:?}", indexes(&disk));
    }
}

/// What becomes of a file of times, and what it is called.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGE: [Damage; 6] = [
    ("nothing left", Vec::clear),
    ("two entries left", |bytes| bytes.truncate(24)),
    ("torn", |bytes| bytes.truncate(42)),
    ("zeros behind two entries", |bytes| bytes[24..].fill(0)),
    ("the last time flipped", |bytes| {
        let at = bytes.len() - 7;
        bytes[at] ^= 2;
    }),
    ("an offset too far ahead", |bytes| {
        let at = bytes.len() / 24 * 12 + 11;
        bytes[at] = COUNT as u8 - 1;
    }),
];

#[test]
fn an_index_of_times_that_is_short_or_damaged_is_not_believed_and_made_anew() {
    for (what, damage) in DAMAGE {
        let (disk, mut log) = two_segments();
        let end = log.log_end_offset();
        log.roll(NOW).unwrap();
        log.close().unwrap();
        let whole = indexes(&disk);
        let mut bytes = disk.peek(&index("timeindex")).unwrap();
        damage(&mut bytes);
        assert_ne!(bytes, whole[1], "{what}");
        disk.plant(&index("timeindex"), &bytes);
        let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
        let mut log = open_how(&disk, config(), how).unwrap();
        for minute in 0..=COUNT {
            let found = log.offset_for_timestamp(at(minute)).unwrap().map(|found| found.offset);
            assert_eq!(found, Some(Offset(minute)), "{what}: minute {minute}");
        }
        // Its last record is as old as it may be, and no older.
        let expired = log.remove_expired(end, at(COUNT - 1 + 60)).unwrap();
        assert_eq!(expired, None, "{what}");
        append(&mut log, COUNT + 1);
        log.flush().unwrap();
        if bytes.len() != whole[1].len() || what.starts_with("zeros") || what.contains("last time")
        {
            assert!(indexes(&disk) == whole, "{what} is not made anew: {:?}", indexes(&disk));
        }
        let expired = log.remove_expired(end, Timestamp(at(COUNT - 1 + 60).0 + 1)).unwrap();
        assert_eq!(expired.map(|expired| expired.end), Some(Offset(COUNT)), "{what}");
    }
}

/// Where times do not ascend, the end of an index may be missing and nothing at the segment's end says so.
#[test]
fn a_segment_whose_times_do_not_ascend_goes_by_its_batches() {
    let (disk, mut log) = empty(config());
    [10, 11, 12, 13, 90, 3, 2, 1].into_iter().for_each(|minute| append(&mut log, minute));
    log.roll(NOW).unwrap();
    append(&mut log, 7);
    let end = log.close().unwrap();
    let bytes = disk.peek(&index("timeindex")).unwrap();
    disk.plant(&index("timeindex"), &bytes[..12]);
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let mut log = open_how(&disk, config(), how).unwrap();
    assert_eq!(log.remove_expired(end, at(150)), Ok(None));
    assert!(log.remove_expired(end, Timestamp(at(150).0 + 1)).unwrap().is_some());
}

/// Compressed records, a minute apart, each of them large.
fn large(count: i64) -> Bytes {
    let spec = BatchSpec { compression: Codec::Zstd.into(), ..BatchSpec::default() };
    let mut builder = BatchBuilder::new(spec);
    for minute in 0..count {
        let (timestamp, value) = (at(minute), Some(&[7; 100_000][..]));
        builder.append(&NewRecord { timestamp, value, ..NewRecord::default() }).unwrap();
    }
    builder.finish()
}

#[test]
fn a_look_up_goes_into_a_batch_as_far_as_the_record() {
    let (_disk, mut log) = empty(LogConfig { decompressed_bytes_max: 350_000, ..config() });
    log.append_as_leader(&large(9), EPOCH, Origin::Client, NOW).unwrap();
    for minute in [0, 1, 2] {
        let found = log.offset_for_timestamp(at(minute)).unwrap().map(|found| found.offset);
        assert_eq!(found, Some(Offset(minute)), "minute {minute}");
    }
    // As if it could not be read.
    assert_eq!(log.offset_for_timestamp(at(8)).unwrap(), None);
}

#[test]
fn a_search_ends_soon_when_nobody_waits_for_it() {
    let (_disk, mut log) = empty(config());
    for _ in 0..3 {
        log.append_as_leader(&large(9), EPOCH, Origin::Client, NOW).unwrap();
    }
    let search = log.begin_time_search(at(8), Offset(0)).unwrap().unwrap();
    for asked_max in [0, 1, 5] {
        let asked = std::cell::Cell::new(0);
        let goes_on = || asked.replace(asked.get() + 1) < asked_max;
        search.run(goes_on).unwrap();
        // Before each batch and each record, and never again once that was a no.
        assert_eq!(asked.get(), asked_max + 1);
    }
}

#[test]
fn a_search_needs_no_log_and_knows_when_it_is_void() {
    let (_disk, mut log) = two_segments();
    let found = |search: &TimeSearch<_>| search.run(|| true).unwrap().map(|found| found.offset);
    let begin = |log: &mut Log<SimDisk>, minute| {
        let start = log.log_start_offset();
        log.begin_time_search(at(minute), start).unwrap().unwrap()
    };
    let (early, late) = (begin(&mut log, 3), begin(&mut log, COUNT));
    assert_eq!((early.next(), late.next()), (Some(Offset(COUNT)), None));
    // More records, and fewer, where they are not cut off.
    append(&mut log, 1);
    log.advance_log_start(Offset(COUNT)).unwrap();
    log.remove_old_segments(NOW).unwrap();
    assert_eq!((found(&early), found(&late)), (Some(Offset(3)), Some(Offset(COUNT))));
    assert!(log.is_current(&early) && log.is_current(&late));
    assert_eq!(log.begin_time_search(at(COUNT + 1), Offset(0)).unwrap().map(|_| ()), None);
    let newest = log.begin_newest_search().unwrap().unwrap();
    log.truncate_to(Offset(COUNT), NOW).unwrap();
    assert!(!log.is_current(&late) && !log.is_current(&newest));
}

/// With the records that lie before, enough that a flush saves the indexes.
fn append_much(log: &mut Log<SimDisk>, minute: i64) {
    records(1).at(at(minute).0).sized(1 << 20).append(log).unwrap();
}

/// The log after a kill, where all before `recovery_point` is known to be durable.
fn killed(disk: &SimDisk, log: Log<SimDisk>, recovery_point: Offset) -> Log<SimDisk> {
    drop(log);
    disk.kill();
    let how = OpenLog { recovery_point, ..OpenLog::default() };
    open_how(disk, one_segment(), how).unwrap()
}

fn one_segment() -> LogConfig {
    LogConfig { segment_bytes_max: 1 << 30, message_bytes_max: 2 << 20, ..config() }
}

fn assert_newest(log: &mut Log<SimDisk>, offset: i64, minute: i64) {
    let newest = log.max_timestamp().unwrap().map(|found| (found.offset, found.timestamp));
    assert_eq!(newest, Some((Offset(offset), at(minute))));
    let end = log.log_end_offset();
    assert_eq!(log.remove_expired(end, at(minute + 60)).unwrap(), None, "no older than it may be");
    assert!(log.remove_expired(end, Timestamp(at(minute + 60).0 + 1)).unwrap().is_some());
}

/// The two files are written one behind the other, and a power cut may come between.
#[test]
fn an_index_of_times_that_is_older_than_that_of_offsets_hides_no_time() {
    // What lies behind the last entry tells nothing new, be it as late as the entry that is left.
    for (lost, behind, is_cut) in
        [(false, 3, false), (false, 1, false), (true, 3, false), (false, 3, true), (false, 1, true)]
    {
        let (disk, mut log) = empty(one_segment());
        append(&mut log, 0);
        append_much(&mut log, 1);
        append(&mut log, 1);
        log.flush().unwrap();
        let old = disk.peek(&index("timeindex")).unwrap();
        assert!(!old.is_empty());
        [90, 3, 2, 4, behind, behind].into_iter().for_each(|minute| append(&mut log, minute));
        log.flush().unwrap();
        let recovery_point = log.recovery_point();
        let of_offsets = disk.peek(&index("index")).unwrap();
        append_much(&mut log, 4);
        log.flush().unwrap();
        assert_ne!(disk.peek(&index("timeindex")).unwrap(), old);
        assert_ne!(disk.peek(&index("index")).unwrap(), of_offsets);
        disk.plant(&index("timeindex"), if lost { &[] } else { &old });
        let mut log = killed(&disk, log, recovery_point);
        assert!(log.recovery().bytes_scanned < 2 << 20, "the other one is believed");
        if is_cut {
            log.truncate_to(Offset(9), NOW).unwrap();
        }
        assert_newest(&mut log, 3, 90);
    }
}

/// A cut leaves them in the files until they are saved anew.
#[test]
fn entries_of_batches_that_were_cut_hide_no_time() {
    for (cut, written) in [([20, 30, 40, 50, 60, 70], 5), ([1, 2, 3, 4, 5, 6], 90)] {
        let (disk, mut log) = empty(one_segment());
        append(&mut log, 0);
        cut.into_iter().for_each(|minute| append(&mut log, minute));
        append_much(&mut log, 0);
        log.flush().unwrap();
        let saved = disk.peek(&index("timeindex")).unwrap();
        log.truncate_to(Offset(1), NOW).unwrap();
        append(&mut log, written);
        (0..8).for_each(|_| append(&mut log, 1));
        log.flush().unwrap();
        assert_eq!(disk.peek(&index("timeindex")).unwrap(), saved, "they are there");
        let recovery_point = log.recovery_point();
        let mut log = killed(&disk, log, recovery_point);
        assert_newest(&mut log, 1, written);
    }
}

/// One record was ahead of all others, or they have one time.
#[test]
fn a_start_asks_no_more_batches_for_their_times_in_a_longer_segment() {
    let reads_of_a_start = |first, count| {
        let (disk, mut log) = empty(one_segment());
        append(&mut log, first);
        for _ in 0..count {
            records(1).at(at(1).0).sized(6_000).append(&mut log).unwrap();
        }
        log.flush().unwrap();
        let (recovery_point, before) = (log.recovery_point(), disk.reads());
        let mut log = killed(&disk, log, recovery_point);
        let reads = disk.reads() - before;
        assert_newest(&mut log, 0, first);
        reads
    };
    let (short, long) = (reads_of_a_start(90, 4_000), reads_of_a_start(90, 8_000));
    assert!(short > 1_000, "{short}: those before the last entry are asked");
    assert!(long < short + 100, "{long} for {short}");
    let of_one_time = reads_of_a_start(1, 8_000);
    assert!(of_one_time < 100, "{of_one_time}: they are asked once that matters");
}
