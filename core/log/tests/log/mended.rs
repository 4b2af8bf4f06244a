//! What is gone or made anew when a log is opened is told, with the file and what was wrong with it; of
//! a directory that needs nothing mended nothing is told.

use std::path::{Path, PathBuf};

use dohle_base::{LeaderEpoch, Offset};
use dohle_log::{Disk, OnDamage, sim::SimDisk};

use crate::{
    kit::*,
    script::{Op, Script, start, stop},
    told::Told,
};

const CLEAN_STOP: &str = "/logs/.kafka_cleanshutdown";

/// Several segments with transactions, some of which were aborted, closed.
fn closed() -> SimDisk {
    use Op::*;
    let (disk, mut told) = (disk(), Told::default());
    let turn = [Append(3), Produce(2), Transact(2), Append(1), End { committed: false }];
    let ops = [&turn[..], &[BeginEpoch, Transact(1)], &turn[..], &turn[..], &[Append(4)]].concat();
    Script(ops).play(&disk, &mut told).unwrap();
    stop(&disk, start(&disk, OnDamage::Refuse).unwrap()).unwrap();
    disk
}

/// The files with this suffix, in ascending order.
fn with_suffix(disk: &SimDisk, suffix: &str) -> Vec<PathBuf> {
    let entries = disk.list(Path::new(DIR)).unwrap().into_iter();
    let mut files: Vec<_> = entries.map(|entry| Path::new(DIR).join(entry.name)).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == suffix));
    files.sort();
    files
}

fn mended(disk: &SimDisk) -> Vec<String> {
    let log = start(disk, OnDamage::Refuse).unwrap();
    log.recovery().mended.iter().map(ToString::to_string).collect()
}

/// What is told if `damage` is done to the last file of this suffix.
fn told_of(suffix: &str, damage: impl Fn(&SimDisk, &Path)) -> (String, Vec<String>) {
    let disk = closed();
    let path = with_suffix(&disk, suffix).pop().unwrap();
    damage(&disk, &path);
    let told = mended(&disk);
    // The next start finds it as it should be.
    stop(&disk, start(&disk, OnDamage::Refuse).unwrap()).unwrap();
    assert_eq!(mended(&disk), [""; 0]);
    (path.display().to_string(), told)
}

#[test]
fn nothing_is_told_where_nothing_was_mended() {
    assert_eq!(mended(&closed()), [""; 0]);
    let disk = closed();
    disk.remove(Path::new(CLEAN_STOP)).unwrap();
    assert_eq!(mended(&disk), [""; 0], "after a crash");
    disk.remove(Path::new("/logs/recovery-point-offset-checkpoint")).unwrap();
    assert_eq!(mended(&disk), [""; 0], "after one before all flushes");
    for index in with_suffix(&disk, "index") {
        disk.remove(&index).unwrap();
    }
    assert_eq!(mended(&disk), [""; 0], "all is read and indexed anew then");
}

#[test]
fn a_damaged_snapshot_of_producers_is_told() {
    let (path, told) = told_of("snapshot", |disk, path| disk.flip(path, 8 * 7));
    assert!(told[0].starts_with(&format!("{path} at ")), "{told:?}");
    assert!(told[0].ends_with("; removed") && told.len() == 1, "{told:?}");
    let (path, told) = told_of("snapshot", |disk, path| disk.flip(path, 8 * 12));
    assert!(told[0].starts_with(&format!("{path} at 2: checksum is 0x")), "{told:?}");
    let (path, told) = told_of("snapshot", |disk, path| disk.flip(path, 8 + 2));
    assert!(told[0].starts_with(&format!("{path} at 0: version 5 ")), "{told:?}");
    assert!(told[0].contains(", not 1"), "{told:?}");
    let (path, told) = told_of("snapshot", |disk, path| disk.plant(path, &[0; 4]));
    assert!(told[0].starts_with(&format!("{path} at 4: 4 bytes, not the 10 for 0 entries")));
    assert_eq!(told.len(), 1);
}

/// After a crash, too, for what had been flushed.
#[test]
fn so_it_is_after_a_crash() {
    let disk = closed();
    disk.remove(Path::new(CLEAN_STOP)).unwrap();
    let path = with_suffix(&disk, "snapshot").pop().unwrap();
    disk.flip(&path, 8 * 12);
    let told = mended(&disk);
    assert!(told.iter().any(|line| line.contains(path.to_str().unwrap())), "{told:?}");
}

/// Who has no batch behind the log's start is known by snapshots only.
#[test]
fn that_producers_are_forgotten_with_their_snapshots_is_told() {
    let disk = disk();
    let mut log = start(&disk, OnDamage::Refuse).unwrap();
    log.begin_leader_epoch(LeaderEpoch(1)).unwrap();
    (0..20).for_each(|_| records(3).append_in(&mut log, 1));
    log.flush().unwrap();
    log.advance_log_start(Offset(31)).unwrap();
    stop(&disk, log).unwrap();
    for path in with_suffix(&disk, "snapshot") {
        disk.flip(&path, 8 * 3);
    }
    let told = mended(&disk);
    let expected = format!(
        "{DIR}: no snapshot of producers can be read; those without a batch from offset 31 on are forgotten"
    );
    assert_eq!(told.iter().filter(|line| **line == expected).count(), 1, "{told:?}");
    assert_eq!(told.last(), Some(&expected));
}

#[test]
fn an_index_that_is_made_anew_is_told() {
    let (path, told) = told_of("index", |disk, path| disk.remove(path).unwrap());
    assert_eq!(told, [format!("{path} is not there; made anew from the batches")]);
    let disk = closed();
    let first = with_suffix(&disk, "index").remove(0);
    disk.remove(&first).unwrap();
    assert_eq!(
        mended(&disk),
        [format!("{} is not there; made anew from the batches", first.display())]
    );
    // The last byte of the last entry's position.
    let (path, told) = told_of("index", |disk, path| {
        let size = disk.peek(path).unwrap().len() as u64;
        disk.flip(path, 8 * (size - 1));
    });
    assert!(told[0].starts_with(&format!("{path} at ")) && told.len() == 1, "{told:?}");
    assert!(told[0].contains("no batch with offset "), "{told:?}");
    assert!(told[0].ends_with("; made anew from the batches"), "{told:?}");
    let (path, told) = told_of("txnindex", |disk, path| disk.flip(path, 0));
    let expected = format!("{path} is damaged at 0: ");
    assert!(told[0].starts_with(&expected) && told.len() == 1, "{told:?}");
}

#[test]
fn an_index_without_a_segment_is_told() {
    let disk = closed();
    for suffix in ["index", "timeindex", "txnindex"] {
        let path = PathBuf::from(format!("{DIR}/00000000000000009999.{suffix}"));
        disk.plant(&path, &[0; 8]);
        let told = [format!("{} has no segment of that name; removed", path.display())];
        assert_eq!(mended(&disk), told);
        assert!(disk.peek(&path).is_none());
    }
}
