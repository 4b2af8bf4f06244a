//! What a leader appends gets offsets, is checked and is changed only as the topic wants it.

use std::path::Path;

use dohle_base::{LeaderEpoch, Offset, Timestamp};
use dohle_log::{
    AppendError, Appended, CompressionPolicy, Disk, Log, LogConfig, OpenLog, Origin, ProducerError,
    disk::Operation,
    sim::{Faults, SimDisk},
};
use dohle_records::{
    BatchError, BatchMut, BatchView, Codec, Compression, ControlError, MAGIC_V2, TimestampType,
};

use crate::kit::*;

type Expected = fn(&AppendError) -> bool;
type MakeBatch = fn(usize) -> Spec;

#[test]
fn offsets_and_epoch_are_assigned_and_nothing_else_changes() {
    let (disk, mut log) = empty(LogConfig::default());
    let sent = [records(3).bytes(), records(2).bytes()];
    let first = log.append_as_leader(&sent[0], LeaderEpoch(7), Origin::Client, NOW).unwrap();
    let second = log.append_as_leader(&sent[1], LeaderEpoch(7), Origin::Client, NOW).unwrap();
    assert_eq!((first.base_offset, first.last_offset), (Offset(0), Offset(2)));
    assert_eq!((second.base_offset, second.last_offset), (Offset(3), Offset(4)));
    assert_eq!(second.log_append_time, Timestamp::NONE);
    assert_eq!(log.log_end_offset(), Offset(5));
    let stored = read_all(&mut log);
    for (stored, sent) in stored.iter().zip(&sent) {
        let view = BatchView::parse(stored).unwrap();
        assert_eq!(view.partition_leader_epoch(), LeaderEpoch(7));
        assert_eq!(stored[17..], sent[17..]);
    }
    assert_eq!(log.size(), (sent[0].len() + sent[1].len()) as u64);
    // Opening made files; a batch costs one write and the first of an epoch its checkpoint.
    let before = disk.changes();
    log.append_as_leader(&sent[0], LeaderEpoch(7), Origin::Client, NOW).unwrap();
    assert_eq!(disk.changes() - before, 1);
}

#[test]
fn several_batches_of_a_coordinator_are_one_write() {
    let (disk, mut log) = empty(LogConfig::default());
    // The first append makes the file.
    records(1).append(&mut log).unwrap();
    let batches = [records(2).bytes(), records(1).bytes(), records(4).bytes()].concat();
    let before = disk.changes();
    let appended = log.append_as_leader(&batches, EPOCH, Origin::Coordinator, NOW).unwrap();
    assert_eq!(disk.changes() - before, 1);
    assert_eq!((appended.base_offset, appended.last_offset), (Offset(1), Offset(7)));
    assert_eq!(read_values(&mut log).len(), 8);
}

