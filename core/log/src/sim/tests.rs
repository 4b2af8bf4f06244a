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
    file.write_all_at(&[IoSlice::new(bytes)], position).unwrap();
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
fn a_torn_write_keeps_some_of_its_sectors_or_pages() {
    let disk = disk_with(&[1; 16384]);
    append(&disk, &[7; 16384], 0);
    let (mut by_sector, mut by_page) = (BTreeSet::new(), BTreeSet::new());
    for seed in 2..60 {
        let fork = disk.fork();
        fork.restart(seed);
        let bytes = fork.peek(Path::new(FILE)).unwrap();
        assert_eq!(bytes.len(), 16384, "the size was durable");
        let runs = |size| bytes.chunks(size).map(|chunk| chunk[0]).collect::<Vec<_>>();
        assert!(bytes.chunks(512).all(|chunk| chunk.iter().all(|byte| *byte == chunk[0])));
        let are_pages = bytes.chunks(4096).all(|chunk| chunk.iter().all(|byte| *byte == chunk[0]));
        if are_pages {
            by_page.insert(runs(4096))
        } else {
            by_sector.insert(runs(512))
        };
    }
    assert!(by_sector.len() > 10 && by_page.len() > 4, "subsets differ from seed to seed");
}

#[test]
fn the_size_survives_apart_from_the_bytes() {
    let disk = disk_with(b"");
    append(&disk, &[7; 5000], 0);
    let mut left = BTreeSet::new();
    for seed in 2..60 {
        let fork = disk.fork();
        fork.restart(seed);
        let bytes = fork.peek(Path::new(FILE)).unwrap();
        assert!(bytes.iter().all(|byte| [0, 7].contains(byte)));
        left.insert((bytes.len(), bytes.contains(&0)));
    }
    assert_eq!(left, BTreeSet::from([(0, false), (5000, false), (5000, true)]));
}

#[test]
fn a_page_is_left_as_it_was_at_some_time() {
    let disk = disk_with(b"old");
    append(&disk, b"one", 0);
    append(&disk, b"two", 0);
    let left = (0..60).map(|seed| {
        let fork = disk.fork();
        fork.restart(seed);
        fork.peek(Path::new(FILE)).unwrap()
    });
    let all = [b"old".to_vec(), b"one".to_vec(), b"two".to_vec()];
    assert_eq!(left.collect::<BTreeSet<_>>(), BTreeSet::from(all));
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
fn each_unsynced_name_is_lost_or_kept_for_itself_or_in_order() {
    let disk = disk_with(b"");
    for name in ["/d/a", "/d/b"] {
        disk.open(Path::new(name), OpenMode::Create).unwrap();
    }
    disk.remove(Path::new(FILE)).unwrap();
    let left = |seed: u64| {
        let fork = disk.fork();
        fork.restart(seed);
        let names = fork.list(Path::new("/d")).unwrap();
        names.into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" ")
    };
    let journalled = (0..60).map(|seed| left(2 * seed)).collect::<BTreeSet<_>>();
    let prefixes = ["a", "a b", "a b f", "a f", "f"].map(str::to_owned);
    assert!(journalled.iter().all(|names| prefixes.contains(names) && names != "a"));
    assert_eq!((0..120).map(left).collect::<BTreeSet<_>>().len(), 8, "any subset");
}

#[test]
fn a_directory_that_was_given_another_name_may_have_its_old_one() {
    let disk = disk_with(b"x");
    disk.rename(Path::new("/d"), Path::new("/e")).unwrap();
    let (old, new) = (disk.fork(), disk.fork());
    new.sync_dir(Path::new("/")).unwrap();
    old.restart(0);
    new.restart(0);
    assert_eq!(
        (old.peek(Path::new("/d/f")), old.peek(Path::new("/e/f"))),
        (Some(b"x".to_vec()), None)
    );
    assert_eq!(
        (new.peek(Path::new("/d/f")), new.peek(Path::new("/e/f"))),
        (None, Some(b"x".to_vec()))
    );
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_wherever_the_power_is_cut() {
    let mut seen = BTreeSet::new();
    // Open, truncate, write, sync, rename, sync of the directory.
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
fn what_a_failed_sync_has_lost_is_seen_until_the_cache_is_dropped() {
    let disk = disk_with(b"old");
    append(&disk, b"lost", 3);
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    let open = || disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let before = open();
    before.sync().unwrap_err();
    disk.kill();
    assert_eq!(before.size().unwrap_err().kind, ErrorKind::NotConnected);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"oldlost");
    let file = open();
    file.write_all_at(&[IoSlice::new(b"!")], 6).unwrap();
    file.drop_cache().unwrap();
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"old\0\0\0!", "what is to be written stays");
    file.sync().unwrap();
    file.drop_cache().unwrap();
    disk.restart(0);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"old\0\0\0!");
}

