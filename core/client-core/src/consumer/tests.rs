//! Goal: records in order from the right place, and a well-behaved member of its group. Method: a
//! consumer on the stage.

use std::time::Duration;

use bytes::Bytes;
use dohle_base::{ErrorCode, PartitionId, ProducerEpoch, ProducerId, Timestamp};
use dohle_protocol::{
    RecordSet,
    api::{
        fetch_request::FetchRequest,
        fetch_response::{EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData},
        find_coordinator_request::FindCoordinatorRequest,
        find_coordinator_response::{self, FindCoordinatorResponse},
        heartbeat_request::HeartbeatRequest,
        heartbeat_response::HeartbeatResponse,
        join_group_request::JoinGroupRequest,
        join_group_response::{JoinGroupResponse, JoinGroupResponseMember},
        leave_group_request::LeaveGroupRequest,
        leave_group_response::LeaveGroupResponse,
        list_offsets_request::ListOffsetsRequest,
        list_offsets_response::{
            ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
        },
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
    },
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use super::{
    subscription::{Subscription, encode_assignment},
    *,
};
use crate::{
    RequestError,
    stage::{Asked, Stage, address, client_config, cluster, topic, topic_id},
};

type Play = Stage<Consumer<u32>>;

fn config() -> ConsumerConfig {
    let auto_offset_reset = OffsetReset::Earliest;
    ConsumerConfig { auto_offset_reset, ..ConsumerConfig::new(client_config()) }
}

fn group_config() -> ConsumerConfig {
    ConsumerConfig { group_id: Some("g".into()), ..config() }
}

fn stage(config: ConsumerConfig) -> Play {
    let mut metadata = cluster(2);
    metadata.topics = vec![topic("t", &[1, 2])];
    Stage::new(Consumer::new(config, Rng::from_seed(1)).unwrap(), metadata)
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn poll(stage: &mut Play, token: u32) {
    let now = stage.now;
    stage.core.poll(now, token);
}

fn events(stage: &mut Play) -> Vec<ConsumerEvent<u32>> {
    stage.settle();
    std::iter::from_fn(|| stage.core.poll_event()).collect()
}

/// The outcome of the poll that is open.
fn polled(stage: &mut Play) -> Result<Polled, ConsumeError> {
    let mut events = events(stage);
    assert_eq!(events.len(), 1, "{events:?}");
    match events.remove(0) {
        ConsumerEvent::Polled { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

fn offsets_of(outcome: Result<Polled, ConsumeError>) -> Vec<(i32, i64)> {
    match outcome {
        Ok(Polled::Records(records)) => {
            records.iter().map(|record| (record.partition.0, record.offset.0)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn records(base_offset: i64, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new(BatchSpec {
        base_offset: Offset(base_offset),
        partition_leader_epoch: LeaderEpoch(1),
        producer: Producer { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence: 0 },
        ..BatchSpec::default()
    });
    for _ in 0..count {
        let value = Some(&b"v"[..]);
        builder
            .append(&NewRecord { timestamp: Timestamp(1), value, ..NewRecord::default() })
            .unwrap();
    }
    builder.finish()
}

/// An answer to a fetch: partition, code, records.
fn fetched(parts: &[(i32, ErrorCode, Bytes)]) -> FetchResponse {
    let partitions = parts.iter().map(|(partition, code, bytes)| PartitionData {
        partition_index: PartitionId(*partition),
        error_code: *code,
        high_watermark: Offset(100),
        last_stable_offset: Offset(90),
        records: Some(RecordSet::Bytes(bytes.clone())),
        ..Default::default()
    });
    let topic_response = FetchableTopicResponse {
        topic: "t".into(),
        topic_id: topic_id("t"),
        partitions: partitions.collect(),
    };
    FetchResponse { session_id: 42, responses: vec![topic_response], ..Default::default() }
}

fn answer_fetch(stage: &mut Play, asked: &Asked, parts: &[(i32, ErrorCode, Bytes)]) {
    stage.answer::<FetchRequest>(asked, &fetched(parts));
}

/// Answers a question for offsets of partition `partition`.
fn answer_list(stage: &mut Play, asked: &Asked, partition: i32, offset: i64) {
    let part = ListOffsetsPartitionResponse {
        partition_index: PartitionId(partition),
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(1),
        ..Default::default()
    };
    let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![part] };
    let answer = ListOffsetsResponse { topics: vec![topic], ..Default::default() };
    stage.answer::<ListOffsetsRequest>(asked, &answer);
}

/// A consumer that reads partition 0 from offset 0, without a group.
fn reading(config: ConsumerConfig) -> Play {
    let mut stage = stage(config);
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    let (asked, request) = stage.expect::<ListOffsetsRequest>();
    assert_eq!(request.topics[0].partitions[0].timestamp, -2);
    answer_list(&mut stage, &asked, 0, 0);
    stage
}

#[test]
fn records_come_from_the_leader_from_the_start() {
    let mut stage = reading(config());
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!((asked.version, &asked.address), (18, &address(1)));
    assert_eq!(request.topics[0].topic_id, topic_id("t"));
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(0));
    assert_eq!((request.session_id, request.session_epoch), (0, 0));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    poll(&mut stage, 1);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0), (0, 1), (0, 2)]);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(3)));
    assert_eq!(stage.core.end_offset(&tp(0)), Some(Offset(100)));
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!((request.session_id, request.session_epoch), (42, 1));
    let part = &request.topics[0].partitions[0];
    assert_eq!((part.fetch_offset, part.last_fetched_epoch), (Offset(3), 1));
}

#[test]
fn brokers_without_topic_ids_are_told_names() {
    let mut stage = stage(config());
    stage.newest.insert(dohle_protocol::ApiKey::Fetch, 12);
    let now = stage.now;
    stage.core.assign(now, [tp(0)].into());
    let (asked, _) = stage.expect::<ListOffsetsRequest>();
    answer_list(&mut stage, &asked, 0, 0);
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!((asked.version, request.topics[0].topic.as_str()), (12, "t"));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
    poll(&mut stage, 1);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)]);
}

