//! A member joins, takes what it is given, and gives back what moves.

use std::time::Duration;

use dohle_base::ErrorCode;
use dohle_protocol::api::{
    fetch_request::FetchRequest,
    heartbeat_request::HeartbeatRequest,
    heartbeat_response::HeartbeatResponse,
    join_group_request::JoinGroupRequest,
    join_group_response::{JoinGroupResponse, JoinGroupResponseMember},
    leave_group_request::LeaveGroupRequest,
    leave_group_response::LeaveGroupResponse,
    list_offsets_request::ListOffsetsRequest,
    offset_commit_request::OffsetCommitRequest,
    sync_group_request::SyncGroupRequest,
    sync_group_response::SyncGroupResponse,
};

use super::super::subscription::Subscription;
use super::{coordinator::*, *};
use crate::stage::topic;

#[test]
fn a_member_begins_where_the_group_was() {
    let mut stage = member(group_config(), &[0]);
    let (asked, request) = stage.find::<FetchRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(10));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(10, 2))]);
    poll(&mut stage, 2);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 10), (0, 11)]);
}

#[test]
fn without_a_committed_offset_the_rule_holds() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    stage.settle();
    find_coordinator(&mut stage);
    committed(&mut stage, &[(0, -1)]);
    let (_, request) = stage.find::<ListOffsetsRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].timestamp, -2);
}

#[test]
fn nobody_joins_before_somebody_polls() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    stage.pass(Duration::from_secs(10));
    assert!(stage.find::<JoinGroupRequest>().is_none());
}

#[test]
fn a_member_id_that_is_given_is_used() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    poll(&mut stage, 1);
    find_coordinator(&mut stage);
    let (asked, request) = stage.find::<JoinGroupRequest>().unwrap();
    assert_eq!(request.member_id, "");
    let names: Vec<_> = request.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
    assert_eq!(names, ["range", "cooperative-sticky"]);
    assert_eq!((request.session_timeout_ms, request.rebalance_timeout_ms), (45_000, 300_000));
    let answer = JoinGroupResponse {
        error_code: ErrorCode::MEMBER_ID_REQUIRED,
        member_id: "me".into(),
        ..Default::default()
    };
    stage.answer::<JoinGroupRequest>(&asked, &answer);
    let (_, request) = stage.find::<JoinGroupRequest>().unwrap();
    assert_eq!(request.member_id, "me");
}

#[test]
fn the_leader_shares_what_all_subscribe_to() {
    let mut stage = stage(group_config());
    stage.metadata.topics.push(topic("u", &[1, 1, 1]));
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    poll(&mut stage, 1);
    find_coordinator(&mut stage);
    let (asked, request) = stage.find::<JoinGroupRequest>().unwrap();
    let other = Subscription {
        topics: ["t".into(), "u".into()].into(),
        generation: -1,
        ..Subscription::default()
    };
    let member = |id: &str, metadata| JoinGroupResponseMember {
        member_id: id.into(),
        metadata,
        ..Default::default()
    };
    let answer = JoinGroupResponse {
        generation_id: 5,
        protocol_name: Some("range".into()),
        leader: "me".into(),
        member_id: "me".into(),
        members: vec![
            member("me", request.protocols[0].metadata.clone()),
            member("other", other.encode(None).unwrap()),
        ],
        ..Default::default()
    };
    stage.answer::<JoinGroupRequest>(&asked, &answer);
    stage.pass(Duration::from_millis(300));
    let (asked, sync) = stage.find::<SyncGroupRequest>().expect("it knows all it needs");
    let shares: Vec<_> = sync
        .assignments
        .iter()
        .map(|share| {
            let partitions = decode_assignment(share.assignment.clone()).unwrap();
            let names: Vec<_> = partitions.iter().map(ToString::to_string).collect();
            (share.member_id.as_str(), names.join(" "))
        })
        .collect();
    let expected = [("me", "t-0".to_owned()), ("other", "t-1 u-0 u-1 u-2".to_owned())];
    assert_eq!(shares, expected);
    let assignment = sync.assignments[0].assignment.clone();
    let answer = SyncGroupResponse { assignment, ..Default::default() };
    stage.answer::<SyncGroupRequest>(&asked, &answer);
    assert_eq!(polled(&mut stage), Ok(Polled::Assigned(vec![tp(0)])));
    // More to share is a reason to share anew.
    stage.metadata.topics[1] = topic("u", &[1, 1, 1, 1]);
    poll(&mut stage, 2);
    for _ in 0..200 {
        if let Some((asked, _)) = stage.find::<HeartbeatRequest>() {
            stage.answer::<HeartbeatRequest>(&asked, &HeartbeatResponse::default());
        }
        stage.pass(Duration::from_secs(2));
    }
    assert!(matches!(polled(&mut stage), Ok(Polled::Revoked(_))));
}

