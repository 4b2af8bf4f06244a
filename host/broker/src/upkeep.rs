//! What has to be written down now and then while the node runs.
//!
//! A thread for each log directory. It sleeps until something was appended there or changed that the
//! checkpoints tell, waits for more of it, and flushes and writes them once. Where logs start it writes
//! at once, for somebody waits for it. A node on which nothing happens does nothing, and a disk that
//! hangs holds up its own directory.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_log::IoError;
use tokio::sync::oneshot;
use tracing::error;

use crate::{Broker, LogDir};

/// The longest that changes are collected, whatever the configuration says: a year.
const COLLECT_MAX: Duration = Duration::from_secs(365 * 86_400);

/// What reaches the thread.
enum Event {
    /// A checkpoint would say something new.
    Changed,
    /// So much that it should not wait.
    Urgent,
    /// Somebody waits until the log starts are durable.
    LogStarts,
    /// End of the thread. What changed is written when the directories are closed.
    Stop,
}

/// Reaches the thread.
#[derive(Clone, Debug)]
pub struct Upkeep {
    events: SyncSender<Event>,
    waiting: Arc<Mutex<Waiting>>,
}

/// The other end, for the thread.
#[derive(Debug)]
pub struct UpkeepInbox {
    events: Receiver<Event>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits until the log starts are durable.
#[derive(Debug, Default)]
struct Waiting {
    senders: Vec<oneshot::Sender<Result<(), IoError>>>,
    /// Nobody will write them any more.
    is_over: bool,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upkeep {
    /// A handle and what its thread will read.
    pub fn new() -> (Self, UpkeepInbox) {
        // Two that wait say it all.
        let (events, inbox) = mpsc::sync_channel(2);
        let waiting = Arc::<Mutex<Waiting>>::default();
        let inbox = UpkeepInbox { events: inbox, waiting: Arc::clone(&waiting) };
        (Self { events, waiting }, inbox)
    }

    /// A checkpoint would say something new. Never waits.
    pub(crate) fn changed(&self) {
        // Full: it will be seen. Closed: the node stops, and writes everything.
        let _ = self.events.try_send(Event::Changed);
    }

    /// So much has changed that it should be written down at once. Never waits.
    pub(crate) fn urgent(&self) {
        let _ = self.events.try_send(Event::Urgent); // As above.
    }

    /// Notes where the logs of the directory start; what was deleted stays so after a crash once the
    /// answer is there. An answer that does not come means that the node stops. Never waits.
    pub(crate) fn note_log_starts(&self) -> oneshot::Receiver<Result<(), IoError>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if !waiting.is_over {
            waiting.senders.push(sender);
            drop(waiting);
            // Full: whoever reads an event looks who waits.
            let _ = self.events.try_send(Event::LogStarts);
        }
        receiver
    }

    /// Notes the log starts that somebody waits for, as the thread does it.
    #[cfg(test)]
    pub(crate) fn step_log_starts(&self, broker: &Broker, dir: &LogDir) {
        write_log_starts(&self.waiting, broker, dir);
    }

    /// Ends the thread. For threads that may block.
    pub fn stop(&self) {
        let _ = self.events.send(Event::Stop); // Fails only when it has ended.
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
        let collect = Duration::from_millis(u64::try_from(collect).unwrap_or(0)).min(COLLECT_MAX);
        fatal.start_thread("upkeep", move || {
            let note = || write_log_starts(&self.waiting, &broker, &dir);
            while let Ok(event) = self.events.recv() {
                note();
                let stops = match event {
                    Event::Changed => self.stops_within(collect, note),
                    Event::Urgent => false,
                    Event::LogStarts => continue,
                    Event::Stop => true,
                };
                if stops {
                    return;
                }
                dir.flush(&broker.partitions.all());
            }
        })
    }

    /// Whether the thread would flush, if it ran. It is asked for it once.
    #[cfg(test)]
    pub(crate) fn is_due(&self) -> bool {
        self.events.try_iter().count() > 0
    }

    /// Lets `time` pass, whatever changes meanwhile, unless it is urgent, and calls `note` whenever
    /// something has come.
    fn stops_within(&self, time: Duration, note: impl Fn()) -> bool {
        let end = Instant::now() + time;
        loop {
            let event = self.events.recv_timeout(end.saturating_duration_since(Instant::now()));
            note();
            match event {
                Ok(Event::Changed | Event::LogStarts) => {}
                Ok(Event::Urgent) => return false,
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for UpkeepInbox {
    /// Who waits is not to wait for ever.
    fn drop(&mut self) {
        *lock(&self.waiting) = Waiting { senders: Vec::new(), is_over: true };
    }
}

fn write_log_starts(waiting: &Mutex<Waiting>, broker: &Broker, dir: &LogDir) {
    let senders = std::mem::take(&mut lock(waiting).senders);
    if senders.is_empty() {
        return;
    }
    let written = dir.write_log_starts(&broker.partitions.all());
    if let Err(error) = &written {
        error!(dir = %dir.path.display(), "where logs start is not noted: {error}");
        dir.judge(error);
    }
    for sender in senders {
        let _ = sender.send(written.clone()); // Whoever asked may have gone.
    }
}

#[cfg(test)]
mod tests;
