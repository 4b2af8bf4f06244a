//! What a start does in which order, and what a deletion and the failure of a disk wait for.

use std::{io, path::Path, thread, time::Duration};

use dohle_base::{BrokerId, LeaderEpoch, Offset, Timestamp};
use dohle_group::{Caller, Command, Reply};
use dohle_log::{IoError, Log, LogConfig, OpenLog, Origin, disk::Operation};
use dohle_metadata::MetadataState;
use dohle_protocol::{
    api::heartbeat_request::HeartbeatRequest,
    records::metadata::partition_change_record::PartitionChangeRecord,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord};

use super::*;
use crate::{
    disk::either::OS,
    durability::tests::{append, is_committed_soon},
    kit::{Kit, kit, make_topic, no_topics},
    open_files::OpenFiles,
};

const OFFSETS: TopicId = TopicId(Uuid(11));

/// What somebody who is no member is told by the coordinator of the first partition's groups.
fn heartbeat(kit: &Kit) -> ErrorCode {
    let caller = Caller {
        token: kit.broker.coordinator.token(),
        api_version: 4,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    };
    let request = HeartbeatRequest { group_id: "g".into(), ..HeartbeatRequest::default() };
    let command = Command::Heartbeat(caller, request);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(kit.broker.coordinator.ask(PartitionId(0), command)) {
        Reply::Heartbeat(response) => response.error_code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_coordinates_groups_before_all_logs_are_open() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 0, &LogConfig::default());
    let mut publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    let mut state = no_topics();
    make_topic(&mut state, CONSUMER_OFFSETS, OFFSETS, 1, Uuid(7));
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    assert!(kit.broker.partitions.get(OFFSETS, PartitionId(0)).unwrap().is_led());
    assert_eq!(heartbeat(&kit), ErrorCode::NOT_COORDINATOR);
    publisher.logs_are_open();
    assert_eq!(heartbeat(&kit), ErrorCode::UNKNOWN_MEMBER_ID);
    // From then on at once.
    publisher.publish(Published { image: no_topics().image().clone(), ..Published::default() });
    assert_eq!(heartbeat(&kit), ErrorCode::NOT_COORDINATOR);
    publisher.publish(Published { image: state.image().clone(), ..Published::default() });
    assert_eq!(heartbeat(&kit), ErrorCode::UNKNOWN_MEMBER_ID);
}

const MOVED: TopicId = TopicId(Uuid(12));
/// Longer than another thread needs to come to where it waits, on a busy machine, too: if it was not there yet the
/// test says less, and does not fail.
const A_WHILE: Duration = Duration::from_millis(200);

fn site(partitions: i32) -> (Kit, Publisher) {
    let config = LogConfig::default();
    let kit = kit("", OpenFiles::within(1_000, 100, 2), partitions, &config);
    let publisher = Publisher::new(Arc::clone(&kit.broker), Rng::from_seed(1));
    (kit, publisher)
}

/// A log with a record, which no checkpoint and no frame tells of.
fn plant(path: &Path) {
    let how = OpenLog { topic_id: Some(MOVED), ..OpenLog::default() };
    let mut log = Log::open(OS, path.to_owned(), LogConfig::default(), how, Timestamp(0)).unwrap();
    let mut batch = BatchBuilder::new(BatchSpec::default());
    batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
    log.append_as_leader(&batch.finish(), LeaderEpoch(0), Origin::Client, Timestamp(0)).unwrap();
}

/// The partition of the topic has this leader from now on, and lies there.
fn lead(state: &mut MetadataState, leader: BrokerId, directory: Uuid) {
    let change = PartitionChangeRecord {
        topic_id: MOVED,
        partition_id: PartitionId(0),
        leader,
        directories: Some(vec![directory]),
        ..PartitionChangeRecord::default()
    };
    state.apply(&change.into()).unwrap();
}

fn shown(state: &MetadataState) -> Published {
    Published { image: state.image().clone(), ..Published::default() }
}