#[test]
fn an_eager_rebalance_commits_tells_and_then_joins() {
    let mut stage = member(group_config(), &[0]);
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(10, 2))]);
    poll(&mut stage, 2);
    polled(&mut stage).unwrap();
    beat(&mut stage, ErrorCode::REBALANCE_IN_PROGRESS);
    // The application works on the two records; until it polls, nothing is committed or given up.
    stage.pass(Duration::from_secs(1));
    assert!(stage.find::<OffsetCommitRequest>().is_none());
    assert!(stage.find::<JoinGroupRequest>().is_none());
    poll(&mut stage, 3);
    let (asked, request, offsets) = expect_commit(&mut stage);
    assert_eq!(offsets, [(0, 12)]);
    assert_eq!((request.generation_id_or_member_epoch, request.member_id.as_str()), (1, "me"));
    assert_eq!(events(&mut stage), []);
    answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    assert_eq!(polled(&mut stage), Ok(Polled::Revoked(vec![tp(0)])));
    assert_eq!(stage.core.assignment().count(), 0);
    assert!(stage.find::<JoinGroupRequest>().is_none(), "not before it has seen that");
    poll(&mut stage, 4);
    join(&mut stage, 2, "range", &[0, 1]);
    assert_eq!(polled(&mut stage), Ok(Polled::Assigned(vec![tp(0), tp(1)])));
}

#[test]
fn a_cooperative_rebalance_takes_only_what_moves() {
    let assignors = vec![Assignor::CooperativeSticky];
    let mut stage = member(ConsumerConfig { assignors, ..group_config() }, &[0, 1]);
    poll(&mut stage, 2);
    beat(&mut stage, ErrorCode::REBALANCE_IN_PROGRESS);
    stage.settle();
    if let Some((asked, request)) = stage.find::<OffsetCommitRequest>() {
        answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    }
    // Partition 0 stays, also in the request, and is read on.
    let request = join(&mut stage, 2, "cooperative-sticky", &[0]);
    let metadata = request.protocols[0].metadata.clone();
    let said = Subscription::decode(metadata, None).unwrap();
    assert_eq!((said.owned.len(), said.generation), (2, 1));
    assert_eq!(polled(&mut stage), Ok(Polled::Revoked(vec![tp(1)])));
    assert_eq!(stage.core.assignment().collect::<Vec<_>>(), [&tp(0)]);
    poll(&mut stage, 3);
    assert_eq!(polled(&mut stage), Ok(Polled::Assigned(vec![])));
    assert!(stage.find::<JoinGroupRequest>().is_none());
    poll(&mut stage, 4);
    let request = join(&mut stage, 3, "cooperative-sticky", &[0]);
    let metadata = request.protocols[0].metadata.clone();
    let said = Subscription::decode(metadata, None).unwrap();
    assert_eq!((said.owned, said.generation), ([tp(0)].into(), 2));
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(10)), "it kept its place");
}

#[test]
fn a_member_that_was_dropped_says_so_and_comes_back() {
    let mut stage = member(group_config(), &[0]);
    poll(&mut stage, 2);
    beat(&mut stage, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(polled(&mut stage), Ok(Polled::Lost(vec![tp(0)])));
    poll(&mut stage, 3);
    assert!(stage.find::<OffsetCommitRequest>().is_none(), "the group would not take it");
    let request = join(&mut stage, 7, "range", &[1]);
    assert_eq!(request.member_id, "");
    assert_eq!(polled(&mut stage), Ok(Polled::Assigned(vec![tp(1)])));
}

#[test]
fn a_member_that_is_refused_for_good_hears_it_at_every_poll() {
    let mut stage = member(group_config(), &[0]);
    poll(&mut stage, 2);
    beat(&mut stage, ErrorCode::FENCED_INSTANCE_ID);
    let refused =
        ConsumeError::Group { group: "g".into(), error: ErrorCode::FENCED_INSTANCE_ID.into() };
    assert_eq!(polled(&mut stage), Err(refused.clone()));
    poll(&mut stage, 3);
    assert_eq!(polled(&mut stage), Err(refused));
}

#[test]
fn an_application_that_does_not_poll_leaves_its_partitions_to_others() {
    let mut stage = member(group_config(), &[0]);
    for _ in 0..101 {
        stage.pass(Duration::from_secs(3));
        if let Some((asked, _)) = stage.find::<HeartbeatRequest>() {
            stage.answer::<HeartbeatRequest>(&asked, &HeartbeatResponse::default());
        }
    }
    let (asked, _) = stage.find::<LeaveGroupRequest>().expect("it leaves");
    stage.answer::<LeaveGroupRequest>(&asked, &LeaveGroupResponse::default());
    assert!(stage.find::<JoinGroupRequest>().is_none(), "and does not come back by itself");
    poll(&mut stage, 2);
    assert_eq!(polled(&mut stage), Ok(Polled::Lost(vec![tp(0)])));
    poll(&mut stage, 3);
    join(&mut stage, 2, "range", &[0]);
}

#[test]
fn a_coordinator_that_moves_is_followed() {
    let mut stage = member(group_config(), &[0]);
    poll(&mut stage, 2);
    beat(&mut stage, ErrorCode::NOT_COORDINATOR);
    stage.pass(Duration::from_secs(4));
    find_coordinator(&mut stage);
    stage.settle();
    let (asked, request) = stage.find::<HeartbeatRequest>().expect("it is still a member");
    assert_eq!(request.generation_id, 1);
    stage.answer::<HeartbeatRequest>(&asked, &HeartbeatResponse::default());
}
