//! However a directory is left, nothing is served from it afterwards.

use std::{fs, io};

use dohle_base::ErrorCode;
use dohle_log::disk::Operation;

use super::*;
use crate::{
    durability::tests::{Node, append, is_committed_soon, node},
    kit::log_dir,
};

/// Partitions with a record each.
pub(in crate::log_dirs) fn written() -> Node {
    let node = node(2);
    let ends: Vec<_> = node.partitions.iter().map(append).collect();
    let mut committed = node.partitions.iter().zip(ends);
    assert!(committed.all(|(partition, end)| is_committed_soon(partition, end)));
    node
}

/// As the next process has it.
fn reopened(node: &Node) -> LogDir {
    log_dir(node.dir.id, &node.dir.path)
}

/// Closes it, and says what who asks for a partition is told then.
fn close(node: &Node) -> Vec<ErrorCode> {
    node.dir.close(&node.partitions, 1, 2);
    assert!(!node.dir.path.join(".kafka_cleanshutdown").exists());
    dohle_os::DirLock::take(&node.dir.path).expect("another process may have it");
    node.partitions.iter().map(|partition| partition.with_leader(|_| ()).unwrap_err()).collect()
}

#[test]
fn a_directory_that_has_failed_serves_nothing_once_its_lock_is_released() {
    let node = written();
    let error = IoError::new(Operation::Sync, &node.dir.path, &io::Error::other("gone"));
    node.dir.write_ahead().fail(&error);
    assert_eq!(close(&node), [ErrorCode::KAFKA_STORAGE_ERROR; 2]);
}

#[test]
fn a_directory_that_cannot_be_closed_serves_nothing_once_its_lock_is_released() {
    let node = written();
    fs::remove_dir_all(node.dir.path.join("t-1")).unwrap();
    assert_eq!(close(&node), [ErrorCode::KAFKA_STORAGE_ERROR; 2]);
}

/// Whoever was there in between, as Kafka is until it is killed, has made of the logs what is true.
#[test]
fn frames_from_before_a_clean_stop_are_not_taken_in_after_it() {
    for takes_over in [false, true] {
        let node = written();
        if takes_over {
            node.dir.take_over(&node.partitions);
        }
        node.dir.close(&node.partitions, 1, 2);
        fs::remove_file(node.dir.path.join(".kafka_cleanshutdown")).unwrap();
        let dir = reopened(&node);
        assert!(!dir.may_be_torn());
        for partition in &node.partitions {
            let (topic, index) = partition.key();
            assert!(dir.redo(topic, index, |_| ()).is_none());
        }
    }
}