#[test]
fn what_a_client_may_not_send_is_refused_with_its_reason() {
    let config = LogConfig {
        message_bytes_max: 300,
        segment_bytes_max: 2_000,
        compacted: true,
        timestamp_before_ms_max: 1_000,
        timestamp_after_ms_max: 500,
        ..LogConfig::default()
    };
    let (_disk, mut log) = empty(config);
    let good = records(1).bytes();
    let mut bad_crc = good.to_vec();
    *bad_crc.last_mut().unwrap() ^= 1;
    let mut old = good.to_vec();
    old[16] = 1;
    let two = [good.clone(), good.clone()].concat();
    let rows: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("nothing", vec![], |e| matches!(e, AppendError::Empty)),
        ("checksum", bad_crc, |e| matches!(e, AppendError::Batch(BatchError::BadCrc { .. }))),
        (
            "magic",
            old,
            |e| matches!(e, AppendError::Batch(BatchError::BadMagic { magic, .. }) if *magic != MAGIC_V2),
        ),
        ("two batches", two, |e| matches!(e, AppendError::Batch(BatchError::NotAlone { .. }))),
        ("cut", good[..good.len() - 1].to_vec(), |e| {
            matches!(e, AppendError::Batch(BatchError::Truncated { .. }))
        }),
        ("control", marker(1, 0, true).to_vec(), |e| {
            matches!(e, AppendError::Batch(BatchError::ControlFromClient))
        }),
        ("size", records(1).sized(300).bytes().to_vec(), |e| {
            matches!(e, AppendError::TooLarge { size_max: 300, .. })
        }),
        ("no key", records(2).keyless().bytes().to_vec(), |e| {
            matches!(e, AppendError::NoKey { index: 0 })
        }),
        (
            "old",
            records(1).at(NOW.0 - 1_001).bytes().to_vec(),
            |e| matches!(e, AppendError::Timestamp { timestamp, .. } if timestamp.0 == NOW.0 - 1_001),
        ),
        (
            "young",
            records(1).at(NOW.0 + 501).bytes().to_vec(),
            |e| matches!(e, AppendError::Timestamp { latest, .. } if latest.0 == NOW.0 + 500),
        ),
    ];
    for (what, bytes, expected) in rows {
        let error = log.append_as_leader(&bytes, EPOCH, Origin::Client, NOW).unwrap_err();
        assert!(expected(&error), "{what}: {error}");
        assert_eq!(log.log_end_offset(), Offset(0), "{what}");
    }
    for fine in [NOW.0 - 1_000, NOW.0 + 500, -1] {
        records(1).at(fine).append(&mut log).unwrap();
    }
    assert_eq!(log.log_end_offset(), Offset(3));
}

#[test]
fn batches_larger_than_a_segment_and_stale_leaders_are_refused() {
    let (_disk, mut log) = empty(LogConfig { segment_bytes_max: 200, ..LogConfig::default() });
    let error = records(1).sized(200).append(&mut log).unwrap_err();
    assert!(matches!(error, AppendError::LargerThanSegment { size_max: 200, .. }));
    log.begin_leader_epoch(LeaderEpoch(3)).unwrap();
    let error = records(1).append(&mut log).unwrap_err();
    let (epoch, latest) = (EPOCH, LeaderEpoch(3));
    assert_eq!(error, AppendError::StaleLeaderEpoch { epoch, latest });
}

#[test]
fn with_log_append_time_all_records_get_the_logs_time() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppend, ..LogConfig::default() };
    let (_disk, mut log) = empty(config);
    let appended = records(2).at(5).append(&mut log).unwrap();
    assert_eq!(appended.log_append_time, NOW);
    let stored = read_all(&mut log);
    let view = BatchView::parse(&stored[0]).unwrap();
    assert_eq!((view.max_timestamp(), view.base_timestamp()), (NOW, Timestamp(5)));
    assert_eq!(view.attributes().timestamp_type(), TimestampType::LogAppend);
    assert_eq!(log.max_timestamp().unwrap().unwrap().offset, Offset(0));
}

/// Source: Kafka 4.4, where each record of such a batch has the time that the head says: that time is judged
/// as any other where records keep their own, unless it is none, and refused where the log stamps them.
#[test]
fn clients_may_not_say_that_the_log_has_stamped_their_records() {
    let stamped = |time: i64| {
        let mut bytes = records(2).at(NOW.0 - 5).bytes().to_vec();
        let mut batch = BatchMut::parse(&mut bytes).unwrap();
        batch.set_max_timestamp(TimestampType::LogAppend, Timestamp(time));
        bytes
    };
    let is_refused = |result: &Result<Appended, AppendError>| {
        matches!(result, Err(AppendError::StampedByClient))
    };
    // (of the topic, by the head) => refused
    let table = [
        (TimestampType::LogAppend, NOW.0, true),
        (TimestampType::LogAppend, NOW.0 - 1, true),
        (TimestampType::LogAppend, -1, true),
        (TimestampType::Create, -1, true),
        (TimestampType::Create, NOW.0, false),
    ];
    for checks_records in [false, true] {
        for (timestamp_type, time, wanted) in table {
            let config = LogConfig { timestamp_type, checks_records, ..LogConfig::default() };
            let (_disk, mut log) = empty(config);
            let result = log.append_as_leader(&stamped(time), EPOCH, Origin::Client, NOW);
            assert_eq!(is_refused(&result), wanted, "{timestamp_type:?} {time}: {result:?}");
            assert_eq!(log.log_end_offset(), Offset(if wanted { 0 } else { 2 }));
            if !wanted {
                let stored = read_all(&mut log);
                let view = BatchView::parse(&stored[0]).unwrap();
                assert_eq!(view.attributes().timestamp_type(), TimestampType::Create);
                assert_eq!(view.max_timestamp(), Timestamp(time));
            }
        }
    }
    // A time that is too far away is told as such.
    let (_disk, mut log) = empty(LogConfig { timestamp_after_ms_max: 500, ..LogConfig::default() });
    let result = log.append_as_leader(&stamped(NOW.0 + 501), EPOCH, Origin::Client, NOW);
    assert!(matches!(result, Err(AppendError::Timestamp { .. })), "{result:?}");
}

