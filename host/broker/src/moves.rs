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
//! nobody else may close; the others wait in the order in which they were asked for. One whose directory
//! the controller refuses lets all others go first, and then asks again; and while it refuses, few ask.
//!
//! While it is copied no segment of the partition is cleaned: what one part of a copy lacks another
//! part could have. Before and after, it is cleaned as any other: a copy that was given up may have what
//! was cleaned since, so the next one of what is cleaned begins anew.
//!
//! There is one copy of a partition at most. A move that ends for what its partition lacks keeps the copy:
//! who asks for the same directory again goes on with it. It goes when another directory is asked for, or
//! the one where the partition lies.
//!
//! Until the swap the partition is served from where it was, and that is what counts after a crash:
//! the copy goes on from where it got to, if nothing is cleaned there. The swap happens under the partition's lock, with all of the
//! copy on the disk. A crash between its two renames leaves the partition in two directories with the
//! same content; the start tells which one goes.
//!
//! One thread that sleeps while nothing moves.

mod copy;
#[cfg(test)]
mod stepwise;
mod swap;
#[cfg(test)]
mod tests;
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
use tracing::{info, warn};

use crate::{Broker, log_dirs::LogDir, partition::Partition, topic_names};
use worker::Worker;

type Key = (TopicId, PartitionId);

