//! What a flush cannot do is left for the next one, or ends the directory; no frame goes before its time.

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use dohle_base::{ErrorCode, Offset};
use dohle_log::{
    checkpoint::{self, OffsetKind},
    disk::Operation,
    wal::{self, OpenWal, Wal},
};

use super::*;
use crate::{
    disk::{NodeDisk, either::OS},
    durability::tests::{Node, append, append_value, is_committed_soon, node},
    kit::SOON,
    partition::State,
};

const EIO: i32 = 5;
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

fn failed(operation: Operation, errno: i32) -> IoError {
    IoError::new(operation, Path::new("/x"), &io::Error::from_raw_os_error(errno))
}

/// A record in each partition, acknowledged and not flushed.
fn written(partitions: i32) -> Node {
    let node = node(partitions);
    let ends: Vec<_> = node.partitions.iter().map(append).collect();
    let mut committed = node.partitions.iter().zip(ends);
    assert!(committed.all(|(partition, end)| is_committed_soon(partition, end)));
    settle(&node);
    node
}

fn path_of(node: &Node, partition: &Partition) -> PathBuf {
    node.dir.path.join(format!("t-{}", partition.index()))
}

fn recovery_point(partition: &Partition) -> Offset {
    partition.with_leader(|leader| leader.log().recovery_point()).unwrap()
}

fn is_flushed(partition: &Partition) -> bool {
    let is_flushed = |leader: &mut Leader<NodeDisk>| {
        leader.log().recovery_point() == leader.log().log_end_offset() && leader.log().is_flushed()
    };
    partition.with_leader(is_flushed).unwrap()
}

fn dirty_count(node: &Node) -> usize {
    node.dir.write_ahead().pending().dirty.len()
}

/// How many partitions a start after a crash would find frames of.
fn framed_count(node: &Node) -> usize {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(node.dir.path.join(wal::FILE_NAME), copy.path().join(wal::FILE_NAME)).unwrap();
    let how = OpenWal { capacity: 1 << 20, left_clean: false, boot: 0, salt: [9; 12] };
    let (_, unflushed) = Wal::open(&OS, copy.path(), how).unwrap();
    let key = |partition: &Arc<Partition>| (partition.topic_id(), partition.index());
    let has = |(topic, index)| unflushed.has(topic, index);
    node.partitions.iter().map(key).filter(|key| has(*key)).count()
}