#[test]
fn a_topics_own_codec_makes_batches_anew() {
    for (codec, target) in [(Codec::None, Codec::Zstd), (Codec::Gzip, Codec::None)] {
        let config = LogConfig {
            compression: CompressionPolicy::Fixed(Compression::new(target)),
            ..LogConfig::default()
        };
        let (_disk, mut log) = empty(config);
        let sent = records(50).by(9, 1, 4).packed(Compression::new(codec));
        sent.append(&mut log).unwrap();
        let stored = read_all(&mut log);
        let view = BatchView::parse(&stored[0]).unwrap();
        assert_eq!(view.attributes().codec(), Some(target));
        assert_eq!(view.producer(), Some(producer(9, 1, 4)));
        let values = read_values(&mut log);
        assert_eq!(values[49], (49, "value 49".to_owned()));
        // The same codec is left as it is, whatever its level.
        let same = records(3).packed(Compression::new(target)).bytes();
        log.append_as_leader(&same, EPOCH, Origin::Client, NOW).unwrap();
        assert_eq!(read_all(&mut log)[1][17..], same[17..]);
    }
}

#[test]
fn a_batch_sent_again_is_answered_and_not_stored_again() {
    let (_disk, mut log) = empty(LogConfig::default());
    let first = records(3).by(9, 0, 0);
    let stored = first.append(&mut log).unwrap();
    records(2).by(9, 0, 3).append(&mut log).unwrap();
    let again = first.append(&mut log).unwrap();
    assert!(again.duplicate && !stored.duplicate);
    assert_eq!((again.base_offset, again.last_offset), (Offset(0), Offset(2)));
    assert_eq!(log.log_end_offset(), Offset(5));
    let error = records(1).by(9, 0, 6).append(&mut log).unwrap_err();
    let out = ProducerError::OutOfSequence { producer_id: 9.into(), sequence: 6, expected: 5 };
    assert_eq!(error, AppendError::Producer(out));
}

/// A client is told what is wrong with its batch before anything that fields tell which may be wrong, too.
#[test]
fn what_is_wrong_with_a_batch_counts_more_than_whose_it_is() {
    let config = LogConfig {
        compacted: true,
        message_bytes_max: 500,
        segment_bytes_max: 300,
        ..LogConfig::default()
    };
    let (_disk, mut log) = empty(config);
    records(1).by(9, 3, 0).append(&mut log).unwrap();
    let next = records(1).by(9, 3, 1).bytes();
    // Its epoch and its first sequence number.
    for at in 51..57 {
        let mut broken = next.to_vec();
        broken[at] ^= 1;
        let error = log.append_as_leader(&broken, EPOCH, Origin::Client, NOW).unwrap_err();
        assert!(matches!(error, AppendError::Batch(BatchError::BadCrc { .. })), "{at}: {error}");
    }
    // A gap, and an epoch that has passed.
    for gap in [records(1).by(9, 3, 7), records(1).by(9, 2, 0)] {
        let mut error = |spec: Spec| spec.append(&mut log).unwrap_err();
        assert!(matches!(error(gap.clone().keyless()), AppendError::NoKey { .. }));
        assert!(matches!(error(gap.clone().sized(600)), AppendError::TooLarge { .. }));
        assert!(matches!(error(gap.clone().sized(300)), AppendError::LargerThanSegment { .. }));
        assert!(matches!(error(gap), AppendError::Producer(_)));
    }
    log.append_as_leader(&next, EPOCH, Origin::Client, NOW).unwrap();
}

