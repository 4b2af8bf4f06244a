//! Goal: the forms of OffsetFetch between versions, and tombstones in portions.

use dohle_base::{ErrorCode, Instant, Now, Uuid};
use dohle_machine::Machine;
use dohle_protocol::Message;
use dohle_protocol::api::{
    offset_fetch_request::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic,
        OffsetFetchRequestTopics,
    },
    offset_fetch_response::OffsetFetchResponse,
};

use super::*;
use crate::{Command, GroupMachine, Session, portion::PORTION_BYTES};

/// Tombstones of several portions.
const MANY: usize = 3_000;
/// A portion has room for two of its tombstones.
const LONG_NAME_SIZE: usize = 30_000;

fn topics() -> Vec<OffsetFetchRequestTopics> {
    vec![OffsetFetchRequestTopics {
        name: Str::from("t"),
        partition_indexes: vec![PartitionId(0), PartitionId(1)],
        ..OffsetFetchRequestTopics::default()
    }]
}

fn request(group_id: &str) -> OffsetFetchRequestGroup {
    OffsetFetchRequestGroup {
        group_id: Str::from(group_id),
        topics: Some(topics()),
        ..OffsetFetchRequestGroup::default()
    }
}

#[test]
fn a_request_of_any_version_is_one_about_groups() {
    let topics = topics().into_iter().map(|topic| OffsetFetchRequestTopic {
        name: topic.name,
        partition_indexes: topic.partition_indexes,
    });
    let old = OffsetFetchRequest {
        group_id: Str::from("g"),
        topics: Some(topics.collect()),
        ..OffsetFetchRequest::default()
    };
    let new = OffsetFetchRequest {
        groups: vec![request("g"), request("h")],
        ..OffsetFetchRequest::default()
    };
    assert_eq!(fetch_requests(&old, 7), [request("g")]);
    assert_eq!(fetch_requests(&new, 8), [request("g"), request("h")]);
    let all = OffsetFetchRequest { topics: None, ..old };
    assert_eq!(fetch_requests(&all, 2)[0].topics, None);
}

#[test]
fn every_version_can_say_every_answer() {
    let machine = GroupMachine::default();
    for version in OffsetFetchResponse::MIN_VERSION..=OffsetFetchResponse::MAX_VERSION {
        let failure = fetch_failure(&request("g"), ErrorCode::NOT_COORDINATOR, version);
        for (group, expected) in [
            (fetch(&machine, &request("g"), true), ErrorCode::NONE),
            (failure, ErrorCode::NOT_COORDINATOR),
        ] {
            let response = fetch_response(vec![group], version);
            let bytes = response.to_bytes(version).expect("the version can carry it");
            let read = OffsetFetchResponse::from_bytes(bytes, version).expect("it is one");
            assert_eq!(error(&read, version), expected, "version {version}");
        }
    }
}

/// The error of a response, wherever its version puts it.
fn error(response: &OffsetFetchResponse, version: i16) -> ErrorCode {
    match version {
        ..=1 => response.topics[0].partitions[1].error_code,
        2..=7 => response.error_code,
        _ => response.groups[0].error_code,
    }
}

fn commit(machine: &mut GroupMachine, at: i64, group: &str, partition: i32, topic_id: TopicId) {
    let key = OffsetCommitKey {
        group: Str::from(group),
        topic: Str::from("t"),
        partition: PartitionId(partition),
    };
    let value = Some(OffsetCommitValue { topic_id, ..OffsetCommitValue::default() });
    let record = GroupRecord::OffsetCommit { key, value, producer_id: ProducerId::NONE };
    machine.apply(Offset(at), &record);
}

/// What a batch of these records has at least.
fn bytes_of(records: &[GroupRecord]) -> usize {
    records.iter().map(|record| record.encode().unwrap().unwrap().key.len()).sum()
}

/// Carries ticks out until nothing is due at `now`; how many records each logged, in portions that fit.
fn tick_all(machine: &mut GroupMachine, session: &mut Session, now: Now) -> Vec<usize> {
    let mut portions = Vec::new();
    while machine.deadline(session).is_some_and(|at| at <= now.instant) {
        assert!(portions.len() < 1_000, "a tick makes no progress");
        let decision = machine.tick(session, now);
        let (count, size) = (decision.records.len(), bytes_of(&decision.records));
        assert!(count <= 1 || size <= PORTION_BYTES, "{count} records of {size} bytes");
        portions.push(count);
        for record in &decision.records {
            machine.apply(Offset(1_000_000), record);
        }
        for change in decision.soft {
            machine.apply_soft(session, now, change);
        }
    }
    portions
}

#[test]
fn deleted_topics_go_in_portions_and_leave_their_namesakes_alone() {
    let (gone, again) = (TopicId(Uuid(100)), TopicId(Uuid(200)));
    let mut machine = GroupMachine::default();
    for at in 0..MANY as i32 {
        let group = format!("g{}", at % 50);
        commit(&mut machine, i64::from(at), &group, at, gone);
    }
    let long_name = "n".repeat(LONG_NAME_SIZE);
    (0..40).for_each(|at| commit(&mut machine, i64::from(at), &long_name, at, gone));
    commit(&mut machine, 1_000_000, "kept", 0, again);
    let (mut session, now) = (Session::default(), Now::default());
    let command = Command::TopicsDeleted(vec![(Str::from("t"), gone)]);
    for change in machine.decide(&session, now, command).soft {
        machine.apply_soft(&mut session, now, change);
    }
    let portions = tick_all(&mut machine, &mut session, now);
    assert_eq!(portions.iter().sum::<usize>(), MANY + 40);
    assert!(portions.len() > 20, "{portions:?}");
    assert!(machine.offsets().committed("kept", "t", PartitionId(0)).is_some());
    assert_eq!(machine.deadline(&session), None);
}

#[test]
fn expired_offsets_go_in_portions() {
    let mut machine = GroupMachine::default();
    for at in 0..MANY as i32 {
        let group = format!("g{}", at % 50);
        commit(&mut machine, i64::from(at), &group, at, TopicId::ZERO);
    }
    let long_name = "n".repeat(LONG_NAME_SIZE);
    (0..40).for_each(|at| commit(&mut machine, i64::from(at), &long_name, at, TopicId::ZERO));
    let (mut session, mut now) = (Session::default(), Now::default());
    for change in machine.decide(&session, now, Command::Loaded).soft {
        machine.apply_soft(&mut session, now, change);
    }
    now.wall = Timestamp(session.settings().offsets_retention_ms);
    now.instant = machine.deadline(&session).unwrap_or(Instant::default());
    let portions = tick_all(&mut machine, &mut session, now);
    // Every offset and every group.
    assert_eq!(portions.iter().sum::<usize>(), MANY + 50 + 40 + 1);
    assert!(portions.len() > 20, "{portions:?}");
    assert_eq!(machine, GroupMachine::default());
}
