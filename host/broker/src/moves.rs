//! Moving partitions between log directories while they are served (AlterReplicaLogDirs).
//!
//! ```text
//! requested ──▶ waiting ──▶ copying ──▶ caught up ──▶ assigned ──▶ swapped
//!               -future                 durable       committed    rename: -future is the partition,
//!               directory                             by the       what was the partition is -delete
//!                                                     controller
//! ```
//!
//! So many are copied at a time as `num.replica.alter.log.dirs.threads` says, for a copy holds files that
//! nobody else may close; the others wait in the order in which they were asked for.
//!
//! Until the swap the partition is served from where it was, and that is what counts after a crash:
//! the copy goes on from where it got to. The swap happens under the partition's lock, with all of the
//! copy on the disk. A crash between its two renames leaves the partition in two directories with the
//! same content; the start tells which one goes.
//!
//! One thread that sleeps while nothing moves.

mod copy;
mod swap;
mod worker;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use dohle_base::{Offset, PartitionId, Str, TopicId, Uuid};
use dohle_log::{DirRole, PartitionDir};
use tracing::info;

use crate::{Broker, log_dirs::LogDir, partition::Partition};
use worker::Worker;

type Key = (TopicId, PartitionId);

/// A partition on its way.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) partition: Arc<Partition>,
    pub(crate) target: Arc<LogDir>,
    /// The directory of the copy.
    pub(crate) path: PathBuf,
    /// Whose turn comes first.
    number: u64,
    progress: Mutex<Progress>,
    is_cancelled: AtomicBool,
    /// Whether the metadata says that it lies there.
    is_assigned: AtomicBool,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The end of the copy.
    pub(crate) end: Offset,
    /// Its bytes.
    pub(crate) size: u64,
}

#[derive(Debug, Default)]
struct State {
    moves: BTreeMap<Key, Arc<Move>>,
    /// Those that the thread does not know yet.
    new: Vec<Arc<Move>>,
    /// How many there have been.
    count: u64,
    /// Where clients want partitions that are not there yet.
    preferred: BTreeMap<(Str, PartitionId), Uuid>,
    has_news: bool,
    stop: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// Reaches the thread. Never waits for a disk.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    shared: Arc<Shared>,
}

impl Move {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    fn note(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    fn key(&self) -> Key {
        (self.partition.topic_id(), self.partition.index())
    }
}

impl Moves {
    /// Moves a partition to a directory, instead of where it was to be moved before. Does nothing if
    /// it is there or on its way. `unique` tells the directory of the copy apart.
    pub(crate) fn request(&self, partition: &Arc<Partition>, target: &Arc<LogDir>, unique: Uuid) {
        let current = PartitionDir::current(partition.topic(), partition.index());
        let name = PartitionDir { role: DirRole::Future, ..current }.name(unique);
        self.begin(partition, target, target.path.join(name));
    }

    /// Goes on with a move that a crash or a stop has cut short.
    pub(crate) fn resume(&self, partition: &Arc<Partition>, target: &Arc<LogDir>, path: PathBuf) {
        info!(%partition, to = %target.path.display(), "its move goes on");
        self.begin(partition, target, path);
    }

    fn begin(&self, partition: &Arc<Partition>, target: &Arc<LogDir>, path: PathBuf) {
        let key = (partition.topic_id(), partition.index());
        self.tell(|state| {
            match state.moves.get(&key) {
                Some(known) if known.target.id == target.id => return,
                _ => state.cancel(&key),
            }
            if partition.directory() == target.id {
                return;
            }
            state.count += 1;
            let new = Arc::new(Move {
                partition: Arc::clone(partition),
                target: Arc::clone(target),
                path,
                number: state.count,
                progress: Mutex::default(),
                is_cancelled: AtomicBool::new(false),
                is_assigned: AtomicBool::new(false),
            });
            state.moves.insert(key, Arc::clone(&new));
            state.new.push(new);
        });
    }

    /// The partition stays where it is, or is gone.
    pub(crate) fn cancel(&self, topic: TopicId, index: PartitionId) {
        self.tell(|state| state.cancel(&(topic, index)));
    }

    /// A new partition is to be made in this directory.
    pub(crate) fn prefer(&self, topic: Str, index: PartitionId, directory: Uuid) {
        self.tell(|state| state.preferred.insert((topic, index), directory));
    }

    pub(crate) fn preferred(&self, topic: &Str, index: PartitionId) -> Option<Uuid> {
        self.shared.state().preferred.remove(&(topic.clone(), index))
    }

    /// Where a partition is on its way to, and how far it is.
    pub(crate) fn of(&self, topic: TopicId, index: PartitionId) -> Option<(Uuid, Progress)> {
        let state = self.shared.state();
        let known = state.moves.get(&(topic, index))?;
        let progress = *known.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Some((known.target.id, progress))
    }

    /// Whether a partition is on its way: nothing of its log may be rewritten then but at its end.
    pub fn is_moving(&self, topic: TopicId, index: PartitionId) -> bool {
        self.shared.state().moves.contains_key(&(topic, index))
    }

    /// The directories that partitions are on their way to, one for each.
    pub(crate) fn targets(&self) -> Vec<Uuid> {
        self.shared.state().moves.values().map(|known| known.target.id).collect()
    }

    /// Ends the thread. Moves go on after the next start.
    pub fn stop(&self) {
        self.tell(|state| state.stop = true);
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(&self, broker: Arc<Broker>) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        let worker = Worker::new(broker, shared);
        std::thread::Builder::new().name("moves".to_owned()).spawn(move || worker.run())
    }

    fn tell<R>(&self, what: impl FnOnce(&mut State) -> R) {
        let mut state = self.shared.state();
        what(&mut state);
        state.has_news = true;
        drop(state);
        self.shared.wake.notify_one();
    }
}

impl State {
    fn cancel(&mut self, key: &Key) {
        if let Some(known) = self.moves.remove(key) {
            known.is_cancelled.store(true, Ordering::Release);
        }
    }
}

impl Shared {
    /// A move has ended.
    fn forget(&self, moving: &Arc<Move>) {
        let mut state = self.state();
        if state.moves.get(&moving.key()).is_some_and(|known| Arc::ptr_eq(known, moving)) {
            state.moves.remove(&moving.key());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news until `end`, or for as long as it takes; the new moves, or `None` at the end.
    fn wait(&self, end: Option<Instant>) -> Option<Vec<Arc<Move>>> {
        let mut state = self.state();
        loop {
            if state.stop {
                return None;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if std::mem::take(&mut state.has_news) || left.is_some_and(|left| left.is_zero()) {
                return Some(std::mem::take(&mut state.new));
            }
            state = match left {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
