//! After a crash a log is read from its recovery point on, and takes in what the write-ahead log holds.

use dohle_base::{Offset, TopicId, Uuid};
use dohle_log::{
    AppendError, Corruption, DamageReason, Disk, LogConfig, LogError, OpenLog, partition_metadata,
    sim::SimDisk,
};

use crate::kit::*;

const TOPIC: TopicId = TopicId(Uuid(77));

fn how(recovery_point: i64) -> OpenLog {
    OpenLog { recovery_point: Offset(recovery_point), topic_id: Some(TOPIC), ..OpenLog::default() }
}

/// A log of one segment of a few megabytes, flushed but for its last batch.
fn large() -> (SimDisk, i64) {
    let disk = disk();
    let config = LogConfig { message_bytes_max: 1 << 20, ..LogConfig::default() };
    let mut log = open_how(&disk, config, how(0)).unwrap();
    for sequence in 0..40 {
        records(1).by(5, 0, sequence).sized(100_000).append(&mut log).unwrap();
        if sequence % 8 == 7 {
            log.flush().unwrap();
        }
    }
    let flushed = log.recovery_point().0;
    assert_eq!(flushed, 40);
    records(1).by(5, 0, 40).sized(100_000).append(&mut log).unwrap();
    (disk, flushed)
}

#[test]
fn what_lies_before_the_recovery_point_is_not_read_again() {
    let (disk, flushed) = large();
    // Two snapshots of the producers are enough.
    let files = disk.list(std::path::Path::new(DIR)).unwrap();
    assert_eq!(files.iter().filter(|file| file.name.ends_with(".snapshot")).count(), 2);
    let whole = open_how(&disk.fork(), LogConfig::default(), how(0)).unwrap();
    assert!(whole.recovery().bytes_scanned > 4_000_000);
    let before = disk.reads();
    let mut log = open_how(&disk, LogConfig::default(), how(flushed)).unwrap();
    assert!(log.recovery().bytes_scanned < 1_300_000, "{:?}", log.recovery());
    // Nor for the sake of its producers: that would be four megabytes in four more reads.
    assert!(disk.reads() - before < 10, "{}", disk.reads() - before);
    assert_eq!(log.log_end_offset(), Offset(41));
    // What the scan did not see it knows from the side files, just as if it had.
    assert_eq!(
        log.producers().cloned().collect::<Vec<_>>(),
        whole.producers().cloned().collect::<Vec<_>>()
    );
    assert_eq!(log.epochs(), whole.epochs());
    assert_eq!(read_values(&mut log).len(), 41);
    log.close().unwrap();
    let index = |disk: &SimDisk| {
        disk.peek(std::path::Path::new("/logs/t-0/00000000000000000000.index")).unwrap()
    };
    // A crash in the last flush, of which the recovery point does not tell yet.
    let (flushing, _) = large();
    let before = flushing.reads();
    let log = open_how(&flushing, LogConfig::default(), how(flushed - 8)).unwrap();
    assert!(flushing.reads() - before < 11, "{}", flushing.reads() - before);
    assert_eq!(
        log.producers().cloned().collect::<Vec<_>>(),
        whole.producers().cloned().collect::<Vec<_>>()
    );
    let (again, _) = large();
    open_how(&again, LogConfig::default(), how(0)).unwrap().close().unwrap();
    assert_eq!(index(&disk), index(&again));
}

/// A client that heard of none of its batches sends them again from the first one on. Of each producer a
/// snapshot has the last one alone, and the others lie before it: in a segment that ended between them, or
/// in one that was flushed since.
#[test]
fn after_two_crashes_the_last_five_batches_of_each_producer_are_known_again() {
    for config in [small(), LogConfig::default()] {
        let disk = disk();
        let mut log = open_how(&disk, config.clone(), how(0)).unwrap();
        let sent = |id| (0..6).map(move |sequence| records(1).by(id, 0, sequence).sized(200));
        for (one, other) in sent(5).zip(sent(6)) {
            one.append(&mut log).unwrap();
            other.append(&mut log).unwrap();
        }
        drop(log);
        let mut log = open_how(&disk, config.clone(), how(0)).unwrap();
        log.flush().unwrap();
        let flushed = log.recovery_point().0;
        drop(log);
        let mut log = open_how(&disk, config, how(flushed)).unwrap();
        assert_eq!(log.log_end_offset(), Offset(12));
        for id in [5, 6] {
            for (sequence, batch) in (0..).zip(sent(id)).skip(1) {
                let again = batch.append(&mut log);
                let again = again.unwrap_or_else(|error| panic!("{sequence} of {id}: {error}"));
                assert!(again.duplicate, "{sequence} of {id}");
                assert_eq!(again.base_offset, Offset(2 * sequence + id - 5), "{sequence} of {id}");
            }
        }
        assert_eq!(log.log_end_offset(), Offset(12));
    }
}

