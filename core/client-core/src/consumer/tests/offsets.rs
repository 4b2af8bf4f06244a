//! Offsets are kept in the group: committed, tried again, read back, or refused.

use std::time::Duration;

use dohle_base::ErrorCode;
use dohle_protocol::api::{
    fetch_request::FetchRequest,
    offset_commit_request::OffsetCommitRequest,
    offset_fetch_request::OffsetFetchRequest,
    offset_fetch_response::{OffsetFetchResponse, OffsetFetchResponseGroup},
};

use super::{coordinator::*, *};
use crate::{
    RequestError,
    stage::{address, topic_id},
};

#[test]
fn commits_are_made_now_and_then_of_what_was_worked_on() {
    let mut stage = member(group_config(), &[0]);
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(10, 5))]);
    poll(&mut stage, 2);
    polled(&mut stage).unwrap();
    stage.pass(Duration::from_secs(6));
    assert!(stage.find::<OffsetCommitRequest>().is_none(), "it is still being worked on");
    poll(&mut stage, 3);
    stage.pass(Duration::from_secs(6));
    let (asked, request, offsets) = expect_commit(&mut stage);
    assert_eq!((asked.version, offsets), (10, vec![(0, 15)]));
    assert_eq!(request.topics[0].topic_id, topic_id("t"));
    answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    stage.pass(Duration::from_secs(6));
    assert!(stage.find::<OffsetCommitRequest>().is_none(), "nothing is new");
}

#[test]
fn a_commit_is_tried_again_until_it_is_answered() {
    let auto = ConsumerConfig { enable_auto_commit: false, ..group_config() };
    let mut stage = member(auto, &[0]);
    let now = stage.now;
    let offsets = std::collections::BTreeMap::from([(tp(0), CommittedOffset::new(12))]);
    stage.core.commit(now, offsets.clone(), 9);
    let (asked, request, _) = expect_commit(&mut stage);
    answer_commit(&mut stage, &asked, &request, ErrorCode::NOT_COORDINATOR);
    stage.pass(Duration::from_secs(1));
    find_coordinator(&mut stage);
    stage.settle();
    let (asked, request, _) = expect_commit(&mut stage);
    answer_commit(&mut stage, &asked, &request, ErrorCode::NONE);
    let outcome = Ok(());
    assert_eq!(events(&mut stage), [ConsumerEvent::Committed { token: 9, outcome }]);

    for (code, error) in [
        (
            ErrorCode::REBALANCE_IN_PROGRESS,
            CommitError::Rebalanced { code: ErrorCode::REBALANCE_IN_PROGRESS },
        ),
        (
            ErrorCode::UNKNOWN_MEMBER_ID,
            CommitError::Rebalanced { code: ErrorCode::UNKNOWN_MEMBER_ID },
        ),
        (ErrorCode::FENCED_INSTANCE_ID, CommitError::Fenced),
        (
            ErrorCode::OFFSET_METADATA_TOO_LARGE,
            CommitError::Refused {
                partition: tp(0),
                error: ErrorCode::OFFSET_METADATA_TOO_LARGE.into(),
            },
        ),
    ] {
        let now = stage.now;
        stage.core.commit(now, offsets.clone(), 9);
        let (asked, request, _) = expect_commit(&mut stage);
        answer_commit(&mut stage, &asked, &request, code);
        let outcome = Err(error);
        assert_eq!(events(&mut stage), [ConsumerEvent::Committed { token: 9, outcome }]);
    }
}

#[test]
fn a_commit_without_a_coordinator_ends_in_time() {
    let mut stage = member(ConsumerConfig { enable_auto_commit: false, ..group_config() }, &[0]);
    let (asked, _) = {
        let now = stage.now;
        let offsets = std::collections::BTreeMap::from([(tp(0), CommittedOffset::new(12))]);
        stage.core.commit(now, offsets, 9);
        stage.find::<OffsetCommitRequest>().unwrap()
    };
    stage.dead = vec![address(1), address(2)];
    stage.cut(&asked);
    stage.pass(Duration::from_secs(61));
    let outcome = Err(CommitError::Request(RequestError::Disconnected));
    assert_eq!(events(&mut stage), [ConsumerEvent::Committed { token: 9, outcome }]);
}

#[test]
fn a_group_that_may_not_be_read_is_told() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    stage.settle();
    find_coordinator(&mut stage);
    let (asked, _) = stage.find::<OffsetFetchRequest>().unwrap();
    let error_code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
    let group = OffsetFetchResponseGroup { group_id: "g".into(), error_code, ..Default::default() };
    let answer = OffsetFetchResponse { groups: vec![group], ..Default::default() };
    stage.answer::<OffsetFetchRequest>(&asked, &answer);
    poll(&mut stage, 1);
    let refused = ConsumeError::Group { group: "g".into(), error: error_code.into() };
    assert_eq!(polled(&mut stage), Err(refused));
}
