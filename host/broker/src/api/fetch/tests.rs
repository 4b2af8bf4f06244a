//! Where answers hold most of the file handles, records are copied, and no disk is waited for here.

use std::{
    fs::{self, File},
    future::poll_fn,
    io::IoSliceMut,
    path::PathBuf,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use dohle_base::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use dohle_log::{Disk, LogConfig, Slice, disk::OpenMode};
use dohle_os::{OsDisk, OsFile};
use dohle_protocol::{
    RecordSet,
    api::fetch_request::{FetchPartition, FetchTopic, ReplicaState},
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};
use rustix::{
    fs::{Advice, fadvise, statfs},
    io::{Errno, ReadWriteFlags, preadv2},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, LocalOptions};

use super::{
    findings::{COPIED_IN_ALL_MAX, COPIED_MAX},
    *,
};
use crate::{
    OpenFiles,
    api::{Body, elsewhere::elsewhere},
    durability::tests::{append_value, is_committed_soon},
    kit::{Kit, SOON, kit, kit_in},
};

/// More than the system reads ahead when a batch's head is read.
const VALUE_SIZE: usize = 900_000;
const PARTITIONS: i32 = 3;
/// tmpfs, ramfs. Source: statfs(2).
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// Partitions with a batch each, and handles that others hold.
fn short_of_files() -> (Kit, Vec<OsFile>) {
    short_of_files_with(PARTITIONS)
}

fn short_of_files_with(partitions: i32) -> (Kit, Vec<OsFile>) {
    let files = OpenFiles::within(0, 0, 1);
    let kit = kit_in(on_disk(), "", files, partitions, &LogConfig::default());
    for partition in &kit.partitions {
        let end = append_value(partition, &[7; VALUE_SIZE]);
        assert!(is_committed_soon(partition, end));
    }
    kit.flush();
    let path = segment(&kit, 0);
    let held = (0..64).map(|_| OsDisk.open(&path, OpenMode::Read).unwrap()).collect();
    assert!(kit.broker.log_dirs[0].open_files().are_held_by_others());
    (kit, held)
}

fn segment(kit: &Kit, index: usize) -> PathBuf {
    kit.broker.log_dirs[0].path.join(format!("t-{index}/00000000000000000000.log"))
}

/// A directory beside what is built: the system's own for temporary files is often in memory.
fn on_disk() -> TempDir {
    let built = std::env::current_exe().unwrap();
    TempDir::new_in(built.parent().unwrap()).unwrap()
}

/// Takes what was written out of memory; `false` where files are nowhere else, or nobody can tell.
fn cool(kit: &Kit) -> bool {
    let file_system = statfs(&kit.broker.log_dirs[0].path).unwrap().f_type;
    if IN_MEMORY.iter().any(|kind| i128::from(*kind) == i128::from(file_system)) {
        println!("skipped: what is built lies in memory");
        return false;
    }
    (0..PARTITIONS as usize).all(|index| {
        let file = File::open(segment(kit, index)).unwrap();
        file.sync_all().unwrap();
        let start = Instant::now();
        loop {
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            let place = VALUE_SIZE as u64 / 2;
            let mut byte = [0];
            let look = &mut [IoSliceMut::new(&mut byte)];
            match preadv2(&file, look, place, ReadWriteFlags::NOWAIT) {
                Err(Errno::AGAIN) => return true,
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    println!("skipped: the file system does not tell what is in memory");
                    return false;
                }
                Err(error) => panic!("{error}"),
                Ok(_) => assert!(start.elapsed() < SOON, "it stays in memory"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    })
}

fn fetch(kit: &Kit) -> Answer<FetchResponse> {
    fetch_from(kit, Offset::ZERO, 1)
}

/// Asks for so many bytes, and would wait for them.
fn fetch_from(kit: &Kit, fetch_offset: Offset, min_bytes: i32) -> Answer<FetchResponse> {
    fetch_as(kit, fetch_offset, |request| request.min_bytes = min_bytes)
}

/// The same, for a request that is like this.
fn fetch_as(
    kit: &Kit,
    fetch_offset: Offset,
    change: impl FnOnce(&mut FetchRequest),
) -> Answer<FetchResponse> {
    let partitions = kit.partitions.iter().map(|partition| FetchPartition {
        partition: partition.index(),
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topic =
        FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..FetchTopic::default() };
    let mut request = FetchRequest {
        replica_id: BrokerId(-1),
        replica_state: ReplicaState { replica_id: BrokerId(-1), ..ReplicaState::default() },
        max_wait_ms: 60_000,
        max_bytes: 100 << 20,
        topics: [topic].into(),
        session_epoch: -1,
        ..FetchRequest::default()
    };
    change(&mut request);
    kit.call(12, |call| Fetch::handle(call, request))
}

/// Of each partition the error and how many bytes of records there are, all of them in memory.
fn told(body: &Body<FetchResponse>) -> Vec<(ErrorCode, usize)> {
    assert!(body.ranges.is_empty(), "no file is held");
    let partitions = body.message.responses.iter().flat_map(|topic| &topic.partitions);
    let told = partitions.map(|partition| match &partition.records {
        Some(RecordSet::Bytes(bytes)) => (partition.error_code, bytes.len()),
        other => panic!("{other:?}"),
    });
    told.collect()
}

/// How often the metrics say that the disk was waited for.
fn cold_reads(kit: &Kit) -> i32 {
    let page = kit.broker.metrics_page(&[Arc::default()]);
    let row = "dohle_network_cold_reads_total{networkprocessor=\"0\"} ";
    page.lines().find_map(|line| line.strip_prefix(row)).unwrap().parse().unwrap()
}

fn wait<R>(answer: Pin<Box<dyn Future<Output = R> + '_>>) -> R {
    let options = LocalOptions::default();
    let runtime = Builder::new_current_thread().enable_all().build_local(options).unwrap();
    runtime.block_on(answer)
}

#[test]
fn what_is_in_memory_is_copied_at_once() {
    let (kit, _held) = short_of_files();
    let Answer::Now(body) = fetch(&kit) else { panic!("it waits") };
    let told = told(&body);
    assert!(told.iter().all(|(error, size)| !error.is_error() && *size > VALUE_SIZE), "{told:?}");
    assert_eq!(cold_reads(&kit), 0);
}

/// A client that reads slowly may have tens of requests here, and each of them partitions without end.
#[test]
fn no_request_has_more_copied_than_so_much() {
    const MANY: i32 = 8;
    let (kit, _held) = short_of_files_with(MANY);
    // What there is is told at once, not when more than it may copy has arrived.
    let Answer::Now(body) = fetch_from(&kit, Offset::ZERO, 90 << 20) else { panic!("it waits") };
    let told = told(&body);
    assert_eq!(told.len(), MANY as usize);
    let sizes: Vec<_> = told.iter().map(|(_, size)| *size).filter(|size| *size > 0).collect();
    assert_eq!(sizes.len(), COPIED_IN_ALL_MAX / VALUE_SIZE, "{told:?}");
    assert!(sizes.iter().sum::<usize>() <= COPIED_IN_ALL_MAX, "{told:?}");
    assert!(told.iter().all(|(error, _)| !error.is_error()), "{told:?}");
}

/// Of a partition little is copied; whoever wants more gets it with the next request, not later.
#[test]
fn what_is_cut_short_for_want_of_files_is_told_at_once() {
    let (kit, _held) = short_of_files_with(1);
    for _ in 0..3 {
        let end = append_value(&kit.partitions[0], &[7; COPIED_MAX / 2]);
        assert!(is_committed_soon(&kit.partitions[0], end));
    }
    let Answer::Now(body) = fetch_from(&kit, Offset(1), 90_000) else { panic!("it waits") };
    assert_eq!(told(&body), [(ErrorCode::NONE, COPIED_MAX)]);
}

#[test]
fn what_is_not_in_memory_is_copied_by_another_thread() {
    let (kit, _held) = short_of_files();
    if !cool(&kit) {
        return;
    }
    let Answer::Later(answer) = fetch(&kit) else { panic!("it was read here") };
    let told = told(&wait(answer));
    assert_eq!(told.len(), PARTITIONS as usize);
    assert!(told.iter().all(|(error, size)| !error.is_error() && *size > VALUE_SIZE), "{told:?}");
    // Others may be in memory again by the time that they are looked at.
    assert!((1..=PARTITIONS).contains(&cold_reads(&kit)), "{}", cold_reads(&kit));
}

#[test]
fn what_another_thread_cannot_read_is_told_of_and_the_rest_is_read() {
    let (kit, _held) = short_of_files();
    if !cool(&kit) {
        return;
    }
    let Answer::Later(answer) = fetch(&kit) else { panic!("it was read here") };
    fs::OpenOptions::new().write(true).open(segment(&kit, 0)).unwrap().set_len(100).unwrap();
    let told = told(&wait(answer));
    assert_eq!(told[0], (ErrorCode::KAFKA_STORAGE_ERROR, 0));
    assert!(
        told[1..].iter().all(|(error, size)| !error.is_error() && *size > VALUE_SIZE),
        "{told:?}"
    );
}

/// A slice ends with its segment. What is behind it is there already: to wait would be for nothing.
#[test]
fn no_fetch_waits_for_more_at_the_end_of_a_segment_that_others_follow() {
    let kit = kit("", OpenFiles::within(1_000, 100, 1), 1, &LogConfig::default());
    let partition = &kit.partitions[0];
    for _ in 0..2 {
        let end = append_value(partition, &[7; 1_000]);
        assert!(is_committed_soon(partition, end));
        partition.with_leader(|leader| leader.log_mut().roll(Timestamp(0))).unwrap().unwrap();
    }
    // (where from, whether the segment behind it has something)
    for (from, goes_on) in [(0, true), (1, false)] {
        let is_now = matches!(fetch_from(&kit, Offset(from), 10_000), Answer::Now(_));
        assert_eq!(is_now, goes_on, "{from}");
    }
    // Enough is enough everywhere.
    assert!(matches!(fetch_from(&kit, Offset(1), 1_000), Answer::Now(_)));
}

fn with_batches(settings: &str, partitions: i32, value_size: usize) -> Kit {
    let files = OpenFiles::within(1_000, 100, 1);
    let kit = kit(settings, files, partitions, &LogConfig::default());
    for partition in &kit.partitions {
        let end = append_value(partition, &vec![7; value_size]);
        assert!(is_committed_soon(partition, end));
    }
    kit
}

/// No answer may have as much as the client waits for.
#[test]
fn no_fetch_waits_for_more_than_the_broker_gives() {
    let kit = with_batches("fetch.max.bytes=2000\n", 3, 1_000);
    // (minimum, how many of the partitions it asks for, whether it has to wait)
    let rows = [(1_500, 1, true), (1_500, 2, false), (1 << 20, 1, true), (1 << 20, 3, false)];
    for (min_bytes, partitions, waits) in rows {
        let answer = fetch_as(&kit, Offset::ZERO, |request| {
            request.min_bytes = min_bytes;
            request.topics[0].partitions.truncate(partitions);
        });
        assert_eq!(matches!(answer, Answer::Later(_)), waits, "{min_bytes} {partitions}");
    }
}

/// What had no room is there: nothing has to arrive.
#[test]
fn no_fetch_waits_for_what_had_no_room() {
    let kit = with_batches("", 2, 600);
    // (most of all, most of a partition, minimum, whether it has to wait)
    let rows = [
        (1_000, 1_000, 1_000, false),
        (100_000, 1_000, 1_000, false),
        (100_000, 1_000, 10_000, true),
        // Of a partition so much counts as it asks for.
        (100_000, 100, 760, false),
        (100_000, 100, 800, true),
    ];
    for (max_bytes, partition_max_bytes, min_bytes, waits) in rows {
        let answer = fetch_as(&kit, Offset::ZERO, |request| {
            (request.max_bytes, request.min_bytes) = (max_bytes, min_bytes);
            let partitions = request.topics[0].partitions.iter_mut();
            partitions.for_each(|partition| partition.partition_max_bytes = partition_max_bytes);
        });
        let is_later = matches!(answer, Answer::Later(_));
        assert_eq!(is_later, waits, "{max_bytes} {partition_max_bytes} {min_bytes}");
    }
}

/// Nor has what this reader may not have yet had no room: compaction has left nothing before it.
#[test]
fn a_fetch_waits_for_the_end_of_a_transaction_behind_a_gap() {
    let kit = with_batches("", 2, 600);
    let begun = BatchSpec {
        base_offset: Offset(10),
        partition_leader_epoch: LeaderEpoch(0),
        producer: Producer { id: ProducerId(7), epoch: ProducerEpoch(0), base_sequence: 0 },
        transactional: true,
        ..BatchSpec::default()
    };
    let mut batch = BatchBuilder::new(begun);
    batch.append(&NewRecord::default()).unwrap();
    let batch = batch.finish();
    let appended = kit.partitions[1].with_leader(|leader| {
        leader.log_mut().append_as_follower(&batch, LeaderEpoch(0), Timestamp(0)).unwrap();
        leader.synced(Offset(11));
        leader.high_watermark()
    });
    assert_eq!(appended.unwrap(), Offset(11));
    // (isolation, most of that partition, minimum, whether it has to wait)
    let rows = [
        (1, 1 << 20, 1_000, true),
        (1, 60, 700, true),
        (0, 60, 700, false),
        (0, 1 << 20, 1_000, true),
    ];
    for (isolation, size_max, min_bytes, waits) in rows {
        let answer = fetch_as(&kit, Offset::ZERO, |request| {
            (request.isolation_level, request.min_bytes) = (isolation, min_bytes);
            let behind = &mut request.topics[0].partitions[1];
            (behind.fetch_offset, behind.partition_max_bytes) = (Offset(5), size_max);
        });
        let is_later = matches!(answer, Answer::Later(_));
        assert_eq!(is_later, waits, "{isolation} {size_max} {min_bytes}");
    }
}

#[test]
fn who_names_an_epoch_that_nobody_knows_or_an_offset_that_is_gone_is_out_of_range() {
    let kit = kit("", OpenFiles::within(1_000, 100, 1), 1, &LogConfig::default());
    let partition = &kit.partitions[0];
    for _ in 0..4 {
        let end = append_value(partition, b"x");
        assert!(is_committed_soon(partition, end));
    }
    partition.with_leader(|leader| leader.delete_records(Offset(2))).unwrap().unwrap();
    let parted = |epoch, end_offset| EpochEndOffset { epoch, end_offset: Offset(end_offset) };
    let none = EpochEndOffset::default();
    // (offset, last fetched epoch, error, where the logs part); all records are of epoch 0
    let rows = [
        (2, 0, ErrorCode::NONE, none.clone()),
        (2, 3, ErrorCode::OFFSET_OUT_OF_RANGE, none.clone()),
        (1, 0, ErrorCode::OFFSET_OUT_OF_RANGE, none.clone()),
        (1, -1, ErrorCode::OFFSET_OUT_OF_RANGE, none),
        (9, 0, ErrorCode::NONE, parted(0, 4)),
    ];
    for (offset, epoch, error, diverging) in rows {
        let answer = fetch_as(&kit, Offset(offset), |request| {
            request.topics[0].partitions[0].last_fetched_epoch = epoch;
            request.min_bytes = 1;
        });
        let Answer::Now(body) = answer else { panic!("it waits") };
        let told = &body.message.responses[0].partitions[0];
        assert_eq!(
            (told.error_code, &told.diverging_epoch),
            (error, &diverging),
            "{offset} {epoch}"
        );
    }
}

/// A partition that moves while it is read: the disk that fails is the one that it comes from.
#[test]
fn what_cannot_be_read_is_blamed_on_the_disk_that_it_was_to_come_from() {
    let kit = kit("", OpenFiles::within(1_000, 100, 1), 1, &LogConfig::default());
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    // Where no memory lies reading it is an error of input or output, as of a disk that has failed.
    let file = crate::disk::either::OS.open("/proc/self/mem".as_ref(), OpenMode::Read).unwrap();
    let slice = Slice {
        file,
        position: 0,
        size: 1,
        base_offset: Offset::ZERO,
        first_batch_size: 1,
        goes_on: false,
    };
    let origin = Origin { partition: Arc::clone(partition), dir: partition.log_dir() };
    let mut finding = Finding {
        data: PartitionData::default(),
        slice: Some(slice),
        copied: None,
        cold: Some(origin),
        goes_on: false,
        left_out: 0,
    };
    partition.move_to(Arc::clone(&dirs[1]));
    wait(Box::pin(finding.copy_cold()));
    assert_eq!(finding.data.error_code, ErrorCode::KAFKA_STORAGE_ERROR);
    assert!(dirs[0].has_failed());
    assert!(!dirs[1].has_failed());
}

/// Else what closed connections have asked for would queue before what is waited for.
#[test]
fn what_nobody_waits_for_any_more_is_not_read() {
    let options = LocalOptions::default();
    let mut builder = Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).build_local(options).unwrap();
    let is_read = Arc::new(AtomicBool::new(false));
    let reads = Arc::clone(&is_read);
    runtime.block_on(async {
        let (release, held) = std::sync::mpsc::channel();
        let disk = tokio::task::spawn_blocking(move || held.recv().unwrap());
        let mut read = Box::pin(elsewhere(move || reads.store(true, Ordering::Release)));
        assert!(poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await.is_pending());
        drop(read);
        release.send(()).unwrap();
        disk.await.unwrap();
        // Whatever stood before it in the queue has had its turn then.
        elsewhere(|| ()).await.unwrap();
    });
    assert!(!is_read.load(Ordering::Acquire));
}
