//! Whoever runs the rounds, what was appended is committed, once it is durable.

mod kept;
mod panics;
mod topics;

use std::{
    sync::{atomic::AtomicBool, mpsc::channel},
    time::{Duration, Instant},
};

use bytes::Bytes;
use dohle_base::{ErrorCode, LeaderEpoch, PartitionId, Timestamp, TopicId, Uuid};
use dohle_log::{
    Log, LogConfig, OpenLog, Origin, Synced,
    wal::{self, OpenWal, Wal},
};
use dohle_metadata::Topic;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};
use dohle_replication::Leader;
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    task::yield_now,
};

use super::{room::Room, *};
use crate::{
    LogDirContext,
    cleaner::Cleaner,
    commit::Uncommitted,
    disk::either::OS,
    kit::{SOON, log_dir, log_dir_context},
    log_dirs::LogDir,
    open_files::{Choice, OpenFiles},
    partition::State,
    upkeep::UpkeepInbox,
};

pub(crate) struct Node {
    pub(crate) dir: Arc<LogDir>,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) inbox: UpkeepInbox,
    _root: TempDir,
}

impl Node {
    /// Flushes the directory and writes its checkpoints.
    pub(crate) fn flush(&self) {
        self.dir.flush(|| self.partitions.clone());
    }
}

pub(crate) fn node(partitions: i32) -> Node {
    node_within(OpenFiles::within(1_000, 100, 2), partitions)
}

pub(crate) fn node_within(files: OpenFiles, partitions: i32) -> Node {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("logs");
    std::fs::create_dir(&path).unwrap();
    let (upkeep, inbox) = Upkeep::new();
    let context = LogDirContext { upkeep, files: Arc::new(files), ..log_dir_context() };
    let dir = Arc::new(LogDir::open(Uuid(7), path, context).unwrap());
    let partitions = (0..partitions).map(|index| partition(&dir, index)).collect();
    Node { dir, partitions, inbox, _root: root }
}

fn partition(dir: &Arc<LogDir>, index: i32) -> Arc<Partition> {
    let name = format!("t-{index}");
    let (config, how) = (LogConfig::default(), OpenLog::default());
    let log = Log::open(OS, dir.path.join(name), config, how, Timestamp(0)).unwrap();
    let leader = Leader::new(log, LeaderEpoch(0), CommitRule::Synced, Offset::ZERO).unwrap();
    let topic = Topic { name: "t".into(), id: TopicId(Uuid(1)), partitions: Default::default() };
    let state = State::Led(Box::new(leader));
    Partition::new(&topic, PartitionId(index), Arc::clone(dir), state, Cleaner::default())
}

/// Appends a record; the end of the log behind it.
pub(crate) fn append(partition: &Arc<Partition>) -> Offset {
    append_value(partition, b"x")
}

pub(crate) fn append_value(partition: &Arc<Partition>, value: &[u8]) -> Offset {
    let appended = partition.append(&batch(value), Origin::Client, Timestamp(0));
    let (appended, is_committed) = appended.unwrap().unwrap();
    assert!(!is_committed, "not before it is durable");
    appended.last_offset.next()
}

/// A batch of one record.
fn batch(value: &[u8]) -> Bytes {
    let mut batch = BatchBuilder::new(BatchSpec::default());
    batch.append(&NewRecord { value: Some(value), ..NewRecord::default() }).unwrap();
    batch.finish()
}

fn runtime() -> LocalRuntime {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap()
}

/// Waits for the writer.
pub(crate) fn is_committed_soon(partition: &Partition, end: Offset) -> bool {
    let until = Instant::now() + SOON;
    while partition.high_watermark() < end && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    partition.high_watermark() == end
}

#[test]
fn what_a_network_thread_appends_is_committed_when_its_turn_is_over() {
    let node = node(2);
    while !node.dir.write_ahead().pending().is_writer_asleep {
        std::thread::yield_now();
    }
    runtime().block_on(async {
        begin_turns();
        yield_now().await;
        let ends: Vec<_> = node.partitions.iter().map(append).collect();
        assert!(node.partitions.iter().all(|partition| partition.high_watermark() == Offset(0)));
        yield_now().await;
        assert!(node.dir.write_ahead().pending().is_writer_asleep);
        assert!(node.partitions.iter().map(|partition| partition.high_watermark()).eq(ends));
    });
}

#[test]
fn threads_without_turns_and_slow_disks_have_the_writer() {
    let node = node(1);
    let [partition] = &node.partitions[..] else { unreachable!() };
    assert!(is_committed_soon(partition, append(partition)));
    for _ in 0..20 {
        node.dir.write_ahead().pace.took(Duration::from_millis(10));
    }
    runtime().block_on(async {
        begin_turns();
        yield_now().await;
        let end = append(partition);
        yield_now().await;
        assert!(is_committed_soon(partition, end));
    });
}

