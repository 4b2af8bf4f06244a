//! What goes: old records by their topics' settings, files and directories some time after they were
//! deleted, and what is known of producers that write no more.
//!
//! ```text
//!   every log.retention.check.interval.ms ──▶ check: old segments ──rename──▶ .deleted
//!   every log.cleaner.backoff.ms          ──▶ the same, of logs that are compacted
//!   producer.id.expiration.check.interval.ms ──▶ check: producers
//!   file.delete.delay.ms later            ──▶ unlink: files, and directories of deleted topics
//! ```
//!
//! One thread that sleeps until something is due. Files are renamed under the lock of their
//! partition, a segment at a time; syncs and unlinks happen without.
//!
//! From compacted logs Kafka's cleaner removes what is old, as often as it looks for something to clean,
//! and nobody does where it is switched off.
//!
//! Not here: which segments go (core/log), and compaction.

mod check;
#[cfg(test)]
mod stepwise;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_base::Timestamp;
use dohle_config::NodeSettings;
use dohle_log::{Disk, IoError, disk::remove_if_there};
use tracing::{error, info};

use self::check::Which;
#[cfg(test)]
pub(crate) use self::check::begin_unlink;
use crate::{Broker, cleaner, log_dirs::LogDir};

/// How often compacted logs are looked at at most: all partitions are gone through for it.
const COMPACTED_CHECK_MIN: Duration = Duration::from_secs(1);

/// A directory that holds a partition no longer.
#[derive(Debug)]
pub(crate) struct DeletedDir {
    pub(crate) dir: Arc<LogDir>,
    pub(crate) path: PathBuf,
    /// When it may be removed.
    pub(crate) due: Timestamp,
}

/// What the thread has been told and has not taken up yet.
#[derive(Debug, Default)]
struct Inbox {
    deleted_dirs: Vec<DeletedDir>,
    unlink_at: Option<Timestamp>,
    stop: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

/// Reaches the thread. Telling it something never waits for a disk.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    shared: Arc<Shared>,
}

impl Retention {
    /// Removes a directory when its time has come.
    pub(crate) fn remove(&self, deleted: DeletedDir) {
        self.tell(|inbox| inbox.deleted_dirs.push(deleted));
    }

    /// Files of a log were renamed that may be unlinked at `due`. Without it the next check would
    /// find them.
    pub fn unlink_at(&self, due: Timestamp) {
        self.tell(|inbox| {
            inbox.unlink_at = Some(inbox.unlink_at.map_or(due, |at| at.min(due)));
        });
    }

