//! However many topics a request names, its answer is put together soon.

use std::time::{Duration, Instant};

use dohle_base::PartitionId;
use dohle_log::LogConfig;
use dohle_protocol::api::offset_commit_request::OffsetCommitRequestPartition;

use super::*;
use crate::{OpenFiles, kit::kit};

/// Far above what the work takes, and far below what it would take for each pair of topics.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn very_many_topics_are_answered_soon_and_those_of_a_name_together() {
    const COUNT: usize = 60_000;
    // There is one partition, and no coordinator.
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let partition = |index| OffsetCommitRequestPartition {
        partition_index: PartitionId(index),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = |name: &str| OffsetCommitRequestTopic {
        name: name.into(),
        partitions: vec![partition(0), partition(5)],
        ..OffsetCommitRequestTopic::default()
    };
    let unknown = (0..COUNT).map(|at| topic(&format!("x{at}")));
    let topics = (0..COUNT).map(|_| topic("t")).chain(unknown).collect();
    let request = OffsetCommitRequest { group_id: "g".into(), topics, ..Default::default() };
    let start = Instant::now();
    let answer = kit.call(8, |call| OffsetCommit::handle(call, request));
    let Answer::Later(answer) = answer else { panic!("nobody was asked") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let topics = runtime.block_on(answer).message.topics;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert_eq!(topics.len(), 2 * COUNT);
    let count = |at: usize, error| {
        let partitions = topics[at].partitions.iter();
        partitions.filter(|partition| partition.error_code == error).count()
    };
    // What is not there is told with the first of its name.
    let rows = [(0, 1, COUNT), (1, 1, 0), (COUNT, 0, 2), (2 * COUNT - 1, 0, 2)];
    for (at, asked, missing) in rows {
        assert_eq!(count(at, ErrorCode::NOT_COORDINATOR), asked, "{at}");
        assert_eq!(count(at, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), missing, "{at}");
    }
}
