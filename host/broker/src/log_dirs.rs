//! The directories that hold partitions: their locks, how they were left, and how they are left.
//!
//! ```text
//! open    lock ─▶ .kafka_cleanshutdown, checkpoints, write-ahead log ─▶ logs are opened
//! while running   flushes, then replication-offset, recovery-point, log-start and cleaner checkpoints
//! close   logs are closed ─▶ checkpoints ─▶ .kafka_cleanshutdown ─▶ lock is released
//! ```
//!
//! Not here: what is in a log (core/log), how appends become durable (`durability`), and which
//! partitions there should be (`publisher`).

mod failure;
mod log_starts;
mod offline;
#[cfg(test)]
mod tests;
mod whose;
mod withheld;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use dohle_base::{Offset, PartitionId, Str, TopicId, Uuid};
use dohle_log::{
    IoError, OnDamage, OpenLog, Synced,
    checkpoint::{self, OffsetKind, PartitionOffsets},
    clean_stop,
    wal::{OpenWal, Unflushed, Wal, WalError},
};
use dohle_os::{
    DirLock, LockError, OsDisk, OsFile, Volume, VolumeSync, boot_id, random, share_volume,
    volume_id, volume_of,
};
use dohle_replication::CommitRule;
use tracing::{error, warn};

pub use failure::Alarm;
pub(crate) use failure::is_short_of_handles;

use crate::{
    durability::{self, WriteAhead, WriterThread},
    open_files::OpenFiles,
    partition::{Partition, State},
    upkeep::Upkeep,
};

