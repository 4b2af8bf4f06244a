//! Opening the logs of partitions, several at a time, and why one is not opened.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use dohle_base::{BrokerId, Offset, PartitionId, Timestamp, Uuid};
use dohle_log::{AppendError, IoError, Log, LogConfig, LogError, OnDamage, PartitionDir, offline};
use dohle_metadata::Topic;
use dohle_replication::{CommitRule, Leader};
use tracing::{debug, error, warn};

use crate::{
    cleaner::Cleaner,
    disk::NodeDisk,
    log_dirs::LogDir,
    partition::{Partition, State},
};

/// Opens partitions on so many threads for each log directory: one that is slow holds up none of the others.
pub(super) fn open_by_directory(
    tasks: Vec<Opening>,
    threads: usize,
    node_id: BrokerId,
    now: Timestamp,
) -> Vec<Arc<Partition>> {
    for_each_group(tasks, |task| task.dir.id, threads, |task| task.run(node_id, now))
}

/// Opens partitions on so many threads.
pub(super) fn open_all(
    tasks: Vec<Opening>,
    threads: usize,
    node_id: BrokerId,
    now: Timestamp,
) -> Vec<Arc<Partition>> {
    for_each(tasks, threads, &|task: Opening| task.run(node_id, now))
}

/// What `act` makes of each, on so many threads for each group, in any order.
fn for_each_group<T: Send, R: Send>(
    items: Vec<T>,
    group_of: impl Fn(&T) -> Uuid,
    threads: usize,
    act: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let mut groups: BTreeMap<Uuid, Vec<T>> = BTreeMap::new();
    for item in items {
        groups.entry(group_of(&item)).or_default().push(item);
    }
    let act = &act;
    thread::scope(|scope| {
        let group = |items| scope.spawn(move || for_each(items, threads, act));
        let groups: Vec<_> = groups.into_values().map(group).collect();
        groups.into_iter().flat_map(joined).collect()
    })
}

/// What `act` makes of each, on so many threads, in any order.
fn for_each<T: Send, R: Send>(
    items: Vec<T>,
    threads: usize,
    act: &(impl Fn(T) -> R + Sync),
) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(act).collect();
    }
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || std::iter::from_fn(next).map(act).collect::<Vec<_>>();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(joined).collect()
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("opening a log does not panic")
}

/// A partition to be opened.
pub(super) struct Opening {
    pub(super) topic: Arc<Topic>,
    pub(super) index: PartitionId,
    pub(super) partition: Arc<dohle_metadata::Partition>,
    /// The one that is here already, if nobody led it when it was opened.
    pub(super) unled: Option<Arc<Partition>>,
    pub(super) dir: Arc<LogDir>,
    pub(super) config: Arc<LogConfig>,
    pub(super) rule: CommitRule,
    pub(super) refuses_acks_all: bool,
    pub(super) cleaner: Cleaner,
    /// Why it is not to be opened, if so.
    pub(super) withheld: Option<Withheld>,
}

/// A log that was opened.
pub(super) struct Opened {
    pub(super) log: Log<NodeDisk>,
    /// Up to where it is known to be durable.
    synced: Offset,
    /// Whether it is noted in its directory that it is not open.
    was_offline: bool,
}

/// Why a log is not opened though it is there: another directory may have more of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Withheld {
    /// One of the log directories is missing.
    DirIsMissing,
    /// It lies in several, and one of them could not be read.
    RivalIsUnread,
}

impl Opening {
    fn run(self, node_id: BrokerId, now: Timestamp) -> Arc<Partition> {
        let opened = self.open(now).and_then(|Opened { log, synced, was_offline }| {
            if self.partition.leader != node_id {
                return Ok((State::NotLed, None, false));
            }
            let end = log.log_end_offset();
            let unsynced = (synced < end).then_some(end);
            let leader = Leader::new(log, self.partition.leader_epoch, self.rule, synced)?;
            Ok((State::Led(Box::new(leader)), unsynced, was_offline))
        });
        let (state, unsynced, was_offline) = opened.unwrap_or_else(|error| {
            error!(topic = %self.topic.name, index = %self.index, "partition offline: {error}");
            error.judge(&self.dir);
            self.note_offline(&error);
            self.keep_frames(&self.dir);
            (State::Offline, None, false)
        });
        let path = self.path();
        let Self { topic, index, dir, rule, refuses_acks_all, cleaner, unled, .. } = self;
        let is_redone = dir.redo(topic.id, index, |_| ()).is_some();
        // Of one that nobody led frames are kept until it is flushed.
        let may_be_kept = unled.is_some();
        let new = || Partition::new(&topic, index, dir, State::NotLed, cleaner);
        let partition = unled.unwrap_or_else(new);
        partition.set_refuses_acks_all(refuses_acks_all);
        // Before it can be appended to: a frame would be behind a hole.
        unsynced.into_iter().for_each(|end| partition.leave_unframed(end));
        partition.opened(state);
        // There may be more with open files than there are handles.
        let _ = partition.with_leader(|_| ());
        if unsynced.is_some() || is_redone || may_be_kept {
            partition.unflushed();
        }
        if was_offline {
            partition.log_dir().drop_note_once_durable(&partition, path);
        }
        // What counts when it is written is shown already: nobody has to wait for its sync.
        if unsynced.is_some() && rule == CommitRule::Synced {
            partition.log_dir().sync_when_open(&partition);
        }
        partition
    }

