//! However a directory is left, nothing is served from it afterwards; and what was noted of a partition stays.

use std::fs;

use dohle_base::ErrorCode;
use dohle_log::{checkpoint::mark, disk::Operation};
use dohle_os::DirLock;

use tempfile::TempDir;

use super::*;
use crate::durability::tests::{Node, append, is_committed_soon, node};

/// Partitions with a record each.
fn written() -> Node {
    let node = node(2);
    let ends: Vec<_> = node.partitions.iter().map(append).collect();
    let mut committed = node.partitions.iter().zip(ends);
    assert!(committed.all(|(partition, end)| is_committed_soon(partition, end)));
    node
}

/// As the next process has it.
fn reopened(node: &Node) -> LogDir {
    let (upkeep, _) = Upkeep::new();
    let files = Arc::new(OpenFiles::within(1_000, 100, 2));
    let (id, path) = (node.dir.id, node.dir.path.clone());
    LogDir::open(id, path, OsDisk, upkeep, Alarm::default(), files).unwrap()
}

/// Closes it, and says what who asks for a partition is told then.
fn close(node: &Node) -> Vec<ErrorCode> {
    node.dir.close(&node.partitions, 1, 2);
    assert!(!node.dir.path.join(".kafka_cleanshutdown").exists());
    DirLock::take(&node.dir.path).expect("another process may have it");
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
        assert!(!dir.was_ours());
        for partition in &node.partitions {
            let (topic, index) = partition.key();
            assert!(dir.redo(topic, index, |_| ()).is_none());
        }
    }
}

#[test]
fn what_is_noted_of_a_partition_stays_noted_when_it_goes_offline() {
    let node = written();
    let [gone, here] = &node.partitions[..] else { unreachable!() };
    gone.with_leader(|leader| leader.log_mut().advance_log_start(Offset(1))).unwrap().unwrap();
    node.dir.flush(&node.partitions);
    gone.take_offline();
    assert!(is_committed_soon(here, append(here)));
    let noted = || {
        let of = |kind| checkpoint::read_offsets(&OsDisk, &node.dir.path, kind).unwrap();
        let key = (gone.topic().clone(), gone.index());
        [OffsetKind::RecoveryPoint, OffsetKind::LogStart].map(|kind| of(kind).get(&key).copied())
    };
    assert_eq!(noted(), [Some(Offset(1)); 2]);
    node.dir.flush(&node.partitions);
    assert_eq!(noted(), [Some(Offset(1)); 2], "else what was deleted is back after the next start");
    // As long as it is not deleted.
    node.dir.forget(gone.topic(), gone.index());
    node.dir.write_checkpoints(&node.partitions).unwrap();
    assert_eq!(noted(), [Some(Offset(0)), None]);
}

/// A partition with a record, in a directory whose logs are this program's; flushed.
fn taken_over() -> Node {
    let node = node(1);
    node.dir.logs_are_open(&node.partitions);
    assert!(is_committed_soon(&node.partitions[0], append(&node.partitions[0])));
    node.dir.flush(&node.partitions);
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
    let (upkeep, _) = Upkeep::new();
    let files = Arc::new(OpenFiles::within(1_000, 100, 2));
    let dir = LogDir::open(Uuid(7), dir.to_owned(), OsDisk, upkeep, Alarm::default(), files);
    let (dir, topic) = (dir.unwrap(), TopicId(Uuid(1)));
    let how = dir.how_to_open(&"t".into(), topic, PartitionId(0), CommitRule::Synced);
    (how.on_damage, dir.was_ours())
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
        assert_eq!(opens(left.path()), (OnDamage::Refuse, true), "{damaged:?}");
    }
    // One that says of no partition anything, as before the first flush of any, or is not there yet.
    let left = killed(&node);
    fs::write(left.path().join(recovery_points), "0\n0\n").unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Cut, true));
    let left = killed(&node);
    fs::remove_file(left.path().join(recovery_points)).unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Cut, true));
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
    fs::remove_file(&obstacle).unwrap();
    node.dir.flush(&node.partitions);
    assert!(opens(killed(&node).path()).1);
    let node = taken_over();
    assert!(opens(killed(&node).path()).1);
    node.dir.write_checkpoints(&node.partitions).unwrap();
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
    assert!(!mark::is_there(&OsDisk, &node.dir.path).unwrap());
    assert_eq!(opens(killed(&node).path()), (OnDamage::Cut, true));
    // Somebody came, and was killed.
    let left = killed(&node);
    fs::remove_file(left.path().join(".kafka_cleanshutdown")).unwrap();
    assert_eq!(opens(left.path()), (OnDamage::Refuse, false));
}