/// Its directory had another identity, or it was put here by hand.
#[test]
fn a_partition_that_nobody_led_is_opened_once_it_is_led_here() {
    for are_logs_open in [false, true] {
        let (kit, mut publisher) = site(0);
        let dir = &kit.broker.log_dirs[0];
        plant(&dir.path.join("p-0"));
        let mut state = no_topics();
        make_topic(&mut state, "p", MOVED, 1, Uuid(99));
        lead(&mut state, BrokerId::NONE, Uuid(99));
        publisher.publish(shown(&state));
        if are_logs_open {
            publisher.logs_are_open();
        }
        let partition = kit.broker.partitions.get(MOVED, PartitionId(0)).unwrap();
        let end = || partition.with_leader(|leader| leader.log().log_end_offset());
        assert_eq!(end(), Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        assert_eq!(publisher.take_assignments(), [(MOVED, PartitionId(0), dir.id)]);
        lead(&mut state, BrokerId(1), dir.id);
        publisher.publish(shown(&state));
        assert_eq!(end(), Ok(Offset(1)));
        let now = kit.broker.partitions.get(MOVED, PartitionId(0)).unwrap();
        assert!(Arc::ptr_eq(&now, &partition), "who has it goes on with it");
        // Nobody is shown what it had before that is durable. If all other logs are open it is made so at once, and
        // else with theirs.
        assert_eq!(partition.high_watermark().0, i64::from(are_logs_open));
        assert!(partition.is_unframed() || are_logs_open, "a frame would be behind a hole");
        publisher.logs_are_open();
        assert_eq!(partition.high_watermark(), Offset(1));
    }
}

fn failed() -> IoError {
    IoError::new(Operation::Sync, Path::new("/x"), &io::Error::other("gone"))
}

/// A directory fails while the last step of a move has the partition's lock.
fn is_led_after(fails: usize) -> bool {
    let (kit, mut publisher) = site(1);
    let (partition, dirs) = (&kit.partitions[0], &kit.broker.log_dirs);
    kit.broker.moves.request(partition, &dirs[1], Uuid(100));
    let state = partition.state();
    dirs[fails].write_ahead().fail(&failed());
    thread::scope(|scope| {
        let told = scope.spawn(|| publisher.take_failed_offline());
        thread::sleep(A_WHILE);
        partition.move_to(Arc::clone(&dirs[1]));
        drop(state);
        assert_eq!(told.join().unwrap(), [dirs[fails].id]);
    });
    partition.is_led()
}

#[test]
fn a_partition_is_taken_out_of_service_where_it_lies_once_its_move_has_ended() {
    assert!(is_led_after(0), "it lies where nothing has failed");
    assert!(!is_led_after(1), "it lies in the one that has");
}

/// As it would be for one whose log cannot be written any more: nobody would let go of them again.
#[test]
fn what_is_gone_is_not_taken_out_of_service() {
    let (kit, _) = site(1);
    let (partition, way) = (&kit.partitions[0], kit.broker.log_dirs[0].write_ahead());
    assert!(is_committed_soon(partition, append(partition)));
    *partition.state() = State::Gone;
    partition.take_offline();
    assert!(partition.is_gone());
    kit.flush();
    assert!(!way.keeps_frames());
}

/// The flush that a deletion waits for may find that there is something in frames that is nowhere else.
#[test]
fn no_frames_are_kept_for_a_partition_that_is_gone() {
    let (kit, mut publisher) = site(1);
    let (partition, way) = (&kit.partitions[0], kit.broker.log_dirs[0].write_ahead());
    let alone = way.alone();
    thread::scope(|scope| {
        let deletion = scope.spawn(|| publisher.publish(shown(&no_topics())));
        while !partition.is_gone() {
            thread::yield_now();
        }
        thread::sleep(A_WHILE);
        way.keep_frames(partition.key(), partition);
        drop(alone);
        deletion.join().unwrap();
    });
    assert!(!way.keeps_frames());
}
