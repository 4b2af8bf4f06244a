//! What is refused whatever else is in the request.

use bytes::Bytes;
use dohle_base::{ProducerEpoch, ProducerId};
use dohle_log::LogConfig;
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};
use tokio::time::timeout;

use super::*;
use crate::{
    OpenFiles,
    kit::{Kit, kit},
};

fn batch(transactional: bool) -> Bytes {
    let producer = Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence: 0 };
    let mut batch =
        BatchBuilder::new(BatchSpec { producer, transactional, ..BatchSpec::default() });
    batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
    batch.finish()
}

/// Sends a batch to each of the first partitions.
fn produce(kit: &Kit, acks: i16, batches: &[Bytes]) -> Answer<ProduceResponse> {
    produce_within(0, kit, acks, batches)
}

/// The same, with the limit in milliseconds that the client sets.
fn produce_within(
    timeout_ms: i32,
    kit: &Kit,
    acks: i16,
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

/// Source: Kafka 4.4, where the limit is for other replicas, of which there are none.
#[test]
fn no_limit_of_a_client_makes_a_write_to_this_disk_late() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (timeout_ms, acks) in [(0, -1), (0, 1), (1, -1), (-5, 1)] {
        let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
        let way = kit.partitions[0].log_dir();
        let slow = way.write_ahead().hold_rounds();
        let Answer::Later(mut answer) = produce_within(timeout_ms, &kit, acks, &[batch(false)])
        else {
            panic!("it is not waited for")
        };
        let soon = async { timeout(Duration::from_millis(20), &mut answer).await };
        assert!(runtime.block_on(soon).is_err(), "{timeout_ms} ms, acks {acks}: told too early");
        drop(slow);
        let told = runtime.block_on(answer).message;
        let told = &told.responses[0].partition_responses[0];
        assert_eq!(told.error_code, ErrorCode::NONE, "{timeout_ms} ms, acks {acks}");
    }
}
