//! Whose turn it is among moves, and what becomes of those that cannot go on.

mod end;
mod starts;
mod stop;
mod take_back;

use std::{fs, thread};

use dohle_base::{ErrorCode, Offset, PartitionId, Timestamp, Uuid};
use dohle_controller::{ApiError, Reply, Request};
use dohle_log::{Log, LogConfig, OpenLog, ReadRange};
use dohle_protocol::api::assign_replicas_to_dirs_response::AssignReplicasToDirsResponse;
use dohle_replication::Leader;

use super::*;
use crate::{
    LogDir, OpenFiles,
    controller::Event,
    disk::{NodeDisk, either::OS},
    durability::tests::{append_value, is_committed_soon},
    kit::{Kit, SOON, kit, log_dir},
    partition::{Partition, State},
};

const ONE_AT_A_TIME: &str = "num.replica.alter.log.dirs.threads=1\n";

fn site(settings: &str, partitions: i32, config: &LogConfig) -> (Kit, Worker) {
    let files = OpenFiles::within(1_000, 100, 2);
    let kit = kit(&format!("{ONE_AT_A_TIME}{settings}"), files, partitions, config);
    let worker = Worker::new(Arc::clone(&kit.broker), Arc::clone(&kit.broker.moves.shared));
    (kit, worker)
}

/// Segments of a record each, of which only the last ones are needed.
fn compacted() -> LogConfig {
    LogConfig { compacted: true, segment_bytes_max: 200, ..LogConfig::default() }
}

fn write(partition: &Arc<Partition>) {
    let end = append_value(partition, &[7; 100]);
    assert!(is_committed_soon(partition, end));
}

fn request(kit: &Kit, partition: &Arc<Partition>) {
    let unique = Uuid(u128::from(partition.index().0.unsigned_abs()) + 100);
    kit.broker.moves.request(partition, &kit.broker.log_dirs[1], unique);
}

/// Lets the thread do what it has to do now.
fn turn(worker: &mut Worker) {
    let new = worker.shared.wait(Some(Instant::now())).unwrap();
    worker.turn(new);
}

fn turn_until(worker: &mut Worker, is_over: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_over() {
        assert!(start.elapsed() < SOON, "it does not come");
        turn(worker);
        thread::sleep(Duration::from_millis(1));
    }
}

/// The same where the controller takes all: behind the pause after its last refusal there is none, however
/// long all of it takes.
fn without_pause(worker: &mut Worker, is_over: impl Fn() -> bool) {
    let (start, mut is_resting) = (Instant::now(), true);
    while !is_over() {
        assert!(start.elapsed() < SOON, "it does not come");
        let may_ask = worker.may_ask();
        assert!(is_resting || may_ask, "there is no pause when it takes them");
        is_resting &= !may_ask;
        turn(worker);
        thread::sleep(Duration::from_millis(1));
    }
}

fn copies(kit: &Kit) -> Vec<String> {
    copies_in(&kit.broker.log_dirs[1])
}

fn copies_in(dir: &LogDir) -> Vec<String> {
    let entries = fs::read_dir(&dir.path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with("-future")).collect()
}

/// Takes the directory of each partition for which `takes` holds.
fn control(kit: &mut Kit, takes: impl Fn(PartitionId) -> bool + Send + 'static) {
    let inbox = std::mem::replace(&mut kit.controller, crate::ControllerHandle::new().1);
    let mut events = inbox.0;
    thread::spawn(move || {
        while let Some(Event::Ask { request, reply }) = events.blocking_recv() {
            let Request::AssignReplicasToDirs(asked) = *request else { return };
            let index = asked.directories[0].topics[0].partitions[0].partition_index;
            let answer = match takes(index) {
                true => Reply::AssignReplicasToDirs(AssignReplicasToDirsResponse::default()),
                false => {
                    let code = ErrorCode::NOT_CONTROLLER;
                    Reply::Refused(ApiError { code, message: None })
                }
            };
            reply.send(answer).unwrap();
        }
    });
}

#[test]
fn a_move_that_the_controller_refuses_lets_others_go_and_comes_again() {
    let (mut kit, mut worker) = site("", 3, &LogConfig::default());
    let is_refusing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let refuses = Arc::clone(&is_refusing);
    control(&mut kit, move |index| index.0 > 0 || !refuses.load(Ordering::Acquire));
    kit.partitions.iter().for_each(write);
    kit.partitions.iter().for_each(|partition| request(&kit, partition));
    let [refused, others @ ..] = &kit.partitions[..] else { unreachable!() };
    let has_moved = |partition: &Arc<Partition>| partition.directory() == Uuid(8);
    turn_until(&mut worker, || others.iter().all(has_moved));
    assert!(!has_moved(refused));
    // What was written meanwhile is taken, too.
    write(refused);
    is_refusing.store(false, Ordering::Release);
    turn_until(&mut worker, || has_moved(refused));
    let end = refused.with_leader(|leader| leader.log().log_end_offset());
    assert_eq!(end.map(|end| end.0), Ok(2));
    assert!(copies(&kit).is_empty());
}