#[test]
fn a_poll_waits_for_records_and_takes_a_bounded_number() {
    let mut stage = reading(ConsumerConfig { max_poll_records: 2, ..config() });
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), []);
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0), (0, 1)]);
    poll(&mut stage, 2);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 2)]);
}

#[test]
fn what_is_unread_is_not_fetched_again_and_not_without_bound() {
    let mut stage = reading(ConsumerConfig { max_partition_fetch_bytes: 400, ..config() });
    let mut next = 0;
    for _ in 0..10 {
        let Some((asked, request)) = stage.find::<FetchRequest>() else { break };
        assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(next));
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(next, 10))]);
        next += 10;
    }
    assert!(next < 50, "{next} records are buffered");
    while stage.core.position(&tp(0)) != Some(Offset(next)) {
        poll(&mut stage, 1);
        polled(&mut stage).unwrap();
    }
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(next));
}

#[test]
fn seeking_drops_what_was_fetched_before() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    let now = stage.now;
    assert!(stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(7))));
    assert!(!stage.core.seek(now, &tp(1), SeekTo::Beginning));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 3))]);
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), [], "records from before the seek");
    let (asked, request) = stage.expect::<FetchRequest>();
    assert_eq!(request.topics[0].partitions[0].fetch_offset, Offset(7));
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(7, 1))]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 7)]);
}

#[test]
fn a_time_without_records_is_the_end() {
    let mut stage = reading(config());
    let now = stage.now;
    let (fetch, _) = stage.expect::<FetchRequest>();
    stage.core.seek(now, &tp(0), SeekTo::Timestamp(5));
    answer_fetch(&mut stage, &fetch, &[]);
    let (asked, request) = stage.find::<ListOffsetsRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].timestamp, 5);
    answer_list(&mut stage, &asked, 0, -1);
    let (asked, request) = stage.find::<ListOffsetsRequest>().unwrap();
    assert_eq!(request.topics[0].partitions[0].timestamp, -1);
    answer_list(&mut stage, &asked, 0, 60);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(60)));
}

