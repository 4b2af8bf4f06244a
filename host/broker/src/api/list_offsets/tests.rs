//! Where read-committed consumers are sent to they can read: what ListOffsets and Fetch tell agrees.

use dohle_base::{BrokerId, PartitionId, ProducerEpoch, ProducerId};
use dohle_log::{LogConfig, Origin};
use dohle_protocol::api::{
    fetch_request::{FetchPartition, FetchRequest, FetchTopic, ReplicaState},
    list_offsets_request::ListOffsetsTopic,
};
use dohle_records::{BatchBuilder, BatchSpec, NewRecord, Producer};

use super::*;
use crate::{
    OpenFiles,
    api::fetch::Fetch,
    durability::tests::{append, is_committed_soon},
    kit::{Kit, kit},
};

/// Asks of the first partition, and of one that there is not, where each of these is.
fn ask(kit: &Kit, isolation_level: i8, timestamps: &[i64]) -> Answer<ListOffsetsResponse> {
    let asked = |partition, timestamp| ListOffsetsPartition {
        partition_index: PartitionId(partition),
        current_leader_epoch: LeaderEpoch::NONE,
        timestamp,
    };
    let partitions = timestamps.iter().flat_map(|time| [asked(0, *time), asked(9, *time)]);
    let request = ListOffsetsRequest {
        replica_id: BrokerId(-1),
        isolation_level,
        topics: vec![ListOffsetsTopic { name: "t".into(), partitions: partitions.collect() }],
        ..ListOffsetsRequest::default()
    };
    kit.call(11, |call| ListOffsets::handle(call, request))
}

/// Where a read-committed consumer is told to go on that wants what is new.
fn latest(kit: &Kit) -> (ErrorCode, Offset) {
    let Answer::Now(body) = ask(kit, READ_COMMITTED, &[LATEST]) else { panic!("it waits") };
    let told = &body.message.topics[0].partitions[0];
    (told.error_code, told.offset)
}

/// What it is told there: the log's start, the last stable offset and the high watermark.
fn fetched(kit: &Kit, fetch_offset: Offset) -> (ErrorCode, [Offset; 3]) {
    let wanted = FetchPartition {
        partition: PartitionId(0),
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: "t".into(), partitions: [wanted].into(), ..FetchTopic::default() };
    let request = FetchRequest {
        replica_id: BrokerId(-1),
        replica_state: ReplicaState { replica_id: BrokerId(-1), ..ReplicaState::default() },
        max_bytes: 1 << 20,
        isolation_level: READ_COMMITTED,
        topics: [topic].into(),
        session_epoch: -1,
        ..FetchRequest::default()
    };
    let Answer::Now(body) = kit.call(12, |call| Fetch::handle(call, request)) else {
        panic!("it waits")
    };
    let told = &body.message.responses[0].partitions[0];
    let offsets = [told.log_start_offset, told.last_stable_offset, told.high_watermark];
    (told.error_code, offsets)
}

#[test]
fn where_an_open_transactions_start_is_deleted_nobody_is_sent_before_the_logs_start() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let [partition] = &kit.partitions[..] else { unreachable!() };
    let producer = Producer { id: ProducerId(5), epoch: ProducerEpoch(0), base_sequence: 0 };
    let mut batch =
        BatchBuilder::new(BatchSpec { producer, transactional: true, ..BatchSpec::default() });
    batch.append(&NewRecord { value: Some(b"x"), ..NewRecord::default() }).unwrap();
    partition.append(&batch.finish(), Origin::Verified, Timestamp(0)).unwrap().unwrap();
    let ends: Vec<_> = (0..3).map(|_| append(partition)).collect();
    assert!(is_committed_soon(partition, ends[2]));
    assert_eq!(latest(&kit), (ErrorCode::NONE, Offset(0)));
    let deleted = partition.with_leader(|leader| leader.delete_records(Offset(2))).unwrap();
    assert_eq!(deleted, Ok(Offset(2)));
    assert_eq!(latest(&kit), (ErrorCode::NONE, Offset(2)));
    let stands = [Offset(2), Offset(2), Offset(4)];
    assert_eq!(fetched(&kit, Offset(2)), (ErrorCode::NONE, stands));
}

/// Batches are decompressed for it, which may be long: nobody else on the network thread waits for that.
#[test]
fn what_is_asked_for_by_time_is_searched_for_elsewhere() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let [partition] = &kit.partitions[..] else { unreachable!() };
    let compression = dohle_records::Codec::Zstd.into();
    for times in [[10, 30, 20], [40, 60, 50]] {
        let mut batch = BatchBuilder::new(BatchSpec { compression, ..BatchSpec::default() });
        for time in times {
            let (timestamp, value) = (Timestamp(time), Some(&b"x"[..]));
            batch.append(&NewRecord { timestamp, value, ..NewRecord::default() }).unwrap();
        }
        partition.append(&batch.finish(), Origin::Client, Timestamp(60)).unwrap().unwrap();
    }
    assert!(is_committed_soon(partition, Offset(6)));
    let asked = [LATEST, 0, 11, 31, 61, EARLIEST, MAX_TIMESTAMP];
    let Answer::Later(answer) = ask(&kit, READ_COMMITTED, &asked) else {
        panic!("it was searched for here")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(answer);
    let told = body.message.topics[0].partitions.chunks(2).map(|of_both| {
        let [one, none] = of_both else { unreachable!() };
        assert_eq!(none.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!((one.error_code, one.partition_index), (ErrorCode::NONE, PartitionId(0)));
        (one.offset.0, one.timestamp)
    });
    let expected = [(6, -1), (0, 10), (1, 30), (3, 40), (-1, -1), (0, -1), (4, 60)];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert!(matches!(ask(&kit, READ_COMMITTED, &[LATEST, EARLIEST]), Answer::Now(_)));
}
