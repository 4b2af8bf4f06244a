//! Whose a directory is for the process that comes next, and what that makes of damage.

use std::fs;

use dohle_base::{ErrorCode, PartitionId, Timestamp, TopicId, Uuid};
use dohle_log::{OnDamage, Origin, checkpoint::OffsetKind};
use dohle_replication::CommitRule;
use tempfile::TempDir;

use super::*;
use crate::{
    disk::either::OS,
    durability::tests::{Node, append, is_committed_soon, node},
    kit::log_dir,
};

/// A partition with a record, in a directory whose logs are this program's; flushed.
fn taken_over() -> Node {
    let node = node(1);
    node.dir.logs_are_open(&node.partitions);
    assert!(is_committed_soon(&node.partitions[0], append(&node.partitions[0])));
    node.flush();
    node
}

/// The directory as the process leaves it that is killed now.
fn killed(node: &Node) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&node.dir.path).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// How the next process opens a log in it, and whether it takes it for its own.
fn opens(dir: &Path) -> (OnDamage, bool) {
    let (dir, topic) = (log_dir(Uuid(7), dir), TopicId(Uuid(1)));
    let how = dir.how_to_open(&"t".into(), topic, PartitionId(0), CommitRule::Synced);
    (how.on_damage, dir.may_be_torn())
}

/// Nobody knows then what had been flushed: what lies behind damage may have been acknowledged, and in
/// no frame any more.
#[test]
fn nothing_is_cut_off_where_recovery_points_cannot_be_read() {
    let node = taken_over();
    let recovery_points = OffsetKind::RecoveryPoint.file_name();
    assert_eq!(opens(killed(&node).path()), (OnDamage::Cut, true));
    for damaged in ["", "rubbish", "0\n2\nt 0 1\n", "0\n1\nt 0 x\n"] {
        let left = killed(&node);
        fs::write(left.path().join(recovery_points), damaged).unwrap();
        assert_eq!(opens(left.path()), (OnDamage::Refuse, false), "{damaged:?}");
    }
    // One that says of no partition anything, as before the first flush of any, or is not there yet.
    let left = killed(&node);
    fs::write(left.path().join(recovery_points), "0\n0\n").unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Cut, true));
    let left = killed(&node);
    fs::remove_file(left.path().join(recovery_points)).unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Cut, true));
}

/// A bit of Kafka's count may make it look like ours.
#[test]
fn damaged_high_watermarks_are_not_marked() {
    let node = taken_over();
    let high_watermarks = OffsetKind::HighWatermark.file_name();
    for damaged in ["0\n02\nt 0 1\n", "0\n01\nt 0 x\n", "0\n01\nt 0 1", "1\n01\nt 0 1\n"] {
        let left = killed(&node);
        fs::write(left.path().join(high_watermarks), damaged).unwrap();
        assert_eq!(opens(left.path()), (OnDamage::Refuse, false), "{damaged:?}");
    }
}

/// Kafka writes the high watermarks before it serves anything.
#[test]
fn what_kafka_wrote_behind_a_killed_process_is_not_ours() {
    let node = taken_over();
    let left = killed(&node);
    let path = left.path().join(OffsetKind::HighWatermark.file_name());
    let ours = fs::read_to_string(&path).unwrap();
    assert_eq!(ours, "0\n01\nt 0 1\n");
    fs::write(&path, "0\n1\nt 0 1\n").unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Refuse, false));
    // Nor does it become ours by a start that is killed before all logs are open.
    assert_eq!(opens(left.path()), (OnDamage::Refuse, false));
    // Also if that one has written checkpoints by then.
    {
        let dir = log_dir(Uuid(7), left.path());
        dir.write_checkpoints(Vec::new).unwrap();
        assert!(high_watermarks(&OS, left.path()).1);
    }
    assert_eq!(opens(left.path()), (OnDamage::Refuse, false));
    // Nor does ours become another's by one.
    let left = killed(&node);
    assert_eq!([(); 2].map(|()| opens(left.path())), [(OnDamage::Cut, true); 2]);
}

/// From where its logs are taken over until they are left, and whatever cannot be written.
#[test]
fn a_directory_is_ours_whenever_this_process_is_killed() {
    let node = node(1);
    assert!(!opens(killed(&node).path()).1, "the logs are not open yet");
    let obstacle = node.dir.path.join("replication-offset-checkpoint.tmp");
    // It cannot be written.
    std::os::unix::fs::symlink("/dev/full", &obstacle).unwrap();
    node.dir.logs_are_open(&node.partitions);
    assert!(!node.dir.has_failed() && !opens(killed(&node).path()).1, "nothing tells that it is");
    let refused = node.partitions[0].append(b"", Origin::Client, Timestamp(0));
    assert_eq!(refused.unwrap_err(), ErrorCode::KAFKA_STORAGE_ERROR);
    fs::remove_file(&obstacle).unwrap();
    node.flush();
    assert!(opens(killed(&node).path()).1);
    append(&node.partitions[0]);
    let node = taken_over();
    assert!(opens(killed(&node).path()).1);
    node.dir.write_checkpoints(|| node.partitions.clone()).unwrap();
    assert!(opens(killed(&node).path()).1);
    // What is not left clean is nobody else's either.
    node.partitions[0].take_offline();
    node.dir.close(&node.partitions, 1, 2);
    assert!(!node.dir.path.join(".kafka_cleanshutdown").exists());
    assert!(opens(killed(&node).path()).1);
}

#[test]
fn what_is_left_clean_is_as_kafka_writes_it() {
    let node = taken_over();
    node.dir.close(&node.partitions, 1, 2);
    assert!(node.dir.path.join(".kafka_cleanshutdown").exists());
    assert!(!mark::is_there(&OS, &node.dir.path).unwrap());
    assert_eq!(opens(killed(&node).path()), (OnDamage::Cut, true));
    // Somebody came, and was killed.
    let left = killed(&node);
    fs::remove_file(left.path().join(".kafka_cleanshutdown")).unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Refuse, false));
}