    /// Ends the thread. What waits to be removed is removed at the next start.
    pub fn stop(&self) {
        self.tell(|inbox| inbox.stop = true);
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(&self, broker: Arc<Broker>) -> io::Result<JoinHandle<()>> {
        let fatal = broker.fatal.clone();
        let worker = Worker::new(broker, Arc::clone(&self.shared));
        fatal.start_thread("retention", move || worker.run())
    }

    fn tell(&self, what: impl FnOnce(&mut Inbox)) {
        what(&mut self.shared.inbox());
        self.shared.wake.notify_one();
    }
}

fn compacted_interval(settings: &NodeSettings) -> Duration {
    cleaner::backoff(settings).max(COMPACTED_CHECK_MIN)
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stops(&self) -> bool {
        self.inbox().stop
    }

    /// Waits for news until `end` and takes what there is.
    fn wait(&self, end: Instant) -> Inbox {
        let mut inbox = self.inbox();
        loop {
            let is_empty = inbox.deleted_dirs.is_empty() && inbox.unlink_at.is_none();
            let left = end.saturating_duration_since(Instant::now());
            if !is_empty || inbox.stop || left.is_zero() {
                let stop = inbox.stop;
                return Inbox { stop, ..std::mem::take(&mut *inbox) };
            }
            let woken = self.wake.wait_timeout(inbox, left);
            inbox = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct Worker {
    broker: Arc<Broker>,
    shared: Arc<Shared>,
    check_interval: Duration,
    next_check: Instant,
    /// None if the cleaner is switched off.
    next_compacted_check: Option<Instant>,
    producer_check_interval: Duration,
    next_producer_check: Instant,
    /// When the next file of a log is due.
    next_unlink: Option<Timestamp>,
    deleted_dirs: Vec<DeletedDir>,
}

impl Worker {
    fn new(broker: Arc<Broker>, shared: Arc<Shared>) -> Self {
        let logs = broker.config.logs;
        let producer_check_interval = millis(logs.producer_check_interval_ms.into());
        let settings = broker.settings();
        let is_cleaned = settings.boolean("log.cleaner.enable");
        Self {
            next_compacted_check: is_cleaned
                .then(|| Instant::now() + compacted_interval(&settings)),
            broker,
            shared,
            check_interval: millis(logs.retention_check_interval_ms),
            next_check: Instant::now() + millis(logs.initial_task_delay_ms),
            producer_check_interval,
            next_producer_check: Instant::now() + producer_check_interval,
            next_unlink: None,
            deleted_dirs: Vec::new(),
        }
    }

    fn run(mut self) {
        loop {
            let Inbox { deleted_dirs, unlink_at, stop } = self.shared.wait(self.next_due());
            if stop {
                return;
            }
            self.deleted_dirs.extend(deleted_dirs);
            self.unlink_by(unlink_at);
            if self.next_check <= Instant::now() {
                self.remove_expired(Which::Plain);
                self.next_check = Instant::now() + self.check_interval;
            }
            if self.next_compacted_check.is_some_and(|at| at <= Instant::now()) {
                self.remove_expired(Which::Compacted);
                let interval = compacted_interval(&self.broker.settings());
                self.next_compacted_check = Some(Instant::now() + interval);
            }
            if self.next_producer_check <= Instant::now() {
                check::expire_producers(&self.broker, || self.shared.stops());
                self.next_producer_check = Instant::now() + self.producer_check_interval;
            }
            let now = self.broker.clock.wall();
            if self.next_unlink.is_some_and(|due| due <= now) {
                self.next_unlink = check::unlink(&self.broker, now);
            }
            self.remove_dirs(now);
        }
    }

    fn remove_expired(&mut self, which: Which) {
        let due = check::remove_expired(&self.broker, which, || self.shared.stops());
        self.unlink_by(due);
    }

    fn unlink_by(&mut self, due: Option<Timestamp>) {
        self.next_unlink = self.next_unlink.into_iter().chain(due).min();
    }

    fn next_due(&self) -> Instant {
        let dirs = self.deleted_dirs.iter().map(|deleted| deleted.due);
        let next_check = self.next_check.min(self.next_producer_check);
        let next_check = self.next_compacted_check.map_or(next_check, |at| at.min(next_check));
        let Some(due) = dirs.chain(self.next_unlink).min() else { return next_check };
        let left = due.0.saturating_sub(self.broker.clock.wall().0);
        next_check.min(Instant::now() + millis(left))
    }

    fn remove_dirs(&mut self, now: Timestamp) {
        for deleted in self.deleted_dirs.extract_if(.., |deleted| deleted.due <= now) {
            if deleted.dir.has_failed() {
                // Nothing in it is durable for sure, its new name neither: the next start looks at it.
                continue;
            }
            match remove_dir(&deleted, || self.shared.stops()) {
                Ok(()) => info!(dir = %deleted.path.display(), "removed"),
                Err(error) => {
                    error!("a deleted partition stays until the next start: {error}");
                    deleted.dir.judge(&error);
                }
            }
        }
    }
}

/// Removes a directory and what is in it, unless the node stops meanwhile: large files take long.
fn remove_dir(deleted: &DeletedDir, stops: impl Fn() -> bool) -> Result<(), IoError> {
    let disk = deleted.dir.disk();
    let entries = match disk.list(&deleted.path) {
        Err(error) if error.is_not_found() => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        if stops() {
            return Ok(());
        }
        remove_if_there(disk, &deleted.path.join(entry.name))?;
    }
    disk.remove_dir(&deleted.path)
}
