//! A directory goes out of service for what its disk did, and for nothing else.

use std::{io, path::Path, time::Duration};

use dohle_base::Uuid;
use dohle_log::{IoError, disk::Operation};
use dohle_os::OsDisk;

use super::*;
use crate::{log_dirs::LogDir, open_files::OpenFiles, upkeep::Upkeep};

fn open(path: &Path) -> (LogDir, Alarm) {
    let alarm = Alarm::default();
    let (upkeep, _) = Upkeep::new();
    let files = Arc::new(OpenFiles::within(1_000, 100, 2));
    let dir = LogDir::open(Uuid(7), path.to_owned(), OsDisk, upkeep, alarm.clone(), files);
    (dir.unwrap(), alarm)
}

fn system(errno: i32) -> IoError {
    of(Operation::Write, errno)
}

fn of(operation: Operation, errno: i32) -> IoError {
    let source = io::Error::from_raw_os_error(errno);
    IoError::new(operation, Path::new("/x/t-0/f"), &source)
}

fn own(kind: io::ErrorKind) -> IoError {
    IoError::of_kind(Operation::Read, Path::new("/x/t-0/f"), kind)
}

/// Whether the alarm rings, not waiting for it.
fn rings(alarm: &Alarm) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let heard = async { tokio::time::timeout(Duration::ZERO, alarm.heard()).await };
    runtime.block_on(heard).is_ok()
}

#[test]
fn only_the_disks_own_errors_count() {
    // EIO, EROFS, EACCES, EISDIR; ENOSPC, EDQUOT; EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN; ENOENT
    let table = [
        (system(5), true),
        (system(30), true),
        (system(13), true),
        (system(21), true),
        (system(28), false),
        (system(122), false),
        (system(24), false),
        (system(23), false),
        (system(12), false),
        (system(4), false),
        (system(11), false),
        (system(2), false),
        // Whatever it was short of, what was to be synced may be lost.
        (of(Operation::Sync, 28), true),
        (of(Operation::SyncDir, 28), true),
        (of(Operation::Sync, 122), true),
        (of(Operation::Sync, 27), true),
        (of(Operation::Sync, 12), true),
        // These find out before anything is lost.
        (of(Operation::Open, 28), false),
        (of(Operation::Rename, 28), false),
        (of(Operation::Reserve, 28), false),
        (of(Operation::Truncate, 122), false),
        (system(27), false),
        // A file that ends too early is damaged, its disk is not.
        (own(io::ErrorKind::UnexpectedEof), false),
        (own(io::ErrorKind::StorageFull), false),
    ];
    for (error, fails) in table {
        let root = tempfile::tempdir().unwrap();
        let (dir, alarm) = open(root.path());
        dir.judge(&error);
        assert_eq!(dir.has_failed(), fails, "{error}");
        assert_eq!(rings(&alarm), fails, "{error}");
    }
}

#[test]
fn a_directory_without_anything_in_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("logs");
    std::fs::create_dir(&path).unwrap();
    let (dir, _) = open(&path);
    dir.judge(&system(2));
    assert!(!dir.has_failed(), "a file is missing, the others are there");
    std::fs::remove_dir_all(&path).unwrap();
    dir.judge(&system(2));
    assert!(dir.has_failed());
}

#[test]
fn the_alarm_rings_once_for_each_directory() {
    let root = tempfile::tempdir().unwrap();
    let (dir, alarm) = open(root.path());
    dir.judge(&system(5));
    dir.judge(&system(5));
    assert!(rings(&alarm));
    assert!(!rings(&alarm));
}