#[test]
fn a_failed_sync_of_a_directory_loses_what_a_later_one_claims() {
    let (disk, path) = (disk_with(b""), Path::new("/d/new"));
    disk.open(path, OpenMode::Create).unwrap();
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    assert_eq!(disk.sync_dir(Path::new("/d")).unwrap_err().errno, Some(5));
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.restart(1);
    assert_eq!(disk.peek(path), None);
}

#[test]
fn a_write_that_fails_leaves_half_of_it() {
    let disk = disk_with(b"");
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    assert_eq!(file.write_at(&[IoSlice::new(b"abcd")], 0).unwrap_err().errno, Some(5));
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"ab");
}

#[test]
fn one_read_fails_and_the_next_does_not() {
    let disk = disk_with(b"x");
    disk.set_faults(Faults { read_error_at: Some(disk.reads() + 1), ..Faults::default() });
    assert_eq!(read_file(&disk, Path::new(FILE), 1).unwrap_err().errno, Some(5));
    assert_eq!(read_file(&disk, Path::new(FILE), 1).unwrap().unwrap(), b"x");
}

#[test]
fn a_bit_that_rots_is_rotten_for_good() {
    let disk = disk_with(b"ab");
    disk.flip(Path::new(FILE), 8);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"ac");
    disk.restart(0);
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"ac");
}

#[test]
fn what_is_removed_or_cut_makes_room() {
    let disk = disk_with(b"1234");
    disk.plant(Path::new("/d/g"), b"56789");
    disk.set_faults(Faults { bytes_free: Some(0), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"x")], 4).unwrap_err().is_full());
    file.truncate(2).unwrap();
    file.write_all_at(&[IoSlice::new(b"ab")], 2).unwrap();
    disk.remove(Path::new("/d/g")).unwrap();
    file.write_all_at(&[IoSlice::new(b"cdefg")], 4).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"x")], 9).unwrap_err().is_full());
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = disk_with(b"1234");
    disk.set_faults(Faults { bytes_free: Some(3), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let error = file.write_all_at(&[IoSlice::new(b"abcdef")], 4).unwrap_err();
    assert!(error.is_full());
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"1234abc");
    file.write_all_at(&[IoSlice::new(b"over")], 0).unwrap();
}

#[test]
fn short_writes_are_continued() {
    let disk = disk_with(b"");
    disk.set_faults(Faults { write_size_max: Some(3), ..Faults::default() });
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    file.write_all_at(&[IoSlice::new(b"ab"), IoSlice::new(b"cdefg")], 0).unwrap();
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

#[test]
fn a_sync_of_the_volume_keeps_all_and_a_failed_one_loses_it() {
    let made = |disk: &SimDisk| {
        disk.create_dir(Path::new("/d/e")).unwrap();
        append(disk, b" and more", 4);
    };
    let left = |disk: &SimDisk| {
        disk.restart(1);
        (disk.list(Path::new("/d")).unwrap().len(), disk.peek(Path::new(FILE)).unwrap().len())
    };
    let disk = disk_with(b"kept");
    disk.plant(Path::new("/other/f"), b"");
    made(&disk);
    disk.create_dir(Path::new("/other/e")).unwrap();
    disk.sync_all(Path::new("/d")).unwrap();
    disk.restart(0);
    assert_eq!(left(&disk), (2, 13));
    assert_eq!(disk.list(Path::new("/other")).unwrap().len(), 1, "that is on another volume");
    let disk = disk_with(b"kept");
    made(&disk);
    disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() });
    disk.sync_all(Path::new("/d")).unwrap_err();
    disk.sync_all(Path::new("/d")).unwrap();
    assert_eq!(left(&disk), (2, 4), "nobody makes up for it");
}