/// Waits until the writer has done all that it was told, and noted that.
fn settle(node: &Node) {
    let until = Instant::now() + SOON;
    let is_at_rest = || {
        let pending = node.dir.write_ahead().pending();
        pending.work.released.is_none() && !pending.is_running && pending.is_writer_asleep
    };
    while !is_at_rest() {
        assert!(Instant::now() < until, "the writer is not done");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Nothing was lost by a flush that could not be done: the next one does it, and lets the frames go.
fn makes_up_for_it(node: &Node) {
    let count = node.partitions.len();
    settle(node);
    assert!(!node.dir.has_failed());
    assert_eq!((dirty_count(node), framed_count(node)), (count, count));
    let noted = checkpoint::read_offsets(&OS, &node.dir.path, OffsetKind::RecoveryPoint);
    assert!(noted.unwrap().is_empty(), "written down by nobody");
    node.flush();
    settle(node);
    assert!(node.partitions.iter().all(|partition| is_flushed(partition)));
    assert_eq!((dirty_count(node), framed_count(node)), (0, 0));
    let noted = checkpoint::read_offsets(&OS, &node.dir.path, OffsetKind::RecoveryPoint);
    assert!(noted.unwrap().values().all(|point| *point > Offset::ZERO));
}

#[test]
fn a_sync_that_finds_no_room_ends_the_directory_and_its_frames_stay() {
    for (operation, errno) in [
        (Operation::Sync, ENOSPC),
        (Operation::SyncDir, ENOSPC),
        (Operation::Sync, EDQUOT),
        (Operation::Sync, EFBIG),
        (Operation::Sync, EIO),
    ] {
        let node = written(2);
        flush(node.dir.write_ahead(), || Err(failed(operation, errno)));
        settle(&node);
        assert!(node.dir.has_failed(), "{operation} {errno}");
        // A later sync succeeds, and says nothing of what the first one has lost.
        node.flush();
        settle(&node);
        assert_eq!(framed_count(&node), 2, "{operation} {errno}");
        assert_eq!(append_error(&node), ErrorCode::KAFKA_STORAGE_ERROR);
        node.dir.close(&node.partitions, 1, 2);
        assert!(!node.dir.path.join(".kafka_cleanshutdown").exists());
        assert_eq!(framed_count(&node), 2, "{operation} {errno}");
    }
}

fn append_error(node: &Node) -> ErrorCode {
    let appended = node.partitions[0].append(b"", dohle_log::Origin::Client, Default::default());
    appended.unwrap_err()
}

#[test]
fn a_write_that_finds_no_room_is_tried_again() {
    for (operation, errno) in [
        (Operation::Write, ENOSPC),
        (Operation::Write, EDQUOT),
        (Operation::Write, EFBIG),
        (Operation::Open, ENOSPC),
        (Operation::Rename, ENOSPC),
        (Operation::Truncate, EDQUOT),
    ] {
        let node = written(2);
        flush(node.dir.write_ahead(), || Err(failed(operation, errno)));
        makes_up_for_it(&node);
    }
}

#[test]
fn a_flush_after_a_failure_syncs_nothing_and_lets_no_frame_go() {
    let node = written(3);
    let way = node.dir.write_ahead();
    way.fail(&failed(Operation::Write, EIO));
    flush(way, || panic!("nothing may be written down"));
    node.partitions.iter().for_each(|partition| sync_segments(way, partition).unwrap());
    sync_all(way, &node.partitions, || node.flush()).unwrap();
    assert!(node.partitions.iter().all(|partition| recovery_point(partition) == Offset::ZERO));
    assert_eq!(dirty_count(&node), 3, "it did not even begin");
    // One that was on its way when the disk failed.
    let position = way.pending().synced;
    way.release(position);
    settle(&node);
    assert_eq!(framed_count(&node), 3);
}

#[test]
fn a_shortage_of_handles_in_a_flush_loses_nothing() {
    const ALONE: &str = "DOHLE_TEST_MAY_TAKE_ALL_HANDLES";
    if std::env::var_os(ALONE).is_none() {
        // They are the process's: the other tests would lack them, too.
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_shortage_of_handles_in_a_flush_loses_nothing");
        let mut child = Command::new("sh");
        child.args(["-c", "ulimit -n 256 && exec \"$0\" --exact \"$1\" --nocapture"]);
        let child = child.arg(std::env::current_exe().unwrap()).arg(name).env(ALONE, "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    // One by one, and many.
    for count in [3, 20] {
        let node = written(count);
        let mut taken = Vec::new();
        let error = loop {
            match File::open("/dev/null") {
                Ok(file) => taken.push(file),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(24));
        node.flush();
        drop(taken);
        let mut points = node.partitions.iter().map(|partition| recovery_point(partition));
        assert!(points.all(|point| point == Offset::ZERO));
        makes_up_for_it(&node);
    }
}

/// As a deletion does it that does not wait for the flush.
fn delete(node: &Node, partition: &Partition) {
    *partition.state() = State::Gone;
    fs::remove_dir_all(path_of(node, partition)).unwrap();
}

#[test]
fn a_topic_that_is_deleted_in_a_flush_does_not_end_the_directory() {
    let node = written(20);
    let way = node.dir.write_ahead();
    let plan = |partition| begin(way, partition).unwrap().unwrap();

    let [before, between, one_of_many] = [0, 1, 7].map(|index| &node.partitions[index]);
    let planned = plan(before);
    delete(&node, before);
    finish(node.dir.write_ahead(), before, planned.run().unwrap());

    let mut planned = plan(between);
    planned.write().unwrap();
    delete(&node, between);
    finish(node.dir.write_ahead(), between, planned.sync().unwrap());

    let many = node.partitions.iter().filter(|partition| partition.is_led());
    let mut plans: Vec<_> =
        many.map(|partition| (partition, of_many(plan(partition), true))).collect();
    plans[17].1.write().unwrap();
    delete(&node, plans[17].0);
    delete(&node, one_of_many);
    run_many(way, plans, 1).unwrap();

    // All are still noted as dirty, the deleted ones, too.
    node.flush();
    settle(&node);
    assert!(!node.dir.has_failed());
    let mut left = node.partitions.iter().filter(|partition| partition.is_led());
    assert!(left.all(|partition| is_flushed(partition)));
    assert_eq!((dirty_count(&node), framed_count(&node)), (0, 0));
}

/// Partitions with so much in each that they are flushed one by one although they are many. In those of
/// these numbers is so much that their indexes are written, too.
fn written_much(large: &[usize]) -> Node {
    let (node, value) = (node(20), vec![7; 256 << 10]);
    for (index, partition) in node.partitions.iter().enumerate() {
        let count = if large.contains(&index) { 5 } else { 2 };
        let ends: Vec<_> = (0..count).map(|_| append_value(partition, &value)).collect();
        assert!(is_committed_soon(partition, ends[count - 1]));
    }
    settle(&node);
    assert!(node.partitions.len() >= VOLUME_MIN);
    assert!(node.dir.write_ahead().pending().unflushed / 20 >= LARGE);
    node
}

#[test]
fn partitions_with_much_in_each_are_all_flushed() {
    let node = written_much(&[10]);
    node.flush();
    settle(&node);
    assert!(node.partitions.iter().all(|partition| is_flushed(partition)));
    assert_eq!((dirty_count(&node), framed_count(&node)), (0, 0));
}

#[test]
fn a_long_flush_notes_on_the_way_how_far_it_is() {
    let node = written_much(&[]);
    let noted = RefCell::new(Vec::new());
    let is_done = |partition: &Arc<Partition>| recovery_point(partition) > Offset::ZERO;
    flush_noting(node.dir.write_ahead(), Duration::ZERO, &|| {
        let done = node.partitions.iter().filter(|partition| is_done(partition)).count();
        noted.borrow_mut().push(done);
        Ok(())
    });
    let each = (1..=20).chain([20]).collect::<Vec<_>>();
    assert_eq!(noted.take(), each);
}

#[test]
fn a_flush_one_by_one_that_ends_in_the_middle_goes_on_one_by_one() {
    let node = written_much(&[5, 10]);
    let index =
        |number: usize| path_of(&node, &node.partitions[number]).join("00000000000000000000.index");
    symlink("/dev/full", index(5)).unwrap();
    symlink("/dev/full", index(10)).unwrap();
    for number in [5, 10] {
        node.inbox.is_due();
        node.flush();
        assert!(node.inbox.is_due(), "it is tried again, also if nothing more is written");
        // Those before are done, each by itself: a sync of the volume would have come after all writes.
        let done = node.partitions.iter().map(|partition| recovery_point(partition) > Offset::ZERO);
        assert!(done.eq((0..20).map(|index| index < number)), "{number}");
        fs::remove_file(index(number)).unwrap();
    }
    makes_up_for_it(&node);
    assert!(!node.inbox.is_due());
    assert!(fs::metadata(index(10)).unwrap().len() > 0);
}

/// As at a start that has taken them in and then found that nobody leads.
#[test]
fn frames_of_a_partition_that_nobody_leads_stay_until_it_is_gone() {
    let node = written(2);
    let (partition, way) = (&node.partitions[0], node.dir.write_ahead());
    *partition.state() = State::NotLed;
    node.flush();
    settle(&node);
    assert_eq!((dirty_count(&node), framed_count(&node), way.keeps_frames()), (0, 2, true));
    *partition.state() = State::Gone;
    way.let_frames_go(partition.key());
    partition.unflushed();
    node.flush();
    settle(&node);
    assert_eq!((dirty_count(&node), framed_count(&node), way.keeps_frames()), (0, 0, false));
}

/// As of one that was flushed before a crash, and whose frames were still there.
#[test]
fn frames_of_a_partition_that_has_nothing_to_flush_go() {
    let node = written(1);
    let (partition, way) = (&node.partitions[0], node.dir.write_ahead());
    node.flush();
    way.keep_frames(partition.key(), partition);
    assert!(way.keeps_frames());
    partition.unflushed();
    node.flush();
    assert!(!way.keeps_frames());
}
