//! The directories that hold partitions: their locks, how they were left, and how they are left.
//!
//! ```text
//! open    lock ─▶ read .kafka_cleanshutdown ─▶ remove it ─▶ read checkpoints ─▶ logs are opened
//! while running   replication-offset, recovery-point and log-start checkpoints, when something changed
//! close   logs are closed ─▶ checkpoints ─▶ .kafka_cleanshutdown ─▶ lock is released
//! ```
//!
//! Not here: what is in a log (core/log), and which partitions there should be (`publisher`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use dohle_base::{Offset, PartitionId, Str, Uuid};
use dohle_log::{
    IoError, OnDamage, OpenLog,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    clean_stop,
};
use dohle_os::{DirLock, LockError, OsDisk, Volume, volume_of};
use tracing::{error, warn};

use crate::partition::{Partition, State};

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// One log directory.
#[derive(Debug)]
pub struct LogDir {
    /// Its identity, from `meta.properties`.
    pub id: Uuid,
    /// Where it is.
    pub path: PathBuf,
    disk: OsDisk,
    left: HowItWasLeft,
    /// Held until the directory is closed.
    lock: Mutex<Option<DirLock>>,
}

/// What the last process told of the directory when it stopped.
#[derive(Debug, Default)]
struct HowItWasLeft {
    is_clean: bool,
    /// The broker epoch of the clean stop; −1 if it was none.
    broker_epoch: i64,
    recovery_points: PartitionOffsets,
    log_starts: PartitionOffsets,
}

