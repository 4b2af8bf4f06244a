//! The simulated disk keeps a disk's promises, and breaks them only as a power cut does.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, IoSlice},
    path::Path,
};

use super::{Faults, SimDisk};
use crate::disk::{Disk, DiskFile, OpenMode, read_file, replace_file};

const FILE: &str = "/d/f";

fn disk_with(bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new(FILE), bytes);
    disk
}

fn append(disk: &SimDisk, bytes: &[u8], position: u64) {
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    file.write_all_at(&mut [IoSlice::new(bytes)], position).unwrap();
}

#[test]
fn the_simulated_disk_is_a_disk() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/disk")).unwrap();
    crate::conformance::check(&disk, Path::new("/disk"));
}

#[test]
fn synced_bytes_survive_and_others_may_not() {
    let disk = disk_with(b"kept");
    append(&disk, b" synced", 4);
    disk.open(Path::new(FILE), OpenMode::Write).unwrap().sync().unwrap();
    append(&disk, b" lost", 11);
    let lucky = disk.fork();
    disk.restart(0);
    lucky.restart(1);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"kept synced");
    assert_eq!(lucky.peek(Path::new(FILE)).unwrap(), b"kept synced lost");
}

#[test]
fn a_torn_write_keeps_some_of_its_sectors() {
    let disk = disk_with(b"");
    append(&disk, &[7; 4096], 0);
    let left = (2..40).map(|seed| {
        let fork = disk.fork();
        fork.restart(seed);
        let bytes = fork.peek(Path::new(FILE)).unwrap();
        assert_eq!(bytes.len() % 512, 0);
        bytes.iter().filter(|byte| **byte == 7).count()
    });
    assert!(left.collect::<BTreeSet<_>>().len() > 3, "subsets differ from seed to seed");
}

#[test]
fn unsynced_names_are_lost_and_synced_ones_are_not() {
    let disk = disk_with(b"");
    let path = Path::new("/d/new");
    disk.open(path, OpenMode::Create).unwrap().sync().unwrap();
    let synced = disk.fork();
    synced.sync_dir(Path::new("/d")).unwrap();
    disk.restart(0);
    synced.restart(0);
    assert_eq!((disk.peek(path), synced.peek(path)), (None, Some(vec![])));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_wherever_the_power_is_cut() {
    let mut seen = BTreeSet::new();
    for count in 0..=6 {
        for seed in 0..16 {
            let disk = disk_with(b"old");
            disk.set_faults(Faults { power_after: Some(count), ..Faults::default() });
            let done = replace_file(&disk, Path::new(FILE), b"new").is_ok();
            disk.restart(seed);
            let left = disk.peek(Path::new(FILE)).unwrap();
            assert!(left == b"old" || left == b"new");
            assert!(!done || left == b"new");
            seen.insert((done, left));
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_failed_sync_loses_what_a_later_one_claims() {
    let disk = disk_with(b"");
    append(&disk, b"x", 0);
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    assert_eq!(file.sync().unwrap_err().errno, Some(5));
    file.sync().unwrap();
    disk.restart(1);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"");
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = disk_with(b"1234");
    disk.set_faults(Faults { bytes_free: Some(3), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let error = file.write_all_at(&mut [IoSlice::new(b"abcdef")], 4).unwrap_err();
    assert!(error.is_full());
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"1234abc");
    file.write_all_at(&mut [IoSlice::new(b"over")], 0).unwrap();
}

#[test]
fn short_writes_are_continued() {
    let disk = disk_with(b"");
    disk.set_faults(Faults { write_size_max: Some(3), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    file.write_all_at(&mut [IoSlice::new(b"ab"), IoSlice::new(b"cdefg")], 0).unwrap();
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"abcdefg");
    assert_eq!(disk.changes(), 3);
}

#[test]
fn without_power_nothing_works_and_old_handles_stay_dead() {
    let disk = disk_with(b"x");
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    disk.set_faults(Faults { power_after: Some(0), ..Faults::default() });
    assert_eq!(file.sync().unwrap_err().kind, ErrorKind::NotConnected);
    assert_eq!(disk.list(Path::new("/d")).unwrap_err().kind, ErrorKind::NotConnected);
    disk.restart(0);
    assert_eq!(file.size().unwrap_err().kind, ErrorKind::NotConnected);
    assert_eq!(read_file(&disk, Path::new(FILE), 1).unwrap().unwrap(), b"x");
}

#[test]
fn unreadable_files_answer_eio() {
    let disk = disk_with(b"x");
    let unreadable = BTreeSet::from([FILE.into()]);
    disk.set_faults(Faults { unreadable, ..Faults::default() });
    assert_eq!(read_file(&disk, Path::new(FILE), 1).unwrap_err().errno, Some(5));
}
