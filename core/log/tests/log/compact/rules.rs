//! Which records stay, how far a clean goes, and when it is due.

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    CleanError, CleanMemory, DamageReason, ExpiryReason, Log, LogConfig, LogError, OpenLog, Origin,
    Pace,
};
use dohle_records::{BatchView, Codec, Compression, TimestampType};

use super::kit::*;
use crate::kit::*;

#[test]
fn the_last_record_of_each_key_stays_where_it_was() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    put(&mut log, &[("c", Some("1"))]);
    roll(&mut log);
    put(&mut log, &[("b", Some("2")), ("d", Some("1"))]);
    roll(&mut log);
    put(&mut log, &[("a", Some("3"))]);
    let before = folded(&mut log);
    let cleaned = clean(&mut log, NOW).unwrap();
    // What the open segment says is not known to the clean.
    assert_eq!(offsets(&mut log), [2, 3, 4, 5, 6]);
    assert_eq!(cleaned.end(), Offset(6));
    assert_eq!((log.cleaned_to(), log.segment_count()), (Offset(6), 2));
    assert_eq!((cleaned.stats().records, cleaned.stats().records_kept), (6, 4));
    assert_eq!(folded(&mut log), before);
    goes_on(&mut log);
}

#[test]
fn a_batch_keeps_its_range_codec_producer_and_times() {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    for codec in codecs {
        let (_disk, mut log) = empty(compacted());
        let by = By {
            producer: producer(4, 2, 7),
            compression: Compression::from(codec),
            timestamp: Timestamp(NOW.0 - 77),
            ..By::default()
        };
        // A producer begins at any sequence number in a new epoch only if it is 0 or unknown.
        let by = By { producer: producer(4, 2, 0), ..by };
        put_by(&mut log, by, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
        roll(&mut log);
        put(&mut log, &[("a", Some("2")), ("c", Some("2"))]);
        roll(&mut log);
        clean(&mut log, NOW).unwrap();
        let batches = read_all(&mut log);
        let first = BatchView::parse(&batches[0]).unwrap();
        assert_eq!((first.base_offset(), first.last_offset()), (Offset(0), Offset(2)));
        assert_eq!(first.attributes().codec(), Some(codec));
        assert_eq!(first.producer(), Some(producer(4, 2, 0)));
        assert_eq!((first.last_sequence(), first.record_count()), (2, 1));
        assert_eq!(first.partition_leader_epoch(), EPOCH);
        assert_eq!(first.max_timestamp(), Timestamp(NOW.0 - 77));
        let kept = stored(&mut log);
        assert_eq!((kept[0].offset, kept[0].timestamp), (1, NOW.0 - 77), "{codec:?}");
    }
}

#[test]
fn with_the_logs_own_clock_times_stay_the_batchs() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppend, ..compacted() };
    let (_disk, mut log) = empty(config);
    let by = By { timestamp: Timestamp(5), ..By::default() };
    put_by(&mut log, by, &[("a", Some("1")), ("b", None)]);
    roll(&mut log);
    put_by(&mut log, by, &[("a", Some("2"))]);
    roll(&mut log);
    clean(&mut log, later(3)).unwrap();
    let batches = read_all(&mut log);
    let first = BatchView::parse(&batches[0]).unwrap();
    assert_eq!(first.attributes().timestamp_type(), TimestampType::LogAppend);
    assert_eq!(first.delete_horizon(), Some(later(3 + RETENTION)));
    assert_eq!(first.max_timestamp(), NOW);
    assert_eq!(stored(&mut log)[0].timestamp, NOW.0);
    let found = log.offset_for_timestamp(NOW).unwrap().unwrap();
    assert_eq!((found.offset, found.timestamp), (Offset(1), NOW));
}

#[test]
fn a_tombstone_stays_until_it_has_been_clean_for_long_enough() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
    put(&mut log, &[("a", None)]);
    roll(&mut log);
    put(&mut log, &[("x", Some("1"))]);
    // Its age before the first clean does not count.
    let first = later(100 * RETENTION);
    clean(&mut log, first).unwrap();
    assert_eq!(offsets(&mut log), [1, 2, 3]);
    let kept = stored(&mut log)[1].clone();
    assert_eq!((kept.value, kept.timestamp), (None, NOW.0), "its time is its own still");

    let mut next_clean = |now: i64| {
        put(&mut log, &[("x", Some("2"))]);
        roll(&mut log);
        clean(&mut log, Timestamp(now)).unwrap();
        offsets(&mut log).contains(&2)
    };
    assert!(next_clean(first.0 + RETENTION - 1), "dropped too early");
    assert!(!next_clean(first.0 + RETENTION), "kept for ever");
    assert_eq!(folded(&mut log).len(), 2);
}