#[test]
fn many_that_the_controller_refuses_are_asked_about_a_few_at_a_time_and_after_new_ones() {
    const MOVES: i32 = 4;
    let (mut kit, mut worker) = site("", MOVES + 1, &LogConfig::default());
    let is_refusing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (refuses, tells) = (Arc::clone(&is_refusing), Arc::clone(&asked));
    control(&mut kit, move |index| {
        tells.lock().unwrap().push(index.0);
        !refuses.load(Ordering::Acquire)
    });
    let count = || asked.lock().unwrap().len();
    let [refused @ .., new] = &kit.partitions[..] else { unreachable!() };
    refused.iter().for_each(|partition| request(&kit, partition));
    turn_until(&mut worker, || count() == MOVES as usize);
    let start = Instant::now();
    turn_until(&mut worker, || count() == MOVES as usize + 3);
    let again = asked.lock().unwrap()[MOVES as usize..].to_vec();
    assert_eq!(again, [0, 1, 2], "in turn");
    assert!(start.elapsed() > RETRY * 2, "one in each second: {:?}", start.elapsed());
    while !worker.copies.is_empty() {
        turn(&mut worker);
    }
    let before = count();
    thread::sleep(RETRY);
    request(&kit, new);
    turn_until(&mut worker, || count() > before);
    assert_eq!(asked.lock().unwrap()[before], MOVES, "it has not been asked about");
    is_refusing.store(false, Ordering::Release);
    let has_moved = |partition: &Arc<Partition>| partition.directory() == Uuid(8);
    without_pause(&mut worker, || kit.partitions.iter().all(has_moved));
}

#[test]
fn many_new_ones_are_asked_about_a_few_at_a_time_while_the_controller_refuses() {
    const MOVES: i32 = 20;
    let (mut kit, mut worker) = site("", MOVES, &LogConfig::default());
    let is_refusing = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (refuses, tells) = (Arc::clone(&is_refusing), Arc::clone(&asked));
    control(&mut kit, move |index| {
        tells.lock().unwrap().push(index.0);
        !refuses.load(Ordering::Acquire)
    });
    kit.partitions.iter().for_each(write);
    kit.partitions.iter().for_each(|partition| request(&kit, partition));
    let start = Instant::now();
    let count = || asked.lock().unwrap().len();
    turn_until(&mut worker, || count() == 3);
    assert_eq!(*asked.lock().unwrap(), [0, 1, 2], "in turn");
    assert!(start.elapsed() > RETRY * 2, "one in each second: {:?}", start.elapsed());
    let is_copied = |partition: &Arc<Partition>| {
        let (topic, index) = partition.key();
        kit.broker.moves.of(topic, index).is_some_and(|(_, progress)| progress.end == Offset(1))
    };
    turn_until(&mut worker, || kit.partitions.iter().all(is_copied));
    is_refusing.store(false, Ordering::Release);
    let has_moved = |partition: &Arc<Partition>| partition.directory() == Uuid(8);
    without_pause(&mut worker, || kit.partitions.iter().all(has_moved));
}

/// Nothing else rings.
#[test]
fn a_partition_is_cleaned_when_the_move_that_kept_the_cleaner_out_is_cancelled() {
    let (mut kit, mut worker) = site("log.cleaner.backoff.ms=1\n", 2, &compacted());
    control(&mut kit, |_| true);
    let [moving, other] = &kit.partitions[..] else { unreachable!() };
    request(&kit, moving);
    turn(&mut worker);
    (0..8).for_each(|_| kit.partitions.iter().for_each(keyed));
    let cleaner = kit.broker.cleaner.start(Arc::clone(&kit.broker)).unwrap().unwrap();
    let is_cleaned = |partition: &Partition| {
        partition.with_leader(|leader| leader.log().cleaned_to() > Offset::ZERO).unwrap()
    };
    let start = Instant::now();
    while !is_cleaned(other) {
        assert!(start.elapsed() < SOON, "the other one is not cleaned");
        thread::sleep(Duration::from_millis(1));
    }
    // It sleeps now.
    thread::sleep(Duration::from_millis(200));
    let (topic, index) = moving.key();
    kit.broker.moves.cancel(topic, index);
    turn_until(&mut worker, || is_cleaned(moving));
    kit.broker.cleaner.stop();
    cleaner.join().unwrap();
}