#[test]
fn transactions_hold_the_last_stable_offset_and_leave_their_aborts() {
    let (disk, mut log) = empty(small());
    records(2).by(1, 0, 0).in_transaction().append(&mut log).unwrap();
    records(1).append(&mut log).unwrap();
    records(2).by(2, 0, 0).in_transaction().append(&mut log).unwrap();
    assert!(log.in_transaction(1.into(), 0.into()));
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(0));
    assert_eq!(log.oldest_transaction(), Some((Offset(0), NOW)));
    append_marker(&mut log, 1, false);
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(0), "the marker is not replicated");
    assert_eq!(log.last_stable_offset(Offset(6)), Offset(3));
    append_marker(&mut log, 2, true);
    assert_eq!(log.last_stable_offset(Offset(7)), Offset(7));
    let aborted = log.aborted_transactions(Offset(0), Offset(7)).unwrap();
    assert_eq!(aborted.len(), 1);
    assert_eq!((aborted[0].first_offset, aborted[0].last_offset), (Offset(0), Offset(5)));
    assert_eq!(aborted[0].last_stable_offset, Offset(3));
    assert_eq!(log.aborted_transactions(Offset(6), Offset(7)).unwrap(), vec![]);
    drop(log);
    let mut log = open(&disk, small()).unwrap();
    assert_eq!(log.aborted_transactions(Offset(0), Offset(7)).unwrap(), aborted);
    assert_eq!(log.producer(1.into()).unwrap().coordinator_epoch, 0);
}

/// Nobody can read before it. Source: Kafka 4.4.
#[test]
fn the_last_stable_offset_is_not_before_the_logs_start() {
    let (disk, mut log) = empty(small());
    records(2).by(1, 0, 0).in_transaction().append(&mut log).unwrap();
    records(3).append(&mut log).unwrap();
    log.advance_log_start(Offset(3)).unwrap();
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(3), "it is still open");
    log.flush().unwrap();
    drop(log);
    let how = OpenLog { log_start: Offset(3), recovery_point: Offset(5), ..OpenLog::default() };
    let mut log = open_how(&disk, small(), how).unwrap();
    assert_eq!(log.log_start_offset(), Offset(3));
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(3));
    append_marker(&mut log, 1, true);
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(3), "the marker is not replicated");
    assert_eq!(log.last_stable_offset(Offset(6)), Offset(6));
}

#[test]
fn a_marker_that_cannot_be_read_is_refused() {
    let (_disk, mut log) = empty(LogConfig::default());
    let kind = dohle_records::ControlType::LeaderChange;
    let record = dohle_records::ControlRecord { kind, value: &[] };
    let spec = dohle_records::BatchSpec {
        producer: producer(1, 0, -1),
        ..dohle_records::BatchSpec::default()
    };
    let bytes = dohle_records::control_batch(spec, NOW, &[record]).unwrap();
    let origin = Origin::Marker { transaction_version: 2 };
    let error = log.append_as_leader(&bytes, EPOCH, origin, NOW).unwrap_err();
    assert_eq!(error, AppendError::Control(ControlError::NotEndTxn { id: 2 }));
    log.append_as_leader(&bytes, EPOCH, Origin::Raft, NOW).unwrap();
}

