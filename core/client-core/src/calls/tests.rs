//! Goal: a call ends once, with the best there is to say. Method: a requester on the stage.

use std::sync::{Arc, Mutex};

use dohle_protocol::api::{
    delete_groups_request::DeleteGroupsRequest,
    delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse},
    describe_cluster_request::DescribeClusterRequest,
    describe_cluster_response::DescribeClusterResponse,
    find_coordinator_response::{self, FindCoordinatorResponse},
};

use super::*;
use crate::stage::{Stage, address, client_config, cluster};

type Outcomes<R> = Arc<Mutex<Vec<Result<R, RequestError>>>>;

fn stage() -> Stage<Requester> {
    Stage::new(Requester::new(client_config(), Rng::from_seed(1)).unwrap(), cluster(2))
}

/// Submits a request and gives the place where its outcome will be.
fn submit<M>(
    stage: &mut Stage<Requester>,
    route: Route,
    judge: fn(&M::Response) -> Verdict,
) -> Outcomes<M::Response>
where
    M: Request + Default + 'static,
    M::Response: Send,
{
    let outcomes = Outcomes::<M::Response>::default();
    let done = Arc::clone(&outcomes);
    let now = stage.now;
    let done = move |outcome| done.lock().unwrap().push(outcome);
    stage.core.submit(now, route, Limits::default(), |_| M::default(), judge, done);
    outcomes
}

fn describe(stage: &mut Stage<Requester>, route: Route) -> Outcomes<DescribeClusterResponse> {
    submit::<DescribeClusterRequest>(stage, route, |answer| Verdict::of(answer.error_code))
}

fn answer(code: ErrorCode) -> DescribeClusterResponse {
    DescribeClusterResponse { error_code: code, ..Default::default() }
}

#[test]
fn a_call_goes_where_it_belongs() {
    for (route, to) in [(Route::Broker(BrokerId(2)), 2), (Route::Controller, 1)] {
        let mut stage = stage();
        stage.settle();
        let outcomes = describe(&mut stage, route);
        let (asked, _) = stage.expect::<DescribeClusterRequest>();
        assert_eq!(asked.address, address(to));
        stage.answer::<DescribeClusterRequest>(&asked, &answer(ErrorCode::NONE));
        assert_eq!(*outcomes.lock().unwrap(), [Ok(answer(ErrorCode::NONE))]);
    }
}

