//! What several requests brought is appended as if they had come one by one.

use std::path::Path;

use bytes::Bytes;
use dohle_base::{Offset, Timestamp};
use dohle_log::{
    AppendError, Appended, CompressionPolicy, Disk, DiskFile, Log, LogConfig, OpenLog,
    ProducerError, Results,
    disk::OpenMode,
    sim::{Faults, SimDisk},
};
use dohle_records::{Codec, Compression, TimestampType, sequence_after};

use crate::kit::*;

fn append_each(log: &mut Log<SimDisk>, batches: &[Bytes]) -> Results {
    let mut end = log.log_end_offset();
    let mut shown = 0;
    let results =
        log.append_each(batches.iter().map(|batch| &batch[..]), EPOCH, NOW, |to, slices| {
            assert!(to > end, "each run is behind the one before");
            end = to;
            shown += slices.iter().map(|slice| slice.len()).sum::<usize>();
        });
    assert_eq!((results.len(), end), (batches.len(), log.log_end_offset()));
    let sizes = results.iter().flatten().map(|appended| appended.size);
    assert_eq!(shown, sizes.sum::<usize>(), "all that was written is shown");
    results
}

fn read_file(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// All files of the partition with their bytes, as a stop leaves them.
fn files(disk: &SimDisk, log: Log<SimDisk>) -> Vec<(String, Vec<u8>)> {
    log.close().unwrap();
    let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    let mut files: Vec<_> =
        names.map(|name| (name.clone(), read_file(disk, &Path::new(DIR).join(name)))).collect();
    files.sort();
    files
}

#[test]
fn what_follows_each_other_is_one_write() {
    let (disk, mut log) = empty(LogConfig::default());
    records(1).append(&mut log).unwrap();
    let batches = [
        records(2).bytes(),
        records(1).by(7, 0, 0).bytes(),
        records(3).by(8, 2, 5).bytes(),
        records(4).by(7, 0, 1).bytes(),
    ];
    let before = disk.changes();
    let results = append_each(&mut log, &batches);
    assert_eq!(disk.changes() - before, 1);
    let places: Vec<_> =
        results.iter().flatten().map(|a| (a.base_offset.0, a.last_offset.0)).collect();
    assert_eq!(places, [(1, 2), (3, 3), (4, 6), (7, 10)]);
    assert_eq!(read_values(&mut log).len(), 11);
    // Whether it may be in a transaction says what the log knows of its producer.
    let of_transaction = |sequence| records(1).by(7, 0, sequence).in_transaction();
    let results =
        append_each(&mut log, &[records(1).by(7, 0, 5).bytes(), of_transaction(6).bytes()]);
    let unverified = ProducerError::UnverifiedTransaction { producer_id: 7.into() };
    assert!(results[0].is_ok(), "{results:?}");
    assert_eq!(results[1], Err(unverified.into()));
    of_transaction(6).append(&mut log).unwrap();
    assert!(log.in_transaction(7.into(), 0.into()));
    let before = disk.changes();
    let results = append_each(&mut log, &[of_transaction(7).bytes(), of_transaction(8).bytes()]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(disk.changes() - before, 1);
}

/// Numbers without a pattern.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The log as another process finds it, after a clean stop or a kill.
fn reopen(disk: &SimDisk, mut log: Log<SimDisk>, config: &LogConfig, clean: bool) -> Log<SimDisk> {
    log.flush().unwrap();
    let recovery_point = log.recovery_point();
    if clean {
        log.close().unwrap();
    }
    open_how(disk, config.clone(), OpenLog { clean, recovery_point, ..OpenLog::default() }).unwrap()
}

/// What clients may send, now and then wrong: repeated, with a gap, of an older epoch, too large, broken.
fn sent(dice: &mut Dice, next: &mut [(i16, i32, Bytes); 3], before: &[Bytes]) -> Bytes {
    // One that has heard nothing of some begins anew with the first of them.
    if dice.roll(12) == 0 && !before.is_empty() {
        let back = dice.roll(before.len().min(20) as u64) as usize;
        return before[before.len() - 1 - back].clone();
    }
    let count = 1 + dice.roll(3) as usize;
    let plain = match dice.roll(12) {
        0 => records(1).sized(400),
        1 => records(1).sized(2_000),
        2 => records(count).at(NOW.0 - 50_000),
        3 => records(count).keyless(),
        _ => records(count),
    };
    let who = dice.roll(6) as usize;
    let Some((epoch, sequence, last)) = next.get_mut(who) else {
        let mut bytes = plain.bytes().to_vec();
        match dice.roll(16) {
            0 => bytes[60] ^= 1,
            1 => bytes.truncate(70),
            2 => bytes.extend_from_slice(&records(1).bytes()),
            3 => bytes.clear(),
            _ => {}
        }
        return bytes.into();
    };
    let mut first = *sequence;
    match dice.roll(12) {
        0 => return last.clone(),
        1 => return plain.by(who as i64, *epoch, sequence_after(first, 1)).bytes(),
        // So what was refused does not make all refused that follows.
        2..=4 => (*epoch, first) = (*epoch + 1, 0),
        _ => {}
    }
    let its_epoch = if dice.roll(12) == 0 { *epoch - 1 } else { *epoch };
    *sequence = sequence_after(first, plain.values.len() as i32);
    let spec = plain.by(who as i64, its_epoch, first);
    let spec = if who == 2 && dice.roll(20) > 0 { spec.in_transaction() } else { spec };
    last.clone_from(&spec.bytes());
    last.clone()
}

#[test]
fn all_is_as_if_they_had_been_appended_one_by_one() {
    let limits = LogConfig { message_bytes_max: 1_500, ..small() };
    let configs = [
        LogConfig { segment_bytes_max: 1_200, ..limits.clone() },
        LogConfig { segment_bytes_max: 450, ..limits.clone() },
        LogConfig { segment_bytes_max: 100_000, segment_ms_max: 1_000, ..limits.clone() },
        LogConfig { segment_bytes_max: 100_000, segment_index_bytes_max: 36, ..limits.clone() },
        LogConfig { timestamp_type: TimestampType::LogAppend, compacted: true, ..limits.clone() },
        LogConfig {
            compression: CompressionPolicy::Fixed(Compression::new(Codec::Lz4)),
            timestamp_before_ms_max: 10_000,
            ..limits
        },
    ];
    let (mut runs, mut refused, mut known, mut recalled, mut begun) = (0, 0, 0, 0, 0);
    for (seed, config) in (0..900).map(|seed| (seed, &configs[seed as usize % configs.len()])) {
        let mut dice = Dice(seed);
        // One of them is about to begin anew.
        let mut next = [0, i32::MAX - 4, 0].map(|first| (1, first, Bytes::new()));
        let (alone_disk, mut alone) = empty(config.clone());
        let (disk, mut log) = empty(config.clone());
        let mut before = Vec::new();
        for _ in 0..6 {
            if dice.roll(3) == 0 {
                let clean = dice.roll(2) == 0;
                alone = reopen(&alone_disk, alone, config, clean);
                log = reopen(&disk, log, config, clean);
            }
            let (epoch, sequence, _) = &mut next[2];
            if !log.in_transaction(2.into(), (*epoch).into()) {
                (*epoch, *sequence) = (*epoch + 1, 1);
                let first = records(1).by(2, *epoch, 0).in_transaction();
                begun += u64::from(first.append(&mut log).is_ok());
                let _ = first.append(&mut alone);
            }
            let count = 1 + dice.roll(12) as usize;
            let batches: Vec<_> = (0..count).map(|_| sent(&mut dice, &mut next, &before)).collect();
            before.extend(batches.iter().filter(|batch| !batch.is_empty()).cloned());
            let reads = disk.reads();
            let expected: Vec<_> = batches
                .iter()
                .map(|batch| alone.append_as_leader(batch, EPOCH, dohle_log::Origin::Client, NOW))
                .collect();
            let (before, alone_writes) = (disk.changes(), expected.iter().flatten().count() as u64);
            let results = append_each(&mut log, &batches);
            assert_eq!(results.as_slice(), expected, "seed {seed}");
            let is_known = results.iter().flatten().any(|appended| appended.duplicate);
            recalled += u64::from(is_known && disk.reads() > reads);
            runs += u64::from(disk.changes() - before < alone_writes);
            refused += results.iter().filter(|result| result.is_err()).count();
            known += results.iter().flatten().filter(|appended| appended.duplicate).count();
        }
        assert!(log.producers().eq(alone.producers()), "seed {seed}");
        assert_eq!(files(&disk, log), files(&alone_disk, alone), "seed {seed}");
    }
    assert!(runs > 1_000 && refused > 1_000 && known > 300, "{runs} {refused} {known}");
    assert!(recalled > 100 && begun > 1_000, "{recalled} {begun}");
}

#[test]
fn a_write_that_fails_takes_nothing_in_and_ends_it() {
    let batches = |first: i32| -> Vec<Bytes> {
        (0..4).map(|index| records(1).by(5, 0, first + index).bytes()).collect()
    };
    let (disk, mut log) = empty(LogConfig::default());
    append_each(&mut log, &batches(0));
    disk.set_faults(Faults { bytes_free: Some(100), ..Faults::default() });
    // The third is no batch: two writes, of which the first fails.
    let mut broken = batches(4);
    broken[2] = Bytes::from_static(b"no batch");
    let results = append_each(&mut log, &broken);
    for (index, result) in results.iter().enumerate() {
        let is_right = match (index, result) {
            (2, Err(AppendError::Batch(_))) => true,
            (_, Err(AppendError::Log(dohle_log::LogError::Io(error)))) => error.is_full(),
            _ => false,
        };
        assert!(is_right, "{index}: {result:?}");
    }
    assert!(!log.is_poisoned());
    assert_eq!(log.log_end_offset(), Offset(4));
    disk.set_faults(Faults::default());
    let results = append_each(&mut log, &batches(4));
    assert!(
        results.iter().all(|r| matches!(r, Ok(Appended { duplicate: false, .. }))),
        "{results:?}"
    );
    let expected = (0..8).map(|offset| (offset, "value 0".to_owned())).collect::<Vec<_>>();
    assert_eq!(read_values(&mut log), expected);
    drop(log);
    let mut log = open(&disk, LogConfig::default()).unwrap();
    assert_eq!(read_values(&mut log), expected);
    let again = append_each(&mut log, &batches(4)[..1]);
    assert!(again.iter().flatten().all(|appended| appended.duplicate), "{again:?}");
    let stale = log.append_each([&b""[..]].into_iter(), (-1).into(), Timestamp(0), |_, _| ());
    assert!(matches!(stale[0], Err(AppendError::StaleLeaderEpoch { .. })), "{stale:?}");
}

#[test]
fn a_run_has_a_bound() {
    let (disk, mut log) = empty(LogConfig::default());
    records(1).append(&mut log).unwrap();
    let writes = |log: &mut Log<SimDisk>, batches: &[Bytes]| {
        let before = disk.changes();
        assert!(append_each(log, batches).iter().all(Result::is_ok));
        disk.changes() - before
    };
    assert_eq!(writes(&mut log, &vec![records(1).bytes(); 32]), 1);
    assert_eq!(writes(&mut log, &vec![records(1).bytes(); 33]), 2);
    let large = records(1).sized(600_000).bytes();
    assert_eq!(writes(&mut log, &vec![large; 3]), 3);
}