impl LogDir {
    /// Takes a formatted directory: locks it and reads how it was left.
    ///
    /// # Errors
    /// It is in use, or cannot be read.
    pub fn open(id: Uuid, path: PathBuf, disk: OsDisk) -> Result<Self, LogDirError> {
        let lock = DirLock::take(&path)?;
        let stop = clean_stop::read(&disk, &path)?;
        let left = HowItWasLeft {
            is_clean: stop.is_some(),
            broker_epoch: stop.and_then(|stop| stop.broker_epoch).unwrap_or(-1),
            recovery_points: offsets(&disk, &path, OffsetKind::RecoveryPoint),
            log_starts: offsets(&disk, &path, OffsetKind::LogStart),
        };
        // Before any log is opened: a crash from here on is not a clean stop.
        clean_stop::remove(&disk, &path)?;
        Ok(Self { id, path, disk, left, lock: Mutex::new(Some(lock)) })
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &OsDisk {
        &self.disk
    }

    /// The broker epoch of the last stop if it was clean, else −1.
    pub fn previous_broker_epoch(&self) -> i64 {
        self.left.broker_epoch
    }

    /// The size of the volume and what is free of it.
    ///
    /// # Errors
    /// What the system says.
    pub fn volume(&self) -> Result<Volume, IoError> {
        volume_of(&self.path)
    }

    /// What is known of a partition's log before it is opened.
    pub fn how_to_open(&self, topic: &Str, index: PartitionId) -> OpenLog {
        let key = (topic.clone(), index);
        let of = |offsets: &PartitionOffsets| offsets.get(&key).copied().unwrap_or(Offset::ZERO);
        OpenLog {
            clean: self.left.is_clean,
            recovery_point: of(&self.left.recovery_points),
            log_start: of(&self.left.log_starts),
            on_damage: OnDamage::Refuse,
            topic_id: None,
        }
    }

    /// Writes the checkpoints of the partitions that lie here.
    ///
    /// # Errors
    /// A file could not be replaced; it says what it said before.
    pub fn write_checkpoints(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        let mut high_watermarks = PartitionOffsets::new();
        let mut recovery_points = PartitionOffsets::new();
        let mut log_starts = PartitionOffsets::new();
        for partition in partitions.iter().filter(|partition| partition.directory() == self.id) {
            let key = || (partition.topic().clone(), partition.index());
            let noted = partition.with_leader(|leader| {
                let standing = leader.standing();
                high_watermarks.insert(key(), standing.high_watermark);
                recovery_points.insert(key(), leader.log().recovery_point());
                if standing.log_start > leader.log().first_base_offset() {
                    log_starts.insert(key(), standing.log_start);
                }
            });
            if noted.is_err() {
                // What was known of a partition that is offline stays known.
                let known = self.how_to_open(partition.topic(), partition.index());
                recovery_points.insert(key(), known.recovery_point);
                if known.log_start > Offset::ZERO {
                    log_starts.insert(key(), known.log_start);
                }
            }
        }
        let write =
            |kind, offsets| checkpoint::write_offsets(&self.disk, &self.path, kind, offsets);
        write(OffsetKind::HighWatermark, &high_watermarks)?;
        write(OffsetKind::RecoveryPoint, &recovery_points)?;
        write(OffsetKind::LogStart, &log_starts)
    }

    /// Closes all logs here and leaves the directory clean, if everything worked. A partition that is
    /// offline has to be read at the next start, and with it, as in Kafka, all that lie here.
    pub fn close(&self, partitions: &[Arc<Partition>], broker_epoch: i64) {
        let mut is_clean = true;
        let mut ends = BTreeMap::new();
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        for partition in here {
            let closed = close_log(partition).unwrap_or_else(|error| {
                error!(%partition, "not closed cleanly: {error}");
                None
            });
            is_clean &= closed.is_some();
            let closed = closed.unwrap_or_else(|| self.as_it_was(partition));
            ends.insert((partition.topic().clone(), partition.index()), closed);
        }
        if let Err(error) = self.write_final(&ends, is_clean.then_some(broker_epoch)) {
            error!(dir = %self.path.display(), "not left clean: {error}");
        }
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = lock.map(DirLock::release) {
            warn!("{error}");
        }
    }

    /// What the checkpoints said of a partition, which they go on saying.
    fn as_it_was(&self, partition: &Partition) -> Closed {
        let known = self.how_to_open(partition.topic(), partition.index());
        Closed {
            end: known.recovery_point,
            high_watermark: known.recovery_point,
            log_start: Some(known.log_start).filter(|start| *start > Offset::ZERO),
        }
    }

    /// Writes the checkpoints, and that the directory is left clean, if it is.
    fn write_final(
        &self,
        ends: &BTreeMap<(Str, PartitionId), Closed>,
        clean_in_epoch: Option<i64>,
    ) -> Result<(), IoError> {
        let all = |of: fn(&Closed) -> Option<Offset>| -> PartitionOffsets {
            ends.iter().filter_map(|(key, closed)| Some((key.clone(), of(closed)?))).collect()
        };
        let write =
            |kind, offsets| checkpoint::write_offsets(&self.disk, &self.path, kind, &offsets);
        write(OffsetKind::HighWatermark, all(|closed| Some(closed.high_watermark)))?;
        write(OffsetKind::RecoveryPoint, all(|closed| Some(closed.end)))?;
        write(OffsetKind::LogStart, all(|closed| closed.log_start))?;
        match clean_in_epoch {
            Some(epoch) => clean_stop::write(&self.disk, &self.path, epoch),
            None => Ok(()),
        }
    }
}

/// What a closed log leaves in the checkpoints.
struct Closed {
    end: Offset,
    high_watermark: Offset,
    /// Where it starts, if that is not the start of its first segment.
    log_start: Option<Offset>,
}

fn close_log(partition: &Partition) -> Result<Option<Closed>, dohle_log::LogError> {
    let mut state = partition.state();
    let leader = match std::mem::replace(&mut *state, State::NotLed) {
        State::Led(leader) => leader,
        other => {
            *state = other;
            return Ok(None);
        }
    };
    let mut leader = *leader;
    let standing = leader.standing();
    let log = leader.into_log();
    let first = log.first_base_offset();
    let log_start = Some(standing.log_start).filter(|start| *start > first);
    let end = log.close()?;
    Ok(Some(Closed { end, high_watermark: standing.high_watermark, log_start }))
}

/// A damaged checkpoint of these kinds counts as empty: the logs are then read from their start.
fn offsets(disk: &OsDisk, path: &Path, kind: OffsetKind) -> PartitionOffsets {
    checkpoint::read_offsets(disk, path, kind).unwrap_or_else(|error| {
        warn!("passed over, logs are read from their start: {error}");
        PartitionOffsets::new()
    })
}
