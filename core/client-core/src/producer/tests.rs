//! Goal: each record has one outcome, is written once and in order, whatever brokers and
//! connections do. Method: a producer on the stage.

use std::time::Duration;

use dohle_base::{ErrorCode, Offset, ProducerEpoch, ProducerId};
use dohle_protocol::{
    ApiKey,
    api::{
        init_producer_id_request::InitProducerIdRequest,
        init_producer_id_response::InitProducerIdResponse,
        produce_request::ProduceRequest,
        produce_response::{
            LeaderIdAndEpoch, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
        },
    },
};
use dohle_records::{BatchView, DECOMPRESSED_SIZE_MAX};

use super::*;
use crate::{
    RequestError,
    stage::{Asked, Stage, client_config, cluster, topic, topic_id},
};

type Outcomes = Vec<(u32, Result<Option<i64>, ProduceError>)>;

fn config() -> ProducerConfig {
    ProducerConfig { batch_size: 100, ..ProducerConfig::new(client_config()) }
}

fn stage(config: ProducerConfig) -> Stage<Producer<u32>> {
    let mut metadata = cluster(2);
    metadata.topics = vec![topic("t", &[1, 2])];
    Stage::new(Producer::new(config, Rng::from_seed(1)).unwrap(), metadata)
}

/// A producer that knows its topic and has its identity.
fn ready(config: ProducerConfig) -> Stage<Producer<u32>> {
    let mut stage = stage(config);
    give_identity(&mut stage);
    stage
}

fn give_identity(stage: &mut Stage<Producer<u32>>) {
    let (asked, request) = stage.expect::<InitProducerIdRequest>();
    assert_eq!(request.transactional_id, None);
    let identity = InitProducerIdResponse {
        producer_id: ProducerId(7),
        producer_epoch: ProducerEpoch(0),
        ..Default::default()
    };
    stage.answer::<InitProducerIdRequest>(&asked, &identity);
}

/// Sends a record that fills a batch.
fn send(stage: &mut Stage<Producer<u32>>, partition: i32, token: u32) {
    let record = ProducerRecord::new("t", vec![b'x'; 90]).with_partition(partition);
    stage.core.send(stage.now, record, token);
}

/// A batch as the broker sees it: producer epoch, first sequence, records.
fn batch_of(request: &ProduceRequest) -> (i16, i32, i32) {
    let data = &request.topic_data[0].partition_data[0];
    let bytes = data.records.as_ref().unwrap().as_bytes().unwrap();
    let batch = BatchView::parse(bytes).unwrap();
    batch.check_crc().unwrap();
    (batch.producer_epoch().0, batch.base_sequence(), batch.record_count())
}

fn response(partition: i32, code: ErrorCode, base_offset: i64) -> ProduceResponse {
    let part = PartitionProduceResponse {
        index: PartitionId(partition),
        error_code: code,
        base_offset: Offset(base_offset),
        ..Default::default()
    };
    let topic = TopicProduceResponse {
        name: "t".into(),
        topic_id: topic_id("t"),
        partition_responses: [part].into(),
    };
    ProduceResponse { responses: [topic].into(), ..Default::default() }
}

fn answer(stage: &mut Stage<Producer<u32>>, asked: &Asked, code: ErrorCode, base_offset: i64) {
    stage.answer::<ProduceRequest>(asked, &response(0, code, base_offset));
}

fn outcomes(stage: &mut Stage<Producer<u32>>) -> Outcomes {
    stage.settle();
    let events = std::iter::from_fn(|| stage.core.poll_event());
    let outcomes = events.map(|event| match event {
        ProducerEvent::Delivered { token, outcome } => {
            (token, outcome.map(|delivered| delivered.offset.map(|offset| offset.0)))
        }
        ProducerEvent::Flushed { token } => (token, Ok(None)),
    });
    outcomes.collect()
}

