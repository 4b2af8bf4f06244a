//! Closing commits, says goodbye, and ends in time.

use std::time::Duration;

use dohle_base::ErrorCode;
use dohle_protocol::api::{
    fetch_request::FetchRequest, leave_group_request::LeaveGroupRequest,
    leave_group_response::LeaveGroupResponse, offset_commit_request::OffsetCommitRequest,
};

use super::{coordinator::*, *};

#[test]
fn closing_commits_leaves_and_ends() {
    let mut stage = member(group_config(), &[0]);
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(10, 5))]);
    poll(&mut stage, 2);
    polled(&mut stage).unwrap();
    let now = stage.now;
    // Two of the five were never looked at.
    assert!(stage.core.put_back(now, &tp(0), Offset(13)));
    stage.core.close(now, true, 9);
    let (asked, request, offsets) = expect_commit(&mut stage);
    assert_eq!(offsets, [(0, 13)]);
    assert!(stage.find::<LeaveGroupRequest>().is_none(), "not before that is done");
    answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    let (asked, request) = stage.find::<LeaveGroupRequest>().expect("it says goodbye");
    assert_eq!(request.members[0].member_id, "me");
    assert_eq!(events(&mut stage), []);
    stage.answer::<LeaveGroupRequest>(&asked, &LeaveGroupResponse::default());
    assert_eq!(events(&mut stage), [ConsumerEvent::Closed { token: 9 }]);
    assert_eq!(stage.core.poll_timeout(), None);
    poll(&mut stage, 3);
    assert_eq!(polled(&mut stage), Err(ConsumeError::Closed));
}

#[test]
fn closing_ends_in_time_when_nobody_answers() {
    let mut stage = member(group_config(), &[0]);
    let now = stage.now;
    stage.core.close(now, true, 9);
    stage.pass(Duration::from_secs(31));
    assert_eq!(events(&mut stage), [ConsumerEvent::Closed { token: 9 }]);
}

#[test]
fn a_static_member_does_not_say_goodbye() {
    let instance = Some("one".into());
    let mut stage = member(ConsumerConfig { group_instance_id: instance, ..group_config() }, &[0]);
    let now = stage.now;
    stage.core.close(now, true, 9);
    stage.settle();
    if let Some((asked, request)) = stage.find::<OffsetCommitRequest>() {
        answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    }
    assert!(stage.find::<LeaveGroupRequest>().is_none());
    assert_eq!(events(&mut stage), [ConsumerEvent::Closed { token: 9 }]);
}
