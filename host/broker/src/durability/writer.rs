//! The thread that runs rounds which network threads do not.

use std::{
    io,
    sync::{Arc, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use dohle_base::Offset;
use dohle_log::{
    IoError, LogError, Synced,
    wal::{Preparer, Wal},
};
use tracing::warn;

use super::{
    Pending, WriteAhead,
    room::Room,
    rounds::{Rounds, Runner},
};
use crate::{disk::NodeFile, log_dirs::is_short_of_handles, partition::Partition};

/// The writer of one directory.
#[derive(Debug)]
pub(crate) struct WriterThread {
    way: Arc<WriteAhead>,
    thread: JoinHandle<()>,
}

impl WriterThread {
    /// Starts it, and what prepares its file. Without rounds of its own it leaves
    /// them to whoever steps through them.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(
        way: Arc<WriteAhead>,
        wal: Wal<NodeFile>,
        preparer: Preparer<NodeFile>,
        runs_rounds: bool,
    ) -> io::Result<Self> {
        let room = Room::start(Arc::clone(&way), preparer)?;
        *way.rounds() = Some(Rounds::new(wal, room));
        let writes = Arc::clone(&way);
        let thread = way.alarm.fatal().start_thread("wal", move || {
            if runs_rounds {
                run(&writes);
            }
        })?;
        Ok(Self { way, thread })
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
        has_ended && !self.way.has_failed() && !self.way.alarm.fatal().has_panicked()
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
    if let Some(synced) = sync(way, partition, |_| ())? {
        commit_segments(partition, synced.end);
    }
    Ok(())
}

/// The same within a round, for who is alone and commits it. What is appended meanwhile is for frames again:
/// a later round writes them.
pub(super) fn sync_unframed(
    way: &WriteAhead,
    partition: &Arc<Partition>,
) -> Result<Option<Synced>, IoError> {
    sync(way, partition, Partition::may_be_framed)
}

/// What was synced is committed.
pub(super) fn commit_segments(partition: &Partition, end: Offset) {
    // If it is not led any more nobody waits.
    let _ = partition.with_leader(|leader| partition.segments_synced(leader, end));
}

/// `planned` comes when it is settled what is synced, under the lock of the partition's state. Says up to
/// where the segments are synced; `None` if nobody waits for that any more.
fn sync(
    way: &WriteAhead,
    partition: &Arc<Partition>,
    planned: impl FnOnce(&Partition),
) -> Result<Option<Synced>, IoError> {
    if !partition.goes(way) || way.has_failed() {
        // It has moved, with all that it had; or nothing is acknowledged here any more.
        return Ok(None);
    }
    let plan = partition.with_leader(|leader| {
        let plan = leader.log_mut().begin_flush();
        planned(partition);
        let log = leader.log();
        (Synced { end: log.log_end_offset(), epoch: log.latest_epoch() }, plan)
    });
    match plan {
        Ok((synced, Ok(Some(mut plan)))) => {
            // Somebody waits: that is for a flush.
            plan.leave_out_indexes();
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
                    // The frame that comes next may go behind it.
                    warn!(%partition, "synced with the whole volume: {error}");
                    way.volume.sync()?;
                    None
                }
                done => Some(done?),
            };
            let _ = partition.with_leader(|leader| match done.filter(|_| is_whole) {
                Some(done) => leader.log_mut().finish_flush(done),
                None => leader.log_mut().give_up_flush(),
            });
            Ok(Some(synced))
        }
        Ok((synced, Ok(None))) => Ok(Some(synced)),
        // Taken offline, or closed by a failed write: nobody waits for it any more.
        Ok((_, Err(LogError::Io(error)))) => Err(error),
        Ok((_, Err(_))) | Err(_) => Ok(None),
    }
}
