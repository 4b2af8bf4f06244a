//! What may not be deleted is not, and an answer waits for the disk that it is about, and not for ever.

use dohle_log::LogConfig;
use dohle_protocol::api::delete_records_request::DeleteRecordsTopic;

use super::*;
use crate::{
    OpenFiles,
    durability::tests::{append, is_committed_soon},
    kit::{Kit, kit, make_topic, no_topics},
};

const TIMED_OUT: (Offset, ErrorCode) = (Offset(-1), ErrorCode::REQUEST_TIMED_OUT);

/// Two records in a partition that is led here.
fn site() -> Kit {
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    append(&kit.partitions[0]);
    let end = append(&kit.partitions[0]);
    assert!(is_committed_soon(&kit.partitions[0], end));
    kit
}

/// What is answered, with threads that do upkeep of these directories.
fn delete(kit: &mut Kit, topic: &str, timeout_ms: i32) -> (Offset, ErrorCode) {
    let inboxes = std::mem::take(&mut kit.upkeep).into_iter().zip(&kit.broker.log_dirs);
    let threads = inboxes.map(|(inbox, dir)| inbox.start(Arc::clone(&kit.broker), Arc::clone(dir)));
    let threads: Vec<_> = threads.map(Result::unwrap).collect();
    let answer = ask(kit, topic, timeout_ms);
    kit.broker.log_dirs.iter().for_each(|dir| dir.upkeep().stop());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    answer
}

fn ask(kit: &Kit, topic: &str, timeout_ms: i32) -> (Offset, ErrorCode) {
    let asked = DeleteRecordsPartition { partition_index: PartitionId(0), offset: Offset(1) };
    let topic = DeleteRecordsTopic { name: topic.into(), partitions: vec![asked] };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms };
    let Answer::Later(answer) = kit.call(2, |call| DeleteRecords::handle(call, request)) else {
        panic!("it does not wait")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(answer).message;
    let told = &answer.topics[0].partitions[0];
    (told.low_watermark, told.error_code)
}

#[test]
fn what_kafka_keeps_for_itself_is_not_deleted() {
    let mut kit = site();
    let mut state = no_topics();
    for (name, id) in [("__consumer_offsets", 1), ("__transaction_state", 2), ("t", 3)] {
        make_topic(&mut state, name, dohle_base::TopicId(Uuid(id)), 1, Uuid(7));
    }
    let image = state.image().clone();
    kit.broker.show(Published { image, ..Published::default() });
    let refused = |error| (Offset(-1), error);
    assert_eq!(ask(&kit, "__consumer_offsets", 0), refused(ErrorCode::INVALID_TOPIC_EXCEPTION));
    // Nor where it is led elsewhere.
    assert_eq!(ask(&kit, "__transaction_state", 0), refused(ErrorCode::INVALID_TOPIC_EXCEPTION));
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(ask(&kit, "__share_group_state", 0), refused(unknown), "it is not there");
    assert_eq!(delete(&mut kit, "t", 0), refused(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    let start = kit.partitions[0].with_leader(|leader| leader.log().log_start_offset());
    assert_eq!(start, Ok(Offset(0)));
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_who_deletes_elsewhere() {
    let mut kit = site();
    let hangs = Arc::clone(&kit.broker.log_dirs[1]);
    // As while its names are synced, its checkpoints are written, or retention is at it.
    let held = hangs.hold_checkpoints();
    let _waits = hangs.upkeep().note_log_starts();
    let inboxes = std::mem::take(&mut kit.upkeep).into_iter().zip(&kit.broker.log_dirs);
    let threads = inboxes.map(|(inbox, dir)| inbox.start(Arc::clone(&kit.broker), Arc::clone(dir)));
    let threads: Vec<_> = threads.map(Result::unwrap).collect();
    assert_eq!(ask(&kit, "t", 20_000), (Offset(1), ErrorCode::NONE));
    drop(held);
    kit.broker.log_dirs.iter().for_each(|dir| dir.upkeep().stop());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn nobody_waits_for_a_disk_longer_than_the_request_allows() {
    let kit = site();
    let dir = &kit.broker.log_dirs[0];
    let began = std::time::Instant::now();
    // Nobody writes anything.
    assert_eq!(ask(&kit, "t", 1_500), TIMED_OUT);
    let took = began.elapsed();
    assert!((1_500..10_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(ask(&kit, "t", -1), TIMED_OUT);
    // It is done all the same, and noted when the disk comes back.
    let mut noted = dir.upkeep().note_log_starts();
    dir.upkeep().step_log_starts(&kit.broker, dir);
    assert!(matches!(noted.try_recv(), Ok(Ok(()))));
}

#[test]
fn without_any_time_a_disk_that_answers_is_waited_for() {
    let mut kit = site();
    assert_eq!(delete(&mut kit, "t", 0), (Offset(1), ErrorCode::NONE));
}

#[test]
fn whoever_waits_when_the_node_stops_waits_no_more() {
    let mut kit = site();
    let noted = kit.broker.log_dirs[0].upkeep().note_log_starts();
    kit.upkeep.clear();
    assert!(noted.blocking_recv().is_err());
    assert_eq!(ask(&kit, "t", 20_000), (Offset(-1), ErrorCode::KAFKA_STORAGE_ERROR));
}