/// Whoever has the file open is told, and the volume; who opens it then is not.
#[test]
fn what_could_not_be_written_back_is_told_once_and_lost() {
    let disk = disk_with(b"kept");
    append(&disk, b" lost", 4);
    let open = || disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let before = open();
    disk.fail_write_back(Path::new(FILE));
    open().sync().unwrap();
    assert!(before.sync().unwrap_err().is_of_sync());
    before.sync().unwrap();
    disk.sync_all(Path::new("/")).unwrap_err();
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"kept lost");
    disk.restart(1);
    assert_ne!(disk.peek(Path::new(FILE)).unwrap(), b"kept lost");
}

#[test]
fn planted_faults_of_syncs_are_as_they_say() {
    let volume = Path::new("/d");
    let kept_with = |plant: &dyn Fn(&SimDisk)| {
        let disk = disk_with(b"kept");
        plant(&disk);
        let kept = [8, 12, 16].map(|size| {
            append(&disk, b" new", size - 4);
            disk.sync_all(volume).unwrap();
            let cut = disk.fork();
            cut.restart(0);
            cut.peek(Path::new(FILE)).unwrap().len()
        });
        (kept, disk.syncs_of_volumes())
    };
    assert_eq!(kept_with(&|_| {}), ([8, 12, 16], 3));
    assert_eq!(kept_with(&|disk| disk.ignore_syncs_of("/d/*")), ([4, 4, 4], 3));
    assert_eq!(kept_with(&|disk| disk.ignore_syncs_of("/d")), ([8, 12, 16], 3));
    assert_eq!(kept_with(&|disk| disk.ignore_volume_syncs(1, 2)), ([4, 12, 12], 3));
    assert_eq!(kept_with(&|disk| disk.ignore_volume_syncs(2, 2)), ([8, 8, 16], 3));
    for (ending, of_file, of_volume) in
        [("/f", true, false), ("/*", false, true), ("x", false, false)]
    {
        let disk = disk_with(b"kept");
        disk.repeat_failed_syncs_of(ending);
        append(&disk, b" lost", 4);
        let fail = || {
            disk.set_faults(Faults { io_error_at: Some(disk.changes() + 1), ..Faults::default() })
        };
        fail();
        let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
        assert_eq!(file.sync().is_ok(), of_file);
        fail();
        assert_eq!(disk.sync_all(volume).is_ok(), of_volume);
        disk.restart(1);
        assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"kept", "it is as lost as before");
    }
}

#[test]
fn names_are_as_long_as_file_systems_take_them() {
    let (disk, named) = (SimDisk::new(), |size| Path::new("/").join("x".repeat(size)));
    disk.create_dir(&named(255)).unwrap();
    assert!(disk.create_dir(&named(256)).is_err());
    assert!(disk.rename(&named(255), &named(256)).is_err());
    assert!(disk.open(&named(256), OpenMode::Create).is_err());
}

#[test]
fn there_is_no_room_for_one_change_and_for_the_next_there_is() {
    let disk = disk_with(b"kept");
    let no_room = || Faults { full_at: Some(disk.changes() + 1), ..Faults::default() };
    disk.set_faults(no_room());
    let file = disk.open(Path::new(FILE), OpenMode::Write).unwrap();
    let error = file.write_all_at(&[IoSlice::new(b"x")], 4).unwrap_err();
    assert!(error.is_full());
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"kept");
    append(&disk, b"x", 4);
    disk.set_faults(no_room());
    let error = disk.create_dir(Path::new("/d/e")).unwrap_err();
    assert!(error.is_full() && error.operation == crate::disk::Operation::CreateDir);
    disk.set_faults(no_room());
    file.sync().unwrap();
    assert_eq!(disk.peek(Path::new(FILE)).unwrap(), b"keptx");
}
