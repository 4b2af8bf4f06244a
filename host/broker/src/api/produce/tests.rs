//! What is refused whatever else is in the request, and how long an answer waits.

mod in_sync;

use bytes::Bytes;
use dohle_base::{ProducerEpoch, ProducerId};
use dohle_log::LogConfig;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    task::yield_now,
    time::Instant,
};

use super::*;
use crate::{
    OpenFiles,
    durability::begin_turns,
    kit::{Kit, kit},
    time_limit::start_clock,
};

fn batch(transactional: bool) -> Bytes {
    let producer = Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence: 0 };
    of(BatchSpec { producer, transactional, ..BatchSpec::default() })
}

/// Without a sequence number.
fn plain() -> Bytes {
    of(BatchSpec::default())
}

fn of(spec: BatchSpec) -> Bytes {
    let mut batch = BatchBuilder::new(spec);
    batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
    batch.finish()
}

/// Sends a batch to each of the first partitions.
fn produce(kit: &Kit, acks: i16, batches: &[Bytes]) -> Answer<ProduceResponse> {
    produce_within(kit, acks, 0, batches)
}

fn produce_within(
    kit: &Kit,
    acks: i16,
    timeout_ms: i32,
    batches: &[Bytes],
) -> Answer<ProduceResponse> {
    let data = batches.iter().zip(0..).map(|(batch, index)| PartitionProduceData {
        index: PartitionId(index),
        records: Some(RecordSet::Bytes(batch.clone())),
    });
    let topic = TopicProduceData {
        name: "t".into(),
        partition_data: data.collect(),
        ..TopicProduceData::default()
    };
    let topic_data = [topic].into_iter().collect();
    let body = ProduceRequest { acks, timeout_ms, topic_data, ..ProduceRequest::default() };
    let asked = Asked { version: 11, correlation_id: 1, client_id: None, body };
    let mut answers = Vec::new();
    kit.call(11, |call| Produce::handle_all(call, &[asked], |answer| answers.push(answer)));
    answers.pop().unwrap()
}

/// What each partition is told at once.
fn codes(answer: Answer<ProduceResponse>) -> Vec<ErrorCode> {
    let Answer::Now(body) = answer else { panic!("something was appended") };
    let partitions = &body.message.responses[0].partition_responses;
    partitions.iter().map(|partition| partition.error_code).collect()
}

/// Nobody could end the transaction: no read-committed consumer would get past it, and no clean.
#[test]
fn a_transaction_without_a_transactional_id_is_not_begun() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 2, &LogConfig::default());
    let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    assert_eq!(codes(produce(&kit, -1, &[batch(false), batch(true)])), [refused; 2]);
    assert_eq!(codes(produce(&kit, 7, &[batch(true)])), [refused], "not for its acks");
    assert!(matches!(produce(&kit, 0, &[batch(true)]), Answer::Close));
    // What is cut off is no batch, whatever its attributes say.
    let cut = batch(true).slice(..65);
    assert_eq!(codes(produce(&kit, -1, &[cut])), [ErrorCode::INVALID_RECORD]);
    for partition in &kit.partitions {
        let end = partition.with_leader(|leader| leader.standing().log_end);
        assert_eq!(end, Ok(Offset::ZERO));
    }
    assert!(matches!(produce(&kit, -1, &[batch(false)]), Answer::Later(_)));
}

fn runtime(is_paused: bool) -> LocalRuntime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(is_paused).build_local(LocalOptions::default()).unwrap()
}

/// What the first partition is told, once it is.
async fn told(answer: Answer<ProduceResponse>) -> ErrorCode {
    let Answer::Later(answer) = answer else { panic!("nothing was appended") };
    answer.await.message.responses[0].partition_responses[0].error_code
}

/// Without idempotence its producer would write it twice.
#[test]
fn without_any_time_a_disk_that_answers_is_waited_for() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    runtime(false).block_on(async {
        begin_turns();
        start_clock();
        yield_now().await;
        for acks in [1, -1] {
            for timeout_ms in [0, -1, 1, i32::MIN] {
                let answer = produce_within(&kit, acks, timeout_ms, &[plain()]);
                assert_eq!(told(answer).await, ErrorCode::NONE, "{acks} {timeout_ms}");
            }
        }
    });
}

#[test]
fn nobody_waits_for_ever() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let not_over = runtime(false);
    not_over.block_on(async {
        begin_turns();
        yield_now().await;
    });
    // The turn that asks the disk does not end, and time passes as soon as nobody has anything to do.
    runtime(true).block_on(async {
        start_clock();
        yield_now().await;
        for (acks, timeout_ms, seconds) in [(1, 0, 30), (-1, 5_000, 30), (1, 40_000, 40)] {
            let began = Instant::now();
            let answer = produce_within(&kit, acks, timeout_ms, &[plain()]);
            assert_eq!(told(answer).await, ErrorCode::REQUEST_TIMED_OUT);
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
    });
}