#[test]
fn a_paused_partition_is_neither_fetched_nor_handed_out() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
    stage.core.pause(&[tp(0)]);
    poll(&mut stage, 1);
    assert_eq!(events(&mut stage), []);
    let now = stage.now;
    stage.core.resume(now, &[tp(0)]);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)]);
}

#[test]
fn a_moved_leader_is_followed() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    stage.move_leader("t", 0, 2);
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, Bytes::new())]);
    stage.pass(Duration::from_secs(1));
    let (asked, request) = stage.find::<FetchRequest>().unwrap();
    assert_eq!(asked.address, address(2));
    assert_eq!(request.topics[0].partitions[0].current_leader_epoch, LeaderEpoch(2));
}

#[test]
fn a_lost_connection_begins_the_session_anew() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, Bytes::new())]);
    let (asked, _) = stage.expect::<FetchRequest>();
    stage.cut(&asked);
    stage.pass(Duration::from_secs(2));
    let (_, request) = stage.expect::<FetchRequest>();
    assert_eq!((request.session_id, request.session_epoch), (42, 0));
    assert_eq!(request.topics.len(), 1);
}

#[test]
fn an_offset_out_of_range_is_reset_or_told() {
    for (reset, timestamp) in [(OffsetReset::Latest, Some(-1)), (OffsetReset::None, None)] {
        let mut stage = stage(ConsumerConfig { auto_offset_reset: reset, ..config() });
        let now = stage.now;
        stage.core.assign(now, [tp(0)].into());
        stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(500)));
        let (asked, _) = stage.find::<FetchRequest>().unwrap();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::OFFSET_OUT_OF_RANGE, Bytes::new())]);
        let question = stage.find::<ListOffsetsRequest>();
        assert_eq!(question.map(|(_, q)| q.topics[0].partitions[0].timestamp), timestamp);
        if timestamp.is_none() {
            poll(&mut stage, 1);
            // The first word is that there was no offset to begin with.
            let partition = tp(0);
            assert_eq!(polled(&mut stage), Err(ConsumeError::NoOffset { partition: tp(0) }));
            poll(&mut stage, 2);
            let offset = Offset(500);
            assert_eq!(polled(&mut stage), Err(ConsumeError::OutOfRange { partition, offset }));
            // Seeking is the way on.
            stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(1)));
            assert!(stage.find::<FetchRequest>().is_some());
        }
    }
}

#[test]
fn a_log_cut_off_behind_us_is_noticed() {
    let mut stage = reading(config());
    let now = stage.now;
    stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(50)));
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[]);
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    let mut cut_off = fetched(&[(0, ErrorCode::NONE, Bytes::new())]);
    cut_off.responses[0].partitions[0].diverging_epoch =
        EpochEndOffset { epoch: 1, end_offset: Offset(30) };
    stage.answer::<FetchRequest>(&asked, &cut_off);
    assert_eq!(stage.core.position(&tp(0)), Some(Offset(30)));
}

#[test]
fn a_damaged_batch_is_told_and_others_go_on() {
    let mut stage = reading(config());
    let (asked, _) = stage.expect::<FetchRequest>();
    let mut damaged = records(0, 1).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, damaged.into())]);
    poll(&mut stage, 1);
    let error = polled(&mut stage).unwrap_err();
    assert!(matches!(error, ConsumeError::Corrupt { offset: Offset(0), .. }), "{error}");
    let now = stage.now;
    stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(1)));
    let (asked, _) = stage.find::<FetchRequest>().unwrap();
    answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(1, 1))]);
    poll(&mut stage, 2);
    assert_eq!(offsets_of(polled(&mut stage)), [(0, 1)]);
}

#[test]
fn without_a_choice_there_is_nothing_to_poll() {
    let mut stage = stage(config());
    poll(&mut stage, 1);
    assert_eq!(polled(&mut stage), Err(ConsumeError::NothingChosen));
    let now = stage.now;
    let missing = ConfigError::Missing { setting: "group.id" };
    assert_eq!(stage.core.subscribe(now, ["t".into()].into()), Err(missing));
}