#[test]
fn nothing_is_cleaned_from_the_limit_on() {
    let build = || {
        let (disk, mut log) = empty(compacted());
        for _ in 0..4 {
            put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
            roll(&mut log);
        }
        (disk, log)
    };
    // (high watermark, up to where it is cleaned, what stays)
    let rows: [(i64, Option<i64>, &[i64]); 6] = [
        (8, Some(8), &[6, 7]),
        (7, Some(6), &[4, 5, 6, 7]),
        (4, Some(4), &[2, 3, 4, 5, 6, 7]),
        (3, Some(2), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (1, None, &[0, 1, 2, 3, 4, 5, 6, 7]),
        (0, None, &[0, 1, 2, 3, 4, 5, 6, 7]),
    ];
    for (high_watermark, end, expected) in rows {
        let (_disk, mut log) = build();
        let cleaned = clean_with(&mut log, Offset(high_watermark), NOW, MEMORY).unwrap();
        assert_eq!(cleaned.map(|cleaned| cleaned.end()), end.map(Offset), "{high_watermark}");
        assert_eq!(offsets(&mut log), expected, "{high_watermark}");
    }
}

#[test]
fn nothing_is_cleaned_that_a_power_cut_could_take() {
    let (disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1"))]);
    roll(&mut log);
    log.flush().unwrap();
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    let plan = log.begin_clean(Offset(2), Offset(i64::MAX), NOW).unwrap().unwrap();
    let cleaning = plan.index(MEMORY, &mut |_| true).unwrap();
    assert_eq!(cleaning.finish().end(), Offset(1));
    drop(log);
    disk.restart(0);
    let mut log = open(&disk, compacted()).unwrap();
    assert_eq!(folded(&mut log).get("a").map(String::as_str), Some("1"));
}

#[test]
fn young_segments_wait_and_old_ones_are_due_at_once() {
    let config = LogConfig {
        compaction_lag_ms_min: 100,
        compaction_lag_ms_max: 1_000,
        cleanable_ratio_min: 1.0,
        ..compacted()
    };
    let (_disk, mut log) = empty(config.clone());
    for step in 0..3 {
        let by = By { timestamp: later(step * 10), ..By::default() };
        put_by(&mut log, by, &[("a", Some("1"))]);
        roll(&mut log);
    }
    // (now, the limit, whether it is due, when to look again)
    let rows = [
        (50, 0, false, Some(100)),
        (99, 0, false, Some(100)),
        (100, 1, false, Some(110)),
        (110, 2, false, Some(120)),
        (120, 3, false, Some(1_001)),
        (1_000, 3, false, Some(1_001)),
        (1_001, 3, true, None),
    ];
    for (now, limit, is_due, next) in rows {
        let dirt = log.dirtiness(Offset(3), later(now)).unwrap();
        assert_eq!((dirt.first_dirty, dirt.limit), (Offset(0), Offset(limit)), "{now}");
        assert_eq!(dirt.is_due(&config), is_due, "{now}");
        assert_eq!(dirt.next_change, next.map(later), "{now}");
    }
    clean(&mut log, later(100)).unwrap();
    assert_eq!(offsets(&mut log), [0, 1, 2], "one segment, one key, one record");
    clean(&mut log, later(120)).unwrap();
    assert_eq!(offsets(&mut log), [2]);
}

/// Not from the start of the process, or they would wait anew at each.
#[test]
fn segments_without_times_wait_from_the_last_change_of_their_files() {
    const LAG: i64 = 100;
    let config = LogConfig { compaction_lag_ms_min: LAG, ..compacted() };
    let (disk, mut log) = empty(config.clone());
    disk.set_now(later(-2 * LAG));
    let by = By { timestamp: Timestamp::NONE, ..By::default() };
    put_by(&mut log, by, &[("a", Some("1"))]);
    roll(&mut log);
    disk.set_now(later(-LAG + 1));
    put_by(&mut log, by, &[("a", Some("2"))]);
    roll(&mut log);
    let end = log.close().unwrap();
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let mut log = open_how(&disk, config, how).unwrap();
    let dirt = log.dirtiness(end, NOW).unwrap();
    assert_eq!((dirt.limit, dirt.next_change), (Offset(1), Some(later(1))));
    assert_eq!(log.dirtiness(end, later(1)).unwrap().limit, Offset(2));
}

#[test]
fn a_log_is_due_when_enough_of_it_is_dirty() {
    let (_disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
    roll(&mut log);
    clean(&mut log, NOW).unwrap();
    let due = |log: &mut dohle_log::Log<_>| {
        let end = log.log_end_offset();
        let dirt = log.dirtiness(end, NOW).unwrap();
        (dirt.clean_bytes, dirt.cleanable_bytes, dirt.is_due(&compacted()))
    };
    let (clean_bytes, cleanable_bytes, is_due) = due(&mut log);
    assert_eq!((cleanable_bytes, is_due), (0, false));
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
    assert_eq!(due(&mut log), (clean_bytes, 0, false), "the open segment does not count");
    roll(&mut log);
    assert_eq!(due(&mut log), (clean_bytes, clean_bytes, false), "more than half, not half");
    put(&mut log, &[("a", Some("1"))]);
    roll(&mut log);
    assert!(due(&mut log).2);
}

#[test]
fn a_map_that_is_full_ends_the_clean_where_it_was_full() {
    let memory = CleanMemory { map_bytes: 4 * 24, load_factor: 0.75, io_bytes: 0 };
    let (_disk, mut log) = empty(LogConfig { segment_bytes_max: 200, ..compacted() });
    for round in 0..3 {
        for key in ["a", "b", "c", "d", "e"] {
            put(&mut log, &[(key, Some("1")), (key, Some(&format!("{round}")))]);
        }
    }
    roll(&mut log);
    let before = folded(&mut log);
    let mut ends = Vec::new();
    let mut log_end = log.log_end_offset();
    while let Some(cleaned) = clean_with(&mut log, log_end, NOW, memory).unwrap() {
        ends.push(cleaned.end().0);
        assert_eq!(folded(&mut log), before);
        log_end = log.log_end_offset();
    }
    // Three keys a pass; the next key begins the next one.
    assert_eq!(ends, [6, 12, 18, 24, 30]);
    assert_eq!(offsets(&mut log), [21, 23, 25, 27, 29]);
}

#[test]
fn a_checkpoint_that_cannot_be_true_counts_as_none() {
    let (disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1"))]);
    roll(&mut log);
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    log.flush().unwrap();
    drop(log);
    // (checkpoint, first dirty offset)
    for (cleaned_to, first_dirty) in [(0, 0), (1, 1), (2, 2), (3, 0), (-7, 0), (i64::MAX, 0)] {
        let disk = disk.fork();
        let how = OpenLog { cleaned_to: Offset(cleaned_to), ..OpenLog::default() };
        let mut log = open_how(&disk, compacted(), how).unwrap();
        let dirt = log.dirtiness(Offset(2), NOW).unwrap();
        assert_eq!(dirt.first_dirty, Offset(first_dirty), "{cleaned_to}");
    }
}

#[test]
fn damage_is_told_with_its_place_and_nothing_changes() {
    let (disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("a", Some("2"))]);
    roll(&mut log);
    put(&mut log, &[("b", Some("2"))]);
    log.flush().unwrap();
    let path = std::path::PathBuf::from(DIR).join("00000000000000000000.log");
    let bytes = disk.peek(&path).unwrap();
    let second = BatchView::parse(&bytes).unwrap().size();
    let at = |index: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[index] = value;
        bytes
    };
    // (what is written over the file, where it is wrong)
    let rows = [
        (at(second + 66, 0xff), second, "a value"),
        (at(second + 16, 9), second, "the magic"),
        (at(second + 8, 0x7f), second, "the length"),
        (at(second + 60, 99), second, "the count"),
        (at(second + 7, 0), second, "the offset"),
        (at(22, 6), 0, "the codec"),
    ];
    for (damaged, position, what) in rows {
        let disk = disk.fork();
        disk.plant(&path, &damaged);
        let how = OpenLog { clean: true, recovery_point: Offset(3), ..OpenLog::default() };
        let mut log = open_how(&disk, compacted(), how).unwrap();
        let listed = |disk: &dohle_log::sim::SimDisk| {
            use dohle_log::Disk;
            disk.list(std::path::Path::new(DIR)).unwrap()
        };
        let before = listed(&disk);
        let error = clean_with(&mut log, Offset(3), NOW, MEMORY).unwrap_err();
        let CleanError::Log(LogError::Corrupt(corruption)) = error else {
            panic!("{what}: {error}")
        };
        assert_eq!((&corruption.path, corruption.position), (&path, position as u64), "{what}");
        assert_eq!(disk.peek(&path).unwrap(), damaged, "{what}");
        assert_eq!(listed(&disk), before, "{what}");
        assert_eq!(log.cleaned_to(), Offset(0), "{what}");
    }
}

/// A client made it so, before the topic was compacted: the checksum is right.
#[test]
fn a_batch_whose_records_cannot_be_read_stays_and_holds_up_nothing() {
    // (what is wrong, which byte of the batch, what it becomes)
    let rows = [
        ("a record longer than its batch", 61, 0x7e),
        ("the second record", 70, 0x7e),
        ("no stream of its codec", 22, 1),
    ];
    for (what, index, value) in rows {
        let (_disk, mut log) = empty(LogConfig { compacted: false, ..compacted() });
        put(&mut log, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
        let two = [("a", Some("2")), ("b", Some("2"))];
        let mut broken = batch_by(By::default(), &two).to_vec();
        assert_ne!(broken[index], value, "{what}");
        broken[index] = value;
        let crc = crc32c::crc32c(&broken[21..]);
        broken[17..21].copy_from_slice(&crc.to_be_bytes());
        log.append_as_leader(&broken, EPOCH, Origin::Client, NOW).unwrap();
        put(&mut log, &[("c", Some("3"))]);
        roll(&mut log);
        log.set_config(compacted());
        let cleaned = clean(&mut log, NOW).unwrap();
        assert_eq!((cleaned.stats().unreadable, cleaned.end()), (1, Offset(6)), "{what}");
        // What it would stand for stays, too.
        let left = read_all(&mut log);
        let counts = left.iter().map(|batch| BatchView::parse(batch).unwrap().record_count());
        assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 1], "{what}");
        assert_eq!(left[1][16..], broken[16..], "{what}");
    }
}

#[test]
fn look_ups_by_offset_and_time_find_what_is_left() {
    let (_disk, mut log) = empty(LogConfig { segment_bytes_max: 4_000, ..compacted() });
    for index in 0..200 {
        let by = By { timestamp: later(index), ..By::default() };
        put_by(&mut log, by, &[(&format!("key {}", index % 50), Some("a value"))]);
    }
    roll(&mut log);
    clean(&mut log, NOW).unwrap();
    assert_eq!(offsets(&mut log), (150..200).collect::<Vec<_>>());
    assert_eq!((log.first_base_offset(), log.log_start_offset()), (Offset(0), Offset(0)));
    for index in 0..200_i64 {
        let found = log.offset_for_timestamp(later(index)).unwrap().unwrap();
        assert_eq!(found.offset, Offset(index.max(150)), "{index}");
        let range = dohle_log::ReadRange {
            from: Offset(index),
            up_to: Offset(200),
            size_max: 1,
            at_least_one: true,
        };
        let slice = log.read(range).unwrap().unwrap();
        assert_eq!(slice.base_offset, Offset(index.max(150)), "{index}");
    }
    assert_eq!(log.max_timestamp().unwrap().unwrap().offset, Offset(199));
}

#[test]
fn epochs_are_as_they_were() {
    let (_disk, mut log) = empty(compacted());
    for epoch in 0..3 {
        let batch = records(2).bytes();
        log.append_as_leader(&batch, LeaderEpoch(epoch), Origin::Client, NOW).unwrap();
        roll(&mut log);
    }
    let epochs = log.epochs().to_vec();
    clean(&mut log, NOW).unwrap();
    assert_eq!(offsets(&mut log), [5]);
    assert_eq!(log.epochs(), epochs);
}

#[test]
fn what_does_not_fit_a_segment_any_more_begins_another() {
    let wide = LogConfig { segment_bytes_max: 10_000, index_interval_bytes: 0, ..compacted() };
    let (disk, mut log) = empty(wide.clone());
    for index in 0..40 {
        put(&mut log, &[(&format!("{}", index % 30), Some("a value"))]);
    }
    roll(&mut log);
    let before = folded(&mut log);
    // Eight entries in each index, and one more that closes that of times.
    let narrow = LogConfig { segment_index_bytes_max: 64, ..wide };
    log.set_config(narrow.clone());
    clean(&mut log, NOW).unwrap();
    assert!(log.segment_count() > 3, "{}", log.segment_count());
    assert_eq!(offsets(&mut log), (10..40).collect::<Vec<_>>());
    assert_eq!(folded(&mut log), before);
    let end = log.close().unwrap();
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let mut log = open_how(&disk, narrow, how).unwrap();
    assert_eq!(folded(&mut log), before);
    for offset in 0..40 {
        let range = dohle_log::ReadRange {
            from: Offset(offset),
            up_to: end,
            size_max: 1,
            at_least_one: true,
        };
        let slice = log.read(range).unwrap().unwrap();
        assert_eq!(slice.base_offset, Offset(offset.max(10)));
    }
}

#[test]
fn a_gap_that_a_clean_left_is_none_when_the_policy_changes() {
    let (disk, mut log) = empty(compacted());
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("b", Some(&"x".repeat(300)))]);
    put(&mut log, &[("b", Some("2"))]);
    roll(&mut log);
    put(&mut log, &[("c", Some(&"x".repeat(300)))]);
    put(&mut log, &[("b", Some("3"))]);
    roll(&mut log);
    put(&mut log, &[("d", Some("1"))]);
    clean(&mut log, NOW).unwrap();
    log.flush().unwrap();
    let cleaned_to = log.cleaned_to();
    drop(log);
    disk.restart(0);
    let deleted = LogConfig { compacted: false, ..compacted() };
    let how = OpenLog { cleaned_to, ..OpenLog::default() };
    let mut log = open_how(&disk.fork(), deleted.clone(), how).unwrap();
    assert_eq!(offsets(&mut log), [0, 3, 4, 5]);
    // Where nothing was cleaned a gap is a loss.
    let error = open(&disk, deleted).unwrap_err();
    let LogError::Corrupt(corruption) = error else { panic!("{error}") };
    assert!(matches!(corruption.reason, DamageReason::Gap { .. }), "{corruption}");
}

