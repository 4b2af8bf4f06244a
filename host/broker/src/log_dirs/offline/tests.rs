//! When the logs of a directory are this program's, by its write-ahead log.

use std::{fs, io};

use dohle_log::{
    Disk,
    disk::{OpenMode, Operation},
    wal::WalFrames,
};

use super::*;
use crate::durability::tests::{Node, append, node};

/// Whether the directory's next start takes its logs for another process's.
fn is_left(node: &Node) -> bool {
    let path = node.dir.path.join(dohle_log::wal::FILE_NAME);
    let frames = WalFrames::new(&node.dir.disk.open(&path, OpenMode::Read).unwrap()).unwrap();
    let newest = frames.blocks().into_iter().flatten().max_by_key(|block| block.sequence);
    newest.unwrap().is_left
}

/// A directory with a note that could not be written, and what was in its way.
fn with_missing_note() -> (Node, [std::path::PathBuf; 2]) {
    let node = node(1);
    let partition = node.dir.path.join("t-9");
    let obstacle = partition.join(format!("{}.tmp", offline::FILE_NAME));
    fs::create_dir_all(&obstacle).unwrap();
    node.dir.notes().missing.push((partition.clone(), "damaged".to_owned()));
    (node, [partition, obstacle])
}

#[test]
fn logs_are_taken_over_once_the_last_note_is_written() {
    let (node, [partition, obstacle]) = with_missing_note();
    assert!(is_left(&node));
    node.dir.take_over(&node.partitions);
    node.flush();
    assert!(is_left(&node), "a later start would not know");
    // Others need not wait for what is no lack of room.
    append(&node.partitions[0]);
    fs::remove_dir(&obstacle).unwrap();
    node.flush();
    assert!(!is_left(&node));
    assert!(offline::is_noted(&node.dir.disk, &partition).unwrap());
}

#[test]
fn a_note_is_not_written_for_another_partition_of_the_name() {
    let (node, [partition, obstacle]) = with_missing_note();
    node.dir.take_over(&node.partitions);
    node.dir.drop_note(&partition);
    fs::remove_dir(&obstacle).unwrap();
    node.flush();
    assert!(!is_left(&node));
    assert!(!offline::is_noted(&node.dir.disk, &partition).unwrap());
}

#[test]
fn nothing_is_taken_over_of_a_directory_that_has_failed() {
    let node = node(1);
    let error = IoError::new(Operation::Sync, &node.dir.path, &io::Error::other("gone"));
    node.dir.write_ahead().fail(&error);
    node.dir.take_over(&node.partitions);
    assert!(is_left(&node));
}
