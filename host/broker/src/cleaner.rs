//! The threads that compact logs: of each key only the last record stays.
//!
//! ```text
//!   a segment was closed, settings changed ──ring──▶ look ──▶ the dirtiest log that is due
//!   log.cleaner.backoff.ms after the last look                 │
//!   a record grew old enough                                   ▼
//!                              lock ▸ begin   run   lock ▸ swap in   lock ▸ note how far
//! ```
//!
//! One thread sees to it that there are as many others as `log.cleaner.threads` says.
//! A thread sleeps until something can have become due: on a node where nothing is written nothing
//! is looked at. A log that cannot be cleaned is told once and passed over until the next start.
//!
//! Not here: what compaction is and which files it writes (core/log), retention, unlinking.

mod choose;
mod throttle;
mod work;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_base::{PartitionId, Timestamp, TopicId};
use dohle_config::NodeSettings;
use dohle_log::CleanMemory;
use tracing::error;

use crate::{Broker, partition::Partition};
use choose::Choice;
use throttle::Throttle;
use work::Outcome;

/// How long after a thread could not be started it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The most memory of one thread's map. Source: Kafka, which uses no more either.
const MAP_BYTES_MAX: i64 = i32::MAX as i64;

type Key = (TopicId, PartitionId);

/// Reaches the threads.
#[derive(Clone, Debug, Default)]
pub struct Cleaner {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    throttle: Throttle,
    /// Held while a log is chosen: two threads do not choose the same.
    choosing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// How often somebody rang.
    rings: u64,
    is_stopping: bool,
    /// The numbers of the threads that clean.
    running: BTreeSet<usize>,
    /// Logs that a thread is at.
    busy: BTreeSet<Key>,
    /// Logs that could not be cleaned.
    uncleanable: BTreeSet<Key>,
}

impl Cleaner {
    /// Something can have become due. Never waits.
    pub(crate) fn ring(&self) {
        self.shared.ring();
    }

    /// Whether a thread cleans the partition's log.
    pub(crate) fn is_at(&self, partition: &Partition) -> bool {
        self.shared.state().busy.contains(&partition.key())
    }

    /// Ends the threads. What is being cleaned is given up.
    pub fn stop(&self) {
        self.shared.state().is_stopping = true;
        self.shared.wake.notify_all();
    }

    /// Starts the thread that starts the others. None if the cleaner is switched off.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(&self, broker: Arc<Broker>) -> io::Result<Option<JoinHandle<()>>> {
        if !broker.settings().boolean("log.cleaner.enable") {
            return Ok(None);
        }
        let (shared, fatal) = (Arc::clone(&self.shared), broker.fatal.clone());
        fatal.start_thread("cleaner", move || lead(&broker, &shared)).map(Some)
    }
}

#[cfg(test)]
impl Cleaner {
    /// Cleans a log, as one of the threads.
    pub(crate) fn step(&self, broker: &Broker, partition: &Partition) {
        work::clean(broker, &self.shared, partition, 0);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.state().rings += 1;
        self.wake.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Waits until `end`, or for ever; not longer than until somebody has rung since `seen` once
    /// `earliest` is past. `false` if the threads are to end.
    fn wait(&self, seen: u64, earliest: Instant, end: Option<Instant>) -> bool {
        let mut state = self.state();
        loop {
            if state.is_stopping {
                return false;
            }
            let has_news = state.rings != seen;
            let until = if has_news { Some(earliest) } else { end.map(|end| end.max(earliest)) };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) if left.is_zero() => return true,
                Some(left) => {
                    let woken = self.wake.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Keeps as many threads as the settings say. It does not clean itself, so that a change counts at once,
/// however long those are at their logs.
fn lead(broker: &Arc<Broker>, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    loop {
        let seen = shared.state().rings;
        threads.retain(|thread: &JoinHandle<()>| !thread.is_finished());
        let (earliest, end) = match start_missing(broker, shared, &mut threads) {
            Ok(()) => (Instant::now(), None),
            Err(error) => {
                error!("a thread of the cleaner was not started: {error}");
                let again = Instant::now() + RETRY;
                (again, Some(again))
            }
        };
        if !shared.wait(seen, earliest, end) {
            break;
        }
    }
    for thread in threads {
        if thread.join().is_err() {
            error!("a thread of the cleaner had panicked");
        }
    }
}

fn start_missing(
    broker: &Arc<Broker>,
    shared: &Arc<Shared>,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<()> {
    for index in 0..thread_count(&broker.settings()) {
        if !shared.state().running.insert(index) {
            continue;
        }
        let thread = Thread { index, broker: Arc::clone(broker), shared: Arc::clone(shared) };
        let name = format!("cleaner-{index}");
        threads.push(broker.fatal.start_thread(name, move || thread.run())?);
    }
    Ok(())
}

/// One thread's share of the work.
struct Thread {
    index: usize,
    broker: Arc<Broker>,
    shared: Arc<Shared>,
}

impl Drop for Thread {
    /// Another one may have its number, if one is wanted.
    fn drop(&mut self) {
        self.shared.state().running.remove(&self.index);
        self.shared.ring();
    }
}

impl Thread {
    /// Cleans until the threads are to end, or to be fewer.
    fn run(self) {
        while self.index < thread_count(&self.broker.settings()) && self.step() {}
    }

    /// Cleans one log, or waits until one may be due. `false` if the threads are to end.
    fn step(&self) -> bool {
        let seen = self.shared.state().rings;
        let next = match choose::choose(&self.broker, &self.shared) {
            Choice::Clean(partition) => {
                let outcome = work::clean(&self.broker, &self.shared, &partition, self.index);
                let key = partition.key();
                let mut state = self.shared.state();
                state.busy.remove(&key);
                match outcome {
                    Outcome::Done => return !state.is_stopping,
                    // What stands in the way may be gone later.
                    Outcome::Later => Some(self.broker.clock.wall()),
                    Outcome::Never => {
                        state.uncleanable.insert(key);
                        return !state.is_stopping;
                    }
                }
            }
            Choice::Wait(next) => next,
        };
        let backoff = backoff(&self.broker.settings());
        let earliest = Instant::now() + backoff;
        let end = next.map(|next| earliest.max(Instant::now() + self.until(next)));
        self.shared.wait(seen, earliest, end)
    }

    fn until(&self, time: Timestamp) -> Duration {
        let left = time.0.saturating_sub(self.broker.clock.wall().0);
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}

fn thread_count(settings: &NodeSettings) -> usize {
    usize::try_from(settings.int("log.cleaner.threads")).unwrap_or(1).max(1)
}

/// How long after one look for something to clean the next one comes.
pub(crate) fn backoff(settings: &NodeSettings) -> Duration {
    Duration::from_millis(u64::try_from(settings.long("log.cleaner.backoff.ms")).unwrap_or(0))
}

/// What one thread may use.
fn memory(settings: &NodeSettings) -> CleanMemory {
    let threads = i64::try_from(thread_count(settings)).unwrap_or(i64::MAX);
    let share = |bytes: i64| usize::try_from(bytes / threads).unwrap_or(0);
    CleanMemory {
        map_bytes: share(settings.long("log.cleaner.dedupe.buffer.size"))
            .min(usize::try_from(MAP_BYTES_MAX).unwrap_or(usize::MAX)),
        load_factor: settings.double("log.cleaner.io.buffer.load.factor"),
        // Half of it for reading, half for writing.
        io_bytes: share(settings.long("log.cleaner.io.buffer.size")) / 2,
    }
}
