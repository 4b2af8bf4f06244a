//! A client that has heard nothing of its last batches sends them again, after whatever the node went
//! through: they are answered, and not stored a second time. What a snapshot does not tell of them is read
//! back in the log, once it is asked for and within bounds.

use std::path::Path;

use bytes::Bytes;
use dohle_base::Offset;
use dohle_log::{
    AppendError, Appended, Log, LogConfig, LogError, OpenLog, ProducerError,
    sim::{Faults, SimDisk},
};
use dohle_records::BatchError;

use crate::kit::*;

const MIB: usize = 1 << 20;
/// The most reads of one request, and of all until the log is opened anew.
const READS_MAX: (u64, u64) = (4_096, 16_384);
const LOG_FILE: &str = "/logs/t-0/00000000000000000000.log";

fn large() -> LogConfig {
    LogConfig { message_bytes_max: 2 << 20, ..LogConfig::default() }
}

/// A log of which the process was killed, started, flushed, and killed again.
fn crash_twice(disk: &SimDisk, log: Log<SimDisk>, config: &LogConfig) -> Log<SimDisk> {
    drop(log);
    let mut log = open(disk, config.clone()).unwrap();
    log.flush().unwrap();
    let recovery_point = log.recovery_point();
    drop(log);
    open_how(disk, config.clone(), OpenLog { recovery_point, ..OpenLog::default() }).unwrap()
}

fn stop_cleanly(disk: &SimDisk, log: Log<SimDisk>, config: &LogConfig) -> Log<SimDisk> {
    let (recovery_point, log_start) = (log.log_end_offset(), log.log_start_offset());
    log.close().unwrap();
    let how = OpenLog { clean: true, recovery_point, log_start, ..OpenLog::default() };
    open_how(disk, config.clone(), how).unwrap()
}

fn append(log: &mut Log<SimDisk>, batch: &Bytes) -> Result<Appended, AppendError> {
    log.append_each([&batch[..]].into_iter(), EPOCH, NOW, |_, _| ()).remove(0)
}

/// The batches, as they are known again.
fn assert_known(log: &mut Log<SimDisk>, sent: &[(Bytes, Appended)]) {
    let end = log.log_end_offset();
    for (index, (batch, stored)) in sent.iter().enumerate() {
        let again = append(log, batch).unwrap_or_else(|error| panic!("batch {index}: {error}"));
        assert!(again.duplicate, "batch {index}");
        assert_eq!(
            (again.base_offset, again.last_offset),
            (stored.base_offset, stored.last_offset),
            "batch {index}"
        );
    }
    assert_eq!(log.log_end_offset(), end);
}

fn is_out_of_sequence(result: &Result<Appended, AppendError>) -> bool {
    matches!(result, Err(AppendError::Producer(ProducerError::OutOfSequence { .. })))
}

/// Batches of a producer with so many bytes each, and where they got to.
fn send(
    log: &mut Log<SimDisk>,
    id: i64,
    sequences: std::ops::Range<i32>,
    size: usize,
) -> Vec<(Bytes, Appended)> {
    let batches = sequences.map(|sequence| records(1).by(id, 0, sequence).sized(size).bytes());
    batches
        .map(|batch| {
            let stored = append(log, &batch).unwrap();
            (batch, stored)
        })
        .collect()
}

#[test]
fn five_large_batches_are_known_after_two_crashes() {
    let (disk, mut log) = empty(large());
    // So much that the indexes are saved: what is indexed is not read again.
    send(&mut log, 5, 0..3, MIB);
    log.flush().unwrap();
    let sent = send(&mut log, 5, 3..8, MIB);
    let mut log = crash_twice(&disk, log, &large());
    assert_known(&mut log, &sent);
    // They go on behind them.
    assert!(!append(&mut log, &records(1).by(5, 0, 8).bytes()).unwrap().duplicate);
}

#[test]
fn five_of_each_of_many_producers_are_known_in_whatever_order_they_come_back() {
    let (disk, mut log) = empty(large());
    let mut sent = vec![Vec::new(); 20];
    for sequence in 0..11 {
        if sequence == 6 {
            log.flush().unwrap();
        }
        for (id, sent) in sent.iter_mut().enumerate() {
            sent.extend(send(&mut log, id as i64, sequence..sequence + 1, 16 << 10));
        }
    }
    let log = crash_twice(&disk, log, &large());
    drop(log);
    let how = OpenLog { recovery_point: Offset(220), ..OpenLog::default() };
    let orders: [fn(usize) -> usize; 3] = [|i| i, |i| 19 - i, |i| i * 7 % 20];
    for order in orders {
        let disk = disk.fork();
        let mut log = open_how(&disk, large(), how).unwrap();
        let before = disk.reads();
        for index in 0..20 {
            assert_known(&mut log, &sent[order(index)][6..]);
            assert!(is_out_of_sequence(&append(&mut log, &sent[order(index)][5].0)));
        }
        // Each of a hundred heads about once, and in the worst order once for each producer.
        assert!(disk.reads() - before < 2_100, "{}", disk.reads() - before);
    }
}

