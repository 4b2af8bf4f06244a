//! The partitions that this node holds, and their logs.

use std::sync::Arc;

use dohle_metrics::{Metric, Page, metrics};

use crate::{
    Broker,
    partition::{Partition, State},
};

metrics! {
    /// Partitions of which this node holds a replica.
    PARTITIONS: gauge "kafka_server_replicamanager_partitioncount", Count;

    /// Partitions that this node leads.
    LEADERS: gauge "kafka_server_replicamanager_leadercount", Count;

    /// Replicas on this node that cannot be read or written, because their directory failed or their
    /// data is damaged.
    OFFLINE: gauge "kafka_server_replicamanager_offlinereplicacount", Count;

    /// Bytes of a partition's segments.
    SIZE: gauge "kafka_log_log_size", Bytes, by ["topic", "partition"];

    /// Segments of a partition.
    SEGMENTS: gauge "kafka_log_log_numlogsegments", Count, by ["topic", "partition"];

    /// The first offset of a partition.
    START: gauge "kafka_log_log_logstartoffset", Offset, by ["topic", "partition"];

    /// The offset that a partition's next record gets.
    END: gauge "kafka_log_log_logendoffset", Offset, by ["topic", "partition"];

    /// How long it took to make written records durable.
    FLUSHES: histogram "dohle_log_flush_seconds", Seconds;
}

type Read = fn(&Log) -> u64;

/// How each row of a log is read.
const READ: [(Metric, Read); 4] = [
    (SIZE, |log| log.size),
    (SEGMENTS, |log| log.segments),
    (START, |log| log.start),
    (END, |log| log.end),
];

/// One log at one moment.
struct Log {
    partition: Arc<Partition>,
    size: u64,
    segments: u64,
    start: u64,
    end: u64,
}

pub(super) fn write(page: &mut Page, broker: &Broker) {
    let partitions = broker.partitions.all();
    let is = |state: fn(&State) -> bool| {
        partitions.iter().filter(|partition| state(&partition.state())).count() as f64
    };
    page.value(&PARTITIONS, &[], partitions.len() as f64);
    page.value(&LEADERS, &[], is(|state| matches!(state, State::Led(_))));
    page.value(&OFFLINE, &[], is(|state| matches!(state, State::Offline)));
    let mut logs: Vec<Log> = partitions.into_iter().filter_map(read).collect();
    logs.sort_by(|a, b| {
        let key = |log: &Log| (log.partition.topic().clone(), log.partition.index());
        key(a).cmp(&key(b))
    });
    for (metric, read) in &READ {
        for log in &logs {
            let index = log.partition.index().to_string();
            page.value(metric, &[log.partition.topic(), &index], read(log) as f64);
        }
    }
    page.buckets(&FLUSHES, &[], &broker.metrics.flushes.read());
}

/// None if the partition is offline: there is nothing to read then.
fn read(partition: Arc<Partition>) -> Option<Log> {
    let unsigned = |offset: dohle_base::Offset| offset.0.unsigned_abs();
    let log = partition.with_leader(|leader| {
        let log = leader.log();
        let (start, end) = (unsigned(log.log_start_offset()), unsigned(log.log_end_offset()));
        (log.size(), log.segment_count() as u64, start, end)
    });
    let (size, segments, start, end) = log.ok()?;
    Some(Log { partition, size, segments, start, end })
}