/// How old each of so many segments became, in steps of a thousandth of what they may.
fn ages(count: usize, config: LogConfig) -> Vec<i64> {
    let (_disk, mut log) = empty(config);
    let (mut ages, mut began, mut now) = (Vec::new(), NOW.0, NOW.0);
    records(1).at(now).append(&mut log).unwrap();
    while ages.len() < count {
        now += 1;
        let segments = log.segment_count();
        records(1).at(now).append(&mut log).unwrap();
        if log.segment_count() > segments {
            ages.push(now - began);
            began = now;
        }
    }
    ages
}

#[test]
fn each_segment_has_a_jitter_of_its_own() {
    let config = LogConfig {
        segment_ms_max: 100,
        segment_jitter_ms_max: 60,
        timestamp_after_ms_max: i64::MAX,
        ..LogConfig::default()
    };
    let ages_of = |jitter_seed| ages(20, LogConfig { jitter_seed, ..config.clone() });
    let drawn = ages_of(1);
    assert!(drawn.iter().all(|age| (42..=101).contains(age)), "{drawn:?}");
    let distinct = drawn.iter().collect::<std::collections::BTreeSet<_>>();
    assert!(distinct.len() > 10, "{drawn:?}");
    assert_eq!(ages_of(1), drawn);
    assert_ne!(ages_of(2), drawn);
    assert_eq!(ages(3, LogConfig { segment_jitter_ms_max: 0, ..config }), [101; 3]);
}

#[test]
fn a_segment_is_rolled_by_size_by_time_and_when_an_index_is_full() {
    let rows: [(&str, LogConfig, MakeBatch); 4] = [
        ("size", LogConfig { segment_bytes_max: 200, ..LogConfig::default() }, |_| records(1)),
        ("time", LogConfig { segment_ms_max: 1_000, ..LogConfig::default() }, |index| {
            records(1).at(NOW.0 + index as i64 * 600)
        }),
        (
            "jitter",
            LogConfig {
                segment_ms_max: 2_000,
                segment_jitter_ms_max: 2_000,
                ..LogConfig::default()
            },
            |index| records(1).at(NOW.0 + index as i64 * 1_200),
        ),
        (
            "index",
            LogConfig {
                segment_index_bytes_max: 12,
                index_interval_bytes: 0,
                ..LogConfig::default()
            },
            |index| records(1).at(NOW.0 + index as i64),
        ),
    ];
    for (what, config, batch) in rows {
        let (_disk, mut log) = empty(config);
        for index in 0..6 {
            batch(index).append(&mut log).unwrap();
        }
        assert!((3..=6).contains(&log.segment_count()), "{what}: {}", log.segment_count());
        assert_eq!(read_values(&mut log).len(), 6, "{what}");
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let (disk, mut log) = empty(LogConfig::default());
    records(5).append(&mut log).unwrap();
    disk.set_faults(Faults { bytes_free: Some(50), ..Faults::default() });
    let error = records(5).append(&mut log).unwrap_err();
    assert!(matches!(error, AppendError::Log(dohle_log::LogError::Io(e)) if e.is_full()));
    assert!(!log.is_poisoned());
    disk.set_faults(Faults::default());
    records(2).append(&mut log).unwrap();
    assert_eq!(read_values(&mut log).len(), 7);
    drop(log);
    assert_eq!(open(&disk, LogConfig::default()).unwrap().log_end_offset(), Offset(7));
}

#[test]
fn a_roll_that_fails_leaves_no_segment_that_the_next_start_would_take_for_one() {
    let rolled = |disk: &SimDisk, log: &mut Log<SimDisk>| {
        records(3).append(log).unwrap();
        (disk.changes(), log.roll(NOW))
    };
    let (disk, mut log) = empty(small());
    let (before, all) = rolled(&disk, &mut log);
    all.unwrap();
    assert!(disk.changes() - before >= 4, "{}", disk.changes() - before);
    for call in before + 1..=disk.changes() {
        let (disk, mut log) = empty(small());
        disk.set_faults(Faults { io_error_at: Some(call), ..Faults::default() });
        let (_, failed) = rolled(&disk, &mut log);
        assert!(failed.is_err() && !log.is_poisoned(), "call {call}");
        // It goes on where it was, past the offset at which it would have rolled.
        records(2).append(&mut log).unwrap();
        log.roll(NOW).unwrap();
        records(1).append(&mut log).unwrap();
        drop(log);
        let mut log = open(&disk, small()).unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert_eq!(read_values(&mut log).len(), 6, "call {call}");
        log.close().unwrap();
        let mut log =
            open_how(&disk, small(), OpenLog { clean: true, ..OpenLog::default() }).unwrap();
        assert_eq!((read_values(&mut log).len(), log.segment_count()), (6, 2), "call {call}");
    }
}

#[test]
fn batches_are_made_durable_on_a_disk_that_is_full() {
    let (disk, mut log) = empty(LogConfig::default());
    records(5).append(&mut log).unwrap();
    let mut plan = log.begin_flush().unwrap().unwrap();
    disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
    assert!(plan.write().unwrap_err().is_full());
    plan.leave_out_sides();
    assert_eq!(plan.sync().unwrap().end(), Offset(5));
    log.give_up_flush();
    assert_eq!(log.recovery_point(), Offset(0), "epochs are not in their file");
    disk.set_faults(Faults::default());
    let disk = disk.fork();
    disk.restart(1);
    let mut log = open(&disk, LogConfig::default()).unwrap();
    assert_eq!(read_values(&mut log).len(), 5);
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), Offset(5));
}

