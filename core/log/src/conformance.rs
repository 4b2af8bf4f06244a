//! What every disk must do: the same suite runs on the simulated disk and on the real one.
//!
//! Each check makes what it needs below the directory that it is given, which must exist, and
//! panics where the disk does not keep its promises. Faults and power cuts are not checked here: a
//! real disk cannot be told to have them.

use std::{
    io::{ErrorKind, IoSlice},
    path::Path,
};

use dohle_base::Timestamp;

use crate::disk::{
    DirEntry, Disk, DiskFile, OpenMode, read_file, remove_if_there, remove_tree, replace_file,
};

/// Runs all checks below `dir`.
///
/// # Panics
/// Where the disk breaks a promise of `Disk`.
pub fn check<D: Disk>(disk: &D, dir: &Path) {
    bytes_written_are_read(disk, &dir.join("bytes"));
    vectors_are_written_in_order(disk, &dir.join("vectors"));
    a_size_can_be_set(disk, &dir.join("size"));
    a_time_can_be_set(disk, &dir.join("time"));
    missing_files_are_told_apart(disk, &dir.join("missing"));
    names_are_listed_in_order(disk, &dir.join("names"));
    a_rename_replaces(disk, &dir.join("rename"));
    room_ahead_changes_nothing(disk, &dir.join("room"));
    without_a_cache_the_bytes_are_the_same(disk, &dir.join("cache"));
    a_handle_outlives_its_name(disk, &dir.join("handle"));
    side_files_are_replaced_whole(disk, &dir.join("replace"));
    trees_are_removed(disk, &dir.join("tree"));
    a_reader_cannot_write(disk, &dir.join("reader"));
}

fn make<D: Disk>(disk: &D, dir: &Path) {
    disk.create_dir(dir).unwrap();
    let again = disk.create_dir(dir).unwrap_err();
    assert_eq!((again.kind, again.path.as_path()), (ErrorKind::AlreadyExists, dir));
}

fn bytes_written_are_read<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    file.write_all_at(&[IoSlice::new(b"J")], 0).unwrap();
    file.write_all_at(&[IoSlice::new(b"end")], 8).unwrap();
    file.sync().unwrap();
    disk.sync_dir(dir).unwrap();
    let mut buffer = [1; 16];
    assert_eq!(file.read_up_to(&mut buffer, 0).unwrap(), 11);
    assert_eq!(&buffer[..11], b"Jello\0\0\0end");
    assert_eq!(file.read_up_to(&mut buffer, 9).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 11).unwrap(), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).unwrap(), 0);
    let early = file.read_exact_at(&mut buffer, 0).unwrap_err();
    assert_eq!(early.kind, ErrorKind::UnexpectedEof);
    let other = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    assert_eq!(other.size().unwrap(), 11);
    assert_eq!(other.path(), dir.join("f"));
    assert_eq!(disk.size_of(&dir.join("f")), Ok(11));
    assert!(disk.size_of(&dir.join("g")).unwrap_err().is_not_found());
}

fn vectors_are_written_in_order<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    // More parts than any system takes in one call.
    let parts = (0..3_000_u32).map(u32::to_be_bytes).collect::<Vec<_>>();
    let slices = parts.iter().map(|part| IoSlice::new(part)).collect::<Vec<_>>();
    file.write_all_at(&slices, 2).unwrap();
    let mut bytes = vec![0; 12_000];
    file.read_exact_at(&mut bytes, 2).unwrap();
    assert_eq!(bytes, parts.concat());
    assert_eq!(file.write_at(&[], 0).unwrap(), 0);
    assert_eq!(file.size().unwrap(), 12_002);
}

fn a_size_can_be_set<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"0123456789")], 0).unwrap();
    file.truncate(4).unwrap();
    file.truncate(6).unwrap();
    assert_eq!(read_file(disk, &dir.join("f"), 100).unwrap().unwrap(), b"0123\0\0");
}

fn a_time_can_be_set<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"x")], 0).unwrap();
    let at = Timestamp(1_700_000_000_123);
    file.set_modified(at).unwrap();
    file.sync().unwrap();
    disk.rename(&dir.join("f"), &dir.join("g")).unwrap();
    let file = disk.open(&dir.join("g"), OpenMode::Read).unwrap();
    assert_eq!(file.modified().unwrap(), Some(at));
}

