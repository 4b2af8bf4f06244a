//! Goal: whoever asks is answered, whatever becomes of the thread and of what it writes; and what it writes can
//! be read again.

use std::ops::Range;

use dohle_base::{Offset, Uuid};
use dohle_group::Caller;
use dohle_protocol::api::{
    heartbeat_request::HeartbeatRequest,
    join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol},
    offset_commit_request::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    },
};
use dohle_records::Entry;
use dohle_replication::{Isolation, Read};

use super::*;
use crate::durability::tests::{is_committed_soon, node};

fn caller(coordinator: &Coordinator, api_version: i16) -> Caller {
    Caller {
        token: coordinator.token(),
        api_version,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
    }
}

fn heartbeat(coordinator: &Coordinator) -> Command {
    Command::Heartbeat(caller(coordinator, 4), HeartbeatRequest::default())
}

/// From somebody who is no member, for as many partitions.
fn commit(coordinator: &Coordinator, partitions: i32) -> Command {
    commit_of(coordinator, "g", 0..partitions)
}

fn commit_of(coordinator: &Coordinator, group_id: &str, partitions: Range<i32>) -> Command {
    let partition = |index| OffsetCommitRequestPartition {
        partition_index: PartitionId(index),
        committed_offset: Offset(42),
        ..Default::default()
    };
    let partitions = partitions.map(partition).collect();
    let topic = OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group_id.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    Command::OffsetCommit(caller(coordinator, 8), request)
}

/// The first member of a group, which waits for others.
fn join(coordinator: &Coordinator) -> Command {
    let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
    let request = JoinGroupRequest {
        group_id: "h".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    Command::Join { caller: caller(coordinator, 3), request, fresh_id: Uuid(5) }
}

fn error_of(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Heartbeat(response) => response.error_code,
        Reply::Join(response) => response.error_code,
        Reply::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn started(writes: GroupWrites, initial_rebalance_delay_ms: i32) -> Coordinator {
    let settings = GroupSettings { initial_rebalance_delay_ms, ..GroupSettings::default() };
    Coordinator::start(settings, writes, Clock::start(), &Fatal::default()).unwrap().0
}

fn ask(coordinator: &Coordinator, command: Command) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limit = Duration::from_secs(20);
    runtime.block_on(async {
        let answer = coordinator.ask(PartitionId(0), command);
        tokio::time::timeout(limit, answer).await.expect("an answer")
    })
}

#[test]
fn who_waits_for_too_long_until_a_write_is_committed_is_told_to_ask_again() {
    let node = node(1);
    let elected = |commit_max, initial_rebalance_delay_ms| {
        let writes = GroupWrites { commit_max, compression: Compression::NONE };
        let coordinator = started(writes, initial_rebalance_delay_ms);
        coordinator.elected(Arc::clone(&node.partitions[0]));
        coordinator
    };
    let before = elected(Duration::from_secs(20), 0);
    assert_eq!(error_of(ask(&before, join(&before))), ErrorCode::NONE, "its group is written");
    before.stop();
    // Nothing becomes durable any more.
    node.dir.write_ahead().die();
    let commit_max = Duration::from_millis(50);
    let coordinator = elected(commit_max, 300);
    let reply = ask(&coordinator, join(&coordinator));
    assert_eq!(error_of(reply), ErrorCode::NONE, "it waited for other members, not for a write");
    for _ in 0..2 {
        let asked = std::time::Instant::now();
        let reply = ask(&coordinator, commit(&coordinator, 1));
        assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(asked.elapsed() >= commit_max);
    }
}

#[test]
fn a_group_is_written_with_the_codec_that_was_set_and_read_again() {
    for codec in Codec::ALL {
        let node = node(1);
        let partition = &node.partitions[0];
        let (compression, commit_max) = (codec.into(), Duration::from_secs(10));
        let coordinator = started(GroupWrites { compression, commit_max }, 0);
        coordinator.elected(Arc::clone(partition));
        let reply = ask(&coordinator, commit(&coordinator, 100));
        assert_eq!(error_of(reply), ErrorCode::NONE, "{codec}");
        assert!(is_committed_soon(partition, Offset(100)));
        let read = Read {
            from: Offset(0),
            size_max: 1 << 20,
            at_least_one: true,
            isolation: Isolation::LogEnd,
        };
        let slice = partition.with_leader(|leader| leader.read(read)).unwrap().unwrap().slice;
        let bytes = slice.unwrap().read().unwrap();
        let batch = Entry::parse(&bytes).unwrap().batch().unwrap();
        assert_eq!(batch.attributes().codec(), Some(codec));
        let loaded = load::load(partition).unwrap_or_else(|error| panic!("{codec}: {error}"));
        let offsets = loaded.machine().offsets();
        let found = (0..100).filter_map(|index| offsets.committed("g", "t", PartitionId(index)));
        assert!(found.map(|found| found.offset).eq([Offset(42); 100]), "{codec}");
    }
}

/// The offsets of a group with a long name are deleted with their topic: their tombstones are more than a
/// batch may have.
#[test]
fn tombstones_of_any_size_are_written_and_hold_up_nobody() {
    let node = node(1);
    let partition = &node.partitions[0];
    let writes =
        GroupWrites { commit_max: Duration::from_secs(10), compression: Compression::NONE };
    let coordinator = started(writes, 0);
    coordinator.elected(Arc::clone(partition));
    let group_id = "n".repeat(30_000);
    for partitions in [0..20, 20..40] {
        let reply = ask(&coordinator, commit_of(&coordinator, &group_id, partitions));
        assert_eq!(error_of(reply), ErrorCode::NONE);
    }
    coordinator.topics_deleted(vec![("t".into(), TopicId::ZERO)]);
    assert_eq!(error_of(ask(&coordinator, join(&coordinator))), ErrorCode::NONE);
    let is_gone = || {
        let loaded = load::load(partition).unwrap();
        loaded.machine().offsets().committed(&group_id, "t", PartitionId(39)).is_none()
    };
    let start = std::time::Instant::now();
    while !is_gone() {
        assert!(start.elapsed() < Duration::from_secs(20), "the offsets stay");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_request_that_the_thread_dies_with_is_refused() {
    let (inbox, mut events) = mpsc::channel(1);
    let coordinator = Coordinator { inbox, next_token: AtomicU64::new(0) };
    let asked = coordinator.ask(PartitionId(0), heartbeat(&coordinator));
    let dies = async {
        drop(events.recv().await);
        drop(events);
    };
    let (reply, ()) = tokio::join!(asked, dies);
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let reply = coordinator.ask(PartitionId(0), heartbeat(&coordinator)).await;
    assert_eq!(error_of(reply), ErrorCode::COORDINATOR_NOT_AVAILABLE, "and all after it");
}
