//! A directory goes out of service for what its disk did, and for nothing else.

use std::{io, path::Path, time::Duration};

use dohle_base::{PartitionId, TopicId, Uuid};
use dohle_log::{IoError, disk::Operation};
use dohle_replication::CommitRule;

use super::*;
use crate::{
    kit::log_dir_context,
    log_dirs::{LogDir, LogDirContext},
};

fn open(path: &Path) -> (LogDir, Alarm) {
    let alarm = Alarm::default();
    let context = LogDirContext { alarm: alarm.clone(), ..log_dir_context() };
    (LogDir::open(Uuid(7), path.to_owned(), context).unwrap(), alarm)
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
    // EIO, EROFS, EACCES; ENOSPC, EDQUOT; EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN; ENOENT; EEXIST, EXDEV,
    // ENOTDIR, EISDIR, EINVAL, EMLINK, ENAMETOOLONG, ENOTEMPTY, ELOOP
    let table = [
        (system(5), true),
        (system(30), true),
        (system(13), true),
        (system(28), false),
        (system(122), false),
        (system(24), false),
        (system(23), false),
        (system(12), false),
        (system(4), false),
        (system(11), false),
        (system(2), false),
        (of(Operation::Open, 17), false),
        (of(Operation::Rename, 18), false),
        (of(Operation::Open, 20), false),
        (of(Operation::Open, 21), false),
        (of(Operation::Read, 21), false),
        (of(Operation::Rename, 21), false),
        (of(Operation::Remove, 21), false),
        (system(22), false),
        (of(Operation::Rename, 31), false),
        (of(Operation::Open, 36), false),
        (of(Operation::Rename, 39), false),
        (of(Operation::Open, 40), false),
        (of(Operation::Sync, 22), true),
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

/// What the next process makes of the directory.
fn is_distrusted_next(root: &Path, meanwhile: impl FnOnce(&LogDir)) -> bool {
    let (dir, _) = open(root);
    meanwhile(&dir);
    dir.close(&[], 1, 2);
    drop(dir);
    let (dir, _) = open(root);
    let how = dir.how_to_open(&"t".into(), TopicId(Uuid(1)), PartitionId(0), CommitRule::Synced);
    assert_eq!(how.distrust_cache, dir.distrusts_cache());
    how.distrust_cache
}

#[test]
fn the_cache_of_a_disk_that_has_failed_is_not_believed_until_all_logs_were_read_without_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert!(!is_distrusted_next(root, |dir| dir.judge(&system(28))));
    assert!(is_distrusted_next(root, |dir| dir.judge(&of(Operation::Sync, 28))));
    assert!(is_distrusted_next(root, |_| {}), "ended before its logs were open");
    let partition = |index| (TopicId(Uuid(1)), PartitionId(index));
    let is_kept = |dir: &LogDir| {
        dir.write_ahead().keep_frames(partition(0), &"t-0");
        dir.logs_are_open(&[]);
        dir.write_ahead().let_frames_go(partition(1));
    };
    assert!(is_distrusted_next(root, is_kept), "a log has not taken its frames in");
    let is_gone_too_early = |dir: &LogDir| {
        dir.write_ahead().keep_frames(partition(0), &"t-0");
        dir.write_ahead().let_frames_go(partition(0));
    };
    assert!(is_distrusted_next(root, is_gone_too_early), "the others were not open");
    let is_gone = |dir: &LogDir| {
        dir.write_ahead().keep_frames(partition(0), &"t-0");
        dir.logs_are_open(&[]);
        dir.write_ahead().let_frames_go(partition(0));
    };
    assert!(!is_distrusted_next(root, is_gone), "nobody needs its frames any more");
    assert!(is_distrusted_next(root, |dir| dir.judge(&system(5))));
    let fails_again = |dir: &LogDir| {
        dir.judge(&system(5));
        dir.logs_are_open(&[]);
    };
    assert!(is_distrusted_next(root, fails_again));
    assert!(!is_distrusted_next(root, |dir| dir.logs_are_open(&[])));
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