#[test]
fn records_wait_for_topic_and_identity_and_leave_by_topic_id() {
    let mut stage = stage(config());
    send(&mut stage, 0, 1);
    give_identity(&mut stage);
    stage.pass(Duration::from_millis(10));
    let (asked, request) = stage.expect::<ProduceRequest>();
    assert_eq!((asked.version, asked.address), (13, crate::stage::address(1)));
    assert_eq!(request.topic_data[0].topic_id, topic_id("t"));
    assert_eq!((request.acks, request.timeout_ms), (-1, 30_000));
    assert_eq!(batch_of(&request), (0, 0, 1));
}

#[test]
fn brokers_without_topic_ids_are_told_names() {
    let mut stage = stage(config());
    stage.newest.insert(ApiKey::Produce, 12);
    send(&mut stage, 0, 1);
    give_identity(&mut stage);
    stage.pass(Duration::from_millis(10));
    let (asked, request) = stage.expect::<ProduceRequest>();
    assert_eq!((asked.version, request.topic_data[0].name.as_str()), (12, "t"));
    answer(&mut stage, &asked, ErrorCode::NONE, 40);
    assert_eq!(outcomes(&mut stage), [(1, Ok(Some(40)))]);
}

#[test]
fn records_linger_together_and_have_offsets_in_turn() {
    let mut stage = ready(ProducerConfig { batch_size: 16_384, ..config() });
    for token in 1..=3 {
        send(&mut stage, 0, token);
    }
    stage.settle();
    stage.pass(Duration::from_millis(6));
    let (asked, request) = stage.expect::<ProduceRequest>();
    assert_eq!(batch_of(&request), (0, 0, 3));
    answer(&mut stage, &asked, ErrorCode::NONE, 10);
    assert_eq!(outcomes(&mut stage), [(1, Ok(Some(10))), (2, Ok(Some(11))), (3, Ok(Some(12)))]);
    stage.expect_silence();
}

#[test]
fn five_requests_are_under_way_and_the_sixth_waits() {
    let mut stage = ready(config());
    for token in 0..7 {
        send(&mut stage, 0, token);
        stage.pass(Duration::from_millis(6));
    }
    let mut asked = Vec::new();
    for sequence in 0..5 {
        let (question, request) = stage.expect::<ProduceRequest>();
        assert_eq!(batch_of(&request), (0, sequence, 1));
        asked.push(question);
    }
    stage.expect_silence();
    answer(&mut stage, &asked[0], ErrorCode::NONE, 0);
    let (_, request) = stage.expect::<ProduceRequest>();
    assert_eq!(batch_of(&request).1, 5);
}

#[test]
fn a_lost_connection_repeats_all_in_order_one_at_a_time() {
    let mut stage = ready(config());
    for token in 0..3 {
        send(&mut stage, 0, token);
        stage.pass(Duration::from_millis(6));
    }
    let (asked, _) = stage.expect::<ProduceRequest>();
    stage.cut(&asked);
    for sequence in 0..3 {
        stage.pass(Duration::from_secs(2));
        let (asked, request) = stage.expect::<ProduceRequest>();
        assert_eq!(batch_of(&request), (0, sequence, 1), "the numbers are kept");
        stage.expect_silence();
        // The first had been written before the connection was lost.
        let code = match sequence {
            0 => ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
            _ => ErrorCode::NONE,
        };
        answer(&mut stage, &asked, code, i64::from(sequence));
    }
    assert_eq!(outcomes(&mut stage), [(0, Ok(None)), (1, Ok(Some(1))), (2, Ok(Some(2)))]);
}

