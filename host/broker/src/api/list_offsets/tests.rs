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

/// Asks of the first partition, and of one that there is not, where this is.
fn ask(kit: &Kit, isolation_level: i8, timestamp: i64) -> Answer<ListOffsetsResponse> {
    ask_of(kit, 11, isolation_level, &[(0, timestamp), (9, timestamp)])
}

fn ask_of(
    kit: &Kit,
    version: i16,
    isolation_level: i8,
    asked: &[(i32, i64)],
) -> Answer<ListOffsetsResponse> {
    let partitions = asked.iter().map(|(partition, timestamp)| ListOffsetsPartition {
        partition_index: PartitionId(*partition),
        current_leader_epoch: LeaderEpoch::NONE,
        timestamp: *timestamp,
    });
    let request = ListOffsetsRequest {
        replica_id: BrokerId(-1),
        isolation_level,
        topics: vec![ListOffsetsTopic { name: "t".into(), partitions: partitions.collect() }],
        ..ListOffsetsRequest::default()
    };
    kit.call(version, |call| ListOffsets::handle(call, request))
}

/// Where a read-committed consumer is told to go on that wants what is new.
fn latest(kit: &Kit) -> (ErrorCode, Offset) {
    let Answer::Now(body) = ask(kit, READ_COMMITTED, LATEST) else { panic!("it waits") };
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
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // (what is asked for, whether it is by time, offset, timestamp)
    let rows = [
        (LATEST, false, 6, -1),
        (0, true, 0, 10),
        (11, true, 1, 30),
        (31, true, 3, 40),
        (61, true, -1, -1),
        (EARLIEST, false, 0, -1),
        (MAX_TIMESTAMP, true, 4, 60),
    ];
    for (asked, by_time, offset, timestamp) in rows {
        let body = match ask(&kit, READ_COMMITTED, asked) {
            Answer::Now(body) if !by_time => body,
            Answer::Later(answer) if by_time => runtime.block_on(answer),
            _ => panic!("{asked}: {by_time}"),
        };
        let [one, none] = &body.message.topics[0].partitions[..] else { unreachable!() };
        assert_eq!(none.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert_eq!((one.error_code, one.partition_index), (ErrorCode::NONE, PartitionId(0)));
        assert_eq!((one.offset.0, one.timestamp), (offset, timestamp), "{asked}");
    }
}

#[test]
fn a_partition_that_is_named_twice_is_not_looked_at_and_the_others_are() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 2, &LogConfig::default());
    // By time: each of them would be searched for.
    let Answer::Now(body) = ask_of(&kit, 11, READ_COMMITTED, &[(0, 5), (1, LATEST), (0, 5)]) else {
        panic!("it was searched for")
    };
    let told = body.message.topics[0].partitions.iter().map(|told| told.error_code);
    let twice = ErrorCode::INVALID_REQUEST;
    assert_eq!(told.collect::<Vec<_>>(), [twice, ErrorCode::NONE, twice]);
}

#[test]
fn what_a_version_cannot_ask_for_is_told_before_anything_is_looked_up() {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let asked = [(0, MAX_TIMESTAMP), (9, MAX_TIMESTAMP)];
    let Answer::Now(body) = ask_of(&kit, 6, READ_COMMITTED, &asked) else {
        panic!("it was searched for")
    };
    let told = body.message.topics[0].partitions.iter().map(|told| told.error_code);
    assert!(told.eq([ErrorCode::UNSUPPORTED_VERSION; 2]));
}