#[test]
fn five_without_an_answer_are_known_after_a_clean_stop() {
    for config in [small(), LogConfig::default()] {
        let (disk, mut log) = empty(config.clone());
        send(&mut log, 5, 0..3, 200);
        let mut sent = Vec::new();
        for sequence in 3..8 {
            sent.extend(send(&mut log, 5, sequence..sequence + 1, 200));
            // Others write between and behind, more than all that may be read.
            records(1).by(6, 0, sequence).sized(200).append(&mut log).unwrap();
        }
        for _ in 0..20 {
            records(1).sized(400).append(&mut log).unwrap();
        }
        let mut log = stop_cleanly(&disk, log, &config);
        assert_known(&mut log, &sent);
    }
}

#[test]
fn a_producer_that_rested_is_found_where_its_last_batch_lies() {
    let (disk, mut log) = empty(large());
    let sent = send(&mut log, 5, 0..5, 100);
    for _ in 0..60 {
        records(1).by(6, 0, -1).sized(MIB).append(&mut log).ok();
        records(1).sized(MIB).append(&mut log).unwrap();
    }
    let mut log = stop_cleanly(&disk, log, &large());
    let before = disk.reads();
    assert_known(&mut log, &sent);
    assert!(disk.reads() - before < 5, "{}", disk.reads() - before);
}

/// Its sequence numbers may be what is damaged.
#[test]
fn for_a_damaged_batch_nothing_is_read_back() {
    let (disk, mut log) = empty(LogConfig::default());
    let sent = send(&mut log, 5, 0..5, 200);
    let mut log = stop_cleanly(&disk, log, &LogConfig::default());
    let mut broken = sent[2].0.to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let before = disk.reads();
    let refused = append(&mut log, &broken.into());
    assert!(matches!(refused, Err(AppendError::Batch(BatchError::BadCrc { .. }))), "{refused:?}");
    assert_eq!(disk.reads(), before);
    assert_known(&mut log, &sent);
    assert!(disk.reads() > before, "they were not known");
}

/// Whom a leader that stopped has not answered asks the next one.
#[test]
fn a_follower_that_was_started_anew_and_leads_now_knows_them() {
    let (_leaders, mut leader) = empty(LogConfig::default());
    let sent = send(&mut leader, 5, 0..8, 200);
    let (disk, mut log) = empty(LogConfig::default());
    log.append_as_follower(&read_all(&mut leader).concat(), EPOCH, NOW).unwrap();
    let mut log = stop_cleanly(&disk, log, &LogConfig::default());
    log.begin_leader_epoch(dohle_base::LeaderEpoch(EPOCH.0 + 1)).unwrap();
    for (batch, stored) in &sent[3..] {
        let epoch = log.latest_epoch();
        let again = log.append_each([&batch[..]].into_iter(), epoch, NOW, |_, _| ()).remove(0);
        let again = again.unwrap();
        assert_eq!((again.duplicate, again.base_offset), (true, stored.base_offset));
    }
}

#[test]
fn another_epoch_of_the_producer_is_another_producer() {
    let (disk, mut log) = empty(LogConfig::default());
    let epoch = EPOCH;
    // A follower takes what it gets, so the new epoch need not begin with 0.
    for (offset, of, sequence) in [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 1, 3), (4, 1, 4)] {
        let batch = records(1).by(5, of, sequence).from(Offset(offset), epoch);
        log.append_as_follower(&batch, epoch, NOW).unwrap();
    }
    let mut log = stop_cleanly(&disk, log, &LogConfig::default());
    let out = append(&mut log, &records(1).by(5, 1, 2).bytes());
    assert!(is_out_of_sequence(&out), "{out:?}");
    let stale = append(&mut log, &records(1).by(5, 0, 2).bytes());
    let is_stale = matches!(stale, Err(AppendError::Producer(ProducerError::StaleEpoch { .. })));
    assert!(is_stale, "{stale:?}");
    let again = append(&mut log, &records(1).by(5, 1, 3).bytes()).unwrap();
    assert_eq!((again.duplicate, again.base_offset), (true, Offset(3)));
    // A new epoch knows nothing of the last one's.
    append(&mut log, &records(1).by(5, 2, 0).bytes()).unwrap();
    let before = disk.reads();
    let out = append(&mut log, &records(1).by(5, 2, 2_000).bytes());
    assert!(is_out_of_sequence(&out), "{out:?}");
    assert_eq!(disk.reads(), before);
}

