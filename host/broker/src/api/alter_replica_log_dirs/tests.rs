//! However many topics a request names, its answer has each once, and soon.

use std::time::{Duration, Instant};

use dohle_log::LogConfig;
use dohle_protocol::api::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};

use super::*;
use crate::{OpenFiles, kit::kit};

/// Far above what the work takes, and far below what it would take for each pair of topics.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn very_many_topics_are_answered_soon_and_each_once() {
    const COUNT: i32 = 100_000;
    let kit = kit("", OpenFiles::within(1_000, 100, 2), 1, &LogConfig::default());
    let topic = |name: &str, index| AlterReplicaLogDirTopic {
        name: name.into(),
        partitions: vec![PartitionId(index)],
    };
    let dir = |path: &str, topics| AlterReplicaLogDir { path: path.into(), topics };
    let many = (0..COUNT).map(|at| topic(&format!("{at}"), at)).collect();
    let dirs = vec![dir("/nowhere", many), dir("/elsewhere", vec![topic("7", 1), topic("8", 1)])];
    let request = AlterReplicaLogDirsRequest { dirs };
    let start = Instant::now();
    let answer = kit.call(2, |call| AlterReplicaLogDirs::handle(call, request));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let Answer::Now(body) = answer else { panic!("it waits") };
    let results = body.message.results;
    assert_eq!(results.len(), COUNT as usize);
    let partitions = |result: &AlterReplicaLogDirTopicResult| -> Vec<i32> {
        assert!(result.partitions.iter().all(|p| p.error_code == ErrorCode::LOG_DIR_NOT_FOUND));
        result.partitions.iter().map(|partition| partition.partition_index.0).collect()
    };
    for (at, result) in (0..).zip(&results) {
        assert_eq!(result.topic_name, *at.to_string());
        let expected = if [7, 8].contains(&at) { vec![at, 1] } else { vec![at] };
        assert_eq!(partitions(result), expected);
    }
}
