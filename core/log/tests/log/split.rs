//! A segment with offsets that an index cannot tell becomes several, whatever interrupts that.

use std::path::Path;

use dohle_base::{Offset, Timestamp};
use dohle_log::{
    Disk, DiskFile, LogConfig, LogError,
    disk::OpenMode,
    sim::{Faults, SimDisk},
};

use crate::kit::*;

/// Further from the segment's name than an index can tell.
const FAR: i64 = 1 << 31;

/// A disk with one segment whose batches begin at these offsets.
fn disk_with(bases: &[i64]) -> SimDisk {
    let disk = disk();
    let batches = bases.iter().map(|base| records(5).from(Offset(*base), EPOCH).to_vec());
    let bytes = batches.collect::<Vec<_>>().concat();
    disk.plant(&Path::new(DIR).join("00000000000000000000.log"), &bytes);
    disk
}

/// Only the cleaner leaves such gaps.
fn config() -> LogConfig {
    LogConfig { compacted: true, ..LogConfig::default() }
}

fn logs(disk: &SimDisk) -> Vec<String> {
    let names = disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name);
    names.filter(|name| name.contains(".log")).collect()
}

const BASES: [i64; 5] = [0, 5, FAR + 10, FAR + 15, 3 * FAR];
const SPLIT: [&str; 3] =
    ["00000000000000000000.log", "00000000002147483658.log", "00000000006442450944.log"];

#[test]
fn every_batch_is_kept_in_a_segment_that_can_tell_it() {
    let disk = disk_with(&BASES);
    let mut log = open(&disk, config()).unwrap();
    assert_eq!(logs(&disk), SPLIT);
    let read = read_values(&mut log).into_iter().map(|(offset, _)| offset);
    let expected = BASES.iter().flat_map(|base| *base..base + 5);
    assert_eq!(read.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(log.log_end_offset(), Offset(3 * FAR + 5));
    records(1).append(&mut log).unwrap();
    log.close().unwrap();
}

/// As in Kafka, which ages what has no times by it, too.
#[test]
fn pieces_are_as_old_as_what_was_split() {
    let (disk, changed) = (disk_with(&BASES), Timestamp(NOW.0 - 1_000));
    let file = |name| disk.open(&Path::new(DIR).join(name), OpenMode::Read).unwrap();
    file(SPLIT[0]).set_modified(changed).unwrap();
    disk.set_now(NOW);
    open(&disk, config()).unwrap();
    assert_eq!(SPLIT.map(|name| file(name).modified().unwrap()), [Some(changed); 3]);
}

#[test]
fn a_name_far_before_the_first_batch_is_replaced() {
    let disk = disk_with(&[FAR + 10, FAR + 15]);
    let log = open(&disk, config()).unwrap();
    assert_eq!(logs(&disk), ["00000000002147483658.log"]);
    assert_eq!(log.log_end_offset(), Offset(FAR + 20));
}

#[test]
fn an_offset_that_is_damaged_splits_nothing() {
    let disk = disk_with(&[0, FAR + 10, 5]);
    let error = open(&disk, config()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt(_)), "{error}");
    assert_eq!(logs(&disk), ["00000000000000000000.log"]);
}

#[test]
fn a_power_cut_anywhere_loses_nothing() {
    let whole = disk_with(&BASES);
    let before = whole.changes();
    open(&whole, config()).unwrap();
    for cut in before..=whole.changes() {
        for seed in 0..4 {
            let disk = disk_with(&BASES);
            disk.set_faults(Faults { power_after: Some(cut), ..Faults::default() });
            let _ = open(&disk, config());
            disk.restart(seed);
            disk.set_faults(Faults::default());
            let mut log = open(&disk, config()).unwrap_or_else(|e| panic!("{cut} {seed}: {e}"));
            assert_eq!(read_values(&mut log).len(), 5 * BASES.len(), "{cut} {seed}");
            assert_eq!(logs(&disk), SPLIT, "{cut} {seed}");
        }
    }
}