#[test]
fn while_a_round_of_many_is_under_way_a_network_thread_goes_on() {
    let node = node(40);
    runtime().block_on(async {
        begin_turns();
        yield_now().await;
        let way = node.dir.write_ahead();
        let few = append(&node.partitions[0]);
        assert!(way.awaits_turn(&way.pending()));
        let rest = node.partitions[1..].iter().map(append);
        let ends: Vec<_> = std::iter::once(few).chain(rest).collect();
        assert!(!way.awaits_turn(&way.pending()));
        yield_now().await;
        let mut committed = node.partitions.iter().zip(ends);
        assert!(committed.all(|(partition, end)| is_committed_soon(partition, end)));
    });
}

#[test]
fn a_disk_is_quick_again_after_a_slow_sync() {
    let pace = Pace::default();
    assert!(pace.is_quick());
    let quick_after = |pace: &Pace| {
        (0..100).find(|_| {
            pace.took(Duration::from_micros(200));
            pace.is_quick()
        })
    };
    pace.took(Duration::from_secs(1));
    assert_eq!(quick_after(&pace), Some(0));
    (0..50).for_each(|_| pace.took(Duration::from_millis(5)));
    assert!(!pace.is_quick());
    assert!((10..30).contains(&quick_after(&pace).unwrap()));
}

#[test]
fn a_turn_that_was_not_ended_is_made_up_for() {
    let node = node(1);
    let end = runtime().block_on(async {
        begin_turns();
        yield_now().await;
        // The runtime ends before the turn does.
        append(&node.partitions[0])
    });
    assert!(is_committed_soon(&node.partitions[0], end));
}

#[test]
fn a_partition_that_goes_offline_does_not_end_the_wait_of_others() {
    let node = node(3);
    runtime().block_on(async {
        begin_turns();
        yield_now().await;
        let mut uncommitted = Uncommitted::default();
        for partition in &node.partitions {
            uncommitted.push(Arc::clone(partition), append(partition));
        }
        let [gone, goes, stays] = &node.partitions[..] else { unreachable!() };
        gone.take_offline();
        let interrupt = async { goes.take_offline() };
        let (lacking, ()) = tokio::join!(uncommitted.committed(Duration::from_secs(60)), interrupt);
        let lacking: Vec<_> =
            lacking.iter().map(|(write, error)| (write.partition.index(), *error)).collect();
        let offline = |partition: &Partition| (partition.index(), ErrorCode::KAFKA_STORAGE_ERROR);
        assert_eq!(lacking, [offline(gone), offline(goes)]);
        assert_eq!(stays.high_watermark(), Offset(1));
    });
}

/// Network threads, others, and flushes get in each other's way; nothing is left behind.
#[test]
fn nothing_is_forgotten_between_threads() {
    const APPENDS: i64 = 300;
    let node = node(4);
    let (dir, partitions) = (&node.dir, &node.partitions);
    let is_done = AtomicBool::new(false);
    let produce = |with_turns: bool, number: usize| {
        runtime().block_on(async {
            if with_turns {
                begin_turns();
                yield_now().await;
            }
            for at in 0..APPENDS as usize {
                let partition = &partitions[(at + number) % partitions.len()];
                let mut uncommitted = Uncommitted::default();
                uncommitted.push(Arc::clone(partition), append(partition));
                assert!(uncommitted.committed(Duration::from_secs(60)).await.is_empty());
            }
        });
    };
    std::thread::scope(|scope| {
        let flushes = scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                dir.flush(|| partitions.clone());
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let producers: Vec<_> =
            (0..4).map(|number| scope.spawn(move || produce(number < 3, number))).collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        is_done.store(true, Ordering::Release);
        flushes.join().unwrap();
    });
    let committed: i64 = partitions.iter().map(|partition| partition.high_watermark().0).sum();
    assert_eq!(committed, 4 * APPENDS);
    dir.close(partitions, 1, 2);
    assert!(dir.path.join(".kafka_cleanshutdown").exists());
}

/// What it had is on the other disk.
#[test]
fn a_partition_that_has_moved_is_served_when_the_disk_fails_that_it_came_from() {
    let node = node(2);
    let [moved, stays] = &node.partitions[..] else { unreachable!() };
    let (way, path) = (node.dir.write_ahead(), node.dir.path.with_file_name("other"));
    std::fs::create_dir(&path).unwrap();
    let other = log_dir(Uuid(8), &path);
    {
        // What is appended is pending, or taken by a round.
        let mut rounds = way.rounds();
        for partition in &node.partitions {
            append(partition);
        }
        {
            let _state = moved.state();
            moved.move_to(Arc::new(other));
        }
        let error = std::io::Error::from_raw_os_error(5);
        let error = IoError::new(dohle_log::disk::Operation::Sync, &node.dir.path, &error);
        rounds.as_mut().unwrap().fail(way, &error);
    }
    assert!(moved.is_led());
    assert!(!stays.is_led());
}

/// The answer is made after the lock, when the partition may have moved.
#[test]
fn a_failed_append_is_blamed_on_the_disk_where_the_partition_was() {
    let node = node(1);
    let [moved] = &node.partitions[..] else { unreachable!() };
    let path = node.dir.path.with_file_name("other");
    std::fs::create_dir(&path).unwrap();
    let other = Arc::new(log_dir(Uuid(8), &path));
    moved.close_files(Choice::Any);
    std::fs::remove_dir_all(&node.dir.path).unwrap();
    let error = moved.append(&batch(b"x"), Origin::Client, Timestamp(0)).unwrap().unwrap_err();
    {
        let _state = moved.state();
        moved.move_to(Arc::clone(&other));
    }
    assert_eq!(moved.append_error(&error), ErrorCode::KAFKA_STORAGE_ERROR);
    assert!(node.dir.has_failed());
    assert!(!other.has_failed());
}

