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

mod checkpoints;
mod closing;
mod failure;
mod in_the_way;
mod log_starts;
mod offline;
mod start;
mod whose;
mod withheld;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
};

use dohle_base::{PartitionId, Str, Timestamp, Uuid};
use dohle_log::{
    IoError,
    checkpoint::PartitionOffsets,
    clean_stop,
    wal::{OpenWal, Unflushed, Wal, WalError},
};
use dohle_os::{LockError, Volume, random};
use tracing::warn;

pub use failure::Alarm;
pub(crate) use failure::is_short_of_handles;

use self::checkpoints::{Noted, cleaned_to, log_starts, recovery_points};
use crate::{
    disk::{NodeDisk, NodeFile, NodeLock, System},
    durability::{WriteAhead, WriterThread},
    open_files::OpenFiles,
    partition::Partition,
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
    disk: NodeDisk,
    /// The system's number of the volume that it is on.
    volume_id: u64,
    files: Arc<OpenFiles>,
    left: HowItWasLeft,
    way: Arc<WriteAhead>,
    writer: Mutex<Option<WriterThread>>,
    /// What the logs may lack, until all of them are open.
    unflushed: RwLock<Option<Unflushed<NodeFile>>>,
    /// Logs that hold what is not known to be durable: nobody is shown it before it is.
    unsynced: Mutex<Vec<Arc<Partition>>>,
    /// Of logs that were not opened.
    notes: Mutex<offline::Notes>,
    /// Of which partitions that says nothing any more.
    forgotten: Mutex<BTreeSet<Key>>,
    /// Partitions that lie here besides those that are shown here.
    withheld: Mutex<BTreeSet<Key>>,
    /// Partitions that are gone, whose directories here have their names still, and when those may be removed.
    in_the_way: Mutex<BTreeMap<Key, Timestamp>>,
    /// What is written down of partitions.
    noted: Mutex<Noted>,
    /// Held while checkpoints are written, or must not be.
    checkpoints: Mutex<()>,
    /// Held until the directory is closed.
    lock: Mutex<Option<NodeLock>>,
}

/// What a log directory works with.
#[derive(Debug)]
pub struct LogDirContext {
    /// The disk that it is on.
    pub disk: NodeDisk,
    /// The way to the thread that flushes it.
    pub upkeep: Upkeep,
    /// Rings when it fails.
    pub alarm: Alarm,
    /// The files that logs have open, here and in the other directories.
    pub files: Arc<OpenFiles>,
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
    /// What somebody else has left of them; empty if nobody has.
    high_watermarks: PartitionOffsets,
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
    pub fn open(id: Uuid, path: PathBuf, context: LogDirContext) -> Result<Self, LogDirError> {
        Self::open_with(WAL_CAPACITY, id, path, context)
    }

    /// The same, with so many bytes of frames at most.
    ///
    /// # Errors
    /// It is in use, or cannot be read.
    pub(crate) fn open_with(
        capacity: u64,
        id: Uuid,
        path: PathBuf,
        context: LogDirContext,
    ) -> Result<Self, LogDirError> {
        let LogDirContext { disk, upkeep, alarm, files } = context;
        let lock = disk.lock(&path)?;
        let stop = clean_stop::read(&disk, &path)?;
        let (left_clean, boot, salt) = (stop.is_some(), disk.boot_id()?, random()?);
        let how = OpenWal { capacity, left_clean, boot, salt };
        let (wal, unflushed) = Wal::open(&disk, &path, how)?;
        let (high_watermarks, are_marked) = whose::high_watermarks(&disk, &path);
        let is_ours = left_clean || are_marked;
        let handover = wal.handover(&disk)?;
        if !is_ours {
            // Only that tells a later start, once this one has marked them.
            handover.leave(0)?;
        }
        let recovery_points = recovery_points(&disk, &path);
        let lost_cache = unflushed.lost_cache().filter(|_| is_ours);
        let left = HowItWasLeft {
            is_clean: stop.is_some(),
            broker_epoch: stop.and_then(|stop| stop.broker_epoch).unwrap_or(-1),
            knows_recovery_points: recovery_points.is_some(),
            recovery_points: recovery_points.unwrap_or_default(),
            log_starts: log_starts(&disk, &path),
            cleaned_to: cleaned_to(&disk, &path),
            high_watermarks: match lost_cache {
                Some(_) => PartitionOffsets::new(),
                None => high_watermarks,
            },
            lost_cache,
            disk_failed: unflushed.disk_failed(),
        };
        if left.disk_failed {
            warn!(dir = %path.display(), "its disk had failed: logs are read from it, whatever is cached");
        }
        // Before any log is opened: a crash from here on is not a clean stop.
        clean_stop::remove(&disk, &path)?;
        let volume = disk.volume(&path)?;
        let volume_id = disk.volume_id(&path)?;
        let way = WriteAhead::new(upkeep, alarm, volume, &wal, handover);
        let preparer = wal.preparer(&disk)?;
        let writer = WriterThread::start(Arc::clone(&way), wal, preparer, disk.has_threads())
            .map_err(|error| LogDirError::Thread { path: path.clone(), error })?;
        let (lock, writer) = (Mutex::new(Some(lock)), Mutex::new(Some(writer)));
        let unflushed = RwLock::new((!unflushed.is_empty()).then_some(unflushed));
        let (forgotten, checkpoints) = (Mutex::default(), Mutex::default());
        let noted = Noted {
            recovery_points: left.recovery_points.clone(),
            log_starts: left.log_starts.clone(),
            cleaned_to: left.cleaned_to.clone(),
            unwritten: BTreeSet::new(),
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
            in_the_way: Mutex::default(),
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

    /// The name that clients know it by, as Kafka tells it.
    pub(crate) fn shown(path: &str) -> Str {
        let absolute = std::path::absolute(path);
        absolute.map_or_else(|_| path.into(), |path| path.to_string_lossy().into())
    }

    /// The disk that it is on.
    pub fn disk(&self) -> &NodeDisk {
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
        self.way.room()
    }

    /// Whether a partition's directory lies on the same volume, links followed: a sync of the volume would
    /// not reach it otherwise. One that is yet to be made does.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn is_on_volume(&self, partition: &Path) -> Result<bool, IoError> {
        match self.disk.volume_id(partition) {
            Err(error) if error.is_not_found() => Ok(true),
            id => Ok(id? == self.volume_id || self.disk.share_volume(partition, &self.path)?),
        }
    }
}
