//! The thread that keeps some of a directory's write-ahead log prepared for what comes.
//!
//! It sleeps until less than [`LOW`] is left, and then prepares up to [`HIGH`]: a directory that is
//! not written to has no such bytes, one that is little written to has few. Once the file has gone
//! round there is nothing more to do.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dohle_log::{IoError, wal::Preparer};
use tracing::debug;

use super::WriteAhead;
use crate::disk::NodeFile;

/// How much is left when more is asked for: a tenth of a second of small frames, one after another.
const LOW: u64 = 4 << 20;
/// How much is enough.
const HIGH: u64 = 8 << 20;
/// How much is prepared at once. Frames that are synced meanwhile wait for it.
const STEP: u64 = 512 << 10;
/// How many times what is enough must be free on the volume: the last bytes are for segments.
const FREE_FACTOR: u64 = 64;
/// How long nothing is asked for after there was too little.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks the thread, and ends it.
#[derive(Debug)]
pub(super) struct Room {
    events: SyncSender<()>,
    /// It has been asked and has not answered.
    is_asked: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Room {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none to give.
    pub(super) fn start(way: Arc<WriteAhead>, preparer: Preparer<NodeFile>) -> io::Result<Self> {
        let (events, inbox) = mpsc::sync_channel(1);
        let is_asked = Arc::new(AtomicBool::new(false));
        let fatal = way.alarm.fatal().clone();
        let maker = Maker { way, preparer, is_asked: Arc::clone(&is_asked) };
        let thread = fatal.start_thread("wal-room", move || maker.run(&inbox))?;
        Ok(Self { events, is_asked, thread })
    }

    /// So much is prepared; `None` if nothing is to be prepared ever. Never waits.
    pub(super) fn left(&self, room: Option<u64>) {
        if room.is_some_and(|room| room < LOW) && !self.is_asked.swap(true, Ordering::AcqRel) {
            // Closed: an error ended it, and the directory with it.
            let _ = self.events.try_send(());
        }
    }

    /// Ends it, after what it is at.
    pub(super) fn stop(self) {
        drop(self.events);
        // A panic was printed; the file is as good without it.
        let _ = self.thread.join();
    }
}

struct Maker {
    way: Arc<WriteAhead>,
    preparer: Preparer<NodeFile>,
    is_asked: Arc<AtomicBool>,
}

impl Maker {
    fn run(self, inbox: &Receiver<()>) {
        while inbox.recv().is_ok() {
            match self.prepare() {
                Ok(true) => {}
                Ok(false) => {
                    if !has_slept(inbox, PAUSE) {
                        return;
                    }
                }
                Err(error) => return self.way.fail(&error),
            }
            self.is_asked.store(false, Ordering::Release);
        }
    }

    /// Prepares what is asked for; `false` if the volume has no room to spare.
    fn prepare(&self) -> Result<bool, IoError> {
        if !self.has_room_to_spare()? {
            debug!("{} is not prepared: too little is free", self.preparer.path().display());
            return Ok(false);
        }
        loop {
            match self.preparer.prepare(STEP, HIGH) {
                Ok(true) => {}
                Ok(false) => return Ok(true),
                Err(error) if error.is_full() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn has_room_to_spare(&self) -> Result<bool, IoError> {
        Ok(self.way.volume.room()?.usable_bytes / FREE_FACTOR >= HIGH)
    }
}

/// Lets `time` pass; `false` if the thread is to end.
fn has_slept(inbox: &Receiver<()>, time: Duration) -> bool {
    let end = Instant::now() + time;
    loop {
        match inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}