fn find_coordinator(stage: &mut Play) {
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
fn join(stage: &mut Play, generation: i32, assignor: &str, partitions: &[i32]) -> JoinGroupRequest {
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
fn committed(stage: &mut Play, offsets: &[(i32, i64)]) {
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
fn member(config: ConsumerConfig, partitions: &[i32]) -> Play {
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

fn beat(stage: &mut Play, code: ErrorCode) {
    stage.pass(Duration::from_secs(3));
    let (asked, request) = stage.find::<HeartbeatRequest>().expect("it beats");
    assert_eq!(request.member_id, "me");
    let answer = HeartbeatResponse { error_code: code, ..Default::default() };
    stage.answer::<HeartbeatRequest>(&asked, &answer);
}

fn answer_commit(stage: &mut Play, asked: &Asked, request: &OffsetCommitRequest, code: ErrorCode) {
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
fn expect_commit(stage: &mut Play) -> (Asked, OffsetCommitRequest, Vec<(i32, i64)>) {
    let (asked, request) = stage.find::<OffsetCommitRequest>().expect("it commits");
    let parts = request.topics.iter().flat_map(|topic| &topic.partitions);
    let offsets = parts.map(|part| (part.partition_index.0, part.committed_offset.0)).collect();
    (asked, request, offsets)
}

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

#[test]
fn an_answer_that_makes_no_sense_is_told_and_harms_nothing() {
    let whole = {
        let mut w = dohle_protocol::Writer::new();
        let answer = fetched(&[(0, ErrorCode::NONE, records(0, 3))]);
        dohle_protocol::Message::encode(&answer, &mut w, 18).unwrap();
        w.into_bytes()
    };
    for cut in 0..whole.len() {
        let mut stage = reading(config());
        let (asked, _) = stage.expect::<FetchRequest>();
        // Tags of the header, then what is left of the body.
        stage.answer_bytes(&asked, &[&[0], &whole[..cut]].concat());
        poll(&mut stage, 1);
        let error = polled(&mut stage).unwrap_err();
        let malformed = matches!(error, ConsumeError::Request(RequestError::Malformed { .. }));
        assert!(malformed, "cut at {cut}: {error}");
        // It asks again, and goes on.
        stage.pass(Duration::from_secs(1));
        let (asked, _) = stage.find::<FetchRequest>().unwrap();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, records(0, 1))]);
        poll(&mut stage, 2);
        assert_eq!(offsets_of(polled(&mut stage)), [(0, 0)], "cut at {cut}");
    }
}

#[test]
fn random_bytes_in_an_answer_are_no_panic() {
    let mut rng = Rng::from_seed(5);
    let whole = records(0, 20);
    for _ in 0..2_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + rng.below(4) {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[at] = rng.next_u64().to_le_bytes()[0];
        }
        let mut stage = reading(ConsumerConfig {
            check_crcs: rng.below(2) == 0,
            isolation_level: IsolationLevel::ReadCommitted,
            ..config()
        });
        let (asked, _) = stage.expect::<FetchRequest>();
        answer_fetch(&mut stage, &asked, &[(0, ErrorCode::NONE, bytes.into())]);
        poll(&mut stage, 1);
        // Records, an error or nothing: whatever it is, the next word of the broker is understood.
        let _ = events(&mut stage);
        let now = stage.now;
        stage.core.seek(now, &tp(0), SeekTo::Offset(Offset(0)));
        assert_eq!(stage.core.position(&tp(0)), Some(Offset(0)));
    }
}

#[test]
fn members_whose_words_make_no_sense_get_nothing() {
    let mut stage = stage(group_config());
    let now = stage.now;
    stage.core.subscribe(now, ["t".into()].into()).unwrap();
    poll(&mut stage, 1);
    find_coordinator(&mut stage);
    let (asked, request) = stage.find::<JoinGroupRequest>().unwrap();
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
            member("other", Bytes::from_static(b"\xff\xff")),
        ],
        ..Default::default()
    };
    stage.answer::<JoinGroupRequest>(&asked, &answer);
    stage.pass(Duration::from_millis(300));
    let (_, sync) = stage.find::<SyncGroupRequest>().unwrap();
    let share = |at: usize| decode_assignment(sync.assignments[at].assignment.clone()).unwrap();
    assert_eq!((share(0).len(), share(1).len()), (2, 0));
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