#[test]
fn a_partition_is_cleaned_until_its_copy_begins() {
    let settings = "log.cleaner.backoff.ms=1\n";
    let (mut kit, mut worker) = site(settings, 2, &compacted());
    control(&mut kit, |_| true);
    request(&kit, &kit.partitions[0]);
    request(&kit, &kit.partitions[1]);
    turn(&mut worker);
    assert_eq!((worker.copies.len(), worker.waiting.len()), (1, 1));
    (0..8).for_each(|_| keyed(&kit.partitions[0]));
    let cleaner = kit.broker.cleaner.start(Arc::clone(&kit.broker)).unwrap().unwrap();
    let cleaned_to = |index: usize| {
        kit.partitions[index].with_leader(|leader| leader.log().cleaned_to().0).unwrap()
    };
    for round in 0..2 {
        // In the second round the other one is dirtier.
        (0..8).for_each(|_| keyed(&kit.partitions[1]));
        let (before, start) = (cleaned_to(1), Instant::now());
        while cleaned_to(1) == before {
            assert!(start.elapsed() < SOON, "the one that waits is not cleaned, round {round}");
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(cleaned_to(0), 0, "a part of it is copied");
    kit.broker.cleaner.stop();
    cleaner.join().unwrap();
    let has_moved = |partition: &Arc<Partition>| partition.directory() == Uuid(8);
    turn_until(&mut worker, || kit.partitions.iter().all(has_moved));
}

/// Another value of the same key.
fn keyed(partition: &Arc<Partition>) {
    put(partition, b"k", Some(&[7; 100]));
}

fn put(partition: &Arc<Partition>, key: &[u8], value: Option<&[u8]>) {
    put_all(partition, &[key], value);
}

/// In one batch.
fn put_all(partition: &Arc<Partition>, keys: &[&[u8]], value: Option<&[u8]>) {
    use dohle_records::{BatchBuilder, BatchSpec, NewRecord};
    let mut batch = BatchBuilder::new(BatchSpec::default());
    for key in keys {
        batch.append(&NewRecord { key: Some(key), value, ..NewRecord::default() }).unwrap();
    }
    let now = dohle_base::Timestamp(0);
    let appended = partition.append(&batch.finish(), dohle_log::Origin::Client, now);
    let (appended, _) = appended.unwrap().unwrap();
    assert!(is_committed_soon(partition, appended.last_offset.next()));
}

/// The copy has a value whose tombstone was cleaned since: behind the copy's end nothing says that it is gone.
#[test]
fn what_was_deleted_and_cleaned_since_does_not_come_back_with_a_copy_that_goes_on() {
    copy_is_cut_short_and_goes_on(&[], |_| {});
}

/// Nor if all that tells of the clean is what it left: the node crashed before the checkpoint, and the topic
/// is not compacted any more.
#[test]
fn nor_if_no_checkpoint_tells_of_the_clean() {
    let forget = |partition: &Arc<Partition>| {
        partition.with_leader(reopen_as_never_cleaned).unwrap();
    };
    copy_is_cut_short_and_goes_on(&[], forget);
    // The first batch stays, with fewer records than it had.
    copy_is_cut_short_and_goes_on(&[b"stays"], forget);
}

fn copy_is_cut_short_and_goes_on(beside: &[&[u8]], restart: impl Fn(&Arc<Partition>)) {
    let config = LogConfig { delete_retention_ms: 0, cleanable_ratio_min: 0.0, ..compacted() };
    let (mut kit, mut worker) = site("log.cleaner.backoff.ms=1\n", 1, &config);
    control(&mut kit, |_| true);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    let (source, target) = (&dirs[0], &dirs[1]);
    put_all(partition, &[beside, &[b"k"]].concat(), Some(&[7; 40]));
    kit.flush();
    // As far as a move got before the node stopped.
    let path = target.path.join("t-0.x-future");
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(source.path.join("t-0")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    let copied = records(partition);
    put(partition, b"k", None);
    let cleaner = kit.broker.cleaner.start(Arc::clone(&kit.broker)).unwrap().unwrap();
    let start = Instant::now();
    let is_gone = || !records(partition).iter().any(|(_, key)| key == b"k");
    while !is_gone() {
        assert!(start.elapsed() < SOON, "the tombstone stays");
        put(partition, b"other", Some(&[7; 100]));
        thread::sleep(Duration::from_millis(1));
    }
    kit.broker.cleaner.stop();
    cleaner.join().unwrap();
    restart(partition);
    let before = records(partition);
    assert!(copied.iter().any(|record| !before.contains(record)));
    kit.broker.moves.resume(partition, target, path);
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    assert_eq!(records(partition), before);
}

/// As after a crash before the cleaner's checkpoint was written.
fn reopen_as_never_cleaned(leader: &mut Leader<NodeDisk>) {
    leader.log_mut().flush().unwrap();
    let (dir, end) = (leader.log().dir().to_owned(), leader.log().recovery_point());
    let how = OpenLog { recovery_point: end, ..OpenLog::default() };
    let log = Log::open(OS, dir, LogConfig::default(), how, Timestamp(0)).unwrap();
    assert_eq!(log.cleaned_to(), Offset::ZERO);
    drop(leader.replace_log(log));
}

/// What goes on copying is what nobody cleans: it need not begin anew.
#[test]
fn a_copy_of_a_log_without_gaps_goes_on_where_it_was() {
    let config = LogConfig { segment_bytes_max: 300, ..LogConfig::default() };
    let (mut kit, mut worker) = site("", 1, &config);
    control(&mut kit, |_| true);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    let (source, target) = (&dirs[0], &dirs[1]);
    (0..5).for_each(|_| put_all(partition, &[b"a", b"b"], Some(&[7; 50])));
    kit.flush();
    let path = target.path.join("t-0.x-future");
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(source.path.join("t-0")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    // What is copied anew has no such file.
    let first = path.join("00000000000000000000.log");
    let copied = fs::metadata(&first).unwrap().modified().unwrap();
    write(partition);
    let before = records(partition);
    kit.broker.moves.resume(partition, target, path);
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    assert_eq!(records(partition), before);
    let first = target.path.join("t-0/00000000000000000000.log");
    assert_eq!(fs::metadata(first).unwrap().modified().unwrap(), copied);
}

/// Offset and key of all records that there are.
fn records(partition: &Partition) -> Vec<(Offset, Vec<u8>)> {
    use dohle_records::{DECOMPRESSED_SIZE_MAX, split_batches};
    let mut found = Vec::new();
    let mut from = partition.with_leader(|leader| leader.log().log_start_offset()).unwrap();
    loop {
        let read = partition.with_leader(|leader| {
            let up_to = leader.log().log_end_offset();
            let range = ReadRange { from, up_to, size_max: usize::MAX, at_least_one: true };
            leader.log_mut().read(range)
        });
        let Some(slice) = read.unwrap().unwrap() else { return found };
        for batch in split_batches(&slice.read().unwrap()).unwrap() {
            from = batch.view().next_offset();
            for record in batch.view().decompress(DECOMPRESSED_SIZE_MAX).unwrap().records() {
                let record = record.unwrap();
                found.push((record.offset, record.key.unwrap_or_default().to_vec()));
            }
        }
    }
}

/// A move of what was written ends when a part of it is copied, because its partition cannot be read.
fn end_early(kit: &Kit, worker: &mut Worker, partition: &Arc<Partition>) {
    write(partition);
    request(kit, partition);
    let (topic, index) = partition.key();
    let progress = || kit.broker.moves.of(topic, index).map(|(_, progress)| progress.end);
    turn_until(worker, || progress() == Some(Offset(1)));
    let led = std::mem::replace(&mut *partition.state(), State::NotLed);
    turn_until(worker, || progress().is_none());
    *partition.state() = led;
    assert_eq!(copies(kit).len(), 1, "it is of use after the next start");
}

#[test]
fn a_move_that_has_ended_goes_on_in_the_copy_that_is_there_when_it_is_asked_for_again() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let partition = &kit.partitions[0];
    end_early(&kit, &mut worker, partition);
    let before = copies(&kit);
    write(partition);
    kit.broker.moves.request(partition, &kit.broker.log_dirs[1], Uuid(999));
    turn(&mut worker);
    assert_eq!(copies(&kit), before);
    let (topic, index) = partition.key();
    let progress = kit.broker.moves.of(topic, index).map(|(_, progress)| progress.end);
    assert_eq!(progress, Some(Offset(1)), "not from the beginning");
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    let end = partition.with_leader(|leader| leader.log().log_end_offset());
    assert_eq!(end, Ok(Offset(2)));
    assert!(copies(&kit).is_empty());
}

/// Who asks may have seen it the moment before.
#[test]
fn nothing_is_copied_of_a_partition_that_is_gone() {
    let (kit, mut worker) = site("", 1, &LogConfig::default());
    let partition = &kit.partitions[0];
    *partition.state() = State::Gone;
    request(&kit, partition);
    turn(&mut worker);
    assert!(copies(&kit).is_empty());
    let (topic, index) = partition.key();
    assert_eq!(kit.broker.moves.of(topic, index).map(|(target, _)| target), None);
}

#[test]
fn the_copy_of_a_move_that_has_ended_goes_when_another_directory_is_asked_for() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let (partition, home) = (&kit.partitions[0], &kit.broker.log_dirs[0]);
    let third = third_dir(home);
    end_early(&kit, &mut worker, partition);
    kit.broker.moves.request(partition, &third, Uuid(999));
    turn(&mut worker);
    assert!(copies(&kit).is_empty());
    assert_eq!(copies_in(&third).len(), 1);
    turn_until(&mut worker, || partition.directory() == Uuid(9));
    assert!(copies_in(&third).is_empty());
}

fn third_dir(beside: &LogDir) -> Arc<LogDir> {
    let path = beside.path.with_file_name("c");
    fs::create_dir(&path).unwrap();
    Arc::new(log_dir(Uuid(9), &path))
}

#[test]
fn the_copy_of_a_move_that_has_ended_goes_when_its_partition_is_to_stay() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let (partition, home) = (&kit.partitions[0], &kit.broker.log_dirs[0]);
    end_early(&kit, &mut worker, partition);
    kit.broker.moves.request(partition, home, Uuid(999));
    turn(&mut worker);
    assert!(copies(&kit).is_empty());
    assert!(copies_in(home).is_empty());
    let (topic, index) = partition.key();
    assert!(kit.broker.moves.of(topic, index).is_none());
}

#[test]
fn of_many_copies_that_a_start_finds_one_goes_on() {
    let (mut kit, mut worker) = site("", 1, &LogConfig::default());
    control(&mut kit, |_| true);
    let [home, target] = &kit.broker.log_dirs[..] else { unreachable!() };
    let partition = &kit.partitions[0];
    write(partition);
    for (dir, name) in [(target, "x"), (target, "y"), (home, "z")] {
        let path = dir.path.join(format!("t-0.{name}-future"));
        fs::create_dir(&path).unwrap();
        kit.broker.moves.resume(partition, dir, path);
    }
    turn(&mut worker);
    assert_eq!(copies(&kit), ["t-0.x-future"]);
    assert!(copies_in(home).is_empty());
    turn_until(&mut worker, || partition.directory() == Uuid(8));
    assert!(copies(&kit).is_empty());
}

/// The next start would go on with it.
#[test]
fn what_was_taken_back_just_before_the_stop_leaves_no_copy() {
    let (mut kit, mut worker) = site("", 2, &LogConfig::default());
    control(&mut kit, |_| true);
    let (partition, home) = (&kit.partitions[0], &kit.broker.log_dirs[0]);
    end_early(&kit, &mut worker, partition);
    request(&kit, &kit.partitions[1]);
    turn(&mut worker);
    assert_eq!(copies(&kit).len(), 2);
    kit.partitions.iter().for_each(|partition| {
        kit.broker.moves.request(partition, home, Uuid(999));
    });
    kit.broker.moves.stop();
    worker.run();
    assert!(copies(&kit).is_empty());
}

/// A deletion ends the partition before it cancels the move, and a step of it may come in between.
#[test]
fn copies_of_a_partition_that_is_being_deleted_go_whether_begun_or_not() {
    let (mut kit, mut worker) = site("", 2, &LogConfig::default());
    control(&mut kit, |_| true);
    kit.partitions.iter().for_each(write);
    kit.partitions.iter().for_each(|partition| request(&kit, partition));
    turn(&mut worker);
    assert_eq!((worker.copies.len(), worker.waiting.len()), (1, 1));
    assert_eq!(copies(&kit).len(), 2);
    for partition in &kit.partitions {
        let (topic, index) = partition.key();
        kit.broker.partitions.remove(topic, index);
        *partition.state() = State::Gone;
    }
    // The copy that was begun ends, and the other one is begun; then that ends.
    turn_until(&mut worker, || {
        let mut keys = kit.partitions.iter().map(|partition| partition.key());
        keys.all(|(topic, index)| kit.broker.moves.of(topic, index).is_none())
    });
    for partition in &kit.partitions {
        let (topic, index) = partition.key();
        kit.broker.moves.cancel(topic, index);
    }
    turn(&mut worker);
    let retention = kit.broker.retention.start(Arc::clone(&kit.broker)).unwrap();
    let start = Instant::now();
    while !copies(&kit).is_empty() {
        assert!(start.elapsed() < SOON, "{:?} stay until the next start", copies(&kit));
        thread::sleep(Duration::from_millis(1));
    }
    kit.broker.retention.stop();
    retention.join().unwrap();
}
