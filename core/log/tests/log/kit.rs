//! Batches to append, and a log to append them to.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dohle_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use dohle_log::{
    AppendError, Appended, Log, LogConfig, LogError, OpenLog, Origin, ReadRange, sim::SimDisk,
};
use dohle_records::{
    BatchBuilder, BatchSpec, BatchView, Compression, DECOMPRESSED_SIZE_MAX, EndTxnMarker,
    NewRecord, Producer, split_batches,
};

/// The partition's directory.
pub(crate) const DIR: &str = "/logs/t-0";
/// The time of everything that does not say otherwise.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// The epoch of everything that does not say otherwise.
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch(0);

/// An empty disk with a log directory on it.
pub(crate) fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.plant(Path::new("/logs/meta.properties"), b"");
    disk
}

/// Settings with which little data makes much happen.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes_max: 700,
        preallocate: true,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// Opens the log as after a crash.
pub(crate) fn open(disk: &SimDisk, config: LogConfig) -> Result<Log<SimDisk>, LogError> {
    open_how(disk, config, OpenLog::default())
}

pub(crate) fn open_how(
    disk: &SimDisk,
    config: LogConfig,
    how: OpenLog,
) -> Result<Log<SimDisk>, LogError> {
    Log::open(disk.clone(), PathBuf::from(DIR), config, how, NOW)
}

/// A log with nothing in it.
pub(crate) fn empty(config: LogConfig) -> (SimDisk, Log<SimDisk>) {
    let disk = disk();
    let log = open(&disk, config).unwrap();
    (disk, log)
}

/// A batch in the making, as clients make them.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) values: Vec<String>,
    pub(crate) key: Option<String>,
    pub(crate) timestamp: Timestamp,
    pub(crate) producer: Producer,
    pub(crate) transactional: bool,
    pub(crate) compression: Compression,
}

/// A batch of so many records.
pub(crate) fn records(count: usize) -> Spec {
    Spec {
        values: (0..count).map(|index| format!("value {index}")).collect(),
        key: Some("key".into()),
        timestamp: NOW,
        producer: Producer::NONE,
        transactional: false,
        compression: Compression::NONE,
    }
}

impl Spec {
    pub(crate) fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Timestamp(timestamp), ..self }
    }

    pub(crate) fn by(self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        Self { producer: producer(id, epoch, base_sequence), ..self }
    }

    pub(crate) fn in_transaction(self) -> Self {
        Self { transactional: true, ..self }
    }

    pub(crate) fn packed(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    pub(crate) fn keyless(self) -> Self {
        Self { key: None, ..self }
    }

    /// With one value of so many bytes.
    pub(crate) fn sized(self, size: usize) -> Self {
        Self { values: vec!["x".repeat(size)], ..self }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.from(Offset::ZERO, LeaderEpoch::NONE)
    }

    /// As a leader in `epoch` has it in its log.
    pub(crate) fn from(&self, base_offset: Offset, epoch: LeaderEpoch) -> Bytes {
        let mut builder = BatchBuilder::new(BatchSpec {
            base_offset,
            partition_leader_epoch: epoch,
            producer: self.producer,
            transactional: self.transactional,
            compression: self.compression,
            ..BatchSpec::default()
        });
        for value in &self.values {
            let (key, value) = (self.key.as_deref().map(str::as_bytes), Some(value.as_bytes()));
            let timestamp = self.timestamp;
            builder.append(&NewRecord { timestamp, key, value, headers: &[] }).unwrap();
        }
        builder.finish()
    }

    /// Appends it in a leader epoch.
    pub(crate) fn append_in(&self, log: &mut Log<SimDisk>, epoch: i32) {
        let origin = client(self.transactional);
        log.append_as_leader(&self.bytes(), LeaderEpoch(epoch), origin, NOW).unwrap();
    }

    /// Appends it as a client's.
    pub(crate) fn append(&self, log: &mut Log<SimDisk>) -> Result<Appended, AppendError> {
        log.append_as_leader(&self.bytes(), EPOCH, client(self.transactional), NOW)
    }
}

/// A client with whose transactions, if it has some, all is well.
pub(crate) fn client(transactional: bool) -> Origin {
    if transactional { Origin::Verified } else { Origin::Client }
}

pub(crate) fn producer(id: i64, epoch: i16, base_sequence: i32) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence }
}

/// A marker that ends the transaction of a producer.
pub(crate) fn marker(id: i64, epoch: i16, committed: bool) -> Bytes {
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    marker.batch(ProducerId(id), ProducerEpoch(epoch), NOW)
}

pub(crate) fn append_marker(log: &mut Log<SimDisk>, id: i64, committed: bool) -> Appended {
    let origin = Origin::Marker { transaction_version: 0 };
    log.append_as_leader(&marker(id, 0, committed), EPOCH, origin, NOW).unwrap()
}

/// All that can be read, a segment's worth at a time.
pub(crate) fn read_all(log: &mut Log<SimDisk>) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut from = log.log_start_offset();
    let up_to = log.log_end_offset();
    loop {
        let range = ReadRange { from, up_to, size_max: 100_000, at_least_one: true };
        let Some(slice) = log.read(range).unwrap() else { return batches };
        for batch in split_batches(&slice.read().unwrap()).unwrap() {
            batch.view().check_crc().unwrap();
            from = batch.view().next_offset();
            batches.push(batch.into_bytes());
        }
    }
}

/// Offsets and values of all records that can be read.
pub(crate) fn read_values(log: &mut Log<SimDisk>) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    for batch in read_all(log) {
        let view = BatchView::parse(&batch).unwrap();
        for record in view.decompress(DECOMPRESSED_SIZE_MAX).unwrap().records() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).unwrap();
            values.push((record.offset.0, value));
        }
    }
    values
}
