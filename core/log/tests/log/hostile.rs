//! No bytes in any file make opening or reading a log panic, and no wrong batch is ever served.

use std::path::Path;

use dohle_base::{Offset, Rng};
use dohle_log::{
    DamageReason, Disk, Log, LogConfig, LogError, OnDamage, OpenLog, Origin, ReadRange,
    sim::SimDisk,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use crate::kit::*;

/// How many transactions the log has: each of two records, one record beside it and a marker.
const TURNS: i32 = 7;
/// Where it ends.
const END: Offset = Offset(TURNS as i64 * 4);

/// A log with several segments, transactions and producers, closed.
fn closed() -> SimDisk {
    let (disk, mut log) = empty(small());
    for index in 0..TURNS {
        records(2).by(1, 0, index * 2).in_transaction().append(&mut log).unwrap();
        records(1).append(&mut log).unwrap();
        append_marker(&mut log, 1, index % 2 == 0);
    }
    log.close().unwrap();
    disk
}

/// Uses everything that reads files.
fn exercise(disk: &SimDisk, clean: bool) -> Result<Log<SimDisk>, LogError> {
    let recovery_point = if clean { END } else { Offset(0) };
    let how = OpenLog { clean, recovery_point, ..OpenLog::default() };
    let mut log = open_how(disk, small(), how)?;
    let _ = log.offset_for_timestamp(NOW);
    let _ = log.max_timestamp();
    let _ = log.aborted_transactions(Offset(0), END);
    let end = log.log_end_offset();
    // No checksum guards offsets: a batch can claim to lie far away.
    for from in 0..=end.0.min(100) {
        let from = Offset(from);
        let range = ReadRange { from, up_to: end, size_max: 500, at_least_one: true };
        if let Ok(Some(slice)) = log.read(range) {
            let bytes = slice.read().unwrap();
            // Only heads are looked at on the way to a reader: what they say must be in place.
            let head = dohle_records::BatchHeader::parse(&bytes).unwrap();
            assert!(head.last_offset() >= from);
        }
    }
    Ok(log)
}

fn files(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn any_file_may_end_anywhere() {
    let whole = closed();
    for name in files(&whole) {
        let path = Path::new(DIR).join(&name);
        let bytes = whole.peek(&path).unwrap();
        let step = (bytes.len() / 25).max(1);
        for size in (0..bytes.len()).step_by(step) {
            for clean in [true, false] {
                let disk = whole.fork();
                disk.plant(&path, &bytes[..size]);
                let _ = exercise(&disk, clean);
            }
        }
    }
}

#[test]
fn any_byte_of_any_file_may_be_another() {
    let whole = closed();
    let mut rng = Rng::from_seed(11);
    for name in files(&whole) {
        let path = Path::new(DIR).join(&name);
        let bytes = whole.peek(&path).unwrap();
        for round in 0..40 {
            let mut changed = bytes.clone();
            if changed.is_empty() {
                changed = vec![0; 30];
                rng.fill(&mut changed);
            } else {
                let at = rng.below(changed.len() as u64) as usize;
                changed[at] ^= 1 << rng.below(8);
                if round % 3 == 0 {
                    let from = rng.below(changed.len() as u64) as usize;
                    rng.fill(&mut changed[from..]);
                }
            }
            for clean in [true, false] {
                let disk = whole.fork();
                disk.plant(&path, &changed);
                let _ = exercise(&disk, clean);
            }
        }
    }
}

#[test]
fn after_a_crash_damaged_side_files_cost_nothing() {
    let whole = closed();
    let expected = read_values(&mut exercise(&whole, false).unwrap());
    let mut rng = Rng::from_seed(5);
    for name in files(&whole).iter().filter(|name| !name.ends_with(".log")) {
        let path = Path::new(DIR).join(name);
        for size in [0, 5, 12, 34, 100] {
            let mut noise = vec![0; size];
            rng.fill(&mut noise);
            let disk = whole.fork();
            disk.plant(&path, &noise);
            let mut log = exercise(&disk, false).unwrap_or_else(|e| panic!("{name} {size}: {e}"));
            assert_eq!(read_values(&mut log), expected, "{name} {size}");
            assert_eq!(log.producers().len(), 1, "{name} {size}");
            let aborted = log.aborted_transactions(Offset(0), END).unwrap();
            assert_eq!(aborted.len(), 3, "{name} {size}");
        }
    }
}

#[test]
fn a_producer_snapshot_of_another_history_is_not_believed() {
    // A cut removed it, and the power went before that was durable.
    let (other, mut log) = empty(small());
    records(6).by(99, 0, 0).append(&mut log).unwrap();
    log.close().unwrap();
    let name = "00000000000000000006.snapshot";
    let stale = other.peek(&Path::new(DIR).join(name)).unwrap();

    let (disk, mut log) = empty(small());
    records(6).by(1, 0, 0).append(&mut log).unwrap();
    log.flush().unwrap();
    disk.plant(&Path::new(DIR).join(name), &stale);
    let end = open(&disk, small()).unwrap().close().unwrap();
    let how = OpenLog { clean: true, recovery_point: end, ..OpenLog::default() };
    let log = open_how(&disk, small(), how).unwrap();
    assert_eq!(log.producers().map(|producer| producer.id.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_damaged_producer_snapshot_that_a_recovery_keeps_is_made_anew() {
    let (whole, mut log) = empty(small());
    for sequence in 0..30 {
        records(1).by(1, 0, sequence).append(&mut log).unwrap();
    }
    let end = log.close().unwrap();
    let snapshots = files(&whole).into_iter().filter(|name| name.ends_with(".snapshot"));
    let snapshots: Vec<_> = snapshots.map(|name| Path::new(DIR).join(name)).collect();
    assert!(snapshots.len() > 2, "{snapshots:?}");
    for path in &snapshots {
        let disk = whole.fork();
        let written = disk.peek(path).unwrap();
        disk.plant(path, &written[..written.len() - 1]);
        // All is read again, although all of it is known to be durable.
        disk.plant(&Path::new(DIR).join("leader-epoch-checkpoint"), b"?");
        let how = OpenLog { recovery_point: end, ..OpenLog::default() };
        let log = open_how(&disk, small(), how).unwrap();
        assert_eq!(log.producers().len(), 1);
        assert!(disk.peek(path).unwrap() == written, "{}", path.display());
    }
}

#[test]
fn a_lying_index_costs_time_and_no_record() {
    let whole = closed();
    let expected = read_values(&mut exercise(&whole, true).unwrap());
    let mut rng = Rng::from_seed(6);
    for name in files(&whole).iter().filter(|name| name.ends_with(".index")) {
        let batches = whole.peek(&Path::new(DIR).join(name.replace("index", "log"))).unwrap();
        let mut walk = dohle_records::entries(&batches);
        let positions = std::iter::from_fn(|| Some((walk.position(), walk.next()?)));
        let positions = positions.map(|(position, _)| position as u32).collect::<Vec<_>>();
        for round in 0..20 {
            let path = Path::new(DIR).join(name);
            // Offsets ascend as they should; positions are anything, or those of other batches.
            let mut bytes = Vec::new();
            for offset in 0..4_u32 {
                let noise = 40 + offset * 60 + rng.below(60) as u32;
                let other = positions.get(offset as usize + round % 4).copied();
                bytes.extend(offset.to_be_bytes());
                bytes.extend(other.filter(|_| round % 2 == 0).unwrap_or(noise).to_be_bytes());
            }
            let disk = whole.fork();
            disk.plant(&path, &bytes);
            let mut log = exercise(&disk, true).unwrap();
            assert_eq!(read_values(&mut log), expected, "{name}");
        }
    }
}

#[test]
fn damage_with_valid_data_behind_it_is_refused_and_named() {
    let whole = closed();
    let logs = files(&whole).into_iter().filter(|name| name.ends_with(".log")).collect::<Vec<_>>();
    let path = Path::new(DIR).join(&logs[1]);
    let mut bytes = whole.peek(&path).unwrap();
    bytes[70] ^= 4;
    whole.plant(&path, &bytes);
    let error = exercise(&whole, false).unwrap_err();
    let LogError::Corrupt(corruption) = error else { panic!("{error}") };
    assert_eq!((&corruption.path, corruption.position), (&path, 0));
    assert!(matches!(
        corruption.reason,
        DamageReason::Batch(dohle_records::BatchError::BadCrc { .. })
    ));
    let behind = corruption.valid_at.as_ref().unwrap();
    assert_eq!(behind.path, path);
    assert_eq!(whole.peek(&path).unwrap(), bytes, "nothing was cut");
    let text = corruption.to_string();
    assert!(text.contains(&logs[1]) && text.contains("damaged at 0: checksum"), "{text}");

    let how = OpenLog { on_damage: OnDamage::Cut, ..OpenLog::default() };
    let mut log = open_how(&whole, small(), how).unwrap();
    let cut = log.recovery().cut.clone().unwrap();
    assert_eq!((&cut.path, cut.position), (&path, 0));
    assert!(cut.size > bytes.len() as u64, "later segments went, too");
    assert_eq!(read_values(&mut log).last().unwrap().0 + 1, log.log_end_offset().0);
}

#[test]
fn a_length_that_lies_does_not_hide_what_is_behind() {
    let (disk, mut log) = empty(LogConfig::default());
    for _ in 0..5 {
        records(3).append(&mut log).unwrap();
    }
    drop(log);
    let path = Path::new(DIR).join("00000000000000000000.log");
    let mut bytes = disk.peek(&path).unwrap();
    // The second batch claims to go far beyond the end of the file.
    let at = bytes.len() / 5 + 8;
    bytes[at] = 0x7f;
    disk.plant(&path, &bytes);
    let error = open(&disk, LogConfig::default()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt(c) if c.valid_at.is_some()));
}

#[test]
fn a_torn_tail_is_cut_however_it_is_torn() {
    let (whole, mut log) = empty(LogConfig::default());
    for _ in 0..3 {
        records(3).append(&mut log).unwrap();
    }
    log.flush().unwrap();
    drop(log);
    let path = Path::new(DIR).join("00000000000000000000.log");
    let bytes = whole.peek(&path).unwrap();
    let tail = bytes.len() / 3 * 2;
    let mut tails = vec![vec![0; 5_000], b"rubbish".repeat(300)];
    tails.extend((1..bytes.len() - tail).map(|size| bytes[tail..tail + size].to_vec()));
    for torn in tails {
        let disk = whole.fork();
        disk.plant(&path, &[&bytes[..tail], &torn].concat());
        let mut log = open(&disk, LogConfig::default()).unwrap();
        assert_eq!(log.log_end_offset(), Offset(6), "{}", torn.len());
        assert_eq!(log.recovery().cut.as_ref().unwrap().size, torn.len() as u64);
        assert_eq!(read_values(&mut log).len(), 6);
        assert_eq!(disk.peek(&path).unwrap().len(), tail);
    }
}

/// A log of two batches, of which the second, with this value, is torn where its value ends.
fn torn_value(value: &[u8]) -> SimDisk {
    let config = LogConfig { message_bytes_max: 2 << 20, ..LogConfig::default() };
    let (disk, mut log) = empty(config);
    records(3).append(&mut log).unwrap();
    let mut builder = BatchBuilder::new(BatchSpec::default());
    for value in [value, b"the end that is torn off"] {
        let (timestamp, value) = (NOW, Some(value));
        builder.append(&NewRecord { timestamp, key: None, value, headers: &[] }).unwrap();
    }
    log.append_as_leader(&builder.finish(), EPOCH, Origin::Client, NOW).unwrap();
    let path = Path::new(DIR).join("00000000000000000000.log");
    let mut bytes = disk.peek(&path).unwrap();
    bytes.truncate(bytes.len() - 20);
    disk.plant(&path, &bytes);
    disk
}

#[test]
fn a_batch_in_a_torn_record_is_no_batch_of_the_log() {
    // As another broker's segment has them; only one goes on where the torn batch ends.
    let bases = [4, 6, 100, 2_000_000].map(|base| records(2).from(Offset(base), EPOCH).to_vec());
    let disk = torn_value(&bases.concat());
    let log = open(&disk, LogConfig::default()).unwrap();
    assert_eq!(log.log_end_offset(), Offset(3));
    assert!(log.recovery().cut.is_some());
}

#[test]
fn heads_of_batches_in_a_torn_record_cost_one_pass() {
    let mut head = records(1).from(Offset(5), EPOCH)[..61].to_vec();
    head[8..12].copy_from_slice(&500_000_i32.to_be_bytes());
    let disk = torn_value(&head.repeat((1 << 20) / 61));
    for on_damage in [OnDamage::Refuse, OnDamage::Cut] {
        let disk = disk.fork();
        let before = disk.reads();
        let how = OpenLog { on_damage, ..OpenLog::default() };
        let log = open_how(&disk, LogConfig::default(), how).unwrap();
        assert_eq!(log.log_end_offset(), Offset(3));
        assert!(disk.reads() - before < 12, "{on_damage:?}: {}", disk.reads() - before);
    }
}

#[test]
fn leftovers_of_an_interrupted_cleaning_are_undone_or_finished() {
    let whole = closed();
    let expected = read_values(&mut exercise(&whole, false).unwrap());
    let logs = files(&whole).into_iter().filter(|name| name.ends_with(".log")).collect::<Vec<_>>();
    let dir = Path::new(DIR);
    let bytes = |name: &str| whole.peek(&dir.join(name)).unwrap();

    let disk = whole.fork();
    disk.plant(&dir.join(format!("{}.cleaned", logs[0])), b"half");
    disk.plant(&dir.join(format!("{}.swap", logs[1])), b"not all of them are there");
    disk.plant(&dir.join(format!("{}.deleted", logs[2])), &bytes(&logs[2]));
    assert_eq!(read_values(&mut exercise(&disk, true).unwrap()), expected);
    assert!(files(&disk).iter().all(|name| !name.contains("log.")));

    // Two segments became one, which was complete when the node stopped.
    let disk = whole.fork();
    let merged = [bytes(&logs[0]), bytes(&logs[1])].concat();
    disk.plant(&dir.join(format!("{}.swap", logs[0])), &merged);
    let mut log = exercise(&disk, true).unwrap();
    assert_eq!(read_values(&mut log), expected);
    assert!(!files(&disk).contains(&logs[1]));
}
