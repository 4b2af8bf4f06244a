//! DescribeLogDirs (35): the directories, their volumes, and how much each partition takes.
//!
//! Versions: 3 has an error for the whole; 4 the sizes of the volumes; 5 cordoned directories (there is
//! no cordoning yet). Authorises: Describe on the cluster.

use std::{collections::BTreeMap, ops::RangeInclusive};

use dohle_base::{PartitionId, Str, Uuid};
use dohle_protocol::api::{
    describe_log_dirs_request::DescribeLogDirsRequest,
    describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult,
        DescribeLogDirsTopic,
    },
};

use super::{Answer, Call, Endpoint};
use crate::log_dirs::LogDir;

type Sizes = BTreeMap<Str, BTreeMap<PartitionId, u64>>;

pub(crate) struct DescribeLogDirs;

impl Endpoint for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=5;

    fn handle(call: Call<'_>, request: DescribeLogDirsRequest) -> Answer<DescribeLogDirsResponse> {
        let mut sizes = sizes(call, &request);
        let results = call.broker.log_dirs.iter().map(|dir| {
            let topics = sizes.remove(&dir.id).unwrap_or_default();
            describe(dir, topics)
        });
        let results = results.collect();
        Answer::now(DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() })
    }
}

/// The sizes of the partitions that were asked for, by directory.
fn sizes(call: Call<'_>, request: &DescribeLogDirsRequest) -> BTreeMap<Uuid, Sizes> {
    let is_wanted = |topic: &Str, index: PartitionId| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|t| t.topic == *topic && t.partitions.contains(&index)),
    };
    let mut sizes: BTreeMap<Uuid, Sizes> = BTreeMap::new();
    for partition in call.broker.partitions.all() {
        if !is_wanted(partition.topic(), partition.index()) {
            continue;
        }
        if let Ok(size) = partition.with_leader(|leader| leader.log().size()) {
            let topics = sizes.entry(partition.directory()).or_default();
            topics.entry(partition.topic().clone()).or_default().insert(partition.index(), size);
        }
    }
    sizes
}

fn describe(dir: &LogDir, topics: Sizes) -> DescribeLogDirsResult {
    let topics = topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
        name,
        partitions: partitions
            .into_iter()
            .map(|(partition_index, size)| DescribeLogDirsPartition {
                partition_index,
                partition_size: signed(size),
                ..DescribeLogDirsPartition::default()
            })
            .collect(),
    });
    let (total_bytes, usable_bytes) = match dir.volume() {
        Ok(volume) => (signed(volume.total_bytes), signed(volume.usable_bytes)),
        Err(_) => (-1, -1),
    };
    DescribeLogDirsResult {
        log_dir: dir.path.to_string_lossy().into(),
        topics: topics.collect(),
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