/// `cleanup.policy=compact,delete`: whichever comes first takes a record.
#[test]
fn old_segments_go_by_their_age_and_the_rest_is_compacted() {
    let config = LogConfig { retention_ms_max: Some(1_000), ..compacted() };
    let (disk, mut log) = empty(config.clone());
    // So large that no two segments become one.
    let large = "x".repeat(250);
    let at = |ms| By { timestamp: later(ms), ..By::default() };
    put_by(&mut log, at(0), &[("a", Some("1")), ("old", Some(&large))]);
    roll(&mut log);
    put_by(&mut log, at(600), &[("a", Some("2")), ("b", Some("1")), ("kept", Some(&large))]);
    roll(&mut log);
    put_by(&mut log, at(700), &[("b", Some("2")), ("new", Some(&large))]);
    roll(&mut log);
    put_by(&mut log, at(800), &[("c", Some("1"))]);
    let expire = |log: &mut _, now| {
        let mut reasons = Vec::new();
        let high_watermark = Log::log_end_offset(log);
        while let Some(expired) = log.remove_expired(high_watermark, later(now)).unwrap() {
            reasons.push((expired.base.0, expired.reason));
        }
        reasons
    };

    assert_eq!(clean(&mut log, later(800)).unwrap().end(), Offset(7));
    assert_eq!(offsets(&mut log), [1, 2, 4, 5, 6, 7]);
    assert_eq!(expire(&mut log, 1_000), [], "nothing is older than that");
    let too_old = |ms| ExpiryReason::Time { youngest: later(ms) };
    assert_eq!(expire(&mut log, 1_001), [(0, too_old(0))]);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(2), Offset(8)));
    assert_eq!(offsets(&mut log), [2, 4, 5, 6, 7]);

    // What is left is compacted on, beside a segment that goes meanwhile.
    put_by(&mut log, at(900), &[("b", Some("3")), ("a", None), ("new", Some(&large))]);
    roll(&mut log);
    put_by(&mut log, at(900), &[("c", Some("2"))]);
    log.flush().unwrap();
    let go: &mut Pace<'_> = &mut |_| true;
    let plan =
        log.begin_clean(log.log_end_offset(), Offset(i64::MAX), later(1_500)).unwrap().unwrap();
    let mut cleaning = plan.index(MEMORY, go).unwrap();
    let replacement = cleaning.next(go).unwrap().unwrap();
    assert_eq!(expire(&mut log, 1_601), [(2, too_old(600))]);
    assert!(!log.swap_in(replacement, later(1_601)).unwrap(), "its segment is gone");
    clean(&mut log, later(1_601)).unwrap();
    assert_eq!(log.log_start_offset(), Offset(5));
    let left = [("b", "3"), ("c", "2"), ("new", large.as_str())];
    let left = left.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(folded(&mut log), left);
    // The open segment has not been looked at, and the tombstone has its time.
    assert_eq!(offsets(&mut log), [7, 8, 9, 10, 11]);

    log.flush().unwrap();
    let (start, cleaned_to) = (log.log_start_offset(), log.cleaned_to());
    drop(log);
    disk.restart(0);
    let how = OpenLog { cleaned_to, log_start: start, ..OpenLog::default() };
    let mut log = open_how(&disk, config, how).unwrap();
    assert_eq!(log.log_start_offset(), start);
    assert_eq!(folded(&mut log), left);
    assert!(!expire(&mut log, 1_000_000).is_empty());
    assert_eq!(folded(&mut log), Default::default(), "in the end everything is too old");
    goes_on(&mut log);
}
