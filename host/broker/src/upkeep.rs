//! What has to be written down now and then while the node runs.
//!
//! A thread for each log directory. It sleeps until something was appended there or changed that the
//! checkpoints tell, waits for more of it, and flushes and writes them once. Where logs start it writes
//! at once, for somebody waits for it. A node on which nothing happens does nothing, and a disk that
//! hangs holds up its own directory.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_log::IoError;
use tokio::sync::oneshot;
use tracing::error;

use crate::{Broker, LogDir, partition_dirs};

/// The bounds of how long changes are collected, whatever the configuration says: so that the thread does not
/// turn without rest, and a year.
const COLLECT_MIN: Duration = Duration::from_millis(100);
const COLLECT_MAX: Duration = Duration::from_secs(365 * 86_400);

/// When what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Reaches the thread.
#[derive(Clone, Debug)]
pub struct Upkeep {
    shared: Arc<Shared>,
}

/// The other end, for the thread.
#[derive(Debug)]
pub struct UpkeepInbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    news: Mutex<News>,
    bell: Condvar,
}

/// What the thread was told and has not taken up yet. What comes while it is at work is there when it looks again.
#[derive(Debug, Default)]
struct News {
    /// A checkpoint would say something new.
    has_changed: bool,
    /// Something could not be written.
    is_to_try_again: bool,
    /// So much has changed that it should not wait.
    is_urgent: bool,
    /// End of the thread. What changed is written when the directories are closed.
    stops: bool,
    /// Who waits until the log starts are durable.
    waiting: Vec<oneshot::Sender<Result<(), IoError>>>,
    /// Nobody will look any more.
    is_over: bool,
}

impl News {
    fn is_any(&self) -> bool {
        let Self { has_changed, is_to_try_again, is_urgent, stops, waiting, .. } = self;
        *has_changed || *is_to_try_again || *is_urgent || *stops || !waiting.is_empty()
    }
}

impl Shared {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, note: impl FnOnce(&mut News)) {
        note(&mut self.news());
        self.bell.notify_one();
    }

    /// What is new; waits until there is something, or up to `end`.
    fn next(&self, end: Option<Instant>) -> News {
        let mut news = self.news();
        while !news.is_any() {
            let Some(end) = end else {
                news = self.bell.wait(news).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            news = self.bell.wait_timeout(news, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *news)
    }
}

impl Upkeep {
    /// A handle and what its thread will read.
    pub fn new() -> (Self, UpkeepInbox) {
        let shared = Arc::<Shared>::default();
        (Self { shared: Arc::clone(&shared) }, UpkeepInbox { shared })
    }

    /// A checkpoint would say something new.
    pub(crate) fn changed(&self) {
        self.shared.tell(|news| news.has_changed = true);
    }

    /// Something could not be written, and is to be tried again after some time.
    pub(crate) fn try_again(&self) {
        self.shared.tell(|news| news.is_to_try_again = true);
    }

    /// So much has changed that it should be written down at once.
    pub(crate) fn urgent(&self) {
        self.shared.tell(|news| news.is_urgent = true);
    }

    /// Notes where the logs of the directory start; what was deleted stays so after a crash once the
    /// answer is there. An answer that does not come means that the node stops.
    pub(crate) fn note_log_starts(&self) -> oneshot::Receiver<Result<(), IoError>> {
        let (sender, receiver) = oneshot::channel();
        self.shared.tell(|news| {
            // Who waits no longer need not be told by a disk that hangs.
            news.waiting.retain(|waits| !waits.is_closed());
            if !news.is_over {
                news.waiting.push(sender);
            }
        });
        receiver
    }

    /// Notes the log starts that somebody waits for, as the thread does it.
    #[cfg(test)]
    pub(crate) fn step_log_starts(&self, broker: &Broker, dir: &LogDir) {
        let waiting = std::mem::take(&mut self.shared.news().waiting);
        write_log_starts(waiting, broker, dir);
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.shared.tell(|news| news.stops = true);
    }
}

impl UpkeepInbox {
    /// Starts the thread of the log directory that has the handle.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn start(self, broker: Arc<Broker>, dir: Arc<LogDir>) -> io::Result<JoinHandle<()>> {
        let fatal = broker.fatal.clone();
        // Kafka writes high watermarks down so often.
        let collect = broker.config.logs.high_watermark_checkpoint_interval_ms;
        let collect = Duration::from_millis(u64::try_from(collect).unwrap_or(0));
        let collect = collect.clamp(COLLECT_MIN, COLLECT_MAX);
        fatal.start_thread("upkeep", move || {
            let mut flush_at = None;
            loop {
                let news = self.shared.next(flush_at);
                write_log_starts(news.waiting, &broker, &dir);
                if news.stops {
                    return;
                }
                let now = Instant::now();
                let changed = (news.has_changed && flush_at.is_none()).then_some(now + collect);
                let again = news.is_to_try_again.then_some(now + RETRY);
                flush_at = flush_at.into_iter().chain(changed).chain(again).min();
                if news.is_urgent || flush_at.is_some_and(|at| at <= now) {
                    flush_at = None;
                    dir.flush(|| broker.partitions.all());
                    partition_dirs::clear_all_left(&broker, &dir);
                }
            }
        })
    }

    /// Whether the thread would flush, if it ran. It is asked for it once.
    #[cfg(test)]
    pub(crate) fn is_due(&self) -> bool {
        let mut news = self.shared.news();
        let waiting = std::mem::take(&mut news.waiting);
        let told = std::mem::take(&mut *news);
        news.waiting = waiting;
        told.has_changed || told.is_to_try_again || told.is_urgent
    }
}

impl Drop for UpkeepInbox {
    /// Who waits is not to wait for ever.
    fn drop(&mut self) {
        *self.shared.news() = News { is_over: true, ..News::default() };
    }
}

fn write_log_starts(
    waiting: Vec<oneshot::Sender<Result<(), IoError>>>,
    broker: &Broker,
    dir: &LogDir,
) {
    if waiting.is_empty() {
        return;
    }
    let written = dir.write_log_starts(&broker.partitions.all());
    if let Err(error) = &written {
        error!(dir = %dir.path.display(), "where logs start is not noted: {error}");
        dir.judge(error);
    }
    for waits in waiting {
        let _ = waits.send(written.clone()); // Whoever asked may have gone.
    }
}

#[cfg(test)]
mod tests;
