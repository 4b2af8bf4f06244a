//! Moving partitions between log directories while they are served (AlterReplicaLogDirs).
//!
//! ```text
//! requested ──▶ copying ──▶ caught up ──▶ assigned ──▶ swapped
//!               -future     durable       committed    rename: -future is the partition,
//!               directory                 by the       what was the partition is -delete
//!                                         controller
//! ```
//!
//! Until the swap the partition is served from where it was, and that is what counts after a crash:
//! the copy goes on from where it got to. The swap happens under the partition's lock, with all of the
//! copy on the disk. A crash between its two renames leaves the partition in two directories with the
//! same content; the start tells which one goes.
//!
//! One thread that sleeps while nothing moves.

mod copy;
mod swap;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_base::{Offset, PartitionId, Str, TopicId, Uuid};
use dohle_log::{DirRole, PartitionDir};
use tracing::{error, info, warn};

use crate::{Broker, log_dirs::LogDir, partition::Partition, retention::DeletedDir};
use copy::Copy;

/// After how long a move is tried again that the controller did not want.
const RETRY: Duration = Duration::from_secs(1);

type Key = (TopicId, PartitionId);

/// A partition on its way.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) partition: Arc<Partition>,
    pub(crate) target: Arc<LogDir>,
    /// The directory of the copy.
    pub(crate) path: PathBuf,
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

/// What a step of a move led to.
enum Step {
    /// There is more to do, at once.
    More,
    /// There is more to do, later.
    After(Duration),
    /// The partition lies in its new directory.
    Done,
}

#[derive(Debug, Default)]
struct State {
    moves: BTreeMap<Key, Arc<Move>>,
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
        let new = Move {
            partition: Arc::clone(partition),
            target: Arc::clone(target),
            path,
            progress: Mutex::default(),
            is_cancelled: AtomicBool::new(false),
            is_assigned: AtomicBool::new(false),
        };
        let key = new.key();
        self.tell(|state| {
            match state.moves.get(&key) {
                Some(known) if known.target.id == target.id => return,
                _ => state.cancel(&key),
            }
            if partition.directory() != target.id {
                state.moves.insert(key, Arc::new(new));
            }
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
        let worker = Worker { broker, shared, copies: Vec::new() };
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news until `end`, or for as long as it takes; all moves, or `None` at the end.
    fn wait(&self, end: Option<Instant>) -> Option<Vec<Arc<Move>>> {
        let mut state = self.state();
        loop {
            if state.stop {
                return None;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if std::mem::take(&mut state.has_news) || left.is_some_and(|left| left.is_zero()) {
                return Some(state.moves.values().cloned().collect());
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

struct Worker {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    copies: Vec<(Arc<Move>, Copy)>,
}

impl Worker {
    fn run(mut self) {
        let mut next = None;
        while let Some(moves) = self.shared.wait(next) {
            self.discard_cancelled();
            let mut wait = None;
            for moving in &moves {
                let after = self.advance(moving);
                wait = wait.into_iter().chain(after).min();
            }
            next = wait.map(|wait| Instant::now() + wait);
        }
    }

    /// Takes a step; says after which time the next one is due.
    fn advance(&mut self, moving: &Arc<Move>) -> Option<Duration> {
        match self.step(moving) {
            Ok(Step::More) => return Some(Duration::ZERO),
            Ok(Step::After(wait)) => return Some(wait),
            Ok(Step::Done) => {
                info!(partition = %moving.partition, to = %moving.target.path.display(), "moved");
                self.broker.cleaner.ring();
            }
            Err(error) => {
                warn!(
                    partition = %moving.partition, to = %moving.target.path.display(),
                    "its move ends, it stays where it is: {error}"
                );
                error.tell(moving);
                if error.is_final() {
                    self.discard(moving);
                }
            }
        }
        self.copies.retain(|(other, _)| !Arc::ptr_eq(other, moving));
        let mut state = self.shared.state();
        if state.moves.get(&moving.key()).is_some_and(|known| Arc::ptr_eq(known, moving)) {
            state.moves.remove(&moving.key());
        }
        None
    }

    fn step(&mut self, moving: &Arc<Move>) -> Result<Step, copy::MoveError> {
        let at = self.copies.iter().position(|(other, _)| Arc::ptr_eq(other, moving));
        let at = match at {
            Some(at) => at,
            // What one part of a copy lacks another part could have: none is made meanwhile.
            None if moving.partition.is_being_cleaned() => return Ok(Step::After(RETRY)),
            None => {
                let copy = Copy::begin(moving, self.broker.clock.wall())?;
                self.copies.push((Arc::clone(moving), copy));
                self.copies.len() - 1
            }
        };
        let (_, copy) = &mut self.copies[at];
        let copied = copy.take_more(moving, self.broker.clock.wall())?;
        if copied > 0 {
            return Ok(self.pause_for(copied));
        }
        if !moving.is_assigned.load(Ordering::Acquire) {
            copy.make_durable()?;
            let is_assigned = swap::assign(&self.broker, &moving.partition, moving.target.id);
            moving.is_assigned.store(is_assigned, Ordering::Release);
            return Ok(if is_assigned { Step::More } else { Step::After(RETRY) });
        }
        let (_, copy) = self.copies.swap_remove(at);
        match swap::swap(&self.broker, moving, copy)? {
            None => Ok(Step::Done),
            Some(copy) => {
                // More came than is copied under a lock.
                self.copies.push((Arc::clone(moving), copy));
                Ok(Step::More)
            }
        }
    }

    /// Keeps to the bytes a second that the operator allows.
    fn pause_for(&self, copied: u64) -> Step {
        let settings = self.broker.settings();
        let allowed = settings.long("replica.alter.log.dirs.io.max.bytes.per.second");
        if allowed == i64::MAX {
            return Step::More;
        }
        Step::After(Duration::from_secs_f64(copied as f64 / allowed.max(1) as f64))
    }

    fn discard_cancelled(&mut self) {
        let cancelled = self.copies.extract_if(.., |(moving, _)| moving.is_cancelled());
        for (moving, _) in cancelled.collect::<Vec<_>>() {
            self.discard(&moving);
        }
    }

    /// Removes a copy that is not wanted any more.
    fn discard(&self, moving: &Move) {
        if !moving.target.has_failed() {
            let (dir, path) = (Arc::clone(&moving.target), moving.path.clone());
            let due = self.broker.clock.wall();
            self.broker.retention.remove(DeletedDir { dir, path, due });
        }
        // The metadata was told too early.
        let directory = moving.partition.directory();
        if moving.is_assigned.load(Ordering::Acquire)
            && moving.partition.is_led()
            && !swap::assign(&self.broker, &moving.partition, directory)
        {
            error!(partition = %moving.partition, "the metadata names another directory");
        }
    }
}
