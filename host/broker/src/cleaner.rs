//! The threads that compact logs: of each key only the last record stays.
//!
//! ```text
//!   a segment was closed, settings changed ──ring──▶ look ──▶ the dirtiest log that is due
//!   log.cleaner.backoff.ms after the last look                 │
//!   a record grew old enough                                   ▼
//!                              lock ▸ begin   run   lock ▸ swap in   lock ▸ note how far
//! ```
//!
//! A thread sleeps until something can have become due: on a node where nothing is written nothing
//! is looked at. A log that cannot be cleaned is told once and passed over until the next start.
//!
//! Not here: what compaction is and which files it writes (core/log), retention, unlinking.

mod choose;
mod throttle;
mod work;

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

use crate::Broker;
use choose::Choice;
use throttle::Throttle;
use work::Outcome;

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
    /// Logs that a thread is at.
    busy: BTreeSet<Key>,
    /// Logs that could not be cleaned.
    uncleanable: BTreeSet<Key>,
}

impl Cleaner {
    /// Something can have become due. Never waits.
    pub(crate) fn ring(&self) {
        self.shared.state().rings += 1;
        self.shared.wake.notify_all();
    }

    /// Ends the threads. What is being cleaned is given up.
    pub fn stop(&self) {
        self.shared.state().is_stopping = true;
        self.shared.wake.notify_all();
    }

    /// Starts the first thread, which starts the others. None if the cleaner is switched off.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(&self, broker: Arc<Broker>) -> io::Result<Option<JoinHandle<()>>> {
        if !broker.settings().boolean("log.cleaner.enable") {
            return Ok(None);
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("cleaner".to_owned());
        thread.spawn(move || lead(&broker, &shared)).map(Some)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The first thread: cleans, and keeps as many others as the settings say.
fn lead(broker: &Arc<Broker>, shared: &Arc<Shared>) {
    let mut others: Vec<JoinHandle<()>> = Vec::new();
    let mut thread = Thread::new(0, broker, shared);
    loop {
        others.retain(|other| !other.is_finished());
        for index in others.len() + 1..threads(&broker.settings()) {
            let (broker, shared) = (Arc::clone(broker), Arc::clone(shared));
            let builder = std::thread::Builder::new().name(format!("cleaner-{index}"));
            let started = builder.spawn(move || {
                let mut thread = Thread::new(index, &broker, &shared);
                while index < threads(&broker.settings()) && thread.step() {}
            });
            match started {
                Ok(other) => others.push(other),
                Err(error) => error!("a thread of the cleaner was not started: {error}"),
            }
        }
        if !thread.step() {
            break;
        }
    }
    for other in others {
        if other.join().is_err() {
            error!("a thread of the cleaner had panicked");
        }
    }
}

/// One thread's share of the work.
struct Thread<'a> {
    index: usize,
    broker: &'a Broker,
    shared: &'a Shared,
}

impl<'a> Thread<'a> {
    fn new(index: usize, broker: &'a Broker, shared: &'a Shared) -> Self {
        Self { index, broker, shared }
    }

    /// Cleans one log, or waits until one may be due. `false` if the threads are to end.
    fn step(&mut self) -> bool {
        let seen = self.shared.state().rings;
        let next = match choose::choose(self.broker, self.shared) {
            Choice::Clean(partition) => {
                let outcome = work::clean(self.broker, self.shared, &partition, self.index);
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

fn threads(settings: &NodeSettings) -> usize {
    usize::try_from(settings.int("log.cleaner.threads")).unwrap_or(1).max(1)
}

fn backoff(settings: &NodeSettings) -> Duration {
    Duration::from_millis(u64::try_from(settings.long("log.cleaner.backoff.ms")).unwrap_or(0))
}

/// What one thread may use.
fn memory(settings: &NodeSettings) -> CleanMemory {
    let threads = i64::try_from(threads(settings)).unwrap_or(i64::MAX);
    let share = |bytes: i64| usize::try_from(bytes / threads).unwrap_or(0);
    CleanMemory {
        map_bytes: share(settings.long("log.cleaner.dedupe.buffer.size"))
            .min(usize::try_from(MAP_BYTES_MAX).unwrap_or(usize::MAX)),
        load_factor: settings.double("log.cleaner.io.buffer.load.factor"),
        // Half of it for reading, half for writing.
        io_bytes: share(settings.long("log.cleaner.io.buffer.size")) / 2,
    }
}
