//! The thread that runs rounds which network threads do not.

use std::{
    io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use dohle_base::Offset;
use dohle_log::{
    IoError, LogError,
    wal::{Preparer, Wal},
};
use dohle_os::OsFile;
use tracing::warn;

use super::{
    Pending, WriteAhead,
    room::Room,
    rounds::{Rounds, Runner},
};
use crate::{log_dirs::is_short_of_handles, partition::Partition};

/// The writer of one directory.
#[derive(Debug)]
pub(crate) struct WriterThread {
    way: Arc<WriteAhead>,
    thread: JoinHandle<()>,
}

impl WriterThread {
    /// Starts it, and what prepares its file.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(
        way: Arc<WriteAhead>,
        wal: Wal<OsFile>,
        preparer: Preparer<OsFile>,
    ) -> io::Result<Self> {
        let room = Room::start(Arc::clone(&way), preparer)?;
        *way.rounds() = Some(Rounds::new(wal, room));
        let writes = Arc::clone(&way);
        let thread = std::thread::Builder::new().name("wal".to_owned());
        Ok(Self { way, thread: thread.spawn(move || run(&writes))? })
    }

    /// Ends it once all that reached it is durable; says whether it is.
    pub(crate) fn stop(self) -> bool {
        let mut pending = self.way.pending();
        pending.stop = true;
        self.way.wake_writer(pending);
        let has_ended = self.thread.join().is_ok();
        if let Some(rounds) = self.way.rounds().take() {
            rounds.end();
        }
        has_ended && !self.way.has_failed()
    }
}

fn run(way: &WriteAhead) {
    while let Some(pending) = next_work(way) {
        way.run_round(pending, Runner::Writer);
    }
}

/// Waits for work; `None` if there will be none.
fn next_work(way: &WriteAhead) -> Option<MutexGuard<'_, Pending>> {
    let mut pending = way.pending();
    while !pending.is_over
        && (pending.is_running || !pending.has_work() || way.awaits_turn(&pending))
    {
        pending.is_writer_asleep = true;
        pending = way.arrived.wait(pending).unwrap_or_else(PoisonError::into_inner);
    }
    pending.is_writer_asleep = false;
    pending.is_over |= pending.stop && !pending.work.has_appends();
    (!pending.is_over).then_some(pending)
}

/// Syncs a partition's own files instead of a frame.
pub(crate) fn sync_segments(way: &WriteAhead, partition: &Arc<Partition>) -> Result<(), IoError> {
    let _alone = way.alone();
    if !partition.goes(way) || way.has_failed() {
        // It has moved, with all that it had; or nothing is acknowledged here any more.
        return Ok(());
    }
    let plan = partition.with_leader(|leader| {
        let plan = leader.log_mut().begin_flush();
        (leader.log().log_end_offset(), plan)
    });
    let end: Offset = match plan {
        Ok((_, Ok(Some(mut plan)))) => {
            let is_whole = match plan.write() {
                Err(error) if error.is_full() || is_short_of_handles(&error) => {
                    warn!(%partition, "synced without what lies beside the batches: {error}");
                    plan.leave_out_sides();
                    false
                }
                written => written.map(|()| true)?,
            };
            if plan.needs_volume() {
                way.volume.sync()?;
            }
            let done = match plan.sync() {
                Err(error) if error.is_full() || is_short_of_handles(&error) => {
                    warn!(%partition, "not synced, and not acknowledged before it is: {error}");
                    let _ = partition.with_leader(|leader| leader.log_mut().give_up_flush());
                    return Ok(());
                }
                done => done?,
            };
            let _ = partition.with_leader(|leader| match is_whole {
                true => leader.log_mut().finish_flush(done),
                false => leader.log_mut().give_up_flush(),
            });
            done.end()
        }
        Ok((end, Ok(None))) => end,
        // Taken offline, or closed by a failed write: nobody waits for it any more.
        Ok((_, Err(LogError::Io(error)))) => return Err(error),
        Ok((_, Err(_))) | Err(_) => return Ok(()),
    };
    partition.synced(end);
    Ok(())
}