#[test]
fn a_log_that_ends_before_its_recovery_point_has_lost_something() {
    let (disk, flushed) = large();
    let path = std::path::Path::new("/logs/t-0/00000000000000000000.log");
    let mut bytes = disk.peek(path).unwrap();
    bytes.truncate(3_950_000);
    disk.plant(path, &bytes);
    let error = open_how(&disk, LogConfig::default(), how(flushed)).unwrap_err();
    let LogError::Corrupt(corruption) = error else { panic!("{error}") };
    let Corruption { path: told, position, .. } = *corruption;
    assert_eq!((told.as_path(), position < 3_950_000), (path, true));
}

#[test]
fn a_log_without_files_that_has_a_recovery_point_has_lost_them() {
    for there in [false, true] {
        let disk = disk();
        if there {
            disk.create_dir(std::path::Path::new(DIR)).unwrap();
        }
        // Not at the next attempt either, which finds what the first one has made.
        for start in [0, 0, 2, 2] {
            let how = OpenLog { log_start: Offset(start), ..how(3) };
            let error = open_how(&disk, small(), how).unwrap_err();
            let LogError::Corrupt(corruption) = error else { panic!("{error}") };
            let lost = DamageReason::Lost { durable: Offset(3), end: Offset(start) };
            assert_eq!(corruption.reason, lost);
        }
        let deleted = OpenLog { log_start: Offset(3), ..how(3) };
        assert_eq!(open_how(&disk, small(), deleted).unwrap().log_end_offset(), Offset(3));
        // From then on a file says where it begins.
        assert_eq!(open_how(&disk, small(), how(3)).unwrap().log_end_offset(), Offset(3));
    }
}

#[test]
fn a_recovery_point_of_a_former_topic_says_nothing() {
    let disk = disk();
    let mut log = open_how(&disk, small(), how(0)).unwrap();
    records(3).append(&mut log).unwrap();
    drop(log);
    // Nothing was flushed: the directory says whose it is, but not that anything in it is durable.
    let dir = std::path::Path::new(DIR);
    assert_eq!(partition_metadata::read(&disk, dir), Ok(Some(TOPIC)));
    let owner = || disk.peek(&dir.join("partition.metadata")).unwrap();
    let early = owner();
    assert_eq!(early.last(), Some(&b'\n'));
    let mut log = open_how(&disk, small(), how(500)).unwrap();
    assert_eq!((log.log_end_offset(), log.recovery_point()), (Offset(3), Offset(0)));
    log.flush().unwrap();
    assert_eq!(partition_metadata::read(&disk, dir), Ok(Some(TOPIC)));
    assert_eq!(owner(), early[..early.len() - 1], "the file is Kafka's now");
    let other = OpenLog { topic_id: Some(TopicId(Uuid(78))), ..how(3) };
    let error = open_how(&disk, small(), other).unwrap_err();
    assert!(matches!(error, LogError::OtherTopic { found: TOPIC, .. }), "{error}");
}

#[test]
fn batches_of_the_write_ahead_log_are_taken_in_once() {
    let (_, mut whole) = empty(small());
    for _ in 0..6 {
        records(2).append(&mut whole).unwrap();
    }
    let written = read_all(&mut whole);
    let (_, mut log) = empty(small());
    let run = |range: std::ops::Range<usize>| written[range].concat();
    assert_eq!(log.redo(&run(0..2), NOW), Ok(Offset(4)));
    // Some there, some not; then all there.
    assert_eq!(log.redo(&run(1..5), NOW), Ok(Offset(10)));
    assert_eq!(log.redo(&run(0..3), NOW), Ok(Offset(6)));
    assert_eq!(read_all(&mut log), written[..5]);
    let mut gap = empty(small()).1;
    gap.redo(&run(0..1), NOW).unwrap();
    let error = gap.redo(&run(3..4), NOW).unwrap_err();
    let AppendError::Log(LogError::Corrupt(corruption)) = error else { panic!("{error}") };
    let expected = DamageReason::Unconnected { end: Offset(2), offset: Offset(6) };
    assert_eq!(corruption.reason, expected);
    // Another process has led since: what it made of the log is true.
    gap.begin_leader_epoch(dohle_base::LeaderEpoch(EPOCH.0 + 1)).unwrap();
    assert_eq!(gap.redo(&run(1..2), NOW), Ok(Offset(0)));
    assert_eq!(gap.log_end_offset(), Offset(2));
}