#[test]
fn a_start_after_a_crash_needs_no_room() {
    let (disk, mut log) = empty(small());
    for sequence in 0..40 {
        records(1).by(9, 0, sequence).append(&mut log).unwrap();
    }
    assert!(log.segment_count() > 2, "{}", log.segment_count());
    drop(log);
    for entry in disk.list(Path::new(DIR)).unwrap() {
        if !entry.name.ends_with(".log") {
            disk.remove(&Path::new(DIR).join(entry.name)).unwrap();
        }
    }
    disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
    let mut log = open(&disk, small()).unwrap();
    assert_eq!(read_values(&mut log).len(), 40);
    disk.set_faults(Faults::default());
    records(1).by(9, 0, 40).append(&mut log).unwrap();
    log.close().unwrap();
    let mut log = open(&disk, small()).unwrap();
    assert_eq!(read_values(&mut log).len(), 41);
    assert_eq!(log.producers().len(), 1);
}

#[test]
fn short_writes_are_completed() {
    let (disk, mut log) = empty(LogConfig::default());
    disk.set_faults(Faults { write_size_max: Some(7), ..Faults::default() });
    records(5).append(&mut log).unwrap();
    assert_eq!(read_values(&mut log).len(), 5);
}

#[test]
fn a_log_whose_failed_write_cannot_be_undone_is_closed() {
    let (disk, mut log) = empty(LogConfig::default());
    records(1).append(&mut log).unwrap();
    disk.set_faults(Faults { power_after: Some(disk.changes()), ..Faults::default() });
    records(1).append(&mut log).unwrap_err();
    assert!(log.is_poisoned());
    disk.set_faults(Faults::default());
    let error = records(1).append(&mut log).unwrap_err();
    assert_eq!(error, AppendError::Log(dohle_log::LogError::Poisoned));
    assert!(log.close().is_err());
}

/// A disk that is only full is sound, and one that does not let a file be cut is not.
#[test]
fn of_a_full_disk_that_cannot_undo_a_write_the_worse_is_told() {
    let mut uncut = 0;
    for call in 1..8 {
        let (disk, mut log) = empty(LogConfig::default());
        records(1).append(&mut log).unwrap();
        let io_error_at = Some(disk.changes() + call);
        disk.set_faults(Faults { bytes_free: Some(50), io_error_at, ..Faults::default() });
        let error = records(5).append(&mut log).unwrap_err();
        if !matches!(disk.last_fault(), Some((Operation::Truncate, _))) || !log.is_poisoned() {
            continue;
        }
        uncut += 1;
        let AppendError::Log(dohle_log::LogError::Io(error)) = error else { panic!("{error}") };
        assert_eq!((error.operation, error.errno), (Operation::Truncate, Some(5)));
        disk.set_faults(Faults::default());
        drop(log);
        let mut log = open(&disk, LogConfig::default()).unwrap();
        assert_eq!(read_values(&mut log).len(), 1);
    }
    assert_eq!(uncut, 1);
}