#[test]
fn a_moved_leader_is_followed_and_what_came_too_early_is_repeated() {
    let mut stage = ready(config());
    for token in 0..2 {
        send(&mut stage, 0, token);
        stage.pass(Duration::from_millis(6));
    }
    let (first, _) = stage.expect::<ProduceRequest>();
    let (second, _) = stage.expect::<ProduceRequest>();
    stage.move_leader("t", 0, 2);
    answer(&mut stage, &first, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
    answer(&mut stage, &second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    for sequence in 0..2 {
        stage.pass(Duration::from_secs(2));
        let (asked, request) = stage.expect::<ProduceRequest>();
        assert_eq!(asked.address, crate::stage::address(2));
        assert_eq!(batch_of(&request), (0, sequence, 1), "no new epoch is needed");
        answer(&mut stage, &asked, ErrorCode::NONE, i64::from(sequence));
    }
    assert_eq!(outcomes(&mut stage), [(0, Ok(Some(0))), (1, Ok(Some(1)))]);
}

#[test]
fn a_leader_named_in_the_answer_needs_no_question() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    let (asked, _) = stage.expect::<ProduceRequest>();
    let mut moved = response(0, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
    moved.responses[0].partition_responses[0].current_leader =
        LeaderIdAndEpoch { leader_id: BrokerId(2), leader_epoch: dohle_base::LeaderEpoch(2) };
    stage.answer::<ProduceRequest>(&asked, &moved);
    stage.pass(Duration::from_millis(200));
    let (asked, _) = stage.expect::<ProduceRequest>();
    assert_eq!(asked.address, crate::stage::address(2));
}

#[test]
fn a_refused_batch_costs_an_epoch_and_nothing_else() {
    let mut stage = ready(config());
    for token in 0..3 {
        send(&mut stage, 0, token);
        stage.pass(Duration::from_millis(6));
    }
    let asked: Vec<_> = (0..3).map(|_| stage.expect::<ProduceRequest>().0).collect();
    answer(&mut stage, &asked[0], ErrorCode::MESSAGE_TOO_LARGE, -1);
    // The broker has a gap now, and refuses what is behind it.
    answer(&mut stage, &asked[1], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    answer(&mut stage, &asked[2], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    for sequence in 0..2 {
        stage.pass(Duration::from_secs(2));
        let (asked, request) = stage.expect::<ProduceRequest>();
        assert_eq!(batch_of(&request), (1, sequence, 1));
        answer(&mut stage, &asked, ErrorCode::NONE, i64::from(sequence));
    }
    let refused = ProduceError::Refused(ErrorCode::MESSAGE_TOO_LARGE.into());
    assert_eq!(outcomes(&mut stage), [(0, Err(refused)), (1, Ok(Some(0))), (2, Ok(Some(1)))]);
    // The other partition follows to the new epoch at its own time.
    send(&mut stage, 1, 9);
    stage.pass(Duration::from_millis(6));
    let (_, request) = stage.expect::<ProduceRequest>();
    assert_eq!(batch_of(&request), (1, 0, 1));
}

#[test]
fn a_broker_that_has_forgotten_us_is_met_again_under_a_new_epoch() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    let (asked, _) = stage.expect::<ProduceRequest>();
    answer(&mut stage, &asked, ErrorCode::UNKNOWN_PRODUCER_ID, -1);
    stage.pass(Duration::from_secs(1));
    let (asked, request) = stage.expect::<ProduceRequest>();
    assert_eq!(batch_of(&request), (1, 0, 1));
    answer(&mut stage, &asked, ErrorCode::NONE, 5);
    assert_eq!(outcomes(&mut stage), [(1, Ok(Some(5)))]);
}

#[test]
fn what_cannot_be_delivered_in_time_expires_with_its_reason() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    for _ in 0..200 {
        if let Some((asked, _)) = stage.find::<ProduceRequest>() {
            answer(&mut stage, &asked, ErrorCode::NOT_ENOUGH_REPLICAS, -1);
        }
        stage.pass(Duration::from_millis(700));
    }
    let expired = ProduceError::Expired { code: Some(ErrorCode::NOT_ENOUGH_REPLICAS) };
    assert_eq!(outcomes(&mut stage), [(1, Err(expired))]);
    assert!(stage.core.memory == 0 && stage.core.incomplete.is_empty());
}

#[test]
fn a_silent_broker_is_left_after_a_request_time() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    stage.expect::<ProduceRequest>();
    stage.pass(Duration::from_secs(31));
    let (asked, request) = stage.expect::<ProduceRequest>();
    assert_eq!(batch_of(&request), (0, 0, 1));
    answer(&mut stage, &asked, ErrorCode::NONE, 3);
    assert_eq!(outcomes(&mut stage), [(1, Ok(Some(3)))]);
}

#[test]
fn without_acknowledgement_sending_is_all() {
    let acks = Acks::None;
    let mut stage = stage(ProducerConfig { acks, enable_idempotence: false, ..config() });
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(10));
    let (_, request) = stage.expect::<ProduceRequest>();
    assert_eq!((request.acks, batch_of(&request)), (0, (-1, -1, 1)));
    assert_eq!(outcomes(&mut stage), [(1, Ok(None))]);
}