#[test]
fn what_may_get_better_is_tried_again_and_what_will_not_is_told() {
    let mut stage = stage();
    let outcomes = describe(&mut stage, Route::Any);
    for _ in 0..3 {
        let (asked, _) = stage.expect::<DescribeClusterRequest>();
        stage.answer::<DescribeClusterRequest>(&asked, &answer(ErrorCode::REQUEST_TIMED_OUT));
        stage.expect_silence();
        stage.pass(Duration::from_secs(1));
    }
    let (asked, _) = stage.expect::<DescribeClusterRequest>();
    let refusal = answer(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    stage.answer::<DescribeClusterRequest>(&asked, &refusal);
    assert_eq!(*outcomes.lock().unwrap(), [Ok(refusal)]);
    stage.pass(Duration::from_secs(100));
    assert_eq!(outcomes.lock().unwrap().len(), 1);
}

#[test]
fn when_time_is_over_the_last_reason_is_told() {
    let mut stage = stage();
    let outcomes = describe(&mut stage, Route::Any);
    for _ in 0..100 {
        if let Some((asked, _)) = stage.find::<DescribeClusterRequest>() {
            let later = answer(ErrorCode::THROTTLING_QUOTA_EXCEEDED);
            stage.answer::<DescribeClusterRequest>(&asked, &later);
        }
        stage.pass(Duration::from_secs(1));
    }
    let expected = ErrorCode::THROTTLING_QUOTA_EXCEEDED.into();
    assert_eq!(*outcomes.lock().unwrap(), [Err(expected)]);
}

#[test]
fn a_lost_connection_is_another_attempt() {
    let mut stage = stage();
    let outcomes = describe(&mut stage, Route::Broker(BrokerId(2)));
    let (asked, _) = stage.expect::<DescribeClusterRequest>();
    stage.cut(&asked);
    stage.pass(Duration::from_secs(1));
    let (asked, _) = stage.expect::<DescribeClusterRequest>();
    stage.answer::<DescribeClusterRequest>(&asked, &answer(ErrorCode::NONE));
    assert_eq!(outcomes.lock().unwrap().len(), 1);
}

#[test]
fn nobody_there_is_told_in_time() {
    let mut stage = stage();
    stage.dead = vec![address(1)];
    let outcomes = describe(&mut stage, Route::Any);
    stage.pass(Duration::from_secs(59));
    assert!(outcomes.lock().unwrap().is_empty());
    stage.pass(Duration::from_secs(2));
    assert_eq!(*outcomes.lock().unwrap(), [Err(RequestError::TimedOut)]);
}

#[test]
fn an_api_that_the_broker_lacks_is_told_at_once() {
    let mut stage = stage();
    stage.newest.insert(dohle_protocol::ApiKey::DescribeCluster, -1);
    let outcomes = describe(&mut stage, Route::Any);
    stage.settle();
    let api = dohle_protocol::ApiKey::DescribeCluster;
    assert_eq!(*outcomes.lock().unwrap(), [Err(RequestError::Unsupported { api })]);
}

fn delete_group(stage: &mut Stage<Requester>) -> Outcomes<DeleteGroupsResponse> {
    let route = Route::Coordinator(CoordinatorKind::Group, "g".into());
    submit::<DeleteGroupsRequest>(stage, route, |answer| {
        Verdict::of(answer.results.first().map_or(ErrorCode::NONE, |group| group.error_code))
    })
}

fn coordinator(stage: &mut Stage<Requester>, id: i32, code: ErrorCode) {
    let (asked, request) = stage.find::<FindCoordinatorRequest>().expect("it is looked for");
    assert_eq!((request.key_type, request.coordinator_keys.as_slice()), (0, &["g".into()][..]));
    let found = find_coordinator_response::Coordinator {
        key: "g".into(),
        node_id: BrokerId(id),
        host: address(id).host,
        port: 9092,
        error_code: code,
        ..Default::default()
    };
    let answer = FindCoordinatorResponse { coordinators: vec![found], ..Default::default() };
    stage.answer::<FindCoordinatorRequest>(&asked, &answer);
}

fn deleted(code: ErrorCode) -> DeleteGroupsResponse {
    let group =
        DeletableGroupResult { group_id: "g".into(), error_code: code, ..Default::default() };
    DeleteGroupsResponse { results: vec![group], ..Default::default() }
}

#[test]
fn a_coordinator_is_looked_for_and_looked_for_again_when_it_moves() {
    let mut stage = stage();
    let outcomes = delete_group(&mut stage);
    coordinator(&mut stage, 1, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    stage.pass(Duration::from_secs(1));
    coordinator(&mut stage, 1, ErrorCode::NONE);
    let (asked, _) = stage.expect::<DeleteGroupsRequest>();
    stage.answer::<DeleteGroupsRequest>(&asked, &deleted(ErrorCode::NOT_COORDINATOR));
    stage.pass(Duration::from_secs(1));
    coordinator(&mut stage, 2, ErrorCode::NONE);
    let (asked, _) = stage.expect::<DeleteGroupsRequest>();
    assert_eq!(asked.address, address(2));
    stage.answer::<DeleteGroupsRequest>(&asked, &deleted(ErrorCode::NONE));
    assert_eq!(*outcomes.lock().unwrap(), [Ok(deleted(ErrorCode::NONE))]);
}

#[test]
fn a_coordinator_that_may_not_be_told_ends_the_call() {
    let mut stage = stage();
    let outcomes = delete_group(&mut stage);
    let other = delete_group(&mut stage);
    coordinator(&mut stage, 1, ErrorCode::GROUP_AUTHORIZATION_FAILED);
    for outcomes in [outcomes, other] {
        let expected = Err(ErrorCode::GROUP_AUTHORIZATION_FAILED.into());
        assert_eq!(*outcomes.lock().unwrap(), [expected]);
    }
}

#[test]
fn closing_ends_all_calls() {
    let mut stage = stage();
    let outcomes = describe(&mut stage, Route::Any);
    stage.settle();
    let now = stage.now;
    stage.core.close(now);
    assert_eq!(*outcomes.lock().unwrap(), [Err(RequestError::Closed)]);
    assert_eq!(stage.core.poll_timeout(), None);
    let late = describe(&mut stage, Route::Any);
    stage.pass(Duration::from_secs(100));
    assert_eq!(late.lock().unwrap().len(), 1);
}