#[test]
fn a_partition_that_nobody_touched_is_closed_without_a_call() {
    let (disk, mut log) = empty(small());
    for _ in 0..20 {
        records(2).append(&mut log).unwrap();
    }
    let end = log.close().unwrap();
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let before = disk.changes();
    let mut log = open_how(&disk, small(), how).unwrap();
    read_all(&mut log);
    log.close().unwrap();
    assert_eq!(disk.changes(), before);
    let mut log = open_how(&disk, small(), how).unwrap();
    records(1).append(&mut log).unwrap();
    let end = log.close().unwrap();
    assert!(disk.changes() > before);
    disk.restart(0);
    let how = OpenLog { recovery_point: end, ..how };
    assert_eq!(open_how(&disk, small(), how).unwrap().log_end_offset(), end);
}

#[test]
fn records_are_checked_only_if_the_operator_wants_it() {
    let mut broken = records(3).bytes().to_vec();
    // The low byte of the attributes: gzip. What follows is none.
    broken[22] |= 1;
    let crc = crc32c::crc32c(&broken[21..]);
    broken[17..21].copy_from_slice(&crc.to_be_bytes());
    let (_disk, mut log) = empty(LogConfig::default());
    assert_eq!(
        log.append_as_leader(&broken, EPOCH, Origin::Client, NOW).unwrap().size,
        broken.len()
    );
    let (_disk, mut log) = empty(LogConfig { checks_records: true, ..LogConfig::default() });
    let refused = log.append_as_leader(&broken, EPOCH, Origin::Client, NOW).unwrap_err();
    let reason = BatchError::BadCompression { codec: Codec::Gzip };
    assert!(matches!(refused, AppendError::Batch(error) if error == reason), "{refused}");
    assert_eq!(log.log_end_offset(), Offset(0));
    log.append_as_leader(&records(3).bytes(), EPOCH, Origin::Client, NOW).unwrap();
    assert_eq!(log.log_end_offset(), Offset(3));
}

/// What could not be written back is told to those who had the file open then: who opens it anew, once
/// nothing of it is cached any more, syncs it and hears of nothing.
#[test]
fn a_segment_that_was_rolled_unflushed_is_synced_by_the_handle_that_wrote_it() {
    let path = Path::new("/logs/t-0/00000000000000000000.log");
    let elsewhere = Path::new("/logs/t-0/elsewhere");
    let (disk, mut log) = empty(small());
    records(3).append(&mut log).unwrap();
    let written = disk.peek(path).unwrap();
    log.roll(NOW).unwrap();
    // Looked at meanwhile.
    log.max_timestamp().unwrap();
    log.offset_for_timestamp(NOW).unwrap();
    let plan = log.begin_flush().unwrap().unwrap();
    assert!(!plan.needs_volume());
    // The handle follows the file, its name does not.
    disk.rename(path, elsewhere).unwrap();
    plan.run().unwrap();
    disk.restart(0);
    assert_eq!(disk.peek(elsewhere), Some(written));
}

/// One file is held for a flush.
#[test]
fn where_several_were_rolled_unflushed_the_volume_is_synced() {
    let (_disk, mut log) = empty(small());
    for rolls in 0..3 {
        records(3).append(&mut log).unwrap();
        let plan = log.begin_flush().unwrap().unwrap();
        assert_eq!(plan.needs_volume(), rolls > 1, "{rolls}");
        log.give_up_flush();
        log.roll(NOW).unwrap();
    }
    log.flush().unwrap();
    records(3).append(&mut log).unwrap();
    log.roll(NOW).unwrap();
    assert!(!log.begin_flush().unwrap().unwrap().needs_volume());
}