#[test]
fn a_flush_waits_for_what_came_before_it_only() {
    let mut stage =
        ready(ProducerConfig { linger: Duration::from_secs(60), batch_size: 1_000, ..config() });
    send(&mut stage, 0, 1);
    stage.settle();
    stage.expect_silence();
    stage.core.flush(100);
    let (first, _) = stage.expect::<ProduceRequest>();
    send(&mut stage, 1, 2);
    let (_, second) = stage.expect::<ProduceRequest>();
    assert_eq!(second.topic_data[0].partition_data[0].index, PartitionId(1));
    assert_eq!(outcomes(&mut stage), []);
    answer(&mut stage, &first, ErrorCode::NONE, 0);
    assert_eq!(outcomes(&mut stage), [(1, Ok(Some(0))), (100, Ok(None))]);
}

#[test]
fn a_flush_of_nothing_is_done() {
    let mut stage = ready(config());
    stage.core.flush(100);
    assert_eq!(outcomes(&mut stage), [(100, Ok(None))]);
}

#[test]
fn one_request_takes_a_batch_of_each_partition_of_a_leader() {
    let mut stage = stage(ProducerConfig { batch_size: 1_000, ..config() });
    stage.metadata.topics = vec![topic("t", &[1, 1]), topic("u", &[1])];
    give_identity(&mut stage);
    send(&mut stage, 0, 1);
    send(&mut stage, 1, 2);
    let other = ProducerRecord::new("u", "x").with_partition(0);
    stage.core.send(stage.now, other, 3);
    stage.core.flush(4);
    let (_, request) = stage.expect::<ProduceRequest>();
    let sizes: Vec<_> = request
        .topic_data
        .iter()
        .map(|topic| (topic.topic_id, topic.partition_data.len()))
        .collect();
    assert_eq!(sizes, [(topic_id("t"), 2), (topic_id("u"), 1)]);
}

#[test]
fn what_does_not_fit_a_request_goes_with_the_next_and_first() {
    let mut stage = stage(ProducerConfig { max_request_size: 400, ..config() });
    stage.metadata.topics = vec![topic("t", &[1, 1, 1])];
    give_identity(&mut stage);
    for partition in 0..3 {
        send(&mut stage, partition, 1);
    }
    stage.settle();
    stage.pass(Duration::from_millis(6));
    let mut seen = Vec::new();
    while let Some((_, request)) = stage.find::<ProduceRequest>() {
        let parts = &request.topic_data[0].partition_data;
        seen.push(parts.iter().map(|part| part.index.0).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec![0, 1], vec![2]]);
}

#[test]
fn bad_records_and_topics_are_told_apart() {
    let mut stage = ready(config());
    let large = ProducerRecord::new("t", vec![0; 2_000_000]);
    stage.core.send(stage.now, large, 1);
    stage.core.send(stage.now, ProducerRecord::new("missing", "x"), 2);
    stage.core.send(stage.now, ProducerRecord::new("t", "x").with_partition(9), 3);
    let mut forbidden = topic("forbidden", &[]);
    forbidden.error_code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
    stage.metadata.topics.push(forbidden);
    stage.core.send(stage.now, ProducerRecord::new("forbidden", "x"), 4);
    stage.pass(Duration::from_secs(1));
    let early = outcomes(&mut stage);
    assert!(matches!(
        early[0],
        (1, Err(ProduceError::RecordTooLarge { size: 2_000_000.., max: 1_048_576 }))
    ));
    let refused = ProduceError::Refused(ErrorCode::TOPIC_AUTHORIZATION_FAILED.into());
    assert_eq!(early[1..], [(4, Err(refused))]);
    stage.pass(Duration::from_secs(60));
    let mut late = outcomes(&mut stage);
    late.sort_by_key(|(token, _)| *token);
    let not_found = |topic: &str, partition: i32| {
        let partition = TopicPartition::new(topic, partition);
        Err(ProduceError::NotFound { partition, code: None })
    };
    assert_eq!(late, [(2, not_found("missing", -1)), (3, not_found("t", 9))]);
    assert_eq!(stage.core.memory, 0);
}

