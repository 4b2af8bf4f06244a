//! What has to be written down now and then while the node runs.
//!
//! A thread for each log directory. It sleeps until something was appended there or changed that the
//! checkpoints tell, waits for more of it, and flushes and writes them once. A node on which nothing
//! happens does nothing, and a disk that hangs holds up its own directory.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{Broker, LogDir};

/// The longest that changes are collected, whatever the configuration says: a year.
const COLLECT_MAX: Duration = Duration::from_secs(365 * 86_400);

/// What reaches the thread.
enum Event {
    /// A checkpoint would say something new.
    Changed,
    /// So much that it should not wait.
    Urgent,
    /// End of the thread. What changed is written when the directories are closed.
    Stop,
}

/// Reaches the thread.
#[derive(Clone, Debug)]
pub struct Upkeep {
    events: SyncSender<Event>,
}

/// The other end, for the thread.
#[derive(Debug)]
pub struct UpkeepInbox {
    events: Receiver<Event>,
}

impl Upkeep {
    /// A handle and what its thread will read.
    pub fn new() -> (Self, UpkeepInbox) {
        // Two that wait say it all.
        let (events, inbox) = mpsc::sync_channel(2);
        (Self { events }, UpkeepInbox { events: inbox })
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
            while let Ok(event) = self.events.recv() {
                let stops = match event {
                    Event::Changed => self.stops_within(collect),
                    Event::Urgent => false,
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

    /// Lets `time` pass, whatever changes meanwhile, unless it is urgent.
    fn stops_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Event::Changed) => {}
                Ok(Event::Urgent) => return false,
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests;
