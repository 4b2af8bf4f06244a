//! A coordinator as members meet it: what it is asked, and its answers.

use std::time::Duration;

use dohle_base::{ErrorCode, PartitionId};
use dohle_protocol::api::{
    fetch_request::FetchRequest,
    find_coordinator_request::FindCoordinatorRequest,
    find_coordinator_response::{self, FindCoordinatorResponse},
    heartbeat_request::HeartbeatRequest,
    heartbeat_response::HeartbeatResponse,
    join_group_request::JoinGroupRequest,
    join_group_response::JoinGroupResponse,
    offset_commit_request::OffsetCommitRequest,
    offset_commit_response::{
        OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    },
    offset_fetch_request::OffsetFetchRequest,
    offset_fetch_response::{
        OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopics,
    },
    sync_group_request::SyncGroupRequest,
    sync_group_response::SyncGroupResponse,
};

use super::super::subscription::encode_assignment;
use super::*;
use crate::stage::{Asked, address, topic_id};

pub(super) fn find_coordinator(stage: &mut Play) {
    let (asked, request) = stage.find::<FindCoordinatorRequest>().expect("it is looked for");
    assert_eq!(request.coordinator_keys, ["g"]);
    let coordinator = find_coordinator_response::Coordinator {
        key: "g".into(),
        node_id: BrokerId(1),
        host: address(1).host,
        port: 9092,
        ..Default::default()
    };
    let answer = FindCoordinatorResponse { coordinators: vec![coordinator], ..Default::default() };
    // A broker answers in order: a fetch that waits for records comes first.
    if let Some((earlier, _)) = stage.find::<FetchRequest>() {
        answer_fetch(stage, &earlier, &[]);
    }
    stage.answer::<FindCoordinatorRequest>(&asked, &answer);
}

/// Joins as "me" in `generation` and gets `partitions` from another leader.
pub(super) fn join(
    stage: &mut Play,
    generation: i32,
    assignor: &str,
    partitions: &[i32],
) -> JoinGroupRequest {
    let (asked, request) = stage.find::<JoinGroupRequest>().expect("it joins");
    let answer = JoinGroupResponse {
        generation_id: generation,
        protocol_name: Some(assignor.into()),
        leader: "other".into(),
        member_id: "me".into(),
        ..Default::default()
    };
    stage.answer::<JoinGroupRequest>(&asked, &answer);
    let (asked, sync) = stage.find::<SyncGroupRequest>().expect("it waits for its share");
    assert_eq!((sync.generation_id, sync.member_id.as_str()), (generation, "me"));
    assert_eq!(sync.assignments, []);
    let assignment = encode_assignment(&partitions.iter().map(|p| tp(*p)).collect()).unwrap();
    let answer = SyncGroupResponse { assignment, ..Default::default() };
    stage.answer::<SyncGroupRequest>(&asked, &answer);
    request
}

/// Answers the question for committed offsets: −1 for each partition without one.
pub(super) fn committed(stage: &mut Play, offsets: &[(i32, i64)]) {
    let (asked, request) = stage.find::<OffsetFetchRequest>().expect("it asks where to begin");
    assert_eq!(asked.version, 10);
    assert!(request.require_stable);
    let partitions = offsets.iter().map(|(partition, offset)| OffsetFetchResponsePartitions {
        partition_index: PartitionId(*partition),
        committed_offset: Offset(*offset),
        ..Default::default()
    });
    let topic = OffsetFetchResponseTopics {
        topic_id: topic_id("t"),
        partitions: partitions.collect(),
        ..Default::default()
    };
    let group = OffsetFetchResponseGroup {
        group_id: "g".into(),
        topics: vec![topic],
        ..Default::default()
    };
    let answer = OffsetFetchResponse { groups: vec![group], ..Default::default() };
    stage.answer::<OffsetFetchRequest>(&asked, &answer);
}

/// A member that has `partitions`, all committed at 10, and has been told.
pub(super) fn member(config: ConsumerConfig, partitions: &[i32]) -> Play {
    let assignor = config.assignors[0].name();
    let mut stage = stage(config);
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    stage.expect_silence();
    poll(&mut stage, 1);
    find_coordinator(&mut stage);
    join(&mut stage, 1, assignor, partitions);
    let all: Vec<_> = partitions.iter().map(|p| tp(*p)).collect();
    assert_eq!(polled(&mut stage), Ok(Polled::Assigned(all)));
    let offsets: Vec<_> = partitions.iter().map(|p| (*p, 10)).collect();
    committed(&mut stage, &offsets);
    stage
}

pub(super) fn beat(stage: &mut Play, code: ErrorCode) {
    stage.pass(Duration::from_secs(3));
    let (asked, request) = stage.find::<HeartbeatRequest>().expect("it beats");
    assert_eq!(request.member_id, "me");
    let answer = HeartbeatResponse { error_code: code, ..Default::default() };
    stage.answer::<HeartbeatRequest>(&asked, &answer);
}

pub(super) fn answer_commit(
    stage: &mut Play,
    asked: &Asked,
    request: &OffsetCommitRequest,
    code: ErrorCode,
) {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|part| OffsetCommitResponsePartition {
                partition_index: part.partition_index,
                error_code: code,
            })
            .collect(),
    });
    let answer = OffsetCommitResponse { topics: topics.collect(), ..Default::default() };
    stage.answer::<OffsetCommitRequest>(asked, &answer);
}

/// The commit that is under way: partitions with their offsets.
pub(super) fn expect_commit(stage: &mut Play) -> (Asked, OffsetCommitRequest, Vec<(i32, i64)>) {
    let (asked, request) = stage.find::<OffsetCommitRequest>().expect("it commits");
    let parts = request.topics.iter().flat_map(|topic| &topic.partitions);
    let offsets = parts.map(|part| (part.partition_index.0, part.committed_offset.0)).collect();
    (asked, request, offsets)
}