/// How many bytes of frames the write-ahead log of a directory may hold: twice what is flushed at
/// once, so that the next lap goes on while that is done.
const WAL_CAPACITY: u64 = 256 << 20;

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Acknowledged records cannot be read.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The system has no thread to give.
    #[error("{}: no thread for the write-ahead log: {error}", path.display())]
    Thread {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl LogDirError {
    /// Whether it is the directory that is at fault: the others can be used.
    pub fn is_of_disk(&self) -> bool {
        match self {
            Self::Lock(LockError::Io(_)) | Self::Io(_) | Self::Wal(_) => true,
            Self::Lock(LockError::InUse { .. }) | Self::Thread { .. } => false,
        }
    }
}

/// A partition, as checkpoints name it.
pub(crate) type Key = (Str, PartitionId);

/// One log directory.
#[derive(Debug)]
pub struct LogDir {
    /// Its identity, from `meta.properties`.
    pub id: Uuid,
    /// Where it is.
    pub path: PathBuf,
    disk: OsDisk,
    /// The system's number of the volume that it is on.
    volume_id: u64,
    files: Arc<OpenFiles>,
    left: HowItWasLeft,
    way: Arc<WriteAhead>,
    writer: Mutex<Option<WriterThread>>,
    /// What the logs may lack, until all of them are open.
    unflushed: RwLock<Option<Unflushed<OsFile>>>,
    /// Logs that hold what is not known to be durable: nobody is shown it before it is.
    unsynced: Mutex<Vec<Arc<Partition>>>,
    /// Of logs that were not opened.
    notes: Mutex<offline::Notes>,
    /// Of which partitions that says nothing any more.
    forgotten: Mutex<BTreeSet<Key>>,
    /// Partitions that lie here besides those that are shown here.
    withheld: Mutex<BTreeSet<Key>>,
    /// What is written down of partitions.
    noted: Mutex<Noted>,
    /// Held while checkpoints are written, or must not be.
    checkpoints: Mutex<()>,
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
    /// Whether they could be read.
    knows_recovery_points: bool,
    log_starts: PartitionOffsets,
    cleaned_to: PartitionOffsets,
    /// Whether what was not synced may be gone in any order; `None` if nobody knows.
    lost_cache: Option<bool>,
    /// Its disk has failed since the machine started: what the system caches may not be on it.
    disk_failed: bool,
}

impl LogDir {
    /// Takes a formatted directory: locks it, reads how it was left, and makes it ready to be written.
    ///
    /// # Errors
    /// It is in use, or cannot be read.
    pub fn open(
        id: Uuid,
        path: PathBuf,
        disk: OsDisk,
        upkeep: Upkeep,
        alarm: Alarm,
        files: Arc<OpenFiles>,
    ) -> Result<Self, LogDirError> {
        let lock = DirLock::take(&path)?;
        let stop = clean_stop::read(&disk, &path)?;
        let (left_clean, boot, salt) = (stop.is_some(), boot_id()?, random()?);
        let how = OpenWal { capacity: WAL_CAPACITY, left_clean, boot, salt };
        let (wal, unflushed) = Wal::open(&disk, &path, how)?;
        let is_ours = left_clean || whose::are_marked(&disk, &path);
        let recovery_points = recovery_points(&disk, &path);
        let left = HowItWasLeft {
            is_clean: stop.is_some(),
            broker_epoch: stop.and_then(|stop| stop.broker_epoch).unwrap_or(-1),
            knows_recovery_points: recovery_points.is_some(),
            recovery_points: recovery_points.unwrap_or_default(),
            log_starts: offsets(&disk, &path, OffsetKind::LogStart),
            cleaned_to: offsets(&disk, &path, OffsetKind::CleanerPoint),
            lost_cache: unflushed.lost_cache().filter(|_| is_ours),
            disk_failed: unflushed.disk_failed(),
        };
        if left.disk_failed {
            warn!(dir = %path.display(), "its disk had failed: logs are read from it, whatever is cached");
        }
        // Before any log is opened: a crash from here on is not a clean stop.
        clean_stop::remove(&disk, &path)?;
        let volume = VolumeSync::open(&path)?;
        let volume_id = volume_id(&path)?;
        let way = WriteAhead::new(upkeep, alarm, volume, &wal, wal.handover(&disk)?);
        let preparer = wal.preparer(&disk)?;
        let writer = WriterThread::start(Arc::clone(&way), wal, preparer)
            .map_err(|error| LogDirError::Thread { path: path.clone(), error })?;
        let (lock, writer) = (Mutex::new(Some(lock)), Mutex::new(Some(writer)));
        let unflushed = RwLock::new((!unflushed.is_empty()).then_some(unflushed));
        let (forgotten, checkpoints) = (Mutex::default(), Mutex::default());
        let noted = Noted {
            recovery_points: left.recovery_points.clone(),
            log_starts: left.log_starts.clone(),
            cleaned_to: left.cleaned_to.clone(),
            are_marked: false,
        };
        let (unsynced, noted) = (Mutex::default(), Mutex::new(noted));
        Ok(Self {
            id,
            path,
            disk,
            volume_id,
            files,
            left,
            way,
            writer,
            unflushed,
            unsynced,
            notes: Mutex::default(),
            forgotten,
            withheld: Mutex::default(),
            noted,
            checkpoints,
            lock,
        })
    }

    /// The way of appends to the disk.
    pub(crate) fn write_ahead(&self) -> &WriteAhead {
        &self.way
    }

    /// The way to the thread that flushes it.
    pub fn upkeep(&self) -> &Upkeep {
        self.way.upkeep()
    }

    /// The files that logs have open, here and in the other directories.
    pub(crate) fn open_files(&self) -> &OpenFiles {
        &self.files
    }

    /// Lets `take` have each run of batches that a partition's log may lack; `None` if it lacks none.
    pub(crate) fn redo<R>(
        &self,
        topic: TopicId,
        index: PartitionId,
        take: impl FnOnce(&mut dyn Iterator<Item = Result<Vec<u8>, IoError>>) -> R,
    ) -> Option<R> {
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        let unflushed = unflushed.as_ref().filter(|unflushed| unflushed.has(topic, index))?;
        Some(take(&mut unflushed.of(topic, index)))
    }

    /// Up to where a partition's segments were synced, by what the write-ahead log tells.
    fn synced(&self, topic: TopicId, index: PartitionId) -> Option<Synced> {
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        unflushed.as_ref()?.synced(topic, index)
    }

    /// All logs are open and have taken in what they lacked.
    ///
    /// What a crash left without a sync is synced now, so that the node starts with all that it has.
    pub fn logs_are_open(&self, partitions: &[Arc<Partition>]) {
        let unsynced =
            std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = durability::sync_all(&self.way, &unsynced, || self.flush(partitions)) {
            self.way.fail(&error);
        } else if let Err(error) = self.way.trust_cache() {
            warn!("the next start reads all of the disk again: {error}");
            self.judge(&error);
        } else {
            self.take_over(partitions);
        }
        self.unflushed.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The name that clients know it by, as Kafka tells it.
    pub(crate) fn shown(path: &str) -> Str {
        let absolute = std::path::absolute(path);
        absolute.map_or_else(|_| path.into(), |path| path.to_string_lossy().into())
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

    /// Whether a partition's directory lies on the same volume, links followed: a sync of the volume would
    /// not reach it otherwise. One that is yet to be made does.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn is_on_volume(&self, partition: &Path) -> Result<bool, IoError> {
        match volume_id(partition) {
            Err(error) if error.is_not_found() => Ok(true),
            id => Ok(id? == self.volume_id || share_volume(partition, &self.path)?),
        }
    }

    /// A log that was just opened holds what is not known to be durable.
    pub(crate) fn sync_when_open(&self, partition: &Arc<Partition>) {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.push(Arc::clone(partition));
    }

    /// Up to where a partition's log had come, if less may be left of it.
    fn reached(&self, (topic, index): (TopicId, PartitionId), rule: CommitRule) -> Offset {
        if self.left.lost_cache == Some(true) && rule == CommitRule::Written {
            // Its end may be gone, and nothing tells how much: its start is believed, as Kafka does.
            return Offset(i64::MAX);
        }
        let unflushed = self.unflushed.read().unwrap_or_else(PoisonError::into_inner);
        unflushed.as_ref().map_or(Offset::ZERO, |unflushed| unflushed.reached(topic, index))
    }

    /// What is known of a partition's log before it is opened.
    pub fn how_to_open(
        &self,
        topic: &Str,
        topic_id: TopicId,
        index: PartitionId,
        rule: CommitRule,
    ) -> OpenLog {
        let known = self.known(topic, index);
        let on_damage = match (self.left.lost_cache, rule) {
            // Nobody knows what of it was flushed, and is in no frame any more.
            _ if !self.left.knows_recovery_points => OnDamage::Refuse,
            // Kafka left it, or may have: what its recovery points do not cover may have been acknowledged.
            (None, _) => OnDamage::Refuse,
            // What was acknowledged behind the recovery point is in the write-ahead log.
            (Some(_), CommitRule::Synced) => OnDamage::Cut,
            (Some(lost_cache), CommitRule::Written) => match lost_cache {
                true => OnDamage::Cut,
                false => OnDamage::Refuse,
            },
        };
        OpenLog {
            clean: self.left.is_clean,
            recovery_point: known.recovery_point,
            synced: self.synced(topic_id, index),
            log_start: known.log_start,
            reached: self.reached((topic_id, index), rule),
            cleaned_to: known.cleaned_to,
            on_damage,
            leader_epoch: None,
            topic_id: Some(topic_id),
            distrust_cache: self.left.disk_failed,
        }
    }

    /// Whether this program is known to have been the last one to write to its logs.
    pub(crate) fn was_ours(&self) -> bool {
        self.left.lost_cache.is_some()
    }

    /// Whether what the system caches of it was not to be believed when it was opened.
    pub(crate) fn distrusts_cache(&self) -> bool {
        self.left.disk_failed
    }

    /// What the checkpoints said of a partition when the directory was opened.
    fn known(&self, topic: &Str, index: PartitionId) -> Known {
        let key = (topic.clone(), index);
        let is_forgotten = self.is_forgotten(&key);
        let of = |offsets: &PartitionOffsets| {
            let told = offsets.get(&key).filter(|_| !is_forgotten);
            told.copied().unwrap_or(Offset::ZERO)
        };
        Known {
            recovery_point: of(&self.left.recovery_points),
            log_start: of(&self.left.log_starts),
            cleaned_to: of(&self.left.cleaned_to),
        }
    }

    /// Up to where a start after a crash would take a partition's log for durable.
    pub(crate) fn noted_recovery_point(&self, partition: &Partition) -> Offset {
        self.noted_of(&key_of(partition)).recovery_point
    }

    /// What the checkpoints say of a partition now.
    fn noted_of(&self, key: &Key) -> Known {
        let of = |offsets: &PartitionOffsets| offsets.get(key).copied().unwrap_or(Offset::ZERO);
        let noted = self.noted();
        Known {
            recovery_point: of(&noted.recovery_points),
            log_start: of(&noted.log_starts),
            cleaned_to: of(&noted.cleaned_to),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes what was appended and writes down how far. A disk that fails takes its partitions out
    /// of service.
    pub fn flush(&self, partitions: &[Arc<Partition>]) {
        durability::flush(&self.way, || self.write_checkpoints(partitions));
        self.write_notes();
    }

    /// Writes the checkpoints of the partitions that lie here.
    ///
    /// # Errors
    /// A file could not be replaced; it says what it said before. It is tried again in a while.
    pub(crate) fn write_checkpoints(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        self.replace_checkpoints(partitions).inspect_err(|_| self.upkeep().changed())
    }

    fn replace_checkpoints(&self, partitions: &[Arc<Partition>]) -> Result<(), IoError> {
        let _quiet = self.hold_checkpoints();
        let mut high_watermarks = PartitionOffsets::new();
        let mut recovery_points = PartitionOffsets::new();
        let mut log_starts = PartitionOffsets::new();
        let mut cleaned_to = PartitionOffsets::new();
        // What was known of a partition that is not served stays known.
        let mut unserved = self.withheld();
        for partition in partitions.iter().filter(|partition| partition.directory() == self.id) {
            let key = || key_of(partition);
            let noted = partition.with_leader(|leader| {
                let standing = leader.standing();
                high_watermarks.insert(key(), standing.high_watermark);
                recovery_points.insert(key(), leader.log().recovery_point());
                if standing.log_start > leader.log().first_base_offset() {
                    log_starts.insert(key(), standing.log_start);
                }
                if leader.log().cleaned_to() > Offset::ZERO {
                    cleaned_to.insert(key(), leader.log().cleaned_to());
                }
            });
            if noted.is_err() {
                unserved.push(key());
            }
        }
        for key in unserved {
            let known = self.noted_of(&key);
            recovery_points.insert(key.clone(), known.recovery_point);
            if known.log_start > Offset::ZERO {
                log_starts.insert(key.clone(), known.log_start);
            }
            if known.cleaned_to > Offset::ZERO {
                cleaned_to.insert(key, known.cleaned_to);
            }
        }
        let write = |kind, offsets: &PartitionOffsets| {
            checkpoint::write_offsets(&self.disk, &self.path, kind, offsets)
        };
        self.write_marked(&high_watermarks)?;
        write(OffsetKind::RecoveryPoint, &recovery_points)?;
        self.noted().recovery_points = recovery_points;
        write(OffsetKind::LogStart, &log_starts)?;
        self.noted().log_starts = log_starts;
        write(OffsetKind::CleanerPoint, &cleaned_to)?;
        self.noted().cleaned_to = cleaned_to;
        Ok(())
    }

    /// Notes the recovery point of a partition that is about to lie here, for who holds the checkpoints.
    ///
    /// # Errors
    /// The file could not be replaced; it says what it said before.
    pub(crate) fn note_recovery_point(
        &self,
        of: (Str, PartitionId),
        point: Offset,
    ) -> Result<(), IoError> {
        let mut points = self.noted().recovery_points.clone();
        points.insert(of, point);
        let kind = OffsetKind::RecoveryPoint;
        checkpoint::write_offsets(&self.disk, &self.path, kind, &points)?;
        self.noted().recovery_points = points;
        Ok(())
    }

    /// Closes all logs here, on so many threads, and leaves the directory clean, if everything worked. A
    /// partition that is offline has to be read at the next start, and with it, as in Kafka, all that lie
    /// here. Whatever failed, nothing that lies here is served any more when another process may have it.
    pub fn close(&self, partitions: &[Arc<Partition>], broker_epoch: i64, threads: usize) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_durable = writer.is_some_and(WriterThread::stop);
        let mut is_clean = is_durable && !self.way.keeps_frames();
        let here = partitions.iter().filter(|partition| partition.directory() == self.id);
        let here: Vec<_> = here.collect();
        if self.way.has_failed() {
            // What is lost would be found durable.
            error!(dir = %self.path.display(), "not left clean: its disk has failed");
            return self.release(&here);
        }
        if let Err(error) = durability::close_all(&self.way, &here, threads) {
            // Nothing is synced again that was not: the checkpoints go on saying what the last flush did.
            error!(dir = %self.path.display(), "not left clean: {error}");
            return self.release(&here);
        }
        let mut ends = BTreeMap::new();
        for &partition in &here {
            let closed = close_log(partition).unwrap_or_else(|error| {
                error!(%partition, "not closed cleanly: {error}");
                None
            });
            is_clean &= closed.is_some();
            let closed = closed.unwrap_or_else(|| self.as_it_was(&key_of(partition)));
            ends.insert(key_of(partition), closed);
        }
        for key in self.withheld() {
            is_clean = false;
            ends.insert(key.clone(), self.as_it_was(&key));
        }
        if !is_clean {
            warn!(
                dir = %self.path.display(),
                "not left clean, for a partition in it is offline: before another process has it, have this one serve or delete that"
            );
        }
        let is_clean = is_clean.then_some(broker_epoch);
        if let Err(error) = self.write_final(&ends, is_clean) {
            error!(dir = %self.path.display(), "not left clean: {error}");
        }
        self.release(&here);
    }

    /// Lets another process have the directory, once nobody is served from it.
    fn release(&self, partitions: &[&Arc<Partition>]) {
        let led = partitions.iter().filter(|partition| partition.is_led());
        led.for_each(|partition| partition.take_offline());
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = lock.map(DirLock::release) {
            warn!("{error}");
        }
    }

    /// What the checkpoints said of a partition, which they go on saying.
    fn as_it_was(&self, key: &Key) -> Closed {
        let known = self.noted_of(key);
        Closed {
            end: known.recovery_point,
            high_watermark: known.recovery_point,
            log_start: Some(known.log_start).filter(|start| *start > Offset::ZERO),
            cleaned_to: Some(known.cleaned_to).filter(|end| *end > Offset::ZERO),
        }
    }

    /// Writes the checkpoints, and that the directory is left clean, if it is.
    fn write_final(
        &self,
        ends: &BTreeMap<Key, Closed>,
        clean_in_epoch: Option<i64>,
    ) -> Result<(), IoError> {
        let all = |of: fn(&Closed) -> Option<Offset>| -> PartitionOffsets {
            ends.iter().filter_map(|(key, closed)| Some((key.clone(), of(closed)?))).collect()
        };
        let write =
            |kind, offsets| checkpoint::write_offsets(&self.disk, &self.path, kind, &offsets);
        let high_watermarks = all(|closed| Some(closed.high_watermark));
        write(OffsetKind::RecoveryPoint, all(|closed| Some(closed.end)))?;
        write(OffsetKind::LogStart, all(|closed| closed.log_start))?;
        write(OffsetKind::CleanerPoint, all(|closed| closed.cleaned_to))?;
        let Some(epoch) = clean_in_epoch else { return self.write_marked(&high_watermarks) };
        self.way.leave()?;
        // From now on they are whoever's.
        write(OffsetKind::HighWatermark, high_watermarks)?;
        clean_stop::write(&self.disk, &self.path, epoch)
    }
}

/// The checkpoints, as they were read or written last.
#[derive(Debug)]
struct Noted {
    recovery_points: PartitionOffsets,
    log_starts: PartitionOffsets,
    cleaned_to: PartitionOffsets,
    /// Whether this process has marked the high watermarks as its own.
    are_marked: bool,
}

impl Noted {
    fn forget(&mut self, key: &Key) {
        for offsets in [&mut self.recovery_points, &mut self.log_starts, &mut self.cleaned_to] {
            offsets.remove(key);
        }
    }
}

/// What the checkpoints say of a partition.
struct Known {
    recovery_point: Offset,
    log_start: Offset,
    cleaned_to: Offset,
}

/// What a closed log leaves in the checkpoints.
struct Closed {
    end: Offset,
    high_watermark: Offset,
    /// Where it starts, if that is not the start of its first segment.
    log_start: Option<Offset>,
    /// Up to where it was cleaned, if it was.
    cleaned_to: Option<Offset>,
}

fn key_of(partition: &Partition) -> Key {
    (partition.topic().clone(), partition.index())
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
    let cleaned_to = Some(log.cleaned_to()).filter(|end| *end > Offset::ZERO);
    let end = log.close()?;
    let high_watermark = standing.high_watermark;
    Ok(Some(Closed { end, high_watermark, log_start, cleaned_to }))
}

/// What the checkpoint says; `None` if it is damaged: then logs are read from their start, and nothing is cut
/// off at damage, for it may lie in what had been flushed.
fn recovery_points(disk: &OsDisk, path: &Path) -> Option<PartitionOffsets> {
    let kind = OffsetKind::RecoveryPoint;
    let damage = match checkpoint::read_offsets(disk, path, kind) {
        Ok(points) if !points.is_empty() => return Some(points),
        Ok(points) => match checkpoint::is_blank(disk, path, kind) {
            Ok(false) => return Some(points),
            Ok(true) => format!("{} is empty", path.join(kind.file_name()).display()),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    warn!("passed over, logs are read from their start and not cut off at damage: {damage}");
    None
}

/// A damaged checkpoint of these kinds counts as empty: the logs are then read from their start.
fn offsets(disk: &OsDisk, path: &Path, kind: OffsetKind) -> PartitionOffsets {
    checkpoint::read_offsets(disk, path, kind).unwrap_or_else(|error| {
        warn!("passed over, logs are read from their start: {error}");
        PartitionOffsets::new()
    })
}
