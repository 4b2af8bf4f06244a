//! The file system is a disk, and says what went wrong in its own numbers.

use std::{
    fs,
    io::IoSliceMut,
    os::unix::fs::{MetadataExt, symlink},
};

use dohle_base::LeaderEpoch;
use dohle_log::{Log, LogConfig, OpenLog, Origin};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};
use rustix::io::{ReadWriteFlags, preadv2};

use super::*;

#[test]
fn the_file_system_is_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    dohle_log::conformance::check(&OsDisk, dir.path());
}

#[test]
fn errors_carry_the_path_and_the_systems_number() {
    let error = OsDisk.open(Path::new("/no/such"), OpenMode::Create).unwrap_err();
    assert_eq!((error.errno, error.path.as_path()), (Some(2), Path::new("/no/such")));
    let full = OsDisk.open(Path::new("/dev/full"), OpenMode::Write).unwrap();
    let error = full.write_at(&[IoSlice::new(b"x")], 0).unwrap_err();
    assert!(error.is_full());
    assert_eq!(error.to_string(), "write /dev/full: no storage space (errno 28)");
}

#[test]
fn a_link_to_a_directory_is_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
    symlink(dir.path().join("gone"), dir.path().join("dangling")).unwrap();
    let listed = OsDisk.list(dir.path()).unwrap();
    let listed = listed.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect::<Vec<_>>();
    assert_eq!(listed, [("dangling", false), ("link", true), ("real", true)]);
}

#[test]
fn a_handle_can_be_sent_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    let target = OsDisk.open(&dir.path().join("g"), OpenMode::Create).unwrap();
    let mut position = 1;
    let sent =
        rustix::fs::sendfile(target.shared(), file.shared(), Some(&mut position), 3).unwrap();
    assert_eq!((sent, position, target.size().unwrap()), (3, 4, 3));
}

#[test]
fn a_file_tells_when_it_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[std::io::IoSlice::new(b"x")], 0).unwrap();
    let wall = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let modified = file.modified().unwrap().unwrap();
    // The kernel's clock for files ticks coarsely.
    assert!((wall - 10_000..=wall + 1_000).contains(&modified.0), "{modified:?}, {wall}");
}

#[test]
fn a_sealed_file_is_for_its_owner_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    OsDisk.open(&path, OpenMode::Create).unwrap();
    OsDisk.seal(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    let error = OsDisk.seal(&dir.path().join("gone")).unwrap_err();
    assert_eq!(error.errno, Some(2));
    assert!(error.to_string().starts_with("make read-only "), "{error}");
}

/// Whether a read finds the file's bytes in memory; `None` if the file system does not tell.
fn is_cached(file: &OsFile) -> Option<bool> {
    let mut byte = [0];
    let read = preadv2(file.shared(), &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    match read {
        Ok(_) => Some(true),
        Err(Errno::AGAIN) => Some(false),
        Err(_) => None,
    }
}

#[test]
fn a_dropped_cache_is_gone_but_for_what_is_to_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(&[7; 100_000])], 0).unwrap();
    file.sync().unwrap();
    assert_ne!(is_cached(&file), Some(false));
    file.drop_cache().unwrap();
    if is_cached(&file) != Some(false) {
        println!("skipped: the file system is in memory, or does not tell");
        return;
    }
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, 99_997).unwrap();
    assert_eq!(bytes, [7; 3]);
}

/// Bytes that the file system holds for a file.
fn held(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn room_ahead_changes_neither_size_nor_bytes_and_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    file.reserve(5, 4 << 20).unwrap();
    assert_eq!(file.size().unwrap(), 5);
    if held(file.path()) < 4 << 20 {
        println!("skipped: the file system sets nothing aside");
        return;
    }
    let mut bytes = [0; 8];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 5);
    file.truncate(5).unwrap();
    assert_eq!((file.size().unwrap(), held(file.path()) < 1 << 20), (5, true));
}

#[test]
fn a_log_gives_back_its_room_when_it_rolls_and_when_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t-0");
    let config =
        LogConfig { preallocate: true, segment_bytes_max: 8 << 20, ..LogConfig::default() };
    let (open, now) = (OpenLog::default(), Timestamp(1_700_000_000_000));
    let mut log = Log::open(OsDisk, path.clone(), config.clone(), open, now).unwrap();
    let append = |log: &mut Log<OsDisk>| {
        let mut batch = BatchBuilder::new(BatchSpec::default());
        batch.append(&NewRecord { value: Some(&[7; 10_000]), ..NewRecord::default() }).unwrap();
        log.append_as_leader(&batch.finish(), LeaderEpoch(0), Origin::Client, now).unwrap();
    };
    append(&mut log);
    let first = path.join("00000000000000000000.log");
    if held(&first) < 8 << 20 {
        println!("skipped: the file system sets nothing aside");
        return;
    }
    log.roll(now).unwrap();
    assert!(held(&first) < 1 << 20);
    append(&mut log);
    let second = path.join("00000000000000000001.log");
    assert!(held(&second) >= 8 << 20);
    // As after kill -9: whoever opens it knows nothing of its room.
    drop(log);
    let log = Log::open(OsDisk, path, config, open, now).unwrap();
    assert!(held(&second) >= 8 << 20);
    log.close().unwrap();
    assert!(held(&second) < 1 << 20);
}

#[test]
fn an_open_file_is_counted_until_the_last_who_holds_it_lets_go() {
    // Other tests open files, too, but not this one's.
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..64)
        .map(|number| OsDisk.open(&dir.path().join(number.to_string()), OpenMode::Create).unwrap())
        .collect();
    let shared: Vec<_> = files.iter().map(OsFile::shared).collect();
    drop(files);
    assert!(open_files() >= 64);
    let before = open_files();
    drop(shared);
    assert!(open_files() < before - 32);
}

#[test]
fn a_full_volume_is_told_by_writes_and_a_failed_sync_is_no_full_volume() {
    // ENOSPC, EDQUOT, EFBIG
    for errno in [28, 122, 27] {
        let source = io::Error::from_raw_os_error(errno);
        let is_full = |operation| IoError::new(operation, Path::new("/x"), &source).is_full();
        let told = [Operation::Write, Operation::Open, Operation::Truncate, Operation::Reserve];
        assert!(told.into_iter().all(is_full), "{errno}");
        assert!([Operation::Rename, Operation::CreateDir].into_iter().all(is_full), "{errno}");
        assert!(!is_full(Operation::Sync) && !is_full(Operation::SyncDir), "{errno}");
    }
}