#[test]
fn memory_is_counted_from_send_to_outcome() {
    let mut stage = ready(ProducerConfig { buffer_memory: 300, ..config() });
    assert!(stage.core.has_room());
    send(&mut stage, 0, 1);
    send(&mut stage, 0, 2);
    send(&mut stage, 0, 3);
    assert!(!stage.core.has_room());
    let (asked, _) = stage.expect::<ProduceRequest>();
    answer(&mut stage, &asked, ErrorCode::NONE, 0);
    stage.settle();
    assert!(stage.core.has_room());
}

#[test]
fn closing_tells_everyone() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    stage.expect::<ProduceRequest>();
    send(&mut stage, 0, 2);
    stage.core.send(stage.now, ProducerRecord::new("missing", "x"), 3);
    stage.core.flush(4);
    let now = stage.now;
    stage.core.close(now);
    send(&mut stage, 0, 5);
    let mut all = outcomes(&mut stage);
    all.sort_by_key(|(token, _)| *token);
    let closed = || Err(ProduceError::Closed);
    assert_eq!(all, [(1, closed()), (2, closed()), (3, closed()), (4, Ok(None)), (5, closed())]);
    assert_eq!(stage.core.poll_timeout(), None);
}

#[test]
fn an_identity_that_is_not_to_be_had_fails_all() {
    let mut stage = stage(config());
    send(&mut stage, 0, 1);
    let (asked, _) = stage.expect::<InitProducerIdRequest>();
    let error_code = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    let refusal = InitProducerIdResponse { error_code, ..Default::default() };
    stage.answer::<InitProducerIdRequest>(&asked, &refusal);
    stage.pass(Duration::from_millis(10));
    assert_eq!(outcomes(&mut stage), [(1, Err(ProduceError::Refused(error_code.into())))]);
}

#[test]
fn an_answer_that_makes_no_sense_is_told() {
    let mut stage = ready(config());
    send(&mut stage, 0, 1);
    stage.pass(Duration::from_millis(6));
    let (asked, _) = stage.expect::<ProduceRequest>();
    stage.answer_bytes(&asked, &[0, 99]);
    let outcomes = outcomes(&mut stage);
    let [(1, Err(ProduceError::Request(RequestError::Malformed { .. })))] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
}

#[test]
fn records_are_written_as_they_were_given() {
    let compression = dohle_records::Codec::Zstd.into();
    let mut stage = ready(ProducerConfig { compression, ..config() });
    let record = ProducerRecord::new("t", "value")
        .with_key("key")
        .with_header("h", "1")
        .with_partition(0)
        .with_timestamp(Timestamp(42));
    stage.core.send(stage.now, record, 1);
    stage.settle();
    stage.pass(Duration::from_millis(6));
    let (_, request) = stage.expect::<ProduceRequest>();
    let bytes = request.topic_data[0].partition_data[0].records.clone().unwrap();
    let bytes = bytes.as_bytes().unwrap().clone();
    let batch = BatchView::parse(&bytes).unwrap();
    let payload = batch.decompress(DECOMPRESSED_SIZE_MAX).unwrap();
    let record = payload.records().next().unwrap().unwrap();
    assert_eq!((record.key, record.value), (Some(&b"key"[..]), Some(&b"value"[..])));
    assert_eq!(record.timestamp, Timestamp(42));
    assert_eq!(record.headers.iter().next().unwrap().key, b"h");
}