/// Of how many partitions that are not there yet is noted where clients want them: a client may name any, and
/// never make them. Source: as many as one request of a reassignment has at most, some MiB of names.
const PREFERRED_MAX: usize = 10_000;

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
    /// Whether something may have been copied, since this move was asked for or the node started.
    is_begun: AtomicBool,
    is_cancelled: AtomicBool,
    /// Whether the metadata says that it lies there.
    is_assigned: AtomicBool,
    /// Whether the metadata may say so.
    may_be_named: AtomicBool,
    /// Whether it was told that the controller does not take its directory.
    is_refused: AtomicBool,
    /// Whether the copy has the partition's name, though it is not the partition.
    is_in_place: AtomicBool,
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
    /// Those that the thread does not know yet; the cancelled ones among them are to leave nothing.
    new: Vec<Arc<Move>>,
    /// Those that have ended and whose copy is kept: until they are asked for again, or the next start.
    ended: BTreeMap<Key, Vec<Arc<Move>>>,
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

    fn may_be_named(&self) -> bool {
        self.may_be_named.load(Ordering::Acquire)
    }

    /// Where the partition will lie.
    fn place(&self) -> PathBuf {
        let dir = PartitionDir::current(self.partition.topic(), self.partition.index());
        self.target.path.join(dir.name(Uuid::ZERO))
    }

    /// Where the copy lies.
    fn copy(&self) -> PathBuf {
        match self.is_in_place.load(Ordering::Acquire) {
            true => self.place(),
            false => self.path.clone(),
        }
    }

    /// Something is copied from now on, and nobody cleans the partition; `false` if somebody does at this
    /// moment.
    fn begin(&self) -> bool {
        let uncleaned = self.partition.try_cleaning();
        if uncleaned.is_some() {
            self.is_begun.store(true, Ordering::Release);
        }
        uncleaned.is_some()
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
    /// it is there or on its way, or is gone. `unique` tells the directory of the copy apart, if there is none yet.
    pub(crate) fn request(&self, partition: &Arc<Partition>, target: &Arc<LogDir>, unique: Uuid) {
        let key = (partition.topic_id(), partition.index());
        self.tell(|state| {
            if state.moves.get(&key).is_some_and(|known| known.target.id == target.id) {
                return;
            }
            if partition.is_gone() {
                // Who deletes it has taken back all of its moves by now, or does so after this.
                return;
            }
            let mut ended = state.ended.remove(&key).unwrap_or_default();
            state.cancel(&key);
            let is_there = partition.directory() == target.id;
            let again = ended.iter().position(|known| !is_there && known.target.id == target.id);
            let again = again.map(|index| ended.swap_remove(index));
            ended.into_iter().for_each(|known| state.discard(known));
            if !is_there {
                let path = again.as_ref().map(|known| known.path.clone());
                let path = path.unwrap_or_else(|| copy_path(partition, target, unique));
                let new = state.make(partition, target, path);
                let may_be_named = again.is_some_and(|known| known.may_be_named());
                new.may_be_named.store(may_be_named, Ordering::Release);
                state.begin(new);
            }
        });
    }

    /// Goes on with a move that a crash or a stop has cut short, if its partition is served: else the copy
    /// is kept. A second copy, or one beside the partition, goes.
    pub(crate) fn resume(&self, partition: &Arc<Partition>, target: &Arc<LogDir>, path: PathBuf) {
        let (is_led, is_there) = (partition.is_led(), partition.directory() == target.id);
        self.tell(|state| {
            let found = state.make(partition, target, path);
            // It may have been caught between the controller's answer and the rename.
            found.may_be_named.store(true, Ordering::Release);
            let to = target.path.display();
            if !is_led {
                warn!(%partition, %to, "its move waits for the next start: it is not served");
                state.ended.entry(found.key()).or_default().push(found);
            } else if is_there || state.moves.contains_key(&found.key()) {
                warn!(%partition, %to, "a copy of it that nobody needs is removed");
                state.discard(found);
            } else {
                info!(%partition, %to, "its move goes on");
                state.begin(found);
            }
        });
    }

    /// The partition stays where it is, or is gone.
    pub(crate) fn cancel(&self, topic: TopicId, index: PartitionId) {
        self.tell(|state| state.cancel(&(topic, index)));
    }

    /// A new partition is to be made in this directory. It is not noted of one that never can be, nor of more
    /// than [`PREFERRED_MAX`]: those go where the fewest are.
    pub(crate) fn prefer(&self, topic: Str, index: PartitionId, directory: Uuid) {
        if index.0 < 0 || !topic_names::is_valid(&topic) {
            return;
        }
        let (mut state, key) = (self.shared.state(), (topic, index));
        if state.preferred.len() < PREFERRED_MAX || state.preferred.contains_key(&key) {
            state.preferred.insert(key, directory);
        }
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

    /// Whether something of a partition may have been copied: nothing of its log may be rewritten then but
    /// at its end. For who cleans it, or wants to know whether to.
    pub(crate) fn is_begun(&self, topic: TopicId, index: PartitionId) -> bool {
        let state = self.shared.state();
        let known = state.moves.get(&(topic, index));
        known.is_some_and(|known| known.is_begun.load(Ordering::Acquire))
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
        let fatal = broker.fatal.clone();
        let worker = Worker::new(broker, shared);
        fatal.start_thread("moves", move || worker.run())
    }

    fn tell<R>(&self, what: impl FnOnce(&mut State) -> R) {
        let mut state = self.shared.state();
        what(&mut state);
        state.has_news = true;
        drop(state);
        self.shared.wake.notify_one();
    }
}

/// Where a new copy of a partition lies.
fn copy_path(partition: &Partition, target: &LogDir, unique: Uuid) -> PathBuf {
    let current = PartitionDir::current(partition.topic(), partition.index());
    target.path.join(PartitionDir { role: DirRole::Future, ..current }.name(unique))
}

impl State {
    fn make(
        &mut self,
        partition: &Arc<Partition>,
        target: &Arc<LogDir>,
        path: PathBuf,
    ) -> Arc<Move> {
        self.count += 1;
        Arc::new(Move {
            partition: Arc::clone(partition),
            target: Arc::clone(target),
            path,
            number: self.count,
            progress: Mutex::default(),
            is_begun: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
            is_assigned: AtomicBool::new(false),
            may_be_named: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            is_in_place: AtomicBool::new(false),
        })
    }

    /// Whether it was known.
    fn forget(&mut self, moving: &Arc<Move>) -> bool {
        let key = moving.key();
        let is_known = self.moves.get(&key).is_some_and(|known| Arc::ptr_eq(known, moving));
        is_known && self.moves.remove(&key).is_some()
    }

    fn begin(&mut self, new: Arc<Move>) {
        self.moves.insert(new.key(), Arc::clone(&new));
        self.new.push(new);
    }

    /// Whether begun or ended.
    fn cancel(&mut self, key: &Key) {
        if let Some(known) = self.moves.remove(key) {
            known.is_cancelled.store(true, Ordering::Release);
        }
        let ended = self.ended.remove(key).unwrap_or_default();
        ended.into_iter().for_each(|known| self.discard(known));
    }

    /// Lets the thread remove what there is of a move that it does not have.
    fn discard(&mut self, unwanted: Arc<Move>) {
        unwanted.is_cancelled.store(true, Ordering::Release);
        self.new.push(unwanted);
    }
}

impl Shared {
    /// A move has ended.
    fn forget(&self, moving: &Arc<Move>) {
        self.state().forget(moving);
    }

    /// A move has ended that may be asked for again; `false` if it is not wanted any more.
    fn keep(&self, moving: &Arc<Move>) -> bool {
        let mut state = self.state();
        let is_wanted = state.forget(moving);
        if is_wanted {
            state.ended.entry(moving.key()).or_default().push(Arc::clone(moving));
        }
        is_wanted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moves that the thread does not know yet.
    fn take_new(&self) -> Vec<Arc<Move>> {
        std::mem::take(&mut self.state().new)
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
