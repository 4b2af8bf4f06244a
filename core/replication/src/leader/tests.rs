//! A leader on a simulated disk, which counts what is opened and read.

use std::path::{Path, PathBuf};

use dohle_log::{LogConfig, OpenLog, sim::SimDisk};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// With some sealed segments that have indexes, and without a transaction.
fn leader() -> (SimDisk, Leader<SimDisk>) {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), b"");
    let config =
        LogConfig { segment_bytes_max: 2_000, index_interval_bytes: 100, ..LogConfig::default() };
    let (dir, how) = (PathBuf::from("/logs/t-0"), OpenLog::default());
    let log = Log::open(disk.clone(), dir, config, how, NOW).unwrap();
    let mut leader = Leader::new(log, LeaderEpoch(0), CommitRule::Written, Offset::ZERO).unwrap();
    while leader.log().segment_count() < 4 {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        let value = Some(&b"value"[..]);
        builder.append(&NewRecord { timestamp: NOW, key: None, value, headers: &[] }).unwrap();
        leader.append(&builder.finish(), Origin::Client, NOW, |_, _| {}).unwrap();
    }
    leader.log_mut().flush().unwrap();
    (disk, leader)
}

#[test]
fn where_nothing_was_aborted_nobody_looks_for_it() {
    let (disk, mut leader) = leader();
    let mut cost = |isolation| {
        leader.log_mut().release_files();
        let (opens, reads) = (disk.opens(), disk.reads());
        let read = Read { from: Offset(7), size_max: 500, at_least_one: true, isolation };
        let found = leader.read(read).unwrap();
        assert!(found.slice.is_some() && found.aborted.is_empty());
        (disk.opens() - opens, disk.reads() - reads)
    };
    assert_eq!(cost(Isolation::ReadCommitted), cost(Isolation::ReadUncommitted));
}