fn missing_files_are_told_apart<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let path = dir.join("f");
    assert!(disk.open(&path, OpenMode::Read).err().unwrap().is_not_found());
    assert!(disk.open(&path, OpenMode::Write).err().unwrap().is_not_found());
    assert!(disk.open(&dir.join("no/f"), OpenMode::Create).err().unwrap().is_not_found());
    assert!(disk.remove(&path).unwrap_err().is_not_found());
    assert!(disk.rename(&path, &dir.join("g")).unwrap_err().is_not_found());
    assert!(disk.list(&path).unwrap_err().is_not_found());
    assert!(disk.remove_dir(&path).unwrap_err().is_not_found());
    assert!(disk.sync_dir(&path).unwrap_err().is_not_found());
    assert_eq!(disk.remove(&path).unwrap_err().path, path);
    remove_if_there(disk, &path).unwrap();
    assert_eq!(read_file(disk, &path, 9).unwrap(), None);
}

fn names_are_listed_in_order<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    for name in ["b", "a", "c"] {
        disk.open(&dir.join(name), OpenMode::Create).unwrap();
    }
    disk.create_dir(&dir.join("aa")).unwrap();
    disk.open(&dir.join("aa/inner"), OpenMode::Create).unwrap();
    disk.remove(&dir.join("c")).unwrap();
    let entry = |name: &str, is_dir| DirEntry { name: name.to_owned(), is_dir };
    let expected = vec![entry("a", false), entry("aa", true), entry("b", false)];
    assert_eq!(disk.list(dir).unwrap(), expected);
    let full = disk.remove_dir(&dir.join("aa")).unwrap_err();
    assert_eq!(full.kind, ErrorKind::DirectoryNotEmpty);
}

fn a_rename_replaces<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    for (name, bytes) in [("old", b"old"), ("new", b"new")] {
        let file = disk.open(&dir.join(name), OpenMode::Create).unwrap();
        file.write_all_at(&[IoSlice::new(bytes)], 0).unwrap();
    }
    disk.rename(&dir.join("new"), &dir.join("old")).unwrap();
    assert_eq!(read_file(disk, &dir.join("old"), 9).unwrap().unwrap(), b"new");
    assert_eq!(read_file(disk, &dir.join("new"), 9).unwrap(), None);
    disk.create_dir(&dir.join("d")).unwrap();
    disk.rename(&dir.join("old"), &dir.join("d/f")).unwrap();
    disk.rename(&dir.join("d"), &dir.join("e")).unwrap();
    assert_eq!(read_file(disk, &dir.join("e/f"), 9).unwrap().unwrap(), b"new");
    assert_eq!(disk.list(dir).unwrap().len(), 1);
}

fn without_a_cache_the_bytes_are_the_same<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"synced")], 0).unwrap();
    file.sync().unwrap();
    file.write_all_at(&[IoSlice::new(b", not")], 6).unwrap();
    file.drop_cache().unwrap();
    assert_eq!(read_file(disk, file.path(), 99).unwrap().unwrap(), b"synced, not");
    disk.open(file.path(), OpenMode::Read).unwrap().drop_cache().unwrap();
    assert_eq!(read_file(disk, file.path(), 99).unwrap().unwrap(), b"synced, not");
}

fn room_ahead_changes_nothing<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"hello")], 0).unwrap();
    file.reserve(5, 1 << 20).unwrap();
    file.write_all_at(&[IoSlice::new(b" there")], 5).unwrap();
    file.truncate(11).unwrap();
    assert_eq!(read_file(disk, &dir.join("f"), 99).unwrap().unwrap(), b"hello there");
}

fn a_handle_outlives_its_name<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let file = disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    file.write_all_at(&[IoSlice::new(b"x")], 0).unwrap();
    disk.remove(&dir.join("f")).unwrap();
    let clone = file.clone();
    drop(file);
    let mut buffer = [0];
    clone.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"x");
}

fn side_files_are_replaced_whole<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    let path = dir.join("side");
    replace_file(disk, &path, b"long content").unwrap();
    replace_file(disk, &path, b"short").unwrap();
    assert_eq!(read_file(disk, &path, 5).unwrap().unwrap(), b"short");
    assert_eq!(read_file(disk, &path, 4).unwrap_err().kind, ErrorKind::FileTooLarge);
    assert_eq!(disk.list(dir).unwrap().len(), 1, "the temporary file is gone");
}

fn trees_are_removed<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    disk.create_dir(&dir.join("a")).unwrap();
    disk.create_dir(&dir.join("a/b")).unwrap();
    disk.open(&dir.join("a/b/f"), OpenMode::Create).unwrap();
    disk.open(&dir.join("a/g"), OpenMode::Create).unwrap();
    remove_tree(disk, &dir.join("a")).unwrap();
    assert_eq!(disk.list(dir).unwrap(), vec![]);
}

fn a_reader_cannot_write<D: Disk>(disk: &D, dir: &Path) {
    make(disk, dir);
    disk.open(&dir.join("f"), OpenMode::Create).unwrap();
    let file = disk.open(&dir.join("f"), OpenMode::Read).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"x")], 0).is_err());
    assert_eq!(file.size().unwrap(), 0);
}