    /// Opens the log.
    pub(super) fn open(&self, now: Timestamp) -> Result<Opened, OpenError> {
        let Self { topic, index, dir, config, rule, .. } = self;
        let path = self.path();
        match self.withheld {
            Some(Withheld::DirIsMissing) => return Err(OpenError::Withheld { path }),
            Some(Withheld::RivalIsUnread) => return Err(OpenError::Rival { path }),
            None => {}
        }
        if !dir.is_on_volume(&path)? {
            return Err(OpenError::OtherVolume { path, dir: dir.path.clone() });
        }
        let mut how = dir.how_to_open(&topic.name, topic.id, *index, *rule);
        how.leader_epoch = Some(self.partition.leader_epoch);
        let was_offline = offline::is_noted(dir.disk(), &path)?;
        if was_offline {
            how.on_damage = OnDamage::Refuse;
        }
        let mut log = Log::open(dir.disk().to_owned(), path.clone(), Arc::clone(config), how, now)?;
        if let Some(wrong) = &log.recovery().wrong_epochs {
            warn!(topic = %topic.name, %index, "passed over, epochs are read from the batches: {wrong}");
        }
        if let Some(wrong) = &log.recovery().wrong_start {
            warn!(topic = %topic.name, %index, "not believed, it would have deleted records: {wrong}");
        }
        if let Some(cut) = &log.recovery().cut {
            warn!(
                topic = %topic.name, %index, file = %cut.path.display(), position = cut.position,
                size = cut.size, "torn end cut off: {}", cut.reason
            );
        }
        for mended in &log.recovery().mended {
            warn!(topic = %topic.name, %index, "{mended}");
        }
        if log.recovery().segments_scanned > 0 {
            let (segments, bytes) = (log.recovery().segments_scanned, log.recovery().bytes_scanned);
            debug!(topic = %topic.name, %index, segments, bytes, "read and indexed anew");
        }
        if let Some(Some(from)) =
            dir.redo(topic.id, *index, |runs| log.cut_at_loss(runs, now)).transpose()?
        {
            warn!(
                topic = %topic.name, %index, %from,
                "a segment's end was lost and a later one was not: taken from the write-ahead log from there on"
            );
        }
        let mut synced = log.recovery_point();
        let redone = dir.redo(topic.id, *index, |runs| -> Result<(), OpenError> {
            for run in runs {
                synced = synced.max(log.redo(&run?, now)?);
            }
            Ok(())
        });
        // What is behind that was written and perhaps not synced, and nobody was told of it.
        redone.unwrap_or(Ok(()))?;
        Ok(Opened { log, synced, was_offline })
    }

    /// No later start may take damage for a torn end: not what was refused, nor what is in a log that another
    /// process wrote and that was not opened for whatever reason.
    pub(super) fn note_offline(&self, error: &OpenError) {
        let (path, why) = (self.path(), error.to_string());
        match error {
            // That of the one that is unread was noted.
            OpenError::Rival { .. } => {}
            // That volume's troubles are not the directory's.
            OpenError::OtherVolume { .. } if !self.dir.may_be_torn() => {
                if let Err(error) = offline::note(self.dir.disk(), &path, &why) {
                    warn!(dir = %path.display(), "it is not noted that it is offline: {error}");
                }
            }
            OpenError::Log(LogError::Corrupt(_)) => self.dir.note_offline(&path, &why),
            _ if !self.dir.may_be_torn() => self.dir.note_offline(&path, &why),
            _ => {}
        }
    }

    /// It is not opened, nor in the other directories that it lies in: what they have of it stays as it is.
    pub(super) fn withhold_in(&self, dirs: &[Arc<LogDir>]) {
        for dir in dirs.iter().filter(|dir| dir.id != self.dir.id) {
            dir.withhold(&self.topic.name, self.index);
            if !dir.may_be_torn() {
                let path = self.path_in(dir);
                let why = OpenError::Rival { path: path.clone() }.to_string();
                dir.note_offline(&path, &why);
            }
            self.keep_frames(dir);
        }
    }

    fn path(&self) -> PathBuf {
        self.path_in(&self.dir)
    }

    fn path_in(&self, dir: &LogDir) -> PathBuf {
        let name = PartitionDir::current(&self.topic.name, self.index).name(Uuid::ZERO);
        dir.path.join(name)
    }

    /// What the write-ahead log has for this partition must stay. That it has something does not say that nobody
    /// else wrote since: versions before left frames behind at a clean stop.
    fn keep_frames(&self, dir: &LogDir) {
        if dir.redo(self.topic.id, self.index, |_| ()).is_some() {
            warn!(topic = %self.topic.name, index = %self.index, "kept in the write-ahead log");
            let name = format_args!("{}-{}", self.topic.name, self.index);
            dir.write_ahead().keep_frames((self.topic.id, self.index), &name);
        }
    }
}

/// Why a partition's log is not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("not taken in from the write-ahead log: {0}")]
    Redo(#[from] AppendError),
    #[error(transparent)]
    Io(#[from] IoError),
    /// Its records would be taken for durable when the volume of its log directory is synced.
    #[error(
        "{} lies on another volume than its log directory {}: add a directory of that volume to log.dirs, and move the partition there",
        path.display(), dir.display()
    )]
    OtherVolume { path: PathBuf, dir: PathBuf },
    #[error(
        "{} is not where the metadata says that it lies, and a log directory is missing that may have more of it: it is served when all of log.dirs are there",
        path.display()
    )]
    Withheld { path: PathBuf },
    #[error(
        "{} is one of several directories that have it, and one of them cannot be read: it is served when all can",
        path.display()
    )]
    Rival { path: PathBuf },
}

impl OpenError {
    pub(super) fn judge(&self, dir: &LogDir) {
        match self {
            Self::Log(error) | Self::Redo(AppendError::Log(error)) => dir.judge_log(error),
            Self::Io(error) => dir.judge(error),
            Self::Redo(_)
            | Self::OtherVolume { .. }
            | Self::Withheld { .. }
            | Self::Rival { .. } => {}
        }
    }
}