#[test]
fn what_lies_before_the_start_of_the_log_is_gone() {
    for config in [small(), LogConfig::default()] {
        let (disk, mut log) = empty(config.clone());
        let sent = send(&mut log, 5, 0..5, 200);
        log.advance_log_start(Offset(3)).unwrap();
        log.remove_old_segments(NOW).unwrap();
        let mut log = stop_cleanly(&disk, log, &config);
        assert_eq!(log.log_start_offset(), Offset(3));
        for (batch, _) in &sent[..3] {
            let out = append(&mut log, batch);
            assert!(is_out_of_sequence(&out), "{out:?}");
        }
        assert_known(&mut log, &sent[3..]);
        assert_eq!(log.log_end_offset(), Offset(5));
    }
}

#[test]
fn sequences_that_wrapped_are_known() {
    let (disk, mut log) = empty(LogConfig::default());
    let sequences = [i32::MAX - 2, i32::MAX - 1, i32::MAX, 0, 1];
    let sent: Vec<_> = sequences
        .iter()
        .map(|sequence| {
            let batch = records(1).by(5, 0, *sequence).bytes();
            let stored = append(&mut log, &batch).unwrap();
            (batch, stored)
        })
        .collect();
    let mut log = stop_cleanly(&disk, log, &LogConfig::default());
    assert_known(&mut log, &sent);
}

/// A bit that is wrong in a head may cost what is known of the batches before. It never makes the log
/// take for known what is not there, nor say of a batch that it is where it is not.
#[test]
fn a_damaged_head_makes_no_batch_known_that_is_not() {
    let (disk, mut log) = empty(small());
    let config = LogConfig { segment_bytes_max: 100_000, ..small() };
    log.set_config(config.clone());
    let sent = send(&mut log, 5, 10..15, 150);
    let log = stop_cleanly(&disk, log, &config);
    drop(log);
    let how = OpenLog { clean: true, recovery_point: Offset(5), ..OpenLog::default() };
    let size = sent[0].0.len();
    assert_eq!(disk.peek(Path::new(LOG_FILE)).unwrap().len(), 5 * size);
    let (mut known, mut unknown) = (0, 0);
    for index in 0..4 {
        for bit in 0..61 * 8 {
            let disk = disk.fork();
            disk.flip(Path::new(LOG_FILE), ((index * size) * 8 + bit) as u64);
            // Some is found when it is opened.
            let Ok(mut log) = open_how(&disk, config.clone(), how) else { continue };
            let end = log.log_end_offset();
            let others = [(9, 0), (9, 2), (8, 0), (15, 4)];
            for (sequence, at) in others {
                let batch = records(1 + at).by(5, 0, sequence).bytes();
                match append(&mut log, &batch) {
                    Ok(appended) => assert!(!appended.duplicate && sequence == 15, "{index} {bit}"),
                    Err(AppendError::Producer(ProducerError::OutOfSequence { .. })) => {}
                    Err(error) => panic!("{index} {bit}: {error}"),
                }
            }
            let end = log.log_end_offset().max(end);
            for (batch, stored) in &sent {
                match append(&mut log, batch) {
                    Ok(again) => {
                        assert!(again.duplicate, "{index} {bit}");
                        let place = |of: &Appended| (of.base_offset, of.last_offset);
                        assert_eq!(place(&again), place(stored), "{index} {bit}");
                        known += 1;
                    }
                    Err(AppendError::Producer(ProducerError::OutOfSequence { .. })) => unknown += 1,
                    Err(error) => panic!("{index} {bit}: {error}"),
                }
            }
            assert_eq!(log.log_end_offset(), end, "{index} {bit}");
        }
    }
    assert!(known > 3_000 && unknown > 300, "{known} {unknown}");
}

#[test]
fn an_index_that_leads_astray_costs_time_and_no_truth() {
    let (disk, mut log) = empty(small());
    let sent = send(&mut log, 5, 0..5, 200);
    let log = stop_cleanly(&disk, log, &small());
    drop(log);
    let index = Path::new("/logs/t-0/00000000000000000000.index");
    let bytes = disk.peek(index).unwrap();
    assert!(!bytes.is_empty());
    let how = OpenLog { clean: true, recovery_point: Offset(5), ..OpenLog::default() };
    for bit in 0..bytes.len() * 8 {
        let disk = disk.fork();
        disk.flip(index, bit as u64);
        assert_known(&mut open_how(&disk, small(), how).unwrap(), &sent);
    }
}

