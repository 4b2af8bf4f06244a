//! The file system is a disk, and says what went wrong in its own numbers.

use std::{fs, os::unix::fs::symlink};

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
    file.write_all_at(&mut [IoSlice::new(b"hello")], 0).unwrap();
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
    file.write_all_at(&mut [std::io::IoSlice::new(b"x")], 0).unwrap();
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
