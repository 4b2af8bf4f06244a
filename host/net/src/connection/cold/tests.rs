use std::{fs::File, io::Write};

use rustix::fs::{Advice, fadvise};

use super::*;

const SIZE: usize = 4 << 20;

/// A file that is on the disk, and in memory no more; `None` where the system keeps it there.
fn cold_file() -> Option<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; SIZE]).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let is_cold = is_cold(file.as_fd(), 0, SIZE);
    if !is_cold {
        println!("skipped: files in the temporary directory stay in memory");
    }
    is_cold.then_some(file)
}

#[test]
fn what_was_just_written_is_not_cold() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![7; SIZE]).unwrap();
    assert!(!is_cold(file.as_fd(), 0, SIZE));
    assert!(!is_cold(file.as_fd(), 5, 1));
    assert!(
        !is_cold(file.as_fd(), SIZE as u64, 100),
        "behind the end there is nothing to wait for"
    );
}

#[test]
fn looks_do_not_make_it_warm() {
    let Some(file) = cold_file() else { return };
    let position = 1 << 20;
    let cold = (0..6).filter(|_| is_cold(file.as_fd(), position, COLD_PROBE_BYTES)).count();
    assert!(cold >= 5, "{cold}");
}

#[test]
fn what_needs_no_waiting_is_read_now() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"some bytes").unwrap();
    let mut buffer = [0; 4];
    assert!(read_now(file.as_fd(), &mut buffer, 5).unwrap());
    assert_eq!(&buffer, b"byte");
    // Too short: what waits says so.
    assert!(!read_now(file.as_fd(), &mut buffer, 8).unwrap());
    let error = read_waiting(file.as_fd(), &mut buffer, 8).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let Some(file) = cold_file() else { return };
    assert!(!read_now(file.as_fd(), &mut buffer, 1_000_000).unwrap());
}

#[test]
fn what_was_read_is_not_cold_any_more() {
    let Some(file) = cold_file() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (position, len) = (SIZE as u64 - 300_000, 300_000);
    // The system may have begun to read when it was asked.
    let copy = file.try_clone().unwrap();
    runtime.block_on(async { read(copy, position, len).await }).unwrap();
    assert!(!is_cold(file.as_fd(), position, len));
    assert!(is_cold(file.as_fd(), 0, SIZE), "the rest is where it was");
}

#[test]
fn a_read_behind_the_end_ends() {
    let file = tempfile::tempfile().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { read(file, 100, 1 << 20).await }).unwrap();
}