#[test]
fn a_start_reads_nothing_to_know_earlier_batches() {
    let (disk, mut log) = empty(large());
    let sent = send(&mut log, 5, 0..6, 300_000);
    log.flush().unwrap();
    let recovery_point = log.recovery_point();
    drop(log);
    let log = open(&disk, large()).unwrap();
    log.close().unwrap();
    for clean in [false, true] {
        let disk = disk.fork();
        let before = disk.bytes_read();
        let how = OpenLog { clean, recovery_point, ..OpenLog::default() };
        let mut log = open_how(&disk, large(), how).unwrap();
        // What lies behind the last entry of the index is read after a crash, as ever.
        let read = disk.bytes_read() - before;
        assert!(read < 310_000, "{clean}: {read}");
        let before = disk.bytes_read();
        assert_known(&mut log, &sent[1..]);
        let read = disk.bytes_read() - before;
        assert!(read < 50_000, "heads, not bodies: {clean}: {read}");
    }
}

/// Producers that nobody knows, sequences that are yet to come, and the same one again and again.
#[test]
fn what_repeats_nothing_is_read_for_once_at_the_most() {
    let (disk, mut log) = empty(LogConfig::default());
    for sequence in 0..3 {
        records(1).sized(10_000).append(&mut log).unwrap();
        records(1).by(5, 0, 2 * sequence + 1_000).append(&mut log).ok();
    }
    let mut log = stop_cleanly(&disk, log, &LogConfig::default());
    let reads = |log: &mut Log<SimDisk>, batch: Spec| {
        let before = disk.reads();
        let _ = append(log, &batch.bytes());
        disk.reads() - before
    };
    // Its files are opened.
    reads(&mut log, records(1));
    assert_eq!(reads(&mut log, records(1).by(5, 0, 1_002)), 0, "a gap");
    assert_eq!(reads(&mut log, records(1).by(5, 0, 1_000)), 0, "its last one");
    for id in 100..200 {
        assert_eq!(reads(&mut log, records(1).by(id, 0, 77)), 0, "nobody knows {id}");
        assert_eq!(reads(&mut log, records(1).by(id, 0, 3)), 0, "all is known of {id}");
    }
    let first = reads(&mut log, records(1).by(5, 0, 3));
    assert!((1..20).contains(&first), "{first}");
    for sequence in 0..100 {
        assert_eq!(reads(&mut log, records(1).by(5, 0, sequence)), 0);
    }
}

#[test]
fn reading_back_has_a_bound() {
    let config = LogConfig { segment_bytes_max: 12 << 20, ..LogConfig::default() };
    let (disk, mut log) = empty(config.clone());
    for _ in 0..6_000 {
        records(1).sized(4_100).append(&mut log).unwrap();
    }
    // In the order in which nobody's reads serve the next one.
    for id in 0..8 {
        records(1).by(id, 0, 500).append(&mut log).unwrap();
    }
    let mut log = stop_cleanly(&disk, log, &config);
    records(1).append(&mut log).unwrap();
    let start = disk.reads();
    // The indexes, which are read by pages of many entries, are not counted.
    let pages = 100;
    for id in 0..8 {
        for sequence in [400, 401, 499] {
            let before = disk.reads();
            let out = append(&mut log, &records(1).by(id, 0, sequence).bytes());
            assert!(is_out_of_sequence(&out), "{out:?}");
            let reads = disk.reads() - before;
            assert!(reads <= READS_MAX.0 + pages, "{reads}");
            assert!(sequence == 400 || reads == 0, "once is enough: {reads}");
        }
    }
    let reads = disk.reads() - start;
    assert!((READS_MAX.1..READS_MAX.1 + 4 * pages).contains(&reads), "{reads}");
}

#[test]
fn a_read_that_fails_says_so_and_is_made_again() {
    let (disk, mut log) = empty(small());
    let sent = send(&mut log, 5, 0..5, 200);
    let mut log = stop_cleanly(&disk, log, &small());
    let unreadable = [LOG_FILE.into()].into();
    disk.set_faults(Faults { unreadable, ..Faults::default() });
    let failed = append(&mut log, &sent[0].0);
    assert!(matches!(failed, Err(AppendError::Log(LogError::Io(_)))), "{failed:?}");
    assert!(!log.is_poisoned());
    disk.set_faults(Faults::default());
    assert_known(&mut log, &sent);
}

#[test]
fn what_a_truncation_leaves_is_known() {
    for config in [small(), LogConfig::default()] {
        let (_disk, mut log) = empty(config);
        let sent = send(&mut log, 5, 0..8, 200);
        log.flush().unwrap();
        log.truncate_to(Offset(6), NOW).unwrap();
        assert_known(&mut log, &sent[1..6]);
        assert!(!append(&mut log, &sent[6].0).unwrap().duplicate);
    }
}
