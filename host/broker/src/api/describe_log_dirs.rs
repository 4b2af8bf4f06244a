//! DescribeLogDirs (35): the directories, their volumes, and how much each partition takes.
//!
//! Of a partition that is being moved the copy is told beside it. Versions: 3 has an error for the
//! whole; 4 the sizes of the volumes; 5 which directories are cordoned. Authorises: Describe on the
//! cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::RangeInclusive,
};

use dohle_base::{ErrorCode, PartitionId, Str, Uuid};
use dohle_protocol::api::{
    describe_log_dirs_request::DescribeLogDirsRequest,
    describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult,
        DescribeLogDirsTopic,
    },
};

use super::{Answer, Call, Endpoint};
use crate::{log_dirs::LogDir, placement};

type Topics = BTreeMap<Str, Vec<DescribeLogDirsPartition>>;

pub(crate) struct DescribeLogDirs;

impl Endpoint for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=5;

    fn handle(call: Call<'_>, request: DescribeLogDirsRequest) -> Answer<DescribeLogDirsResponse> {
        let broker = call.broker;
        let mut topics = topics(call, &request);
        let has_cordoned = broker.metadata().image.metadata_version().has_cordoned_directories();
        let cordoned = match has_cordoned {
            true => placement::cordoned(&broker.settings(), &broker.log_dirs),
            false => BTreeSet::new(),
        };
        let results = broker.config.log_dirs.iter().map(|path| {
            let dir = broker.log_dirs.iter().find(|dir| dir.path.as_os_str() == path.as_str());
            match dir.filter(|dir| !dir.has_failed()) {
                Some(dir) => DescribeLogDirsResult {
                    is_cordoned: cordoned.contains(&dir.id),
                    log_dir: LogDir::shown(path),
                    ..describe(dir, topics.remove(&dir.id).unwrap_or_default())
                },
                None => DescribeLogDirsResult {
                    log_dir: LogDir::shown(path),
                    error_code: ErrorCode::KAFKA_STORAGE_ERROR,
                    ..DescribeLogDirsResult::default()
                },
            }
        });
        let results = results.collect();
        Answer::now(DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() })
    }
}

/// The partitions that were asked for, by directory.
fn topics(call: Call<'_>, request: &DescribeLogDirsRequest) -> BTreeMap<Uuid, Topics> {
    let asked: Option<HashSet<(&Str, PartitionId)>> = request.topics.as_ref().map(|topics| {
        let asked = topics
            .iter()
            .flat_map(|asked| asked.partitions.iter().map(move |index| (&asked.topic, *index)));
        asked.collect()
    });
    let is_wanted = |topic: &Str, index: PartitionId| {
        asked.as_ref().is_none_or(|asked| asked.contains(&(topic, index)))
    };
    let mut partitions = call.broker.partitions.all();
    partitions.retain(|partition| is_wanted(partition.topic(), partition.index()));
    partitions.sort_by_key(|partition| partition.index());
    let mut directories: BTreeMap<Uuid, Topics> = BTreeMap::new();
    for partition in partitions {
        // First: what it has by now the partition has, too.
        let moving = call.broker.moves.of(partition.topic_id(), partition.index());
        let told = partition.with_leader(|leader| {
            let standing = leader.standing();
            (leader.log().size(), standing.high_watermark, standing.log_end, partition.directory())
        });
        let Ok((size, high_watermark, end, directory)) = told else { continue };
        let mut tell = |directory: Uuid, told| {
            let topics = directories.entry(directory).or_default();
            topics.entry(partition.topic().clone()).or_default().push(told);
        };
        let current = DescribeLogDirsPartition {
            partition_index: partition.index(),
            partition_size: signed(size),
            offset_lag: (high_watermark.0 - end.0).max(0),
            is_future_key: false,
        };
        tell(directory, current);
        // One that is in its place is none any more.
        if let Some((target, progress)) = moving.filter(|(target, _)| *target != directory) {
            let future = DescribeLogDirsPartition {
                partition_index: partition.index(),
                partition_size: signed(progress.size),
                offset_lag: end.0 - progress.end.0,
                is_future_key: true,
            };
            tell(target, future);
        }
    }
    directories
}

fn describe(dir: &LogDir, topics: Topics) -> DescribeLogDirsResult {
    let topics =
        topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions });
    let (total_bytes, usable_bytes) = match dir.volume() {
        Ok(volume) => (signed(volume.total_bytes), signed(volume.usable_bytes)),
        Err(_) => (-1, -1),
    };
    DescribeLogDirsResult {
        topics: topics.collect(),
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