/// The log of a node's directory from now on, of which the first frame must fit into so little.
fn shrink_write_ahead_log(node: &Node) {
    let path = node.dir.path.join("small");
    std::fs::create_dir(&path).unwrap();
    let how = OpenWal { capacity: 65_536, left_clean: false, boot: 1, salt: [9; 12] };
    let (wal, _) = Wal::open(&OS, &path, how).unwrap();
    let way = node.dir.write_ahead();
    let room = Room::start(way.me.upgrade().unwrap(), wal.preparer(&OS).unwrap()).unwrap();
    if let Some(former) = way.rounds().replace(Rounds::new(wal, room)) {
        former.end();
    }
}

#[test]
fn a_frame_commits_nothing_behind_what_it_had_no_room_for() {
    let node = node(1);
    let [partition] = &node.partitions[..] else { unreachable!() };
    let way = node.dir.write_ahead();
    let alone = way.alone();
    let end = {
        let _rounds = way.rounds();
        // More than a frame takes, in one round, and then what it would take.
        let large = vec![7; 900_000];
        for _ in 0..20 {
            append_value(partition, &large);
        }
        append(partition)
    };
    let until = Instant::now() + SOON;
    while partition.high_watermark() == Offset(0) && Instant::now() < until {
        std::thread::yield_now();
    }
    let framed = partition.high_watermark();
    assert!(framed > Offset(10) && framed < Offset(20), "{framed:?}: segments are not synced yet");
    append(partition);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(partition.high_watermark(), framed);
    drop(alone);
    assert!(is_committed_soon(partition, end.next()));
    let position = way.pending().synced;
    let end = append(partition);
    assert!(is_committed_soon(partition, end));
    assert!(way.pending().synced > position, "it is for frames again");
}

#[test]
fn what_comes_while_a_round_syncs_segments_is_for_frames_again() {
    let node = node(1);
    let [partition] = &node.partitions[..] else { unreachable!() };
    let way = node.dir.write_ahead();
    assert!(is_committed_soon(partition, append(partition)));
    // As if more had come since the sync was planned, which never ends with several producers.
    partition.leave_unframed(Offset(100));
    sync_segments(way, partition).unwrap();
    assert!(partition.is_unframed(), "a round may write a frame at the same time");
    writer::sync_unframed(way, partition).unwrap();
    assert!(!partition.is_unframed());
}

/// No recovery point says so yet, and a start has to know: else damage there would be cut off.
#[test]
fn what_no_frame_takes_is_noted_in_one_before_it_is_committed() {
    let node = node(1);
    let [partition] = &node.partitions[..] else { unreachable!() };
    shrink_write_ahead_log(&node);
    assert!(is_committed_soon(partition, append_value(partition, &[7; 100_000])));
    let copy = tempfile::tempdir().unwrap();
    let file = node.dir.path.join("small").join(wal::FILE_NAME);
    std::fs::copy(file, copy.path().join(wal::FILE_NAME)).unwrap();
    let how = OpenWal { capacity: 65_536, left_clean: false, boot: 1, salt: [9; 12] };
    let (_, unflushed) = Wal::open(&OS, copy.path(), how).unwrap();
    let synced = unflushed.synced(partition.topic_id(), partition.index());
    assert_eq!(synced, Some(Synced { end: Offset(1), epoch: LeaderEpoch(0) }));
}

/// The writer syncs what no frame took within its round; a network thread leaves that to it.
#[test]
fn what_came_while_a_network_threads_frame_found_no_room_waits_for_what_is_before() {
    let node = node(2);
    let [first, second] = &node.partitions[..] else { unreachable!() };
    let way = node.dir.write_ahead();
    shrink_write_ahead_log(&node);
    while !way.pending().is_writer_asleep {
        std::thread::yield_now();
    }
    let ((appended, is_appended), (go, may_go)) = (channel(), channel());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            runtime().block_on(async {
                begin_turns();
                yield_now().await;
                append_value(first, &[7; 100_000]);
                append_value(second, &[7; 100_000]);
                appended.send(()).unwrap();
                may_go.recv().unwrap();
                yield_now().await;
            });
        });
        is_appended.recv().unwrap();
        let (position, state) = (way.pending().synced, first.state());
        go.send(()).unwrap();
        while way.pending().work.has_appends() {
            std::thread::yield_now();
        }
        // The frame is not written, and the second partition does not know yet.
        let alone = way.alone();
        let end = append(second);
        drop(state);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(second.high_watermark(), Offset(0), "its first batch is not synced");
        assert_eq!(way.pending().synced, position, "a start after a crash could not take it in");
        drop(alone);
        assert!(is_committed_soon(first, Offset(1)) && is_committed_soon(second, end));
    });
}
